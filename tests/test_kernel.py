"""The compiled kernel against the same formulas in plain Python, bit for bit."""

import math
import platform
import struct
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perfcore import catalog, records
from perfcore.columns import AXES, METRICS, STATUS
from perfcore.inputs import AXIS_INPUTS
from perfcore.kernel import jit
from perfcore.kernel import loops as kernels
from perfcore.kernel.layout import Block, Inner
from perfcore.physics.fused import fma
from perfcore.physics.stages.point import Point, evaluate
from perfcore.runs.parquet import Buffers, schema
from perfcore.runs.workers import UNMET, Evaluator, evaluate_rows
from perfcore.space.space import Space
from perfcore.testing import scenarios, spaces

NAMES = [column.name for column in METRICS]
SMALL = {
    "name": "small",
    "axes": {
        "model": ["llama-3-8b", "mixtral-8x7b"],
        "device": ["h100-sxm", "rtx-4090"],
        "tp": [1, 2],
        "batch": [1, 64, 4096],
        "input_len": [128, 4096, 65_536],
        "output_len": [64, 512],
    },
    "output": {"columns": "all"},
}


def changed(**sections):
    """Return the small sweep with other sections."""
    return {**SMALL, **sections}


def single(value, bits=16):
    """Return a number as the kernel's columns hold it: in 32 bits, of which some count."""
    mantissa, exponent = math.frexp(struct.unpack("f", struct.pack("f", value))[0])
    return math.ldexp(math.floor(mantissa * 2**bits + 0.5), exponent - bits)


def rows_of(space):
    return evaluate_rows(space, schema(space, {}), 0, space.outer_points).to_pylist()


@cache
def axis_record(kind, name, device=None):
    entry = catalog.load(kind, name)
    return entry.record(catalog.load_device(device)) if kind == "engine" else entry.record()


def deployment_of(row):
    """Return the deployment of a row's axes; choices are its codes."""
    deployment = {name: row[name] for name in records.Deployment._fields}
    for name in ("scheduler", "offload"):
        deployment[name] = AXIS_INPUTS[name].choices.index(row[name])
    return records.Deployment(**{name: float(value) for name, value in deployment.items()})


def python_point(row, *, residue=None):
    """Return the point of a row's axes, from plain Python and the catalogue."""
    device = axis_record("device", row["device"])
    scaled = row.get("device_memory_bandwidth_scale")
    if scaled is not None:
        device = device._replace(memory_bandwidth=device.memory_bandwidth * scaled)
    engine = axis_record("engine", row["engine"], row["device"])
    if residue is not None:
        engine = engine._replace(residue=residue)
    return evaluate(
        axis_record("model", row["model"]),
        device,
        engine,
        axis_record("weight_format", row["weight_format"]),
        axis_record("kv_format", row["kv_format"]),
        deployment_of(row),
        axis_record("economics", row["economics"]),
        float(row["input_len"]),
        float(row["output_len"]),
    )


def assert_same(row, point, dtype="float32"):
    """Assert that a row has a point's values, bit for bit."""
    for column in METRICS:
        expected = getattr(point, column.name)
        if column.kind == "metric":
            expected = single(expected) if dtype == "float32" else expected
        elif column.kind == "code":
            expected = column.categories[int(expected)]
        assert row[column.name] == expected, column.name


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
    """Rows kept are the feasible ones, in canonical order, with Python's values."""
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
    """Return a configuration's result as the kernel computes it, from records alone."""
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


@cache
def bare_space():
    axes = {"model": ["llama-3-8b"], "device": ["h100-sxm"]}
    output = {"columns": "all", "keep_infeasible": True, "dtype": "float64"}
    return Space.from_dict({"name": "bare", "axes": axes, "output": output})


@given(scenario=scenarios())
@settings(max_examples=300)
def test_random_records_are_what_python_says(scenario):
    expected = scenario.evaluate()

    assert through_kernel(scenario) == expected


