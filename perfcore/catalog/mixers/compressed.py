"""Attention of DeepSeek-V4: over compressed entries of the context and over a window.

DeepSeek-AI, DeepSeek-V4 technical report. Hyper-connections are in ``extra_parameters``.

In V4.1 a few layers make entries, and those after them read the same ones (CSA2; shapes as in
NVIDIA-NeMo/Automodel @051bed2 nemo_automodel/components/models/deepseek_v41/attention.py).
"""

import re
from fractions import Fraction
from typing import Final

from perfcore.catalog import linear
from perfcore.catalog.architecture import Architecture
from perfcore.catalog.linear import Linear, matrices
from perfcore.catalog.mixers.mixer import Layer, Mixer, Rule

CSA_RATIO: Final = 4  # tokens per entry of compressed sparse attention
HCA_RATIO: Final = 128  # tokens per entry of heavily compressed attention
CSA2_RATIO: Final = 2  # tokens per entry in the first half of DeepSeek-V4.1; 1 in the second


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


def paired_source(entry: Architecture) -> Layer:
    """Full layer of CSA2 whose entries pool two tokens each, with a gate."""
    return _source(entry, CSA2_RATIO, gate=entry.head_dim)


def single_source(entry: Architecture) -> Layer:
    """Full layer of CSA2 with an entry for every token."""
    return _source(entry, 1, gate=0)


def reindexing_attention(entry: Architecture) -> Layer:
    """Reindex layer of CSA2: its own choice among the entries of an earlier layer.

    It scores at most 16,384 candidates that the layer which made them left over. That is less than
    2 % of the arithmetic of a pass, and is left out, as are the reads of their keys.
    """
    layer = reusing_attention(entry)
    return layer._replace(into=linear.total([layer.into, _index_queries(entry)]))


def reusing_attention(entry: Architecture) -> Layer:
    """Reuse layer of CSA2: window attention, and the entries that an earlier layer chose.

    Layers read ``index_topk`` entries, however many tokens each stands for. They count as one per
    token until they are that many, twice the reads of pairs in contexts below 2 ``index_topk``.
    """
    h = entry.head_dim
    scores = 2 * entry.num_attention_heads * 2 * h
    return window_attention(entry)._replace(
        global_borrowed_elements=h,
        global_score_flops=scores,
        global_prefill_score_flops=scores,
    )


def _source(entry: Architecture, tokens: int, *, gate: int) -> Layer:
    """Return a layer that keeps an entry for this many tokens, and an indexer's key of each."""
    d, h, index = entry.hidden_size, entry.head_dim, entry.index_head_dim
    layer, kept = reusing_attention(entry), Fraction(h, tokens)
    making = matrices((d, h + gate), (h, index))
    return layer._replace(
        into=linear.total([layer.into, making, _index_queries(entry)]),
        other=layer.other + h + index,
        global_kv_elements=kept,
        global_borrowed_elements=h - kept,
        index_elements=Fraction(index, tokens),
        index_score_flops=Fraction(2 * entry.index_n_heads * index, tokens),
    )


def _index_queries(entry: Architecture) -> Linear:
    """Return the matrices of an indexer's queries and of the weights of its heads."""
    heads = entry.index_n_heads
    return matrices((entry.q_lora_rank, heads * entry.index_head_dim), (entry.hidden_size, heads))


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


def _shared_rules(entry: Architecture) -> list[Rule]:
    given = entry.index_topk and entry.index_n_heads and entry.index_head_dim
    return [
        *_rules(entry),
        (not given, "layers D, E, d and e need index_topk, index_n_heads and index_head_dim"),
    ]


def _borrowing_rules(entry: Architecture) -> list[Rule]:
    before = re.split("[de]", entry.layer_pattern, maxsplit=1)[0]
    return [
        *_shared_rules(entry),
        (
            not set(before) & set("DE"),
            "layer_types: layers d and e need an earlier D or E, whose cache they read",
        ),
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
    Mixer(
        letter="D",
        title="DeepSeek-V4.1 attention with a window and top-k: makes one entry for 2 tokens",
        reach="global",
        layer=paired_source,
        rules=_shared_rules,
    ),
    Mixer(
        letter="E",
        title="DeepSeek-V4.1 attention with a window and top-k: makes one entry for each token",
        reach="global",
        layer=single_source,
        rules=_shared_rules,
    ),
    Mixer(
        letter="d",
        title="DeepSeek-V4.1 attention with a window, to entries that an earlier layer D or E made",
        reach="global",
        layer=reusing_attention,
        rules=_borrowing_rules,
    ),
    Mixer(
        letter="e",
        title="the same, but it chooses among the entries itself",
        reach="global",
        layer=reindexing_attention,
        rules=_borrowing_rules,
    ),
)
