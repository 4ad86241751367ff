"""One step of a server whose draft, or whose experts, are on devices beside those of its model.

Waits and powers are those of ``beside``; without prompts, the step is its decode step. Energy is
that of all boards. Bytes and FLOP are those of the model's devices.
"""

from math import ceil

from perfcore.physics.energy import idle_power, waiting_energy
from perfcore.physics.parallelism import groups_at_work
from perfcore.physics.prefill import Prompts
from perfcore.physics.stages.beside import (
    ExpertSide,
    crossing,
    experts_at,
    parts_of,
    waited_for_experts,
)
from perfcore.physics.stages.mixed import (
    Load,
    Mixed,
    energy_of_step,
    host_at,
    load_at,
    mixed_at,
    no_prompts,
    worked_at,
)
from perfcore.physics.stages.passes import Context
from perfcore.physics.stages.replica import Replica


def no_context() -> Context:
    """Context of a step in which no sequence writes."""
    return Context(0.0, 0.0, 0.0)


def drafted_step(
    replica: Replica,
    drafter: Replica,
    load: Load,
    writing: float,
    prompts: float,
    finished: float,
    context: Context,
    own_context: Context,
    work: Prompts,
    own_work: Prompts,
) -> Mixed:
    """One step of ``load``, which waits for the draft of ``writing`` sequences.

    The draft has a context and work of its own, since its windows are others. It reads the parts
    of the prompts while the model works on them; the step lasts as long as the slower of both.
    """
    step = mixed_at(replica, load, context, work)
    seconds = step.seconds
    drafting_s = 0.0
    drafting_j = 0.0
    if writing > 0.0:
        in_turn = min(ceil(writing / replica.layout.groups), replica.layout.micro_batches)
        sequences = writing / in_turn
        passes = replica.deployment.draft_len * in_turn
        one = mixed_at(
            drafter, load_at(drafter, sequences, 0.0, 0.0, 0.0), own_context, no_prompts()
        )
        drafting_s = passes * one.seconds
        drafting_j = passes * one.energy_j
        seconds += drafting_s + crossing(replica, drafter, sequences).seconds * in_turn
    reading_s = 0.0
    if own_work.tokens > 0.0:
        own_load = load_at(drafter, 0.0, prompts, own_work.tokens, finished)
        reading = mixed_at(drafter, own_load, no_context(), own_work)
        reading_s = reading.seconds
        drafting_j += reading.energy_j
        seconds += max(reading_s - step.seconds, 0.0)
    waited_s = seconds - step.seconds
    idle_s = max(seconds - drafting_s - reading_s, 0.0)
    host_w = replica.watts.host * replica.active_share * load.passes
    host_w += idle_power(replica.watts, replica.active_share * load.passes)
    idle_w = idle_power(drafter.watts, 0.0) * drafter.layout.devices
    return Mixed(
        seconds=seconds,
        energy_j=step.energy_j
        + host_w * replica.layout.devices * waited_s
        + drafting_j
        + idle_w * idle_s,
        bytes_moved=step.bytes_moved,
        flops=step.flops,
    )


def parts_of_step(replica: Replica, writing: float) -> float:
    """Parts of ``writing`` sequences that attention and experts take in turn: those of a group.

    There are whole ones, as there are whole sequences.
    """
    return parts_of(replica.deployment, ceil(writing / replica.layout.groups))


def apart_step(
    replica: Replica,
    side: ExpertSide,
    load: Load,
    writing: float,
    prompts: float,
    context: Context,
    work: Prompts,
) -> Mixed:
    """One step of ``writing`` sequences in parts, and of prompts in turn with the experts.

    ``load`` is the part of the sequences that prompts join with attention. The experts' work on
    prompts overlaps with nothing.
    """
    per_output = replica.per_step_token
    parts = parts_of_step(replica, writing)
    done = worked_at(replica, load, context, work)
    device_s = done.device_s
    network_s = load.network_s
    busy_j = done.busy_j
    bytes_moved = done.bytes_moved * load.passes
    flops = done.flops * load.passes
    waited_s = 0.0
    experts_s = 0.0
    experts_j = 0.0
    if writing > 0.0:
        plain = load
        alone = done
        if work.tokens > 0.0:
            plain = load_at(replica, writing / parts, 0.0, 0.0, 0.0)
            alone = worked_at(replica, plain, context, no_prompts())
        device_s += (parts - 1.0) * alone.device_s
        network_s += (parts - 1.0) * plain.network_s
        busy_j += (parts - 1.0) * alone.busy_j
        bytes_moved += (parts - 1.0) * alone.bytes_moved * plain.passes
        flops += (parts - 1.0) * alone.flops * plain.passes
        groups = groups_at_work(replica.layout, writing / parts)
        one = experts_at(side, plain.mean_writing * groups * replica.drafted)
        experts_s = parts * one.seconds * per_output
        experts_j = parts * one.busy_j * per_output
        waited_s = waited_for_experts(
            parts,
            alone.device_s + plain.network_s,
            one.seconds * per_output,
            one.link_s * per_output,
            one.link_busy_s * per_output,
        )
    if work.tokens > 0.0:
        read = experts_at(side, work.tokens)
        experts_s += read.seconds * per_output
        experts_j += read.busy_j * per_output
        waited_s += (read.seconds + read.link_s) * per_output
    own = ceil(writing / replica.layout.groups) + ceil(prompts / replica.layout.groups)
    host_s = host_at(replica, own) * per_output
    seconds = device_s + (network_s + host_s) + waited_s
    busy_j += waiting_energy(replica.watts, network_s, host_s + waited_s)
    experts_j += waiting_energy(side.watts, 0.0, max(seconds - experts_s, 0.0))
    return Mixed(
        seconds=seconds * replica.step_tokens,
        energy_j=energy_of_step(replica, load, busy_j, seconds)
        + experts_j * (side.layout.devices * replica.step_tokens),
        bytes_moved=bytes_moved,
        flops=flops,
    )
