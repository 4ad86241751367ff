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

    assert len(known) >= 160
    assert {device for _, device in known} >= set(loader.names("device")) - {"hbm4-6tbs"}
    for printed, device in known[::10]:
        found = invoke_json("devices", "--match", printed, "--json")
        assert [entry["name"] for entry in found] == [device]


@pytest.mark.parametrize(
    ("whole", "found"),
    [
        ("NVIDIA GeForce RTX 5060", []),
        ("AMD Radeon RX 7900 XT", []),
        ("Snapdragon X2 Elite", []),
        ("AMD Radeon RX 9060 XT", ["rx-9060-xt-16gb"]),  # a size is missing
        ("AMD Instinct MI50", ["mi50-16gb", "mi50-32gb"]),
        ("Apple M4", ["m4"]),
    ],
)
def test_a_whole_name_lists_no_other_product(whole, found):
    assert [entry.name for entry in loader.matching("device", whole)] == found


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("device", name) for name in ("rx-7900-xt", "rx-9070", "snapdragon-x2-elite")),
        *(("engine", name) for name in ("ollama", "transformers", "exllamav3", "ik_llama.cpp")),
    ],
)
def test_no_other_thing_is_suggested(kind, name):
    with pytest.raises(InputError, match="unknown") as refused:
        loader.load(kind, name)

    assert "did you mean" not in str(refused.value)


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
        ("nvidia/DeepSeek-R1-0528-NVFP4-v2", "deepseek-r1", "nvfp4"),
        ("RedHatAI/Llama-3.3-70B-Instruct-quantized.w4a16", "llama-3.3-70b", "int4-g128"),
        ("Intel/Qwen3-30B-A3B-Instruct-2507-int4-AutoRound", "qwen3-30b-a3b", "int4-g128"),
        ("Qwen/Qwen3-235B-A22B-Thinking-2507-FP8", "qwen3-235b-a22b", "fp8"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "llama-3.3-70b", "bf16"),
        ("mlx-community/Qwen3-235B-A22B-4bit-DWQ", "qwen3-235b-a22b", "int4-g128"),
        ("mlx-community/gpt-oss-120b-MXFP4-Q8", "gpt-oss-120b", "mxfp4"),
        ("llama3.3:70b-instruct-q4_K_M", "llama-3.3-70b", "q4_k_m"),  # ollama
        ("llama3.1:8b", "llama-3.1-8b", "q4_k_m"),
        ("qwen3:8b-fp16", "qwen3-8b", "bf16"),
        ("gpt-oss:120b", "gpt-oss-120b", "mxfp4"),
        ("gemma3:27b-it-qat", "gemma-3-27b", "q4_0"),
        ("deepseek-r1:70b", "llama-3.3-70b", "q4_k_m"),
        ("unsloth/Qwen3-30B-A3B-GGUF:UD-Q4_K_XL", "qwen3-30b-a3b", "ud-q4_k_xl"),
        ("hf.co/bartowski/Llama-3.3-70B-Instruct-GGUF:Q4_K_M", "llama-3.3-70b", "q4_k_m"),
        ("qwen3moe 30B.A3B Q4_K - Medium", "qwen3-30b-a3b", "q4_k_m"),  # llama-bench
        ("gpt-oss 120B MXFP4 MoE", "gpt-oss-120b", "mxfp4"),
        ("ggml-org/gpt-oss-120b-GGUF", "gpt-oss-120b", "mxfp4-gguf-q8"),
        ("unsloth/gpt-oss-120b-GGUF:F16", "gpt-oss-120b", "mxfp4-gguf-f16"),
        ("bartowski/Qwen_Qwen3-32B-GGUF:Q4_K_M", "qwen3-32b", "q4_k_m"),
        ("moonshotai/Kimi-K2-Instruct-0905", "kimi-k2", "fp8-block128"),
        ("mlx-community/Qwen3-30B-A3B-4bit-DWQ-0508", "qwen3-30b-a3b", "int4-g128"),
        ("amd/DeepSeek-R1-0528-MXFP4-Preview", "deepseek-r1", "mxfp4"),
        ("mistral-small3.2:24b", "mistral-small-3-24b", "q4_k_m"),
        ("llama4:scout", "llama-4-scout-17b-16e", "q4_k_m"),
        ("deepseek2 671B Q4_K - Medium", "deepseek-v3", "q4_k_m"),
        ("glm4moe 106B.A12B Q4_K - Medium", "glm-4.5-air", "q4_k_m"),
    ],
)
def test_models_are_found_as_publishers_name_them(printed, model, weights):
    made = Configuration(printed, "b200")

    assert made.labels["model"] == model
    assert made.labels["weight_format"] == weights


@pytest.mark.parametrize(
    "name",
    ["someone/entirely-else-8b-instruct", "qwen2.5vl:7b", "qwen3-33b", "llama-3.3-7b", "yi-35b"],
)
def test_other_models_are_not_found_and_none_is_suggested_in_their_place(name):
    with pytest.raises(InputError, match="unknown model") as refused:
        loader.load_model(name)

    assert "did you mean" not in str(refused.value)


def test_a_gguf_file_of_unknown_width_asks_for_the_format():
    with pytest.raises(InputError, match="published in 'gguf', which is not a weight format here"):
        Configuration("unsloth/DeepSeek-R1-GGUF", "b200", tp=8)
