"""Stage 3: one prefill pass and one decode step, for given sequence lengths."""

from typing import NamedTuple

from perfcore.physics.attention import (
    INDEX_BYTES,
    STATE_FLOPS,
    index_limit,
    mean_context,
    mean_limited,
    mean_window,
    window_limit,
)
from perfcore.physics.decode import Terms, add_attention, layer_terms, scaled
from perfcore.physics.energy import (
    Demand,
    Watts,
    busy_energy,
    idle_power,
    linear_seconds,
    no_demand,
    slower_clock,
    waiting_energy,
)
from perfcore.physics.hybrid import cpu_linear
from perfcore.physics.memory import second_tier_bandwidth
from perfcore.physics.operators import touched_experts
from perfcore.physics.prefill import (
    PassParts,
    Prompts,
    attention_bytes,
    attention_work,
    cached_token_time,
    chunk_fill,
    last_part,
    new_tokens,
    passes_at_once,
    prefill_terms,
    prompts_of,
    shared_parts,
)
from perfcore.physics.roofline import TINY, roofline
from perfcore.physics.rounding import NOTHING
from perfcore.physics.serving import Rhythm, prompts_together, rhythm
from perfcore.physics.stages.batch import RunningBatch
from perfcore.physics.stages.capacity import cache_at
from perfcore.physics.stages.replica import Replica
from perfcore.records import OFFLOAD_EXPERTS, OFFLOAD_NONE, OFFLOAD_WEIGHTS, SCHEDULER_STATIC


class PromptsPool(NamedTuple):
    """The servers that run prompts, as far as their price and what surrounds a prompt go."""

    devices: float
    usd_per_second: float
    outside_s: float  # of each prompt, in which no device works for it
    random_arrivals: float
    load: float  # share of the time in which the pool is busy, if its size follows
    kv_hand_over_per_byte: float  # s
    low_ttft: float
    high_ttft: float


class Prefill(NamedTuple):
    """One prefill pass of a server or static batch; parts are computed for servers only.

    ``rhythm`` is that of continuous batching.
    """

    seconds: float
    memory_s: float
    compute_s: float
    arithmetic_s: float  # of operators that compute, even while others wait for bytes
    transfer_s: float
    latency_s: float
    chunks: float  # parts of the pass in a server, at least one
    further_host_s: float  # of the host, for all chunks but the first
    saved_share: float  # time saved by a chunk in a step, where stages overlap, at most 1
    per_prompt: float  # 1 / prompts of the pass
    per_at_once: float  # 1 / prefill passes that share the pipeline stages
    weight_read_share: float  # share of the resident weights read in the pass
    cached_token_s: float  # that one cached token of one prompt adds to the pass
    cpu_s: float  # of what is in host memory or on devices beside; nothing overlaps with it
    cpu_parts: PassParts  # of cpu_s; the CPU, copies and other devices count as transfer
    power_w: float  # of one board
    demand: Demand  # under a power limit
    rhythm: Rhythm


class Step(NamedTuple):
    """One decode step of all sequences that it has room for, at the mean context.

    Times are per output token. [s]
    """

    seconds: float
    per_second: float  # 1 / seconds
    device_s: float  # part in which devices work, start-ups included
    weights_s: float
    kv_s: float
    activations_s: float
    compute_s: float
    hidden_s: float  # behind which the arithmetic of prompts hides: linear operators wait for bytes
    reads_s: float  # bytes of linear operators and of attention over the context
    unused_s: float  # hidden_s and that of attention: in which devices could compute
    network_s: float
    transfer_s: float  # the part of network_s that a faster link would shorten
    latency_s: float
    host_s: float  # the part of latency_s in which the device waits for the host
    offload_s: float
    cpu_s: float  # in which devices wait for the CPU, or for other devices beside them
    cpu_bare_s: float  # likewise, without tokens
    away_bytes: float  # per device, in the second memory tier
    away_weights_s: float  # to read all offloaded weights once
    pass_bytes: float  # read and written in one pass
    pass_flops: float
    busy_j: float  # of a board that works, while device_s
    demand: Demand  # under a power limit


