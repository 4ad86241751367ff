"""Models and devices by what tools call them."""

from collections import defaultdict

import pytest

from accuracy.importing.samples import LLAMA, SERVE, WHERE, faults_of
from perfcore.accuracy.importing.names import Names
from perfcore.catalog import loader
from perfcore.catalog.printed import words


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA A100-SXM4-80GB", "a100-80gb-sxm"),
        ("NVIDIA A100 80GB PCIe", "a100-80gb-pcie"),
        ("NVIDIA H200", "h200-sxm"),
        ("NVIDIA B200", "b200"),
        ("NVIDIA L40S", "l40s"),
        ("Tesla T4", "t4"),
        ("Tesla V100-SXM2-32GB", "v100-sxm-32gb"),
        ("NVIDIA RTX A6000", "rtx-a6000"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "rtx-pro-6000-server"),
        ("NVIDIA GeForce RTX 5090", "rtx-5090"),
        ("NVIDIA GB10", "dgx-spark"),
        ("AMD Instinct MI300X", "mi300x"),
        ("AMD Radeon RX 7900 XTX (RADV NAVI31)", "rx-7900-xtx"),
        ("Apple M3 Max", "m3-max"),
        ("Intel(R) Xeon(R) 6972P", "xeon-6972p"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", ""),
        ("NVIDIA GeForce RTX 4080 SUPER", ""),
        ("NVIDIA Graphics Device", ""),
        ("", ""),
    ],
)
def test_devices_by_what_drivers_call_them(text, name):
    assert Names().device(text) == name


def test_no_two_devices_have_the_same_words():
    owners = defaultdict(set)
    for name in loader.names("device"):
        entry = loader.load_device(name)
        for spelling in (name, *entry.aliases, entry.title):
            owners[words(spelling)].add(name)

    assert {words: found for words, found in owners.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("text", "parameters", "name"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", None, "llama-3.1-8b"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic", None, "llama-3.1-8b"),
        ("neuralmagic/Meta-Llama-3.1-70B-Instruct-quantized.w8a8", None, "llama-3.1-70b"),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", None, "qwen2.5-7b"),
        ("/models/Qwen3-8B-AWQ/", None, "qwen3-8b"),
        ("llama-2-7b-chat.Q4_K_M.gguf", 6738415616, "llama-2-7b"),
        ("google_gemma-3-27b-it-Q4_K_M.gguf", 27009346304, "gemma-3-27b"),
        ("C:\\m\\Qwen2.5-7B-Instruct-UD-Q4_K_XL-00001-of-00002.gguf", 7615616512, "qwen2.5-7b"),
        ("Llama-3.1-8B-Instruct/ggml-model-f16.gguf", 8030261248, "llama-3.1-8b"),
        ("Llama-3.1-8B-Instruct.Q8_0.gguf", 3e9, ""),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", None, "qwen2.5-7b"),  # its shapes
        ("TinyLlama/Another-1B", None, ""),
        ("my-model", None, ""),
        ("", None, ""),
        ("../models.toml:llama-3.1-8b", None, ""),
    ],
)
def test_models_by_what_files_call_them(text, parameters, name):
    assert Names().model(text, parameters) == name


@pytest.mark.parametrize("model", ["a/Llama-3.1-8B-Instruct-FP8", "openai/gpt-oss-20b"])
def test_sixteen_bits_are_not_assumed_of_a_narrow_model(save, model):
    (line,) = faults_of(save(SERVE | {"model_id": model}), **WHERE, model="llama-3.1-8b")

    assert line.startswith("weight_format is not stated, ")
    assert line.endswith("add given={'weight_format': 'fp8'}")


@pytest.mark.parametrize(
    ("sample", "more", "line"),
    [
        (
            SERVE,
            {"model_id": "x"},
            "model 'x' is not in the catalogue; add given={'model': 'NAME'}",
        ),
        (
            LLAMA,
            {"gpu_info": "NVIDIA GeForce RTX 4080 SUPER"},
            "hardware 'NVIDIA GeForce RTX 4080 SUPER'",
        ),
        (LLAMA, {"gpu_info": "NVIDIA L4, NVIDIA T4"}, "hardware 'l4, t4'"),
        (LLAMA, {"model_type": "llama 8B Z9"}, "weight_format 'llama 8B Z9'"),
        (LLAMA, {"type_k": "q5_1", "type_v": "q5_1"}, "kv_format 'q5_1'"),
    ],
)
def test_unknown_names_are_said_with_the_remedy(save, sample, more, line):
    (found,) = faults_of(save([sample | more, sample | more]), **({} if sample is LLAMA else WHERE))

    assert found.startswith(line)
    assert "lists all)" in found


def test_the_nearest_device_is_named_only_if_a_number_is_shared():
    names = Names()

    assert names.near_device("NVIDIA A100-PCIE-40GB") == "a100-40gb-sxm"
    assert names.near_device("NVIDIA GeForce RTX 4090 Laptop GPU") == ""
    assert names.near_device("NVIDIA Graphics Device") == ""
    assert names.device("AMD Radeon Graphics (RADV GFX1151)") == "strix-halo"
