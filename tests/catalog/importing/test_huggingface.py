"""Models from config.json files."""

import copy

import pytest

from catalog.importing.configs import CASES, LLAMA, SAVED, changed, faults_of, read
from perfcore.catalog import loader
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.parameters import parameter_count
from perfcore.errors import InputError
from perfcore.physics.attention import kv_bytes_per_sequence

# Published configurations


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "like" in case])
def test_config_is_the_model_of_the_catalogue(name):
    """Not the parameter count only: bytes, FLOP and cache of every operator."""
    case = CASES[name]
    entry, known = read(case["config"]), loader.load_model(case["like"])
    ours, theirs = entry.record(), known.record()
    theirs = theirs._replace(token_price=ours.token_price)  # a file has no price
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


@pytest.mark.parametrize("name", SAVED)
def test_config_has_the_parameters_and_the_cache_of_the_library_s_model(name):
    case = SAVED[name]
    entry = read(case["config"])
    cache = loader.load_kv_format("bf16").record()

    assert parameter_count(entry) == case["params"] + case.get("router_biases", 0)
    if "kv" in case:
        lengths = (8.0, 16.0)
        short, long = (kv_bytes_per_sequence(entry.record(), cache, n) for n in lengths)
        assert (long - short) / 8 == 2 * case["kv"]


@pytest.mark.parametrize("name", SAVED)
def test_a_key_that_is_left_out_is_named_if_it_changes_anything(name):
    """Classes have defaults for all keys, so that every such file is a valid one."""
    config = SAVED[name]["config"]
    known = read(config)
    table = config.get("text_config", config)
    for key in table:
        less = {other: value for other, value in table.items() if other != key}
        try:
            found = read({**config, "text_config": less} if "text_config" in config else less)
        except InputError:
            continue
        same = found.record() == known.record()
        assert same or found.notes != known.notes or found.estimated, key


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


def test_every_other_layer_of_qwen_next_may_be_dense():
    config = changed(CASES["qwen3_next"]["config"], decoder_sparse_step=2, intermediate_size=5632)
    entry = read(config)

    assert (entry.moe_layers, entry.dense_layers) == (24, 24)


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
    config["text_config"] |= {"num_kv_shared_layers": 60, "use_double_wide_mlp": True}
    (fault,) = faults_of(config)
    assert fault.startswith("config.json: text_config: num_kv_shared_layers: 60 of 60: leaves no")
    config["text_config"] |= {"num_kv_shared_layers": 20, "num_loops": 2}
    (fault,) = faults_of(config)
    assert fault.startswith("config.json: text_config: num_loops: not read for model_type")


def test_tied_outside_of_the_text_model():
    config = changed(CASES["qwen3_5, text inside"]["config"], tie_word_embeddings=True)

    assert read(config).tie_word_embeddings


def test_embeddings_tied_in_one_place_only_are_told():
    config = copy.deepcopy(CASES["qwen3_5, text inside"]["config"])
    inside = not config["tie_word_embeddings"]
    config["text_config"]["tie_word_embeddings"] = inside
    entry = read(config)

    assert entry.tie_word_embeddings is not inside
    assert "outside of text_config, which is followed" in entry.notes


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("gpt2", {"add_cross_attention": True}, "attention to another sequence"),
        ("mamba", {"use_conv_bias": False}, "convolutions without biases"),
        ("deepseek_v3", {"qk_head_dim": 256}, "256 is not 192, the sum of its parts"),
        ("ernie4_5_moe", {"use_bias": True}, "biases beside experts"),
        ("qwen3_moe", {"mlp_layer_types": ["sparse"]}, "must be dense or sparse for each layer"),
        ("opt", {"layer_norm_elementwise_affine": False}, "norms without weights"),
    ],
)
def test_what_a_known_architecture_does_differently_is_refused(name, changes, words):
    assert any(words in fault for fault in faults_of(changed(CASES[name]["config"], **changes)))


def test_heads_of_full_layers_may_be_listed_layer_by_layer():
    config = SAVED["gemma4_unified_text"]["config"]
    more = {**config["per_layer_config"], "00": {"head_dim": 512}}
    other = {**config["per_layer_config"], "05": {"num_key_value_heads": 2}}

    assert read(config).global_head_dim == 512
    assert "does not give all full layers" in faults_of({**config, "per_layer_config": more})[0]
    assert "more than head_dim" in faults_of({**config, "per_layer_config": other})[0]


@pytest.mark.parametrize(
    ("key", "value"), [("hidden_act", "relu2"), ("type_vocab_size", 2), ("H_cycles", 2)]
)
def test_an_unknown_type_with_another_ffn_or_embedding_is_refused(key, value):
    (fault,) = faults_of(changed(LLAMA, model_type="novel", **{key: value}))

    assert f"{key} show that it differs from Llama" in fault


# What cannot be read


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


# Other files, and what is said twice


def test_a_factor_of_positions_that_is_no_number_is_refused():
    config = changed(LLAMA, rope_scaling={"rope_type": "yarn", "factor": "4"})

    (fault,) = faults_of(config)
    assert "rope_scaling.factor: '4' must be a number from 1 to 10000; correct it" in fault


def test_a_size_given_twice_is_told():
    notes = read(changed(LLAMA, n_layer=40)).notes

    assert "num_hidden_layers = 32 is taken, not n_layer = 40" in notes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architectures": ["LlamaForCausalLMEagle"]}, "'LlamaForCausalLMEagle' is a draft head"),
        ({"architectures": ["DFlashDraftModel"]}, "'DFlashDraftModel' is a draft head"),
        ({"model_type": "medusa"}, "not modelled: a draft head"),
        ({"model_type": "minicpmv"}, "does not say which text model it has"),
        (
            {"model_type": "other", "architectures": ["OtherV"]},
            "'OtherV' is not a causal language model by its name",
        ),
    ],
)
def test_draft_heads_and_models_without_a_name_are_refused(changes, words):
    assert any(words in fault for fault in faults_of(changed(LLAMA, **changes)))


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"peft_type": "LORA", "r": 16}, "the configuration of an adapter"),
        ({"metadata": {}, "weight_map": {"a": "b"}}, "the index of a model's weights"),
        ({"_class_name": "A", "_diffusers_version": "0.30"}, "of a diffusion model"),
        ({"do_sample": True, "bos_token_id": 1}, "the configuration of generation"),
        ({"tokenizer_class": "LlamaTokenizer"}, "the configuration of a tokenizer"),
    ],
)
def test_other_files_of_a_model_are_told_by_what_they_are(config, what):
    (fault,) = faults_of(config)

    assert what in fault
    assert fault.endswith("give the config.json of a model")