def pool_of(replica: Replica) -> PromptsPool:
    """Return what is known of servers that run prompts, whatever the prompts."""
    engine = replica.engine
    return PromptsPool(
        devices=replica.layout.devices,
        usd_per_second=replica.usd_per_second,
        outside_s=engine.host_per_prefill,
        random_arrivals=engine.random_arrivals,
        load=engine.prefill_pool_load,
        kv_hand_over_per_byte=replica.kv_hand_over_per_byte,
        low_ttft=replica.spread.low_ttft,
        high_ttft=replica.spread.high_ttft,
    )


def prefill_at(
    replica: Replica,
    running: RunningBatch,
    input_len: float,
    output_len: float,
) -> Prefill:
    """Stage 3, one prefill pass.

    Only a server needs the parts of its time: they lengthen decode steps.
    """
    model = replica.model
    engine = replica.engine
    layout = replica.layout
    deployment = replica.deployment
    served = deployment.scheduler != SCHEDULER_STATIC
    hit = deployment.prefix_hit
    new = new_tokens(hit, input_len)
    decode_steps = (output_len - 1.0) * replica.per_step_token
    pace = rhythm(engine, running.batch, running.sequences, new, decode_steps, replica.drafted)
    # prefill of a spatial machine uses all chips for all prompts
    all_at_once = layout.prefill_width > layout.width
    sequences = running.per_group if all_at_once else running.sequences
    together = prompts_together(
        engine, deployment.scheduler, running.batch, sequences, running.groups, new
    )
    per_group = together * running.per_groups
    per_prompt = 1.0 / together if served else running.per_batch
    work = prompts_of(model, per_group, new, input_len - new)
    chunks = max(work.tokens * (1.0 / engine.prefill_chunk), 1.0) if served else 1.0
    last = last_part(model, engine, layout, work, per_group, new, input_len - new)
    experts_read = touched_experts(
        layout.expert_slots, engine, replica.passed_over, work.tokens * running.groups
    )
    terms = prefill_terms(
        replica.prefill,
        model,
        engine,
        layout,
        replica.operators,
        replica.links,
        replica.expert_links,
        replica.expert_reduces > 0.0,
        work,
        last,
        running.groups,
        per_group,
        experts_read,
        chunks,
        running.head_s,
        served,
    )

    # Power, from traffic and arithmetic of one group's devices.
    moved_bytes = (
        replica.body_bytes * chunks
        + replica.head_bytes * per_group
        + replica.prefill_bytes_per_token * work.tokens
        + attention_bytes(replica.prefill, work)
    )
    read_share = replica.body_share
    if model.experts > 0.0:
        moved_bytes += replica.expert_bytes * experts_read * chunks * running.per_groups
        read_share += replica.expert_share * experts_read
    executed_s = replica.executed.per_attention_flop * attention_work(replica.prefill, model, work)
    executed_s += linear_seconds(
        replica.executed,
        model,
        work.tokens,
        per_group,
        work.tokens * running.groups,
        experts_read,
        running.per_groups,
    )
    busy_s = terms.serial
    micro_batches = running.passes * running.per_groups
    of_pass = layout.prefill_width / layout.devices * running.groups  # devices in turn
    pipelined = terms.seconds / busy_s if layout.stages > 1.0 else 1.0
    at_once = passes_at_once(layout, running.groups, micro_batches, pipelined)
    parts = terms.parts
    if layout.stages > 1.0:
        parts = shared_parts(terms, at_once, micro_batches, pipelined)
    memory_s = moved_bytes * (1.0 / (layout.prefill_width * replica.device.memory_bandwidth))
    busy_j = busy_energy(replica.watts, busy_s, memory_s, executed_s * replica.prefill.narrowing)
    seconds = terms.seconds
    power_w = busy_j / busy_s
    demand = no_demand()
    if replica.capped == 1.0:
        longer = slower_clock(replica.watts, busy_s, busy_j, memory_s, memory_s)
        demand = Demand(longer, power_w, memory_s / busy_s, memory_s / busy_s)
        seconds *= longer
        power_w = min(power_w, replica.watts.limit)
        parts = PassParts(
            memory=parts.memory * longer,
            compute=parts.compute * longer,
            transfer=parts.transfer * longer,
            latency=parts.latency * longer,
        )
    arithmetic_s = terms.arithmetic * (at_once * of_pass if layout.stages > 1.0 else 1.0)
    active_share = of_pass * at_once / pipelined
    mean_w = active_share * power_w + idle_power(replica.watts, active_share)
    elsewhere = prompts_elsewhere(replica, running, work, seconds, mean_w)
    return Prefill(
        seconds=seconds,
        memory_s=parts.memory,
        compute_s=parts.compute,
        arithmetic_s=arithmetic_s * demand.longer,
        transfer_s=parts.transfer,
        latency_s=parts.latency,
        chunks=chunks,
        further_host_s=(chunks - 1.0) * (replica.host_s * running.per_micro_batches),
        saved_share=at_once * running.per_micro_batches * chunk_fill(engine, layout, work.tokens),
        per_prompt=per_prompt,
        per_at_once=1.0 / at_once,
        cached_token_s=per_prompt
        * cached_token_time(
            replica.prefill,
            model,
            engine,
            per_group,
            input_len,
            hit,
            terms.attention,
            layout,
        ),
        weight_read_share=read_share,
        cpu_s=elsewhere.seconds,
        cpu_parts=elsewhere.parts,
        power_w=elsewhere.power_w,
        demand=demand,
        rhythm=pace,
    )


