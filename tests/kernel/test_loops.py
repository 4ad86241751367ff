"""The compiled loops compared bit for bit with the formulas in plain Python."""

import platform

import numpy as np
import pytest
from hypothesis import given, settings

from kernel.rows import SMALL, assert_same, bare_space, changed, python_point, rows_of
from perfcore.columns import STATUS
from perfcore.kernel import jit
from perfcore.kernel import loops as kernels
from perfcore.kernel.layout import Block, Inner
from perfcore.physics.stages.point import Point
from perfcore.runs.parquet import Buffers
from perfcore.runs.workers import Evaluator
from perfcore.space.space import Space
from perfcore.testing import scenarios, spaces


def combinations(space):
    """Return the axes of every row of a grid, in order."""
    kept = Space(space.spec)
    names = [axis.name for axis in kept.axes]
    grids = np.meshgrid(*(np.arange(len(axis)) for axis in kept.axes), indexing="ij")
    picked = zip(*(grid.ravel() for grid in grids), strict=True)
    return [
        {name: axis.values[place] for name, axis, place in zip(names, kept.axes, row, strict=True)}
        for row in picked
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_row_is_what_python_says(dtype):
    space = Space.from_dict(
        changed(output={"columns": "all", "keep_infeasible": True, "dtype": dtype})
    )
    rows = rows_of(space)

    assert len(rows) == space.rows == 144
    for row in rows:
        assert_same(row, python_point(row), dtype)


@given(sweep=spaces())
@settings(max_examples=25)
def test_random_spaces_are_what_python_says(sweep):
    """The feasible rows are kept, in canonical order, with Python's values."""
    space = Space.from_dict(sweep)
    rows = iter(rows_of(space))
    for axes in combinations(space):
        point = python_point(axes)
        if point.status == 0 or space.spec.output.keep_infeasible:
            row = next(rows)
            assert {name: row[name] for name in axes} == axes
            assert_same(row, point)

    assert next(rows, None) is None


def through_kernel(scenario):
    """Return the kernel's result for a configuration given as records."""
    space = bare_space()
    evaluator = Evaluator(space)
    buffers = Buffers(space, capacity=256)
    tables = (*scenario[:5], scenario.economics)
    block = Block(
        records=np.zeros((len(tables), 1), np.int64),
        deployments=np.array([scenario.deployment], np.float64),
        lengths=np.array([[scenario.input_len], [scenario.output_len]], np.float64),
        axes=np.zeros((len(space.varying_outer), 1), np.int32),
        degrees=space.block(0, 1).degrees,
    )
    inner = Inner(np.zeros(1), np.zeros((2, 1)), np.zeros((0, 1), np.int32))
    filling = evaluator.filling(
        tuple(np.array([record], np.float64) for record in tables),
        block,
        inner,
        space.rules,
        evaluator.output(buffers),
    )
    dropped = np.zeros(len(STATUS) + 1, np.int64)
    rows = filling.fill(np.zeros(2, np.int64), dropped, keep_infeasible=True)
    assert rows == 1
    values = np.empty(len(Point._fields))
    values[evaluator.real] = buffers.metrics[:, 0]
    values[evaluator.whole] = buffers.codes[:, 0]
    return Point(*values.tolist())


@given(scenario=scenarios())
@settings(max_examples=300)
def test_random_records_are_what_python_says(scenario):
    expected = scenario.evaluate()

    # bit for bit; a NaN equals itself only here
    np.testing.assert_array_equal(through_kernel(scenario), expected, strict=True)


SERVING = {
    "waiting": {"scheduler": ["continuous", "disaggregated"], "batch": [4, 300, 100_000]},
    "static": {"batch": [4, 300]},
    "experts": {"dp": [1, 4], "ep": [1, 4, 8], "scheduler": ["static", "continuous"]},
    "speculation": {"draft_len": [0, 3], "acceptance": [0.0, 0.7, 1.0]},
    "offload": {"offload": ["none", "weights", "kv"], "batch": [1, 2_000]},
    "on the CPU": {"offload": ["none", "experts"], "gpu_layers": [20, 99], "batch": [1, 300]},
    "cached": {"prefix_hit": [0.0, 0.4, 0.9], "scheduler": ["static", "continuous"]},
    "pipeline": {"pp": [4], "scheduler": ["static", "continuous", "disaggregated"]},
    "money": {"economics": ["default", "spot", "owned"]},
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", SERVING)
def test_every_way_of_serving_is_what_python_says(kind, dtype):
    axes = {
        "model": ["llama-3-8b", "mixtral-8x7b"],
        "device": ["h100-sxm", "gh200-96gb"],
        "engine": ["vllm"],
        "tp": [2],
        "batch": [64],
        "input_len": [128, 3_001, 65_536],
        "output_len": [1, 512],
        **SERVING[kind],
    }
    output = {"columns": "all", "keep_infeasible": True, "dtype": dtype}
    space = Space.from_dict({"name": "serving", "axes": axes, "output": output})
    rows = rows_of(space)

    assert len(rows) == space.rows
    assert any(row["status"] == "ok" for row in rows)
    for row in rows:
        assert_same(row, python_point(row), dtype)


def test_requests_wait_in_the_kernel():
    """Rows of one tile run different batches, as longer requests wait."""
    axes = {
        "model": ["llama-3-8b"],
        "device": ["h100-sxm"],
        "scheduler": ["continuous"],
        "batch": [1, 1_000],
        "input_len": [64, 512, 1_024, 4_096, 7_000],
        "output_len": [64],
    }
    rows = rows_of(Space.from_dict({"name": "wait", "axes": axes, "output": {"columns": "all"}}))
    waiting = [row for row in rows if row["running_batch"] < row["batch"]]
    kept = [row for row in waiting if row["running_batch"] == row["max_batch"]]

    assert len(rows) == 10
    assert 0 < len(kept) < len(rows)
    assert len({row["running_batch"] for row in kept}) == len(kept)
    for row in rows:
        assert_same(row, python_point(row))


@pytest.mark.parametrize("size", [1, 3, 127, 128, 129, 1000])
def test_inner_axis_of_any_size(size):
    """Tiles have 128 rows: lengths that fill one in part, just, and more than once."""
    lengths = [100 + 7 * n for n in range(size)]
    axes = {**SMALL["axes"], "batch": [1], "tp": [1], "input_len": lengths, "output_len": [64]}
    rows = rows_of(Space.from_dict(changed(axes=axes)))

    kept = [row for row in rows if row["model"] == "llama-3-8b" and row["device"] == "h100-sxm"]
    assert [row["input_len"] for row in kept] == [n for n in lengths if n + 64 <= 8_192]
    for row in (kept[0], kept[-1]):
        assert_same(row, python_point(row))


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="x86 instructions")
def test_rows_are_vectorised(monkeypatch):
    """Every loop has packed roots, quotients and stores; a call or branch would prevent them.

    Scattered stores would mean that the compiler does not see that a column is contiguous.
    """
    monkeypatch.setattr(jit, "CACHE", None)  # code from the cache cannot be inspected
    axes = {"model": ["llama-3-8b"], "device": ["h100-sxm"]}
    space = Space.from_dict({"name": "bare", "axes": axes, "output": {"columns": "all"}})
    evaluator = Evaluator(space)
    fill_columns = jit.kernel(kernels.fill_columns.py_func)
    monkeypatch.setattr(kernels, "fill_columns", fill_columns)

    evaluator.evaluate(0, 1, Buffers(space, 256), lambda _: None)
    listing = "\n".join(fill_columns.inspect_asm().values())

    # four kinds of replica, each with its own loop: columns, roots and quotients of results
    assert listing.count("vcvtpd2ps") >= 4 * 60
    assert listing.count("vsqrtpd") >= 55
    assert listing.count("vdivpd") >= 90
    assert "vscatter" not in listing
