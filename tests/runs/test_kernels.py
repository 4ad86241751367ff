"""Kernels for some columns have the rows of the full kernel, and are chosen where they pay."""

import random

import pytest
from hypothesis import given, settings

import perfcore
from perfcore.cli.text import KERNELS, SEARCH_KERNELS
from perfcore.columns import METRICS
from perfcore.errors import InputError
from perfcore.kernel import filling
from perfcore.runs import kernels
from perfcore.runs.kernels import COMMON, kernel_for, kernel_of_run
from perfcore.runs.parquet import Buffers, schema
from perfcore.runs.shards import facts
from perfcore.runs.workers import Evaluator, Shaper
from perfcore.searching.objectives import Objective
from perfcore.searching.search import count_by_value, find_best, find_front
from perfcore.space.space import Space
from perfcore.testing import spaces

pytestmark = pytest.mark.slow

NAMES = [column.name for column in METRICS]
RANDOM = random.Random(25)  # noqa: S311 - the same sets in every run, so that they are compiled once
SETS = [COMMON, *(frozenset(RANDOM.sample(NAMES, count)) for count in (3, 20))]
SPEC = {
    "axes": {
        "model": ["llama-3-8b", "mixtral-8x7b"],
        "device": ["h100-sxm", "rtx-4090"],
        "tp": [1, 2],
        "batch": [1, 64, 4096],
        "input_len": [128, 4096, 65_536],
        "output_len": [64, 512],
    },
    "output": {"columns": ["tpot_s", "ttft_s"]},
}


def table_of(space, computed):
    """Return all rows of a space from the kernel that computes some columns."""
    found = []
    buffers = Buffers(space)
    shaper = Shaper(space, schema(space, facts(space)))

    def consume(rows):
        found.extend(shaper.batch(buffers, rows).to_pylist())

    count = Evaluator(space, None, computed).evaluate(0, space.outer_points, buffers, consume)
    return found, count


@pytest.mark.parametrize("columns", SETS, ids=len)
@given(sweep=spaces())
@settings(max_examples=15)
def test_rows_of_random_spaces_are_those_of_the_full_kernel(columns, sweep):
    """Rows and counts are equal bit for bit, whatever the columns and the space."""
    output = {**sweep.get("output", {}), "columns": sorted(columns), "dtype": "float32"}
    space = Space.from_dict({**sweep, "output": output})

    assert repr(table_of(space, columns)) == repr(table_of(space, None))


def test_conditions_and_codes_are_computed_too():
    """A kernel for one objective also has the columns of conditions, codes among them."""
    space = Space.from_dict({**SPEC, "where": [{"metric": "bound", "in": ["weights"]}]})

    assert kernel_for(space, ["tpot_s"], 2, "narrow").computed == {"tpot_s", "bound"}
    assert kernel_of_run(space, 2, "narrow").computed == {"tpot_s", "ttft_s", "bound"}


@pytest.mark.parametrize("by", [(), ("device",)])
def test_searches_find_the_same(by):
    space = Space.from_dict(SPEC)
    objectives = [Objective("tpot_s"), Objective("tokens_per_s_per_device", maximize=True)]
    where = ["ttft_s<=2s"]

    def found(kernel):
        best = find_best(space, objectives[0], where, by, 3, kernel=kernel)
        front = find_front(space, objectives, where, by, kernel=kernel)
        counts = count_by_value(space, objectives[0], where, by, kernel=kernel)
        return [(one.rows.to_pylist(), one.feasible) for one in (best, front, counts)]

    assert found("narrow") == found("full") == found("auto")


def test_run_has_the_same_rows(tmp_path):
    whole = perfcore.sweep(SPEC, tmp_path / "full", kernel="full")
    some = perfcore.sweep(SPEC, tmp_path / "narrow", kernel="narrow")

    assert some.to_arrow().to_pylist() == whole.to_arrow().to_pylist()
    assert some.dropped == whole.dropped


def test_kernel_is_compiled_where_it_pays(monkeypatch):
    every = frozenset(NAMES)
    space = Space.from_dict(SPEC)
    monkeypatch.setattr(filling, "compiled_fields", lambda _, **_pairs: (every,))
    small = kernel_for(space, ["tpot_s"], 1)
    monkeypatch.setattr(Space, "rows", 10_000_000_000)
    large = kernel_for(space, ["tpot_s"], 1)
    monkeypatch.setattr(
        filling, "compiled_fields", lambda _, **_pairs: (every, COMMON, frozenset(NAMES[:40]))
    )
    there = kernel_for(space, ["tpot_s"], 1)

    assert (small.computed, small.compiled) == (None, True)
    assert "would save 0 s and take 18 s to compile" in small.why
    assert (large.computed, large.compiled) == ({"tpot_s"}, False)
    assert large.why == "saves 80 s and takes 18 s to compile"
    assert (there.computed, there.why) == (COMMON, "compiled before")
    assert kernel_for(space, ["tpot_s"], 1, "full").computed is None
    assert kernel_for(space, ["tpot_s"], 1, elsewhere=True).computed is None
    assert kernel_for(space, NAMES, 1).computed is None


def test_columns_that_kernels_are_compiled_for_are_known():
    """A kernel that was used is found again, and only for its type of numbers."""
    space = Space.from_dict(SPEC)
    table_of(space, frozenset({"tpot_s", "ttft_s"}))

    assert {"tpot_s", "ttft_s"} in filling.compiled_fields("float32")
    assert all(set(columns) <= set(NAMES) for columns in filling.compiled_fields("float64"))


def test_choices():
    assert kernels.CHOICES == SEARCH_KERNELS == (*KERNELS, "together")
    assert set(NAMES) > COMMON
    with pytest.raises(
        InputError, match=r"kernel: 'fast' is not one of auto, full, narrow, together"
    ):
        perfcore.search(SPEC, minimize="tpot_s", kernel="fast")
    simulated = {
        "axes": {"model": ["llama-3-8b"], "device": ["h100-sxm"]},
        "traffic": {"requests": 8, "request_rate": [1.0], "input_len": 64, "output_len": 8},
    }
    with pytest.raises(InputError, match=r"kernel: rows with \[traffic\] are simulated"):
        perfcore.search(simulated, minimize="tpot_p50_s", kernel="narrow")
