"""Cache, heads and states of attention and recurrent layers."""

from fractions import Fraction

import pytest
from pydantic import ValidationError

import perfcore
from catalog.counts import record_of
from catalog.test_consistency import plain
from perfcore.catalog.architecture import Architecture
from perfcore.catalog.consistency import faults
from perfcore.catalog.linear import matrices
from perfcore.catalog.loader import load_kv_format, load_model
from perfcore.catalog.mixers import MIXERS
from perfcore.catalog.mixers.mixer import Layer, Mixer
from perfcore.physics.attention import kv_bytes_per_sequence, kv_bytes_per_token


def test_kv_cache_of_grouped_query_attention():
    assert 2 * record_of("llama-3-70b").global_kv_elements == 327_680
    assert record_of("llama-3-70b").kv_heads == 8


def test_kv_cache_of_latent_attention():
    record = record_of("deepseek-v3")

    assert 2 * record.global_kv_elements == 70_272
    assert (record.latent_cache, record.kv_heads) == (1, 1)
    assert record.global_score_flops == 61 * 2 * 128 * 1088
    assert record.global_prefill_score_flops == 61 * 2 * 128 * (128 + 64 + 128)
    assert record.attention_io_elements == 61 * 128 * (576 + 512)


def test_kv_cache_of_windows():
    record, context = record_of("gemma-3-27b"), 131_072
    tokens = min(context, record.window)
    kept = record.global_kv_elements * context + record.window_kv_elements * tokens

    assert 2 * kept == 11_173_625_856
    assert (record.global_layers, record.window_layers) == (10, 52)


def test_explicit_head_dim_wins_over_hidden_size_by_heads():
    assert record_of("mistral-nemo-12b").global_kv_elements == 40 * 2 * 8 * 128


def test_key_and_value_heads_of_different_width():
    record = record_of("mimo-v2-flash")

    assert (record.global_kv_elements, record.window_kv_elements) == (11_520, 99_840)
    assert record.window_score_flops == 39 * 2 * 64 * (192 + 128)


def test_indexers():
    sparse, shared = record_of("deepseek-v3.2"), record_of("glm-5.2")

    assert sparse.index_elements == 61 * 128
    assert sparse.global_kv_elements == 61 * 576
    assert sparse.index_score_flops == 61 * 2 * 64 * 128
    assert (sparse.index_topk, shared.index_elements) == (2048, 21 * 128)


def test_an_indexer_with_one_key_for_four_tokens():
    """GLM-5.3-Flash: 11 layers of DSA beside 34 of KDA. Qwen3.8-Flash-Next: grouped queries."""
    glm, qwen = record_of("glm-5.3-flash"), record_of("qwen3.8-flash-next")

    assert glm.global_kv_elements == 11 * 512  # without rotary positions
    assert (glm.index_elements, glm.index_score_flops) == (11 * 128 / 4, 11 * 2 * 32 * 128 / 4)
    assert (glm.global_layers, glm.state_layers, glm.index_topk) == (11, 34, 2_048)
    assert qwen.global_kv_elements == 12 * 2 * 2 * 256
    assert (qwen.index_elements, qwen.index_score_flops) == (12 * 128 / 4, 12 * 2 * 4 * 128 / 4)
    assert (qwen.kv_heads, qwen.index_topk) == (2, 2_048)


def test_short_convolutions():
    """LFM2-1.2B: 10 of 16 layers, 3 tokens, of which two are kept."""
    record = record_of("lfm2-1.2b")

    assert (record.state_layers, record.global_layers) == (10, 6)
    assert record.state_elements == 10 * 2 * 2_048
    assert record.attention_in_elements == 10 * 3 * 2_048**2 + 6 * 2_048 * (2_048 + 2 * 512)


def test_compressed_attention_of_deepseek_v4():
    record = record_of("deepseek-v4-flash")

    assert record.global_kv_elements == 21 * 512 / 4
    assert record.index_elements == 21 * 128 / 4 + 20 * 512 / 128
    assert record.global_kv_elements + record.index_elements == 3_440
    assert record.window_kv_elements == 22_016
    assert record.index_topk == 4 * 512
    assert record.experts_only == 1


