"""Linear attention: layers whose state is a matrix of keys times values per head."""

from typing import Final

from perfcore.catalog.architecture import Architecture
from perfcore.catalog.linear import matrices
from perfcore.catalog.mixers.mixer import Layer, Mixer, Rule


def gated_delta_net(entry: Architecture) -> Layer:
    """Gated DeltaNet: d(2 K_d + 2 V_d) + 2 d n_v + V_d d, a convolution and a norm.

    Yang et al., arXiv:2412.06464; the shapes are those of Qwen3-Next.
    """
    d, n_v = entry.hidden_size, entry.linear_num_value_heads
    keys = entry.linear_num_key_heads * entry.linear_key_head_dim
    values = n_v * entry.linear_value_head_dim
    convolution = entry.linear_conv_kernel_dim * (2 * keys + values)
    return Layer(
        matrices((d, 2 * keys + 2 * values), (d, 2 * n_v)),
        matrices((values, d)),
        convolution + 2 * n_v + entry.linear_value_head_dim,
        state_elements=_delta_state(entry),
    )


def kimi_delta_attention(entry: Architecture) -> Layer:
    """Kimi delta attention: q, k, v, a low-rank decay, an output gate and a convolution.

    The gate is low-rank as well, unless ``attn_output_gate`` is set (Kimi K3), and the decay has
    full rank with ``linear_full_rank`` (Ling 3).
    Kimi Team, Kimi Linear, arXiv:2510.26692.
    """
    d, n_v, h = entry.hidden_size, entry.linear_num_value_heads, entry.linear_value_head_dim
    keys = entry.linear_num_key_heads * entry.linear_key_head_dim
    values = n_v * h
    if entry.linear_full_rank:
        shapes = [(d, 3 * keys + values + n_v)]
    else:
        shapes = [(d, 2 * keys + values + n_v + h), (h, keys)]
    shapes += [(d, values)] if entry.attn_output_gate else [(d, h), (h, values)]
    return Layer(
        matrices(*shapes),
        matrices((values, d)),
        entry.linear_conv_kernel_dim * (2 * keys + values) + n_v + keys + h,
        state_elements=_delta_state(entry),
    )


def _delta_state(entry: Architecture) -> int:
    """Return the state: n_v heads of keys times values, and the tail of the convolution."""
    keys = entry.linear_num_key_heads * entry.linear_key_head_dim
    values = entry.linear_num_value_heads * entry.linear_value_head_dim
    tail = (2 * keys + values) * max(entry.linear_conv_kernel_dim - 1, 0)
    return values * entry.linear_key_head_dim + tail


def _delta_rules(entry: Architecture) -> list[Rule]:
    given = (
        entry.linear_num_key_heads
        and entry.linear_num_value_heads
        and entry.linear_key_head_dim
        and entry.linear_value_head_dim
    )
    return [
        (
            not given,
            (
                "linear-attention layers need linear_num_key_heads, linear_num_value_heads,"
                " linear_key_head_dim and linear_value_head_dim"
            ),
        )
    ]


def lightning_attention(entry: Architecture) -> Layer:
    """Lightning attention: 5 d H h + H h, and H h² of state.

    MiniMax, MiniMax-01, arXiv:2501.08313.
    """
    d, width = entry.hidden_size, entry.num_attention_heads * entry.head_dim
    return Layer(
        matrices((d, 3 * width), (d, width)),
        matrices((width, d)),
        width,
        state_elements=width * entry.head_dim,
    )


def _lightning_rules(entry: Architecture) -> list[Rule]:
    return [
        (
            not (entry.num_attention_heads and entry.head_dim),
            "lightning attention needs num_attention_heads and head_dim",
        )
    ]


LINEAR_ATTENTION: Final = (
    Mixer(
        letter="G",
        title="Gated DeltaNet",
        reach="state",
        layer=gated_delta_net,
        rules=_delta_rules,
    ),
    Mixer(
        letter="K",
        title="Kimi delta attention",
        reach="state",
        layer=kimi_delta_attention,
        rules=_delta_rules,
    ),
    Mixer(
        letter="T",
        title="lightning (linear) attention",
        reach="state",
        layer=lightning_attention,
        rules=_lightning_rules,
    ),
)
