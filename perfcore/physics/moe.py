"""Mixture of experts: how much of the weights a step really reads."""

from math import exp, log1p


def distinct_experts(experts: float, experts_per_token: float, tokens: float) -> float:
    """Expected number of different experts that ``tokens`` touch in one layer.

    E (1 - (1 - k/E)^T), exact for independent uniform routing; skewed or correlated routing
    touches fewer, so this is an upper bound of the bytes read. Evaluated as exp(T log1p(-k/E)).
    Golden value: distinct_experts(256, 8, 64) = 222.4424877.
    """
    if experts <= experts_per_token:
        return experts
    return experts * (1.0 - exp(tokens * log1p(-experts_per_token / experts)))
