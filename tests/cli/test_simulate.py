"""The command simulate."""

import json

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cli.command import invoke, invoke_json
from perfcore.cli import program
from perfcore.cli.simulate import REPLACED, RULES, TRAFFIC
from perfcore.inputs import AXIS_INPUTS
from perfcore.traffic.synthetic import Traffic

SERVER = ("simulate", "llama-3.1-8b", "h100-sxm")
POISSON = (*SERVER, "--rate", "4", "--requests", "60", "--input-len", "2Ki", "--output-len", "64")
TRACE = "arrival_s,input_len,output_len\n0,900,20\n1,500,30\n1.5,100,1\n"


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text(TRACE)
    return path


def refused(*arguments):
    result = CliRunner().invoke(program, [str(argument) for argument in arguments])

    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr.splitlines()


def test_json_is_flat_and_complete():
    found = invoke_json(*POISSON, "--json", "--slo", "ttft_p99_s<=10s")

    assert found["status"] == "ok"
    assert found["requests"] == found["completed"] == 60
    assert found["slo"] == "met"
    for latency in ("ttft", "tpot", "itl", "e2e"):
        values = [found[f"{latency}_{name}_s"] for name in ("p50", "p90", "p95", "p99")]
        assert values == sorted(values)
        assert 0.0 < found[f"{latency}_mean_s"] <= values[-1]
    assert found["model"] == "llama-3.1-8b"
    assert not any(isinstance(value, dict | list) for value in found.values())


def test_the_same_seed_gives_the_same_bytes():
    one = invoke(*POISSON, "--json", "--cv", "2", "--seed", "3")

    assert one == invoke(*POISSON, "--json", "--cv", "2", "--seed", "3")
    assert one != invoke(*POISSON, "--json", "--cv", "2", "--seed", "4")


def test_card():
    text = invoke(*POISSON, "--slo", "ttft_p99_s<=1us", "--slo", "e2e_s<=1h", "--replicas", "2")

    assert text.startswith("llama-3.1-8b on 2 x 1 x h100-sxm\n")
    assert "traffic: 4 per second, 2Ki tokens in, 64 out, seed 0" in text
    assert "The servers keep up: 60 of 60 requests served." in text
    assert "Objectives: missed" in text
    assert "MISSED" in text
    assert "of each request" in text
    assert "per request" in text


def test_card_as_markdown(trace):
    text = invoke(*SERVER, "--trace", trace, "--repeat", "2", "--speed", "0.5", "--markdown")

    assert text.startswith("# llama-3.1-8b on 1 x h100-sxm\n")
    assert "2 times, at 0.5 x its rate" in text
    assert "per session" not in text


def test_card_of_an_overloaded_server():
    text = invoke(
        *(*SERVER, "--rate", "500", "--requests", "2000", "--output-len", "200"),
        *("--kv-tokens", "20000"),
    )

    assert "OVERLOADED: the queue grows by" in text


def test_requests_that_never_fit():
    none = (*SERVER, "--rate", "1", "--requests", "5", "--kv-tokens", "64")
    text = invoke(*none, "--slo", "ttft_p99_s<=1s")
    found = invoke_json(*none, "--slo", "ttft_p99_s<=1s", "--json")
    some = invoke(
        *(*SERVER, "--rate", "1", "--requests", "20", "--kv-tokens", "2048"),
        *("--input-len", "histogram:100=1,4000=1"),
    )

    assert (found["slo"], found["goodput_requests_per_s"]) == ("missed", 0.0)
    assert "NOTHING RUNS: no request ever fits the KV cache." in text
    assert "never fit the KV cache and were rejected." in some


def test_sessions():
    found = invoke_json(
        *(*SERVER, "--rate", "1", "--requests", "40", "--turns", "4", "--think-time", "1s"),
        *("--system-prompt", "256", "--json"),
    )

    assert found["sessions"] == 10
    assert found["prefix_hit_rate"] > 0.3
    assert found["cost_per_session_usd"] == pytest.approx(4.0 * found["cost_per_request_usd"])


