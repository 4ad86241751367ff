"""Mixture of experts: how much of the weights a step really reads."""

from math import exp, log, log1p, sqrt

from perfcore.physics.rounding import decay

NEVER = -1e30  # the logarithm of a probability that is none


def log_passed_over(experts: float, experts_per_token: float) -> float:
    """Logarithm of the probability that a token leaves an expert alone: ln(1 - k/E)."""
    return log1p(-experts_per_token / experts) if experts > experts_per_token else NEVER


def distinct_experts(experts: float, passed_over: float, tokens: float) -> float:
    """Expected number of different experts that ``tokens`` touch in one layer.

    E (1 - (1 - k/E)^T), exact for independent uniform routing; skewed or correlated routing
    touches fewer, so this is an upper bound of the bytes read. ``passed_over`` is
    ``log_passed_over`` of the model. Golden value: 222.4424877 of 256 for 64 tokens of 8 each.
    """
    return experts * (1.0 - decay(tokens * passed_over))


def fullest_rank_experts(experts: float, distinct: float, ranks: float) -> float:
    """Distinct experts of the rank that has most, times ranks: what sets the time. [experts]

    U + R sqrt(2 (U/R) (1 - U/E) ln R), at most E: the mean, and the largest of R binomial
    deviations from it.
    """
    if ranks <= 1.0 or experts == 0.0:
        return distinct
    mean = distinct / ranks
    spread = sqrt(max(0.0, 2.0 * mean * (1.0 - distinct / experts) * log(ranks)))
    return min(experts, distinct + ranks * spread)


def load_imbalance(tokens: float, experts_per_token: float, ranks: float) -> float:
    """Work of the rank with most tokens relative to the mean, uniform routing.

    1 + sqrt(2 ln R / m) + ln R / (3 m) for a mean of m = T k / R copies on each of R ranks
    (a Bernstein-type bound), at most R: then one rank has everything.
    """
    if ranks <= 1.0:
        return 1.0
    mean = tokens * experts_per_token / ranks
    return min(ranks, 1.0 + sqrt(2.0 * log(ranks) / mean) + log(ranks) / (3.0 * mean))


def copies_per_token(experts_per_token: float, ranks: float) -> float:
    """Ranks that a token is sent to if each gets it once: R (1 - (1 - 1/R)^k).

    Golden value: 7.177603848 for k = 8 of 32 ranks.
    """
    if ranks <= 1.0:
        return 1.0
    return ranks * (1.0 - exp(experts_per_token * log1p(-1.0 / ranks)))
