"""The command size."""

import csv
import json

import pytest
from click.testing import CliRunner

from cli.command import invoke, invoke_json
from perfcore.cli import program
from perfcore.cli.size import LATENCIES, STATISTICS

TRAFFIC = ("--rate", "20", "--requests", "300", "--input-len", "1Ki", "--output-len", "64")
SIZE = ("size", "llama-3.1-8b", *TRAFFIC, "--device", "h100-sxm,l40s", "--weight-format", "fp8")
LIMITS = ("--ttft-p95", "500ms", "--tpot-p95", "40ms")


def refused(*arguments):
    result = CliRunner().invoke(program, [str(argument) for argument in arguments])

    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr.splitlines()


def test_card():
    text = invoke(*SIZE, *LIMITS)

    assert text.startswith("Fleets for llama-3.1-8b\n")
    assert "objectives: ttft_p95_s <= 500 ms, tpot_p95_s <= 40 ms" in text
    assert "h100-sxm" in text
    assert "l40s" in text
    assert "vllm serve meta-llama/Llama-3.1-8B" in text
    assert "simulated" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_card_names_what_does_not_exist_and_how_devices_are_paid():
    machines = ["--device", "hbm4-6tbs", "--economics", "owned"]
    text = invoke("size", "llama-3.1-8b", "--rate", "5", "--requests", "300", *machines, *LIMITS)

    assert "hbm4-6tbs is hypothetical: it does not exist" in text
    assert "devices paid: owned" in text


def test_card_as_markdown():
    text = invoke(*SIZE, *LIMITS, "--top", "1", "--markdown")

    assert text.startswith("# Fleets for llama-3.1-8b\n")
    assert "| h100-sxm" in text or "| l40s" in text


def test_json():
    found = invoke_json(*SIZE, *LIMITS, "--slo", "e2e_p99_s<=30s", "--json")

    assert found["slos"] == {"ttft_p95_s": 0.5, "tpot_p95_s": 0.04, "e2e_p99_s": 30.0}
    assert [set(fleet) >= {"device", "replicas", "devices"} for fleet in found["fleets"]] == [
        True
    ] * 2
    first = found["fleets"][0]
    assert first["ttft_p95_low_s"] < first["ttft_p95_s"] < first["ttft_p95_high_s"]
    assert first["headroom"] is None or first["headroom"] >= 0.0
    assert set(found["launch"]) == {"vllm", "sglang", "trtllm"}
    assert invoke(*SIZE, *LIMITS, "--json") == invoke(*SIZE, *LIMITS, "--json")


def test_files(tmp_path):
    table, document = tmp_path / "fleets.csv", tmp_path / "fleets.json"
    invoke(*SIZE, *LIMITS, "-o", table)
    found = invoke_json(*SIZE, *LIMITS, "-o", document, "--json")

    assert json.loads(document.read_text()) == found
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["device"] for row in rows] == [fleet["device"] for fleet in found["fleets"]]
    assert float(rows[0]["ttft_p95_s"]) == found["fleets"][0]["ttft_p95_s"]


