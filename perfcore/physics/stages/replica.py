"""Stage 1: a model on its devices, reduced to what is independent of batch and lengths."""

from typing import NamedTuple

from perfcore.physics.attention import INDEX_BYTES, STATE_FLOPS, state_bytes_per_sequence
from perfcore.physics.collectives import (
    Exchange,
    exchange,
    exchanges,
    expert_exchange,
    repeated,
)
from perfcore.physics.cost import usd_per_second
from perfcore.physics.decode import (
    ContextCosts,
    context_costs,
    index_costs,
    kv_efficiency,
    scored_flops,
)
from perfcore.physics.energy import Executed, Watts, executed, watts_of
from perfcore.physics.hybrid import (
    CpuCosts,
    Split,
    cpu_costs,
    experts_away,
    host_weight_bytes,
    on_cpu,
    part_of,
    split_of,
    tables_here,
    waits,
)
from perfcore.physics.memory import second_tier_bytes, usable_bytes
from perfcore.physics.moe import log_passed_over
from perfcore.physics.operators import (
    Operators,
    activation_bytes_per_token,
    body_read_bytes,
    expert_read_bytes,
    flops_per_token,
    head_io_elements,
    layer_compute,
    layer_weights,
    linear_start_up,
    operators,
    start_up,
)
from perfcore.physics.parallelism import Layout, engine_runs, experts_fit, heads_fit, lay_out
from perfcore.physics.prefill import PrefillCosts, prefill_costs
from perfcore.physics.roofline import peak_flops, reached_flops, ridge_batch
from perfcore.physics.sizing import draft_bytes, held_bytes, read_shares, weight_bytes_per_device
from perfcore.physics.speculation import accepted_tokens, draft_share, drafted_here
from perfcore.physics.weights import table_bytes
from perfcore.records import (
    OFFLOAD_KV,
    OFFLOAD_WEIGHTS,
    SCHEDULER_STATIC,
    Deployment,
    Device,
    Economics,
    Engine,
    KVFormat,
    Model,
    WeightFormat,
)

OK = 0.0
HEADS_NOT_DIVISIBLE = 1.0
FEWER_LAYERS_THAN_STAGES = 2.0
EXPERTS_NOT_SPREAD = 3.0
NO_COMPUTE_PATH = 4.0
WEIGHTS_DO_NOT_FIT = 5.0
CONTEXT_TOO_LONG = 6.0
KV_DOES_NOT_FIT = 7.0
HOST_MEMORY_TOO_SMALL = 8.0
PREFILL_POOL_FAILS = 9.0
DRAFT_FAILS = 10.0
EXPERTS_DO_NOT_FIT = 11.0
ENGINE_CANNOT = 12.0


class Spread(NamedTuple):
    """Factors from predictions to the ends of their 80 % intervals."""

    low_tpot: float
    high_tpot: float
    low_ttft: float
    high_ttft: float


class BareStep(NamedTuple):
    """A decode step without tokens, per output token. [s]"""

    weights_s: float
    network_s: float
    latency_s: float
    host_s: float  # the part of latency_s in which the device waits for the host


class InHostMemory(NamedTuple):
    """The part of a model in host memory."""

    cpu: CpuCosts
    copied: Operators  # on the devices, of weights that are copied there
    copied_start_s: float  # start-ups of these
    weight_bytes: float