def cpu_prefill(replica: Replica, running: RunningBatch, work: Prompts) -> PassParts:
    """Time that a prefill pass spends on what is in host memory. [s]

    The CPU computes it, or weights are copied to the devices, which compute. Prompts pass in parts
    of ``prefill_chunk`` tokens, each of which reads or copies the weights again. The CPU computes
    attention of its own layers either way.
    """
    model = replica.model
    engine = replica.engine
    cpu = replica.away.cpu
    groups = running.groups
    tokens = work.tokens * groups
    reads = max(work.tokens * (1.0 / engine.prefill_chunk), 1.0)
    per_reads = 1.0 / reads
    together = tokens * per_reads
    experts_read = touched_experts(
        replica.layout.expert_slots, engine, replica.passed_over, together
    )
    written = (model.global_kv_elements + model.window_kv_elements) * work.tokens
    read = (model.global_read_elements + model.window_read_elements) * work.context
    cache_bytes = (written + read) * (replica.kv_format.bits / 8.0)
    cache_bytes += model.index_elements * INDEX_BYTES * work.context
    own_layers = cpu.cached * groups
    attention_s = roofline(
        own_layers * attention_work(replica.prefill, model, work) * cpu.per_flop,
        own_layers * cache_bytes * cpu.per_byte,
        engine.residue,
    ).total
    passing_s = cpu.crossing_per_token * tokens
    starting_s = cpu.crossing_start * reads

    # Computed by the CPU.
    linear_s = cpu_linear(cpu, tokens, experts_read, reads, engine.residue)
    linear_s += cpu.crossings * (passing_s + starting_s)

    # Copied.
    copies_s = (cpu.body_copy + cpu.expert_copy * experts_read) * reads
    copies_s += cpu.copied_crossings * (passing_s + starting_s)
    terms = layer_terms(
        replica.away.copied, work.tokens * per_reads, together, experts_read, engine.residue
    )
    terms = scaled(terms, reads)
    start_s = replica.away.copied_start_s * reads
    device_s = terms.weights + terms.activations + terms.compute + start_s
    streams = copies_s + device_s < linear_s
    if engine.cpu_stream_tokens > 0.0:
        streams = together >= engine.cpu_stream_tokens
    if not streams:
        starting_s *= cpu.crossings
        return PassParts(
            memory=0.0,
            compute=0.0,
            transfer=attention_s + linear_s - starting_s,
            latency=starting_s,
        )
    starting_s *= cpu.copied_crossings
    return PassParts(
        memory=terms.weights + terms.activations,
        compute=terms.compute,
        transfer=attention_s + copies_s - starting_s,
        latency=starting_s + start_s,
    )


class Elsewhere(NamedTuple):
    """What a prefill pass spends on host memory, and the mean power of a board with it."""

    seconds: float
    parts: PassParts
    power_w: float


def prompts_elsewhere(
    replica: Replica, running: RunningBatch, work: Prompts, seconds: float, power_w: float
) -> Elsewhere:
    """What a pass of ``seconds`` at ``power_w`` spends on host memory, and its mean power.

    Boards that compute with copied weights draw as in the rest of the pass.
    """
    if replica.on_cpu == 0.0:
        nothing = PassParts(memory=NOTHING, compute=NOTHING, transfer=NOTHING, latency=NOTHING)
        return Elsewhere(NOTHING, nothing, power_w)
    parts = cpu_prefill(replica, running, work)
    computed_s = parts.memory + parts.compute
    waited_s = parts.transfer + parts.latency
    energy_j = power_w * (seconds + computed_s) + replica.watts.host * waited_s
    return Elsewhere(
        seconds=computed_s + waited_s,
        parts=parts,
        power_w=energy_j / (seconds + computed_s + waited_s),
    )


