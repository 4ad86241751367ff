"""Searches that skip boxes find what a search of every row finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import perfcore
from perfcore.errors import InputError
from perfcore.records import PURCHASE_OWNED
from perfcore.searching import pruning
from perfcore.searching.objectives import Objective
from perfcore.searching.search import find_best, find_front
from perfcore.space.space import Space
from perfcore.testing import spaces

METRICS = ("tpot_s", "ttft_s", "cost_per_mtok_output_usd", "tokens_per_s_per_device", "max_batch")
CONDITIONS = (
    "tpot_s<=30ms",
    "ttft_s<=2s",
    "bound=weights",
    "mfu>=0.1",
    "max_batch>=8",
    "tp<=8",
)
WHAT_IFS = {
    "device.memory_bandwidth": {"scale": [0.5, 1.0, 2.0]},
    "device.board_power": {"scale": [0.5, 1.0]},
    "economics.price_multiplier": [0.5, 1.0, 1.0001],
    "engine.interference": {"scale": [0.5, 1.0]},
}
LARGE = {
    "axes": {
        "model": ["llama-3.1-8b", "qwen3-235b-a22b"],
        "device": ["h100-sxm"],
        "engine": ["vllm"],
        "scheduler": ["continuous"],
        "tp": [1, 2, 4, 8],
        "batch": {"linear": [1, 64], "n": 32},
        "input_len": {"linear": [256, 8192], "n": 8},
        "output_len": [128, 512],
    },
    "what_if": {
        "device.memory_bandwidth": {"scale": {"linear": [0.5, 2.0], "n": 8}},
        "economics.price_multiplier": {"linear": [0.5, 2.0], "n": 4},
    },
}


def same_rows(one, other):
    """Return whether rows are equal, those without a measurement of quality as well."""
    return one.rows.schema == other.rows.schema and repr(one.rows.to_pydict()) == repr(
        other.rows.to_pydict()
    )


@given(sweep=spaces(max_lengths=6), data=st.data())
@settings(max_examples=25)
def test_random_spaces(sweep, data):
    """The rows are those of an exhaustive search, whatever is asked, down to single rows."""
    keys = data.draw(st.sets(st.sampled_from(sorted(WHAT_IFS)), max_size=2), label="what-ifs")
    space = Space.from_dict({**sweep, "what_if": {key: WHAT_IFS[key] for key in sorted(keys)}})
    if space.chooses_devices or space.rows > 3000:
        return
    where = sorted(data.draw(st.sets(st.sampled_from(CONDITIONS), max_size=2), label="where"))
    axes = st.sampled_from(["device", "batch", "tp"])
    by = sorted(data.draw(st.sets(axes, max_size=2), label="by"))
    names = data.draw(st.lists(st.sampled_from(METRICS), min_size=2, max_size=2, unique=True))
    objectives = [Objective(name, maximize=data.draw(st.booleans())) for name in names]
    top = data.draw(st.integers(1, 4), label="top")
    try:
        whole = find_best(space, objectives[0], where, by, top, kernel="full")
    except InputError:  # conditions exclude every value of an axis
        return
    front = find_front(space, objectives, where, by, kernel="full")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pruning, "LEAF_S", data.draw(st.sampled_from([0.0, 3e-6, 1e-5])))
        best = find_best(space, objectives[0], where, by, top, kernel="full", prune=True)
        pruned_front = find_front(space, objectives, where, by, kernel="full", prune=True)

    assert same_rows(best, whole)
    assert same_rows(pruned_front, front)
    assert best.pruned.evaluated <= best.configs == whole.configs


@pytest.fixture
def splits(monkeypatch):
    """Evaluate boxes of few rows only, as in a space that is large."""
    monkeypatch.setattr(pruning, "LEAF_S", 1e-5)


@pytest.mark.usefixtures("splits")
def test_most_of_a_large_space_is_skipped():
    space = Space.from_dict(LARGE)
    objective = Objective("cost_per_mtok_output_usd")
    where = ["tpot_s<=20ms", "ttft_s<=1s"]

    whole = find_best(space, objective, where, ["model"], 3)
    pruned = find_best(space, objective, where, ["model"], 3, prune=True)

    assert same_rows(pruned, whole)
    assert pruned.configs == whole.configs == 131_072
    assert pruned.pruned.evaluated < 0.2 * pruned.configs
    assert pruned.feasible <= pruned.pruned.evaluated


@pytest.mark.usefixtures("splits")
def test_equal_rows_are_the_first_of_the_space():
    """A price does not change TPOT: the first of all that tie is found, without looking at all."""
    space = Space.from_dict(LARGE)

    whole = find_best(space, Objective("tpot_s"), top=2)
    pruned = find_best(space, Objective("tpot_s"), top=2, prune=True)

    assert same_rows(pruned, whole)
    assert pruned.pruned.evaluated < 0.2 * pruned.configs


@pytest.mark.usefixtures("splits")
def test_ranges_are_halved_where_that_has_paid(monkeypatch):
    """With prices that follow from bandwidth and links, fewer boxes do."""
    changed = {
        "device.memory_bandwidth": {"scale": {"linear": [0.5, 2.0], "n": 16}},
        "device.purchase_price": {"scale": {"linear": [0.7, 1.6], "n": 16}},
        "device.link_bandwidth": {"scale": {"linear": [0.5, 2.0], "n": 16}},
        "economics.server_factor": {"linear": [1.2, 1.8], "n": 16},
    }
    first, second, third, fourth = changed
    tied = [{"axes": [first, second]}, {"axes": [third, fourth]}]
    what_if = {**changed, "economics.purchase": [PURCHASE_OWNED]}
    space = Space.from_dict({**LARGE, "what_if": what_if, "zip": tied})
    objective = Objective("cost_per_mtok_output_usd")

    whole = find_best(space, objective, ["tpot_s<=20ms"], ["model"], 3)
    learnt = find_best(space, objective, ["tpot_s<=20ms"], ["model"], 3, prune=True)
    monkeypatch.setattr(pruning, "LEARNT", 0.0)
    fixed = find_best(space, objective, ["tpot_s<=20ms"], ["model"], 3, prune=True)

    assert same_rows(learnt, whole)
    assert same_rows(fixed, whole)
    assert learnt.pruned.bounded < 0.75 * fixed.pruned.bounded


@pytest.mark.usefixtures("splits")
def test_nothing_can_run():
    space = Space.from_dict(LARGE)
    pruned = find_best(space, Objective("tpot_s"), ["tpot_s<=1us"], prune=True)

    assert (pruned.rows.num_rows, pruned.pruned.evaluated) == (0, 0)


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ({"sample": {"method": "random", "n": 10, "seed": 1}}, r"\[sample\]"),
        ({"axes": {**LARGE["axes"], "devices": "auto"}}, 'devices = "auto"'),
    ],
)
def test_spaces_without_boxes(section, name):
    spec = {**LARGE, **section}
    if "axes" in section:
        spec["axes"].pop("tp")
    with pytest.raises(InputError, match=f"prune: a sweep with {name} has no boxes"):
        perfcore.search(spec, minimize="tpot_s", prune=True)


def test_numbers_are_rounded_as_by_the_kernel():
    numbers = np.array([1.0, 1.00000012, -1.5, np.inf, 0.0, 1.0 + 2.0**-16], np.float32)

    assert pruning.rounded(numbers, 0) is numbers
    assert pruning.rounded(numbers, 8).tolist() == [1.0, 1.0, -1.5, np.inf, 0.0, 1.0 + 2.0**-15]
