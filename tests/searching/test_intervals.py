"""Bounds of formulas hold for every number in a box, and are close to the extremes."""

import math
from types import BuiltinFunctionType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfcore.kernel.loops import FORMULAS
from perfcore.physics import energy, fused, roofline, rounding
from perfcore.physics.stages.passes import between
from perfcore.physics.stages.point import Point, evaluate
from perfcore.physics.stages.replica import OK
from perfcore.searching.intervals import _BY_FUNCTION, Interval, UnboundedError, bounding, ends
from perfcore.testing import scenarios

NUMBERS = st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 1.0, -1.0])
POSITIVE = st.floats(1e-12, 1e12)
CHANGED = {
    "device": ("memory_bandwidth", "flops_fp16", "flops_fp8", "memory_capacity", "link_bandwidth"),
    "engine": ("memory_efficiency_16", "prefill_chunk", "interference", "queue_weight", "launch"),
    "model": ("lm_head_elements", "global_kv_elements"),
    "economics": ("utilization", "price_multiplier", "pue", "interest"),
    "deployment": ("batch", "tp", "pp", "dp", "prefix_hit", "acceptance"),
}
WHOLE = {"batch", "tp", "pp", "dp"}
SHARES = {"prefix_hit", "acceptance", "utilization", "interest", "memory_efficiency_16"}


def interval(low, high):
    """Return an interval of one lane."""
    return Interval(np.array([low], np.float64), np.array([high], np.float64))


@st.composite
def ranges(draw, numbers=NUMBERS):
    """Return an interval and a number in it."""
    low, inside, high = sorted(draw(numbers) for _ in range(3))
    return interval(low, high), inside


def holds(bounds, number):
    """Return whether bounds include a number; they say nothing of NaN."""
    low, high = ends(bounds)
    return math.isnan(number) or bool(np.all(low <= number) and np.all(number <= high))


@given(one=ranges(), other=ranges())
def test_operations(one, other):
    (first, number), (second, more) = one, other
    assert holds(first + second, number + more)
    assert holds(first - second, number - more)
    assert holds(first * second, number * more)
    assert holds(first * first, number * number)
    assert holds(-first, -number)
    assert holds(2.5 - first, 2.5 - number)
    assert holds(first * -2.5, number * -2.5)
    assert holds(first / -3.0, number / -3.0)
    assert holds(math.ceil(first), math.ceil(number))
    with np.errstate(all="ignore"):
        if more != 0.0:
            assert holds(first / second, number / more)
            assert holds(7.0 / second, 7.0 / more)
        both = _BY_FUNCTION[fused.fma](first, second, first)
    assert holds(both, fused.fma(number, more, number))


@given(one=ranges(), other=ranges())
def test_comparisons(one, other):
    """What numbers of two intervals may do is possible; what none may do is not."""
    (first, number), (second, more) = one, other
    for truth, outcome in (
        (first < second, number < more),
        (first <= second, number <= more),
        (first > second, number > more),
        (first >= second, number >= more),
        (first == second, number == more),
        (first != second, number != more),
    ):
        assert (truth.true if outcome else truth.false).all()
    assert not ((first < second).true & (first >= second).true & (first.high < second.low)).any()


@given(one=ranges(POSITIVE), other=ranges(POSITIVE))
def test_remainders(one, other):
    (first, number), (second, more) = one, other
    assert holds(first % second, number % more)
    assert holds(number % second, number % more)


@given(
    one=ranges(st.floats(0.0, 1.0)),
    other=ranges(st.floats(0.0, 1.0)),
    residue=st.floats(0.0, 1.0),
    share=ranges(st.floats(0.0, 1.2)),
)
def test_formulas_that_are_bounded_as_a_whole(one, other, residue, share):
    (compute, compute_s), (memory, memory_s) = one, other
    bounds = bounding(roofline.roofline)(compute, memory, residue)
    for bound, number in zip(bounds, roofline.roofline(compute_s, memory_s, residue), strict=True):
        assert holds(bound, number)
    part, number = share
    assert holds(bounding(between)(compute, memory, part), between(compute_s, memory_s, number))


@given(exponent=ranges(st.floats(-80.0, 0.0)), value=ranges(st.floats(0.0, 1e15)))
def test_functions_that_rise(exponent, value):
    bounds, number = exponent
    assert holds(bounding(rounding.decay)(bounds), rounding.decay(number))
    bounds, number = value
    assert holds(bounding(rounding.floor_of)(bounds), rounding.floor_of(number))
    assert holds(bounding(rounding.ceil_of)(bounds), rounding.ceil_of(number))


