"""The command plan."""

import time

import pytest

import perfcore
from cli.command import invoke, invoke_json

CARBON = "economics_carbon_intensity_g_per_kwh"


def test_plan_of_a_small_sweep_is_exact(tmp_path, spec):
    planned = invoke_json("plan", spec, "--json")
    invoke("run", spec, "-o", tmp_path / "run")
    run = perfcore.open_run(tmp_path / "run")

    assert planned["exact"]
    assert planned["rows"] == 24
    assert planned["rows_written"] == run.rows
    assert planned["left_out_shares"] == {
        reason: rows / 24 for reason, rows in run.manifest["dropped"].items()
    }
    assert planned["hypothetical"] == ["hbm4-6tbs"]
    assert {"groq-lpu", "hbm4-6tbs", "default"} == {item["entry"] for item in planned["estimated"]}


def test_plan_is_for_people_too(spec):
    text = invoke("plan", spec)

    for word in ("small", "24 rows", "batch", "1 … 8", "disk", "time", "memory", "estimated"):
        assert word in text


def test_plan_names_axes_that_change_no_column(spec):
    carbon = '--set=what_if={"economics.carbon_intensity"=[50, 400]}'
    times = ("--set", 'output.columns=["tpot_s"]', carbon)

    assert invoke_json("plan", spec, *times, "--json")["idle_axes"] == [CARBON]
    assert f"{CARBON}: no column depends on it" in " ".join(invoke("plan", spec, *times).split())
    assert invoke_json("plan", spec, "--json")["idle_axes"] == []


def test_plan_shows_the_space_as_a_table(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(
        "[axes]\nmodel = ['llama-3-8b', 'llama-3-70b']\ndevice = ['h100-sxm', 'l40s']\n"
        "tp = [8, 4]\nbatch = { pow2 = [1, 64] }\ninput_len = [128, 1024, 4096]\n"
        "[what_if]\n'device.memory_bandwidth' = { scale = [1, 2] }\n"
        "[[zip]]\naxes = ['device', 'tp']\n[[where]]\nmetric = 'tpot_s'\nmax = '50 ms'\n"
        "[[where]]\naxis = 'batch'\nmin = 4\n"
    )
    lines = [line.split() for line in invoke("plan", path).splitlines()]
    planned = invoke_json("plan", path, "--json")

    for line in (
        "axis values first … last unit loop",
        "device 2 h100-sxm, l40s outer, with tp",
        "device_memory_bandwidth_scale 2 1, 2 x outer",
        "tp 2 8, 4 outer, with device",
        "batch 5 4 … 64 inner",
        "input_len 3 128 … 4,096 tokens inner",
        "space 2 x 2 x 2 x 5 x 3 = 120 combinations: 8 outer x 15 inner",
        "where batch is at least 4",
        "where tpot_s is at most 50 ms",
    ):
        assert line.split() in lines
    assert planned["axes"]["tp"] == {
        "values": 2,
        "first": 8,
        "last": 4,
        "unit": "",
        "loop": "outer",
        "zipped_with": ["device"],
        "what_if": None,
    }
    what_if = planned["axes"]["device_memory_bandwidth_scale"]["what_if"]
    assert what_if == "device.memory_bandwidth"
    assert planned["rows"] == planned["grid_rows"] == 120
    assert planned["outer_points"] * planned["inner_points"] == 120
    limits = {"column": "tpot_s", "min": None, "max": 0.05, "in": []}
    assert limits in planned["where"]


def test_plan_says_what_is_drawn_or_chosen(spec):
    text = " ".join(
        invoke("plan", spec, "--set", "sample.n=10", "--set", "axes.devices=auto").split()
    )

    assert "10 points drawn from 2 x 3 x 4 = 24 combinations" in text
    assert "tp chosen for each row" in text


def test_plan_of_a_large_sweep_is_near_and_quick(tmp_path):
    path = tmp_path / "large.toml"
    path.write_text(
        "[axes]\nmodel = ['llama-3-8b', 'llama-3-70b', 'mixtral-8x7b']\n"
        "device = ['h100-sxm', 'b200', 'rtx-4090', 'mi300x']\ntp = [1, 2, 4, 8]\n"
        "weight_format = ['bf16', 'fp8', 'q4_0']\nbatch = { linear = [1, 200], n = 200 }\n"
        "kv_format = ['bf16', 'fp8']\nprefix_hit = [0, 0.5]\n"
        "input_len = { linear = [1000, 8000], n = 20 }\noutput_len = [100, 1000]\n"
    )
    started = time.perf_counter()
    planned = invoke_json("plan", path, "--json")
    seconds = time.perf_counter() - started
    invoke("run", path, "-o", tmp_path / "run")
    run = perfcore.open_run(tmp_path / "run")
    size = sum(file.stat().st_size for file in run.data.iterdir())

    assert not planned["exact"]
    assert seconds < 5
    assert planned["rows"] == run.manifest["evaluated"] == 4_608_000
    assert planned["rows_written"] == pytest.approx(run.rows, rel=0.1)
    assert planned["bytes"] == pytest.approx(size, rel=0.25)


def test_plan_of_a_sampled_sweep(spec):
    sample = ["--set", "sample.method=random", "--set", "sample.n=500000"]
    batch = ["--set", "axes.batch={linear=[1,1000],n=1000}"]
    planned = invoke_json("plan", spec, *sample, *batch, "--json")

    assert planned["rows"] == 500_000
    assert 0 < planned["written_share"] < 1