class Context(NamedTuple):
    """Tokens of context in the average decode step, by kind of layer."""

    length: float
    seen: float  # by global layers
    near: float  # by windowed layers


class Away(NamedTuple):
    """Data of a device in the second memory tier, and the time to read it."""

    size: float  # bytes
    weights_s: float  # to read all offloaded weights once
    step_s: float  # to read what a step needs, per output token


def context_at(replica: Replica, input_len: float, written: float) -> Context:
    """Context of the average step of a sequence that generates ``written`` tokens."""
    model = replica.model
    length = mean_context(input_len, written)
    seen = length
    if model.index_topk > 0.0:
        seen = mean_limited(input_len, written, index_limit(model))
    near = 0.0
    if model.window_kv_elements > 0.0:
        near = mean_window(input_len, written, window_limit(model), model.window_chunked)
    return Context(length=length, seen=seen, near=near)


def attention_terms(replica: Replica, running: RunningBatch, context: Context) -> Terms:
    """Terms of a decode step, including attention over the context. [s]"""
    terms = Terms(
        weights=running.weights_s,
        kv=running.kv_s,
        activations=running.activations_s,
        compute=running.compute_s,
    )
    return add_context(replica, terms, running.writing, context)


def add_context(replica: Replica, terms: Terms, sequences: float, context: Context) -> Terms:
    """``terms`` plus attention over the context of ``sequences``, per output token. [s]"""
    model = replica.model
    residue = replica.engine.residue
    wide = replica.global_attention
    kv_s = wide.kv_per_token * context.seen
    compute_s = wide.compute_per_token * context.seen
    if model.index_topk > 0.0:
        kv_s += replica.indexer.kv_per_token * context.length
        compute_s += replica.indexer.compute_per_token * context.length
    terms = add_attention(terms, wide, sequences, kv_s, compute_s, residue)
    if model.window_kv_elements > 0.0:
        narrow = replica.window_attention
        kv_s = narrow.kv_per_token * context.near
        compute_s = narrow.compute_per_token * context.near
        terms = add_attention(terms, narrow, sequences, kv_s, compute_s, residue)
    return terms


def score_seconds(replica: Replica, context: Context) -> float:
    """Time of the arithmetic of attention over ``context`` of a sequence, per output token. [s]"""
    model = replica.model
    seconds = replica.global_attention.compute_per_token * context.seen
    if model.index_topk > 0.0:
        seconds += replica.indexer.compute_per_token * context.length
    if model.window_kv_elements > 0.0:
        seconds += replica.window_attention.compute_per_token * context.near
    return seconds


class ContextReads(NamedTuple):
    """Traffic and arithmetic of attention over the context of one sequence in a step."""

    size: float  # bytes, copies included
    flops: float
    executed_s: float  # arithmetic as executed, at peak rates


def context_reads(replica: Replica, context: Context) -> ContextReads:
    """Traffic and arithmetic of attention over ``context`` of one sequence in a step."""
    model = replica.model
    context_bytes = replica.global_context_bytes * context.seen
    context_flops = replica.global_context_flops * context.seen
    context_s = replica.executed.global_s * context.seen
    if model.index_topk > 0.0:
        context_bytes += replica.index_context_bytes * context.length
        context_flops += replica.index_context_flops * context.length
        context_s += replica.executed.index_s * context.length
    if model.window_kv_elements > 0.0:
        context_bytes += replica.window_context_bytes * context.near
        context_flops += replica.window_context_flops * context.near
        context_s += replica.executed.window_s * context.near
    return ContextReads(size=context_bytes, flops=context_flops, executed_s=context_s)


