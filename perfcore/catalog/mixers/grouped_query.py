"""Attention with keys and values for groups of query heads: MHA, GQA and MQA.

Also over the cache of an earlier layer, and beside a state-space layer.
"""

from fractions import Fraction
from typing import Final

from perfcore.catalog.architecture import Architecture
from perfcore.catalog.linear import matrices, total
from perfcore.catalog.mixers.mixer import Layer, Mixer, Rule
from perfcore.catalog.mixers.mixer import total as both
from perfcore.catalog.mixers.state_space import mamba_2


def _full_kv_heads(entry: Architecture) -> int:
    return entry.num_global_key_value_heads or entry.num_key_value_heads


def _window_kv_heads(entry: Architecture) -> int:
    return entry.swa_num_key_value_heads or entry.num_key_value_heads


def _window_heads(entry: Architecture) -> int:
    return entry.swa_num_attention_heads or entry.num_attention_heads


def _full_widths(entry: Architecture) -> tuple[int, int]:
    """Return the widths of a key and a value of the "F" layers."""
    if entry.global_head_dim:
        return entry.global_head_dim, entry.global_head_dim
    return entry.query_key_dim, entry.value_dim


def full_attention(entry: Architecture) -> Layer:
    """Grouped-query attention over the whole context."""
    h, h_v = _full_widths(entry)
    groups, heads = _full_kv_heads(entry), entry.num_attention_heads
    scores = 2 * heads * (h + h_v)
    return _projections(entry, heads, groups, h, h_v, shared=entry.attention_k_eq_v)._replace(
        global_kv_elements=groups * (h + h_v),
        global_score_flops=scores,
        global_prefill_score_flops=scores,
    )


def window_attention(entry: Architecture) -> Layer:
    """Grouped-query attention over a window."""
    h, h_v = entry.query_key_dim, entry.value_dim
    groups, heads = _window_kv_heads(entry), _window_heads(entry)
    return _projections(entry, heads, groups, h, h_v, shared=False)._replace(
        window_kv_elements=groups * (h + h_v),
        window_score_flops=2 * heads * (h + h_v),
    )


def borrowing_attention(entry: Architecture) -> Layer:
    """Attention over the whole context, to keys and values of an earlier layer (Gemma 3n).

    It projects and keeps none of its own. The shapes are those of ``modeling_gemma3n.py``.
    """
    layer, (h, h_v) = full_attention(entry), _full_widths(entry)
    own = _projections(entry, entry.num_attention_heads, 0, h, h_v, shared=False)
    return layer._replace(
        into=own.into,
        other=own.other,
        global_kv_elements=0,
        global_borrowed_elements=_full_kv_heads(entry) * (h + h_v),
    )


def borrowing_window(entry: Architecture) -> Layer:
    """The same over a window."""
    layer, h, h_v = window_attention(entry), entry.query_key_dim, entry.value_dim
    own = _projections(entry, _window_heads(entry), 0, h, h_v, shared=False)
    return layer._replace(
        into=own.into,
        other=own.other,
        window_kv_elements=0,
        window_borrowed_elements=_window_kv_heads(entry) * (h + h_v),
    )


def attention_beside_mamba(entry: Architecture) -> Layer:
    """Attention and Mamba-2 that read the same input; their outputs are added.

    Zuo et al., Falcon-H1, arXiv:2507.22448.
    """
    return both([full_attention(entry), mamba_2(entry)])


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


def _projections(
    entry: Architecture, heads: int, groups: int, h: int, h_v: int, *, shared: bool
) -> Layer:
    """Return d H h + d K(h + h_v) + H h_v d, plus biases, norms and gates.

    ``shared``: one matrix projects keys and values. Ainslie et al., GQA, arXiv:2305.13245.
    """
    d = entry.hidden_size
    gate = heads if entry.attn_head_gate else heads * h if entry.attn_output_gate else 0
    qkv = heads * h + gate + groups * (h if shared else h + h_v)
    norms = {"none": 0, "head-dim": (2 if groups else 1) * h, "full": (heads + groups) * h}
    biased = qkv - heads if entry.attn_head_gate else qkv
    biases = {"none": 0, "qkv": biased, "all": biased + d}
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


def _lends(entry: Architecture, lender: str) -> Rule:
    """Return the rule that a layer with a cache of its own comes before those that read it."""
    letters = entry.layer_pattern
    first = letters.find(lender.lower())
    return (
        lender not in letters[:first],
        f"layer_types: layers {lender.lower()} need an earlier {lender}, whose cache they read",
    )


def _borrowing_rules(entry: Architecture) -> list[Rule]:
    return [*_rules(entry), _lends(entry, "F")]


def _borrowing_window_rules(entry: Architecture) -> list[Rule]:
    return [*_window_rules(entry), _lends(entry, "S")]


def _beside_rules(entry: Architecture) -> list[Rule]:
    second = entry.mamba_num_heads and entry.mamba_head_dim and entry.n_groups
    return [
        *_rules(entry),
        (
            not (entry.ssm_state_size and second),
            "layers P need ssm_state_size, mamba_num_heads, mamba_head_dim and n_groups",
        ),
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
    Mixer(
        letter="f",
        title="attention over the whole context, in the cache of an earlier layer F",
        reach="global",
        layer=borrowing_attention,
        rules=_borrowing_rules,
        kv_heads=_full_kv_heads,
    ),
    Mixer(
        letter="s",
        title="attention over a window, in the cache of an earlier layer S",
        reach="window",
        layer=borrowing_window,
        rules=_borrowing_window_rules,
        kv_heads=_window_kv_heads,
    ),
    Mixer(
        letter="P",
        title="attention over the whole context and Mamba-2, side by side",
        reach="global",
        layer=attention_beside_mamba,
        rules=_beside_rules,
        kv_heads=_full_kv_heads,
        beside="state",
    ),
)
