"""One step of a server: sequences that write tokens, and parts of prompts, in the same pass.

Linear operators see all tokens together and read their weights once; attention of prompts and over
the context of sequences that write are operators of their own; start-ups and the host's time occur
once. Without prompts, the step is ``step_at``; without sequences that write, it is a prefill of a
static batch, with the host's time of a step and unevenly loaded experts. Exceptions: pipelines save
no start-ups of exchanges by chunks here, and a spatial machine reads weights at decode width.
"""

from math import ceil
from typing import NamedTuple

from perfcore.physics.collectives import exchanges
from perfcore.physics.decode import Terms, add_operator, scaled, state_terms, summed
from perfcore.physics.energy import (
    busy_energy,
    idle_power,
    linear_seconds,
    slower_clock,
    waiting_energy,
)
from perfcore.physics.prefill import (
    Prompts,
    attention_bytes,
    attention_time,
    attention_work,
    chunk_fill,
)
from perfcore.physics.stages.batch import add_draft, linear_at
from perfcore.physics.stages.passes import Context, add_context, context_reads
from perfcore.physics.stages.replica import Replica
from perfcore.records import SCHEDULER_STATIC


class Load(NamedTuple):
    """A step without its attention. Times and energy are per output token of a sequence."""

    writing: float  # sequences of a pass that write tokens, in the fullest group
    mean_writing: float  # in all groups
    prompt_share: float  # of the step's prompt tokens, in one pass of the fullest group
    mean_share: float
    passes: float  # of all groups in different stages at once
    overlap: float  # time that prompts add, relative to that in stages one after the other
    terms: Terms  # linear operators and recurrent layers
    bytes_moved: float  # of the mean pass
    flops: float  # of the mean pass
    executed_s: float  # arithmetic of the mean pass as executed, at peak rates
    start_s: float  # start-ups and sampling
    network_s: float
    host_s: float


class Mixed(NamedTuple):
    """One step of a replica."""

    seconds: float
    energy_j: float  # all boards
    bytes_moved: float  # all devices
    flops: float


