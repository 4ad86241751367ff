"""Tools for agents."""

import asyncio
import json

import pytest

import perfcore
from perfcore.cli import mcp
from perfcore.errors import InputError


def test_tools_answer_as_the_library_does():
    row = mcp.point("llama-3.1-8b", "h100-sxm", {"batch": 8})
    refused = mcp.point("llama-3.1-8b", "h100-sxm", {"tp": 3})

    assert row["tpot_s"] == perfcore.evaluate("llama-3.1-8b", "h100-sxm", batch=8)["tpot_s"]
    assert row["remedy"] is None
    assert refused["tpot_s"] is None
    assert "tp" in refused["remedy"]


def test_tools_compare_search_audit_and_list():
    compared = mcp.compare(["llama-3.1-8b"], {"device": ["h100-sxm", "b200"]})
    axes = {"model": "llama-3.1-8b", "device": ["h100-sxm", "b200"], "batch": [1, 8]}
    (best,) = mcp.search(axes, minimize="tpot_s", where=["batch=1"], top=1)
    (found,) = mcp.audit([{"model": "llama-3.1-8b", "device": "h100-sxm", "tokens_per_s": 1e6}])

    assert compared["best"]["tpot_s"] == ["b200"]
    assert (best["device"], best["batch"]) == ("b200", 1)
    assert found["verdicts"][0]["code"] == "beats-bound"
    assert {"h100-sxm", "h100-pcie"} <= {entry["name"] for entry in mcp.catalogue("device", "h100")}
    assert mcp.catalogue("device", "H100")[0]["board_power"] == 700
    (exact,) = mcp.catalogue("model", "Llama-3.3-70B-Instruct")  # an alias
    assert exact["num_hidden_layers"] == 80
    every = mcp.catalogue("model")
    assert len(every) > mcp.MOST_WHOLE
    assert set(every[0]) == {"name", "title"}
    assert mcp.catalogue("host", "ddr5")
    assert "ttft_s" in {column["name"] for column in mcp.catalogue("column", "ttft")}


def test_tools_simulate_and_size():
    traffic = {"rate": 2, "requests": 200, "input_len": 500, "output_len": 50}
    figures = mcp.simulate("llama-3.1-8b", "h100-sxm", traffic, ["ttft_p99_s<=1s"])
    fleets = mcp.size("llama-3.1-8b", traffic, ["ttft_p95_s<=1s"], {"device": "h100-sxm"})

    assert figures["requests"] == 200
    assert json.loads(json.dumps(fleets, default=str))


def test_faults_are_those_of_the_library():
    with pytest.raises(InputError, match="unknown model"):
        mcp.point("lama", "h100-sxm")


def test_a_client_calls_tools():
    client = pytest.importorskip("mcp").Client

    async def talk():
        async with client(mcp.server()) as session:
            tools = await session.list_tools()
            good = await session.call_tool(
                "point", {"model": "llama-3.1-8b", "device": "h100-sxm", "options": {"batch": 4}}
            )
            bad = await session.call_tool("point", {"model": "lama", "device": "h100-sxm"})
            return tools, good, bad

    tools, good, bad = asyncio.run(talk())

    names = {tool.name for tool in tools.tools}
    assert names == {"point", "compare", "search", "size", "simulate", "audit", "catalogue"}
    assert json.loads(good.content[0].text)["batch"] == 4
    assert bad.is_error
    assert "unknown model 'lama'" in bad.content[0].text
