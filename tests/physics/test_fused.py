"""Fused multiply-add, by hand."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from perfcore.physics.fused import fma

finite = st.floats(-1e100, 1e100)


@given(finite, finite, finite)
def test_fma_rounds_once(first, second, addend):
    exact = Fraction(first) * Fraction(second) + Fraction(addend)

    assert fma(first, second, addend) == float(exact)


def test_fma_of_what_twice_rounded_is_nothing():
    """0.1 is too large by 2^-54 / 10; rounding the product would lose the excess."""
    assert 0.1 * 10.0 - 1.0 == 0.0
    assert fma(0.1, 10.0, -1.0) == 2.0**-54
