"""Rows whose prompts run on other machines, compared bit for bit with plain Python."""

import pytest

from kernel.rows import assert_same, rows_of
from perfcore.configuration.configuration import Configuration
from perfcore.inputs import AXIS_INPUTS, PREFILL_AXES
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
