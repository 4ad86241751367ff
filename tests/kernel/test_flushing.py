"""Rows in the output: all, or those that can run and meet the conditions."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernel.rows import SMALL, changed, rows_of
from perfcore.columns import STATUS
from perfcore.runs.parquet import Buffers
from perfcore.runs.workers import UNMET, Evaluator
from perfcore.space.space import Space


@given(capacity=st.integers(128, 700), split=st.integers(0, 8))
@example(capacity=128, split=1)
@settings(max_examples=20)
def test_rows_do_not_depend_on_buffers_or_blocks(capacity, split):
    space = Space.from_dict(SMALL)
    evaluator = Evaluator(space)
    buffers = Buffers(space, capacity=capacity)
    parts = []

    def consume(rows):
        parts.append(buffers.metrics[:, :rows].copy())

    for start, stop in ((0, split), (split, space.outer_points)):
        evaluator.evaluate(start, stop, buffers, consume)
    whole = rows_of(space)

    metrics = [column.name for column in space.columns if column.kind == "metric"]
    got = np.concatenate(parts, axis=1)
    assert got.shape[1] == len(whole)
    for name, values in zip(metrics, got, strict=True):
        assert values.tolist() == [row[name] for row in whole]


def count(space):
    buffers = Buffers(space)
    return Evaluator(space).evaluate(0, space.outer_points, buffers, lambda _: None)


def test_infeasible_rows_are_dropped_and_counted():
    everything = rows_of(
        Space.from_dict(changed(output={"columns": "all", "keep_infeasible": True}))
    )
    result = count(Space.from_dict(SMALL))

    statuses = [row["status"] for row in everything]
    expected = {name: statuses.count(name) for name in STATUS[1:] if name in statuses}
    assert result.rows == statuses.count("ok")
    assert result.dropped == expected
    assert len(expected) >= 2


def test_rules_exclude_rows_and_are_counted():
    rule = {"metric": "tpot_s", "max": "10 ms"}
    everything = rows_of(Space.from_dict(SMALL))
    space = Space.from_dict(changed(where=[rule]))
    expected = [row for row in everything if row["tpot_s"] <= 0.01]

    assert rows_of(space) == expected
    assert 0 < len(expected) < len(everything)
    assert count(space).dropped[UNMET] == len(everything) - len(expected)


def test_rules_on_codes():
    rule = {"metric": "bound", "in": ["kv_cache", "compute"]}
    rows = rows_of(Space.from_dict(changed(where=[rule])))
    everything = rows_of(Space.from_dict(SMALL))

    assert rows == [row for row in everything if row["bound"] in {"kv_cache", "compute"}]
    assert rows