SERVING = {
    "waiting": {"scheduler": ["continuous", "disaggregated"], "batch": [4, 300, 100_000]},
    "static": {"batch": [4, 300]},
    "experts": {"dp": [1, 4], "ep": [1, 4, 8], "scheduler": ["static", "continuous"]},
    "speculation": {"draft_len": [0, 3], "acceptance": [0.0, 0.7, 1.0]},
    "offload": {"offload": ["none", "weights", "kv"], "batch": [1, 2_000]},
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
    """Rows of one tile run different batches: what is too long for all of them waits."""
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


def test_rules_on_axes_leave_values_out():
    rules = [{"axis": "batch", "max": 64}, {"axis": "device", "in": ["rtx-4090"]}]
    rows = rows_of(Space.from_dict(changed(where=rules)))

    assert rows == [
        row
        for row in rows_of(Space.from_dict(SMALL))
        if row["batch"] <= 64 and row["device"] == "rtx-4090"
    ]


def test_zipped_axes_move_together():
    space = Space.from_dict(changed(zip=[{"axes": ["device", "tp"]}]))
    rows = rows_of(space)

    assert {(row["device"], row["tp"]) for row in rows} == {("h100-sxm", 1), ("rtx-4090", 2)}
    for row in rows:
        assert_same(row, python_point(row))


def test_lengths_zipped_with_a_device_are_outer():
    axes = {**SMALL["axes"], "input_len": [128, 2_048]}
    space = Space.from_dict(changed(axes=axes, zip=[{"axes": ["device", "input_len"]}]))
    rows = rows_of(space)

    assert {axis.name for axis in space.inner_axes} == {"batch", "output_len"}
    assert {(row["device"], row["input_len"]) for row in rows} == {
        ("h100-sxm", 128),
        ("rtx-4090", 2_048),
    }
    for row in rows:
        assert_same(row, python_point(row))


def test_zipped_lengths_stay_inner():
    axes = {**SMALL["axes"], "input_len": [128, 2_048], "output_len": [64, 512]}
    space = Space.from_dict(changed(axes=axes, zip=[{"axes": ["input_len", "output_len"]}]))

    assert space.inner_points == 2 * len(SMALL["axes"]["batch"])
    assert {(r["input_len"], r["output_len"]) for r in rows_of(space)} == {(128, 64), (2_048, 512)}


def test_what_ifs_scale_and_set():
    space = Space.from_dict(
        changed(
            what_if={
                "device.memory_bandwidth": {"scale": [1, 2]},
                "engine.residue": [0.0, 0.5],
            }
        )
    )
    rows = rows_of(space)

    assert {row["engine_residue"] for row in rows} == {0.0, 0.5}
    for row in rows[:: max(len(rows) // 50, 1)]:
        point = python_point(row, residue=row["engine_residue"])
        assert_same(row, point)


def test_random_samples_are_reproducible():
    sample = {"method": "random", "n": 500, "seed": 7}
    first = rows_of(Space.from_dict(changed(sample=sample)))

    assert first == rows_of(Space.from_dict(changed(sample=sample)))
    assert first != rows_of(Space.from_dict(changed(sample={**sample, "seed": 8})))
    for row in first[::25]:
        assert_same(row, python_point(row))


def test_sampled_parts_are_the_whole():
    """A shard draws the same points alone as together with the rest."""
    space = Space.from_dict(changed(sample={"method": "random", "n": 300, "seed": 1}))
    form = schema(space, {})
    parts = [evaluate_rows(space, form, start, start + 100) for start in (0, 100, 200)]

    together = [row for part in parts for row in part.to_pylist()]
    assert together == evaluate_rows(space, form, 0, 300).to_pylist()


def test_columns_are_in_canonical_order():
    space = Space.from_dict(changed(output={"columns": ["mbu", "tpot_s", "status"]}))

    names = list(rows_of(space)[0])
    assert names == [column.name for column in AXES] + ["status", "tpot_s", "mbu"]


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="x86 instructions")
def test_rows_are_vectorised(monkeypatch):
    """Packed roots, quotients and stores in every loop: a call or a branch would end them.

    Scattered stores stand where the compiler does not see that rows of a column follow each other.
    """
    monkeypatch.setattr(jit, "CACHE", None)  # code from the cache cannot be inspected
    axes = {"model": ["llama-3-8b"], "device": ["h100-sxm"]}
    space = Space.from_dict({"name": "bare", "axes": axes, "output": {"columns": "all"}})
    evaluator = Evaluator(space)
    fill_columns = jit.kernel(kernels.fill_columns.py_func)
    monkeypatch.setattr(kernels, "fill_columns", fill_columns)

    evaluator.evaluate(0, 1, Buffers(space, 256), lambda _: None)
    listing = "\n".join(fill_columns.inspect_asm().values())

    # of four kinds of replica, each with its own loop: the results' columns, roots and quotients
    assert listing.count("vcvtpd2ps") >= 4 * 60
    assert listing.count("vsqrtpd") >= 55
    assert listing.count("vdivpd") >= 90
    assert "vscatter" not in listing


def test_compiled_fma_is_the_same():
    """As where it is interpreted, of random numbers whose product and addend nearly cancel."""

    @jit.kernel
    def compiled(first, second, addend, result):
        for row in range(len(first)):
            result[row] = fma(first[row], second[row], addend[row])

    numbers = np.random.default_rng(0)
    first, second = numbers.uniform(0.5, 2.0, (2, 1_000))
    addend = -first * second * numbers.choice([1.0, 1.0 - 2.0**-50, 0.0], 1_000)
    result = np.empty(1_000)
    compiled(first, second, addend, result)

    assert result.tolist() == list(map(fma, first.tolist(), second.tolist(), addend.tolist()))
    assert not np.array_equal(result, first * second + addend)


def test_columns_have_room_for_whole_vectors():
    """Loops write up to a vector beyond the last row: not into what lies there."""
    space = bare_space()
    evaluator = Evaluator(space)
    output = evaluator.output(Buffers(space, 256))
    short = output._replace(capacity=output.metrics.shape[1])
    block = space.block(0, 1)
    with pytest.raises(ValueError, match=r"columns have \d+ rows, not \d+ and a vector"):
        evaluator.filling(space.tables, block, space.inner, space.rules, short)
