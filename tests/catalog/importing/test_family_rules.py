"""Rules of single families of models."""

import pytest

from catalog.importing.configs import SAVED, changed, faults_of, read
from perfcore.catalog.loader import load_model
from perfcore.catalog.parameters import parameter_count


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


def test_deepseek_v4_s_own_file_is_the_entry_of_the_catalogue():
    config = changed(
        SAVED["deepseek_v4"]["config"],
        layer_types=...,
        mlp_layer_types=...,
        compress_rates=...,
        compress_ratios=[0, 0, *[4, 128] * 20, 4, 0],  # the last is of multi-token prediction
        num_hash_layers=3,
        expert_dtype="fp4",
        quantization_config={"quant_method": "fp8", "weight_block_size": [128, 128]},
    )
    entry, known = read(config), load_model("deepseek-v4-flash")

    assert entry.record()._replace(token_price=known.token_price) == known.record()
    assert entry.native_dtype == known.native_dtype == "fp8+mxfp4 experts"
    (fault,) = faults_of(changed(config, compress_ratios=[0, 8] * 22))
    assert "compress_ratios: must name one of 3 kinds for each layer" in fault
    (fault,) = faults_of(changed(config, expert_dtype="int3"))
    assert "expert_dtype: 'int3': not a known format of experts" in fault


# As quoted in NVIDIA-NeMo/Automodel @014468d deepseek_v41/config.py.
DEEPSEEK_V41 = {
    "model_type": "deepseek_v41",
    "quantization_config": {
        "quant_method": "fp8",
        "weight_block_size": [32, 32],
        "scale_fmt": "ue8m0",
        "expert_dtype": "fp4",
    },
    "vision_config": {"model_type": "deepseek_v41_vision", "hidden_size": 1024},
    "text_config": {
        "model_type": "deepseek_v41_text",
        "vocab_size": 129_280,
        "hidden_size": 5120,
        "moe_intermediate_size": 2304,
        "num_hidden_layers": 40,
        "num_attention_heads": 64,
        "num_key_value_heads": 1,
        "head_dim": 512,
        "qk_rope_head_dim": 64,
        "q_lora_rank": 1280,
        "o_lora_rank": 1024,
        "o_groups": 8,
        "hidden_act": "silu",
        "swiglu_limit": 10.0,
        "rms_norm_eps": 1e-20,
        "attention_bias": False,
        "max_position_embeddings": 1_048_576,
        "rope_theta": 10_000,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 16,
            "beta_fast": 32,
            "beta_slow": 1,
            "original_max_position_embeddings": 65_536,
        },
        "n_routed_experts": 384,
        "n_shared_experts": 1,
        "num_experts_per_tok": 6,
        "scoring_func": "sqrtsoftplus",
        "topk_method": "noaux_tc",
        "norm_topk_prob": True,
        "routed_scaling_factor": 1.5,
        "sliding_window": 128,
        "compress_ratios": [0, 0, *[2] * 18, *[1] * 20, 0, 0, 0],  # the last are of DSpark
        "compress_rope_theta": 160_000,
        "kv_source_layer_ids": [2, 8, 14, 20],
        "index_source_layer_ids": [2, 8, 14, 20, 24, 28, 32, 36],
        "index_n_heads": 32,
        "index_head_dim": 128,
        "index_topk": 512,
        "candidate_source_layer_id": 20,
        "candidate_topk_blocks": 2048,
        "candidate_block_size": 8,
        "hc_mult": 4,
        "hc_sinkhorn_iters": 20,
        "hc_eps": 1e-6,
        "engram_layer_ids": [1, 14],
        "engram_num_embeddings": [384_006_168, 384_016_682],
        "engram_max_ngram_size": 4,
        "engram_vocab_size": 16_000_000,
        "engram_n_heads": 8,
        "engram_head_dim": 256,
        "engram_pad_token_id": 2,
        "engram_compressed_vocab_size": 99_092,
        "num_nextn_predict_layers": 3,
        "dspark_block_size": 5,
        "dspark_noise_token_id": 128_799,
        "dspark_target_layer_ids": [37, 38, 39],
        "dspark_markov_rank": 256,
        "dspark_n_routed_experts": 128,
        "dspark_num_experts_per_tok": 3,
    },
}


def test_deepseek_v4_1_s_own_file_is_the_entry_of_the_catalogue():
    entry, known = read(DEEPSEEK_V41), load_model("deepseek-v4.1-flash")

    assert entry.record() == known.record()
    assert entry.layer_pattern == known.layer_pattern
    assert entry.native_dtype == known.native_dtype == "fp8+mxfp4 experts"
    assert entry.ngram_table_parameters == 196_613_849_600


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"compress_ratios": [0, 0, *[4] * 18, *[1] * 20]}, "must be 0, 1 or 2 for each layer"),
        ({"compress_ratios": [0, 0, 2]}, "must be 0, 1 or 2 for each layer"),
        ({"candidate_source_layer_id": 30}, "24 chooses among more than candidates"),
    ],
)
def test_compressed_caches_of_other_kinds_are_refused(changes, problem):
    (fault,) = faults_of(changed_inside(DEEPSEEK_V41, **changes))

    assert problem in fault


def test_glm_5_3_has_the_shapes_of_the_catalogue():
    entry = read(changed_inside(SAVED["glm5_next"]["config"], index_kpool=4))
    known = load_model("glm-5.3-flash")
    same = {"token_price": 0.0, "other_elements": 0.0}  # hyper-connections, in whole or in part

    assert entry.record()._replace(**same) == known.record()._replace(**same)
    assert abs(entry.extra_parameters - known.extra_parameters) < 3_000


def changed_inside(config, **changes):
    return {**config, "text_config": {**config["text_config"], **changes}}


@pytest.mark.parametrize(
    ("name", "ignored", "wide"),
    [  # weights of these modules over all of the mixers, as transformers 5.24 counts them
        ("falcon_h1", "re:.*mamba.*", 486_539_264 / (486_539_264 + 1_342_177_280)),
        ("falcon_h1", "re:.*self_attn.*", 1_342_177_280 / (486_539_264 + 1_342_177_280)),
        ("mimo_v2_flash", "re:.*o_proj", 1_610_612_736 / 4_482_662_400),
        ("laguna, gating per-head", "re:.*self_attn.*", 1.0),
    ],
)
def test_shares_of_mixers_that_stay_at_16_bits(name, ignored, wide):
    weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}
    quantised = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
        "ignore": [ignored],
    }
    entry = read(changed(SAVED[name]["config"], quantization_config=quantised))

    assert entry.wide_attention == pytest.approx(wide, abs=1e-3)
    assert entry.wide_ffn == 0.0
