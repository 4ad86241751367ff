"""Searches that evaluate rows together that differ just in prices find what others find."""

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import perfcore
from perfcore.errors import InputError
from perfcore.kernel.layout import TOGETHER
from perfcore.runs import kernels
from perfcore.runs.influences import late_axes
from perfcore.runs.kernels import kernel_of_search
from perfcore.searching.objectives import Objective
from perfcore.searching.search import count_by_value, find_best, find_front
from perfcore.searching.together import Together
from perfcore.space.space import Space

SPEC = {
    "axes": {
        "model": ["llama-3.1-8b", "qwen3-30b-a3b"],
        "device": ["h100-sxm", "rtx-4090"],
        "engine": ["vllm"],
        "scheduler": ["static", "continuous"],
        "batch": [1, 16, 4096],
        "input_len": [512, 4096],
        "output_len": [128],
    },
    "what_if": {
        "economics.utilization": [0.5, 0.25],
        "device.memory_bandwidth": {"scale": [0.5, 1.0]},
        "economics.price_multiplier": [0.5, 1.0, 1.0001],
        "economics.pue": [1.1, 1.4],
    },
    "output": {"rows_per_shard": 1000},
}
USE, PRICE, PUE = "economics_utilization", "economics_price_multiplier", "economics_pue"
METRICS = ("tpot_s", "cost_per_mtok_output_usd", "facility_energy_per_output_token_j")
CONDITIONS = ([], ["ttft_s<=200ms"], ["cost_per_mtok_output_usd<=1"])


@cache
def space_of(*, tied):
    zips = [{"axes": ["economics.utilization", "economics.pue"]}] if tied else []
    return Space.from_dict({**SPEC, "zip": zips})


@pytest.fixture(scope="module", autouse=True)
def one_kernel():
    """Compile one kernel for all metrics and conditions, which serves every question."""
    objectives = [Objective(name) for name in METRICS]
    find_front(space_of(tied=False), objectives, ["ttft_s<=1s"], kernel="together")


def test_axes_are_found_from_the_formulas():
    late = late_axes(space_of(tied=False))

    assert late.axes == (USE, PRICE, PUE)
    assert {"usd_per_second", "economics.utilization", "economics.pue"} <= set(late.leaves)
    assert all(leaf.startswith("economics.") for leaf in {*late.leaves} - {"usd_per_second"})


@given(tied=st.booleans(), data=st.data())
@settings(max_examples=8)
def test_same_results(tied, data):
    """Rows, ties and counts are those of evaluating each row alone, bit for bit."""
    space = space_of(tied=tied)
    chosen = data.draw(st.lists(st.sampled_from(METRICS), min_size=2, max_size=2, unique=True))
    one, other = (Objective(name, maximize=data.draw(st.booleans())) for name in chosen)
    where = data.draw(st.sampled_from(CONDITIONS))
    by = data.draw(st.sampled_from([[], ["model"], [PRICE], ["batch", PUE]]))
    top = data.draw(st.integers(1, 40), label="top")

    def found(kernel):
        best = find_best(space, one, where, by, top, kernel=kernel)
        front = find_front(space, [one, other], where, by, kernel=kernel)
        counts = count_by_value(space, other, where, by, kernel=kernel)
        return [(repr(a.rows.to_pydict()), a.configs, a.feasible) for a in (best, front, counts)]

    assert found("together") == found("full")


@pytest.mark.parametrize("rows_per_shard", [1000, 1_000_000])
@pytest.mark.parametrize("tied", [False, True])
def test_parts_are_the_space(tied, rows_per_shard):
    """Every outer point is in one part, at its place."""
    given = space_of(tied=tied).spec
    output = given.output.model_copy(update={"rows_per_shard": rows_per_shard})
    space = Space(replace(given, output=output))
    points = Together(space, late_axes(space))
    whole = space.block(0, space.outer_points)
    seen = []
    for number in range(points.parts):
        block, outers, distinct = points.part(number)
        assert (whole.axes[:, outers] == block.axes).all()
        seen += outers.reshape(-1, TOGETHER)[:, :distinct].ravel().tolist()

    assert sorted(seen) == list(range(space.outer_points))


def test_kernel_is_chosen_where_it_pays(monkeypatch):
    space = space_of(tied=False)
    cost = ["cost_per_mtok_output_usd"]
    small = kernel_of_search(space, cost, 1, elsewhere=False)
    monkeypatch.setattr(kernels, "FEWEST", 0)
    there = kernel_of_search(space, cost, 1, elsewhere=False)
    monkeypatch.setattr("perfcore.kernel.filling.compiled_fields", lambda *_, **_leaves: ())
    few = kernel_of_search(space, cost, 1, elsewhere=False)
    monkeypatch.setattr(Space, "rows", 10_000_000_000)
    many = kernel_of_search(space, cost, 1, elsewhere=False)

    assert [one.late.axes for one in (small, few)] == [(), ()]
    assert there.late.axes == many.late.axes == (USE, PRICE, PUE)
    assert (there.why, many.computed, many.compiled) == ("compiled before", {*cost}, False)
    assert "s to compile" in many.why
    assert kernel_of_search(space, cost, 1, "narrow", elsewhere=False).late.axes == ()
    assert kernel_of_search(space, cost, 1, elsewhere=True).late.axes == ()


def test_what_cannot_be_evaluated_together_is_refused():
    simulated = {
        "axes": {"model": ["llama-3-8b"], "device": ["h100-sxm"]},
        "traffic": {"requests": 8, "request_rate": [1.0], "input_len": 64, "output_len": 8},
    }
    with pytest.raises(InputError, match=r"kernel: together: no axis changes just prices"):
        perfcore.search({"axes": SPEC["axes"]}, minimize="tpot_s", kernel="together")
    with pytest.raises(InputError, match=r"kernel: rows with \[traffic\] are simulated"):
        perfcore.search(simulated, minimize="tpot_p50_s", kernel="together")
    with pytest.raises(InputError, match=r"kernel: together is for searches of all rows"):
        perfcore.search(SPEC, minimize="tpot_s", kernel="together", prune=True)