def away_at(replica: Replica, running: RunningBatch, own_kv: float, shared_kv: float) -> Away:
    """Weights or KV cache of a device that overflow into the second memory tier.

    A pass reads the offloaded weights that its tokens use: an equal share of all that is resident.
    Every micro-batch reads its own cache once, and the shared prefix.
    """
    if replica.deployment.offload in (OFFLOAD_NONE, OFFLOAD_EXPERTS):
        return Away(size=0.0, weights_s=NOTHING, step_s=NOTHING)
    weights = replica.weight_bytes_per_device
    kv = own_kv + shared_kv
    overflow = max(weights + kv - replica.usable_bytes, 0.0)
    there = 1.0 / second_tier_bandwidth(replica.device, replica.engine)
    detour = there * replica.layout.stages if replica.second_tier_bytes > 0.0 else 0.0
    if replica.deployment.offload == OFFLOAD_WEIGHTS:
        size = min(overflow, weights)
        weights_s = size * detour
        step_s = weights_s * running.weight_read_share * replica.per_step_token
        return Away(size=size, weights_s=weights_s, step_s=step_s)
    size = min(overflow, kv)
    read_in_pass = (own_kv * running.groups / running.passes + shared_kv) / (kv + TINY)
    kv_s = size * read_in_pass * detour
    return Away(size=size, weights_s=0.0, step_s=kv_s * replica.per_step_token)


class CpuStep(NamedTuple):
    """Time of the CPU in a decode step, per output token. [s]"""

    seconds: float
    bare_s: float  # without tokens


def cpu_step(
    replica: Replica, running: RunningBatch, context: Context, read_flops: float
) -> CpuStep:
    """Time in which the devices wait for the CPU in a decode step.

    ``read_flops`` are those of attention of a sequence on the devices. All micro-batches share the
    CPU, one after another.
    """
    model = replica.model
    engine = replica.engine
    cpu = replica.away.cpu
    sequences = running.writing * running.groups
    tokens = sequences * replica.drafted
    slots = replica.layout.expert_slots
    experts_read = touched_experts(slots, engine, replica.passed_over, tokens)
    seconds = cpu_linear(cpu, tokens, experts_read, 1.0, engine.residue)
    seconds += cpu.crossings * cpu.crossing_per_token * tokens
    drafts = replica.deployment.draft_len * replica.draft_share
    experts_drafted = touched_experts(slots, engine, replica.passed_over, sequences)
    seconds += drafts * cpu_linear(cpu, sequences, experts_drafted, 1.0, engine.residue)
    cache_bytes = model.global_read_elements * context.seen
    cache_bytes += model.window_read_elements * context.near
    cache_bytes *= replica.kv_format.bits / 8.0
    cache_bytes += model.index_elements * INDEX_BYTES * context.length
    cache_bytes += 2.0 * replica.state_bytes * replica.drafted
    flops = read_flops + STATE_FLOPS * model.state_elements * replica.drafted
    own_layers = cpu.cached * sequences
    seconds += roofline(
        own_layers * flops * cpu.per_flop, own_layers * cache_bytes * cpu.per_byte, engine.residue
    ).total
    in_turn = running.passes * running.per_groups * replica.per_step_token
    return CpuStep(seconds=seconds * in_turn, bare_s=(1.0 + drafts) * cpu.body.weights * in_turn)


