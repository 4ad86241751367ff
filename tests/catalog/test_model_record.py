"""Records of models, summed by class against their parameters."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.counts import COUNTS, heads, record_of, small
from perfcore import records
from perfcore.catalog.loader import load_model
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.parameters import active_parameter_count, parameter_count


def classes_sum(record):
    return (
        record.attention_in_elements
        + record.attention_out_elements
        + record.ffn_in_elements
        + record.ffn_out_elements
        + record.shared_elements
        + record.experts * record.expert_elements
        + record.lm_head_elements
        + record.embedding_elements
        + record.table_elements
        + record.other_elements
    )


@pytest.mark.parametrize("name", COUNTS)
def test_records_are_complete(name):
    entry = load_model(name)
    record = entry.record()

    assert classes_sum(record) == parameter_count(entry)
    assert all(type(value) is float and value >= 0 for value in record)
    assert record.kv_heads >= 1
    assert record.max_context > 0
    assert record.other_elements < 0.01 * parameter_count(entry)
    beside = entry.layers["P"]  # attention and a state in one layer
    mixers = record.global_layers + record.window_layers + record.state_layers
    assert mixers == entry.mixers + beside
    assert record.global_prefill_score_flops > 0 or record.global_layers == 0


@pytest.mark.parametrize(
    ("name", "all_reduces"),
    [
        ("llama-3-70b", 160),
        ("palm-62b", 64),  # parallel block
        ("llama-3.3-nemotron-super-49b", 49 + 80),
        ("nemotron-h-56b", 118),  # a layer is a mixer or an FFN
        ("falcon-mamba-7b", 64),
        ("longcat-flash", 56 + 56 + 28),
    ],
)
def test_all_reduces(name, all_reduces):
    assert record_of(name).all_reduces == all_reduces


def test_state_space_models_have_no_attention_and_no_longest_context():
    record = record_of("mamba-2.8b")

    assert (record.heads, record.kv_heads, record.global_kv_elements) == (0, 1, 0)
    assert record.max_context >= 1e9


def test_chunked_windows_and_quantised_experts_are_marked():
    assert record_of("llama-4-scout-17b-16e").window_chunked == 1
    assert record_of("gemma-3-27b").window_chunked == 0
    assert record_of("gpt-oss-120b").experts_only == 1
    assert record_of("kimi-k2.5").experts_only == 1
    assert record_of("kimi-k2").experts_only == 0


@st.composite
def architectures(draw):
    """Entries with grouped, windowed, latent or delta-rule mixers and dense or expert FFNs."""
    kv_heads = draw(heads)
    layers = draw(st.integers(1, 12))
    letters = draw(st.text("FSAaGKTM-", min_size=1, max_size=layers))
    experts = draw(st.sampled_from([0, 4, 16]))
    return ModelEntry(
        name="random",
        source="test",
        hidden_size=draw(small),
        num_hidden_layers=layers,
        vocab_size=draw(small),
        tie_word_embeddings=draw(st.booleans()),
        layer_types=letters,
        norm=draw(st.sampled_from(["scale", "scale-and-bias", "none"])),
        num_attention_heads=kv_heads * draw(heads),
        num_key_value_heads=kv_heads,
        head_dim=draw(small),
        sliding_window=draw(small),
        attention_bias=draw(st.sampled_from(["none", "qkv", "all"])),
        qk_norm=draw(st.sampled_from(["none", "head-dim", "full"])),
        attn_output_gate=draw(st.booleans()),
        q_lora_rank=draw(st.integers(0, 50)),
        kv_lora_rank=draw(small),
        qk_nope_head_dim=draw(small),
        qk_rope_head_dim=draw(small),
        v_head_dim=draw(small),
        index_topk=draw(st.integers(0, 1)),
        index_n_heads=2,
        index_head_dim=16,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        linear_key_head_dim=draw(small),
        linear_value_head_dim=draw(small),
        linear_conv_kernel_dim=4,
        mamba_num_heads=draw(st.sampled_from([0, 4])),
        mamba_head_dim=16,
        mamba_intermediate_size=64,
        time_step_rank=4,
        n_groups=2,
        ssm_state_size=draw(small),
        conv_kernel=4,
        intermediate_size=draw(small),
        gated_mlp=draw(st.booleans()),
        mlp_bias=draw(st.booleans()),
        num_experts=experts,
        num_experts_per_tok=draw(st.integers(1, 4)) if experts else 0,
        moe_intermediate_size=draw(small),
        moe_latent_size=draw(st.sampled_from([0, 24])),
        shared_expert_intermediate_size=draw(st.sampled_from([0, 32])),
        router_bias=draw(st.booleans()),
        first_k_dense_replace=draw(st.integers(0, 1)),
        decoder_sparse_step=draw(st.integers(1, 3)),
        dense_beside_moe=draw(st.booleans()),
    )


@given(architectures())
@settings(deadline=None)
def test_classes_of_any_architecture_sum_to_its_parameters(entry):
    record = entry.record()

    assert classes_sum(record) == parameter_count(entry)
    assert active_parameter_count(entry) <= parameter_count(entry)
    assert all(value >= 0 for value in record)
    assert isinstance(record, records.Model)
