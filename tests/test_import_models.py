"""Models from config.json files and GGUF headers: right to the parameter, and safe to read.

``data/hf_configs.json`` has one config.json a line, written from public knowledge, and which model
of the catalogue it is ("like") or how many parameters were published ("params", "within", with its
source).
"""

import copy
import json
import os
import re
import struct
import sys
import tomllib
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import perfcore
from perfcore.catalog import loader
from perfcore.catalog.importing import architectures, rules
from perfcore.catalog.importing.document import read_json
from perfcore.catalog.importing.gguf import from_gguf
from perfcore.catalog.importing.huggingface import from_config
from perfcore.catalog.meanings import DEVICE, MODEL
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.parameters import parameter_count
from perfcore.catalog.schema import DeviceEntry
from perfcore.catalog.writing import added, entry_table, table_text, toml_value
from perfcore.cli import program
from perfcore.errors import InputError
from perfcore.testing import model_entries

CASES = json.loads((Path(__file__).parent / "data" / "hf_configs.json").read_text("utf-8"))
IDENTITY = {"name": "it", "source": "a test"}
LLAMA = CASES["llama"]["config"]


def read(config, place="config.json"):
    return from_config(config, place, IDENTITY)


def changed(config, **changes):
    """Return a copy of a config; a field that is set to ``...`` is left out."""
    merged = {**copy.deepcopy(config), **changes}
    return {key: value for key, value in merged.items() if value is not ...}


def faults_of(config):
    with pytest.raises(InputError) as caught:
        read(config)
    return caught.value.faults


def assert_model_or_faults(importing, place):
    """Whatever is read ends in a model that can be computed with, or in lines that name it."""
    faults = ()
    try:
        entry = importing()
    except InputError as error:
        faults = error.faults
    if faults:
        assert all(fault.startswith(place) for fault in faults)
        assert not any("\n" in fault for fault in faults)
    else:
        assert isinstance(entry, ModelEntry)
        assert all(value >= 0 for value in entry.record())


# Published configurations


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "like" in case])
def test_config_is_the_model_of_the_catalogue(name):
    """Not the parameter count only: bytes, FLOP and cache of every operator."""
    case = CASES[name]
    entry, known = read(case["config"]), loader.load_model(case["like"])
    ours, theirs = entry.record(), known.record()
    if not entry.max_position_embeddings:  # a state-space model says nothing about its context
        theirs = theirs._replace(max_context=ours.max_context)

    assert ours == theirs
    assert parameter_count(entry) == parameter_count(known)
    assert known.native_dtype.startswith(entry.native_dtype)
    assert not entry.estimated


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "params" in case])
def test_config_has_the_published_parameters(name):
    case = CASES[name]

    assert case["source"]
    assert parameter_count(read(case["config"])) == pytest.approx(
        case["params"], rel=case["within"] or 1e-12
    )


def test_configs_cover_many_model_types():
    types = {case["config"]["model_type"] for case in CASES.values()}

    assert len(types) >= 30
    assert len(types & set(architectures.ARCHITECTURES)) >= 60


def test_documentation_lists_every_model_type():
    text = (Path(__file__).parent.parent / "docs" / "importing.md").read_text("utf-8")
    listed = set(re.findall(r"`(\w+)`", text.partition("## Model types")[2].partition("\n## ")[0]))

    assert listed == set(architectures.ARCHITECTURES)


def test_rows_name_rules_that_exist():
    for name, row in architectures.ARCHITECTURES.items():
        assert set(row.rules) <= set(rules.RULES), name
        assert set(row.fixed) | set(row.switches) <= set(ModelEntry.model_fields), name
    assert not set(architectures.ARCHITECTURES) & set(architectures.UNSUPPORTED)


# Fields


def test_defaults_that_are_taken_are_told():
    entry = read(CASES["gemma3, most fields left out"]["config"])

    assert "text model only" in entry.notes
    assert "num_attention_heads = 8" in entry.notes
    assert entry.layer_types == "SSSSSF"


def test_windows_of_qwen_start_late():
    config = changed(
        CASES["qwen2"]["config"], use_sliding_window=True, sliding_window=4096, max_window_layers=20
    )

    assert read(config).layers == {"F": 20, "S": 8}


def test_window_as_wide_as_the_context_is_none():
    config = changed(CASES["mistral"]["config"], sliding_window=32768)

    assert read(config).layers == {"F": 32}


def test_layers_are_listed_in_the_shortest_way():
    kinds = ["sliding_attention"] * 3 + ["full_attention"]
    config = changed(CASES["gemma2"]["config"], layer_types=(kinds * 11)[:42])

    assert read(config).layer_types == "SSSF"


def test_dense_layers_are_counted_wherever_they_are():
    config = changed(CASES["qwen3_moe"]["config"], mlp_only_layers=[0, 5, 47])
    entry = read(config)

    assert (entry.moe_layers, entry.dense_layers) == (45, 3)


def test_newer_files_list_layers_by_name():
    known = CASES["nemotron_h, experts"]["config"]
    names = {"M": "mamba", "*": "attention", "E": "moe"}
    listed = [names[letter] for letter in known["hybrid_override_pattern"]]
    config = changed(known, hybrid_override_pattern=..., layers_block_type=listed)
    assert read(config) == read(known)

    known = CASES["deepseek_v3"]["config"]
    listed = ["dense"] * 3 + ["sparse"] * 58
    config = changed(known, first_k_dense_replace=..., mlp_layer_types=listed)
    assert read(config) == read(known)


def test_what_a_known_architecture_adds_and_is_not_modelled_is_refused():
    config = copy.deepcopy(CASES["gemma4"]["config"])
    config["text_config"] |= {"hidden_size_per_layer_input": 256, "num_kv_shared_layers": 20}

    assert [fault.split(": ")[:3] for fault in faults_of(config)] == [
        ["config.json", "text_config", "hidden_size_per_layer_input"],
        ["config.json", "text_config", "num_kv_shared_layers"],
    ]


def test_tied_outside_of_the_text_model():
    config = changed(CASES["qwen3_5, text inside"]["config"], tie_word_embeddings=True)

    assert read(config).tie_word_embeddings


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
            "int4 experts",
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}},
            },
            "fp8",
        ),
        ({"quant_method": "something new"}, "bf16"),
    ],
)
def test_quantisation_is_a_hint(quantisation, dtype):
    assert read(changed(LLAMA, quantization_config=quantisation)).native_dtype == dtype


# What cannot be read


def test_unknown_architecture_names_what_it_lacks():
    (fault,) = faults_of({"model_type": "novel", "hidden_size": 512})

    assert fault.startswith("config.json: model_type 'novel' is unknown and lacks ")
    for key in ("num_hidden_layers", "vocab_size", "num_attention_heads", "intermediate_size"):
        assert key in fault
    assert "hidden_size," not in fault
    assert "perfcore models add" in fault


