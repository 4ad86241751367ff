"""Comparisons that laws are made of: what does not hold is told with its values."""

import math
from typing import Final

from perfcore.errors import PerfcoreError
from perfcore.physics.stages.point import Point

ROUNDING: Final = 1e-9  # relative error that a law forgives


class LawBrokenError(PerfcoreError, AssertionError):
    """A configuration breaks a law of the physics; the text says which and by how much."""


def close(left: float, right: float, *, tolerance: float = ROUNDING) -> bool:
    """Whether two numbers are equal but for rounding."""
    return math.isclose(left, right, rel_tol=tolerance, abs_tol=1e-290)


def require(holds: bool, law: str, *values: float) -> None:
    """Raise the error of a law that does not hold, with the values that break it."""
    if not holds:
        raise LawBrokenError(f"{law}: {', '.join(f'{value!r}' for value in values)}")


def equal(left: float, right: float, law: str) -> None:
    """Require two numbers to be equal but for rounding."""
    require(close(left, right), law, left, right)


def not_below(value: float, bound: float, law: str) -> None:
    """Require a number to be at least another but for rounding."""
    require(value >= bound * (1.0 - ROUNDING), law, value, bound)


def as_many_run(before: Point, after: Point) -> bool:
    """Whether as many requests run at once: with more, each is slower but fewer wait."""
    return before.running_batch == after.running_batch


def step_s(point: Point) -> float:
    """Time of a decode step per output token, without other requests' prefill. [s]"""
    return point.tpot_s - point.prefill_s
