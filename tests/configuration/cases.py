"""Configurations that run and those that cannot, through the command and as objects."""

import pytest
from click.testing import CliRunner

from perfcore.cli import program
from perfcore.configuration.configuration import Configuration

CASES = {
    "tensor parallel": ("llama-3-70b", "h100-sxm", {"tp": 8, "weight_format": "fp8", "batch": 16}),
    "one device": ("llama-3-8b", "h100-sxm", {}),
    "gguf": ("llama-3-8b", "m3-ultra", {"weight_format": "q4_0"}),
    "spatial": ("llama-3-70b", "groq-lpu", {"pp": 576, "weight_format": "fp8"}),
    "offloaded": ("llama-3-70b", "gh200-96gb", {"offload": "weights"}),
    "owned": ("llama-3-8b", "inferentia2", {"economics": "owned"}),
    "server": (
        "deepseek-v3",
        "h200-sxm",
        {
            "tp": 2,
            "dp": 8,
            "ep": 16,
            "batch": 400,
            "weight_format": "fp8",
            "scheduler": "continuous",
            "prefix_hit": 0.5,
            "draft_len": 2,
            "acceptance": 0.8,
        },
    ),
    "what if": (
        "llama-3-8b",
        "tpu-v5p",
        {"tp": 2, "overrides": {"device.memory_bandwidth": {"scale": 2}}},
    ),
}
REFUSED = {
    "weights do not fit": ("llama-3-70b", "h100-sxm", {"tp": 1}),
    "heads not divisible by tp": ("llama-3-70b", "h100-sxm", {"tp": 7}),
    "fewer layers than pp": ("llama-3-70b", "h100-sxm", {"pp": 99}),
    "experts cannot be spread over ep": ("mixtral-8x7b", "h100-sxm", {"tp": 8, "ep": 3}),
    "context above the model's maximum": ("llama-3-70b", "b200", {"tp": 8, "input_len": "1M"}),
    "kv cache does not fit": ("llama-3-70b", "h100-sxm", {"tp": 8, "batch": 10_000}),
}
EIGHT_FP8 = ["llama-3-70b", "h100-sxm", "--tp", "8", "--weight-format", "fp8", "--batch", "16"]


def made(case):
    model, device, options = case
    return Configuration(model, device, **options)


def arguments(case):
    model, device, options = case
    told = [model, device]
    for name, value in options.items():
        if name == "overrides":
            for key, change in value.items():
                told += ["--set", f"{key}={{scale={change['scale']}}}"]
        else:
            told += [f"--{name.replace('_', '-')}", str(value)]
    return told


def invoke(*given, **env):
    result = CliRunner().invoke(program, [str(argument) for argument in given], env=env)

    assert result.exit_code == 0, result.output
    return result.stdout


def point(*given, **env):
    return invoke("point", *given, **env)


every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