def test_misspelled_architecture_is_suggested():
    assert "did you mean 'mixtral'?" in faults_of({"model_type": "mixtrall"})[0]


def test_unknown_architecture_with_other_physics_is_refused():
    (fault,) = faults_of(changed(LLAMA, model_type="novel", num_local_experts=8, ssm_state_size=16))

    assert "'novel' is unknown, and num_local_experts, ssm_state_size say" in fault


def test_unknown_architecture_like_llama_is_read_and_says_so():
    entry = read(changed(LLAMA, model_type="novel", num_experts=None, use_sliding_window=False))

    assert parameter_count(entry) == parameter_count(read(LLAMA))
    assert "'novel' is unknown" in entry.estimated["layer_types"]


def test_windows_of_an_unknown_architecture_must_be_listed():
    config = changed(LLAMA, model_type="novel", sliding_window=4096)
    assert "sliding_window say" in faults_of(config)[0]

    kinds = ["full_attention"] * 8 + ["sliding_attention"] * 24
    assert read(changed(config, layer_types=kinds)).layers == {"F": 8, "S": 24}
    assert read(changed(config, use_sliding_window=False)).layers == {"F": 32}


def test_unknown_encoder_is_refused():
    config = changed(LLAMA, model_type="novel", architectures=["NovelForMaskedLM"])

    assert "generates no tokens" in faults_of(config)[0]


@pytest.mark.parametrize("model_type", sorted(architectures.UNSUPPORTED))
def test_architecture_that_is_not_modelled_says_why(model_type):
    (fault,) = faults_of(changed(LLAMA, model_type=model_type))

    assert f"model_type {model_type!r} is not modelled: " in fault


def test_known_architecture_names_what_it_lacks():
    config = changed(CASES["deepseek_v3"]["config"], kv_lora_rank=..., moe_intermediate_size=None)
    (fault,) = faults_of(config)

    assert fault == (
        "config.json: model_type 'deepseek_v3': lacks kv_lora_rank, moe_intermediate_size; add "
        "them, or write the model as TOML (`perfcore models add` a similar one, and edit its file)"
    )


def test_all_faults_come_at_once():
    faults = faults_of(
        changed(
            LLAMA,
            hidden_size="4096",
            num_hidden_layers=-1,
            vocab_size=float("nan"),
            intermediate_size=[1],
            tie_word_embeddings="yes",
            num_attention_heads=True,
        )
    )

    assert len(faults) == 6
    assert any("hidden_size: '4096' must be a whole number; remove the quotes" in f for f in faults)


def test_no_model_type():
    (fault,) = faults_of({"dim": 4096})

    assert fault.startswith("config.json: lacks model_type, ")


def test_contradictions_are_found_by_the_schema():
    assert "does not divide" in faults_of(changed(LLAMA, num_key_value_heads=7))[0]


def test_layers_are_bounded():
    assert "at most 10,000" in faults_of(changed(LLAMA, num_hidden_layers=10**9))[0]
    with pytest.raises(ValueError, match="num_hidden_layers"):
        ModelEntry(name="a", source="b", hidden_size=1, vocab_size=1, num_hidden_layers=10**6)


# Hostile JSON


def written(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
        ("[]", "holds no object"),
        ("null", "holds no object"),
        ('{"hidden_size": 1, "hidden_size": 2}', "key 'hidden_size' is there twice"),
        ('{"a": {"b": 1, "b": 2}}', "key 'b' is there twice"),
        ('{"a": ' + "9" * 5000 + "}", "more than 4300 digits"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b" " * (4 * 2**20 + 1), "larger than 4 MiB"),
    ],
)
def test_json_that_is_none(tmp_path, text, match):
    with pytest.raises(InputError, match=match):
        read_json(written(tmp_path, text))


def test_not_a_number_may_stand_where_nobody_looks(tmp_path):
    path = written(tmp_path, json.dumps({**LLAMA, "attention_scale": float("nan")}))

    assert perfcore.load_model(str(path)).hidden_size == 4096


def test_surrogates_do_not_get_out(tmp_path):
    directory = tmp_path / "modèle \u2028 x"
    directory.mkdir()
    text = json.dumps({**LLAMA, "model_type": "nov\ud800el\x1b[31m"})
    entry = perfcore.load_model(str(written(directory, text)))

    for told in (entry.source, entry.estimated["layer_types"], entry.title):
        assert told.encode().decode().isprintable()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["auto", "4096", "full_attention", "mamba", "M*-E"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
KEYS = sorted({key for case in CASES.values() for key in case["config"]})


@given(st.data())
def test_mutated_configs_are_models_or_input_errors(data):
    config = dict(data.draw(st.sampled_from(list(CASES.values())))["config"])
    inner = config.get("text_config")
    target = dict(inner) if isinstance(inner, dict) and data.draw(st.booleans()) else config
    for key in data.draw(st.lists(st.sampled_from(KEYS), max_size=4)):
        target[key] = data.draw(JSON | st.integers(0, 100_000))
    for key in data.draw(st.lists(st.sampled_from(sorted(target)), max_size=2)):
        target.pop(key, None)
    if target is not config:
        config["text_config"] = target

    assert_model_or_faults(lambda: read(config), "config.json")


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), JSON, max_size=8))
def test_random_objects_are_input_errors(config):
    with pytest.raises(InputError):
        read({key: value for key, value in config.items() if key != "hidden_size"})


@settings(max_examples=30)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_random_files_are_input_errors(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "random.json"
    path.write_bytes(text)
    with pytest.raises(InputError):
        perfcore.load_model(str(path))


# GGUF

F32, F16, Q4_K, Q6_K, MXFP4 = 0, 1, 12, 14, 39


def gguf_text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_value(value):
    if isinstance(value, str):
        return struct.pack("<I", 8) + gguf_text(value)
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if value and isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(gguf_text, value))
    code, form = (7, "?") if value and isinstance(value[0], bool) else (5, "i")
    return struct.pack("<IIQ", 9, code, len(value)) + struct.pack(f"<{len(value)}{form}", *value)


