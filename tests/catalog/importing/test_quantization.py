"""Formats of weights beside a config.json."""

import pytest

from catalog.importing.configs import CASES, LLAMA, changed, read


@pytest.mark.parametrize(
    ("quantisation", "dtype"),
    [
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4 experts"),
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 8}, "int8"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "nf4"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int"}}},
                "ignore": ["re:.*self_attn.*", "lm_head"],
            },
            "int4",
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}},
            },
            "fp8",
        ),
        ({"quant_method": "something new"}, "unknown"),
    ],
)
def test_quantisation_is_a_hint(quantisation, dtype):
    assert read(changed(LLAMA, quantization_config=quantisation)).native_dtype == dtype


def test_only_the_modules_that_a_block_lists_are_quantised():
    attention = [["self_attn.q_proj", "self_attn.k_proj"], ["self_attn.v_proj", "self_attn.o_proj"]]
    gptq = {"quant_method": "gptq", "bits": 4, "modules_in_block_to_quantize": attention}
    experts = {"quant_method": "experts_int8"}

    entry = read(changed(LLAMA, quantization_config=gptq))
    assert (entry.wide_attention, entry.wide_ffn) == (0.0, 1.0)
    entry = read(changed(CASES["qwen3_moe"]["config"], quantization_config=experts))
    assert (entry.native_dtype, entry.wide_attention, entry.wide_experts) == ("int8 experts", 1, 0)


def test_weights_of_which_two_of_four_are_stored_are_told():
    weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}
    sparse = {
        "quant_method": "compressed-tensors",
        "format": "marlin-24",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
    }

    assert (
        "sparsity (marlin-24) is not counted"
        in read(changed(LLAMA, quantization_config=sparse)).notes
    )
