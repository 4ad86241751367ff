"""The command check."""

import json

import pytest
from accuracy.importing.samples import SERVE
from click.testing import CliRunner
from paths import ROOT

from perfcore.cli import program

LINE = (
    *("--model", "llama-3.1-8b", "--device", "h100-sxm", "--engine", "vllm"),
    *("--concurrency", "16", "--input-len", "1024", "--output-len", "256"),
)


def invoke(*arguments, code=0):
    result = CliRunner().invoke(program, ["check", *arguments], prog_name="perfcore")
    assert result.exit_code == code, result.output
    return result.output


def test_a_line_that_is_typed_in():
    printed = invoke("tpot=10.5ms", "ttft=85ms", *LINE)

    assert "llama-3.1-8b, bf16, h100-sxm, vllm, closed_loop, 16 in flight" in printed
    assert printed.replace("The result is as expected.", "").count("as expected") == 2
    assert "bottleneck" in printed
    assert "The result is as expected." in printed
    assert len(printed.splitlines()) < 24


def test_the_configuration_may_be_typed_like_the_metrics():
    words = ("model=llama-3.1-8b", "device=h100-sxm", "engine=vllm", "concurrency=16")
    words += ("input-len=1024", "output_len=256", "mode=continuous")

    assert invoke("tok/s=1500", *words, "--json") == invoke("throughput=1500", *LINE, "--json")


def test_a_result_file(tmp_path):
    path = tmp_path / "serve.json"
    path.write_text(json.dumps(SERVE), encoding="utf-8")
    found = json.loads(invoke(str(path), "--device", "h100-sxm", "--json"))

    assert [one["metric"] for one in found["findings"]] == ["ttft_s", "tpot_s"]
    assert found["findings"][1]["bound"] < found["findings"][1]["predicted"]
    assert any("weight_format=bf16" in note for note in found["notes"])


def test_a_cold_start_is_named():
    path = ROOT / "tests" / "data" / "results" / "vllm-few-requests.json"
    found = json.loads(invoke(str(path), "--device", "h100-sxm", "--json"))["findings"]

    assert [one["metric"] for one in found] == ["ttft_s", "tpot_s"]
    assert found[0]["verdict"] == "suspect"
    assert "a cold start" in found[0]["suspect"]


def test_a_table_of_measurements(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "model,hardware,metric,value,concurrency,output_len\nllama-3.1-8b,l4,tpot_s,60,1,256\n"
    )
    printed = invoke(str(path), "--engine", "vllm")

    assert "probably milliseconds" in printed
    assert "the value is in milliseconds" in printed


def test_bare_numbers_are_in_si_units():
    of_one, of_all = (
        json.loads(invoke(word, *LINE, "--tp", "2", "--json"))["findings"][0]
        for word in ("tokens_per_s_per_user=100", "throughput=1600")
    )

    assert (of_one["metric"], of_one["value"]) == ("tpot_s", 0.01)
    assert (of_all["metric"], of_all["value"]) == ("output_tokens_per_s_per_device", 800.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tpot=10ms",), "--model and --device: needed"),
        (("model=llama-3.1-8b", "device=l4"), "a metric with its value, such as tpot=10.5ms"),
        (("speed=3", *LINE), "no metric or column 'speed'"),
        (("tpot=soon", *LINE), "tpot=soon"),
        (("tpot=-1", *LINE), "must be above 0"),
        (("tpot=inf", *LINE), "not a finite number"),
        (("missing.json", *LINE), "no such file"),
        (("tpot=10ms", "--model", "nonsense", "--device", "l4"), "unknown model 'nonsense'"),
        (("tpot=10ms", *LINE, "--mode", "fast"), "fast"),
    ],
)
def test_refusals_are_one_line(arguments, words):
    (line,) = invoke(*arguments, code=2).splitlines()

    assert words in line