def gguf_bytes(metadata, tensors, version=3):
    """Return a GGUF header; no weights follow."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    for key, value in metadata.items():
        head += gguf_text(key) + gguf_value(value)
    for name, (shape, kind) in tensors.items():
        head += gguf_text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += struct.pack("<IQ", kind, 0)
    return head


def dense_block(d, q, kv, ffn, kind=Q4_K):
    return {
        "attn_norm.weight": ((d,), F32),
        "ffn_norm.weight": ((d,), F32),
        "attn_q.weight": ((d, q), kind),
        "attn_k.weight": ((d, kv), kind),
        "attn_v.weight": ((d, kv), Q6_K),
        "attn_output.weight": ((q, d), kind),
        "ffn_gate.weight": ((d, ffn), kind),
        "ffn_up.weight": ((d, ffn), kind),
        "ffn_down.weight": ((ffn, d), kind),
    }


def without(block, *names):
    return {name: tensor for name, tensor in block.items() if name not in names}


def model(architecture, d, vocab, blocks, *, tied=False, extra=None, **metadata):
    """Return metadata and tensors of a model; keys have ``__`` for a point."""
    keys = {
        "general.architecture": architecture,
        "general.name": "A Model",
        "tokenizer.ggml.tokens": ["<s>", "</s>", "a"],
        "tokenizer.ggml.scores": list(range(3)),
        f"{architecture}.block_count": len(blocks),
        f"{architecture}.embedding_length": d,
    }
    for key, value in metadata.items():
        name = key.replace("__", ".")
        keys[name if name.startswith("general.") else f"{architecture}.{name}"] = value
    tensors = {"token_embd.weight": ((d, vocab), Q4_K), "output_norm.weight": ((d,), F32)}
    if not tied:
        tensors["output.weight"] = ((d, vocab), Q6_K)
    tensors |= extra or {}
    for number, block in enumerate(blocks):
        tensors |= {f"blk.{number}.{name}": tensor for name, tensor in block.items()}
    return keys, tensors


def attention(heads, kv_heads, **more):
    return {"attention__head_count": heads, "attention__head_count_kv": kv_heads, **more}


def llama_8b():
    return model(
        "llama",
        4096,
        128256,
        [dense_block(4096, 4096, 1024, 14336)] * 32,
        extra={"rope_freqs.weight": ((64,), F32)},
        context_length=131072,
        general__file_type=15,
        **attention(32, 8),
    )


def mixtral_8x7b():
    block = without(
        dense_block(4096, 4096, 1024, 1), "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"
    ) | {
        "ffn_gate_inp.weight": ((4096, 8), F32),
        "ffn_gate_exps.weight": ((4096, 14336, 8), Q4_K),
        "ffn_up_exps.weight": ((4096, 14336, 8), Q4_K),
        "ffn_down_exps.weight": ((14336, 4096, 8), Q6_K),
    }
    return model(
        "llama",
        4096,
        32000,
        [block] * 32,
        context_length=32768,
        expert_count=8,
        expert_used_count=2,
        **attention(32, 8),
    )


def mixtral_of_2024():
    """One tensor an expert."""
    metadata, tensors = mixtral_8x7b()
    old = {}
    for name, (shape, kind) in tensors.items():
        if name.endswith("_exps.weight"):
            for expert in range(8):
                old[name.replace("_exps", f".{expert}")] = (shape[:2], kind)
        else:
            old[name] = (shape, kind)
    return metadata, old


def gemma_2_9b():
    block = dense_block(3584, 4096, 2048, 14336) | {
        "post_attention_norm.weight": ((3584,), F32),
        "post_ffw_norm.weight": ((3584,), F32),
    }
    return model(
        "gemma2",
        3584,
        256000,
        [block] * 42,
        tied=True,
        context_length=8192,
        attention__sliding_window=4096,
        attention__key_length=256,
        attention__value_length=256,
        **attention(16, 8),
    )


def gemma_4_31b():
    """Full layers have wider and fewer KV heads, and one matrix for keys and values."""

    def block(q, kv, width):
        return dense_block(5376, q, kv, 21504) | {
            "post_attention_norm.weight": ((5376,), F32),
            "post_ffw_norm.weight": ((5376,), F32),
            "attn_q_norm.weight": ((width,), F32),
            "attn_k_norm.weight": ((width,), F32),
        }

    windowed = block(32 * 256, 16 * 256, 256)
    full = without(block(32 * 512, 4 * 512, 512), "attn_v.weight")
    return model(
        "gemma4",
        5376,
        262144,
        ([windowed] * 5 + [full]) * 10,
        tied=True,
        context_length=262144,
        attention__sliding_window=1024,
        attention__sliding_window_pattern=([True] * 5 + [False]) * 10,
        attention__key_length=512,
        attention__value_length=512,
        attention__key_length_swa=256,
        attention__value_length_swa=256,
        **attention(32, ([16] * 5 + [4]) * 10),
    )


def gpt_oss_20b():
    d, q, kv, ffn, experts = 2880, 4096, 512, 2880, 32
    block = {
        "attn_norm.weight": ((d,), F32),
        "post_attention_norm.weight": ((d,), F32),
        "attn_sinks.weight": ((64,), F32),
        "ffn_gate_inp.weight": ((d, experts), F32),
        "ffn_gate_inp.bias": ((experts,), F32),
    }
    for name, shape in (("q", (d, q)), ("k", (d, kv)), ("v", (d, kv)), ("output", (q, d))):
        block[f"attn_{name}.weight"] = (shape, 8)
        block[f"attn_{name}.bias"] = (shape[1:], F32)
    for name, shape in (("gate", (d, ffn)), ("up", (d, ffn)), ("down", (ffn, d))):
        block[f"ffn_{name}_exps.weight"] = ((*shape, experts), MXFP4)
        block[f"ffn_{name}_exps.bias"] = ((shape[1], experts), F32)
    return model(
        "gpt-oss",
        d,
        201088,
        [block] * 24,
        context_length=131072,
        expert_count=experts,
        expert_used_count=4,
        attention__sliding_window=128,
        attention__key_length=64,
        attention__value_length=64,
        **attention(64, 8),
    )


def deepseek_v3():
    d, heads, rank, latent, nope, rope, value = 7168, 128, 1536, 512, 128, 64, 128
    mla = {
        "attn_norm.weight": ((d,), F32),
        "ffn_norm.weight": ((d,), F32),
        "attn_q_a.weight": ((d, rank), Q4_K),
        "attn_q_a_norm.weight": ((rank,), F32),
        "attn_q_b.weight": ((rank, heads * (nope + rope)), Q4_K),
        "attn_kv_a_mqa.weight": ((d, latent + rope), Q4_K),
        "attn_kv_a_norm.weight": ((latent,), F32),
        "attn_kv_b.weight": ((latent, heads * (nope + value)), Q4_K),
        "attn_k_b.weight": ((nope, latent, heads), Q4_K),  # the same numbers once more
        "attn_v_b.weight": ((latent, value, heads), Q4_K),
        "attn_output.weight": ((heads * value, d), Q4_K),
    }
    dense = mla | {
        "ffn_gate.weight": ((d, 18432), Q4_K),
        "ffn_up.weight": ((d, 18432), Q4_K),
        "ffn_down.weight": ((18432, d), Q4_K),
    }
    sparse = mla | {
        "ffn_gate_inp.weight": ((d, 256), F32),
        "exp_probs_b.bias": ((256,), F32),
        "ffn_gate_exps.weight": ((d, 2048, 256), Q4_K),
        "ffn_up_exps.weight": ((d, 2048, 256), Q4_K),
        "ffn_down_exps.weight": ((2048, d, 256), Q4_K),
        "ffn_gate_shexp.weight": ((d, 2048), Q4_K),
        "ffn_up_shexp.weight": ((d, 2048), Q4_K),
        "ffn_down_shexp.weight": ((2048, d), Q4_K),
    }
    several = sparse | {"nextn.eh_proj.weight": ((2 * d, d), Q4_K)}
    return model(
        "deepseek2",
        d,
        129280,
        [dense] * 3 + [sparse] * 58 + [several],
        nextn_predict_layers=1,
        context_length=163840,
        expert_count=256,
        expert_used_count=8,
        attention__q_lora_rank=rank,
        attention__kv_lora_rank=latent,
        attention__key_length=latent + rope,
        attention__value_length=latent,
        attention__key_length_mla=nope + rope,
        attention__value_length_mla=value,
        rope__dimension_count=rope,
        **attention(128, 1),
    )


def qwen3_next():
    d, experts = 2048, 512
    ffn = {
        "attn_norm.weight": ((d,), F32),
        "post_attention_norm.weight": ((d,), F32),
        "ffn_gate_inp.weight": ((d, experts), F32),
        "ffn_gate_inp_shexp.weight": ((d,), F32),
        "ffn_gate_exps.weight": ((d, 512, experts), Q4_K),
        "ffn_up_exps.weight": ((d, 512, experts), Q4_K),
        "ffn_down_exps.weight": ((512, d, experts), Q4_K),
        "ffn_gate_shexp.weight": ((d, 512), Q4_K),
        "ffn_up_shexp.weight": ((d, 512), Q4_K),
        "ffn_down_shexp.weight": ((512, d), Q4_K),
    }
    linear = ffn | {
        "attn_qkv.weight": ((d, 2 * 2048 + 4096), Q4_K),
        "attn_gate.weight": ((d, 4096), Q4_K),
        "ssm_ba.weight": ((d, 64), F32),
        "ssm_conv1d.weight": ((4, 8192), F32),
        "ssm_dt.bias": ((32,), F32),
        "ssm_a": ((32,), F32),
        "ssm_norm.weight": ((128,), F32),
        "ssm_out.weight": ((4096, d), Q4_K),
    }
    full = ffn | {
        "attn_q.weight": ((d, 2 * 4096), Q4_K),
        "attn_k.weight": ((d, 512), Q4_K),
        "attn_v.weight": ((d, 512), Q4_K),
        "attn_output.weight": ((4096, d), Q4_K),
        "attn_q_norm.weight": ((256,), F32),
        "attn_k_norm.weight": ((256,), F32),
    }
    return model(
        "qwen3next",
        d,
        151936,
        [linear, linear, linear, full] * 12,
        context_length=262144,
        expert_used_count=10,
        attention__key_length=256,
        attention__value_length=256,
        ssm__conv_kernel=4,
        ssm__state_size=128,
        ssm__group_count=16,
        ssm__time_step_rank=32,
        ssm__inner_size=4096,
        **attention(16, 2),
    )


def mamba_2_8b():
    d, inner, rank, state = 2560, 5120, 160, 16
    block = {
        "attn_norm.weight": ((d,), F32),
        "ssm_in.weight": ((d, 2 * inner), F16),
        "ssm_conv1d.weight": ((4, inner), F32),
        "ssm_conv1d.bias": ((inner,), F32),
        "ssm_x.weight": ((inner, rank + 2 * state), F16),
        "ssm_dt.weight": ((rank, inner), F32),
        "ssm_dt.bias": ((inner,), F32),
        "ssm_a": ((state, inner), F32),
        "ssm_d": ((inner,), F32),
        "ssm_out.weight": ((inner, d), F16),
    }
    return model(
        "mamba",
        d,
        50280,
        [block] * 64,
        tied=True,
        ssm__conv_kernel=4,
        ssm__inner_size=inner,
        ssm__state_size=state,
        ssm__time_step_rank=rank,
        attention__head_count=0,
    )


def falcon_40b():
    d, ffn = 8192, 32768
    block = {
        "attn_norm.weight": ((d,), F32),
        "attn_norm.bias": ((d,), F32),
        "attn_norm_2.weight": ((d,), F32),
        "attn_norm_2.bias": ((d,), F32),
        "attn_qkv.weight": ((d, d + 2 * 512), Q4_K),
        "attn_output.weight": ((d, d), Q4_K),
        "ffn_up.weight": ((d, ffn), Q4_K),
        "ffn_down.weight": ((ffn, d), Q4_K),
    }
    return model(
        "falcon",
        d,
        65024,
        [block] * 60,
        tied=True,
        extra={"output_norm.bias": ((d,), F32)},
        context_length=2048,
        **attention(128, 8),
    )


def gpt_2():
    d = 768
    block = {"attn_norm.weight": ((d,), F32), "ffn_norm.weight": ((d,), F32)}
    for name, shape in (
        ("attn_qkv", (d, 3 * d)),
        ("attn_output", (d, d)),
        ("ffn_up", (d, 4 * d)),
        ("ffn_down", (4 * d, d)),
    ):
        block |= {f"{name}.weight": (shape, F16), f"{name}.bias": (shape[1:], F32)}
    block |= {f"{name}.bias": ((d,), F32) for name in ("attn_norm", "ffn_norm")}
    return model(
        "gpt2",
        d,
        50257,
        [block] * 12,
        tied=True,
        extra={"output_norm.bias": ((d,), F32), "position_embd.weight": ((d, 1024), F32)},
        context_length=1024,
        **attention(12, 12),
    )


def phi_3_mini():
    d, ffn = 3072, 8192
    block = {
        "attn_norm.weight": ((d,), F32),
        "ffn_norm.weight": ((d,), F32),
        "attn_qkv.weight": ((d, 3 * d), Q4_K),
        "attn_output.weight": ((d, d), Q4_K),
        "ffn_up.weight": ((d, 2 * ffn), Q4_K),
        "ffn_down.weight": ((ffn, d), Q4_K),
    }
    return model(
        "phi3",
        d,
        32064,
        [block] * 32,
        context_length=4096,
        attention__sliding_window=2047,
        **attention(32, 32),
    )


def command_r_plus():
    d, q, kv, ffn = 12288, 12288, 1024, 33792
    block = without(dense_block(d, q, kv, ffn), "ffn_norm.weight") | {
        "attn_q_norm.weight": ((128, 96), F32),
        "attn_k_norm.weight": ((128, 8), F32),
    }
    return model(
        "command-r",
        d,
        256000,
        [block] * 64,
        tied=True,
        context_length=131072,
        **attention(96, 8),
    )


def qwen2_5_7b():
    d, kv = 3584, 512
    block = dense_block(d, d, kv, 18944) | {
        "attn_q.bias": ((d,), F32),
        "attn_k.bias": ((kv,), F32),
        "attn_v.bias": ((kv,), F32),
    }
    return model("qwen2", d, 152064, [block] * 28, context_length=131072, **attention(28, 4))


def nemotron_super():
    """Layers without attention, and widths that differ."""
    known = loader.load_model("llama-3.3-nemotron-super-49b")
    widths = [width for width, layers in known.intermediate_sizes for _ in range(layers)]
    blocks = []
    for letter, width in zip(known.layer_pattern, widths, strict=True):
        block = dense_block(8192, 8192, 1024, width)
        attends = [f"attn_{name}.weight" for name in ("q", "k", "v", "output", "norm")]
        blocks.append(block if letter == "F" else without(block, *attends))
    heads = [64 if letter == "F" else 0 for letter in known.layer_pattern]
    return model(
        "deci",
        8192,
        128256,
        blocks,
        context_length=131072,
        **attention(heads, [head // 8 for head in heads]),
    )


GGUF = {
    "llama-3.1-8b": llama_8b,
    "mixtral-8x7b": mixtral_8x7b,
    "gemma-2-9b": gemma_2_9b,
    "gemma-4-31b": gemma_4_31b,
    "gpt-oss-20b": gpt_oss_20b,
    "deepseek-v3": deepseek_v3,
    "qwen3-next-80b-a3b": qwen3_next,
    "mamba-2.8b": mamba_2_8b,
    "falcon-40b": falcon_40b,
    "gpt-2-124m": gpt_2,
    "phi-3-mini": phi_3_mini,
    "command-r+-104b": command_r_plus,
    "qwen2.5-7b": qwen2_5_7b,
}


def header(tmp_path, made, name="model.gguf"):
    path = tmp_path / name
    path.write_bytes(made if isinstance(made, bytes) else gguf_bytes(*made))
    return path


@pytest.mark.parametrize("name", GGUF)
def test_gguf_header_is_the_model_of_the_catalogue(tmp_path, name):
    entry = perfcore.load_model(str(header(tmp_path, GGUF[name]())))
    known = loader.load_model(name)

    assert entry.record() == known.record()
    assert not entry.extra_parameters
    assert parameter_count(entry) == parameter_count(known)


def test_gguf_of_2024_has_a_tensor_for_each_expert(tmp_path):
    entry = perfcore.load_model(str(header(tmp_path, mixtral_of_2024())))

    assert entry.record() == loader.load_model("mixtral-8x7b").record()


def test_gguf_with_layers_that_differ(tmp_path):
    entry = perfcore.load_model(str(header(tmp_path, nemotron_super())))
    known = loader.load_model("llama-3.3-nemotron-super-49b")

    assert entry.layer_pattern == known.layer_pattern
    assert sorted(entry.intermediate_sizes) == sorted(known.intermediate_sizes)
    # the catalogue counts half of the norms of a layer without attention, as the file has them
    assert parameter_count(entry) == parameter_count(known)


def test_gguf_names_the_types_of_its_weights(tmp_path):
    entry = perfcore.load_model(str(header(tmp_path, llama_8b(), "Some Model-Q4_K_M.gguf")))

    assert entry.name == "some-model-q4_k_m"
    assert entry.native_dtype == "q4_k_m"
    assert "Q4_K" in entry.notes
    assert "bits each on average" in entry.notes
    oss = perfcore.load_model(str(header(tmp_path, gpt_oss_20b())))
    assert oss.native_dtype == "mxfp4 experts"
    assert perfcore.load_model(str(header(tmp_path, gpt_2()))).native_dtype == "fp16"
    plain = {name: (shape, F32) for name, (shape, _) in gpt_2()[1].items()}
    assert perfcore.load_model(str(header(tmp_path, (gpt_2()[0], plain)))).native_dtype == "fp32"


def test_gguf_pattern_of_windows_may_be_listed(tmp_path):
    metadata, tensors = gemma_2_9b()
    metadata["gemma2.attention.sliding_window_pattern"] = [True, True, False]

    assert perfcore.load_model(str(header(tmp_path, (metadata, tensors)))).layer_types == "SSF"


def test_gguf_window_of_unknown_layers_is_an_estimate(tmp_path):
    metadata, tensors = llama_8b()
    renamed = {key.replace("llama.", "novel."): value for key, value in metadata.items()}
    renamed |= {"general.architecture": "novel", "novel.attention.sliding_window": 4096}
    entry = perfcore.load_model(str(header(tmp_path, (renamed, tensors))))

    assert set(entry.layers) == {"F"}
    assert "window of 4096 tokens" in entry.estimated["sliding_window"]


def test_gguf_small_tensors_without_a_field_are_counted(tmp_path):
    metadata, tensors = llama_8b()
    tensors["blk.0.attn_sub_norm.weight"] = ((4096,), F32)
    entry = perfcore.load_model(str(header(tmp_path, (metadata, tensors))))

    assert entry.extra_parameters == 4096


def test_gguf_that_is_not_what_it_seems_is_refused(tmp_path):
    metadata, tensors = llama_8b()
    for layer in range(32):
        tensors[f"blk.{layer}.altup_router.weight"] = ((4096, 4096), F32)

    with pytest.raises(InputError, match=r"not modelled.*altup_router.*models add"):
        perfcore.load_model(str(header(tmp_path, (metadata, tensors))))


def test_gguf_in_parts(tmp_path):
    metadata, tensors = llama_8b()
    names = list(tensors)
    for number, part in enumerate((names[:100], names[100:]), start=1):
        head = metadata | {"split.count": 2} if number == 1 else {"split.no": 1}
        header(tmp_path, (head, {n: tensors[n] for n in part}), f"m-{number:05}-of-00002.gguf")

    first = tmp_path / "m-00001-of-00002.gguf"
    entry = perfcore.load_model(str(first))
    assert entry.name == "m"
    assert entry == perfcore.load_model(str(tmp_path))
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    with pytest.raises(InputError, match=r"m-00002-of-00002\.gguf: no such file"):
        perfcore.load_model(str(first))
    renamed = first.rename(tmp_path / "other.gguf")
    with pytest.raises(InputError, match=r"name the first, which ends in -00001-of-00002\.gguf"):
        perfcore.load_model(str(renamed))


def test_gguf_of_an_encoder_is_refused(tmp_path):
    metadata, tensors = llama_8b()
    metadata["llama.attention.causal"] = False

    with pytest.raises(InputError, match="generates no tokens"):
        perfcore.load_model(str(header(tmp_path, (metadata, tensors))))


def test_gguf_without_attention_is_refused(tmp_path):
    block = {
        "time_mix_key.weight": ((64, 64), F16),
        "time_mix_output.weight": ((64, 64), F16),
        "channel_mix_key.weight": ((64, 256), F16),
    }
    made = model("rwkv6", 64, 256, [block] * 2, context_length=2048)

    with pytest.raises(InputError, match=r"'rwkv6' is not modelled: .*time_mix_key"):
        perfcore.load_model(str(header(tmp_path, made)))


def test_gguf_lacks_fields(tmp_path):
    metadata, tensors = llama_8b()
    del metadata["llama.embedding_length"], metadata["llama.block_count"]

    with pytest.raises(InputError, match=r"lacks llama\.block_count, llama\.embedding_length"):
        perfcore.load_model(str(header(tmp_path, (metadata, tensors))))


HUGE = 2**63
START = b"GGUF" + struct.pack("<I", 3)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "not a GGUF file"),
        (b"GGML" + bytes(40), "not a GGUF file"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (START + struct.pack("<QQ", HUGE, 0), "tensors are too many"),
        (START + struct.pack("<qq", -1, 0), "tensors are too many"),
        (START + struct.pack("<QQ", 0, HUGE), "metadata keys are too many"),
        (START + struct.pack("<QQQ", 0, 1, HUGE), "bytes of a name are too many"),
        (START + struct.pack("<QQq", 0, 1, -5), "bytes of a name are too many"),
        (START + struct.pack("<QQQ", 0, 1, 3) + b"\xff\xff\xff", "not UTF-8"),
        (START + struct.pack("<QQ", 0, 1) + gguf_text("a") + struct.pack("<I", 99), "type 99"),
        (
            START + struct.pack("<QQ", 0, 1) + gguf_text("a") + struct.pack("<IIQ", 9, 9, 1),
            "list of unknown type 9",
        ),
        (
            START + struct.pack("<QQ", 0, 1) + gguf_text("a") + struct.pack("<IIQ", 9, 8, HUGE),
            "texts in a list are too many",
        ),
        (
            START
            + struct.pack("<QQ", 0, 1)
            + gguf_text("a")
            + struct.pack("<IIQ", 9, 8, 4 * 10**6),
            "cut off",
        ),
        (
            START + struct.pack("<QQ", 0, 1) + gguf_text("a") + struct.pack("<IIQ", 9, 4, HUGE),
            "items in a list are too many",
        ),
        (
            START + struct.pack("<QQ", 0, 1) + gguf_text("a") + struct.pack("<IQ", 8, HUGE),
            "bytes of a text are too many",
        ),
        (
            START + struct.pack("<QQ", 1, 0) + gguf_text("t") + struct.pack("<I", 10**9),
            "dimensions",
        ),
        (gguf_bytes({}, {"t": ((HUGE, 4), 0)}), "elements"),
        (gguf_bytes({}, {"t": ((0, 4), 0)}), "elements"),
        (gguf_bytes({}, {}), "lacks general.architecture"),
        (gguf_bytes({"general.architecture": 7}, {}), "lacks general.architecture"),
        (gguf_bytes({"general.architecture": "llama"}, {}), "lacks the tensor token_embd.weight"),
        (
            gguf_bytes(
                {"general.architecture": "llama", "llama.block_count": 10**9},
                {"token_embd.weight": ((8, 8), 0)},
            ),
            "no tensor of layer 0",
        ),
        (gguf_bytes(*gpt_2())[:-3], "cut off"),
        (gguf_bytes(*gpt_2())[:200], "cut off"),
    ],
)
def test_hostile_headers_cost_nothing(tmp_path, data, match):
    path = header(tmp_path, data)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=match):
            perfcore.load_model(str(path))
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_keys_and_tensors_that_are_there_twice(tmp_path):
    pair = gguf_text("a") + gguf_value(1)
    with pytest.raises(InputError, match="the key 'a' twice"):
        perfcore.load_model(str(header(tmp_path, START + struct.pack("<QQ", 0, 2) + 2 * pair)))
    tensor = gguf_text("t") + struct.pack("<IQIQ", 1, 4, 0, 0)
    with pytest.raises(InputError, match="the tensor 't' twice"):
        perfcore.load_model(str(header(tmp_path, START + struct.pack("<QQ", 2, 0) + 2 * tensor)))


SMALL = model(
    "llama",
    64,
    256,
    [dense_block(64, 64, 32, 128, F16)] * 2,
    context_length=2048,
    rope__freq_base=1e4,
    **attention([4, 4], [2, 2]),
)


@given(st.data())
def test_mutated_headers_are_models_or_input_errors(tmp_path_factory, data):
    raw = bytearray(gguf_bytes(*SMALL))
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        patch = data.draw(
            st.binary(min_size=1, max_size=2)
            | st.sampled_from([b"\xff" * 8, bytes(8), b"\x00\x00\x00\x80", struct.pack("<q", -1)])
        )
        raw[place : place + len(patch)] = patch
    cut = data.draw(st.none() | st.integers(0, len(raw)))
    path = tmp_path_factory.getbasetemp() / "mutated.gguf"
    path.write_bytes(bytes(raw[:cut]))

    assert_model_or_faults(lambda: from_gguf(path, IDENTITY), str(path))


@given(
    st.dictionaries(
        st.sampled_from([key for key in SMALL[0] if "llama" in key]),
        st.integers(0, 2**32 - 1) | st.integers(0, 9) | st.just("x") | st.booleans() | st.just([]),
        min_size=1,
    )
)
def test_strange_metadata_is_a_model_or_an_input_error(tmp_path_factory, changes):
    path = tmp_path_factory.getbasetemp() / "strange.gguf"
    path.write_bytes(gguf_bytes(SMALL[0] | changes, SMALL[1]))

    assert_model_or_faults(lambda: from_gguf(path, IDENTITY), str(path))


@pytest.mark.parametrize("name", ["pipe.gguf", "pipe.json"])
def test_pipes_are_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)

    with pytest.raises(InputError, match="is not a file"):
        perfcore.load_model(str(tmp_path / name))


def test_lists_of_all_keys_together_are_bounded(tmp_path):
    """A thousand lists that are each short enough to keep."""
    many = {f"x.{number}": [1] * 5000 for number in range(1000)}
    path = header(tmp_path, gguf_bytes(SMALL[0] | many, SMALL[1]))
    tracemalloc.start()
    try:
        assert perfcore.load_model(str(path)).num_hidden_layers == 2
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


# Where models come from


@pytest.fixture
def directory(tmp_path):
    made = tmp_path / "My Model_1"
    made.mkdir()
    written(made, json.dumps(LLAMA))
    return made


def test_paths_name_the_same_model(directory, monkeypatch):
    monkeypatch.chdir(directory.parent)
    found = [
        perfcore.load_model(source)
        for source in (
            str(directory),
            str(directory / "config.json"),
            "./My Model_1",
            "./My Model_1/",
            "My Model_1",
            "My Model_1/config.json",
        )
    ]

    assert all(entry == found[0] for entry in found)
    assert found[0].name == "my-model_1"
    monkeypatch.chdir(directory)
    assert perfcore.load_model(".") == found[0]


def test_directory_of_the_hubs_cache_is_called_like_its_model(tmp_path):
    made = tmp_path / "models--meta-llama--Llama-3.1-8B" / "snapshots" / "0e9e39f249a1"
    made.mkdir(parents=True)
    written(made, json.dumps(LLAMA))

    assert perfcore.load_model(str(made)).name == "llama-3.1-8b"


def test_catalogue_goes_before_a_directory_of_the_same_name(directory, monkeypatch):
    (directory / "llama-3-8b").mkdir()
    monkeypatch.chdir(directory)

    assert perfcore.load_model("llama-3-8b").title == "Llama-3 8B"


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("./nowhere", "nowhere: no such file"),
        ("nowhere.json", "nowhere.json: no such file"),
        ("nowhere.gguf", "nowhere.gguf: no such file"),
        ("~no-such-user/config.json", "no such file"),
        ("./\0.json", "cannot be read"),
        ("./\0.gguf", "cannot be read"),
        ("./" + "x" * 5000 + ".gguf", "cannot be read"),
    ],
)
def test_sources_that_are_none(tmp_path, monkeypatch, source, match):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=match):
        perfcore.load_model(source)


def test_directories_without_one_model(tmp_path):
    with pytest.raises(InputError, match=r"neither a config\.json nor a GGUF file"):
        perfcore.load_model(str(tmp_path))
    header(tmp_path, SMALL, "a.gguf")
    assert perfcore.load_model(str(tmp_path)).name == "a"
    header(tmp_path, SMALL, "b.gguf")
    with pytest.raises(InputError, match=r"2 GGUF models \(a\.gguf, b\.gguf\); name one"):
        perfcore.load_model(str(tmp_path))


def test_sweeps_take_paths_relative_to_their_file(directory):
    spec = directory.parent / "sweep.toml"
    spec.write_text(
        '[axes]\nmodel = ["./My Model_1", "llama-3-8b"]\ndevice = ["h100-sxm"]\nbatch = [1, 2]\n'
    )
    result = CliRunner().invoke(program, ["plan", str(spec), "--json"])

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rows"] == 4


def test_point_takes_a_directory(directory):
    point = ["point", str(directory), "h100-sxm", "--json"]
    result = CliRunner().invoke(program, point)
    same = perfcore.evaluate("llama-3.1-8b", "h100-sxm")

    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["model"] == "my-model_1"
    assert found["tpot_s"] == same["tpot_s"]


def test_point_says_that_an_architecture_is_unknown(tmp_path):
    path = written(tmp_path, json.dumps({**LLAMA, "model_type": "novel"}))
    result = CliRunner().invoke(program, ["point", str(path), "h100-sxm"])

    assert result.exit_code == 0, result.output
    assert "model_type 'novel' is unknown" in " ".join(result.stdout.split())


def test_faults_are_lines_with_exit_code_2(tmp_path):
    path = written(tmp_path, json.dumps({"model_type": "novel"}))
    result = CliRunner().invoke(program, ["models", "show", str(path)])

    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {path}: model_type 'novel' is unknown and lacks ")
    assert len(result.stderr.splitlines()) == 1


# The hub


@pytest.fixture
def hub(monkeypatch, directory):
    asked = []

    def download(repository, file, revision=None):
        asked.append((repository, file, revision))
        return str(directory / "config.json")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return SimpleNamespace(asked=asked, module=huggingface_hub)


def test_hub_gives_the_config_only(hub):
    entry = perfcore.load_model("hf:meta-llama/Llama-3.1-8B@main")

    assert hub.asked == [("meta-llama/Llama-3.1-8B", "config.json", "main")]
    assert (entry.name, entry.hf_id) == ("llama-3.1-8b", "meta-llama/Llama-3.1-8B")
    assert entry.record() == loader.load_model("llama-3.1-8b").record()


def test_hub_in_a_sweep_is_no_path(hub, tmp_path):
    spec = tmp_path / "sweep.toml"
    spec.write_text('[axes]\nmodel = ["hf:org/name"]\ndevice = ["h100-sxm"]\n')

    assert CliRunner().invoke(program, ["plan", str(spec)]).exit_code == 0
    assert hub.asked == [("org/name", "config.json", None)]


@pytest.mark.parametrize("name", ["hf:", "hf:a/b/c", "hf:a b", "hf:../../x/y", "hf:a/b@", "hf:a\n"])
def test_hub_names_are_checked_before_anything_is_asked(hub, name):
    with pytest.raises(InputError, match="is not of the form hf:org/name"):
        perfcore.load_model(name)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("error", "match"),
    [
        ("LocalEntryNotFoundError", "cannot be reached, and there is no copy from earlier"),
        ("EntryNotFoundError", "has no config.json"),
        ("HFValidationError", "cannot be downloaded"),
        ("OfflineModeIsEnabled", "cannot be downloaded"),
    ],
)
def test_hub_errors_are_one_line(hub, monkeypatch, error, match):
    def refuse(*_, **__):
        raise getattr(hub.module.errors, error)("first\nsecond")

    monkeypatch.setattr(hub.module, "hf_hub_download", refuse)
    with pytest.raises(InputError, match=match) as caught:
        perfcore.load_model("hf:org/name")
    assert "\n" not in str(caught.value)


def test_hub_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    with pytest.raises(InputError, match=r"pip install 'perfcore\[hf\]'"):
        perfcore.load_model("hf:org/name")


# Commented TOML


def test_every_field_has_a_meaning():
    assert set(MODEL) == set(ModelEntry.model_fields)
    assert set(DEVICE) == set(DeviceEntry.model_fields)
    assert all(meaning.text for meaning in (*MODEL.values(), *DEVICE.values()))


@given(model_entries())
def test_written_models_load_back_equal(entry):
    text = table_text(entry.name, entry_table(entry), MODEL)
    (name, table), *rest = tomllib.loads(text).items()

    assert not rest
    assert ModelEntry.model_validate({**table, "name": name}) == entry
    assert all("  # " in line for line in text.splitlines()[1:] if line and line[0] != "[")


@given(st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_values_are_toml(value):
    if isinstance(value, str):
        value = value.encode("utf-8", "ignore").decode()

    assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value


OLD = """# mine
[first]
a = [
  [1, 2],
]
# about second
["sec.ond"]
a = 1
["sec.ond".estimated]
b = "c"

