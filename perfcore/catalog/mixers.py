"""The matrices of attention and state layers.

Symbols: d hidden size, H and K query and KV heads, h head width, V vocabulary; of MLA c latent
width, q_r query rank, n, r and v widths of a head without and with rotation and of its value; of
state layers i inner width, N state, g groups, n_h heads.
"""

from typing import NamedTuple

from perfcore.catalog.architecture import Architecture
from perfcore.catalog.layer_types import COMPRESSED
from perfcore.catalog.linear import Linear, matrices, times, total


class Mixer(NamedTuple):
    """The matrices of one attention or state layer, and the rest of its parameters."""

    into: Linear
    out: Linear
    other: int = 0


def kv_heads(entry: Architecture, code: str) -> int:
    """Return K of a layer of this type."""
    special = {"F": entry.num_global_key_value_heads, "S": entry.swa_num_key_value_heads}
    return special.get(code, 0) or entry.num_key_value_heads


def head_dims(entry: Architecture, code: str) -> tuple[int, int]:
    """Return the widths of a key head and of a value head of a layer of this type."""
    if code == "F" and entry.global_head_dim:
        return entry.global_head_dim, entry.global_head_dim
    return entry.query_key_dim, entry.value_dim


def grouped_query_attention(entry: Architecture, code: str) -> Mixer:
    """MHA, GQA and MQA: dHh + dK(h + h_v) + H h_v d, and what biases, norms and gates add.

    Ainslie et al., GQA, arXiv:2305.13245.
    """
    d, heads = entry.hidden_size, entry.num_attention_heads
    groups = kv_heads(entry, code)
    h, h_v = head_dims(entry, code)
    shared = entry.attention_k_eq_v and code == "F"
    queries = heads * h * (2 if entry.attn_output_gate else 1)
    qkv = queries + groups * (h if shared else h + h_v)
    norms = {"none": 0, "head-dim": 2 * h, "full": (heads + groups) * h}
    biases = {"none": 0, "qkv": qkv, "all": qkv + d}
    sinks = heads if entry.attention_sinks else 0
    return Mixer(
        matrices((d, qkv)),
        matrices((heads * h_v, d)),
        norms[entry.qk_norm] + biases[entry.attention_bias] + sinks,
    )


def latent_attention(entry: Architecture, code: str) -> Mixer:
    """MLA: d q_r + q_r H(n+r) + d(c+r) + c H(n+v) + H v d, with the indexer of DSA if it has one.

    Per token the up-projections of keys and values are two operators, as in absorbed decode.
    DeepSeek-AI, DeepSeek-V2, arXiv:2405.04434, equations 9 to 17; DSA: DeepSeek-V3.2-Exp report.
    """
    d, heads, rank = entry.hidden_size, entry.num_attention_heads, entry.q_lora_rank
    latent, rope = entry.kv_lora_rank, entry.qk_rope_head_dim
    nope, value = entry.qk_nope_head_dim, entry.v_head_dim
    queries = heads * (nope + rope)
    down = [(d, rank + latent + rope)] if rank else [(d, queries), (d, latent + rope)]
    into = [
        matrices(*down, *([(rank, queries)] if rank else [])),
        Linear(latent * heads * (nope + value), heads * (nope + value + 2 * latent), 2),
    ]
    other = rank + latent
    if code == "A" and entry.index_topk:
        index_dim = entry.index_head_dim
        into.append(
            matrices((rank or d, entry.index_n_heads * index_dim), (d, index_dim)),
        )
        into.append(Linear(d * entry.index_n_heads, entry.index_n_heads, 0))
        other += 2 * index_dim
    if entry.attn_output_gate:
        into.append(matrices((d, heads * value)))
    return Mixer(total(into), matrices((heads * value, d)), other)


def compressed_attention(entry: Architecture, code: str) -> Mixer:
    """DeepSeek-V4's layers: one latent head of keys and values, compressors, a grouped output.

    DeepSeek-AI, DeepSeek-V4 technical report. Hyper-connections are in ``extra_parameters``.
    """
    d, heads, h = entry.hidden_size, entry.num_attention_heads, entry.head_dim
    rank, low = entry.q_lora_rank, entry.o_groups * entry.o_lora_rank
    into = [(d, rank + h), (rank, heads * h)]
    other = rank + h + heads
    if code in "CH":
        width, tokens = (2 * h, 4) if code == "C" else (h, 128)  # C overlaps its blocks
        into.append((d, 2 * width))
        other += tokens * width + h
    if code == "C":
        index = entry.index_head_dim
        into += [(rank, entry.index_n_heads * index), (d, entry.index_n_heads + 4 * index)]
        other += 8 * index + index
    out = Linear(
        heads * h * entry.o_lora_rank + low * d,
        heads * h + 2 * low + d,
        2,
    )
    return Mixer(matrices(*into), out, other)


