"""Operators of a layer, fused as engines fuse them."""

from catalog.counts import record_of


def test_operators_are_fused_as_engines_fuse_them():
    llama, mixture = record_of("llama-3-8b"), record_of("mixtral-8x7b")

    assert llama.attention_in_operators == llama.ffn_in_operators == llama.ffn_out_operators == 32
    assert llama.attention_in_io_elements == 32 * (4096 + 6144)
    assert llama.ffn_in_io_elements == 32 * (4096 + 2 * 14336)
    assert record_of("deepseek-v3").attention_in_operators == 61 * 4
    assert record_of("deepseek-v3").shared_operators == 58 * 2
    assert mixture.expert_io_elements == 32 * 2 * (2 * 4096 + 3 * 14336)
    assert mixture.ffn_in_operators == 0
