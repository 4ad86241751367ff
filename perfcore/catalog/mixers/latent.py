"""Multi-head latent attention (MLA), dense or over the tokens that an indexer selects (DSA)."""

from fractions import Fraction
from typing import Final

from perfcore.catalog.architecture import Architecture
from perfcore.catalog.linear import Linear, matrices, total
from perfcore.catalog.mixers.mixer import Layer, Mixer, Rule


def latent_attention(entry: Architecture) -> Layer:
    """MLA: d q_r + q_r H(n+r) + d(c+r) + c H(n+v) + H v d; c + r elements per cached token.

    The up-projections of keys and values count as two operators per token, as in absorbed decode,
    which works on the latent, 2 H (2 c + r) FLOP. Prefill works on heads of full width,
    2 H (n + r + v). DeepSeek-AI, DeepSeek-V2, arXiv:2405.04434, equations 9 to 17 and table 1.
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
    if entry.attn_head_gate:
        into.append(matrices((d, heads)))
    elif entry.attn_output_gate:
        into.append(matrices((d, heads * value)))
    return Layer(
        total(into),
        matrices((heads * value, d)),
        rank + latent,
        attention_io_elements=heads * (2 * latent + rope),
        global_kv_elements=latent + rope,
        global_score_flops=2 * heads * (2 * latent + rope),
        global_prefill_score_flops=2 * heads * (nope + rope + value),
    )


def indexed_attention(entry: Architecture) -> Layer:
    """MLA with the indexer of DSA, if the model has one: 2 H_i d_i FLOP and d_i per token.

    DeepSeek-AI, DeepSeek-V3.2-Exp report. With ``index_kpool`` = p > 1, one key covers p tokens, a
    mean with learned weights, d d_i + p d_i parameters (GLM-5.3-Flash, ``modeling_glm5_next.py``).
    """
    layer = latent_attention(entry)
    if not entry.index_topk:
        return layer
    d, heads, width = entry.hidden_size, entry.index_n_heads, entry.index_head_dim
    pool = entry.index_kpool
    indexer = [matrices((entry.q_lora_rank or d, heads * width), (d, width))]
    indexer.append(Linear(d * heads, heads, 0))
    if pool > 1:
        indexer.append(Linear(d * width, width, 0))
    return layer._replace(
        into=total([layer.into, *indexer]),
        other=layer.other + 2 * width + (pool * width if pool > 1 else 0),
        index_elements=Fraction(width, pool),
        index_score_flops=Fraction(2 * heads * width, pool),
    )


def _rules(entry: Architecture) -> list[Rule]:
    return [
        (
            not (entry.kv_lora_rank and entry.qk_nope_head_dim and entry.v_head_dim),
            "latent attention needs kv_lora_rank, qk_nope_head_dim and v_head_dim",
        )
    ]


LATENT: Final = (
    Mixer(
        letter="A",
        title="latent attention (MLA), with its own sparse indexer where index_topk is given",
        reach="global",
        layer=indexed_attention,
        rules=_rules,
    ),
    Mixer(
        letter="a",
        title="latent attention that uses the selection of an earlier layer's indexer",
        reach="global",
        layer=latent_attention,
        rules=_rules,
    ),
)