def no_prompts() -> Prompts:
    """Neutral element of ``with_prompt``."""
    return Prompts(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def with_prompt(work: Prompts, part: Prompts) -> Prompts:
    """``work`` and that of another part of a prompt; FLOP per pair are the mean."""
    pairs = work.global_pairs + part.global_pairs
    flops = work.score_flops * work.global_pairs + part.score_flops * part.global_pairs
    return Prompts(
        tokens=work.tokens + part.tokens,
        context=work.context + part.context,
        score_flops=flops / pairs if pairs > 0.0 else 0.0,
        global_pairs=pairs,
        window_pairs=work.window_pairs + part.window_pairs,
        index_pairs=work.index_pairs + part.index_pairs,
    )


class Worked(NamedTuple):
    """What one pass does on devices, without exchanges. Time and energy are per output token."""

    device_s: float  # under the power limit, start-ups included
    busy_j: float  # of a board, meanwhile
    bytes_moved: float
    flops: float


def host_at(replica: Replica, requests: float) -> float:
    """Time of the host in a step that carries ``requests`` of the fullest group. [s]"""
    engine = replica.engine
    per_sequence = engine.host_per_sequence
    if replica.deployment.scheduler != SCHEDULER_STATIC:
        per_sequence += engine.server_per_sequence
    return replica.host_s + per_sequence * requests


def load_at(
    replica: Replica, writing: float, prompts: float, prompt_tokens: float, finished: float
) -> Load:
    """Part of a step that does not depend on contexts.

    The step carries ``prompt_tokens`` of ``prompts``, ``finished`` of which end in it, beside
    ``writing`` sequences. Attention groups take turns with sequences and prompts, and wait for the
    fullest of them, which has whole ones. So do the passes of a pipeline with prompts: the part of
    a prompt is in one of them, and all others are as slow as it, stage by stage.
    """
    model = replica.model
    device = replica.device
    engine = replica.engine
    deployment = replica.deployment
    layout = replica.layout
    ops = replica.operators
    groups = min(layout.groups, writing + prompts)
    own_writing = ceil(writing / layout.groups)
    own_prompts = ceil(prompts / layout.groups)
    own_share = own_prompts / max(prompts, 1.0)
    micro_batches = min(own_writing + own_prompts, layout.micro_batches)
    per_micro_batch = 1.0 / micro_batches
    sequences = own_writing * per_micro_batch
    fullest_share = ceil(own_prompts / micro_batches) / max(own_prompts, 1.0)
    prompt_share = own_share * fullest_share
    tokens = sequences * replica.drafted
    all_tokens = writing * per_micro_batch * replica.drafted
    added = prompt_tokens * prompt_share
    all_added = prompt_tokens * fullest_share
    ending = finished * prompt_share
    logits = tokens + ending
    with_prompts = min(own_prompts, micro_batches)
    overlap = max(chunk_fill(engine, layout, added), with_prompts / layout.stages)
    if layout.prefill_width > layout.width:
        overlap = 1.0

    # Linear operators.
    narrowing = replica.prefill.narrowing
    linear = linear_at(replica, tokens + added * narrowing, all_tokens + all_added * narrowing)
    network = exchanges(
        replica.links,
        tokens + added,
        replica.expert_links,
        all_tokens + all_added,
        replica.expert_reduces > 0.0,
    )
    terms = linear.terms
    network_s = network.total
    experts_read = linear.experts_read
    if layout.stages > 1.0 and prompt_tokens > 0.0:
        terms = scaled(terms, overlap)
        network_s *= overlap
        if writing > 0.0:
            alone = linear_at(replica, tokens, all_tokens)
            without = exchanges(
                replica.links,
                tokens,
                replica.expert_links,
                all_tokens,
                replica.expert_reduces > 0.0,
            )
            terms = summed(terms, scaled(alone.terms, 1.0 - overlap))
            network_s += without.total * (1.0 - overlap)
            more_experts = experts_read - alone.experts_read
            experts_read = alone.experts_read + more_experts * (with_prompts * per_micro_batch)
    network_s += replica.hand_over_per_token * (tokens + added) + replica.hand_over_s
    terms = state_terms(terms, model, device, engine, layout, tokens)
    head_reads = 1.0 if logits > 0.0 else 0.0
    terms = add_operator(terms, ops.lm_head, logits, head_reads, engine.residue)
    start_s = replica.prefill.fixed - replica.hand_over_s
    if writing > 0.0:
        start_s = replica.launched_s
        if deployment.draft_len > 0.0 and deployment.draft_devices == 0.0:
            terms = add_draft(replica, terms, sequences, writing * per_micro_batch)

    # The host, which handles whole groups.
    host_s = host_at(replica, own_writing + own_prompts)
    start_s += engine.sampling_per_sequence * (own_writing + finished * own_share)

    # Traffic and arithmetic of the mean pass.
    per_groups = 1.0 / groups
    mean_share = per_micro_batch * per_groups
    mean_writing = writing * mean_share
    tokens = mean_writing * replica.drafted
    added = prompt_tokens * mean_share
    ending = finished * mean_share
    executed_s = replica.executed.state_s * tokens
    executed_s += linear_seconds(
        replica.executed,
        model,
        tokens + added,
        tokens + ending,
        all_tokens + prompt_tokens * per_micro_batch,
        experts_read,
        per_groups,
    )
    per_output = replica.per_step_token
    return Load(
        writing=sequences,
        mean_writing=mean_writing,
        prompt_share=prompt_share,
        mean_share=mean_share,
        passes=micro_batches * groups,
        overlap=overlap,
        terms=scaled(terms, per_output),
        bytes_moved=replica.body_bytes
        + replica.expert_bytes * experts_read * per_groups
        + replica.token_bytes * tokens
        + replica.prefill_bytes_per_token * added
        + replica.head_bytes * ending,
        flops=replica.sequence_flops * mean_writing
        + replica.prefill_flops_per_token * added
        + replica.head_flops * ending,
        executed_s=executed_s * per_output,
        start_s=start_s * per_output,
        network_s=network_s * per_output,
        host_s=host_s * per_output,
    )


def worked_at(replica: Replica, load: Load, context: Context, work: Prompts) -> Worked:
    """Operators of ``load``, of attention over the mean ``context``, and of prompts, ``work``."""
    model = replica.model
    prefill = replica.prefill
    watts = replica.watts
    per_output = replica.per_step_token
    terms = add_context(replica, load.terms, load.writing, context)
    read = context_reads(replica, context)
    bytes_moved = load.bytes_moved + read.size * load.mean_writing
    flops = load.flops + read.flops * load.mean_writing
    executed_s = load.executed_s + read.executed_s * (load.mean_writing * per_output)
    streaming_s = terms.weights + terms.kv + terms.activations
    device_s = streaming_s + terms.compute + load.start_s
    if work.tokens > 0.0:
        part = Prompts(
            tokens=work.tokens * load.prompt_share,
            context=work.context * load.prompt_share,
            score_flops=work.score_flops,
            global_pairs=work.global_pairs * load.prompt_share,
            window_pairs=work.window_pairs * load.prompt_share,
            index_pairs=work.index_pairs * load.prompt_share,
        )
        attention = attention_time(prefill, model, replica.engine, part)
        device_s += attention.total * (load.overlap * per_output)
        moved = attention_bytes(prefill, part)
        streamed = attention.memory_duty * (moved * prefill.per_attention_byte)
        streaming_s += streamed * (load.overlap * per_output)
        mean = load.mean_share / load.prompt_share
        bytes_moved += moved * mean
        work_flops = attention_work(prefill, model, part) * mean
        flops += work_flops
        executed_s += replica.executed.per_attention_flop * work_flops * per_output
    memory_s = bytes_moved * (per_output * replica.per_bandwidth)
    busy_j = busy_energy(watts, device_s, memory_s, executed_s)
    if replica.capped == 1.0:
        longer = slower_clock(watts, device_s, busy_j, memory_s, streaming_s)
        busy_j = min(busy_j / device_s, watts.limit) * (device_s * longer)
        device_s *= longer
    return Worked(device_s=device_s, busy_j=busy_j, bytes_moved=bytes_moved, flops=flops)


def mixed_at(replica: Replica, load: Load, context: Context, work: Prompts) -> Mixed:
    """One step: ``load``, attention over the mean ``context``, and that of prompts, ``work``."""
    done = worked_at(replica, load, context, work)
    seconds = done.device_s + (load.network_s + load.host_s)
    busy_j = done.busy_j + waiting_energy(replica.watts, load.network_s, load.host_s)
    return Mixed(
        seconds=seconds * replica.step_tokens,
        energy_j=energy_of_step(replica, load, busy_j, seconds),
        bytes_moved=done.bytes_moved * load.passes,
        flops=done.flops * load.passes,
    )


def energy_of_step(replica: Replica, load: Load, busy_j: float, seconds: float) -> float:
    """Energy of all boards in a step, of which one takes ``busy_j`` in each of its passes. [J]

    Time and energy given are per output token; boards idle while others are in their passes.
    """
    active_share = replica.active_share * load.passes
    board_j = active_share * busy_j + idle_power(replica.watts, active_share) * seconds
    return board_j * (replica.layout.devices * replica.step_tokens)
