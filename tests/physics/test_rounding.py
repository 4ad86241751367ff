"""Rounding and the decaying exponential, by hand."""

import math

import pytest

from perfcore.physics.rounding import NOTHING, ceil_of, decay, floor_of

# ------------------------------------------------------------------- roofline and rounding


@pytest.mark.parametrize("value", [0.0, 0.2, 1.0, 2.5, 2**40 + 0.5, 2.0**51, 2.0**53])
def test_rounding(value):
    assert floor_of(value) == math.floor(value)
    assert ceil_of(value) == math.ceil(value)


# ------------------------------------------------------------------------------ attention


@pytest.mark.parametrize("exponent", [0.0, -1e-9, -0.03, -1.0, -7.5, -59.9])
def test_decay_is_the_exponential(exponent):
    assert decay(exponent) == pytest.approx(math.exp(exponent), rel=1e-13)
    assert decay(-60.1) == decay(-1e30) == 0.0


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-300, 3.0])
def test_nothing_changes_no_sum(value):
    """Not even the sign of a zero, unlike 0.0."""
    assert str(value + NOTHING) == str(NOTHING + value) == str(value)
