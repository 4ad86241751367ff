"""One decode step: the contribution of each resource, without and with context."""

from typing import NamedTuple

from perfcore.physics.attention import INDEX_BYTES, STATE_BYTES, STATE_FLOPS
from perfcore.physics.fused import fma
from perfcore.physics.operators import Operators
from perfcore.physics.parallelism import Layout
from perfcore.physics.roofline import Operator, operator_time, reached_flops, roofline
from perfcore.physics.rounding import NOTHING
from perfcore.records import MATH_FP8, MATH_FP16, Device, Engine, KVFormat, Model, WeightFormat


class Terms(NamedTuple):
    """Parts of a time by the resource that limits them. [s]"""

    weights: float
    kv: float
    activations: float
    compute: float


class ContextCosts(NamedTuple):
    """Cost of a token of context in a decode step, for one kind of attention layer. [s]"""

    kv_per_token: float
    compute_per_token: float
    activations: float  # q in and o out, independent of context


def no_terms() -> Terms:
    """Neutral element of a sum of terms."""
    return Terms(NOTHING, NOTHING, NOTHING, NOTHING)


def add_operator(
    terms: Terms, operator: Operator, tokens: float, weight_reads: float, residue: float
) -> Terms:
    """``terms`` plus a class of linear operators on ``tokens``."""
    time = operator_time(operator, tokens, weight_reads, residue)
    return Terms(
        weights=terms.weights + time.memory_duty * operator.weights * weight_reads,
        kv=terms.kv,
        activations=terms.activations + time.memory_duty * operator.activations_per_token * tokens,
        compute=terms.compute + time.compute_duty * operator.compute_per_token * tokens,
    )


def layer_terms(
    operators: Operators,
    tokens: float,
    expert_tokens: float,
    experts_read: float,
    residue: float,
) -> Terms:
    """Terms of the linear operators of all layers in one pass over ``tokens``, without start-up.

    Routed experts process ``expert_tokens``, those of all data-parallel groups.
    """
    terms = no_terms()
    terms = add_operator(terms, operators.attention_in, tokens, 1.0, residue)
    terms = add_operator(terms, operators.attention_out, tokens, 1.0, residue)
    terms = add_operator(terms, operators.ffn_in, tokens, 1.0, residue)
    terms = add_operator(terms, operators.ffn_out, tokens, 1.0, residue)
    if operators.shared.weights > 0.0:
        terms = add_operator(terms, operators.shared, tokens, 1.0, residue)
    if operators.experts.weights > 0.0:
        terms = add_operator(terms, operators.experts, expert_tokens, experts_read, residue)
    moved = operators.elementwise  # which computes nothing
    return Terms(
        weights=terms.weights + moved.weights,
        kv=terms.kv,
        activations=terms.activations + moved.activations_per_token * tokens,
        compute=terms.compute,
    )


def scaled(terms: Terms, factor: float) -> Terms:
    """``factor`` times ``terms``."""
    return Terms(
        weights=terms.weights * factor,
        kv=terms.kv * factor,
        activations=terms.activations * factor,
        compute=terms.compute * factor,
    )


def summed(first: Terms, second: Terms) -> Terms:
    """``first`` plus ``second``."""
    return Terms(
        weights=first.weights + second.weights,
        kv=first.kv + second.kv,
        activations=first.activations + second.activations,
        compute=first.compute + second.compute,
    )


def add_attention(
    terms: Terms,
    costs: ContextCosts,
    sequences: float,
    kv_s: float,
    compute_s: float,
    residue: float,
) -> Terms:
    """``terms`` plus the attention layers of one kind, on ``sequences``.

    For one sequence, reading the cache takes ``kv_s`` and computing the scores ``compute_s``.
    """
    time = roofline(compute_s, kv_s + costs.activations, residue)
    memory = time.memory_duty * sequences
    return Terms(
        weights=terms.weights,
        kv=fma(memory, kv_s, terms.kv),
        activations=fma(memory, costs.activations, terms.activations),
        compute=fma(time.compute_duty * sequences, compute_s, terms.compute),
    )