class Replica(NamedTuple):
    """Everything about a configuration that is independent of its batch and lengths.

    ``model`` is the part on the devices. Decode costs are per output token: those of a step,
    divided by its expected number of tokens.
    """

    status: float
    model: Model
    device: Device
    engine: Engine
    weight_format: WeightFormat
    kv_format: KVFormat
    economics: Economics
    deployment: Deployment
    layout: Layout
    operators: Operators
    links: Exchange  # all exchanges of a pass within a group, per token
    expert_links: Exchange  # all exchanges of a pass among all groups, per token
    expert_reduces: float  # number of exchanges in expert_links
    passed_over: float  # logarithm of the probability that a token does not choose an expert
    step_tokens: float  # expected tokens of a step and sequence
    per_step_token: float  # 1 / step_tokens
    drafted: float  # tokens that a step verifies per sequence

    bare_step: BareStep
    pass_start_s: float  # start-ups of a pass, of operators and exchanges
    compute_per_token: float  # s, of layers' linear operators apart from routed experts
    launched_s: float  # start-ups of a step, including drafting
    host_s: float  # of a step, without that for each sequence
    hand_over_s: float  # between stages: fixed part
    hand_over_per_token: float  # s
    global_attention: ContextCosts  # of one sequence
    window_attention: ContextCosts
    indexer: ContextCosts
    global_context_bytes: float  # read per token of context and sequence, copies included
    window_context_bytes: float
    index_context_bytes: float
    global_context_flops: float  # likewise, for all tokens that a step verifies
    window_context_flops: float
    index_context_flops: float
    body_bytes: float  # of weights that every pass reads
    expert_bytes: float  # of one routed expert in every layer
    token_bytes: float  # activations and states that a token moves in a decode step
    sequence_flops: float  # linear FLOP of a sequence in a decode step
    per_bandwidth: (
        float  # s/byte of a group's devices that work at the same time, at data-sheet rates
    )
    per_flops: float  # s/FLOP, likewise
    active_share: float  # share of all devices that work on a pass of one group

    peak_flops: float  # of one device, at the weights' arithmetic
    ridge_batch: float
    weight_bytes: float  # one copy, all redundant copies of experts, and the draft
    body_share: float  # of a device's weights, draft left out: those that every pass reads
    expert_share: float  # likewise: those of one routed expert in every layer
    draft_share: float  # layers of the draft, relative to the model's
    weight_bytes_per_device: float
    usable_bytes: float  # of one device
    second_tier_bytes: float  # of one device; 0 without offloading
    on_cpu: float  # 1 if the CPU computes a part of the model, which `model` leaves out
    waits: float  # 1 if devices wait for the CPU, for experts elsewhere or for a draft elsewhere
    away: InHostMemory
    prefill: PrefillCosts
    prefill_bytes_per_token: float
    head_bytes: float  # activations of the lm_head, per prompt
    state_bytes: float  # recurrent state of one sequence
    prefill_flops_per_token: float
    head_flops: float  # per prompt
    kv_hand_over_per_byte: float  # s, between pools: of all layers, to send one of them
    usd_per_second: float
    spread: Spread
    watts: Watts
    capped: float  # 1 if the power limit is below that of the data sheet
    executed: Executed


def configuration_status(
    model: Model,
    device: Device,
    engine: Engine,
    deployment: Deployment,
    peak: float,
    weight_bytes_per_device: float,
    room: float,
    host_bytes: float,
) -> float:
    """Status before lengths are known: OK, or the reason why the configuration cannot run."""
    if device.spatial == 0.0:
        if not heads_fit(model, engine, deployment.tp):
            return HEADS_NOT_DIVISIBLE
        if min(model.layers, deployment.gpu_layers) < deployment.pp:
            return FEWER_LAYERS_THAN_STAGES
    if not experts_fit(model, deployment):
        return EXPERTS_NOT_SPREAD
    if peak <= 0.0 or not engine_runs(deployment):
        return NO_COMPUTE_PATH if peak <= 0.0 else ENGINE_CANNOT
    if weight_bytes_per_device > room:
        return WEIGHTS_DO_NOT_FIT
    return HOST_MEMORY_TOO_SMALL if host_bytes > device.host_memory_capacity else OK


