"""Published checkpoints in their own format: names, bits and bytes."""

import copy
import json

import pytest

from catalog.importing.configs import CASES, IDENTITY, LLAMA, changed, faults_of, read
from perfcore.catalog import loader
from perfcore.catalog.importing.document import NotModelledError
from perfcore.catalog.importing.huggingface import from_config
from perfcore.catalog.native import as_published, native_format
from perfcore.catalog.parameters import active_parameter_count, parameter_count
from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError
from perfcore.physics.attention import kv_bytes_per_sequence
from perfcore.physics.weights import weight_bytes

QWEN_MOE = CASES["qwen3_moe"]["config"]
DEEPSEEK = CASES["deepseek_v3"]["config"]


def published_bytes(entry):
    form = loader.load_weight_format(native_format(entry))
    return weight_bytes(entry.record(), as_published(entry, form).record())


def quantised(base=LLAMA, **values):
    return read(changed(base, quantization_config=values))


def compressed(bits=4, kind="int", ignore=(), base=LLAMA, inputs=None, **weights):
    group = {"targets": ["Linear"], "weights": {"num_bits": bits, "type": kind, **weights}}
    if inputs:
        group["input_activations"] = {"num_bits": inputs}
    return {
        "base": base,
        "quant_method": "compressed-tensors",
        "config_groups": {"group_0": group},
        "ignore": list(ignore),
    }


ATTENTION = [f"model.layers.{n}.self_attn.{m}_proj" for n in range(32) for m in "qkvo"]
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic"}
QUARK = {"quant_method": "quark"}
TORCHAO = {"quant_method": "torchao"}
HQQ = {"nbits": 4, "group_size": 64}

