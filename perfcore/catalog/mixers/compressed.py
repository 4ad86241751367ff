"""Attention of DeepSeek-V4: over compressed entries of the context and over a window.

DeepSeek-AI, DeepSeek-V4 technical report. Hyper-connections are in ``extra_parameters``.
"""

from fractions import Fraction
from typing import Final

from perfcore.catalog import linear
from perfcore.catalog.architecture import Architecture
from perfcore.catalog.linear import Linear, matrices
from perfcore.catalog.mixers.mixer import Layer, Mixer, Rule

CSA_RATIO: Final = 4  # tokens per entry of compressed sparse attention
HCA_RATIO: Final = 128  # tokens per entry of heavily compressed attention


def window_attention(entry: Architecture) -> Layer:
    """One latent head of keys and values over a window, with a grouped output projection."""
    d, heads, h = entry.hidden_size, entry.num_attention_heads, entry.head_dim
    rank, low = entry.q_lora_rank, entry.o_groups * entry.o_lora_rank
    out = Linear(
        heads * h * entry.o_lora_rank + low * d,
        heads * h + 2 * low + d,
        2,
    )
    return Layer(
        matrices((d, rank + h), (rank, heads * h)),
        out,
        rank + h + heads,
        attention_io_elements=heads * 2 * h,
        window_kv_elements=h,
        window_score_flops=2 * heads * 2 * h,
    )


def sparse_attention(entry: Architecture) -> Layer:
    """Window attention, a compressor with overlapping blocks, and an indexer of its entries."""
    d, h, rank = entry.hidden_size, entry.head_dim, entry.q_lora_rank
    index_heads, index = entry.index_n_heads, entry.index_head_dim
    layer = _compressing(entry, 2 * h, CSA_RATIO)
    indexer = matrices((rank, index_heads * index), (d, index_heads + 4 * index))
    scores = Fraction(2 * entry.num_attention_heads * 2 * h, CSA_RATIO)
    return layer._replace(
        into=linear.total([layer.into, indexer]),
        other=layer.other + 8 * index + index,
        global_kv_elements=Fraction(h, CSA_RATIO),
        global_score_flops=scores,
        global_prefill_score_flops=scores,
        index_elements=Fraction(index, CSA_RATIO) if entry.index_topk else 0,
        index_score_flops=Fraction(2 * index_heads * index, CSA_RATIO),
    )


def heavy_attention(entry: Architecture) -> Layer:
    """Window attention, and a compressor whose entries are all read.

    Nothing selects among the entries, so they are counted with the indexer's keys, whose reads
    grow with the context in the same way.
    """
    heads, h = entry.num_attention_heads, entry.head_dim
    return _compressing(entry, h, HCA_RATIO)._replace(
        index_elements=Fraction(h, HCA_RATIO),
        index_score_flops=Fraction(4 * heads * h, HCA_RATIO),
    )


def _compressing(entry: Architecture, width: int, tokens: int) -> Layer:
    """Return window attention with a compressor of this many tokens per entry."""
    layer = window_attention(entry)
    return layer._replace(
        into=linear.total([layer.into, matrices((entry.hidden_size, 2 * width))]),
        other=layer.other + tokens * width + entry.head_dim,
    )


def _rules(entry: Architecture) -> list[Rule]:
    given = (
        entry.head_dim
        and entry.q_lora_rank
        and entry.o_lora_rank
        and entry.o_groups
        and entry.sliding_window
    )
    return [
        (
            not given,
            (
                "compressed attention needs head_dim, q_lora_rank, o_lora_rank, o_groups and"
                " sliding_window"
            ),
        )
    ]


COMPRESSED: Final = (
    Mixer(
        letter="C",
        title="DeepSeek-V4 compressed sparse attention: one entry for 4 tokens, top-k, a window",
        reach="global",
        layer=sparse_attention,
        rules=_rules,
        index_tokens=CSA_RATIO,
    ),
    Mixer(
        letter="H",
        title="DeepSeek-V4 heavily compressed attention: one entry for 128 tokens, a window",
        reach="global",
        layer=heavy_attention,
        rules=_rules,
    ),
    Mixer(
        letter="V",
        title="DeepSeek-V4 attention over a window only",
        reach="window",
        layer=window_attention,
        rules=_rules,
    ),
)
