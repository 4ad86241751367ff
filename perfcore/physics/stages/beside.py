"""Devices beside those of a model: of a draft that proposes tokens, or of its routed experts.

The model's devices wait for them in every step. What they cost is added to a point at the end, so
that rows without them are those of ``point_at`` alone.
"""

from typing import NamedTuple

from perfcore.physics.collectives import COMBINE_BYTES, DISPATCH_BYTES
from perfcore.physics.cost import usd_per_second
from perfcore.physics.energy import (
    Executed,
    Watts,
    busy_energy,
    executed,
    idle_power,
    waiting_energy,
    watts_of,
)
from perfcore.physics.memory import usable_bytes
from perfcore.physics.moe import copies_per_token, log_passed_over
from perfcore.physics.operators import expert_read_bytes, operators
from perfcore.physics.parallelism import Layout, lay_out
from perfcore.physics.prefill import PassParts, new_tokens
from perfcore.physics.roofline import Operator, operator_time
from perfcore.physics.rounding import ceil_of, floor_of
from perfcore.physics.stages.batch import RunningBatch, batch_at, routed_at
from perfcore.physics.stages.capacity import Capacity
from perfcore.physics.stages.passes import Prefill, Step, decode_power, prefill_at, step_at
from perfcore.physics.stages.replica import DRAFT_FAILS, EXPERTS_DO_NOT_FIT, OK, Replica
from perfcore.records import (
    OFFLOAD_NONE,
    SCHEDULER_STATIC,
    Deployment,
    Device,
    Economics,
    Engine,
    Model,
    WeightFormat,
)

TOKEN_BYTES = 4.0  # of a drafted or accepted token on its way between devices
PARTS = 2.0  # of a batch, if their number is not given: one with attention, one with experts


class DraftMachine(NamedTuple):
    """A draft model, and what runs it."""

    model: Model
    device: Device
    engine: Engine
    weight_format: WeightFormat


class ExpertMachine(NamedTuple):
    """What runs the routed experts of a model."""

    device: Device
    engine: Engine


class Beside(NamedTuple):
    """Devices beside those of a model, as far as power and price go."""

    devices: float
    usd_per_second: float
    decode_w: float  # mean power of one while tokens are written
    prompt_w: float  # while prompts are read


class WithOthers(NamedTuple):
    """A step and a prefill of a model's devices, with their waits for those beside them."""

    step: Step
    prefill: Prefill
    beside: Beside


def port(device: Device, engine: Engine, stated: float) -> float:
    """Bandwidth at which a device reaches others beside it, as stated or of its network."""
    return engine.network_efficiency * (stated if stated > 0.0 else device.network_bandwidth)


def waiting_step(step: Step, seconds: float, bare_s: float) -> Step:
    """``step`` whose devices then wait for ``seconds``, or ``bare_s`` if there are no tokens."""
    total = step.seconds + seconds
    return Step(
        seconds=total,
        per_second=1.0 / total,
        device_s=step.device_s,
        weights_s=step.weights_s,
        kv_s=step.kv_s,
        activations_s=step.activations_s,
        compute_s=step.compute_s,
        hidden_s=step.hidden_s,
        reads_s=step.reads_s,
        unused_s=step.unused_s,
        network_s=step.network_s,
        transfer_s=step.transfer_s,
        latency_s=step.latency_s,
        host_s=step.host_s,
        offload_s=step.offload_s,
        cpu_s=step.cpu_s + seconds,
        cpu_bare_s=step.cpu_bare_s + bare_s,
        away_bytes=step.away_bytes,
        away_weights_s=step.away_weights_s,
        pass_bytes=step.pass_bytes,
        pass_flops=step.pass_flops,
        busy_j=step.busy_j,
        demand=step.demand,
    )


def waiting_prefill(replica: Replica, prefill: Prefill, moved_s: float, fixed_s: float) -> Prefill:
    """``prefill`` whose devices wait for ``moved_s`` of work and links, and ``fixed_s`` besides."""
    waited_s = moved_s + fixed_s
    energy_j = prefill.power_w * prefill.seconds + replica.watts.host * waited_s
    return Prefill(
        seconds=prefill.seconds,
        memory_s=prefill.memory_s,
        compute_s=prefill.compute_s,
        arithmetic_s=prefill.arithmetic_s,
        transfer_s=prefill.transfer_s,
        latency_s=prefill.latency_s,
        chunks=prefill.chunks,
        further_host_s=prefill.further_host_s,
        saved_share=prefill.saved_share,
        per_prompt=prefill.per_prompt,
        per_at_once=prefill.per_at_once,
        weight_read_share=prefill.weight_read_share,
        cached_token_s=prefill.cached_token_s,
        cpu_s=waited_s,
        cpu_parts=PassParts(memory=0.0, compute=0.0, transfer=moved_s, latency=fixed_s),
        power_w=energy_j / (prefill.seconds + waited_s),
        demand=prefill.demand,
        rhythm=prefill.rhythm,
    )