# Each: what a file says, and (native_dtype, weight format, wide_attention, wide_ffn, wide_experts).
FORMATS = {
    "gptq": ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "int4", "int4-g128-gptq"),
    "gptq 32": ({"quant_method": "gptq", "bits": 4, "group_size": 32}, "int4", "int4-g32"),
    "gptq 8": ({"quant_method": "gptq", "bits": 8, "group_size": 128}, "int8", "int8"),
    "gptq 3": ({"quant_method": "gptq", "bits": 3, "group_size": 128}, "int3", "int4-g128"),
    "gptq 2": ({"quant_method": "gptq", "bits": 2, "group_size": 64}, "int2", "int4-g128"),
    "gptq, dynamic": (
        {
            "quant_method": "gptq",
            "bits": 4,
            "group_size": 128,
            "dynamic": {r"-:.*self_attn.*": {}},
        },
        "int4",
        "int4-g128-gptq",
        1.0,
    ),
    "awq": ({"quant_method": "awq", "bits": 4, "group_size": 128}, "int4", "int4-g128-awq"),
    "awq, w_bit": ({"quant_method": "awq", "w_bit": 4, "q_group_size": 64}, "int4", "int4-g64"),
    "awq, modules": (
        {
            "quant_method": "awq",
            "bits": 4,
            "group_size": 128,
            "modules_to_not_convert": ["self_attn"],
        },
        "int4",
        "int4-g128-awq",
        1.0,
    ),
    "auto-round": (
        {"quant_method": "auto-round", "bits": 4, "group_size": 128, "data_type": "int"},
        "int4",
        "int4-g128",
    ),
    "auto-round, mxfp4": (
        {"quant_method": "auto-round", "bits": 4, "group_size": 32, "data_type": "mx_fp"},
        "mxfp4",
        "mxfp4",
    ),
    "auto-round, nvfp4": (
        {"quant_method": "auto-round", "bits": 4, "group_size": 16, "data_type": "nv_fp"},
        "nvfp4",
        "nvfp4",
    ),
    "auto-round, layers": (
        {
            "quant_method": "auto-round",
            "bits": 4,
            "group_size": 128,
            "extra_config": {r".*self_attn.*": {"bits": 16}},
        },
        "int4",
        "int4-g128",
        1.0,
    ),
    "bitsandbytes 4": ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "nf4", "nf4"),
    "bitsandbytes 8": ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8", "int8"),
    "bitsandbytes, modules": (
        {
            "quant_method": "bitsandbytes",
            "load_in_4bit": True,
            "llm_int8_skip_modules": ["model.layers.0.mlp", "model.layers.31.mlp"],
        },
        "nf4",
        "nf4",
        0.0,
        2 / 32,
    ),
    "fp8": (FP8, "fp8", "fp8"),
    "fp8, blocks": ({**FP8, "weight_block_size": [128, 128]}, "fp8", "fp8-block128"),
    "fp8, modules": (
        {**FP8, "modules_to_not_convert": ["model.layers.1.mlp", "lm_head"]},
        "fp8",
        "fp8",
        0.0,
        1 / 32,
    ),
    "fp8, ignored": ({**FP8, "ignored_layers": ATTENTION}, "fp8", "fp8", 1.0),
    "fbgemm": (
        {"quant_method": "fbgemm_fp8", "modules_to_not_convert": ATTENTION},
        "fp8",
        "fp8",
        1.0,
    ),
    "modelopt fp8": ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8", "fp8"),
    "modelopt nvfp4": (
        {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["*self_attn*"]},
        "nvfp4",
        "nvfp4",
        1.0,
    ),
    "modelopt, no method": ({"quant_algo": "NVFP4"}, "nvfp4", "nvfp4"),
    "modelopt fp4": ({"quant_method": "modelopt_fp4", "quant_algo": "NVFP4"}, "nvfp4", "nvfp4"),
    "modelopt awq": (
        {"quant_method": "modelopt", "quant_algo": "W4A16_AWQ"},
        "int4",
        "int4-g128-awq",
    ),
    "modelopt blocks": (
        {"quant_method": "modelopt", "quant_algo": "FP8_PB_WO"},
        "fp8",
        "fp8-block128",
    ),
    "modelopt mxfp8": ({"quant_method": "modelopt", "quant_algo": "MXFP8"}, "mxfp8", "mxfp8"),
    "modelopt exclude": (
        {
            "quant_method": "modelopt",
            "quant_algo": "NVFP4",
            "exclude_modules": ["model.layers.0*", "lm_head"],
        },
        "nvfp4",
        "nvfp4",
        1 / 32,
        1 / 32,
    ),
    "modelopt mixed": (
        {
            "quant_method": "modelopt",
            "quant_algo": "MIXED_PRECISION",
            "quantized_layers": {
                f"model.layers.{n}.mlp.{m}_proj": {"quant_algo": "NVFP4"}
                for n in range(32)
                for m in ("gate", "up", "down")
            },
        },
        "nvfp4",
        "nvfp4",
        1.0,
    ),
    "compressed 4": (compressed(group_size=128), "int4", "int4-g128"),
    "compressed 32": (compressed(group_size=32), "int4", "int4-g32"),
    "compressed 8": (compressed(8), "int8", "int8"),
    "compressed w8a8": (compressed(8, inputs=8), "int8", "int8-w8a8"),
    "compressed fp8": (compressed(8, "float", inputs=8), "fp8", "fp8"),
    "compressed fp8 blocks": (
        compressed(8, "float", strategy="block", block_structure=[128, 128]),
        "fp8",
        "fp8-block128",
    ),
    "compressed nvfp4": (compressed(4, "float", group_size=16), "nvfp4", "nvfp4"),
    "compressed mxfp4": (compressed(4, "float", group_size=32), "mxfp4", "mxfp4"),
    "compressed, regex": (
        compressed(ignore=["re:.*self_attn.*", "lm_head"], group_size=128),
        "int4",
        "int4-g128",
        1.0,
    ),
    "compressed, experts": (
        compressed(ignore=["re:.*self_attn.*", "lm_head"], base=QWEN_MOE, group_size=32),
        "int4 experts",
        "int4-g32",
        1.0,
    ),
    "compressed, gate only": (
        compressed(ignore=["re:.*mlp.gate$"], base=QWEN_MOE, group_size=32),
        "int4",
        "int4-g32",
    ),
    "compressed, layers": (
        compressed(8, "float", ["re:.*layers\\.(0|1)\\..*"]),
        "fp8",
        "fp8",
        2 / 32,
        2 / 32,
    ),
    "quark mxfp4": (
        {**QUARK, "global_quant_config": {"weight": {"dtype": "fp4", "group_size": 32}}},
        "mxfp4",
        "mxfp4",
    ),
    "quark fp8": (
        {
            **QUARK,
            "global_quant_config": {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}},
            "exclude": ["*self_attn*"],
        },
        "fp8",
        "fp8",
        1.0,
    ),
    "quark int4": (
        {**QUARK, "global_quant_config": {"weight": {"dtype": "int4", "group_size": 128}}},
        "int4",
        "int4-g128",
    ),
    "mxfp4": ({"base": QWEN_MOE, "quant_method": "mxfp4"}, "mxfp4 experts", "mxfp4"),
    "torchao int4": (
        {
            **TORCHAO,
            "quant_type": {
                "default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}}
            },
        },
        "int4",
        "int4-g128",
    ),
    "torchao text": ({**TORCHAO, "quant_type": "int8_weight_only"}, "int8", "int8"),
    "torchao w8a8": (
        {**TORCHAO, "quant_type": "int8_dynamic_activation_int8_weight"},
        "int8",
        "int8-w8a8",
    ),
    "torchao fp8": (
        {
            **TORCHAO,
            "quant_type": {"default": {"_type": "Float8DynamicActivationFloat8WeightConfig"}},
        },
        "fp8",
        "fp8",
    ),
    "hqq": (
        {"quant_method": "hqq", "quant_config": {"weight_quant_params": HQQ}},
        "int4",
        "int4-g64",
    ),
    "hqq, skipped": (
        {
            "quant_method": "hqq",
            "quant_config": {"weight_quant_params": HQQ},
            "skip_modules": ["lm_head", "self_attn"],
        },
        "int4",
        "int4-g64",
        1.0,
    ),
    "mlx": ({"group_size": 64, "bits": 4}, "int4", "int4-g128"),
    "mlx 8": ({"group_size": 64, "bits": 8}, "int8", "int8"),
    "mlx mxfp4": ({"group_size": 32, "bits": 4, "mode": "mxfp4"}, "mxfp4", "mxfp4"),
    "exl2": ({"quant_method": "exl2", "bits": 4.65}, "exl2 4.65 bit", "int4-g128"),
    "exl3": ({"quant_method": "exl3", "bits": 3.0}, "exl3 3 bit", "int4-g128"),
    "nvfp4": ({"quant_method": "nvfp4"}, "nvfp4", "nvfp4"),
    "mxfp8": ({"quant_method": "mxfp8"}, "mxfp8", "mxfp8"),
    "fp8, blocks of 32": ({**FP8, "weight_block_size": [1, 32]}, "mxfp8", "mxfp8"),
    "fp8, square blocks": ({**FP8, "weight_block_size": [32, 32]}, "fp8", "fp8-block128"),
    "fouroversix": ({"quant_method": "fouroversix", "dtype": "nvfp4"}, "nvfp4", "nvfp4"),
    "sinq": ({"quant_method": "sinq", "nbits": 4, "group_size": 64}, "int4", "int4-g64"),
    "gemma 8": ({"quant_method": "gemma", "num_bits": 8}, "int8", "int8"),
    "bitnet": ({"quant_method": "bitnet"}, "ternary", "int4-g128"),
    "bitnet online": (
        {"quant_method": "bitnet", "quantization_mode": "online"},
        "bf16",
        "bf16",
    ),
    "w8a8_int8": ({"quant_method": "w8a8_int8"}, "int8", "int8-w8a8"),
    "mistral": ({"qformat_weight": "fp8_e4m3", "qscheme_act": "TENSOR"}, "fp8", "fp8"),
    "modelopt, cache only": (
        {"quant_method": "modelopt", "quant_algo": None, "kv_cache_quant_algo": "FP8"},
        "bf16",
        "bf16",
    ),
    "compressed, two schemes": (
        {
            "quant_method": "compressed-tensors",
            "config_groups": {
                "group_0": {
                    "targets": ["re:.*self_attn.*"],
                    "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
                },
                "group_1": {
                    "targets": ["re:.*mlp.*"],
                    "weights": {"num_bits": 4, "type": "float", "group_size": 16},
                },
            },
        },
        "nvfp4",
        "nvfp4",
    ),
    "quark, in steps": (
        {
            **QUARK,
            "global_quant_config": {
                "weight": [{"dtype": "fp8_e4m3"}, {"dtype": "int4", "group_size": 128}]
            },
        },
        "int4",
        "int4-g128",
    ),
    "torchao, intx": (
        {
            **TORCHAO,
            "quant_type": {
                "default": {
                    "_type": "Int8DynamicActivationIntxWeightConfig",
                    "_data": {
                        "weight_dtype": {"_type": "torch.dtype", "_data": "int4"},
                        "weight_granularity": {"_type": "PerGroup", "_data": {"group_size": 32}},
                    },
                }
            },
        },
        "int4",
        "int4-g32",
    ),
    "torchao, by name": (
        {
            **TORCHAO,
            "quant_type": {
                "default": {
                    "_type": "FqnToConfig",
                    "_data": {
                        "fqn_to_config": {
                            "re:.*self_attn.*": None,
                            "_default": {"_type": "Float8WeightOnlyConfig", "_data": {}},
                        }
                    },
                }
            },
        },
        "fp8",
        "fp8",
        1.0,
    ),
    "eetq": ({"quant_method": "eetq"}, "int8", "int8"),
    "quanto": ({"quant_method": "quanto", "weights": "int8"}, "int8", "int8"),
    "aqlm": (
        {"quant_method": "aqlm", "num_codebooks": 1, "nbits_per_codebook": 16, "in_group_size": 8},
        "aqlm 2 bit",
        "int4-g128",
    ),
    "fp_quant": ({"quant_method": "fp_quant", "forward_dtype": "nvfp4"}, "nvfp4", "nvfp4"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_method_is_read(name):
    given_values, dtype, form, *shares = FORMATS[name]
    values = dict(given_values)
    entry = quantised(values.pop("base", LLAMA), **values)
    wide = (entry.wide_attention, entry.wide_ffn)

    assert entry.native_dtype == dtype
    assert native_format(entry) == form
    assert wide == pytest.approx((*shares, 0.0, 0.0)[:2])
    assert entry.wide_experts == 0.0
    assert Configuration(entry, "b200").entries.weight_format.name == form


@pytest.mark.parametrize(
    "values",
    [
        {"quant_method": "of tomorrow"},
        {"quant_method": "modelopt", "quant_algo": "W2A2"},
        {"quant_method": "compressed-tensors", "config_groups": {}},
        {"quant_method": "torchao", "quant_type": "ternary"},
        {"bits": 7, "group_size": 64},
        {"quant_method": "exl2"},
        {"quant_method": "spqr", "bits": 3},
        {"quant_method": "bitsandbytes"},
        {"quant_method": "fouroversix", "dtype": "fp2"},
        {"qformat_weight": "fp2"},
    ],
)
def test_what_is_not_understood_is_said(values):
    entry = quantised(**values)

    assert entry.native_dtype == "unknown"
    assert "is not understood" in entry.notes
    with pytest.raises(InputError, match="which is not a weight format here; give one"):
        Configuration(entry, "b200")
    assert Configuration(entry, "b200", weight_format="fp8").evaluate().tpot_s > 0.0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {
                "quant_method": "auto-round",
                "bits": 2,
                "group_size": 128,
                "extra_config": {"model.layers.0.mlp.down_proj": {"bits": 4}},
            },
            "1 rules of extra_config with other bits are not read",
        ),
        (
            {"quant_method": "gptq", "bits": 4, "group_size": 128, "lm_head": True},
            "lm_head is quantised",
        ),
        (
            {"quant_method": "gemma", "quantize_embeddings": True},
            "embeddings are quantised, and counted at 16 bits",
        ),
        (
            {
                **{key: value for key, value in compressed().items() if key != "base"},
                "sparsity_config": {"format": "sparse-24-bitmask"},
            },
            "sparsity (sparse-24-bitmask) is not counted",
        ),
        (
            {"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"},
            "only the KV cache is quantised",
        ),
    ],
)
def test_what_is_counted_otherwise_is_said(values, words):
    assert words in quantised(**values).notes