def test_closed_loop():
    found = invoke_json(*SERVER, "--clients", "4", "--requests", "40", "--json")
    text = invoke(*SERVER, "--clients", "4", "--requests", "40")

    assert found["batch_mean"] + found["queue_mean"] == pytest.approx(4.0, rel=0.15)
    assert "traffic: 4 clients, 1024 tokens in, 256 out, seed 0" in text


def test_servers_for_prompts():
    arguments = (*POISSON, "--replicas", "2", "--prefill", "replicas=1")
    found = invoke_json(*arguments, "--prefill", "device=h200-sxm", "--prefill", "tp=2", "--json")
    text = invoke(*arguments, "--prefill", "engine=vllm")

    assert found["replicas"] == 3
    assert found["devices"] == 2 + 2
    assert found["prefill_device"] == "h200-sxm"
    assert found["completed"] == 60
    assert text.startswith("llama-3.1-8b on 2 x 1 x h100-sxm, prompts on 1 x h100-sxm\n")
    assert "prompts: engine vllm" in text


def test_a_draft_on_devices_of_its_own():
    drafts = ("--draft-len", "3", "--acceptance", "0.8", "--draft-model", "llama-3.2-1b")
    arguments = (*POISSON, *drafts, "--draft-device", "l40s", "--replicas", "2")
    found = invoke_json(*arguments, "--json")
    text = invoke(*arguments)

    assert found["draft_model"] == "llama-3.2-1b"
    assert found["draft_devices"] == 1
    assert found["devices"] == 2 * (1 + 1)
    assert text.startswith("llama-3.1-8b on 2 x 1 x h100-sxm, draft llama-3.2-1b on 1 x l40s\n")
    assert "for 4 devices" in text
    (line,) = refused(*arguments, "--prefill", "replicas=1")
    assert line == "error: --draft-devices: beside --prefill; leave out one of them"


def test_experts_on_devices_of_their_own():
    arguments = ("simulate", "gpt-oss-120b", "h20", "--rate", "2", "--requests", "20")
    found = invoke_json(*arguments, "--expert-device", "h100-sxm", "--expert-parts", "3", "--json")
    (line,) = refused(*arguments, "--expert-parts", "3")

    assert found["expert_device"] == "h100-sxm"
    assert found["devices"] == 1 + found["expert_devices"]
    assert line == "error: --expert-parts: --expert-device is missing; add it"


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("replicas", "--prefill replicas: not KEY=VALUE; write it like replicas=2"),
        ("replica=2", "--prefill: unknown setting 'replica'; did you mean 'replicas'?"),
        ("replicas=x", "replicas: 'x' is not a count"),
        ("tp=x", "tp: 'x' is not a count"),
        ("device=h1000", "h1000"),
    ],
)
def test_faults_of_servers_for_prompts(setting, fault):
    (line,) = refused(*POISSON, "--prefill", setting)

    assert fault in line


def test_files(tmp_path, trace):
    table, plot = tmp_path / "requests.parquet", tmp_path / "timeline.svg"
    found = invoke_json(*SERVER, "--trace", trace, "-o", table, "--plot", plot, "--json")
    read = pq.read_table(table)

    assert read.column("arrival_s").to_pylist() == [0.0, 1.0, 1.5]
    assert read.column("output_len").to_pylist() == [20, 30, 1]
    assert read.schema.field("arrival_s").metadata[b"unit"] == b"s"
    assert json.loads(read.schema.metadata[b"perfcore.summary"])["requests"] == found["requests"]
    assert "Waiting requests" in plot.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        ((), ["one of --rate, --clients, --trace says when requests arrive; add one"]),
        (("--rate", "0"), ["--rate: nothing arrives at a rate of 0; give a rate above 0"]),
        (("--rate", "1", "--trace", "x"), ["leave out all but one"]),
        (("--rate", "-1"), ["--rate: '-1' is out of bounds"]),
        (("--rate", "1", "--speed", "2"), ["--speed: has no effect beside --rate; leave it out"]),
        (("--trace", "none.csv"), ["none.csv: no such file; check the path"]),
        (("--rate", "1", "--kv-tokens", "x"), ["--kv-tokens: 'x' is not a count"]),
        (("--rate", "1", "--slo", "ttft<=1s"), ["--slo ttft<=1s: unknown latency 'ttft'"]),
        (
            ("--rate", "1", "--input-len", "200Ki"),
            ["1,000 of 1,000 requests cannot fit the context"],
        ),
        (
            ("--tp", "x", "--cv", "-1", "--slo", "ttft", "--watermark", "2", "--set", "a.b=1"),
            ["tp: 'x'", "--set: unknown", "--cv", "one of --rate", "--watermark", "--slo"],
        ),
        (("--rate", "1", "-o", "none/x.parquet"), ["--output: 'none' is not a directory"]),
        (("--rate", "1", "--plot", "x.pdf"), ["--plot: 'x.pdf' must end in .png, .svg, .html"]),
        (("--rate", "1", "--json", "--markdown"), ["--json and --markdown exclude each other"]),
    ],
)
def test_faults(arguments, faults):
    lines = refused(*SERVER, *arguments)

    assert len(lines) == len(faults)
    assert all(map(str.__contains__, lines, faults))


