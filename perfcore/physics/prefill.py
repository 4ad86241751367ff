"""Prefill: prompts in one pass, usually compute-bound while decode is memory-bound."""

from typing import NamedTuple

from perfcore.physics.attention import (
    INDEX_BYTES,
    STATE_BYTES,
    STATE_FLOPS,
    causal_keys,
    index_limit,
    limited_pairs,
    window_limit,
    windowed_pairs,
)
from perfcore.physics.collectives import Exchange, exchanges
from perfcore.physics.decode import Terms, attention_flops, index_flops, no_terms
from perfcore.physics.fused import fma
from perfcore.physics.operators import Operators, layer_compute, layer_weights
from perfcore.physics.parallelism import Layout, pipeline_fill
from perfcore.physics.roofline import TINY, Operator, Time, operator_time, roofline
from perfcore.physics.rounding import NOTHING
from perfcore.records import Device, Engine, KVFormat, Model, WeightFormat

STATE_CHUNK = 64.0  # tokens that a recurrent layer folds into its state at once


class Prompts(NamedTuple):
    """Prompts of one length that one attention group prefills together."""

    tokens: float  # new tokens of all prompts
    context: float  # tokens, including cached tokens
    score_flops: float  # per (query, key) pair, all global layers
    global_pairs: float  # (query, key) pairs of all prompts in one layer
    window_pairs: float
    index_pairs: float


class PrefillCosts(NamedTuple):
    """Costs of a prefill apart from its linear operators. Times in seconds, work in FLOP."""

    fixed: float  # launches of one pass, and hand-over
    exchange_start: float  # start-ups of the exchanges of a pass
    per_token: float  # s of hand-over to the next stage
    narrowing: float  # decode width / prefill width
    per_attention_flop: float  # s/FLOP
    per_index_flop: float  # s/FLOP
    per_attention_byte: float  # s/byte
    attention_bytes_per_token: float  # q, o, K and V written
    attention_bytes_per_context: float  # K and V read
    state_flops_per_token: float


class PassAttention(NamedTuple):
    """Attention of a pass, whose parts go through the stages, and in turn. [s]"""

    seconds: float
    reads: float  # part of seconds
    scores: float  # the rest
    arithmetic: float  # of all devices in turn, whatever it waits for
    reads_in_turn: float
    scores_in_turn: float


class PassParts(NamedTuple):
    """Parts of a time by the resource that limits them. [s]"""

    memory: float
    compute: float
    transfer: float  # bytes over links
    latency: float  # start-ups of operators and exchanges


class PrefillTerms(NamedTuple):
    """Time of a prefill and, if split, its parts. [s]

    ``serial`` is the time that it would take if stages worked in turn.
    """

    seconds: float
    serial: float
    parts: PassParts
    serial_parts: PassParts
    arithmetic: float  # part of serial: all operators, those that wait for bytes included
    attention: float  # a part of seconds, however it is limited


def new_tokens(prefix_hit: float, input_len: float) -> float:
    """Tokens of a prompt that are not cached: at least the last, from which its answer follows."""
    return max((1.0 - prefix_hit) * input_len, 1.0)


def prompts_of(model: Model, prompts: float, new: float, cached: float) -> Prompts:
    """Work of ``prompts`` of ``new`` tokens each, behind ``cached`` ones.

    Latent attention expands the latent to all heads as long as every token sees all before it.
    Once an indexer leaves tokens out, each query gathers its own, and its heads share them as in
    decode: 2 H (2 c + r) FLOP per pair instead of 2 H (n + r + v), 3.4 times as many in
    DeepSeek-V3.2 (DeepSeek-AI, DeepSeek-V3.2-Exp report; FlashMLA's sparse prefill kernel).
    """
    input_len = cached + new
    tokens = prompts * new
    all_pairs = tokens * causal_keys(input_len, cached)
    global_pairs = all_pairs
    score_flops = model.global_prefill_score_flops
    if model.index_topk > 0.0:
        limit = index_limit(model)
        global_pairs = prompts * (limited_pairs(input_len, limit) - limited_pairs(cached, limit))
        score_flops = model.global_score_flops if input_len > limit else score_flops
    window_pairs = 0.0
    if model.window_kv_elements > 0.0:
        window = window_limit(model)
        chunked = model.window_chunked
        seen = windowed_pairs(input_len, window, chunked)
        window_pairs = prompts * (seen - windowed_pairs(cached, window, chunked))
    return Prompts(
        tokens=tokens,
        context=prompts * input_len,
        score_flops=score_flops,
        global_pairs=global_pairs,
        window_pairs=window_pairs,
        index_pairs=all_pairs,
    )


