"""Comparisons for laws. If one fails, the error gives the law and the values."""

import math
from typing import Final

from perfcore.errors import PerfcoreError
from perfcore.physics.stages.point import Point
from perfcore.records import SCHEDULER_STATIC, Deployment

ROUNDING: Final = 1e-9  # relative error that laws tolerate


class LawBrokenError(PerfcoreError, AssertionError):
    """Violation of a law by a configuration; the message names the law and the values."""


def close(left: float, right: float, *, tolerance: float = ROUNDING) -> bool:
    """Return whether two numbers are equal except for rounding."""
    return math.isclose(left, right, rel_tol=tolerance, abs_tol=1e-290)


def require(holds: bool, law: str, *values: float) -> None:
    """Raise an error with the values if a law does not hold."""
    if not holds:
        raise LawBrokenError(f"{law}: {', '.join(f'{value!r}' for value in values)}")


def equal(left: float, right: float, law: str) -> None:
    """Require two numbers to be equal except for rounding."""
    require(close(left, right), law, left, right)


def not_below(value: float, bound: float, law: str) -> None:
    """Require a number to be at least ``bound``, except for rounding."""
    require(value >= bound * (1.0 - ROUNDING), law, value, bound)


def as_many_run(before: Point, after: Point) -> bool:
    """Return whether as many requests run at once: with more, each is slower but fewer wait."""
    return before.running_batch == after.running_batch


def not_faster(slow: Point, fast: Point, deployment: Deployment, law: str) -> None:
    """Require no time of ``slow`` to be below that of ``fast``; of a server, only the end counts.

    In a server the first token and the others share the time: if prompts take less of it, more
    requests write tokens in a step.
    """
    static = deployment.scheduler == SCHEDULER_STATIC
    for name in ("ttft_s", "tpot_s") if static else ("e2e_latency_s",):
        not_below(getattr(slow, name), getattr(fast, name), f"{name}: {law}")