def test_a_trace(tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("arrival_s,input_len,output_len\n0,900,20\n1,500,30\n1.5,100,1\n")
    text = invoke(
        "size", "llama-3.1-8b", "--trace", trace, "--e2e-mean", "10s", "--device", "h100-sxm"
    )

    assert f"trace {trace}" in text
    assert "too short to reach a steady state" in text.replace("\n", " ") or "h100-sxm" in text


def test_two_pools(tmp_path):
    table = tmp_path / "fleets.csv"
    arguments = (*SIZE, *LIMITS, "--prefill-device", "h100-sxm", "--prefill-tp", "1,2")
    text = invoke(*arguments, "-o", table)
    found = invoke_json(*arguments, "--json")

    assert "prompts on" in text
    assert "Pools" in text
    assert "prefill server" in text
    assert "--disaggregation-mode decode" in text
    assert "kv_producer" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert {fleet["prefill_device"] for fleet in found["fleets"]} == {"h100-sxm"}
    assert set(found["prefill_launch"]) == {"vllm", "sglang", "trtllm"}
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert int(rows[0]["prefill_replicas"]) >= 1
    same = invoke_json(*SIZE, *LIMITS, "--disaggregate", "--json")
    assert all(fleet["prefill_device"] == fleet["device"] for fleet in same["fleets"])


def test_devices_beside_those_of_a_server(tmp_path):
    table = tmp_path / "fleets.csv"
    arguments = ("size", "gpt-oss-20b", "--rate", "4", "--requests", "100", *LIMITS)
    arguments = (*arguments, "--device", "l40s", "--expert-device", "h100-sxm,l40s")
    text = invoke(*arguments, "-o", table)
    rows = list(csv.DictReader(table.read_text().splitlines()))

    assert "1 replica on 1 x l40s, experts on 1 x h100-sxm, weights" in text
    assert "1 x (1+1)" in text
    assert "one per pair of devices and format" in text
    assert "No engine's command starts devices beside those of the model." in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert {row["expert_device"] for row in rows} == {"h100-sxm", "l40s"}
    assert all(int(row["devices"]) == 2 * int(row["replicas"]) for row in rows)


def test_commands_are_whole_when_they_are_broken_into_lines():
    text = invoke(*SIZE, *LIMITS, "--disaggregate")
    commands = text[text.index("prefill server") :].replace(" \\\n", " ")

    quoted = commands.split("echo '")[1].split("'")[0]
    assert "\\" not in quoted
    assert "disable_overlap_scheduler: true}" in quoted.replace("\n", " ")


def test_clients():
    text = invoke(
        *("size", "llama-3.1-8b", "--clients", "20", "--requests", "400", "--device", "l40s"),
        *("--think-time", "2s", "--ttft-p95", "2s"),
    )

    assert "traffic: 20 clients" in text
    assert "more clients" in text


def test_no_fleet():
    text = invoke(*SIZE, "--tpot-mean", "1us")

    assert "NO FLEET" in text
    assert "tokens fast enough" in text.replace("\n", " ")


def test_every_statistic_has_an_option():
    names = {option for param in program.get_command(None, "size").params for option in param.opts}

    assert {f"--{latency}-{each}" for latency in LATENCIES for each in STATISTICS} <= names


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("size", "llama-3.1-8b", *TRAFFIC), "no objective is given; add one, like --ttft-p95 1s"),
        ((*SIZE, "--ttft-p95", "soon"), "--ttft-p95"),
        ((*SIZE, "--ttft-p95", "-1s"), "--ttft-p95"),
        ((*SIZE, *LIMITS, "--slo", "speed<=1"), "--slo"),
        ((*SIZE, *LIMITS, "--max-devices", "0"), "--max-devices"),
        ((*SIZE, *LIMITS, "--top", "x"), "--top"),
        ((*SIZE, *LIMITS, "--tp", "0"), "tp"),
        ((*SIZE, *LIMITS, "--routing", "magic"), "routing"),
        ((*SIZE, *LIMITS, "--set", "device.speed=1"), "--set"),
        ((*SIZE, *LIMITS, "-o", "fleets.txt"), "must end in .csv, .json"),
        (("size", "llama-3.1-8b", *LIMITS), "says when requests arrive"),
        ((*SIZE, *LIMITS, "--clients", "5"), "leave out all but one"),
        (("size", "llama-3.1-8b", *LIMITS, "--clients", "5", "--cv", "2"), "no effect"),
        ((*SIZE, *LIMITS, "--prefill-device", "h9000"), "h9000"),
        ((*SIZE, *LIMITS, "--prefill-tp", "0"), "prefill_tp"),
        ((*SIZE, *LIMITS, "--prefill-link", "fast"), "prefill_link"),
        (("size", "nothing", *TRAFFIC, *LIMITS), "nothing"),
        (("size", "llama-3.1-8b", "--trace", "none.csv", *LIMITS), "none.csv"),
    ],
)
def test_faults_are_one_clear_line(arguments, fault):
    (line,) = refused(*arguments)

    assert fault in line


JOB = ("--tokens", "1e8", "--deadline", "24h", "--input-len", "500", "--output-len", "200")


def test_a_batch_job_has_the_rate_that_finishes_it_and_its_price():
    command = ("size", "llama-3.1-8b", *JOB, "--device", "l40s", "--weight-format", "fp8")
    found = invoke_json(*command, "--json")
    (fleet,) = found["fleets"]

    assert found["slos"] == {"e2e_p95_s": 86_400}
    assert fleet["job_cost_usd"] == pytest.approx(fleet["cost_per_hour_usd"] * 24)
    assert fleet["job_energy_kwh"] == pytest.approx(fleet["facility_power_w"] * 24 / 1000)
    text = " ".join(invoke(*command).replace("│", " ").split())
    assert "traffic: 5.78704 per second" in text
    assert f"The job of 100,000,000 tokens in 24 h costs ${fleet['job_cost_usd']:,.2f}" in text


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--tokens", "1e9"), "--tokens: without --deadline"),
        (("--deadline", "24h"), "--deadline: without --tokens"),
        ((*JOB, "--rate", "3"), "--rate: beside --tokens"),
        ((*JOB, "--clients", "3"), "--clients: beside --tokens"),
    ],
)
def test_half_a_job_is_refused(options, fault):
    (line,) = refused("size", "llama-3.1-8b", *options)

    assert fault in line


def test_a_power_limit_slows_servers_and_is_named():
    text = invoke(*SIZE, *LIMITS, "--power-limit", "60%")

    assert "power limit 420 W" in " ".join(text.replace("│", " ").split())