def kv_efficiency(model: Model, engine: Engine, kv_format: KVFormat) -> float:
    """Share of memory bandwidth at which decode attention reads the KV cache.

    It falls with the query heads that share a KV head, e / (1 + g (H/K - 1)), as each read feeds
    more arithmetic. A latent cache is designed for sharing and exempt.
    """
    efficiency = (
        engine.kv_efficiency_quantised if kv_format.quantised == 1.0 else engine.kv_efficiency
    )
    if model.latent_cache == 1.0 or model.heads == 0.0:
        return efficiency
    return efficiency / (1.0 + engine.kv_group_penalty * (model.heads / model.kv_heads - 1.0))


def attention_flops(device: Device, engine: Engine, efficiency: float) -> float:
    """FLOP/s at which a device multiplies scores; attention computes in 16 bit. [FLOP/s]"""
    return efficiency * reached_flops(device, engine, MATH_FP16)


def index_flops(device: Device, engine: Engine, efficiency: float) -> float:
    """FLOP/s of a sparse-attention indexer, whose queries and keys are in fp8. [FLOP/s]"""
    return efficiency * reached_flops(device, engine, MATH_FP8)


def scored_flops(model: Model, device: Device, engine: Engine) -> float:
    """Fastest arithmetic of a model's attention: 16 bit, or 8 bit of an indexer. [FLOP/s]"""
    scores = attention_flops(device, engine, 1.0)
    return max(scores, index_flops(device, engine, 1.0)) if model.index_topk > 0.0 else scores


def context_costs(
    kv_elements: float,
    score_flops: float,
    io_elements: float,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    kv_format: KVFormat,
    kv_bandwidth: float,
    layout: Layout,
    sequences: float,
    tokens: float,
    share: float,
) -> ContextCosts:
    """Costs of one kind of attention layer, times ``share``.

    A step reads the cache of each of ``sequences`` once and multiplies it by all ``tokens``, which
    include drafted tokens to verify.
    """
    flops = attention_flops(device, engine, engine.attention_decode_efficiency)
    bandwidth = engine.memory_efficiency_16 * device.memory_bandwidth
    return ContextCosts(
        kv_per_token=kv_elements
        * kv_format.bits
        / 8.0
        * sequences
        * share
        / (kv_bandwidth * layout.kv_width),
        compute_per_token=score_flops * tokens * share / (flops * layout.width),
        activations=io_elements
        * weight_format.activation_bytes
        * tokens
        * share
        / (bandwidth * layout.width),
    )


def state_terms(
    terms: Terms, model: Model, device: Device, engine: Engine, layout: Layout, tokens: float
) -> Terms:
    """``terms`` plus the recurrent layers, which read and write their state in every step."""
    if model.state_elements == 0.0:
        return terms
    flops = attention_flops(device, engine, engine.attention_decode_efficiency)
    bandwidth = engine.kv_efficiency * device.memory_bandwidth
    none = ContextCosts(0.0, 0.0, 0.0)
    return add_attention(
        terms,
        none,
        tokens,
        2.0 * model.state_elements * STATE_BYTES / (bandwidth * layout.width),
        STATE_FLOPS * model.state_elements / (flops * layout.width),
        engine.residue,
    )


def index_costs(
    model: Model,
    device: Device,
    engine: Engine,
    kv_bandwidth: float,
    layout: Layout,
    sequences: float,
    tokens: float,
    share: float,
) -> ContextCosts:
    """Costs of scoring every token of context with a sparse-attention indexer, times ``share``."""
    flops = index_flops(device, engine, engine.attention_decode_efficiency)
    return ContextCosts(
        kv_per_token=model.index_elements
        * INDEX_BYTES
        * sequences
        * share
        / (kv_bandwidth * layout.kv_width),
        compute_per_token=model.index_score_flops * tokens * share / (flops * layout.width),
        activations=0.0,
    )
