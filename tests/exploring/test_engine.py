"""Points of a page: the command that a point shows gives the same numbers."""

import json
import math
import shlex

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exploring.node import Node, needs_node
from perfcore import catalog
from perfcore.cli import program
from perfcore.columns import METRICS
from perfcore.exploring.page import script
from perfcore.exploring.start import start
from perfcore.inputs import AXIS_INPUTS

pytestmark = needs_node
CLOSE = 1e-12  # relative
SCALES = ("bandwidth", "flops", "capacity", "power", "price")
PLAIN = {name: axis.default for name, axis in AXIS_INPUTS.items()} | dict.fromkeys(SCALES, 1)
CHOSEN = {"weight_format": "native", "tp": "auto", "batch": 1, "sets": []}

TWICE = ["device.memory_bandwidth=2e12"]  # beside a slider


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    text = f"""
    {script(start([]), "")}
    const point = (state) => {{
      const made = resolve(state, state);
      const command = commandAt(state, made, state.batch);
      return {{ command, ...pointOf(state, made, state.batch) }};
    }};
    const words = (listed) => listed.map(quoted).join(" ");
    const answers = {{ point, words, seriesOf }};
    const answer = ([name, given]) => answers[name](given);
    """
    with Node(tmp_path_factory.mktemp("node"), text) as node:
        yield node


def names(kind):
    return st.sampled_from(catalog.names(kind))


factors = st.sampled_from((1, 1, 0.25, 0.33, 1.5, 4))
states = st.fixed_dictionaries(
    {
        "model": names("model"),
        "device": names("device"),
        "engine": st.just("default") | names("engine"),
        "weight_format": st.just("native") | names("weight_format"),
        "kv_format": names("kv_format"),
        "economics": names("economics"),
        "scheduler": st.sampled_from(AXIS_INPUTS["scheduler"].choices),
        "offload": st.sampled_from(("none", "none", *AXIS_INPUTS["offload"].choices)),
        "tp": st.sampled_from(("auto", "auto", 1, 2, 3, 8)),
        "pp": st.sampled_from((1, 1, 2, 5)),
        "dp": st.sampled_from((1, 1, 2)),
        "ep": st.sampled_from((1, 1, 2, 8)),
        "prefix_hit": st.sampled_from((0, 0, 0.3, 0.9)),
        "draft_len": st.sampled_from((0, 0, 1, 4)),
        "acceptance": st.sampled_from((0, 0.7, 0.85)),
        "batch": st.integers(1, 512),
        "input_len": st.integers(1, 20_000),
        "output_len": st.integers(1, 2_000),
        "bandwidth": factors,
        "flops": factors,
        "capacity": factors,
        "power": st.sampled_from((1, 1, 0.4, 0.7)),
        "price": factors,
        "sets": st.lists(
            st.sampled_from(
                (
                    "device.link_bandwidth*0.5",
                    "economics.utilization=0.4",
                    "engine.launch*3",
                    "model.layers*2",
                    "weight_format.bits=5.5",
                    "kv_format.bits=8",
                    "device.idle_power=1e5",
                    "device.memory_bandwidth=2e12",
                    "device.memory_capacity*1.5",
                )
            ),
            max_size=2,
            unique=True,
        ),
    }
)


def point(command):
    """Return what `perfcore point` says in JSON, or its error."""
    words = shlex.split(command)
    assert words[:2] == ["perfcore", "point"]
    return CliRunner().invoke(program, [*words[1:], "--json"])


def compare(found, result):
    told = json.loads(result.stdout)
    for column in METRICS:
        value = found["point"][column.name]
        expected = told[column.name]
        if column.kind == "code":
            assert expected is None or expected == column.categories[int(value)], column.name
        elif expected is not None:
            assert math.isclose(value, expected, rel_tol=CLOSE), column.name


@given(states)
@settings(max_examples=60)
@example({"model": "deepseek-v3", "device": "h200-sxm", "scheduler": "continuous", "batch": 64})
@example({"model": "gpt-oss-120b", "device": "b200", "power": 0.4, "flops": 0.33, "batch": 32})
@example({"model": "llama-3.1-8b", "device": "b200", "bandwidth": 4, "sets": TWICE})
@example({"model": "deepseek-v3", "device": "h200-sxm", "weight_format": "fp8"})
@example({"model": "gpt-2-124m", "device": "h100-sxm", "weight_format": "fp32"})
@example({"model": "llama-3.1-405b", "device": "wse-3"})
@example({"model": "llama-3.1-8b", "device": "rtx-4090", "offload": "weights", "price": 1.5})
def test_the_command_gives_the_page_s_numbers(engine, chosen):
    state = {**PLAIN, **CHOSEN, **chosen}
    found = engine.answer(["point", state])
    if found["fault"].endswith("is changed twice"):
        assert found["point"] is None
        assert found["command"] == ""
        return
    result = point(found["command"])

    if found["point"] is None:
        assert result.exit_code == 2, (found["fault"], result.output)
        return
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["status"] == (found["fault"] or "ok")
    compare(found, result)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"power": 0.01}, "device.idle_power exceeds board_power"),
        ({"sets": ["model.layers=0.5"]}, "model.layers is out of its limits"),
        ({"sets": ["device.flops_fp16=5"]}, "device.flops_fp16 is out of its limits"),
        ({"draft_len": 4, "acceptance": 0}, "all drafts are rejected"),
        ({"price": 1e6}, "economics.price_multiplier is out of its limits"),
    ],
)
def test_what_the_command_refuses_the_page_refuses(engine, changed, fault):
    state = {**PLAIN, **CHOSEN, "model": "llama-3.1-8b", "device": "h100-sxm", **changed}
    found = engine.answer(["point", state])

    assert found["fault"] == fault
    assert found["point"] is None
    assert point(found["command"]).exit_code == 2


def test_words_are_quoted_for_a_shell(engine):
    words = ["plain-1.0", "my file.toml", "it's", "$(touch x)", "a;b", "", "ä"]

    assert shlex.split(engine.answer(["words", words])) == words


def test_combinations_beyond_the_most_are_left_out_and_counted(engine):
    several = {"model": ["a", "b", "c"], "device": list("defgh"), "weight_format": ["i", "j"]}
    found = engine.answer(["seriesOf", {**several, "tp": [1]}])

    assert found["all"] == 30
    assert len(found["shown"]) == 24
    assert found["shown"][0] == {"device": "d", "model": "a", "weight_format": "i", "tp": 1}