def test_keys_of_a_quantisation_that_are_not_known_are_said():
    entry = quantised(**FP8, modules_left_alone=["model.layers.0"])

    assert "not read, of the quantisation: modules_left_alone" in entry.notes
    for name, (values, *_) in FORMATS.items():
        given_values = {key: value for key, value in values.items() if key != "base"}
        assert "of the quantisation" not in quantised(**given_values).notes, name


def test_output_matrices_may_have_bits_of_their_own():
    """ExLlama: 4 bits, an output matrix of 6 bits and an embedding of 16, which make 11 each."""
    entry = quantised(quant_method="exl3", bits=4.0, head_bits=6)
    tied = quantised({**LLAMA, "tie_word_embeddings": True}, quant_method="exl3", bits=4.0)

    assert entry.own_embedding_bits == 11.0
    assert tied.own_embedding_bits == 16.0


def test_bits_that_no_format_has_are_the_file_s():
    """MLX, 4 bits in groups of 64: a scale and a bias of 16 bits each make 4.5 bits a weight."""
    entry = quantised(group_size=64, bits=4)
    matrices = parameter_count(entry) - entry.record().other_elements

    assert published_bytes(entry) == pytest.approx(
        matrices * 4.5 / 8 + 2 * entry.record().other_elements
    )