def prefill_costs(
    model: Model,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    kv_format: KVFormat,
    layout: Layout,
    start_up: float,
    exchange_start: float,
    hand_over: float,
    hand_over_per_token: float,
) -> PrefillCosts:
    """Costs of a prefill that do not depend on its length.

    Attention computes the causal half of the scores, which are not written to memory. It moves q
    and o, and in each layer reads K and V once and writes those that it keeps. A latent cache is
    expanded to all heads on the fly.
    """
    copies = layout.width / layout.kv_width
    kv_bytes = copies * kv_format.bits / 8.0
    written_bytes = (model.global_kv_elements + model.window_kv_elements) * kv_bytes
    read_bytes = (model.global_read_elements + model.window_read_elements) * kv_bytes
    state_bytes = 2.0 * model.state_elements * STATE_BYTES / STATE_CHUNK
    flops = attention_flops(device, engine, engine.attention_prefill_efficiency)
    indexed = index_flops(device, engine, engine.attention_prefill_efficiency)
    bandwidth = engine.attention_prefill_memory_efficiency * device.memory_bandwidth
    return PrefillCosts(
        fixed=start_up + hand_over,
        exchange_start=exchange_start,
        per_token=hand_over_per_token,
        narrowing=layout.width / layout.prefill_width,
        per_attention_flop=1.0 / (flops * layout.prefill_width),
        per_index_flop=1.0 / (indexed * layout.prefill_width),
        per_attention_byte=1.0 / (bandwidth * layout.prefill_width),
        attention_bytes_per_token=model.attention_io_elements * weight_format.activation_bytes
        + written_bytes
        + state_bytes,
        attention_bytes_per_context=read_bytes + copies * model.index_elements * INDEX_BYTES,
        state_flops_per_token=STATE_FLOPS * model.state_elements,
    )


def score_work(costs: PrefillCosts, model: Model, work: Prompts) -> float:
    """FLOP of attention and recurrent layers in a prefill, without indexers. [FLOP]"""
    flops = work.score_flops * work.global_pairs
    flops += costs.state_flops_per_token * work.tokens
    if model.window_kv_elements > 0.0:
        flops += model.window_score_flops * work.window_pairs
    return flops


def attention_work(costs: PrefillCosts, model: Model, work: Prompts) -> float:
    """FLOP of attention, indexers and recurrent layers in a prefill. [FLOP]"""
    flops = score_work(costs, model, work)
    if model.index_topk > 0.0:
        flops += model.index_score_flops * work.index_pairs
    return flops


def attention_arithmetic(costs: PrefillCosts, model: Model, work: Prompts) -> float:
    """Time in which devices compute what ``attention_work`` counts. [s]"""
    seconds = score_work(costs, model, work) * costs.per_attention_flop
    if model.index_topk > 0.0:
        seconds += model.index_score_flops * work.index_pairs * costs.per_index_flop
    return seconds


def attention_bytes(costs: PrefillCosts, work: Prompts) -> float:
    """Bytes that attention and recurrent layers move in a prefill. [bytes]"""
    return (
        costs.attention_bytes_per_token * work.tokens
        + costs.attention_bytes_per_context * work.context
    )


def attention_time(costs: PrefillCosts, model: Model, engine: Engine, work: Prompts) -> Time:
    """Time of attention, indexers and recurrent layers in a prefill. [s]"""
    return roofline(
        attention_arithmetic(costs, model, work),
        attention_bytes(costs, work) * costs.per_attention_byte,
        engine.residue,
    )


def pipelined_parts(engine: Engine, layout: Layout, tokens: float) -> float:
    """Parts of a prefill that are in different stages at once; 1 without stages.

    The stages of a spatial machine count as devices that work together.
    """
    if layout.stages == 1.0 or layout.prefill_width > layout.width:
        return 1.0
    return min(max(tokens * (1.0 / engine.pipeline_chunk), 1.0), engine.prefill_overlap)


def chunk_fill(engine: Engine, layout: Layout, tokens: float) -> float:
    """Time of a prefill pipelined in chunks through stages, relative to one at a time."""
    if layout.stages == 1.0:
        return 1.0
    return pipeline_fill(layout.stages, pipelined_parts(engine, layout, tokens))


def last_part(
    model: Model,
    engine: Engine,
    layout: Layout,
    work: Prompts,
    prompts: float,
    new: float,
    cached: float,
) -> Prompts:
    """Work of the last of the parts of ``work`` that go through the stages; all without stages.

    It has as many of the ``new`` tokens as the others, and sees all before them: it takes longest.
    """
    if layout.stages == 1.0:
        return work
    part = new * (1.0 / pipelined_parts(engine, layout, prompts * new))
    return prompts_of(model, prompts, part, cached + new - part)