def test_functions_of_the_library_are_known():
    """Every function that a formula calls is a formula or has bounds of its own."""
    called = {
        value
        for module in FORMULAS
        for value in vars(module).values()
        if isinstance(value, BuiltinFunctionType)
    }
    assert called <= set(_BY_FUNCTION)
    assert energy.slower_clock in _BY_FUNCTION


@given(
    limit=ranges(st.floats(100.0, 900.0)),
    drawn=ranges(st.floats(50.0, 1500.0)),
    memory=ranges(st.floats(0.0, 1.2)),
    streaming=ranges(st.floats(0.0, 1.2)),
    busy=ranges(st.floats(1e-6, 1.0)),
)
@settings(max_examples=30)
def test_clocks_under_a_power_limit(limit, drawn, memory, streaming, busy):
    """They are bounded for any board in a box, closely for one."""
    watts = energy.Watts(0.0, 1000.0, 80.0, 100.0, 300.0, 600.0, 50.0, 60.0)
    pairs = (limit, busy, drawn, memory, streaming)

    def clocks(function, limit_w, busy_s, drawn_w, *shares):
        times = (share * busy_s for share in shares)
        board = watts._replace(limit=limit_w)
        return function(board, busy_s, drawn_w * busy_s, *times)

    number = clocks(energy.slower_clock, *(number for _, number in pairs))
    with np.errstate(all="ignore"):
        bounds = clocks(bounding(energy.slower_clock), *(bounds for bounds, _ in pairs))
        exact = (interval(number, number) for _, number in pairs)
        close = clocks(bounding(energy.slower_clock), *exact)
    assert holds(bounds, number)
    assert holds(close, number)
    assert abs(number - 1.0) < 1e-9 or close.high / close.low - 1.0 < 1e-9


@st.composite
def boxes(draw):
    """Return a configuration, and another with some fields of larger or smaller values."""
    scenario = draw(scenarios())
    other = scenario._asdict()
    for kind, names in CHANGED.items():
        record = other[kind]
        for name in sorted(draw(st.sets(st.sampled_from(names), max_size=3))):
            value = getattr(record, name) * draw(st.floats(0.5, 2.0))
            value = float(math.ceil(value)) if name in WHOLE else value
            value = min(value, 0.999) if name in SHARES else value
            record = record._replace(**{name: value})
        other[kind] = record
    for name in ("input_len", "output_len"):
        other[name] *= draw(st.sampled_from([1.0, 2.0]))
    return scenario, type(scenario)(**other)


def between_both(one, other, take):
    """Return a configuration whose fields are taken from two others, where they differ."""
    if isinstance(one, tuple):
        return type(one)(*(between_both(*pair, take) for pair in zip(one, other, strict=True)))
    return one if one == other else take(min(one, other), max(one, other))


@given(pair=boxes(), data=st.data())
def test_bounds_hold_for_every_configuration_of_a_box(pair, data):
    """Whatever varies, and however far: results of rows that can run are within their bounds."""
    box = between_both(*pair, interval)
    try:
        with np.errstate(all="ignore"):
            bounds = bounding(evaluate)(*box)
    except (UnboundedError, ArithmeticError, ValueError):
        return
    corner = between_both(*pair, lambda *ends_of: data.draw(st.sampled_from(ends_of)))
    for configuration in (*pair, corner):
        point = configuration.evaluate()
        if point.status == OK:
            for name, bound, number in zip(Point._fields, bounds, point, strict=True):
                assert holds(bound, number), name


def test_bounds_are_close():
    """Results that follow a rate are bounded by those at its ends, within a few per cent."""
    from perfcore.searching.boxes import Grid  # noqa: PLC0415
    from perfcore.space.space import Space  # noqa: PLC0415

    space = Space.from_dict(
        {
            "axes": {"model": ["llama-3.1-8b"], "device": ["h100-sxm"], "engine": ["vllm"]},
            "what_if": {"device.memory_bandwidth": {"scale": [1.0, 2.0]}},
        }
    )
    grid = Grid(space)
    (family,) = grid.families()
    whole, halves = grid.bounds(family), grid.bounds(grid.halves(family, grid.weights).boxes)

    for name in ("tpot_s", "cost_per_mtok_output_usd"):
        exact = getattr(halves, name)
        assert exact.low.tolist() == pytest.approx(exact.high.tolist())
        low, high = ends(getattr(whole, name))
        assert low == pytest.approx(exact.low.min(), rel=0.05)
        assert high == pytest.approx(exact.high.max(), rel=0.05)