def test_deepseek_v4_1_keeps_four_caches_that_38_layers_read():
    """Published: 288 bytes an entry, in 4.5 bits, of three layers for 2 tokens and of one: 720.

    Its 890 bytes a token have keys of the indexer in 4.25 bits besides, which count in 8 here.
    """
    record, entry = record_of("deepseek-v4.1-flash"), load_model("deepseek-v4.1-flash")
    keys = 3 * 128 / 2 + 128

    assert entry.layers == {"V": 2, "D": 3, "E": 1, "d": 30, "e": 4}
    assert [entry.layer_pattern.index(letter) for letter in "DEde"] == [2, 20, 3, 24]
    assert record.global_kv_elements * 4.5 / 8 == 720
    assert (record.index_elements, keys * 4.25 / 8 + 720) == (keys, 890)
    assert record.global_read_elements == 38 * 512
    assert record.global_score_flops == 38 * 4 * 64 * 512
    assert record.index_score_flops == 3 * 2 * 32 * 128 / 2 + 2 * 32 * 128
    assert (record.global_layers, record.window_layers, record.index_topk) == (38, 2, 512)
    assert record.window_kv_elements == 40 * 512
    assert record.table_elements == (384_006_168 + 384_016_682) * 256


def test_shared_entries_are_kept_once_and_read_by_each_layer():
    """A layer that makes its own entries reads as many as one that borrows them."""
    known = load_model("deepseek-v4.1-flash")
    alone = known.model_copy(update={"layer_types": "VV" + 18 * "D" + 20 * "E"}).record()
    record = known.record()

    assert record.global_read_elements == alone.global_read_elements
    assert record.global_score_flops == alone.global_score_flops
    assert alone.global_kv_elements == (18 / 2 + 20) * 512
    making = (18 - 3) * 2 * 5120 * 512 + (20 - 1) * 5120 * 512
    choosing = 30 * (1280 * 32 * 128 + 5120 * 32) + 34 * 512 * 128
    assert alone.attention_in_elements - record.attention_in_elements == making + choosing


def test_compressed_layers_have_windows_even_if_no_layer_is_only_a_window():
    pro = record_of("deepseek-v4-pro")
    cache = load_kv_format("bf16").record()

    assert (pro.window_layers, pro.window, pro.window_kv_elements) == (0, 128, 61 * 512)
    assert kv_bytes_per_sequence(pro, cache, 4096) == (
        kv_bytes_per_token(pro, cache) * 4096 + 2 * 61 * 512 * 128
    )

    def kv_s(length):
        row = perfcore.evaluate("deepseek-v4-pro", "b300", tp=8, input_len=length, output_len=2)
        return row["kv_s"]

    # 256 more tokens are compressed, but the first 128 were kept whole as well
    assert kv_s(128) - kv_s(64) > 4 * (kv_s(1024) - kv_s(960))


@pytest.mark.parametrize(
    ("name", "elements"),
    [
        ("qwen3-next-80b-a3b", 19_759_104),
        ("minimax-text-01", 73_400_320),
        ("nemotron-h-56b", 229_810_176),
        ("jamba-v0.1-52b", 4_358_144),
        ("falcon-mamba-7b", 9_961_472),
        ("kimi-k3", 116_158_464),
        ("glm-5.3-flash", 34 * (64 * 128 * 128 + 3 * 3 * 8_192)),
    ],
)
def test_recurrent_states(name, elements):
    assert record_of(name).state_elements == elements


@pytest.mark.parametrize("letter", MIXERS)
def test_every_mixer_says_what_it_lacks(letter):
    bare = Architecture(
        name="x",
        source="test",
        hidden_size=1024,
        num_hidden_layers=1,
        vocab_size=1000,
        layer_types=letter,
    )

    assert bool(faults(bare)) == (letter != "-")


def test_a_declaration_is_all_that_a_new_mixer_needs(monkeypatch):
    new = Mixer(
        letter="Z",
        title="attention that is not in the catalogue",
        reach="global",
        layer=lambda entry: Layer(
            matrices((entry.hidden_size, 10)),
            matrices((10, entry.hidden_size)),
            other=7,
            global_kv_elements=Fraction(5, 2),
        ),
        rules=lambda entry: [(not entry.head_dim, "new attention needs head_dim")],
    )
    monkeypatch.setitem(MIXERS, "Z", new)

    record = plain(layer_types="Z", num_hidden_layers=3, head_dim=64).record()
    assert (record.attention_in_elements, record.attention_out_operators) == (3 * 10_240, 3)
    assert (record.global_layers, record.heads, record.latent_cache) == (3, 16, 1)
    assert record.global_kv_elements == 7  # 3 layers of 5/2, in whole elements
    with pytest.raises(ValidationError, match="new attention needs head_dim"):
        plain(layer_types="Z")