def through_stages(layout: Layout, all_parts: float, longest: float) -> float:
    """Time in which parts pass through p stages, all of which take ``all_parts`` in turn. [s]

    sum / p + (1 - 1/p) longest, if none overtakes another.
    """
    per_stage = 1.0 / layout.stages
    return fma(longest, 1.0 - per_stage, all_parts * per_stage)


def pipelined_attention(
    costs: PrefillCosts,
    model: Model,
    engine: Engine,
    layout: Layout,
    prompts: float,
    new: float,
    cached: float,
) -> float:
    """Time of ``attention_time`` of a pass of ``prompts`` through the stages. [s]"""
    work = prompts_of(model, prompts, new, cached)
    last = last_part(model, engine, layout, work, prompts, new, cached)
    return pass_attention(costs, model, engine, layout, work, last).seconds


def pass_attention(
    costs: PrefillCosts, model: Model, engine: Engine, layout: Layout, work: Prompts, last: Prompts
) -> PassAttention:
    """Attention of a pass through the stages, the ``last`` part of which takes longest."""
    time = attention_time(costs, model, engine, work)
    arithmetic = attention_arithmetic(costs, model, work)
    reads = time.memory_duty * attention_bytes(costs, work) * costs.per_attention_byte
    scores = time.compute_duty * arithmetic
    if layout.stages == 1.0:
        return PassAttention(time.total, reads, scores, arithmetic, reads, scores)
    longest = attention_time(costs, model, engine, last)
    longest_s = attention_bytes(costs, last) * costs.per_attention_byte
    seconds = through_stages(layout, time.total, longest.total)
    reads_s = through_stages(layout, reads, longest.memory_duty * longest_s)
    scores_s = max(seconds - reads_s, 0.0)
    return PassAttention(seconds, reads_s, scores_s, arithmetic, reads, scores)


def passes_at_once(layout: Layout, groups: float, micro_batches: float, pipelined: float) -> float:
    """Prefill passes that share the stages, limited by micro-batches and by idle stages.

    A pass that takes ``pipelined`` of the time that its work takes keeps 1 / ``pipelined`` stages
    busy, or all chips of a spatial machine.
    """
    if layout.micro_batches == 1.0:
        return 1.0
    working = layout.prefill_width * groups
    return min(micro_batches, max(layout.devices * pipelined / working, 1.0))


def add_prefill_operator(
    terms: Terms,
    operator: Operator,
    tokens: float,
    weight_reads: float,
    residue: float,
    split: bool,
) -> Terms:
    """``terms`` plus a class of linear operators; memory time counts as weights.

    Unless ``split``, all time counts as compute: splitting it costs a division.
    """
    time = operator_time(operator, tokens, weight_reads, residue)
    if not split:
        return Terms(weights=0.0, kv=0.0, activations=0.0, compute=terms.compute + time.total)
    memory = operator.weights * weight_reads + operator.activations_per_token * tokens
    return Terms(
        weights=terms.weights + time.memory_duty * memory,
        kv=0.0,
        activations=0.0,
        compute=terms.compute + time.compute_duty * operator.compute_per_token * tokens,
    )


