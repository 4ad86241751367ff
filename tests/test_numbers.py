"""Numbers over the whole valid range of every field stay finite."""

import math
import random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from perfcore import catalog, records
from perfcore.columns import METRICS
from perfcore.inputs import DEPLOYMENT_AXES, LIMITS, broken_limits, broken_ties, check_limits
from perfcore.physics.collectives import exchange
from perfcore.physics.energy import idle_power, watts_of
from perfcore.physics.stages.point import evaluate
from perfcore.units import DIMENSIONS, parse

MOST_DEVICES = 10**6  # of a replica: tp x pp x dp; the axes alone would allow 2.8e14
FLOAT32, FLOAT64 = (float(np.finfo(kind).max) for kind in (np.float32, np.float64))
CODES = [column for column in METRICS if column.kind in ("code", "count")]
CLASSES = {
    "model": records.Model,
    "device": records.Device,
    "engine": records.Engine,
    "weight_format": records.WeightFormat,
    "kv_format": records.KVFormat,
    "economics": records.Economics,
}


def within(bound):
    """Return values of a bound: its ends, and evenly on a logarithmic axis what lies between."""
    least = max(bound.least, bound.low, 1e-30)
    if bound.whole:
        low, high = int(bound.low), int(bound.high)
        return st.sampled_from((low, high)).map(float) | st.integers(low, high).map(float)
    between = st.floats(math.log(least), math.log(bound.high))
    spread = between.map(lambda x: min(max(math.exp(x), least), float(bound.high)))
    return st.sampled_from((float(bound.low), float(bound.high))) | spread


def anywhere(numbers, bound):
    """Return a value of a bound as ``within`` does, of which two hundred are made at once."""
    if numbers.random() < 0.5:
        return float(numbers.choice((bound.low, bound.high)))
    if bound.whole:
        return float(numbers.randint(int(bound.low), int(bound.high)))
    least = max(bound.least, bound.low, 1e-30)
    value = math.exp(numbers.uniform(math.log(least), math.log(bound.high)))
    return min(max(value, least), float(bound.high))


def record_of(kind, numbers):
    """Return a record of which every field is anywhere in its bound."""
    return CLASSES[kind](*(anywhere(numbers, limits) for limits in LIMITS[kind].values()))


@st.composite
def deployments(draw):
    """Return every deployment that axes can spell, and the two lengths."""
    values = {}
    for rule in DEPLOYMENT_AXES:
        if rule.limits is None:
            values[rule.name] = float(draw(st.integers(0, len(rule.choices) - 1)))
        else:
            values[rule.name] = draw(within(rule.limits))
    room = MOST_DEVICES
    for name in draw(st.permutations(("tp", "pp", "dp"))):
        values[name] = min(values[name], float(room))
        room //= max(int(values[name]), 1)
    lengths = values.pop("input_len"), values.pop("output_len")
    return records.Deployment(**values), *lengths


def names(kind):
    return st.sampled_from(catalog.names(kind))


@st.composite
def changed_entries(draw, most):
    """Return records of the catalogue, of which some fields are anywhere in their bounds."""
    sheet = catalog.load_device(draw(names("device")))
    found = {
        "model": catalog.load_model(draw(names("model"))).record(),
        "device": sheet.record(),
        "engine": catalog.load_engine(draw(names("engine"))).record(sheet),
        "weight_format": catalog.load_weight_format(draw(names("weight_format"))).record(),
        "kv_format": catalog.load_kv_format(draw(names("kv_format"))).record(),
        "economics": catalog.default_economics(),
    }
    everything = [(kind, field) for kind, fields in LIMITS.items() for field in fields]
    for kind, field in draw(st.lists(st.sampled_from(everything), max_size=most)):
        found[kind] = found[kind]._replace(**{field: draw(within(LIMITS[kind][field]))})
    assume(not any(broken_ties(kind, record) for kind, record in found.items()))
    return found


def point_of(found, deployed):
    deployment, input_len, output_len = deployed
    kinds = ("model", "device", "engine", "weight_format", "kv_format")
    parts = [found[kind] for kind in kinds]
    return evaluate(*parts, deployment, found["economics"], input_len, output_len)