def mean_power(watts: Watts, busy_s: float, busy_w: float, seconds: float) -> float:
    """Mean power of a board that draws ``busy_w`` for ``busy_s`` of ``seconds``, else idles. [W]"""
    share = min(busy_s / seconds, 1.0)
    return share * busy_w + idle_power(watts, share)


# A draft.


def of_draft(deployment: Deployment, device: Device) -> Deployment:
    """The deployment of a draft: static passes of its own, on all of its devices together."""
    devices = max(deployment.draft_devices, 1.0)
    spatial = device.spatial == 1.0
    return Deployment(
        SCHEDULER_STATIC,
        OFFLOAD_NONE,
        1.0 if spatial else devices,
        devices if spatial else 1.0,
        1.0,
        1.0,
        *deployment[6:18],
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        deployment.batch,
        0.0,
        0.0,
    )


def with_draft(replica: Replica, fit: Capacity, one: Capacity) -> Capacity:
    """``fit`` of a model whose draft, with ``one`` sequence, has room for its sequences or not.

    A server runs as many as both hold.
    """
    served = replica.deployment.scheduler != SCHEDULER_STATIC
    room = one.max_batch if one.status == OK else 0.0
    waits = served and room >= 1.0
    fails = fit.status == OK and (room < 1.0 or (fit.batch > room and not waits))
    return Capacity(
        status=DRAFT_FAILS if fails else fit.status,
        batch=min(fit.batch, room) if waits else fit.batch,
        max_batch=min(fit.max_batch, room),
    )


class Crossing(NamedTuple):
    """Tokens on their way between a model and its draft, in one pass. [s]"""

    seconds: float
    start_s: float  # the part that does not depend on sequences


def crossing(replica: Replica, drafter: Replica, sequences: float) -> Crossing:
    """Drafted tokens of ``sequences`` on their way to the model, and accepted ones back."""
    drafts = replica.deployment.draft_len
    link = replica.deployment.draft_link
    rate = min(
        port(replica.device, replica.engine, link), port(drafter.device, drafter.engine, link)
    )
    sent = 1.0 if drafts > 0.0 else 0.0
    start_s = sent * (replica.engine.network_latency + drafter.engine.network_latency)
    seconds = start_s + sequences * (2.0 * drafts + sent) * TOKEN_BYTES / rate
    return Crossing(seconds=seconds, start_s=start_s)


def drafted_at(
    replica: Replica,
    drafter: Replica,
    running: RunningBatch,
    input_len: float,
    output_len: float,
) -> WithOthers:
    """Steps that wait for a draft, and prompts that both read.

    A step of g drafted tokens waits for g passes of the draft, one after another, and for the
    tokens on their way there and back (Leviathan et al., arXiv:2211.17192, with links between).
    Groups are drafted for together, micro-batches in turn. Prompts are read side by side: the
    first step waits for the slower of both.
    """
    prefill = prefill_at(replica, running, input_len, output_len)
    step = step_at(replica, running, input_len, output_len)
    deployment = replica.deployment
    drafts = deployment.draft_len
    sequences = running.writing * running.groups
    in_turn = running.passes * running.per_groups * replica.per_step_token
    served = deployment.scheduler != SCHEDULER_STATIC
    written = output_len * replica.engine.length_spread if served else output_len
    drafting = batch_at(drafter, sequences, sequences)
    one = step_at(drafter, drafting, input_len, written)
    sent = crossing(replica, drafter, sequences)
    bare = drafter.bare_step
    bare_s = drafts * (bare.weights_s + bare.network_s + bare.latency_s) + sent.start_s
    working_s = drafts * one.seconds * in_turn
    waiting = waiting_step(step, working_s + sent.seconds * in_turn, bare_s * in_turn)

    together = 1.0 / prefill.per_prompt
    reading = prefill_at(drafter, batch_at(drafter, together, together), input_len, output_len)
    longer_s = max(reading.seconds - prefill.seconds, 0.0)
    watts = drafter.watts
    busy_w = decode_power(watts, one, drafter.active_share * drafting.passes)
    return WithOthers(
        step=waiting,
        prefill=waiting_prefill(replica, prefill, longer_s, 0.0),
        beside=Beside(
            devices=drafter.layout.devices,
            usd_per_second=drafter.usd_per_second,
            decode_w=mean_power(watts, working_s, busy_w, waiting.seconds),
            prompt_w=mean_power(
                watts, reading.seconds, reading.power_w, prefill.seconds + longer_s
            ),
        ),
    )


# Experts.


