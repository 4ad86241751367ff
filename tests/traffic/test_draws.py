"""Random numbers by position, and the inverses of distributions."""

import numpy as np
import pytest
from scipy import stats

from perfcore.traffic.draws import Use, chosen, exponential, gamma, normal, uniform

NUMBERS = uniform(7, Use.ARRIVAL, 50_000)


def test_numbers_never_change():
    """They are those of Python's own integers."""
    assert uniform(0, Use.ARRIVAL, 3).tolist() == by_hand(0, Use.ARRIVAL, 3)
    assert uniform(2**53, Use.ROW, 2).tolist() == by_hand(2**53, Use.ROW, 2)
    assert uniform(1, Use.INPUT, 1)[0] == pytest.approx(0.9006109, abs=1e-6)


def by_hand(seed, use, count):
    """Return numbers of SplitMix64 in Python's own integers."""
    bits = 2**64 - 1

    def mixed(value):
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & bits
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & bits
        return value ^ (value >> 31)

    step = 0x9E3779B97F4A7C15
    start = mixed((mixed((seed + step) & bits) + use + step) & bits)
    found = (mixed((start + place * step) & bits) for place in range(1, count + 1))
    return [((one >> 12) + 0.5) * 2.0**-52 for one in found]


def test_a_number_depends_on_its_position_alone():
    assert (uniform(7, Use.ARRIVAL, 10) == NUMBERS[:10]).all()
    assert (gamma(NUMBERS, 3.0)[:10] == gamma(NUMBERS[:10], 3.0)).all()


def test_uses_and_seeds_are_independent():
    others = [uniform(7, Use.INPUT, 50_000), uniform(8, Use.ARRIVAL, 50_000)]

    assert all(abs(np.corrcoef(NUMBERS, other)[0, 1]) < 0.02 for other in others)
    assert stats.kstest(NUMBERS, "uniform").pvalue > 0.01


@pytest.mark.parametrize("cv", [0.1, 0.5, 1.0, 2.0, 3.0, 10.0])
def test_gamma_is_that_of_scipy(cv):
    shape = cv**-2.0
    expected = stats.gamma.ppf(NUMBERS, shape) / shape

    assert gamma(NUMBERS, cv) == pytest.approx(expected, abs=1e-9)


def test_other_distributions_are_those_of_scipy():
    ends = np.array([1e-300, 1e-16, 0.5, 1.0 - 1e-16])

    assert normal(NUMBERS) == pytest.approx(stats.norm.ppf(NUMBERS), abs=1e-13)
    assert normal(ends) == pytest.approx(stats.norm.ppf(ends), rel=1e-14)
    assert exponential(NUMBERS) == pytest.approx(stats.expon.ppf(NUMBERS), abs=1e-9)
    assert (gamma(NUMBERS, 0.0) == 1.0).all()


def test_sums_of_gaps_are_exact():
    gaps = gamma(NUMBERS, 3.0)

    assert np.cumsum(gaps)[-1] == np.cumsum(gaps[::-1])[-1]


def test_choice_by_running_sums():
    found = chosen(NUMBERS, np.array([0.25, 0.25, 1.0]))

    assert np.bincount(found)[0] == pytest.approx(12_500, rel=0.02)
    assert set(found) == {0, 2}