# Bytes of published checkpoints


def test_attention_of_an_nvfp4_checkpoint_may_be_wide():
    """Gemma 4 31B: FFNs 60 x 3 x 5376 x 21504 at 4.5 bits, the rest of 30.7e9 at 16."""
    entry = loader.load_model("gemma-4-31b").model_copy(update={"wide_attention": 1.0})
    made = Configuration(entry, "rtx-pro-6000", weight_format="nvfp4", tp=1)

    assert made.evaluate().weight_bytes_per_device == pytest.approx(31.48e9, rel=1e-3)
    assert Configuration(entry, "rtx-5090", weight_format="nvfp4", tp=1).remedy


def test_layers_of_an_fp8_checkpoint_may_be_wide():
    """Llama 3.1 405B FP8: attention and the FFNs of 2 of 126 layers in 16 bits, 487.2 GB."""
    config = {
        **LLAMA,
        "hidden_size": 16_384,
        "intermediate_size": 53_248,
        "num_attention_heads": 128,
        "num_hidden_layers": 126,
        "quantization_config": {
            "quant_method": "fbgemm_fp8",
            "modules_to_not_convert": [
                *(f"model.layers.{n}.self_attn.{m}_proj" for n in range(126) for m in "qkvo"),
                *(
                    f"model.layers.{n}.mlp.{m}_proj"
                    for n in (0, 125)
                    for m in ("gate", "up", "down")
                ),
            ],
        },
    }
    made = Configuration(read(config), "h100-sxm", tp=8, weight_format="fp8")

    assert made.evaluate().weight_bytes_per_device == pytest.approx(60.9e9, rel=1e-3)