def spread_of(engine: Engine, deployment: Deployment) -> Spread:
    """Interval factors for the regime of a deployment."""
    if deployment.scheduler != SCHEDULER_STATIC:
        return Spread(
            low_tpot=engine.low_tpot_served,
            high_tpot=engine.high_tpot_served,
            low_ttft=engine.low_ttft_served,
            high_ttft=engine.high_ttft_served,
        )
    single = deployment.tp * deployment.pp * deployment.dp <= 1.0
    return Spread(
        low_tpot=engine.low_tpot_single if single else engine.low_tpot_parallel,
        high_tpot=engine.high_tpot_single if single else engine.high_tpot_parallel,
        low_ttft=engine.low_ttft_static,
        high_ttft=engine.high_ttft_static,
    )


def host_of_step(device: Device, engine: Engine, deployment: Deployment) -> float:
    """Host time of a step that does not depend on its sequences. [s]"""
    driven = 1.0 if device.spatial == 1.0 else deployment.tp * deployment.pp
    step_s = engine.host_per_step + engine.host_per_device * (driven - 1.0)
    if deployment.scheduler == SCHEDULER_STATIC:
        return step_s
    return step_s + engine.server_per_step + engine.server_per_device * (driven - 1.0)


def in_host_memory(
    model: Model,
    split: Split,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    deployment: Deployment,
    layout: Layout,
    ops: Operators,
    drafts: float,
) -> InHostMemory:
    """The part ``split`` of a model in host memory; ``ops`` are those of the rest.

    A draft has ``drafts`` times the layers, spread like these.
    """
    copied = ops
    copied_start_s = 0.0
    if on_cpu(split) == 1.0:
        part = part_of(model, split.layers, split.experts, 0.0, 0.0)
        copied = operators(
            part, device, engine, weight_format, layout, deployment.tp, deployment.ep
        )
        copied_start_s = linear_start_up(copied)
    return InHostMemory(
        cpu=cpu_costs(model, split, device, engine, weight_format),
        copied=copied,
        copied_start_s=copied_start_s,
        weight_bytes=(1.0 + drafts) * host_weight_bytes(model, split, weight_format)
        + (1.0 - tables_here(device)) * table_bytes(model, weight_format),
    )


def kv_hand_over(model: Model, device: Device, engine: Engine, deployment: Deployment) -> float:
    """Time to send one layer's cache to another pool, for each byte of all layers. [s/byte]"""
    port = deployment.prefill_link if deployment.prefill_link > 0.0 else device.network_bandwidth
    return 1.0 / (model.layers * deployment.tp * engine.network_efficiency * port)


def bare_step(
    ops: Operators,
    deployment: Deployment,
    launched_s: float,
    network_s: float,
    host_s: float,
    drafted_share: float,
    per_output: float,
) -> BareStep:
    """A decode step without tokens: it reads all weights but those of routed experts.

    Drafting reads its own layers, ``drafted_share`` of a pass, and the lm_head for every draft.
    """
    weights_s = (layer_weights(ops) + ops.elementwise.weights) * (1.0 + drafted_share)
    weights_s += ops.lm_head.weights * (1.0 + drafted_here(deployment))
    return BareStep(
        weights_s=weights_s * per_output,
        network_s=network_s * per_output,
        latency_s=(launched_s + host_s) * per_output,
        host_s=host_s * per_output,
    )


class Attending(NamedTuple):
    """Costs of attention over the context of one sequence, by kind of layer."""

    wide: ContextCosts
    narrow: ContextCosts  # of windows
    indexer: ContextCosts


