"""Mixture of experts (MoE): the weights that a step reads, and the load of expert ranks."""

from math import exp, log, log1p, sqrt

from perfcore.physics.rounding import decay

NEVER = -1e30  # logarithm of a zero probability


def log_passed_over(experts: float, experts_per_token: float) -> float:
    """Logarithm of the probability that a token does not choose an expert: ln(1 - k/E)."""
    return log1p(-experts_per_token / experts) if experts > experts_per_token else NEVER


def distinct_experts(experts: float, passed_over: float, tokens: float) -> float:
    """Expected number of distinct experts that ``tokens`` choose in one layer.

    E (1 - (1 - k/E)^T), exact for independent uniform routing; skewed or correlated routing
    chooses fewer, so this is an upper bound of the bytes read. ``passed_over`` is
    ``log_passed_over`` of the model. Golden value: 222.4424877 of 256 for 64 tokens of 8 each.
    """
    return experts * (1.0 - decay(tokens * passed_over))


def fullest_rank_experts(experts: float, distinct: float, ranks: float) -> float:
    """Distinct experts of the rank with the most, times ranks; they set the time. [experts]

    U + R sqrt(2 (U/R) (1 - U/E) ln R), at most E: the mean, plus the largest of R
    binomial deviations from it.
    """
    if ranks <= 1.0 or experts == 0.0:
        return distinct
    mean = distinct / ranks
    spread = sqrt(max(0.0, 2.0 * mean * (1.0 - distinct / experts) * log(ranks)))
    return min(experts, distinct + ranks * spread)


def load_imbalance(tokens: float, experts_per_token: float, ranks: float) -> float:
    """Work of the rank with the most tokens relative to the mean, for uniform routing.

    1 + sqrt(2 ln R / m) + ln R / (3 m) for a mean of m = T k / R copies on each of R ranks
    (a Bernstein-type bound), at most R, when one rank has all the work.
    """
    if ranks <= 1.0:
        return 1.0
    mean = tokens * experts_per_token / ranks
    return min(ranks, 1.0 + sqrt(2.0 * log(ranks) / mean) + log(ranks) / (3.0 * mean))


def copies_per_token(experts_per_token: float, ranks: float) -> float:
    """Expected number of ranks that a token is sent to, once each: R (1 - (1 - 1/R)^k).

    Golden value: 7.177603848 for k = 8 of 32 ranks.
    """
    if ranks <= 1.0:
        return 1.0
    return ranks * (1.0 - exp(experts_per_token * log1p(-1.0 / ranks)))
