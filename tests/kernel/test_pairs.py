"""Rows of which a part runs on other machines, compared bit for bit with plain Python."""

import pytest

from kernel.rows import assert_same, rows_of
from perfcore.configuration.configuration import Configuration
from perfcore.inputs import AXIS_INPUTS, DRAFT_AXES, EXPERT_AXES, PREFILL_AXES
from perfcore.space.space import Space

AXES = {
    "model": ["llama-3.3-70b", "qwen3-235b-a22b"],
    "device": ["h20", "mi300x"],
    "weight_format": ["bf16"],
    "tp": [8],
    "prefill_device": ["h100-sxm", "groq-lpu"],
    "prefill_tp": [1, 8],
    "scheduler": ["continuous", "disaggregated"],
    "batch": [1, 300, 200_000],
    "input_len": [1_000, 30_000],
}
SPACES = {
    "devices": {"what_if": {"device.memory_bandwidth": {"scale": [1, 1.5]}}},
    "engines": {
        "axes": {
            "prefill_engine": ["vllm", "ideal"],
            "prefill_ratio": [0.05, 4.0],
            "prefill_link": ["100 MB/s", "1 TB/s"],
            "prefix_hit": [0.5],
            "model": ["llama-3.3-70b"],
        }
    },
    "layouts": {
        "axes": {
            "prefill_device": None,
            "model": ["qwen3-235b-a22b"],
            "dp": [2],
            "ep": [16],
            "prefill_pp": [2],
            "prefill_dp": [1, 4],
            "prefill_ep": [4],
        }
    },
}


@pytest.mark.parametrize("name", SPACES)
def test_every_pair_is_what_python_says(name):
    changes = SPACES[name]
    axes = {k: v for k, v in {**AXES, **changes.get("axes", {})}.items() if v is not None}
    form = {"output": {"columns": "all", "keep_infeasible": True}}
    space = Space.from_dict({**changes, "axes": axes, **form})
    rows = rows_of(space)

    assert len(rows) == space.rows
    assert {"ok", "prefill pool cannot run"} <= {row["status"] for row in rows}
    for row in rows:
        given = {axis: row[axis] for axis in AXIS_INPUTS}
        if row["scheduler"] == "disaggregated":
            given |= {axis: row[axis] for axis in PREFILL_AXES if axis in row}
        if "device_memory_bandwidth_scale" in row:
            scale = {"scale": row["device_memory_bandwidth_scale"]}
            given["overrides"] = {"device.memory_bandwidth": scale}
        assert_same(row, Configuration(**given).evaluate())


BESIDE = {
    "draft": (
        DRAFT_AXES,
        {
            "model": ["llama-3.3-70b", "qwen3-235b-a22b"],
            "device": ["h100-sxm", "mi300x"],
            "tp": [8],
            "dp": [1, 2],
            "scheduler": ["static", "continuous"],
            "draft_model": ["llama-3.2-1b", "qwen3-4b"],
            "draft_device": ["l40s", "groq-lpu"],
            "draft_devices": [1, 40],
            "draft_link": ["1 GB/s"],
            "draft_len": [3],
            "acceptance": [0.7],
            "batch": [1, 200, 20_000],
            "input_len": [1_000, 100_000],
        },
        {"ok", "draft cannot run"},
    ),
    "experts": (
        EXPERT_AXES,
        {
            "model": ["qwen3-235b-a22b", "llama-3.3-70b"],
            "device": ["h20"],
            "engine": ["vllm", "ideal"],
            "weight_format": ["fp8"],
            "tp": [4],
            "dp": [1, 2],
            "scheduler": ["static", "continuous"],
            "expert_device": ["h100-sxm", "groq-3-lpu"],
            "expert_devices": [2, 8, 600],
            "expert_parts": [1, 3],
            "prefix_hit": [0.5],
            "batch": [1, 200],
            "input_len": [1_000, 30_000],
        },
        {"ok", "experts do not fit", "experts cannot be spread over ep"},
    ),
}


@pytest.mark.parametrize("name", BESIDE)
def test_every_row_with_devices_beside_is_what_python_says(name):
    others, axes, statuses = BESIDE[name]
    scale = {"device.memory_bandwidth": {"scale": [1, 1.5]}}
    form = {"columns": "all", "keep_infeasible": True, "dtype": "float64"}
    space = Space.from_dict({"axes": axes, "what_if": scale, "output": form})
    rows = rows_of(space)

    assert len(rows) == space.rows
    assert statuses <= {row["status"] for row in rows}
    for row in rows[:: max(len(rows) // 150, 1)]:
        given = {axis: row[axis] for axis in AXIS_INPUTS}
        given |= {axis: row[axis] for axis in others if axis in row}
        scale = {"scale": row["device_memory_bandwidth_scale"]}
        given["overrides"] = {"device.memory_bandwidth": scale}
        if row["model"] == "llama-3.3-70b" and name == "experts":
            assert row["status"] == "experts cannot be spread over ep"
            continue
        assert_same(row, Configuration(**given).evaluate(), "float64")
