"""Results do not depend on threads and blocks."""

import pytest

import perfcore
from perfcore.searching import workers as workers_module
from perfcore.searching.objectives import Objective
from perfcore.searching.search import find_best, find_front
from searching.sweeps import SPEC


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("block", [128, 1_024])
def test_answers_do_not_depend_on_threads_and_blocks(monkeypatch, workers, block):
    monkeypatch.setattr(workers_module, "BLOCK", block)
    small_shards = {**SPEC, "output": {**SPEC["output"], "rows_per_shard": 100}}
    space = perfcore.Space.from_dict(small_shards)
    best = find_best(space, Objective("max_batch"), by=["device"], top=7, workers=workers).rows
    front = find_front(space, [Objective("tpot_s"), Objective("max_batch", True)], workers=workers)
    monkeypatch.undo()

    found = perfcore.search(SPEC, minimize="max_batch", by=["device"], top=7)
    assert best.equals(found.to_arrow())
    assert front.rows.equals(perfcore.pareto(SPEC, ["tpot_s", "max_batch:max"]).to_arrow())