class ExpertSide(NamedTuple):
    """The routed experts of a model on devices of their own."""

    status: float
    model: Model
    engine: Engine
    layout: Layout
    ranks: float
    passed_over: float
    operator: Operator
    start_s: float  # of a pass
    there_per_token: float  # s, of all layers
    back_per_token: float
    crossings_s: float  # of a pass, without tokens
    read_s: float  # of one expert in every layer, at the data sheet's rate
    moved_s: float  # of a token's activations, likewise
    executed: Executed
    watts: Watts
    usd_per_second: float


def of_experts(deployment: Deployment, device: Device) -> Deployment:
    """The deployment of experts: each device has some of every layer, or chips have layers."""
    devices = max(deployment.expert_devices, 1.0)
    spatial = device.spatial == 1.0
    across = 1.0 if spatial else devices
    stages = devices if spatial else 1.0
    return Deployment(SCHEDULER_STATIC, OFFLOAD_NONE, 1.0, stages, across, across, *deployment[6:])


def expert_side(
    model: Model,
    replica: Replica,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    economics: Economics,
) -> ExpertSide:
    """Routed experts of ``model`` on devices beside those of ``replica``, which has the rest.

    A token goes once to each device that has an expert of its choice, in fp8, and comes back in
    bf16, over the slower end of the link.
    """
    here = replica.deployment
    deployment = of_experts(here, device)
    layout = lay_out(model, device, deployment)
    ranks = deployment.ep
    ops = operators(model, device, engine, weight_format, layout, 1.0, ranks)
    layers = model.moe_layers
    held = layout.expert_slots * expert_read_bytes(model, weight_format)
    held *= layout.stage_share / layout.expert_width
    spatial_s = device.spatial * engine.spatial_latency * layers * device.layer_latency
    rate = min(
        replica.layout.devices * port(replica.device, replica.engine, here.expert_link),
        layout.devices * port(device, engine, here.expert_link),
    )
    sent = layers * copies_per_token(model.experts_per_token, ranks) * model.hidden_size / rate
    read = layout.expert_width * device.memory_bandwidth
    moved = model.expert_io_elements * weight_format.activation_bytes
    fits = held <= usable_bytes(model, device, engine, layout)
    status = OK if fits else EXPERTS_DO_NOT_FIT
    return ExpertSide(
        status=status,
        model=model,
        engine=engine,
        layout=layout,
        ranks=ranks,
        passed_over=log_passed_over(layout.expert_slots, model.experts_per_token),
        operator=ops.experts,
        start_s=ops.experts.start_up + spatial_s,
        there_per_token=sent * DISPATCH_BYTES,
        back_per_token=sent * COMBINE_BYTES,
        crossings_s=layers * (replica.engine.network_latency + engine.network_latency),
        read_s=expert_read_bytes(model, weight_format) / read,
        moved_s=moved / read,
        executed=executed(model, device, engine, weight_format, layout, 1.0),
        watts=watts_of(device, engine),
        usd_per_second=usd_per_second(device, layout.devices, economics),
    )


def with_experts(fit: Capacity, experts: float) -> Capacity:
    """``fit`` of a model whose ``experts`` have a status of their own."""
    status = fit.status if fit.status > OK else experts
    return Capacity(status=status, batch=fit.batch, max_batch=fit.max_batch)


def fewest_expert_devices(
    model: Model, device: Device, engine: Engine, weight_format: WeightFormat
) -> float:
    """Fewest devices that hold the routed experts, which are spread evenly."""
    one = lay_out(model, device, Deployment(expert_devices=1.0))
    size = model.experts * expert_read_bytes(model, weight_format)
    room = max(usable_bytes(model, device, engine, one), 1.0)
    if device.spatial == 1.0 or size == 0.0:
        return max(ceil_of(size / room), 1.0)
    held = max(floor_of(room * model.experts / size), 1.0)
    return ceil_of(model.experts / held)


class Expert(NamedTuple):
    """Experts on their devices in one pass. [s]"""

    seconds: float
    link_s: float  # there and back, start-ups included
    link_busy_s: float  # of the busier direction
    busy_j: float  # of one board


def experts_at(side: ExpertSide, tokens: float) -> Expert:
    """Routed experts of a pass over ``tokens``."""
    slots = side.layout.expert_slots
    routed = routed_at(side.model, side.engine, slots, side.ranks, side.passed_over, tokens)
    time = operator_time(side.operator, routed.tokens, routed.waited, side.engine.residue)
    seconds = time.total + side.start_s
    rows = routed.read * side.executed.expert_rows + tokens * side.executed.experts_per_token
    return Expert(
        seconds=seconds,
        link_s=(side.there_per_token + side.back_per_token) * tokens + side.crossings_s,
        link_busy_s=max(side.there_per_token, side.back_per_token) * tokens,
        busy_j=busy_energy(
            side.watts,
            seconds,
            side.read_s * routed.read + side.moved_s * tokens,
            side.executed.expert_s * rows / side.layout.groups,
        ),
    )