LATENT = ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj")


@pytest.mark.parametrize(
    ("name", "values", "shares"),
    [
        # q, k, v of widths 4096, 1024 and 1024 beside o of 4096 (Llama 3.1 8B)
        ("llama", {"ignore": ["*o_proj"]}, (0.4, 0.0, 0.0, 0.0)),
        # DeepSeek-V3: o has 16384 x 7168 = 117.4e6 of the 187.1e6 weights of a layer's attention
        ("deepseek_v3", {"ignore": list(LATENT)}, (69_664_768 / 187_105_280, 0.0, 0.0, 0.0)),
        # Gemma 4: mlp is the dense FFN beside the experts
        (
            "gemma4, experts beside a dense FFN",
            {"ignore": ["model.language_model.layers.*.mlp*"]},
            (0.0, 1.0, 0.0, 0.0),
        ),
        # Kimi Linear: delta attention is called self_attn, too
        ("kimi_linear", {"ignore": ["re:.*self_attn.*"]}, (1.0, 0.0, 0.0, 0.0)),
        # Nemotron-H has no gates; a layer is a mixer or an FFN
        (
            "nemotron_h, experts",
            {
                "quant_algo": "MIXED_PRECISION",
                "quantized_layers": {
                    f"backbone.layers.{n}.mixer.{module}": {"quant_algo": algorithm}
                    for n in range(60)
                    for modules, algorithm in (
                        (("in_proj", "out_proj"), "FP8"),
                        (("experts.0.up_proj", "experts.0.down_proj"), "NVFP4"),
                        (("shared_experts.up_proj", "shared_experts.down_proj"), "NVFP4"),
                    )
                    for module in modules
                },
            },
            (None, 0.0, 0.0, 0.0),
        ),
    ],
)
def test_shares_are_of_weights_where_modules_are_called_so(name, values, shares):
    found = {"quant_method": "modelopt", "quant_algo": "NVFP4", **values}
    entry = quantised(CASES[name]["config"], **found)
    wide = (entry.wide_attention, entry.wide_ffn, entry.wide_shared_experts, entry.wide_experts)

    assert entry.native_dtype.startswith("nvfp4")
    for share, expected in zip(wide, shares, strict=True):
        assert share == pytest.approx(expected) if expected is not None else 0.0 < share < 0.5


def test_mxfp4_experts_are_computed_as_published():
    """gpt-oss-120b: 114.7e9 x 4.25 / 8 + 2.13e9 x 2 bytes; one device of 80 GB holds it."""
    config = changed(
        CASES["gpt_oss"]["config"],
        quantization_config={"quant_method": "mxfp4"},
        num_hidden_layers=36,
        num_local_experts=128,
        layer_types=["sliding_attention", "full_attention"] * 18,
    )
    made = Configuration(read(config), "h100-sxm")

    assert made.entries.weight_format.name == "mxfp4"
    assert made.evaluate().weight_bytes_per_device == pytest.approx(65.19e9, rel=1e-3)
    assert made.evaluate().status == 0.0
    named = Configuration("gpt-oss-120b", "h100-sxm", weight_format="mxfp4 experts")
    assert named.entries.weight_format.name == "mxfp4"


def test_quantisation_may_stand_in_a_file_beside(tmp_path):
    beside = {
        "producer": {"name": "modelopt"},
        "quantization": {
            "quant_algo": "NVFP4",
            "kv_cache_quant_algo": "FP8",
            "exclude_modules": ["lm_head", "model.layers.*.self_attn*"],
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(QWEN_MOE))
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(beside))
    entry = loader.load_model(str(tmp_path))

    assert entry.native_dtype == "nvfp4 experts"
    assert entry.wide_attention == 1.0
    assert "KV cache in FP8" in entry.notes
    assert "read from hf_quant_config.json" in entry.notes