def gated_delta_net(entry: Architecture) -> Mixer:
    """Gated DeltaNet: d(2 K_d + 2 V_d) + 2 d n_v + V_d d, a convolution and a norm.

    Yang et al., arXiv:2412.06464; the shapes are those of Qwen3-Next.
    """
    d, n_v = entry.hidden_size, entry.linear_num_value_heads
    keys = entry.linear_num_key_heads * entry.linear_key_head_dim
    values = n_v * entry.linear_value_head_dim
    convolution = entry.linear_conv_kernel_dim * (2 * keys + values)
    return Mixer(
        matrices((d, 2 * keys + 2 * values), (d, 2 * n_v)),
        matrices((values, d)),
        convolution + 2 * n_v + entry.linear_value_head_dim,
    )


def kimi_delta_attention(entry: Architecture) -> Mixer:
    """Kimi delta attention: q, k, v, a low-rank decay, an output gate, and a convolution.

    The gate is of low rank as well unless ``attn_output_gate`` (Kimi K3).
    Kimi Team, Kimi Linear, arXiv:2510.26692.
    """
    d, n_v, h = entry.hidden_size, entry.linear_num_value_heads, entry.linear_value_head_dim
    keys = entry.linear_num_key_heads * entry.linear_key_head_dim
    values = n_v * h
    shapes = [(d, 2 * keys + values + n_v + h), (h, keys)]
    shapes += [(d, values)] if entry.attn_output_gate else [(d, h), (h, values)]
    return Mixer(
        matrices(*shapes),
        matrices((values, d)),
        entry.linear_conv_kernel_dim * (2 * keys + values) + n_v + keys + h,
    )


def lightning_attention(entry: Architecture) -> Mixer:
    """Lightning attention: 5 d H h + H h.

    MiniMax, MiniMax-01, arXiv:2501.08313.
    """
    d, width = entry.hidden_size, entry.num_attention_heads * entry.head_dim
    return Mixer(matrices((d, 3 * width), (d, width)), matrices((width, d)), width)


def mamba_1(entry: Architecture) -> Mixer:
    """Mamba: 2 d i + i (R + 2N) + R i + i d, and the convolution, dt, A and D parameters.

    Gu and Dao, arXiv:2312.00752. Inner norms are Jamba's.
    """
    d, inner = entry.hidden_size, entry.mamba_intermediate_size
    rank, state = entry.time_step_rank, entry.ssm_state_size
    small = inner * (entry.conv_kernel + 1) + inner + inner * state + inner
    return Mixer(
        matrices((d, 2 * inner), (inner, rank + 2 * state), (rank, inner)),
        matrices((inner, d)),
        small + (rank + 2 * state if entry.mamba_inner_norms else 0),
    )


def mamba_2(entry: Architecture) -> Mixer:
    """Mamba-2: d(2 i + 2 g N + n_h) + i d, and the convolution, dt, A, D and a norm.

    Dao and Gu, arXiv:2405.21060.
    """
    d, heads = entry.hidden_size, entry.mamba_num_heads
    inner = heads * entry.mamba_head_dim
    convolved = inner + 2 * entry.n_groups * entry.ssm_state_size
    return Mixer(
        matrices((d, inner + convolved + heads)),
        matrices((inner, d)),
        convolved * (entry.conv_kernel + 1) + 3 * heads + inner,
    )


def mixer(entry: Architecture, code: str) -> Mixer:
    """Return the matrices of one layer of this type (``layer_types.MIXERS``)."""
    if code in "FS":
        return grouped_query_attention(entry, code)
    if code in "Aa":
        return latent_attention(entry, code)
    if code in COMPRESSED:
        return compressed_attention(entry, code)
    if code == "M":
        return mamba_2(entry) if entry.mamba_num_heads else mamba_1(entry)
    other = {"G": gated_delta_net, "K": kimi_delta_attention, "T": lightning_attention}
    return other[code](entry)


def mixers(entry: Architecture) -> Mixer:
    """Return the matrices of all attention and state layers together."""
    parts = [(mixer(entry, code), n) for code, n in sorted(entry.layers.items()) if code != "-"]
    return Mixer(
        total(times(part.into, n) for part, n in parts),
        total(times(part.out, n) for part, n in parts),
        sum(n * part.other for part, n in parts),
    )