def parts_of(deployment: Deployment, per_group: float) -> float:
    """Parts of a batch of ``per_group`` sequences that attention and experts take in turn."""
    wanted = deployment.expert_parts if deployment.expert_parts > 0.0 else PARTS
    return max(min(wanted, per_group), 1.0)


def waited_for_experts(
    parts: float, attention_s: float, experts_s: float, link_s: float, link_busy_s: float
) -> float:
    """Time that attention waits in a step of ``parts``, each of which takes the times given. [s]

    In all layers a part takes T_a with attention, T_e with experts and T_c on the link; a step
    takes max(T_a + T_e + T_c, m max(T_a, T_e, T_l)), T_l the busier direction of the link: the
    parts wait for each other, or for the busiest of the three.
    """
    through_s = attention_s + experts_s + link_s
    busiest_s = max(max(attention_s, experts_s), link_busy_s)
    return max(through_s - parts * attention_s, parts * (busiest_s - attention_s))


def in_parts(
    part: Step, running: RunningBatch, parts: float, waited_s: float, bare_s: float
) -> Step:
    """The step of a batch that attention works on in ``parts``, each of which takes ``part``.

    It waits for ``waited_s`` in all, or ``bare_s`` without tokens.
    """
    host_s = running.host_s
    device_s = parts * part.device_s
    network_s = parts * part.network_s
    seconds = device_s + (network_s + host_s) + waited_s
    return Step(
        seconds=seconds,
        per_second=1.0 / seconds,
        device_s=device_s,
        weights_s=parts * part.weights_s,
        kv_s=parts * part.kv_s,
        activations_s=parts * part.activations_s,
        compute_s=parts * part.compute_s,
        hidden_s=parts * part.hidden_s,
        reads_s=parts * part.reads_s,
        unused_s=parts * part.unused_s,
        network_s=network_s,
        transfer_s=parts * part.transfer_s,
        latency_s=parts * (part.latency_s - part.host_s) + host_s,
        host_s=host_s,
        offload_s=part.offload_s,
        cpu_s=waited_s,
        cpu_bare_s=min(waited_s, bare_s),
        away_bytes=part.away_bytes,
        away_weights_s=part.away_weights_s,
        pass_bytes=parts * part.pass_bytes,
        pass_flops=parts * part.pass_flops,
        busy_j=parts * part.busy_j,
        demand=part.demand,
    )


def apart_at(
    replica: Replica,
    side: ExpertSide,
    running: RunningBatch,
    input_len: float,
    output_len: float,
) -> WithOthers:
    """Steps and prompts of ``replica`` whose experts are on the devices of ``side``.

    Attention and experts work on m parts of the batch in turn (the ping-pong pipeline of
    MegaScale-Infer, arXiv:2504.02263). Prompts take turns: they are not divided.
    """
    prefill = prefill_at(replica, running, input_len, output_len)
    deployment = replica.deployment
    per_output = replica.per_step_token
    parts = parts_of(deployment, running.per_group)
    share = running.batch / parts
    own = batch_at(replica, share, share)
    part = step_at(replica, own, input_len, output_len)
    tokens = own.writing * own.groups * replica.drafted
    experts = experts_at(side, tokens)
    attention_s = part.device_s + part.network_s
    experts_s = experts.seconds * per_output
    waited_s = waited_for_experts(
        parts,
        attention_s,
        experts_s,
        experts.link_s * per_output,
        experts.link_busy_s * per_output,
    )
    bare_s = (side.start_s + side.crossings_s) * per_output
    step = in_parts(part, running, parts, waited_s, bare_s)
    seconds = step.seconds

    tokens = new_tokens(deployment.prefix_hit, input_len) / prefill.per_prompt
    chunks = prefill.chunks
    read = experts_at(side, tokens / chunks)
    fixed_s = (side.start_s + side.crossings_s) * chunks
    waited_s = (read.seconds + read.link_s) * chunks
    reading = waiting_prefill(replica, prefill, waited_s - fixed_s, fixed_s)
    watts = side.watts
    written_j = parts * experts.busy_j * per_output
    written_j += waiting_energy(watts, 0.0, max(seconds - parts * experts_s, 0.0))
    pass_s = prefill.seconds + waited_s
    read_j = chunks * read.busy_j
    read_j += waiting_energy(watts, 0.0, pass_s - chunks * read.seconds)
    return WithOthers(
        step=step,
        prefill=reading,
        beside=Beside(
            devices=side.layout.devices,
            usd_per_second=side.usd_per_second,
            decode_w=written_j / seconds,
            prompt_w=read_j / pass_s,
        ),
    )