# Fields of other names, and what is left out


def test_experts_may_be_counted_under_another_name():
    config = changed(DEEPSEEK, n_routed_experts=...)
    renamed = {**config, "num_routed_experts": 256}

    assert parameter_count(read(renamed)) == parameter_count(read(DEEPSEEK))
    assert any("lacks num_experts" in fault for fault in faults_of(config))


def test_routed_experts_may_work_at_a_width_of_their_own():
    """Kimi K3: 92 layers x 896 experts x 3 x 3584 x 3072 routed parameters, 2.78e12 in all."""
    linear = {
        "full_attn_layers": [*range(4, 93, 4), 93],
        "kda_layers": [n for n in range(1, 93) if n % 4],
        "head_dim": 128,
        "num_heads": 96,
        "short_conv_kernel_size": 4,
    }
    inner = {
        **changed(DEEPSEEK, n_routed_experts=..., n_shared_experts=..., model_type="kimi_linear"),
        "num_hidden_layers": 93,
        "intermediate_size": 33_792,
        "num_attention_heads": 96,
        "first_k_dense_replace": 1,
        "num_experts": 896,
        "num_experts_per_tok": 16,
        "num_shared_experts": 2,
        "moe_intermediate_size": 3072,
        "routed_expert_hidden_size": 3584,
        "linear_attn_config": linear,
        "vocab_size": 163_840,
    }
    entry = read({"model_type": "kimi_k3", "text_config": inner})

    assert parameter_count(entry) == pytest.approx(2.78e12, rel=5e-3)

    inner |= {
        "mla_use_output_gate": True,
        "latent_moe_use_norm": True,
        "linear_attn_config": {**linear, "use_full_rank_gate": True},
    }
    known = loader.load_model("kimi-k3")
    entry = read({"model_type": "kimi_k3", "text_config": inner})
    assert parameter_count(entry) == parameter_count(known)
    assert active_parameter_count(entry) == active_parameter_count(known)
    inner["linear_attn_config"] = linear
    (fault,) = faults_of({"model_type": "kimi_k3", "text_config": inner})
    assert "gates in some kinds of layers only" in fault


def test_layers_that_share_a_cache_are_refused():
    config = changed(CASES["hunyuan_v1_moe"]["config"], use_cla=True, cla_share_factor=2)

    assert "use_cla: layers that share a KV cache are not modelled" in faults_of(config)[0]
    assert read({**config, "use_cla": False}).num_hidden_layers == config["num_hidden_layers"]


def test_layers_may_be_listed_and_not_counted():
    known = CASES["nemotron_h, experts"]["config"]
    names = {"M": "mamba", "*": "attention", "E": "moe"}
    listed = [names[letter] for letter in known["hybrid_override_pattern"]]
    config = changed(
        known, hybrid_override_pattern=..., num_hidden_layers=..., layers_block_type=listed
    )

    assert read(config).record() == read(known).record()


def test_inner_objects_leave_out_defaults_of_their_class():
    """Gemma 2 9B inside PaliGemma 2: heads of 256, not 3584 / 16; 9,246,064,128 parameters."""
    inner = {
        "model_type": "gemma2",
        "hidden_size": 3584,
        "intermediate_size": 14_336,
        "num_hidden_layers": 42,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "vocab_size": 257_216,
    }
    entry = read({"model_type": "paligemma", "text_config": inner, "vision_config": {"a": 1}})
    cache = loader.load_kv_format("bf16").record()

    assert parameter_count(entry) == 9_246_064_128
    assert kv_bytes_per_sequence(entry.record(), cache, 1.0) == 344_064
    assert "head_dim = 256" in entry.notes
    assert entry.left_out == "vision tower"


@pytest.mark.parametrize(
    ("scaling", "context"),
    [
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}, 131_072),
        ({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}, 131_072),
        ({"type": "linear", "factor": 2.0}, 81_920),
        ({"type": "dynamic", "factor": 2.0}, 81_920),
        ({"rope_type": "llama3", "factor": 8.0}, 40_960),
        ({"rope_type": "default"}, 40_960),
    ],
)
def test_scaled_positions_lengthen_the_context(scaling, context):
    config = changed(LLAMA, max_position_embeddings=40_960, rope_scaling=scaling)

    assert read(config).max_position_embeddings == context


def test_a_vision_tower_is_said_where_memory_is():
    inner = {**CASES["qwen3"]["config"], "model_type": "qwen3_vl_text"}
    entry = read({"model_type": "qwen3_vl", "text_config": inner, "vision_config": {"depth": 27}})

    assert "without the model's vision tower" in Configuration(entry, "h100-sxm").remarks


