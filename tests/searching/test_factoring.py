"""Searches that evaluate one value of an axis that changes nothing find what others find."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfcore.searching import factoring
from perfcore.searching.objectives import Objective
from perfcore.searching.reductions import Best, Candidates
from perfcore.searching.search import count_by_value, find_best, find_front
from perfcore.space.space import Space

SPEC = {
    "axes": {
        "model": ["llama-3.1-8b", "qwen3-30b-a3b"],
        "device": ["h100-sxm"],
        "engine": ["vllm"],
        "scheduler": ["continuous"],
        "tp": [1, 2],
        "batch": [1, 16, 64],
        "input_len": [512, 4096],
        "output_len": [128],
    },
    "what_if": {
        "economics.carbon_intensity": [400.0, 20.0],
        "economics.price_multiplier": [0.5, 1.0, 1.0001],
        "economics.utilization": [0.5, 0.25],
        "device.link_bandwidth": {"scale": [0.5, 1.0]},
    },
}
TIED = [["economics.carbon_intensity", "economics.utilization"]]
METRICS = ("tpot_s", "max_batch", "carbon_per_mtok_output_g", "cost_per_mtok_output_usd")
CARBON, PRICE, USE, LINK = (
    "economics_carbon_intensity_g_per_kwh",
    "economics_price_multiplier",
    "economics_utilization",
    "device_link_bandwidth_scale",
)
IDLE = {
    "tpot_s": {CARBON, PRICE, USE},
    "max_batch": {CARBON, PRICE, USE, LINK},
    "carbon_per_mtok_output_g": {PRICE, USE},
    "cost_per_mtok_output_usd": {CARBON},
}


@pytest.fixture
def always(monkeypatch):
    """Look for idle axes in spaces of few rows, too."""
    monkeypatch.setattr(factoring, "FEWEST", 0)


@cache
def space_of(*, tied):
    zips = [{"axes": axes} for axes in TIED] if tied else []
    return Space.from_dict({**SPEC, "zip": zips})


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("name", METRICS)
def test_axes_that_change_nothing(name):
    """They are found from the formulas; what is tied to an axis that changes something stays."""
    idle = factoring.factored(space_of(tied=False), [name], []).idle
    tied = factoring.factored(space_of(tied=True), [name], []).idle

    assert set(idle) == IDLE[name]
    both = {CARBON, USE}
    assert set(tied) == (IDLE[name] if IDLE[name] >= both else IDLE[name] - both)


@pytest.mark.usefixtures("always")
def test_groups_keep_their_axes():
    found = factoring.factored(space_of(tied=True), ["tpot_s"], [USE])

    assert found.idle == (PRICE,)
    assert (found.space.rows, found.copies) == (found.whole.rows // 3, 3)


@given(tied=st.booleans(), data=st.data())
@settings(max_examples=3)
def test_same_results(tied, data):
    """Rows, ties and counts are those of evaluating all values, bit for bit."""
    space = space_of(tied=tied)
    one, other = (Objective(name, maximize=data.draw(st.booleans())) for name in _two(data))
    where = data.draw(st.sampled_from([[], ["tpot_s<=9ms"], ["carbon_per_mtok_output_g<=50"]]))
    by = data.draw(st.sampled_from([[], ["model"], [PRICE], ["batch"]]))
    top = data.draw(st.integers(1, 8), label="top")

    def found():
        best = find_best(space, one, where, by, top, kernel="full")
        front = find_front(space, [one, other], where, by, kernel="full")
        counts = count_by_value(space, other, where, by, kernel="full")
        results = (best, front, counts)
        return [(repr(a.rows.to_pydict()), a.configs, a.feasible) for a in results]

    every = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factoring, "FEWEST", 0)
        assert found() == every


def _two(data):
    return data.draw(st.lists(st.sampled_from(METRICS), min_size=2, max_size=2, unique=True))


@pytest.mark.usefixtures("always")
def test_pruned():
    space = space_of(tied=True)
    whole = find_best(space, Objective("tpot_s"), ["ttft_s<=1s"], top=5, kernel="full")
    pruned = find_best(space, Objective("tpot_s"), ["ttft_s<=1s"], top=5, prune=True)

    assert repr(pruned.rows.to_pydict()) == repr(whole.rows.to_pydict())
    assert len(pruned.idle) == 3


@pytest.fixture(scope="module")
def parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factoring, "FEWEST", 0)
        return factoring.factored(space_of(tied=False), ["tpot_s"], [])


@given(data=st.data())
@settings(max_examples=20)
def test_copies_of_equal_rows(parts, data):
    """Of rows that are equal, the first in the whole space are kept, whatever their copies are."""
    values = np.array(
        data.draw(st.lists(st.sampled_from([1.0, 2.0]), min_size=48, max_size=48)), np.float32
    )
    groups = np.arange(48) % 2
    top = data.draw(st.integers(1, 60), label="top")

    def make():
        return Best(2, top, np.float32)

    kept = make()
    kept.take(Candidates(values[np.newaxis], groups, np.arange(48)))
    found = parts.expanded(kept, top, make)

    # every row of the whole space, one by one
    offered = sorted((groups[row], values[row], place) for place, row in enumerate(rows_of(parts)))
    for group in (0, 1):
        expected = [place for number, _, place in offered if number == group][:top]
        assert found.places[group, : len(expected)].tolist() == expected


@cache
def rows_of(parts):
    """Return the row of the reduced space that each row of the whole space is a copy of."""
    sizes, kept = (
        [len(dimension) for dimension in (*space.outer_dimensions, *space.inner_dimensions)]
        for space in (parts.whole, parts.space)
    )
    found = []
    for positions in np.ndindex(*sizes):
        row = 0
        for position, size in zip(positions, kept, strict=True):
            row = row * size + min(position, size - 1)
        found.append(row)
    return found
