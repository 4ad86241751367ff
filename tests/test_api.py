"""The Python interface: sweeps in memory and on disk, and a light import."""

import subprocess
import sys

import pytest

import perfcore
from perfcore.configuration.configuration import evaluate
from perfcore.inputs import AXIS_INPUTS


def test_sweep_in_memory_is_the_same_as_point_by_point():
    spec = {
        "axes": {
            "model": ["llama-3-8b"],
            "device": ["h100-sxm", "m1-max"],
            "economics": ["default", "owned"],
            "scheduler": ["static", "continuous"],
            "prefix_hit": [0.0, 0.5],
            "batch": [1, 8],
        },
        "output": {"columns": "all", "dtype": "float64", "keep_infeasible": True},
    }
    rows = perfcore.sweep(spec).to_pylist()
    first = perfcore.sweep(spec, overrides=["axes.batch=1"]).to_pylist()

    assert len(rows) == 32
    assert first == [row for row in rows if row["batch"] == 1]
    for row in rows:
        given = {name: row[name] for name in AXIS_INPUTS}

        assert evaluate(**given) == row


def test_sweep_onto_disk_is_a_run(tmp_path):
    space = perfcore.Space.from_dict({"axes": {"model": "llama-3-8b", "device": "h100-sxm"}})
    run = perfcore.sweep(space, tmp_path / "run", workers=1)

    assert isinstance(run, perfcore.Run)
    assert perfcore.open_run(tmp_path / "run").rows == 1
    assert run.equals(perfcore.sweep(space))
    with pytest.raises(perfcore.InputError, match="takes no overrides"):
        perfcore.sweep(space, overrides=["axes.batch=1"])


def test_sweep_too_large_for_memory_is_refused():
    axes = {
        "model": "llama-3-8b",
        "device": "h100-sxm",
        "batch": {"linear": [1, 10_000], "n": 10_000},
        "input_len": {"linear": [1, 10_000], "n": 10_000},
    }
    with pytest.raises(perfcore.InputError, match="name an output directory"):
        perfcore.sweep({"axes": axes})


def test_import_does_no_work_and_one_point_needs_no_numba():
    code = (
        "import sys, perfcore; heavy = {'numba', 'numpy', 'pyarrow', 'pydantic'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules); "
        "perfcore.evaluate('llama-3-8b', 'h100-sxm'); "
        "assert 'numba' not in sys.modules; assert 'pyarrow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_there():
    for name in perfcore.__all__:
        assert getattr(perfcore, name)
    assert set(perfcore.__all__) <= set(dir(perfcore))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = perfcore.nonsense
