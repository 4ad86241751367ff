"""Prefill: the prompts of a batch in one pass, bound by compute where decode is by memory."""

from typing import NamedTuple

from perfcore.physics.attention import (
    INDEX_BYTES,
    STATE_BYTES,
    STATE_FLOPS,
    causal_pairs,
    index_limit,
    limited_pairs,
    window_limit,
    windowed_pairs,
)
from perfcore.physics.collectives import Exchange, all_reduce
from perfcore.physics.decode import attention_flops
from perfcore.physics.operators import Operators
from perfcore.physics.parallelism import Spread
from perfcore.physics.roofline import operator_time, roofline
from perfcore.records import Device, Engine, KVFormat, Model, WeightFormat

STATE_CHUNK = 64.0  # tokens that a recurrent layer folds into its state at once


class Prompt(NamedTuple):
    """A batch of prompts of one length, as numbers of pairs and tokens."""

    tokens: float  # of all sequences
    global_pairs: float  # (query, key) pairs of one sequence and layer
    window_pairs: float
    index_pairs: float


class PrefillCosts(NamedTuple):
    """What a prefill costs besides its linear operators. Times in seconds, flops in FLOP."""

    fixed: float  # start-ups, host, hand-over, lm_head
    per_token: float  # hand-over to the next stage
    narrowing: float  # decode width / prefill width
    per_attention_flop: float  # s/FLOP
    per_attention_byte: float  # s/byte
    attention_bytes_per_token: float
    state_flops_per_token: float
    global_pair_flops: float  # of one pair in all sequences and layers
    window_pair_flops: float
    index_pair_flops: float


def prompt(model: Model, batch: float, input_len: float) -> Prompt:
    """The work in ``batch`` prompts of ``input_len`` tokens."""
    return Prompt(
        tokens=batch * input_len,
        global_pairs=limited_pairs(input_len, index_limit(model)),
        window_pairs=windowed_pairs(input_len, window_limit(model), model.window_chunked),
        index_pairs=causal_pairs(input_len),
    )


def prefill_costs(
    model: Model,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    kv_format: KVFormat,
    layout: Spread,
    operators: Operators,
    batch: float,
    start_up: float,
    hand_over: float,
    hand_over_per_token: float,
) -> PrefillCosts:
    """Costs of a prefill that do not depend on its length.

    Attention counts the causal half of the scores, which never touch memory; its traffic is q and
    o, and K and V once written and once read. A latent cache is expanded to all heads on the fly.
    """
    narrowing = layout.width / layout.prefill_width
    head = operator_time(operators.lm_head, batch, 1.0, engine.residue)
    kv_elements = model.global_kv_elements + model.window_kv_elements
    copies = layout.width / layout.kv_width
    state_bytes = 2.0 * model.state_elements * STATE_BYTES / STATE_CHUNK
    flops = attention_flops(device, engine.attention_prefill_efficiency)
    bandwidth = engine.memory_efficiency_16 * device.memory_bandwidth
    return PrefillCosts(
        fixed=start_up + engine.host_per_prefill + hand_over + head.total,
        per_token=hand_over_per_token,
        narrowing=narrowing,
        per_attention_flop=1.0 / (flops * layout.prefill_width),
        per_attention_byte=1.0 / (bandwidth * layout.prefill_width),
        attention_bytes_per_token=model.attention_io_elements * weight_format.activation_bytes
        + 2.0 * copies * kv_elements * kv_format.bits / 8.0
        + copies * model.index_elements * INDEX_BYTES
        + state_bytes,
        state_flops_per_token=STATE_FLOPS * model.state_elements,
        global_pair_flops=model.global_prefill_score_flops * batch,
        window_pair_flops=model.window_score_flops * batch,
        index_pair_flops=model.index_score_flops * batch,
    )


def attention_work(costs: PrefillCosts, work: Prompt) -> float:
    """FLOP of attention and recurrent layers in a prefill. [FLOP]"""
    return (
        costs.global_pair_flops * work.global_pairs
        + costs.window_pair_flops * work.window_pairs
        + costs.index_pair_flops * work.index_pairs
        + costs.state_flops_per_token * work.tokens
    )


def prefill_time(
    costs: PrefillCosts,
    operators: Operators,
    links: Exchange,
    all_reduces: float,
    message_bytes_per_token: float,
    work: Prompt,
    experts_read: float,
    residue: float,
) -> float:
    """Time from the start of the batch to its first tokens. [s]"""
    tokens = work.tokens
    linear = (
        operator_time(operators.attention_in, tokens, 1.0, residue).total
        + operator_time(operators.attention_out, tokens, 1.0, residue).total
        + operator_time(operators.ffn_in, tokens, 1.0, residue).total
        + operator_time(operators.ffn_out, tokens, 1.0, residue).total
        + operator_time(operators.shared, tokens, 1.0, residue).total
        + operator_time(operators.experts, tokens, experts_read, residue).total
        + operators.elementwise.weights
        + operators.elementwise.activations_per_token * tokens
    )
    attention = roofline(
        attention_work(costs, work) * costs.per_attention_flop,
        costs.attention_bytes_per_token * tokens * costs.per_attention_byte,
        residue,
    )
    network = all_reduces * all_reduce(links, message_bytes_per_token * tokens).total
    return (
        linear * costs.narrowing
        + attention.total
        + network
        + costs.per_token * tokens
        + costs.fixed
    )