def prefill_terms(
    costs: PrefillCosts,
    model: Model,
    engine: Engine,
    layout: Layout,
    operators: Operators,
    links: Exchange,
    expert_links: Exchange,
    grouped: bool,
    work: Prompts,
    last: Prompts,
    groups: float,
    prompts: float,
    experts_read: float,
    chunks: float,
    head_s: float,
    split: bool,
) -> PrefillTerms:
    """Time of a prefill and, if ``split``, its parts by limiting resource.

    ``prompts`` is the number of prompts per group, ``head_s`` the time of the lm_head for them,
    which is recomputed if ``split``. A server reads weights and starts operators for each of
    ``chunks``. Parts of a long prefill can be in different pipeline stages at once, so that all of
    it takes ``fill`` of its time, and each of them starts operators; reading the weights once takes
    as long as without, and attention is that of unequal parts, the ``last`` of which takes longest.
    """
    tokens = work.tokens
    residue = engine.residue
    expert_tokens = tokens * groups
    none = no_terms()
    linear = add_prefill_operator(none, operators.attention_in, tokens, chunks, residue, split)
    linear = add_prefill_operator(linear, operators.attention_out, tokens, chunks, residue, split)
    linear = add_prefill_operator(linear, operators.ffn_in, tokens, chunks, residue, split)
    linear = add_prefill_operator(linear, operators.ffn_out, tokens, chunks, residue, split)
    if operators.shared.weights > 0.0:
        linear = add_prefill_operator(linear, operators.shared, tokens, chunks, residue, split)
    if operators.experts.weights > 0.0:
        linear = add_prefill_operator(
            linear, operators.experts, expert_tokens, experts_read * chunks, residue, split
        )
    elementwise = (
        operators.elementwise.weights + operators.elementwise.activations_per_token * tokens
    )
    attention = pass_attention(costs, model, engine, layout, work, last)
    fill = chunk_fill(engine, layout, tokens)
    per_fill = 1.0 / fill
    starts = max(chunks, pipelined_parts(engine, layout, tokens)) * fill
    network = exchanges(links, tokens * fill, expert_links, expert_tokens * fill, grouped)
    hand_over = costs.per_token * tokens
    fixed = fma(costs.fixed, starts, costs.exchange_start * (starts - 1.0))
    narrowing = costs.narrowing * fill
    once = layer_weights(operators) + operators.experts.weights * experts_read
    once += operators.elementwise.weights
    once *= costs.narrowing - narrowing
    if not split:
        passed = (linear.compute + elementwise) * narrowing + once
        passed += attention.seconds + head_s
        seconds = passed + (network.total + hand_over + fixed)
        in_turn = once + attention.seconds + head_s + hand_over
        alone = attention.reads_in_turn + attention.scores_in_turn + head_s + hand_over
        unknown = PassParts(memory=NOTHING, compute=NOTHING, transfer=NOTHING, latency=NOTHING)
        return PrefillTerms(
            seconds=seconds,
            serial=fma(seconds - in_turn, per_fill, alone),
            parts=unknown,
            serial_parts=unknown,
            arithmetic=NOTHING,
            attention=attention.seconds,
        )
    head = add_prefill_operator(none, operators.lm_head, prompts, 1.0, residue, split)
    linear_memory = (linear.weights + elementwise) * narrowing
    linear_compute = linear.compute * narrowing
    memory = linear_memory + once + (attention.reads + head.weights)
    compute = linear_compute + (attention.scores + head.compute)
    arithmetic = layer_compute(operators) * tokens
    arithmetic += operators.experts.compute_per_token * expert_tokens
    arithmetic = arithmetic * costs.narrowing + attention.arithmetic
    transfer = network.transfer + hand_over
    latency = max(network.total - network.transfer, 0.0) + fixed
    seconds = (memory + compute) + (transfer + latency)
    own = head.weights + head.compute + hand_over
    in_turn = once + attention.seconds + own
    return PrefillTerms(
        seconds=seconds,
        serial=fma(
            seconds - in_turn, per_fill, attention.reads_in_turn + attention.scores_in_turn + own
        ),
        parts=PassParts(memory=memory, compute=compute, transfer=transfer, latency=latency),
        serial_parts=PassParts(
            memory=fma(linear_memory, per_fill, attention.reads_in_turn + head.weights),
            compute=fma(linear_compute, per_fill, attention.scores_in_turn + head.compute),
            transfer=fma(transfer - hand_over, per_fill, hand_over),
            latency=latency * per_fill,
        ),
        arithmetic=arithmetic,
        attention=attention.seconds,
    )


def shared_parts(
    terms: PrefillTerms, at_once: float, micro_batches: float, pipelined: float
) -> PassParts:
    """Parts of a pass's time whose shares of ``at_once`` passes depend on rates as the whole does.

    If idle stages decide how many passes are at once, each counts by its work, not by its time.
    """
    by_work = 1.0 < at_once < micro_batches
    parts = terms.parts
    work = terms.serial_parts
    return PassParts(
        memory=work.memory * pipelined if by_work else parts.memory,
        compute=work.compute * pipelined if by_work else parts.compute,
        transfer=work.transfer * pipelined if by_work else parts.transfer,
        latency=work.latency * pipelined if by_work else parts.latency,
    )


def cached_token_time(
    costs: PrefillCosts,
    model: Model,
    engine: Engine,
    prompts: float,
    input_len: float,
    prefix_hit: float,
    attention_s: float,
    layout: Layout,
) -> float:
    """Time that a cached token adds to a prefill of ``prompts``, of all of which it is one. [s]

    (prefill of the prompt - prefill of its new tokens alone) / cached tokens. Only attention
    differs, which takes ``attention_s`` with the cached tokens. If none is cached: the first one.
    """
    new = new_tokens(prefix_hit, input_len)
    if prefix_hit > 0.0:
        added = attention_s - pipelined_attention(costs, model, engine, layout, prompts, new, 0.0)
        return max(added, 0.0) * (1.0 / (input_len - new + TINY))
    behind_s = pipelined_attention(costs, model, engine, layout, prompts, new, 1.0)
    return max(behind_s - attention_s, 0.0)