# about third
[third]
a = 2
"""


@pytest.mark.parametrize("name", ["first", "sec.ond", "third", "new"])
def test_other_tables_stay_as_they_are(tmp_path, name):
    path = tmp_path / "models.toml"
    path.write_text(OLD)
    text = f"[{toml_value(name)}]\nz = 3\n"
    new = added(path, name, text, replace=True)

    assert tomllib.loads(new) == {**tomllib.loads(OLD), name: {"z": 3}}
    assert "# about third" in new
    if name != "new":
        with pytest.raises(InputError, match=r"has .* already; add replace=True"):
            added(path, name, text, replace=False)


def test_text_that_looks_like_a_table_is_left_to_people(tmp_path):
    path = tmp_path / "models.toml"
    path.write_text('[a]\nx = """\n[b]\n"""\n[c]\ny = 1\n')

    with pytest.raises(InputError, match="edit it by hand"):
        added(path, "a", "[a]\nz = 1\n", replace=True)


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    made = tmp_path / "catalogue"
    made.mkdir()
    monkeypatch.setenv("PERFCORE_CATALOG", str(made))
    return made


def run(*arguments):
    return CliRunner().invoke(program, [str(argument) for argument in arguments])


def test_models_add_into_the_catalogue(directory, catalogue):
    result = run("models", "add", directory, "--name", "mine")

    assert result.exit_code == 0, result.output
    assert "8.03B" in result.stdout
    made = perfcore.load_model(str(directory))
    assert perfcore.load_model("mine") == made.model_copy(update={"name": "mine"})
    before = (catalogue / "models.toml").read_text("utf-8")
    again = run("models", "add", directory, "--name", "mine")
    assert again.exit_code == 2
    assert "has [mine] already; add --force" in again.stderr
    assert (catalogue / "models.toml").read_text("utf-8") == before
    assert run("models", "add", "deepseek-v3", "--name", "other").exit_code == 0
    assert run("models", "add", directory, "--name", "mine", "--force").exit_code == 0
    assert loader.names("model")[:2] == ["other", "mine"]
    assert "not the built-in" not in result.stdout
    shadow = run("models", "add", "llama-3-8b")
    assert "llama-3-8b is yours, not the built-in model" in shadow.stdout
    assert perfcore.load_model("other").record() == perfcore.load_model("deepseek-v3").record()


def test_models_add_into_a_file(directory, tmp_path, catalogue):
    output = tmp_path / "own.toml"
    first = run("models", "add", directory, "-o", output)

    assert first.exit_code == 0, first.output
    assert perfcore.load_model(str(output)) == perfcore.load_model(str(directory))
    assert not list(catalogue.iterdir())
    assert run("models", "add", directory, "-o", output).exit_code == 2
    assert run("models", "add", "llama-3-8b", "-o", output, "--force").exit_code == 0
    assert perfcore.load_model(str(output)) == perfcore.load_model("llama-3-8b")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--name", "No Name"], "--name: 'No Name' is no name"),
        (["-o", "x.json"], "must end in .toml"),
        (["-o", "nowhere/x.toml"], "is not a directory"),
    ],
)
def test_models_add_refuses(directory, catalogue, arguments, match):
    result = run("models", "add", directory, *arguments)

    assert result.exit_code == 2
    assert match in result.stderr
    assert not list(catalogue.iterdir())


CHIP = {
    "--memory": "80 GB",
    "--memory-bandwidth": "3.35 TB/s",
    "--fp16": "989 TFLOPS",
    "--power": "700 W",
    "--price": "2.50 USD/h",
    "--class": "datacentre-gpu-hopper",
    "--source": "a data sheet",
}


def options(given):
    return [part for pair in given.items() for part in pair]


def test_devices_add(catalogue):
    result = run("devices", "add", "my-chip", *options(CHIP))

    assert result.exit_code == 0, result.output
    assert "idle_power" in result.stdout
    device = perfcore.load_device("my-chip")
    assert (device.memory_capacity, device.memory_bandwidth) == (80e9, 3.35e12)
    assert device.idle_power == pytest.approx(0.2 * 700)
    assert {"idle_power", "link_bandwidth", "network_bandwidth"} <= set(device.estimated)
    text = (catalogue / "devices.toml").read_text("utf-8")
    for field in set(DeviceEntry.model_fields) - {"name", "aliases", "estimated", "hypothetical"}:
        assert f"\n{field} = " in text or f"\n# {field} = " in text
    commented = text.replace("\n# ", "\n")  # every example is valid TOML
    assert tomllib.loads(commented)["my-chip"]["flops_fp8"] == "1979 TFLOP/s"
    assert perfcore.evaluate("llama-3-8b", "my-chip")["status"] == "ok"
    assert run("devices", "add", "my-chip", *options(CHIP)).exit_code == 2
    assert run("devices", "add", "my-chip", *options(CHIP), "--force").exit_code == 0


@pytest.mark.usefixtures("catalogue")
def test_devices_add_takes_every_field():
    more = {
        "--vendor": 'Acme "A"',
        "--year": "2025",
        "--idle-power": "60 W",
        "--link-kind": "nvlink",
        "--link-bandwidth": "450 GB/s",
        "--scale-up-domain": "72",
        "--network-bandwidth": "400 Gb/s",
        "--status": "hypothetical",
        "--layer-latency": "20 us",
    }
    result = run("devices", "add", "my-chip", *options(CHIP | more), "--spatial")

    assert result.exit_code == 0, result.output
    device = perfcore.load_device("my-chip")
    assert (device.vendor, device.year, device.scale_up_domain) == ('Acme "A"', 2025, 72)
    assert device.hypothetical
    assert device.spatial
    assert device.network_bandwidth == 50e9
    assert set(device.estimated) == set()


def test_devices_add_tells_all_faults_at_once(catalogue):
    result = run("devices", "add", "my-chip", "--memory", "80", "--scale-up-domain", "many")

    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    for option in ("--memory-bandwidth", "--power", "--price", "--class", "--source"):
        assert any(line.startswith(f"error: {option} is missing") for line in lines), option
    assert any("--memory: '80' has no unit" in line for line in lines)
    assert any("no arithmetic rate" in line for line in lines)
    assert any("--scale-up-domain: 'many' is not a number" in line for line in lines)
    assert len(lines) == 8
    assert not list(catalogue.iterdir())


def test_needed_options_are_those_that_are_missed(catalogue):
    text = run("devices", "add", "--help").stdout
    missed = run("devices", "add", "my-chip", "--fp16", "1 TFLOPS").stderr.splitlines()
    needed = re.findall(r"(--[\w-]+) VALUE (?:(?!--).)*?Needed\.", " ".join(text.split()))

    assert sorted(f"error: {option} is missing" for option in needed) == sorted(
        line.partition(";")[0] for line in missed
    )
    assert not list(catalogue.iterdir())


def test_devices_add_refuses_what_is_no_text(catalogue):
    result = run("devices", "add", "my-chip", *options(CHIP | {"--vendor": "\udcff"}))

    assert result.exit_code == 2
    assert "no UTF-8 text" in result.stderr
    assert not list(catalogue.iterdir())


def test_devices_add_checks_the_name(catalogue):
    result = run("devices", "add", "My Chip", *options(CHIP))

    assert result.exit_code == 2
    assert "is no name" in result.stderr
    assert not list(catalogue.iterdir())
