"""Rows of a run in a page: the same values, fewer if there are many."""

import base64

import numpy as np
import pytest

import perfcore
from perfcore.exploring.rows import embedded
from perfcore.reporting.opening import open_source


@pytest.fixture(scope="module")
def rows(folder):
    return perfcore.open_run(folder / "run").to_pylist()


@pytest.fixture(scope="module")
def source(folder):
    return open_source(folder / "run")


def numbers(told, kind):
    return np.frombuffer(base64.b64decode(told), kind)


def axis(told, name):
    places = numbers(told["axes"][name]["places"], "<u4")
    return [told["axes"][name]["values"][place] for place in places]


def test_all_rows_of_a_small_run_are_there(source, rows):
    told = embedded(source)

    assert told["count"] == told["total"] == len(rows)
    assert told["sentence"] == f"All {len(rows)} rows of the run."
    assert told["constant"]["output_len"] == 128
    assert told["constant"]["economics_utilization"] == 0.5
    for name in ("model", "device", "batch", "device_memory_bandwidth_scale"):
        assert axis(told, name) == [row[name] for row in rows]
    for name in ("tpot_s", "max_batch"):
        assert numbers(told["metrics"][name], "<f4").tolist() == pytest.approx(
            [row[name] for row in rows], rel=1e-6
        )


def test_many_rows_are_thinned_evenly_and_said_to_be(source, rows):
    told = embedded(source, most_bytes=5_000)
    shown = numbers(told["metrics"]["tpot_s"], "<f4")

    assert 10 < told["count"] < len(rows) / 2
    assert told["sentence"].startswith(f"{told['count']:,} of the run's {len(rows):,} rows, evenly")
    assert shown[0] == np.float32(rows[0]["tpot_s"])
    assert shown[-1] == np.float32(rows[-1]["tpot_s"])
    assert set(axis(told, "device")) == {"h100-sxm", "own-chip"}


def test_a_sample_of_a_large_sweep_has_all_values_of_all_axes(folder, monkeypatch):
    axes = ["model", "device", "tp", "batch", "input_len", "device_memory_bandwidth_scale"]
    source = open_source(folder / "small.toml")
    every, total = source.sample(1000, axes)
    monkeypatch.setattr("perfcore.reporting.sweep_source._MOST_POINTS", 11)
    found, _ = source.sample(40, axes)

    assert len(every) == total == 288
    assert len({tuple(row.items()) for row in found}) == len(found) == 33  # three of each point
    for name in axes:
        assert {row[name] for row in found} == set(source.axes[name])


def test_rows_that_cannot_run_are_left_out_and_said_to_be(folder, tmp_path):
    kept = ["output.keep_infeasible=true", "axes.device=['h100-sxm', 'rtx-4090']"]
    run = perfcore.sweep(folder / "small.toml", tmp_path / "kept", overrides=kept)
    told = embedded(open_source(tmp_path / "kept"))
    failing = sum(row["status"] != "ok" for row in run.to_pylist())

    assert failing > 0
    assert told["count"] == told["total"] - failing
    assert told["sentence"].endswith(f"{failing} of them cannot run and are left out.")
