"""Inputs that results depend on, as the text of the formulas says, against what they compute."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfcore.columns import METRICS
from perfcore.physics.rounding import decay
from perfcore.physics.sizing import fewest_devices, with_degrees
from perfcore.physics.speculation import accepted_tokens
from perfcore.physics.stages.point import Point, evaluate
from perfcore.records import Deployment
from perfcore.runs.influences import Unknown, idle_axes, joined, names_of, traced
from perfcore.space.space import Space
from perfcore.testing import Scenario, scenarios

LENGTHS = ("input_len", "output_len")
MONEY = {"price_multiplier", "utilization", "server_factor", "interest", "lifetime", "operations"}


def inputs_of(scenario):
    """Return the inputs by record and field."""
    return {
        f"{part}.{field}" if field else part: value
        for part, record in scenario._asdict().items()
        for field, value in (
            record._asdict() if isinstance(record, tuple) else {"": record}
        ).items()
    }


def with_inputs(scenario, changed):
    """Return a scenario with other values of some inputs."""
    for name, value in changed.items():
        part, _, field = name.partition(".")
        if field:
            value = getattr(scenario, part)._replace(**{field: value})  # noqa: PLW2901
        scenario = scenario._replace(**{part: value})
    return scenario


@pytest.fixture(scope="module")
def everything_unknown():
    """Names of the inputs of each result, if nothing is known."""
    kinds = Scenario.__annotations__
    made = {
        part: kind(*(Unknown([f"{part}.{field}"]) for field in kind._fields))
        for part, kind in kinds.items()
        if part not in LENGTHS
    }
    found = traced(evaluate, *Scenario(**made, **{name: Unknown([name]) for name in LENGTHS}))
    return {name: names_of(value) for name, value in found._asdict().items()}


def test_results_of_everything(everything_unknown):
    """Times do not know money, nor do sizes know speeds; what is money is known by name."""
    by_record = {
        name: {part: {n.partition(".")[2] for n in names if n.startswith(part)} for part in parts}
        for parts in [("economics", "device")]
        for name, names in everything_unknown.items()
    }
    assert everything_unknown["perplexity_increase"] == {"weight_format.perplexity_increase"}
    assert by_record["tpot_s"]["economics"] == set()
    assert by_record["cost_per_mtok_output_usd"]["economics"] >= MONEY
    assert by_record["carbon_per_mtok_output_g"]["economics"] == {
        "carbon_intensity",
        "pue",
        "node_overhead",
    }
    assert "memory_bandwidth" in by_record["tpot_s"]["device"]
    assert "memory_bandwidth" not in by_record["max_batch"]["device"]
    assert all(everything_unknown[column.name] for column in METRICS)


@given(scenario=scenarios(), other=scenarios(), data=st.data())
@settings(max_examples=5)
def test_inputs_that_are_not_named_change_nothing(scenario, other, data):
    """Results are equal bit for bit, and what is known is what the formulas compute."""
    values, others = inputs_of(scenario), inputs_of(other)
    names = st.sampled_from(sorted(values))
    some = data.draw(st.lists(names, min_size=1, max_size=6, unique=True))
    changed = with_inputs(scenario, {name: others[name] for name in some})
    unknown = with_inputs(scenario, {name: Unknown([name]) for name in some})
    point = traced(evaluate, *unknown)
    try:
        before, after = scenario.evaluate(), changed.evaluate()
        steps = [with_inputs(changed, {name: values[name]}).evaluate() for name in some]
    except ArithmeticError:  # inputs that do not go together
        return
    for place, result in enumerate(Point._fields):
        if not isinstance(point[place], Unknown):
            assert repr(point[place]) == repr(before[place]) == repr(after[place]), result
        for name, step in zip(some, steps, strict=True):
            if name not in names_of(point[place]):
                assert repr(step[place]) == repr(after[place]), (result, name)


def test_loops():
    """A loop that runs an unknown number of times, and searches of unknown length."""
    depth, share, decline = (Unknown([name]) for name in ("depth", "share", "decline"))
    assert names_of(accepted_tokens(2.0, 0.5, 1.0)) == frozenset()
    assert names_of(traced(accepted_tokens, 2.0, share, decline)) == {"share", "decline"}
    assert names_of(traced(accepted_tokens, depth, 0.5, 1.0)) == {"depth"}


def test_devices_chosen(data_sheets):
    model, device, engine, weights, cache, deployment = data_sheets
    unknown = device._replace(
        memory_capacity=Unknown(["memory"]), memory_bandwidth=Unknown(["speed"])
    )
    chosen = traced(fewest_devices, model, unknown, engine, weights, cache, deployment, 1000.0)

    assert names_of(chosen.tp) == {"memory"}
    assert names_of(chosen.scheduler) == frozenset()


@pytest.fixture
def data_sheets():
    space = Space.from_dict(
        {
            "axes": {
                "model": ["llama-3.1-8b"],
                "device": ["h100-sxm"],
                "engine": ["vllm"],
                "batch": [1],
                "input_len": [1],
                "output_len": [1],
            }
        }
    )
    kinds = ("model", "device", "engine", "weight_format", "kv_format")
    values = {
        axis.name: float(space.axis_values[axis.name][0])
        for axis in space.axes[5:]
        if axis.name in Deployment._fields
    }
    deployment = with_degrees(Deployment(**values), 0.0, 1.0)
    return (*(space.base_records[kind][0] for kind in kinds), deployment)


def test_parts_of_expressions():
    one, other = Unknown(["one"]), Unknown(["other"])

    assert joined(1.0, 1.0, frozenset("a")) == 1.0
    assert names_of(joined(0.0, -0.0, frozenset("a"))) == {"a"}
    assert names_of(joined(one, 1.0, frozenset("a"))) == {"one", "a"}
    assert joined(one, one, frozenset("a")) is one
    assert names_of(traced(decay, one)) == {"one"}
    assert names_of((one, (other, 1.0))) == {"one", "other"}
    with pytest.raises(NotImplementedError, match="is not a formula"):
        traced(sorted, one)


@pytest.mark.parametrize(
    "section",
    [
        {"sample": {"method": "random", "n": 10, "seed": 1}},
        {"axes": {"prefill_tp": [2], "scheduler": "disaggregated"}},
    ],
)
def test_spaces_of_which_nothing_is_known(section):
    axes = {
        "model": ["llama-3.1-8b"],
        "device": ["h100-sxm"],
        "batch": [1],
        "input_len": [1],
        "output_len": [1],
    }
    what_if = {"economics.price_multiplier": [1.0, 2.0]}
    plain = Space.from_dict({"axes": axes, "what_if": what_if})
    other = Space.from_dict(
        {**section, "axes": {**axes, **section.get("axes", {})}, "what_if": what_if}
    )

    assert idle_axes(plain, ["tpot_s"]) == ("economics_price_multiplier",)
    assert idle_axes(other, ["tpot_s"]) == ()
