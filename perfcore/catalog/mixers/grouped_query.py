"""Attention with keys and values for groups of query heads: MHA, GQA and MQA."""

from fractions import Fraction
from typing import Final

from perfcore.catalog.architecture import Architecture
from perfcore.catalog.linear import matrices, total
from perfcore.catalog.mixers.mixer import Layer, Mixer, Rule


def _full_kv_heads(entry: Architecture) -> int:
    return entry.num_global_key_value_heads or entry.num_key_value_heads


def _window_kv_heads(entry: Architecture) -> int:
    return entry.swa_num_key_value_heads or entry.num_key_value_heads


def full_attention(entry: Architecture) -> Layer:
    """Grouped-query attention over the whole context."""
    h, h_v = entry.query_key_dim, entry.value_dim
    if entry.global_head_dim:
        h = h_v = entry.global_head_dim
    groups, heads = _full_kv_heads(entry), entry.num_attention_heads
    scores = 2 * heads * (h + h_v)
    return _projections(entry, groups, h, h_v, shared=entry.attention_k_eq_v)._replace(
        global_kv_elements=groups * (h + h_v),
        global_score_flops=scores,
        global_prefill_score_flops=scores,
    )


def window_attention(entry: Architecture) -> Layer:
    """Grouped-query attention over a window."""
    h, h_v = entry.query_key_dim, entry.value_dim
    groups, heads = _window_kv_heads(entry), entry.num_attention_heads
    return _projections(entry, groups, h, h_v, shared=False)._replace(
        window_kv_elements=groups * (h + h_v),
        window_score_flops=2 * heads * (h + h_v),
    )


def indexed_attention(entry: Architecture) -> Layer:
    """Grouped-query attention over the tokens that an indexer selects.

    2 H_i d_i FLOP and d_i elements per token, or one key for ``index_kpool`` tokens, their mean;
    queries and keys have norms. Shapes as in the shards of Qwen3.8-Flash-Next.
    """
    layer = full_attention(entry)
    d, heads, width = entry.hidden_size, entry.index_n_heads, entry.index_head_dim
    return layer._replace(
        into=total([layer.into, matrices((d, heads * width), (d, width))]),
        other=layer.other + 2 * width,
        index_elements=Fraction(width, entry.index_kpool),
        index_score_flops=Fraction(2 * heads * width, entry.index_kpool),
    )


def _projections(entry: Architecture, groups: int, h: int, h_v: int, *, shared: bool) -> Layer:
    """Return d H h + d K(h + h_v) + H h_v d, plus biases, norms and gates.

    ``shared``: one matrix projects keys and values. Ainslie et al., GQA, arXiv:2305.13245.
    """
    d, heads = entry.hidden_size, entry.num_attention_heads
    queries = heads * h * (2 if entry.attn_output_gate else 1)
    qkv = queries + groups * (h if shared else h + h_v)
    norms = {"none": 0, "head-dim": 2 * h, "full": (heads + groups) * h}
    biases = {"none": 0, "qkv": qkv, "all": qkv + d}
    sinks = heads if entry.attention_sinks else 0
    return Layer(
        matrices((d, qkv)),
        matrices((heads * h_v, d)),
        norms[entry.qk_norm] + biases[entry.attention_bias] + sinks,
        attention_io_elements=heads * (h + h_v),
    )


def _rules(entry: Architecture) -> list[Rule]:
    heads = entry.num_attention_heads
    return [
        (
            not entry.num_key_value_heads,
            "num_key_value_heads: missing; attention layers need it",
        ),
        (
            heads > 0 and not entry.head_dim and entry.hidden_size % heads != 0,
            (
                f"num_attention_heads = {heads}: does not divide hidden_size ="
                f" {entry.hidden_size}; give head_dim"
            ),
        ),
    ]


def _window_rules(entry: Architecture) -> list[Rule]:
    return [
        *_rules(entry),
        (not entry.window, "sliding_window: missing; layer_types has window layers (S)"),
    ]


def _index_rules(entry: Architecture) -> list[Rule]:
    given = entry.index_topk and entry.index_n_heads and entry.index_head_dim
    return [
        *_rules(entry),
        (
            not given,
            "indexed attention (Q) needs index_topk, index_n_heads and index_head_dim",
        ),
    ]


GROUPED_QUERY: Final = (
    Mixer(
        letter="F",
        title="attention over the whole context",
        reach="global",
        layer=full_attention,
        rules=_rules,
        kv_heads=_full_kv_heads,
    ),
    Mixer(
        letter="Q",
        title="attention over the tokens that an indexer selects",
        reach="global",
        layer=indexed_attention,
        rules=_index_rules,
        kv_heads=_full_kv_heads,
    ),
    Mixer(
        letter="S",
        title="attention over a window",
        reach="window",
        layer=window_attention,
        rules=_window_rules,
        kv_heads=_window_kv_heads,
    ),
)