def step_at(replica: Replica, running: RunningBatch, input_len: float, output_len: float) -> Step:
    """Stage 3, one decode step."""
    served = replica.deployment.scheduler != SCHEDULER_STATIC
    written = output_len * replica.engine.length_spread if served else output_len
    context = context_at(replica, input_len, written)
    terms = attention_terms(replica, running, context)
    cache = cache_at(replica, input_len, output_len)
    own_kv = running.per_group * cache.kept_per_sequence
    away = away_at(replica, running, own_kv, cache.shared_per_device)

    read = context_reads(replica, context)

    device_s = terms.weights + terms.kv + terms.activations + terms.compute
    attention_s = device_s - (
        running.weights_s + running.kv_s + running.activations_s + running.compute_s
    )
    unused_s = attention_s - score_seconds(replica, context) * running.writing
    unused_s = running.hidden_s + max(unused_s, 0.0)
    reads_s = running.weights_s + terms.kv - running.kv_s + terms.activations
    device_s += running.latency_s - running.host_s
    pass_bytes = running.pass_bytes + read.size * running.writing
    memory_s = pass_bytes * (replica.per_step_token * replica.per_bandwidth)
    executed_s = running.executed_s
    executed_s += read.executed_s * (running.writing * replica.per_step_token)
    busy_j = busy_energy(replica.watts, device_s, memory_s, executed_s)
    demand = no_demand()
    if replica.capped == 1.0:
        streaming_s = terms.weights + terms.kv + terms.activations
        longer = slower_clock(replica.watts, device_s, busy_j, memory_s, streaming_s)
        per_device_s = 1.0 / device_s
        demand = Demand(
            longer, busy_j * per_device_s, memory_s * per_device_s, streaming_s * per_device_s
        )
        more_s = (longer - 1.0) * device_s
        # start-ups are part of device_s but not of the terms, which take their delay, too
        terms = scaled(terms, 1.0 + more_s / (streaming_s + terms.compute))
        busy_w = min(busy_j / device_s, replica.watts.limit)
        device_s += more_s
        busy_j = busy_w * device_s
    cpu_s = NOTHING
    cpu_bare_s = NOTHING
    if replica.on_cpu == 1.0:
        beside = cpu_step(replica, running, context, read.flops)
        cpu_s = beside.seconds
        cpu_bare_s = beside.bare_s
    seconds = device_s + (running.network_s + running.host_s) + away.step_s + cpu_s
    return Step(
        seconds=seconds,
        per_second=1.0 / seconds,
        device_s=device_s,
        weights_s=terms.weights,
        kv_s=terms.kv,
        activations_s=terms.activations,
        compute_s=terms.compute,
        hidden_s=running.hidden_s,
        reads_s=reads_s,
        unused_s=unused_s,
        network_s=running.network_s,
        transfer_s=running.transfer_s,
        latency_s=running.latency_s,
        host_s=running.host_s,
        offload_s=away.step_s,
        cpu_s=cpu_s,
        cpu_bare_s=cpu_bare_s,
        away_bytes=away.size,
        away_weights_s=away.weights_s,
        pass_bytes=pass_bytes,
        pass_flops=(replica.sequence_flops + read.flops) * running.writing,
        busy_j=busy_j,
        demand=demand,
    )


def decode_power(watts: Watts, step: Step, active_share: float) -> float:
    """Mean power of a board while steps follow each other; all work for ``active_share``. [W]"""
    step_j = step.busy_j
    step_j += waiting_energy(watts, step.network_s + step.offload_s, step.host_s + step.cpu_s)
    return step_j * (active_share * step.per_second) + idle_power(watts, active_share)


def between(start: float, end: float, share: float) -> float:
    """Value at a ``share`` of the way from ``start`` to ``end``, on a line."""
    return start + share * (end - start)


def thinned(replica: Replica, step: Step, share: float) -> Step:
    """The step if a ``share`` of the sequences that it has room for write tokens.

    A line from the bare step, which has no tokens: reading weights, start-ups and the host's time.
    """
    bare = replica.bare_step
    weights_s = between(bare.weights_s, step.weights_s, share)
    kv_s = share * step.kv_s
    activations_s = share * step.activations_s
    compute_s = share * step.compute_s
    network_s = between(bare.network_s, step.network_s, share)
    latency_s = between(bare.latency_s, step.latency_s, share)
    host_s = between(bare.host_s, step.host_s, share)
    device_s = weights_s + kv_s + activations_s + compute_s + (latency_s - host_s)
    cpu_s = step.cpu_s
    if replica.waits == 1.0:
        cpu_s = step.cpu_bare_s + share * (step.cpu_s - step.cpu_bare_s)
    seconds = device_s + (network_s + host_s) + step.offload_s + cpu_s
    return Step(
        seconds=seconds,
        per_second=1.0 / seconds,
        device_s=device_s,
        weights_s=weights_s,
        kv_s=kv_s,
        activations_s=activations_s,
        compute_s=compute_s,
        hidden_s=between(bare.weights_s, step.hidden_s, share),
        reads_s=between(bare.weights_s, step.reads_s, share),
        unused_s=between(bare.weights_s, step.unused_s, share),
        network_s=network_s,
        transfer_s=share * step.transfer_s,
        latency_s=latency_s,
        host_s=host_s,
        offload_s=step.offload_s,
        cpu_s=cpu_s,
        cpu_bare_s=step.cpu_bare_s,
        away_bytes=step.away_bytes,
        away_weights_s=step.away_weights_s,
        pass_bytes=between(replica.body_bytes, step.pass_bytes, share),
        pass_flops=share * step.pass_flops,
        busy_j=step.busy_j * (device_s / step.device_s),
        demand=step.demand,
    )
