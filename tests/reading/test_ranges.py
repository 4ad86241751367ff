"""Ranges of numbers: exact ends, no repetitions."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfcore.limits import Limits
from perfcore.reading.places import Place
from perfcore.reading.ranges import expand

WHOLE = Limits("count", 1, 1e8, whole=True)
REAL = Limits("ratio", 0, 1e9)


def expanded(value, bound):
    place = Place("sweep.toml", "key", [])
    values = expand(value, bound, place)
    assert place.faults == []
    return values


@given(st.sets(st.integers(1, 10**8), min_size=2, max_size=2), st.integers(2, 200))
def test_integer_log_range_has_exact_ends_and_rises_without_repetitions(ends, n):
    low, high = sorted(ends)
    values = expanded({"log": [low, high], "n": n}, WHOLE)

    assert (values[0], values[-1]) == (low, high)
    assert all(isinstance(value, int) for value in values)
    assert all(a < b for a, b in pairwise(values))
    assert len(values) <= n


@given(
    st.floats(1e-6, 1e9),
    st.floats(1e-6, 1e9),
    st.integers(2, 200),
    st.sampled_from(["log", "linear"]),
)
def test_real_range_has_exact_ends_and_rises(a, b, n, form):
    low, high = sorted((a, b))
    if low == high:
        return
    values = expanded({form: [low, high], "n": n}, REAL)

    assert (values[0], values[-1]) == (low, high)
    assert all(x < y for x, y in pairwise(values))
    assert len(values) <= n


@given(st.floats(0.01, 100), st.floats(1.01, 1000), st.integers(3, 60))
def test_steps_of_a_log_range_have_one_ratio_and_of_a_linear_range_one_difference(low, span, n):
    log = expanded({"log": [low, low * span], "n": n}, REAL)
    linear = expanded({"linear": [low, low * span], "n": n}, REAL)

    assert len(log) == len(linear) == n
    for x, y in pairwise(log):
        assert math.isclose(y / x, span ** (1 / (n - 1)), rel_tol=1e-9)
    for x, y in pairwise(linear):
        assert math.isclose(y - x, low * (span - 1) / (n - 1), rel_tol=1e-6)


@given(st.integers(1, 10**8), st.integers(1, 10**8))
def test_pow2_is_every_power_of_two_between_its_ends(a, b):
    low, high = sorted((a, b))
    wanted = tuple(2**k for k in range(28) if low <= 2**k <= high)
    if low < high and wanted:
        assert expanded({"pow2": [low, high]}, WHOLE) == wanted


@given(st.lists(st.integers(1, 10**8), min_size=1, unique=True))
def test_a_list_keeps_its_order_and_a_scalar_is_a_list_of_one(values):
    assert expanded(values, WHOLE) == tuple(values)
    assert expanded(values[0], WHOLE) == (values[0],)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("128Ki", (131072,)),
        (["1K", "2k", 3.0], (1000, 2000, 3)),
        ({"pow2": [1, 1000]}, (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)),
        ({"pow2": ["1Ki", "4Ki"]}, (1024, 2048, 4096)),
        ({"log": [1, 1000], "n": 4}, (1, 10, 100, 1000)),
        ({"log": [1, 4], "n": 100}, (1, 2, 3, 4)),
        ({"linear": [1, 10], "n": 4}, (1, 4, 7, 10)),
        ({"linear": [1, 4], "n": 3}, (1, 3, 4)),
    ],
)
def test_integer_ranges(value, expected):
    assert expanded(value, WHOLE) == expected


def test_halves_and_powers_of_real_ranges():
    assert expanded({"pow2": [0.25, 3]}, REAL) == (0.25, 0.5, 1.0, 2.0)
    assert expanded({"log": [1, 10], "n": 3}, REAL) == (1.0, 3.16227766017, 10.0)
    assert expanded({"linear": [0, 1], "n": 3}, REAL) == (0.0, 0.5, 1.0)
