"""Names that tools, clouds and publishers print."""

import csv

import pytest
from cli.command import invoke_json
from paths import ROOT

from perfcore.catalog import loader
from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError

with (ROOT / "tests" / "data" / "device_names.csv").open(encoding="utf-8") as file:
    NAMES = [(row["printed"], row["device"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize(("printed", "device"), NAMES)
def test_printed_names_mean_one_device_or_none(printed, device):
    assert loader.printed_device(printed) == device
    if device:
        assert loader.load_device(printed).name == device
    else:
        with pytest.raises(InputError, match="unknown device"):
            loader.load_device(printed)


def test_enough_names_are_known_and_are_found_by_the_command():
    known = [(printed, device) for printed, device in NAMES if device]

    assert len(known) >= 60
    for printed, device in known[::10]:
        found = invoke_json("devices", "--match", printed, "--json")
        assert [entry["name"] for entry in found] == [device]


@pytest.mark.parametrize(
    ("printed", "model", "weights"),
    [
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", "qwen3-30b-a3b", "bf16"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b", "bf16"),
        ("deepseek-ai/DeepSeek-V3", "deepseek-v3", "fp8-block128"),
        ("openai/gpt-oss-120b", "gpt-oss-120b", "mxfp4"),
        ("google/gemma-3-27b-it", "gemma-3-27b", "bf16"),
        ("Qwen/Qwen3-8B-FP8", "qwen3-8b", "fp8"),
        ("TheBloke/Llama-2-7B-Chat-AWQ", "llama-2-7b", "int4-g128-awq"),
        ("Qwen/Qwen2.5-72B-Instruct-GPTQ-Int4", "qwen2.5-72b", "int4-g128"),
        ("nvidia/Llama-3.3-70B-Instruct-FP4", "llama-3.3-70b", "nvfp4"),
    ],
)
def test_models_are_found_as_publishers_name_them(printed, model, weights):
    made = Configuration(printed, "b200")

    assert made.labels["model"] == model
    assert made.labels["weight_format"] == weights


def test_other_models_are_not_found():
    with pytest.raises(InputError, match="unknown model"):
        loader.load_model("someone/entirely-else-8b-instruct")