def test_bad_traces_leave_no_files(tmp_path, trace):
    table, plot = tmp_path / "requests.parquet", tmp_path / "timeline.svg"
    trace.write_text(TRACE + "1.2,5,5\n")
    (line,) = refused(*SERVER, "--trace", trace, "-o", table, "--plot", plot)

    assert "line 5: arrives at 1.2 s, before the request above it (1.5 s)" in line
    assert [path.name for path in tmp_path.iterdir()] == ["trace.csv"]


def test_a_trace_is_not_overwritten(trace):
    (line,) = refused(*SERVER, "--trace", trace, "-o", trace)

    assert "is also an input file; name another" in line
    assert trace.read_text() == TRACE


def test_every_setting_of_traffic_and_of_the_configuration_has_an_option():
    settings = {name for name in Traffic.__dataclass_fields__ if name != "numbers"}
    command = program.get_command(None, "simulate")
    options = {p.name for p in command.params if not getattr(p, "hidden", False)}

    assert settings == set(TRAFFIC)
    assert {*TRAFFIC, *RULES} <= options
    assert set(AXIS_INPUTS) - options == {
        *("batch", "prefix_hit", "offload", "gpu_layers", "cpu_moe_layers", "scheduler"),
    }


@pytest.mark.parametrize("name", REPLACED)
@pytest.mark.parametrize("command", [SERVER, ("size", "llama-3.1-8b")])
def test_options_of_a_point_say_what_replaces_them(command, name):
    option = f"--{name.replace('_', '-')}"

    assert f"{option} cannot be combined with traffic" in refused(*command, option, "4")[0]


@pytest.mark.parametrize("option", ["--routing", "--admission", "--order", "--kv-tiers"])
def test_rules_name_their_options(option):
    assert f"{option}: " in refused(*SERVER, "--rate", "4", option, "nonsense")[0]


def test_hits_of_lower_tiers_are_reported():
    arguments = (
        *POISSON,
        "--turns",
        "4",
        "--think-time",
        "5s",
        "--kv-tokens",
        "16000",
        "--kv-tiers",
        "dram:64GB",
    )
    found = invoke_json(*arguments, "--json")

    assert found["prefix_hit_rate_dram"] > 0.0
    assert found["prefix_hit_rate"] == pytest.approx(
        found["prefix_hit_rate_hbm"] + found["prefix_hit_rate_dram"]
    )
    assert "in DRAM" in invoke(*arguments)


def test_a_power_limit_and_the_layout_of_a_pool_on_another_device():
    capped = ("simulate", "llama-3.1-8b", "h100-sxm", "--rate", "1", "--requests", "20")
    assert "power limit 420 W" in invoke(*capped, "--power-limit", "60%")

    chips = ("simulate", "llama-3.1-8b", "groq-lpu", "--rate", "1", "--requests", "5")
    text = invoke(*chips, "--prefill", "device=h100-sxm")
    assert "prompts on 1 x h100-sxm" in text