@pytest.mark.parametrize(
    "name",
    [
        "Qwen3ForSequenceClassification",
        "LlamaForTokenClassification",
        "Qwen2ForRewardModel",
        "MistralModel",
        "Gemma3TextModel",
    ],
)
def test_models_that_generate_nothing_are_refused(name):
    (fault,) = faults_of(changed(LLAMA, architectures=[name]))

    assert f"{name!r} generates no tokens" in fault


def test_params_json_is_read(tmp_path):
    """Mistral Nemo: 12,247,782,400 parameters."""
    path = tmp_path / "params.json"
    path.write_text(
        '{"dim": 5120, "n_layers": 40, "head_dim": 128, "hidden_dim": 14336, "n_heads": 32, '
        '"n_kv_heads": 8, "norm_eps": 1e-05, "vocab_size": 131072, "rope_theta": 1000000.0}'
    )

    assert parameter_count(loader.load_model(str(path))) == 12_247_782_400
    assert loader.load_model(str(tmp_path)).num_hidden_layers == 40
    moe = {"num_experts": 8, "num_experts_per_tok": 2}
    entry = from_config({**json.loads(path.read_text()), "moe": moe}, "it", IDENTITY)
    assert entry.num_experts == 8


MISTRAL_LARGE = {  # Mistral Large 3: 675e9 parameters, of which 2.5e9 see, and 39e9 active
    "dim": 7168,
    "n_layers": 61,
    "head_dim": 128,
    "hidden_dim": 16_384,
    "n_heads": 128,
    "n_kv_heads": 128,
    "norm_eps": 1e-6,
    "vocab_size": 131_072,
    "tied_embeddings": False,
    "max_position_embeddings": 294_912,
    "q_lora_rank": 1536,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "kv_lora_rank": 512,
    "v_head_dim": 128,
    "yarn": {"original_max_position_embeddings": 8192, "factor": 36},
    "moe": {
        "expert_parallel": 1,
        "route_every_n": 1,
        "first_k_dense_replace": 3,
        "num_experts": 128,
        "num_experts_per_tok": 4,
        "expert_hidden_dim": 4096,
        "num_shared_experts": 1,
    },
    "vision_encoder": {"hidden_size": 1664},
}


def test_params_json_of_a_model_with_latent_attention():
    entry = read(MISTRAL_LARGE)
    layer = 187_107_328  # of attention, with norms of queries and keys
    experts = 3 * 7168 * 4096

    assert parameter_count(entry) == (
        61 * (layer + 2 * 7168)
        + 3 * 3 * 7168 * 16_384
        + 58 * (129 * experts + 7168 * 128)
        + 2 * 131_072 * 7168
        + 7168
    )
    assert active_parameter_count(entry) == pytest.approx(39e9, rel=1e-3)
    assert entry.max_position_embeddings == 294_912
    assert entry.left_out == "vision tower"
    quantised_file = {**MISTRAL_LARGE, "quantization": {"qformat_weight": "fp8_e4m3"}}
    assert read(quantised_file).native_dtype == "fp8"


def test_windows_of_a_params_json_may_alternate():
    values = {
        "dim": 4096,
        "n_layers": 36,
        "head_dim": 128,
        "hidden_dim": 12_288,
        "n_heads": 32,
        "n_kv_heads": 8,
        "vocab_size": 131_072,
        "_sliding_window": [None, 32_768, 32_768, 32_768],
        "max_seq_len": 131_072,
    }
    known = loader.load_model("ministral-8b")

    assert read(values).layers == known.layers
    assert read(values).sliding_window == 32_768
    (fault,) = faults_of({**values, "_sliding_window": [None, 1024, 4096]})
    assert "windows_of_layers: not read" in fault


def test_a_refusal_names_the_entry_of_the_catalogue(tmp_path):
    known = loader.load_model("deepseek-v4-flash")
    config = {
        "model_type": "deepseek_v4",
        "hidden_size": known.hidden_size,
        "num_hidden_layers": known.num_hidden_layers,
        "vocab_size": known.vocab_size,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))

    with pytest.raises(InputError, match="the catalogue has 'deepseek-v4-flash'"):
        loader.load_model(str(tmp_path))
    with pytest.raises(NotModelledError):
        read(config)


def test_indexed_layers_may_be_listed():
    config = CASES["deepseek_v32"]["config"]
    listed = ["indexed_attention"] * config["num_hidden_layers"]

    assert read({**config, "layer_types": listed}).record() == read(config).record()


