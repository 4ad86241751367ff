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


@pytest.mark.parametrize(
    ("name", "changes", "problem"),
    [
        ("falcon_h1", {"projectors_bias": True}, "projectors_bias: projections with biases"),
        ("falcon_h1", {"mamba_d_ssm": 1000}, "1000 is not mamba_n_heads times mamba_d_head"),
        ("gemma3n_text", {"intermediate_size": [8192] * 3}, "3 widths for 35 layers"),
        ("gemma3n_text", {"num_kv_shared_layers": 31}, "31 of 35: leaves no cache to share"),
        ("laguna", {"gating": "both"}, "'both' must be per-head, per-element or false"),
        ("laguna", {"num_attention_heads_per_layer": [48, 64]}, "2 items for 40 layers"),
        (
            "laguna, gating per-head",
            {"num_attention_heads_per_layer": [48, 64, 64, 32] * 10},
            "differ between layers of the same kind",
        ),
        ("cohere2_moe", {"first_k_dense_replace": 2, "mlp_layer_types": ...}, "lacks prefix_dense"),
        ("mimo_v2_flash", {"swa_head_dim": 64}, "swa_head_dim: 64 is not head_dim"),
        ("bailing_hybrid", {"use_kda_lora": True}, "low-rank delta attention"),
        (
            "minimax_m3_vl_text",
            {"sparse_attention_config": {"sparse_attention_freq": [1, 1]}},
            "2 items for 60 layers",
        ),
    ],
)
def test_what_a_family_s_rules_do_not_know_is_refused(name, changes, problem):
    assert any(problem in fault for fault in faults_of(changed(SAVED[name]["config"], **changes)))


def test_layers_that_share_a_cache_read_it_and_keep_none():
    entry = read(SAVED["gemma3n_text"]["config"])
    record, alone = (
        entry.record(),
        read(changed(SAVED["gemma3n_text"]["config"], num_kv_shared_layers=0)).record(),
    )

    assert entry.layers == {"S": 16, "F": 4, "s": 12, "f": 3}
    assert record.global_kv_elements * 7 == alone.global_kv_elements * 4
    assert record.global_read_elements == alone.global_read_elements == alone.global_kv_elements
    assert record.window_read_elements == alone.window_kv_elements
    assert record.global_score_flops == alone.global_score_flops
    assert alone.attention_in_elements - record.attention_in_elements == 15 * 2048 * 1024


def test_published_files_of_other_names_are_read_like_the_library_s():
    """Step 3.5, MiMo-V2 and MiniMax-M3 have other keys than the classes that read them."""
    kinds = ["full_attention", *["sliding_attention"] * 3] * 12
    step = {
        "model_type": "step3p5",
        "vocab_size": 128_896,
        "hidden_size": 4096,
        "intermediate_size": 11_264,
        "num_hidden_layers": 45,
        "num_attention_heads": 64,
        "num_attention_groups": 8,
        "head_dim": 128,
        "moe_layers_enum": ",".join(map(str, range(3, 45))),
        "moe_num_experts": 288,
        "moe_top_k": 8,
        "moe_intermediate_size": 1280,
        "share_expert_dim": 1280,
        "use_head_wise_attn_gate": True,
        "attention_other_setting": {"num_attention_heads": 96, "num_attention_groups": 8},
        "sliding_window": 512,
        "num_nextn_predict_layers": 3,
        "layer_types": kinds,
    }
    assert parameter_count(read(step)) == SAVED["step3p7"]["params"]

    saved = SAVED["mimo_v2_flash"]["config"]
    window = [int(kind == "sliding_attention") for kind in saved["layer_types"]]
    mimo = changed(
        saved,
        layer_types=...,
        mlp_layer_types=...,
        hybrid_layer_pattern=window,
        moe_layer_freq=[0] + [1] * 47,
        swa_num_key_value_heads=8,
        swa_head_dim=192,
        add_swa_attention_sink_bias=True,
    )
    assert read(mimo).record() == read(saved).record()

    frequency = [0] * 3 + [1] * 57
    saved = SAVED["minimax_m3_vl_text, index_topk_blocks 16"]["config"]
    m3 = changed(
        saved,
        layer_types=...,
        mlp_layer_types=...,
        index_n_heads=...,
        index_head_dim=...,
        moe_layer_freq=frequency,
        sparse_attention_config={
            "sparse_num_index_heads": 4,
            "sparse_index_dim": 128,
            "sparse_attention_freq": frequency,
        },
    )
    assert read(m3).record() == read(saved).record()


def test_ling_2_has_lightning_layers_and_ling_3_kimi_delta_ones():
    """Counts are those of the published files, the first without multi-token prediction."""
    saved = SAVED["bailing_hybrid"]["config"]
    ling_2 = changed(
        saved,
        kda_safe_gate=...,
        kda_lower_bound=...,
        layer_types=...,
        mlp_layer_types=...,
        hidden_size=8192,
        intermediate_size=18_432,
        num_hidden_layers=80,
        num_attention_heads=64,
        num_key_value_heads=64,
        layer_group_size=8,
        first_k_dense_replace=4,
        moe_intermediate_size=2048,
        num_experts=256,
        num_local_experts=256,
        q_lora_rank=1536,
        head_dim=128,
        linear_head_dim=128,
        linear_num_heads=64,
        linear_conv_kernel_dim=...,
        short_conv_kernel_size=...,
    )

    assert read(saved).layers == {"K": 35, "A": 7}
    assert read(ling_2).layers == {"T": 70, "A": 10}
    assert parameter_count(read(ling_2)) == 1_012_231_160_320


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
