"""Context that a layer sees, stores and multiplies, by hand."""

import pytest

from perfcore.physics.attention import (
    UNLIMITED,
    causal_keys,
    chunked_integral,
    index_limit,
    kv_bytes_of_prefix,
    kv_bytes_per_sequence,
    kv_bytes_per_token,
    limited_pairs,
    mean_context,
    mean_limited,
    mean_window,
    sliding_integral,
    state_bytes_per_sequence,
    window_limit,
    windowed_pairs,
)
from physics.worked import DEEPSEEK, FP8, IDEAL, KV16, LLAMA, digits, model, whole

# ------------------------------------------------------------------------------ attention


def test_sliding_integral():
    """Integral of min(s, 4) from 0 to 10: 8 + 24."""
    assert sliding_integral(10.0, 4.0) == 32.0


def test_chunked_integral():
    """Integral of s mod 4 from 0 to 10: 2 x 8 + 2."""
    assert chunked_integral(10.0, 4.0) == 18.0


def test_mean_window_chooses():
    assert mean_window(4.0, 6.0, 4.0, 0.0) == 4.0
    assert mean_window(4.0, 6.0, 4.0, 1.0) == pytest.approx((8.0 + 2.0) / 6.0, rel=1e-15)


def test_mean_window_just_after_the_end_of_a_chunk_keeps_its_digits():
    assert mean_window(2.0**40, 1.375, 8_192.0, 1.0) == 0.6875


def test_mean_contexts():
    """I = 6, O = 4: global 8; a window of 4 sees 4; chunks of 4 see (18 - 10) / 4 = 2."""
    assert mean_context(6.0, 4.0) == 8.0
    assert mean_limited(6.0, 4.0, 4.0) == 4.0
    assert mean_window(6.0, 4.0, 4.0, 0.0) == 4.0
    assert mean_window(6.0, 4.0, 4.0, 1.0) == 2.0


def test_chunked_window_in_the_long_run():
    """Llama 4, chunks of 8192: half a chunk, whatever the context."""
    assert mean_window(0.0, 8_192.0 * 100, 8_192.0, 1.0) == 4_096.0


def test_pairs():
    """I = 6, counted by hand: 1 + 2 + 3 + 4 + 4 + 4 with a limit or window of 4."""
    assert 6 * causal_keys(6.0, 0.0) == 21.0
    assert 3 * causal_keys(6.0, 3.0) == 4 + 5 + 6
    assert windowed_pairs(6.0, 4.0, 0.0) == 18.0
    assert windowed_pairs(6.0, 4.0, 1.0) == (1 + 2 + 3 + 4) + (1 + 2)
    assert limited_pairs(6.0, 4.0) == 18.0
    assert limited_pairs(6.0, UNLIMITED) == 21.0


def test_state_of_a_sequence():
    """4 bytes per element: Qwen3-Next keeps 79 MB per sequence, whatever its length."""
    assert state_bytes_per_sequence(model("qwen3-next-80b-a3b")) == 4 * 19_759_104


def test_limits():
    sparse = model("deepseek-v3.2")

    assert index_limit(LLAMA) == UNLIMITED
    assert index_limit(sparse) == 2_048.0
    assert window_limit(LLAMA) == 1.0
    assert window_limit(model("gemma-3-27b")) == 1_024.0


def test_kv_bytes_per_token():
    """[config] in bf16: Llama-3-70B 327,680, DeepSeek-V3 70,272."""
    assert kv_bytes_per_token(LLAMA, KV16) == 327_680
    assert kv_bytes_per_token(DEEPSEEK, KV16) == 70_272


def test_kv_bytes_of_a_batch():
    """Llama-3-70B, 32 sequences of 8192 tokens: 85.89934592 GB."""
    assert 32 * kv_bytes_per_sequence(LLAMA, KV16, 8_192.0) == digits(85.89934592e9)


def test_kv_bytes_of_windows():
    """[config] Gemma-3-27B, 131,072 tokens: 11,173,625,856 B; 66,571,993,088 B without windows."""
    gemma = model("gemma-3-27b")
    without = gemma._replace(window=1e9)

    assert kv_bytes_per_sequence(gemma, KV16, 131_072.0) == 11_173_625_856
    assert kv_bytes_per_sequence(without, KV16, 131_072.0) == 66_571_993_088


# ---------------------------------------------------------- one test for every kind of spread


def test_sliding_layers_read_their_window():
    gemma = model("gemma-3-27b")
    point = whole(gemma, IDEAL, input_len=100_000.0, output_len=100.0)
    read = (gemma.global_kv_elements * 100_050 + gemma.window_kv_elements * 1_024) * 2

    assert point.kv_s == digits(read / 3.35e12)


def test_chunked_layers_read_half_a_chunk():
    scout = model("llama-4-scout")
    point = whole(scout, IDEAL, input_len=81_920.0, output_len=8_192.0)
    read = (scout.global_kv_elements * 86_016 + scout.window_kv_elements * 4_096) * 2

    assert scout.window_chunked == 1.0
    assert point.kv_s == digits(read / 3.35e12)


def test_latent_layers_read_one_latent_for_all_heads():
    point = whole(DEEPSEEK, IDEAL, form=FP8, input_len=4_000.0, output_len=192.0)

    assert point.kv_s == digits(61 * 576 * 2 * 4_096 / 3.35e12)


def test_top_k_layers_read_k_tokens_and_all_keys():
    sparse = model("deepseek-v3.2")
    point = whole(sparse, IDEAL, form=FP8, input_len=100_000.0, output_len=192.0)
    read = 61 * (576 * 2 * 2_048 + 128 * 100_096)

    assert point.kv_s == digits(read / 3.35e12)


def test_recurrent_layers_read_their_state_at_any_length():
    mamba = model("mamba-2.8b")
    short = whole(mamba, IDEAL, input_len=10.0)
    long = whole(mamba, IDEAL, input_len=100_000.0)

    assert short.kv_s == long.kv_s == digits(2 * 4 * mamba.state_elements / 3.35e12)


def test_windows_hold_what_own_tokens_leave():
    """Gemma-3-27B: of a prefix of 2048 tokens, windows of 1024 hold 24 beside 1000 others."""
    gemma = model("gemma-3-27b")
    far = 2_048 * kv_bytes_per_token(gemma, KV16)
    near = 24 * 2 * gemma.window_kv_elements

    assert kv_bytes_of_prefix(gemma, KV16, 2_048.0, 1_000.0) == far + near
    assert kv_bytes_of_prefix(gemma, KV16, 2_048.0, 5_000.0) == far
    assert kv_bytes_of_prefix(LLAMA, KV16, 2_048.0, 1_000.0) == 2_048 * 327_680
