"""What the kernel's speed is compared with computes the same: C, and NumPy."""

import sys

import numpy as np
import pytest
from paths import ROOT

from perfcore.columns import STATUS
from perfcore.physics.fused import fma
from perfcore.physics.stages.replica import prepare
from perfcore.runs.parquet import Buffers
from perfcore.runs.workers import Evaluator
from perfcore.space.space import Space

sys.path.insert(0, str(ROOT / "benchmarks"))

from bench_kernel import first_replica
from c.baseline import STRICT, Baseline, compiled, compilers
from vectorised import FUNCTIONS
from vectorised import evaluator as vectorised

pytestmark = pytest.mark.slow

SPACES = {
    "dense": {"model": ["llama-3.1-8b"], "tp": [1, 4]},
    "experts": {"model": ["qwen3-30b-a3b"], "scheduler": ["static", "continuous"], "tp": [2]},
    "windows": {"model": ["gemma-3-27b"], "scheduler": ["disaggregated"], "prefix_hit": [0.0, 0.4]},
    "waiting": {"model": ["llama-3-70b"], "scheduler": ["continuous"], "tp": [4], "pp": [1, 2]},
    "offload": {
        "model": ["llama-3-70b"],
        "offload": ["weights", "kv"],
        "draft_len": [0, 3],
        "acceptance": [0.7],
    },
}


def space_of(kind):
    axes = {
        "device": ["h200-sxm", "gh200-96gb"],
        "batch": [1, 7, 300, 5_000],
        "input_len": {"linear": [64, 100_000], "n": 70},
        **SPACES[kind],
    }
    output = {"columns": "all", "significant_bits": 24}
    return Space.from_dict({"name": kind, "axes": axes, "output": output})


def filled(evaluator, rows):
    """Return buffers and how many rows the kernel wrote there."""
    space = evaluator.space
    buffers = Buffers(space, rows + 128)
    output = evaluator.output(buffers)
    block = space.block(0, space.outer_points)
    filling = evaluator.filling(space.tables, block, space.inner, space.rules, output)
    dropped = np.zeros(len(STATUS) + 1, np.int64)
    written = filling.fill(np.zeros(2, np.int64), dropped, keep_infeasible=False)
    return output, written


@pytest.mark.skipif(not compilers(), reason="there is no C compiler to make the baseline with")
def test_c_computes_the_same():
    """All rows and columns: what is left are the last places of a float32."""
    library = compiled(compilers()[0], STRICT)
    for kind in SPACES:
        space = space_of(kind)
        evaluator = Evaluator(space)
        ours, rows = filled(evaluator, space.rows)
        buffers = Buffers(space, space.rows + 128)
        theirs = ours._replace(axes=buffers.axes, metrics=buffers.metrics, codes=buffers.codes)
        points = space.outer_points
        baseline = Baseline(library, space, points, points, evaluator.real, evaluator.whole)

        assert baseline.fill(theirs) == rows > 0, kind
        assert np.array_equal(ours.axes[:, :rows], theirs.axes[:, :rows]), kind
        assert np.array_equal(ours.codes[:, :rows], theirs.codes[:, :rows]), kind
        np.testing.assert_array_max_ulp(ours.metrics[:, :rows], theirs.metrics[:, :rows], maxulp=3)


@pytest.mark.parametrize("kind", ["dense", "windows", "waiting"])
def test_numpy_computes_the_same(monkeypatch, kind):
    """The first outer point's rows, bit for bit in float32, given an ``fma``, which NumPy lacks."""
    monkeypatch.setitem(FUNCTIONS, "fma", np.vectorize(fma, otypes=[float]))
    space = space_of(kind)
    ours, rows = filled(Evaluator(space), space.rows)
    made, deployment = first_replica(space)
    output_len = space.block(0, 1).lengths[1, 0]
    lengths = space.inner.lengths
    with np.errstate(all="ignore"):
        replica = prepare(*made[:5], deployment, made[5])
        point = vectorised()(replica, space.inner.batches, lengths[0], lengths[1] + output_len)
    runs = np.broadcast_to(point.status, space.inner.batches.shape) == 0.0
    count = int(runs.sum())

    assert 0 < count <= rows
    for field, column in zip(ours.metric_fields, ours.metrics, strict=True):
        values = np.broadcast_to(np.asarray(point[field], np.float32), runs.shape)[runs]
        assert values.tolist() == column[:count].tolist(), point._fields[field]