def assert_sound(point, largest):
    """Check every column."""
    for name, value in point._asdict().items():
        if name == "perplexity_increase" and math.isnan(value):
            continue  # of a format without a measurement
        assert math.isfinite(value), (name, value)
        least, most = (-largest, 1.0) if name == "margin" else (0.0, largest)
        assert least <= value <= most, (name, value)
    for column in CODES:
        value = getattr(point, column.name)
        assert value == int(value), (column.name, value)
        assert value < 2**31


@given(changed_entries(most=8), deployments())
def test_what_ifs_anywhere_in_their_bounds_give_numbers(found, deployed):
    """Whatever a sweep may ask of the catalogue fits into the output of four bytes a number."""
    assert_sound(point_of(found, deployed), FLOAT32)


@given(st.integers(0, 2**63), deployments())
def test_all_fields_anywhere_in_their_bounds_give_numbers(seed, deployed):
    """No overflow, 0/0 or negative time of eight bytes, even of records that make no sense."""
    numbers = random.Random(seed)  # noqa: S311
    found = {kind: record_of(kind, numbers) for kind in LIMITS}
    found["device"] = found["device"]._replace(
        idle_power=min(found["device"].idle_power, found["device"].board_power)
    )
    model = found["model"]
    layers = min(model.moe_layers, model.layers, model.all_reduces)
    routed = min(model.experts_per_token, model.experts)
    found["model"] = model._replace(
        moe_layers=layers, experts_per_token=routed, experts=model.experts if routed else 0.0
    )
    for kind, record in found.items():
        assert broken_limits(kind, record) == ()
        assert broken_ties(kind, record) == []
    assert_sound(point_of(found, deployed), FLOAT64)


def test_extremes_at_once_fit_into_four_bytes():
    """The dearest and slowest device, hardly used, with the least efficient engine."""
    extremes = {
        "device": {"memory_bandwidth": "low", "price_per_hour": "high"},
        "economics": {"price_multiplier": "high", "utilization": "low"},
        "engine": {"memory_efficiency_16": "low"},
        "weight_format": {"bits": "high", "body_bits": "high"},
        "model": {"ffn_in_elements": "high"},
    }
    sheet = catalog.load_device("h100-sxm")
    found = {
        "model": catalog.load_model("llama-3-70b").record(),
        "device": sheet.record(),
        "engine": catalog.load_engine("default").record(sheet),
        "weight_format": catalog.load_weight_format("bf16").record(),
        "kv_format": catalog.load_kv_format("bf16").record(),
        "economics": catalog.default_economics(),
    }
    for kind, fields in extremes.items():
        changes = {field: float(getattr(LIMITS[kind][field], end)) for field, end in fields.items()}
        found[kind] = found[kind]._replace(**changes)
        check_limits(kind, found[kind])
    alone = records.Deployment(tp=8.0, pp=1000.0)

    point = point_of(found, (alone, 1e4, 1e4))

    assert point.cost_per_mtok_output_usd > 1e30
    assert_sound(point, FLOAT32)


def test_a_domain_of_less_than_two_devices_takes_no_time_away():
    """A what-if's 1.5: half a hop less than two devices have."""
    engine = catalog.load_engine("default").record(catalog.load_device("h100-sxm"))
    engine = engine._replace(one_shot_latency=0.0, one_shot_hop=3600.0)
    device = catalog.load_device("h100-sxm").record()._replace(scale_up_domain=1.5)

    assert exchange(8.0, device, engine).one_shot_start == 0.0


def test_shares_that_are_rounded_up_leave_nothing_negative():
    entry = catalog.load_device("h100-sxm")
    watts = watts_of(entry.record(), catalog.load_engine("default").record(entry))

    assert idle_power(watts, 1.0 + 2.0**-52) == 0.0


@given(st.floats(1e-30, 1e30), st.sampled_from(sorted(DIMENSIONS)))
def test_any_number_of_any_dimension_is_read_or_refused(number, dimension):
    for unit, factor in DIMENSIONS[dimension].units.items():
        assert parse(f"{number!r} {unit}", dimension) == pytest.approx(
            number * float(factor), rel=1e-15
        )