def attention_of(
    model: Model,
    whole: Model,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    kv_format: KVFormat,
    layout: Layout,
    tokens: float,
    share: float,
) -> Attending:
    """Costs of attention on the devices, which have the part ``model`` of a ``whole`` one."""
    kv_bandwidth = kv_efficiency(model, engine, kv_format) * device.memory_bandwidth
    attention_layers = whole.global_layers + whole.window_layers
    global_io = model.attention_io_elements * whole.global_layers / max(attention_layers, 1.0)
    window_io = max(model.attention_io_elements - global_io, 0.0)
    wide = context_costs(
        model.global_read_elements,
        model.global_score_flops,
        global_io,
        device,
        engine,
        weight_format,
        kv_format,
        kv_bandwidth,
        layout,
        1.0,
        tokens,
        share,
    )
    narrow = context_costs(
        model.window_read_elements,
        model.window_score_flops,
        window_io,
        device,
        engine,
        weight_format,
        kv_format,
        kv_bandwidth,
        layout,
        1.0,
        tokens,
        share,
    )
    indexer = index_costs(model, device, engine, kv_bandwidth, layout, 1.0, tokens, share)
    return Attending(wide=wide, narrow=narrow, indexer=indexer)


def prepare(
    model: Model,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    kv_format: KVFormat,
    deployment: Deployment,
    economics: Economics,
) -> Replica:
    """Stage 1: reduce a configuration to what is independent of its batch and lengths."""
    whole = model
    split = split_of(whole, deployment)
    model = part_of(
        whole,
        1.0 - split.layers,
        1.0 - experts_away(split, deployment),
        1.0,
        tables_here(device),
    )
    layout = lay_out(whole, device, deployment)
    ops = operators(model, device, engine, weight_format, layout, deployment.tp, deployment.ep)
    drafted = 1.0 + deployment.draft_len
    step_tokens = accepted_tokens(
        deployment.draft_len, deployment.acceptance, deployment.acceptance_decay
    )
    per_output = 1.0 / step_tokens
    drafts = draft_share(whole, engine, deployment)
    launches_s = start_up(model, device, engine, ops)
    drafted_share = drafted_here(deployment) * drafts
    launched_s = (
        launches_s
        + (launches_s - ops.lm_head.start_up) * drafted_share
        + ops.lm_head.start_up * drafted_here(deployment)
    )

    away = in_host_memory(
        whole, split, device, engine, weight_format, deployment, layout, ops, drafts
    )
    host_s = host_of_step(device, engine, deployment) + away.cpu.crossings_s

    # Exchanges.
    spatial = device.spatial == 1.0
    message_bytes_per_token = model.hidden_size * weight_format.activation_bytes
    links = exchange(1.0 if spatial else deployment.tp, device, engine)
    grouped = deployment.dp > 1.0 and model.experts > 0.0 and not spatial
    expert_reduces = 0.0
    expert_links = links
    if grouped:
        expert_reduces = model.moe_layers
        expert_links = expert_exchange(
            model, device, engine, deployment, weight_format.activation_bytes
        )
    reduces = model.all_reduces - expert_reduces
    links = repeated(links, reduces, message_bytes_per_token)
    expert_links = repeated(expert_links, expert_reduces, message_bytes_per_token)
    hops = 0.0 if spatial else deployment.pp - 1.0
    hand_over_s = hops * engine.hop_latency
    hand_over_per_token = hops * message_bytes_per_token / device.link_bandwidth
    start_s = hand_over_s + exchanges(links, 0.0, expert_links, 0.0, expert_reduces > 0.0).total

    attending = attention_of(
        model,
        whole,
        device,
        engine,
        weight_format,
        kv_format,
        layout,
        drafted,
        per_output,
    )

    # Memory.
    arithmetic = weight_format.arithmetic
    peak = peak_flops(device, arithmetic)
    reached = reached_flops(device, engine, arithmetic)
    held = held_bytes(model, weight_format, layout)
    per_device = weight_bytes_per_device(model, weight_format, layout, drafts)
    usable = usable_bytes(whole, device, engine, layout)
    overflows = deployment.offload in (OFFLOAD_WEIGHTS, OFFLOAD_KV)
    second_tier = second_tier_bytes(device, engine) if overflows else 0.0

    capped = 1.0 if device.board_power < device.rated_power else 0.0

    # Traffic of a pass.
    copies = layout.width / layout.kv_width
    kv_bytes = copies * kv_format.bits / 8.0
    shares = read_shares(model, weight_format, layout)
    token_bytes = activation_bytes_per_token(model, weight_format, layout, deployment.ep)
    head_elements = head_io_elements(model) + (layout.copies - 1.0) * model.hidden_size
    head_bytes = head_elements * weight_format.activation_bytes
    token_flops = flops_per_token(model)
    state_bytes = state_bytes_per_sequence(model)
    attention_token_bytes = model.attention_io_elements * weight_format.activation_bytes
    return Replica(
        status=configuration_status(
            whole,
            device,
            engine,
            deployment,
            peak,
            per_device,
            usable + second_tier,
            away.weight_bytes,
        ),
        model=model,
        device=device,
        engine=engine,
        weight_format=weight_format,
        kv_format=kv_format,
        economics=economics,
        deployment=deployment,
        layout=layout,
        operators=ops,
        links=links,
        expert_reduces=expert_reduces,
        expert_links=expert_links,
        passed_over=log_passed_over(layout.expert_slots, model.experts_per_token),
        step_tokens=step_tokens,
        per_step_token=per_output,
        drafted=drafted,
        bare_step=bare_step(
            ops,
            deployment,
            launched_s,
            start_s,
            host_s,
            drafted_share,
            per_output,
        ),
        pass_start_s=launches_s + start_s,
        compute_per_token=layer_compute(ops),
        launched_s=launched_s,
        host_s=host_s,
        hand_over_s=hand_over_s,
        hand_over_per_token=hand_over_per_token,
        global_attention=attending.wide,
        window_attention=attending.narrow,
        indexer=attending.indexer,
        global_context_bytes=model.global_read_elements * kv_bytes,
        window_context_bytes=model.window_read_elements * kv_bytes,
        index_context_bytes=model.index_elements * INDEX_BYTES * copies,
        global_context_flops=model.global_score_flops * drafted,
        window_context_flops=model.window_score_flops * drafted,
        index_context_flops=model.index_score_flops * drafted,
        body_bytes=body_read_bytes(model, weight_format),
        expert_bytes=expert_read_bytes(model, weight_format),
        token_bytes=token_bytes + head_bytes + attention_token_bytes + 2.0 * state_bytes,
        sequence_flops=(
            token_flops + 2.0 * model.lm_head_elements + STATE_FLOPS * model.state_elements
        )
        * drafted,
        per_bandwidth=1.0 / (layout.width * device.memory_bandwidth),
        per_flops=1.0 / (layout.width * max(reached, scored_flops(model, device, engine))),
        active_share=layout.width / layout.devices,
        peak_flops=reached,
        ridge_batch=ridge_batch(device, engine, weight_format.bits, arithmetic),
        weight_bytes=held + draft_bytes(model, weight_format, layout, drafts),
        body_share=shares.body,
        expert_share=shares.expert,
        draft_share=drafts,
        weight_bytes_per_device=per_device,
        usable_bytes=usable,
        second_tier_bytes=second_tier,
        on_cpu=on_cpu(split),
        waits=waits(split, deployment),
        away=away,
        prefill=prefill_costs(
            model,
            device,
            engine,
            weight_format,
            kv_format,
            layout,
            launches_s,
            start_s - hand_over_s,
            hand_over_s,
            hand_over_per_token,
        ),
        prefill_bytes_per_token=token_bytes,
        head_bytes=head_bytes,
        state_bytes=state_bytes,
        prefill_flops_per_token=token_flops,
        head_flops=2.0 * model.lm_head_elements,
        kv_hand_over_per_byte=kv_hand_over(whole, device, engine, deployment),
        usd_per_second=usd_per_second(device, layout.devices, economics),
        spread=spread_of(engine, deployment),
        watts=watts_of(device, engine),
        capped=capped,
        executed=executed(model, device, engine, weight_format, layout, drafted),
    )
