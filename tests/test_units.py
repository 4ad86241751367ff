"""Human-readable quantities: accepted and refused texts, and error messages."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfcore.units import DIMENSIONS, format_quantity, parse


@pytest.mark.parametrize(
    ("text", "dimension", "expected"),
    [
        ("3.35 TB/s", "bandwidth", 3.35e12),
        ("400 Gb/s", "bandwidth", 50e9),
        ("400Gbps", "bandwidth", 50e9),
        ("80 GiB", "bytes", 80 * 2**30),
        ("80 GB", "bytes", 80e9),
        ("50 us", "time", 50e-6),
        ("50 µs", "time", 50e-6),
        ("1 h", "time", 3600.0),
        ("989 TFLOP/s", "flops", 989e12),
        ("989 TFLOPS", "flops", 989e12),
        ("275TOPS", "flops", 275e12),
        ("700 W", "power", 700.0),
        ("1.2 kW", "power", 1200.0),
        ("2.5 USD/h", "price", 2.5),
        ("$ 2.5", "money", None),
        ("30,000 USD", "money", 30000.0),
        ("4 pJ/bit", "energy_per_bit", 4e-12),
        ("128Ki", "count", 131072.0),
        ("1B", "count", 1e9),
        ("2T", "count", 2e12),
        ("128", "count", 128.0),
        ("60 %", "fraction", 0.6),
        ("0.6", "fraction", 0.6),
        ("0.01 USD/1K", "price_per_mtok", 10.0),
        ("473 g/kWh", "carbon_intensity", 473.0),
        (5, "time", 5.0),
        (1.5e12, "bandwidth", 1.5e12),
    ],
)
def test_reads_what_people_write(text, dimension, expected):
    if expected is None:
        with pytest.raises(ValueError, match="write it like"):
            parse(text, dimension)
    else:
        assert parse(text, dimension) == expected


@pytest.mark.parametrize(
    ("value", "dimension", "message"),
    [
        ("3.35 TB", "bandwidth", r"'TB' is not a unit of a bandwidth; did you mean 'TB/s'\?"),
        ("0.3 EUR/kWh", "price_per_energy", r"amounts are in USD, .* like 0.08 USD/kWh"),
        ("2 €/h", "price", r"amounts are in USD, and exchange rates are not known here"),
        ("3 x", "bandwidth", r"'x' is not a unit of a bandwidth \(accepted: B/s, "),
        ("3.35 tb/s", "bandwidth", "did you mean 'TB/s'"),
        ("80", "bytes", "'80' has no unit; write it like 80 GB or 80 GiB"),
        ("much", "bytes", "'much' is not an amount of memory"),
        ("1,5 GB", "bytes", "write the number with a point"),
        ("1e999 s", "time", "not a finite number"),
        ("nan s", "time", "is not a time"),
        (math.nan, "time", "not a finite number"),
        (math.inf, "time", "not a finite number"),
        (True, "count", "True is not a count"),
        (None, "count", "None is not a count"),
        ([1], "count", "is not a count"),
    ],
)
def test_refuses_with_value_and_remedy(value, dimension, message):
    with pytest.raises(ValueError, match=message):
        parse(value, dimension)


_WRITTEN = [(name, unit) for name, known in DIMENSIONS.items() for unit in known.units]


@given(
    unit=st.sampled_from(_WRITTEN),
    number=st.floats(min_value=1e-6, max_value=1e6, allow_nan=False),
)
def test_any_unit_scales_by_its_factor(unit, number):
    dimension, name = unit
    expected = number * float(DIMENSIONS[dimension].units[name])
    assert parse(f"{number!r} {name}", dimension) == pytest.approx(expected, rel=1e-12)


@given(
    value=st.floats(min_value=1e-9, max_value=1e17, allow_nan=False),
    unit=st.sampled_from(
        [("bytes", "B"), ("bandwidth", "B/s"), ("flops", "FLOP/s"), ("power", "W"), ("energy", "J")]
    ),
)
def test_round_trip_to_four_digits(value, unit):
    dimension, si = unit
    if dimension != "energy":
        value = max(value, 1.0)
    assert parse(format_quantity(value, si), dimension) == pytest.approx(value, rel=5.1e-4)


@given(value=st.floats(min_value=1e-11, max_value=0.9, allow_nan=False))
def test_times_round_trip(value):
    assert parse(format_quantity(value, "s"), "time") == pytest.approx(value, rel=5.1e-4)


@given(value=st.floats(min_value=0.001, max_value=9e14, allow_nan=False))
def test_counts_round_trip(value):
    assert parse(format_quantity(value), "count") == pytest.approx(value, rel=5.1e-4)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (3.35e12, "B/s", "3.35 TB/s"),
        (50e-6, "s", "50 us"),
        (0.0, "s", "0 s"),
        (0.99999, "s", "1 s"),
        (70.55e9, "", "70.55B"),
        (999999.0, "", "1M"),
        (0.25, "", "0.25"),
        (0.6, "%", "60 %"),
        (2.5, "USD/h", "2.5 USD/h"),
        (-3e9, "B", "-3 GB"),
        (math.inf, "s", "inf s"),
    ],
)
def test_shows_what_people_read(value, unit, expected):
    assert format_quantity(value, unit) == expected