def test_indexers_may_be_counted():
    """GLM-5.2: the first three layers have one, and then every fourth."""
    config = CASES["glm_moe_dsa"]["config"]
    kinds = [
        "full" if n < 3 or (n - 3) % 4 == 3 else "shared"
        for n in range(config["num_hidden_layers"])
    ]
    counted = {**config, "index_topk_freq": 4, "index_skip_topk_offset": 3}

    assert read({**counted, "indexer_types": kinds}).record() == read(counted).record()
    assert read(counted).record() != read(config).record()
    assert "index_topk_pattern: not modelled" in str(
        faults_of({**counted, "index_topk_pattern": "FS"})
    )


def test_sizes_of_absent_embeddings_are_no_reason_to_refuse():
    config = copy.deepcopy(CASES["gemma4"]["config"])
    config["text_config"] |= {"vocab_size_per_layer_input": 262_144, "num_kv_shared_layers": 0}

    assert read(config).record() == read(CASES["gemma4"]["config"]).record()


def test_drafts_are_no_models():
    (fault,) = faults_of({**LLAMA, "num_hidden_layers": 1, "draft_vocab_size": 32_000})

    assert "draft_vocab_size: not read" in fault


def test_the_thinker_of_an_omni_model_is_read():
    inner = {**CASES["qwen3_moe"]["config"], "model_type": "qwen3_omni_moe_text"}
    thinker = {
        "model_type": "qwen3_omni_moe_thinker",
        "text_config": inner,
        "vision_config": {"depth": 27},
        "audio_config": {"d_model": 1280},
    }
    entry = read(
        {
            "model_type": "qwen3_omni_moe",
            "thinker_config": thinker,
            "talker_config": {"a": 1},
            "code2wav_config": {"a": 1},
            "dtype": "bfloat16",
        }
    )

    assert entry.record() == read(CASES["qwen3_moe"]["config"]).record()
    assert entry.left_out == "vision tower, audio tower, talker, vocoder"


def test_deepseek_without_latent_attention():
    """DeepSeek-OCR's text model: 2.93e9 parameters, 0.57e9 active."""
    config = {
        "model_type": "deepseek_v2",
        "use_mla": False,
        "hidden_size": 1280,
        "num_hidden_layers": 12,
        "num_attention_heads": 10,
        "num_key_value_heads": 10,
        "kv_lora_rank": None,
        "qk_rope_head_dim": 0,
        "intermediate_size": 6848,
        "moe_intermediate_size": 896,
        "n_routed_experts": 64,
        "n_shared_experts": 2,
        "num_experts_per_tok": 6,
        "first_k_dense_replace": 1,
        "vocab_size": 129_280,
    }
    entry = read(config)

    assert entry.layers == {"F": 12}
    assert parameter_count(entry) == (
        12 * (4 * 1280**2 + 2 * 1280)
        + 3 * 1280 * 6848
        + 11 * (66 * 3 * 1280 * 896 + 64 * 1280)
        + 2 * 129_280 * 1280
        + 1280
    )


def test_ling_2_says_what_its_type_does_not():
    """Ling-mini-2.0, published as bailing_moe: 16.26e9 parameters."""
    config = {
        "model_type": "bailing_moe",
        "num_hidden_layers": 20,
        "hidden_size": 2048,
        "intermediate_size": 5120,
        "first_k_dense_replace": 1,
        "moe_intermediate_size": 512,
        "num_experts_per_tok": 8,
        "num_attention_heads": 16,
        "num_experts": 256,
        "num_key_value_heads": 4,
        "head_dim": 128,
        "num_shared_experts": 1,
        "vocab_size": 157_184,
        "moe_router_enable_expert_bias": True,
        "use_qk_norm": True,
        "moe_shared_expert_intermediate_size": 512,
    }
    entry = read(config)

    assert parameter_count(entry) == pytest.approx(16.26e9, rel=1e-3)
    assert (entry.qk_norm, entry.router_bias) == ("head-dim", True)
    wider = read({**config, "moe_shared_expert_intermediate_size": 1024})
    assert wider.shared_expert_intermediate_size == 1024


def test_keys_that_may_change_arithmetic_are_not_left_unread():
    (fault,) = faults_of({**LLAMA, "num_memory_experts": 64})
    entry = read({**LLAMA, "something_new": "on"})

    assert "num_memory_experts: not read for model_type 'llama'" in fault
    assert "not read: something_new" in entry.notes


def test_a_format_that_a_file_lost_is_said():
    config = {key: value for key, value in DEEPSEEK.items() if key != "quantization_config"}

    assert (
        "no quantization_config: bf16, though models of this type come in fp8" in read(config).notes
    )


def test_the_context_that_is_taken_of_two_is_said():
    config = {**LLAMA, "max_position_embeddings": 32_768, "seq_length": 8192}

    assert "max_position_embeddings = 32768 is taken, not seq_length = 8192" in read(config).notes
