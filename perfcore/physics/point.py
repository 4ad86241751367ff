"""The one place that assembles a result: what lengths do not change first, then lengths.

``evaluate`` is plain Python, the explanation and the oracle; the kernel compiles the same stages
and runs the last two in its innermost loops.
"""

from typing import NamedTuple

from perfcore.physics.attention import (
    INDEX_BYTES,
    STATE_FLOPS,
    index_limit,
    kv_bytes_per_sequence,
    mean_context,
    mean_limited,
    mean_window,
    state_bytes_per_sequence,
    window_limit,
)
from perfcore.physics.collectives import Exchange, all_reduce, exchange, expert_exchange
from perfcore.physics.cost import TOKENS_PER_MTOK, usd_per_second
from perfcore.physics.decode import (
    ContextCosts,
    Terms,
    add_attention,
    add_operator,
    context_costs,
    index_costs,
    kv_efficiency,
    layer_terms,
    scaled,
    state_terms,
    summed,
)
from perfcore.physics.energy import carbon_per_joule, facility_factor, mean_power, pipeline_power
from perfcore.physics.memory import (
    LARGEST_BATCH,
    largest_batch,
    second_tier_bandwidth,
    second_tier_bytes,
    usable_bytes,
)
from perfcore.physics.moe import fullest_rank_experts, load_imbalance
from perfcore.physics.operators import (
    Operators,
    activation_bytes_per_token,
    body_read_bytes,
    expert_read_bytes,
    flops_per_token,
    head_io_elements,
    operators,
    start_up,
    touched_experts,
)
from perfcore.physics.parallelism import Layout, experts_fit, heads_fit, lay_out
from perfcore.physics.prefill import (
    PrefillCosts,
    attention_bytes,
    attention_work,
    chunk_fill,
    passes_at_once,
    prefill_costs,
    prefill_terms,
    prompts_of,
)
from perfcore.physics.roofline import TINY, peak_flops, reached_flops, ridge_batch
from perfcore.physics.rounding import ceil_of
from perfcore.physics.serving import (
    interference_share,
    prefill_pool,
    prompts_together,
    queueing,
    wasted_tokens,
)
from perfcore.physics.sizing import AUTO, fewest_devices, weight_bytes_per_device
from perfcore.physics.speculation import accepted_tokens
from perfcore.physics.weights import weight_bytes
from perfcore.records import (
    OFFLOAD_KV,
    OFFLOAD_NONE,
    OFFLOAD_WEIGHTS,
    SCHEDULER_DISAGGREGATED,
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
EXPERTS_NOT_DIVISIBLE = 3.0
NO_COMPUTE_PATH = 4.0
WEIGHTS_DO_NOT_FIT = 5.0
CONTEXT_TOO_LONG = 6.0
KV_DOES_NOT_FIT = 7.0

BOUND_WEIGHTS = 0.0
BOUND_KV_CACHE = 1.0
BOUND_ACTIVATIONS = 2.0
BOUND_COMPUTE = 3.0
BOUND_NETWORK = 4.0
BOUND_LATENCY = 5.0
BOUND_PREFILL = 6.0
BOUND_OFFLOAD = 7.0


class Spread(NamedTuple):
    """Factors on predictions between which a measurement lies in four of five cases."""

    low_tpot: float
    high_tpot: float
    low_ttft: float
    high_ttft: float


class Step(NamedTuple):
    """Everything about a configuration that does not depend on sequence lengths.

    Decode times are per output token: of a step, divided by the tokens that it is expected to make.
    """

    status: float
    model: Model
    device: Device
    engine: Engine
    weight_format: WeightFormat
    kv_format: KVFormat
    economics: Economics
    deployment: Deployment
    requested: float  # requests in flight or waiting; the batch is what runs at once
    layout: Layout
    operators: Operators
    links: Exchange
    reduces: float  # all-reduces of a pass within a group
    expert_links: Exchange
    expert_reduces: float  # exchanges of a pass among all groups
    message_bytes_per_token: float
    tokens_per_step: float  # expected, of one sequence

    terms: Terms  # decode, without attention over the context
    network_s: float
    transfer_s: float  # the part of network_s that a faster link would shorten
    latency_s: float  # start-ups and host
    host_s: float  # the part of latency_s in which the device waits for the host
    global_attention: ContextCosts
    window_attention: ContextCosts
    indexer: ContextCosts
    stage_devices: float  # devices that work at the same time on one pass
    sequences: float  # of one pass and group
    tokens: float  # the same with drafted ones
    linear_bytes: float  # one pass on all devices: weights, activations, states
    linear_flops: float
    weight_read_share: float  # of the resident weights, in one pass

    peak_flops: float  # of one device, at the weights' arithmetic
    ridge_batch: float
    weight_bytes: float  # one copy
    weight_bytes_per_device: float
    usable_bytes: float  # of one device
    second_tier_bytes: float  # of one device, if it may be used
    prefill: PrefillCosts
    prefill_fixed_bytes: float
    prefill_bytes_per_token: float
    head_bytes: float  # activations of the lm_head, per prompt
    state_bytes: float  # recurrent state of one sequence
    expert_bytes: float
    prefill_flops_per_token: float
    head_flops: float  # per prompt
    kv_hand_over_per_byte: float  # s, from a prefill pool
    usd_per_second: float
    spread: Spread


class Prefill(NamedTuple):
    """One prefill pass of a server, or of a static batch."""

    prompts: float
    at_once: float  # such passes that share the pipeline stages
    memory_s: float
    compute_s: float
    transfer_s: float
    latency_s: float
    power_w: float  # of one board


class Point(NamedTuple):
    """All that is computed for one configuration; ``perfcore.columns`` says what each means."""

    status: float
    bound: float
    ttft_s: float
    tpot_s: float
    e2e_latency_s: float
    tokens_per_s_per_user: float
    tokens_per_s_per_device: float
    requests_per_s: float
    running_batch: float
    prefill_pool: float
    weight_bytes_per_device: float
    kv_bytes_per_device: float
    total_bytes_per_device: float
    offloaded_bytes_per_device: float
    max_batch: float
    devices_needed: float
    step_bytes: float
    step_flops: float
    arithmetic_intensity: float
    mbu: float
    mfu: float
    ridge_batch: float
    weights_s: float
    kv_s: float
    activations_s: float
    compute_s: float
    network_s: float
    latency_s: float
    prefill_s: float
    offload_s: float
    weights_share: float
    kv_share: float
    activations_share: float
    compute_share: float
    network_share: float
    latency_share: float
    prefill_share: float
    offload_share: float
    elasticity_bandwidth: float
    elasticity_compute: float
    elasticity_link: float
    elasticity_latency: float
    decode_power_w: float
    prefill_power_w: float
    power_w: float
    energy_per_output_token_j: float
    energy_per_input_token_j: float
    energy_per_request_j: float
    facility_energy_per_output_token_j: float
    cost_per_mtok_output_usd: float
    cost_per_mtok_input_usd: float
    cost_per_mtok_cached_input_usd: float
    break_even_utilization: float
    carbon_per_mtok_output_g: float
    carbon_per_mtok_input_g: float
    ttft_low_s: float
    ttft_high_s: float
    tpot_low_s: float
    tpot_high_s: float
    e2e_latency_low_s: float
    e2e_latency_high_s: float
    energy_per_output_token_low_j: float
    energy_per_output_token_high_j: float
    power_low_w: float
    power_high_w: float


def configuration_status(
    model: Model,
    device: Device,
    engine: Engine,
    deployment: Deployment,
    peak: float,
    weight_bytes_per_device: float,
    room: float,
) -> float:
    """Why a configuration cannot run whatever its lengths are; OK if nothing says so."""
    if device.spatial == 0.0:
        if not heads_fit(model, engine, deployment.tp):
            return HEADS_NOT_DIVISIBLE
        if model.layers < deployment.pp:
            return FEWER_LAYERS_THAN_STAGES
    if not experts_fit(model, deployment):
        return EXPERTS_NOT_DIVISIBLE
    if peak <= 0.0:
        return NO_COMPUTE_PATH
    if weight_bytes_per_device > room:
        return WEIGHTS_DO_NOT_FIT
    return OK


def spread_of(engine: Engine, deployment: Deployment) -> Spread:
    """Interval factors of the regime that a deployment is in."""
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


def prepare(
    model: Model,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    kv_format: KVFormat,
    deployment: Deployment,
    economics: Economics,
    requested: float,
) -> Step:
    """Stage 1: reduce a configuration to what does not depend on sequence lengths."""
    layout = lay_out(model, device, deployment)
    ops = operators(model, device, engine, weight_format, layout, deployment.tp)
    per_group = deployment.batch / layout.groups
    sequences = per_group / layout.micro_batches
    drafted = 1.0 + deployment.draft_len
    tokens = sequences * drafted
    all_tokens = deployment.batch / layout.micro_batches * drafted
    per_output = 1.0 / accepted_tokens(deployment.draft_len, deployment.acceptance)

    # Linear operators, of the step and of drafting it.
    experts_read = touched_experts(model, engine, all_tokens)
    ranks = deployment.ep if engine.expert_imbalance == 1.0 else 1.0
    waited_experts = fullest_rank_experts(model.experts, experts_read, ranks)
    waited_tokens = all_tokens
    if model.experts > 0.0:
        waited_tokens *= load_imbalance(all_tokens, model.experts_per_token, ranks)
    terms = layer_terms(ops, tokens, waited_tokens, waited_experts, engine.residue)
    terms = state_terms(terms, model, device, engine, layout, tokens)
    terms = add_operator(terms, ops.lm_head, tokens, 1.0, engine.residue)
    launches_s = start_up(model, device, engine, ops)
    launched_s = launches_s
    if deployment.draft_len > 0.0:
        draft_share = deployment.draft_len * engine.draft_layers / model.layers
        draft_experts = touched_experts(model, engine, all_tokens / drafted)
        draft = layer_terms(ops, sequences, all_tokens / drafted, draft_experts, engine.residue)
        head = add_operator(Terms(0.0, 0.0, 0.0, 0.0), ops.lm_head, sequences, 1.0, engine.residue)
        terms = summed(terms, scaled(draft, draft_share))
        terms = summed(terms, scaled(head, deployment.draft_len))
        launched_s += (launches_s - ops.lm_head.start_up) * draft_share
        launched_s += deployment.draft_len * ops.lm_head.start_up
    terms = scaled(terms, per_output)

    # Exchanges.
    spatial = device.spatial == 1.0
    message_bytes_per_token = model.hidden_size * weight_format.activation_bytes
    links = exchange(1.0 if spatial else deployment.tp, device, engine)
    grouped = deployment.dp > 1.0 and model.experts > 0.0 and not spatial
    expert_reduces = model.moe_layers if grouped else 0.0
    reduces = model.all_reduces - expert_reduces
    expert_links = links
    if grouped:
        expert_links = expert_exchange(
            model, device, engine, deployment, weight_format.activation_bytes
        )
    one = all_reduce(links, message_bytes_per_token * tokens)
    scatter = all_reduce(expert_links, message_bytes_per_token * all_tokens)
    hops = 0.0 if spatial else deployment.pp - 1.0
    hand_over = hops * engine.hop_latency
    hand_over_per_token = hops * message_bytes_per_token / device.link_bandwidth
    handed_s = hand_over_per_token * tokens
    transfer_s = reduces * one.transfer + expert_reduces * scatter.transfer + handed_s
    network_s = reduces * one.total + expert_reduces * scatter.total + handed_s + hand_over
    driven = 1.0 if spatial else deployment.tp * deployment.pp
    host_s = (
        engine.host_per_step
        + engine.host_per_sequence * per_group
        + engine.host_per_device * (driven - 1.0)
    )
    if deployment.scheduler != SCHEDULER_STATIC:
        host_s += engine.server_per_step + engine.server_per_sequence * per_group

    # Attention over the context.
    kv_bandwidth = kv_efficiency(model, engine, kv_format) * device.memory_bandwidth
    attention_layers = model.global_layers + model.window_layers
    global_io = model.attention_io_elements * model.global_layers / max(attention_layers, 1.0)
    window_io = model.attention_io_elements - global_io
    global_attention = context_costs(
        model.global_kv_elements,
        model.global_score_flops,
        global_io,
        device,
        engine,
        weight_format,
        kv_format,
        kv_bandwidth,
        layout,
        sequences,
        tokens,
        per_output,
    )
    window_attention = context_costs(
        model.window_kv_elements,
        model.window_score_flops,
        window_io,
        device,
        engine,
        weight_format,
        kv_format,
        kv_bandwidth,
        layout,
        sequences,
        tokens,
        per_output,
    )
    indexer = index_costs(
        model, device, engine, kv_bandwidth, layout, sequences, tokens, per_output
    )

    # Memory.
    arithmetic = weight_format.arithmetic
    peak = peak_flops(device, arithmetic)
    resident = weight_bytes(model, weight_format)
    per_device = weight_bytes_per_device(model, weight_format, layout)
    usable = usable_bytes(device, engine)
    second_tier = 0.0 if deployment.offload == OFFLOAD_NONE else second_tier_bytes(device, engine)

    # Traffic of a pass.
    body_bytes = body_read_bytes(model, weight_format)
    one_expert = expert_read_bytes(model, weight_format)
    token_bytes = activation_bytes_per_token(model, weight_format)
    head_bytes = head_io_elements(model) * weight_format.activation_bytes
    token_flops = flops_per_token(model)
    state_bytes = 2.0 * state_bytes_per_sequence(model)
    attention_token_bytes = model.attention_io_elements * weight_format.activation_bytes
    head_flops = 2.0 * model.lm_head_elements
    return Step(
        status=configuration_status(
            model, device, engine, deployment, peak, per_device, usable + second_tier
        ),
        model=model,
        device=device,
        engine=engine,
        weight_format=weight_format,
        kv_format=kv_format,
        economics=economics,
        deployment=deployment,
        requested=requested,
        layout=layout,
        operators=ops,
        links=links,
        reduces=reduces,
        expert_links=expert_links,
        expert_reduces=expert_reduces,
        message_bytes_per_token=message_bytes_per_token,
        tokens_per_step=1.0 / per_output,
        terms=terms,
        network_s=network_s * per_output,
        transfer_s=transfer_s * per_output,
        latency_s=(launched_s + engine.sampling_per_sequence * per_group + host_s) * per_output,
        host_s=host_s * per_output,
        global_attention=global_attention,
        window_attention=window_attention,
        indexer=indexer,
        stage_devices=layout.width * layout.groups,
        sequences=sequences,
        tokens=tokens,
        linear_bytes=layout.groups * body_bytes
        + experts_read * one_expert
        + (token_bytes + head_bytes + attention_token_bytes + state_bytes) * tokens * layout.groups,
        linear_flops=(token_flops + head_flops + STATE_FLOPS * model.state_elements)
        * tokens
        * layout.groups,
        weight_read_share=(body_bytes + experts_read * one_expert) / resident,
        peak_flops=reached_flops(device, engine, arithmetic),
        ridge_batch=ridge_batch(device, engine, weight_format.bits, arithmetic),
        weight_bytes=resident,
        weight_bytes_per_device=per_device,
        usable_bytes=usable,
        second_tier_bytes=second_tier,
        prefill=prefill_costs(
            model,
            device,
            engine,
            weight_format,
            kv_format,
            layout,
            launches_s,
            hand_over,
            hand_over_per_token,
        ),
        prefill_fixed_bytes=body_bytes,
        prefill_bytes_per_token=token_bytes,
        head_bytes=head_bytes,
        state_bytes=state_bytes_per_sequence(model),
        expert_bytes=one_expert,
        prefill_flops_per_token=token_flops,
        head_flops=head_flops,
        # all layers but the last are sent while the next ones compute
        kv_hand_over_per_byte=1.0
        / (model.layers * deployment.tp * engine.network_efficiency * device.network_bandwidth),
        usd_per_second=usd_per_second(device, layout.devices, economics),
        spread=spread_of(engine, deployment),
    )


def prefill_experts(step: Step, input_len: float, output_len: float) -> float:
    """Distinct experts that a prefill pass touches: between the stages, as it needs ``exp``."""
    together = prompts_together(
        step.engine, step.deployment, step.layout.groups, input_len, output_len
    )
    return touched_experts(
        step.model, step.engine, together * input_len * (1.0 - step.deployment.prefix_hit)
    )


def prefill_at(
    step: Step, input_len: float, output_len: float, experts_read: float, split: bool
) -> Prefill:
    """Stage 2, one prefill pass; ``experts_read`` is ``prefill_experts(step, …)``.

    Only a server needs its time ``split`` into parts: they lengthen its decode steps.
    """
    model = step.model
    engine = step.engine
    layout = step.layout
    together = prompts_together(engine, step.deployment, layout.groups, input_len, output_len)
    per_group = together * (1.0 / layout.groups)
    work = prompts_of(model, per_group, input_len, step.deployment.prefix_hit)
    terms = prefill_terms(
        step.prefill,
        model,
        engine,
        layout,
        step.operators,
        step.links,
        step.reduces,
        step.expert_links,
        step.expert_reduces,
        step.message_bytes_per_token,
        work,
        per_group,
        experts_read,
        split,
    )
    moved_bytes = experts_read * step.expert_bytes + layout.groups * (
        step.prefill_fixed_bytes
        + step.head_bytes * per_group
        + step.prefill_bytes_per_token * work.tokens
        + attention_bytes(step.prefill, work)
    )
    flops = layout.groups * (
        step.head_flops * per_group
        + step.prefill_flops_per_token * work.tokens
        + attention_work(step.prefill, model, work)
    )
    fill = chunk_fill(engine, layout, work.tokens)
    seconds = terms.memory + terms.compute + terms.transfer + terms.latency
    working = layout.prefill_width * layout.groups
    per_rate = fill / (seconds * working)
    active_power = mean_power(
        step.device,
        engine,
        1.0,
        0.0,
        0.0,
        moved_bytes * per_rate * (1.0 / step.device.memory_bandwidth),
        flops * per_rate * (1.0 / step.peak_flops),
        0.0,
    )
    at_once = passes_at_once(layout, fill)
    active_share = working * at_once * (1.0 / layout.devices) / fill
    return Prefill(
        prompts=together,
        at_once=at_once,
        memory_s=terms.memory,
        compute_s=terms.compute,
        transfer_s=terms.transfer,
        latency_s=terms.latency,
        power_w=pipeline_power(step.device, active_power, active_share),
    )


def at_lengths(
    step: Step, input_len: float, output_len: float, prefill: Prefill, served: bool
) -> Point:
    """Stage 2: the rest, without a branch and without a transcendental function but ``sqrt``.

    ``prefill`` is ``prefill_at(step, input_len, output_len, …)``; ``served`` says whether the
    scheduler is a server's. The kernel gives it as a constant, so that a static batch does not pay
    for queues.
    """
    model = step.model
    device = step.device
    engine = step.engine
    economics = step.economics
    deployment = step.deployment
    scheduler = deployment.scheduler
    layout = step.layout
    residue = engine.residue
    batch = deployment.batch
    apart = scheduler == SCHEDULER_DISAGGREGATED

    # Decode, at the mean context of its steps.
    written = output_len * engine.length_spread if served else output_len
    context = mean_context(input_len, written)
    seen = mean_limited(input_len, written, index_limit(model))
    near = mean_window(input_len, written, window_limit(model), model.window_chunked)
    global_kv_s = step.global_attention.kv_per_token * seen + step.indexer.kv_per_token * context
    global_compute_s = (
        step.global_attention.compute_per_token * seen + step.indexer.compute_per_token * context
    )
    terms = add_attention(step.terms, step.global_attention, global_kv_s, global_compute_s, residue)
    terms = add_attention(
        terms,
        step.window_attention,
        step.window_attention.kv_per_token * near,
        step.window_attention.compute_per_token * near,
        residue,
    )

    # Memory, and what has to be read from its second tier.
    length = input_len + output_len
    cached = deployment.prefix_hit * input_len
    waste = wasted_tokens(engine) if served else 0.0
    kv_per_sequence = kv_bytes_per_sequence(model, step.kv_format, length - cached + waste)
    shared_kv = kv_bytes_per_sequence(model, step.kv_format, cached)
    per_group = batch * (1.0 / layout.groups)
    kept_per_sequence = kv_per_sequence * layout.kv_share + step.state_bytes * layout.state_share
    own_kv = per_group * kept_per_sequence
    common_kv = shared_kv * layout.kv_share
    kv_bytes_per_device = own_kv + common_kv
    together = step.weight_bytes_per_device + kv_bytes_per_device
    free = step.usable_bytes + step.second_tier_bytes - step.weight_bytes_per_device - common_kv
    max_batch = min(largest_batch(free, kept_per_sequence) * layout.all_groups, LARGEST_BATCH)
    per_usable = 1.0 / (step.usable_bytes + TINY)
    devices_needed = min(
        ceil_of(
            (step.weight_bytes + batch * (kv_per_sequence + step.state_bytes) + shared_kv)
            * per_usable
        ),
        LARGEST_BATCH,
    )
    overflow = max(together - step.usable_bytes, 0.0)
    away_weights = (
        min(overflow, step.weight_bytes_per_device)
        if deployment.offload == OFFLOAD_WEIGHTS
        else 0.0
    )
    away_kv = min(overflow, kv_bytes_per_device) if deployment.offload == OFFLOAD_KV else 0.0
    there = 1.0 / second_tier_bandwidth(device, engine)
    detour = there * layout.stages if step.second_tier_bytes > 0.0 else 0.0
    away_weights_s = away_weights * step.weight_read_share * detour
    read_in_pass = (
        (own_kv * (1.0 / layout.micro_batches) + common_kv) / (kv_bytes_per_device + TINY)
        if deployment.offload == OFFLOAD_KV
        else 0.0
    )
    away_kv_s = away_kv * read_in_pass * detour
    offload_s = (away_weights_s + away_kv_s) * (1.0 / step.tokens_per_step)

    too_long = length > model.max_context
    kv_status = KV_DOES_NOT_FIT if batch > max_batch else OK
    length_status = CONTEXT_TOO_LONG if too_long else kv_status
    status = step.status if step.status > OK else length_status

    # Time per token, with other requests' prefill in between.
    prefill_pass_s = prefill.memory_s + prefill.compute_s + prefill.transfer_s + prefill.latency_s
    per_prompt = 1.0 / prefill.prompts
    per_at_once = 1.0 / prefill.at_once
    passes = interference_share(engine, scheduler, batch, output_len, per_prompt) * per_at_once
    prefill_s = passes * prefill_pass_s
    busy_s = terms.weights + terms.kv + terms.activations + terms.compute
    step_s = busy_s + step.network_s + step.latency_s + offload_s
    tpot_s = step_s + prefill_s
    per_tpot = 1.0 / tpot_s
    per_step = 1.0 / step_s
    device_s = step_s - step.network_s - step.host_s - offload_s

    # Time to the first token, with what stands before it.
    per_prompt_s = prefill_pass_s * per_prompt
    load = engine.prefill_pool_load if apart else prefill_s * per_tpot
    prompt_kv = kv_bytes_per_sequence(model, step.kv_format, input_len)
    handed_over_s = prompt_kv * step.kv_hand_over_per_byte
    in_front_s = engine.queue_weight * max(batch - 1.0, 0.0) * per_prompt_s
    waiting_s = (1.0 - batch / step.requested) * output_len * tpot_s
    queue_s = engine.random_arrivals * queueing(prefill_pass_s, load)
    static_ttft_s = prefill_pass_s + engine.host_per_prefill + away_weights_s
    continuous_ttft_s = static_ttft_s + 0.5 * step_s + queue_s + in_front_s + waiting_s
    apart_ttft_s = static_ttft_s + queue_s + handed_over_s + waiting_s
    served_ttft_s = apart_ttft_s if apart else continuous_ttft_s
    ttft_s = served_ttft_s if served else static_ttft_s
    request_s = (output_len - 1.0) * tpot_s
    e2e_latency_s = ttft_s + request_s
    steady_rate = batch * per_tpot * (1.0 / output_len)
    per_request = 1.0 / e2e_latency_s
    requests_per_s = steady_rate if served else batch * per_request
    pool = prefill_pool(
        scheduler, engine.prefill_pool_load, per_prompt_s * per_at_once, batch, output_len * tpot_s
    )

    # Traffic and arithmetic of one decode step on all devices.
    kv_bytes = step.kv_format.bits / 8.0
    copies = layout.width / layout.kv_width
    context_bytes = (
        model.global_kv_elements * kv_bytes * seen
        + model.window_kv_elements * kv_bytes * near
        + model.index_elements * INDEX_BYTES * context
    ) * (step.sequences * layout.groups * copies)
    context_flops = (
        model.global_score_flops * seen
        + model.window_score_flops * near
        + model.index_score_flops * context
    ) * (step.tokens * layout.groups)
    pass_bytes = step.linear_bytes + context_bytes
    pass_flops = step.linear_flops + context_flops
    per_pass = per_step * (1.0 / step.tokens_per_step)
    memory_share = pass_bytes * per_pass * (1.0 / (step.stage_devices * device.memory_bandwidth))
    compute_share = pass_flops * per_pass * (1.0 / (step.stage_devices * step.peak_flops))
    active_share = layout.micro_batches * step.stage_devices * (1.0 / layout.devices)

    # Power and energy.
    busy_share = device_s * per_step
    per_busy_share = step_s / device_s
    decode_power_w = pipeline_power(
        device,
        mean_power(
            device,
            engine,
            busy_share,
            (step.network_s + offload_s) * per_step,
            step.host_s * per_step,
            memory_share * per_busy_share,
            compute_share * per_busy_share,
            terms.kv * per_step * per_busy_share,
        ),
        active_share,
    )
    seconds_per_output = step_s * (1.0 / batch)
    seconds_per_input = per_prompt_s * per_at_once / input_len
    energy_output_j = decode_power_w * layout.devices * seconds_per_output
    energy_input_j = prefill.power_w * layout.devices * seconds_per_input
    idle_host_w = device.board_power * engine.power_host
    static_power_w = (
        prefill.power_w * (prefill_pass_s + away_weights_s)
        + idle_host_w * engine.host_per_prefill
        + decode_power_w * request_s
    ) * per_request
    served_power_w = (decode_power_w * step_s + prefill.power_w * prefill_s) * per_tpot

    power_w = served_power_w if served else static_power_w

    # Money and carbon.
    usd_per_mtok_second = step.usd_per_second * TOKENS_PER_MTOK
    usd_output = usd_per_mtok_second * seconds_per_output
    pool_load = 1.0 / engine.prefill_pool_load if apart else 1.0
    cached_token_s = (
        (input_len - cached)
        * model.global_prefill_score_flops
        * (step.prefill.per_attention_flop * (1.0 / layout.groups))
    )
    carbon = carbon_per_joule(economics) * TOKENS_PER_MTOK

    # What binds: the largest term.
    latency_s = step.latency_s
    network_s = step.network_s
    spread = step.spread
    largest = max(
        max(max(terms.weights, terms.kv), max(terms.activations, terms.compute)),
        max(max(network_s, latency_s), max(prefill_s, offload_s)),
    )
    bound = BOUND_WEIGHTS
    bound = BOUND_KV_CACHE if terms.kv == largest else bound
    bound = BOUND_ACTIVATIONS if terms.activations == largest else bound
    bound = BOUND_COMPUTE if terms.compute == largest else bound
    bound = BOUND_NETWORK if network_s == largest else bound
    bound = BOUND_LATENCY if latency_s == largest else bound
    bound = BOUND_PREFILL if prefill_s == largest else bound
    bound = BOUND_OFFLOAD if offload_s == largest else bound

    return Point(
        status=status,
        bound=bound,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        e2e_latency_s=e2e_latency_s,
        tokens_per_s_per_user=per_tpot,
        tokens_per_s_per_device=batch * per_tpot / (layout.devices * (1.0 + pool)),
        requests_per_s=requests_per_s,
        running_batch=batch,
        prefill_pool=pool,
        weight_bytes_per_device=step.weight_bytes_per_device,
        kv_bytes_per_device=kv_bytes_per_device,
        total_bytes_per_device=together,
        offloaded_bytes_per_device=away_weights + away_kv,
        max_batch=max_batch,
        devices_needed=devices_needed,
        step_bytes=pass_bytes * layout.micro_batches,
        step_flops=pass_flops * layout.micro_batches,
        arithmetic_intensity=pass_flops / pass_bytes,
        mbu=memory_share * active_share,
        mfu=compute_share * active_share,
        ridge_batch=step.ridge_batch,
        weights_s=terms.weights,
        kv_s=terms.kv,
        activations_s=terms.activations,
        compute_s=terms.compute,
        network_s=network_s,
        latency_s=latency_s,
        prefill_s=prefill_s,
        offload_s=offload_s,
        weights_share=terms.weights * per_tpot,
        kv_share=terms.kv * per_tpot,
        activations_share=terms.activations * per_tpot,
        compute_share=terms.compute * per_tpot,
        network_share=network_s * per_tpot,
        latency_share=latency_s * per_tpot,
        prefill_share=prefill_s * per_tpot,
        offload_share=offload_s * per_tpot,
        elasticity_bandwidth=(
            terms.weights + terms.kv + terms.activations + passes * prefill.memory_s
        )
        * per_tpot,
        elasticity_compute=(terms.compute + passes * prefill.compute_s) * per_tpot,
        elasticity_link=(step.transfer_s + offload_s + passes * prefill.transfer_s) * per_tpot,
        elasticity_latency=(latency_s + (network_s - step.transfer_s) + passes * prefill.latency_s)
        * per_tpot,
        decode_power_w=decode_power_w,
        prefill_power_w=prefill.power_w,
        power_w=power_w,
        energy_per_output_token_j=energy_output_j,
        energy_per_input_token_j=energy_input_j,
        energy_per_request_j=energy_input_j * input_len + energy_output_j * (output_len - 1.0),
        facility_energy_per_output_token_j=energy_output_j * facility_factor(economics),
        cost_per_mtok_output_usd=usd_output,
        cost_per_mtok_input_usd=usd_per_mtok_second * seconds_per_input * pool_load,
        cost_per_mtok_cached_input_usd=usd_per_mtok_second * cached_token_s * pool_load,
        break_even_utilization=usd_output * (economics.utilization / economics.token_price),
        carbon_per_mtok_output_g=energy_output_j * carbon,
        carbon_per_mtok_input_g=energy_input_j * carbon,
        ttft_low_s=ttft_s * spread.low_ttft,
        ttft_high_s=ttft_s * spread.high_ttft,
        tpot_low_s=tpot_s * spread.low_tpot,
        tpot_high_s=tpot_s * spread.high_tpot,
        e2e_latency_low_s=ttft_s * spread.low_ttft + request_s * spread.low_tpot,
        e2e_latency_high_s=ttft_s * spread.high_ttft + request_s * spread.high_tpot,
        energy_per_output_token_low_j=energy_output_j * engine.low_energy,
        energy_per_output_token_high_j=energy_output_j * engine.high_energy,
        power_low_w=power_w * engine.low_power,
        power_high_w=power_w * engine.high_power,
    )


def running_batch(engine: Engine, deployment: Deployment) -> float:
    """Requests that run at once, of those kept in flight; a static batch always runs whole."""
    if deployment.scheduler == SCHEDULER_STATIC:
        return deployment.batch
    return min(deployment.batch, engine.max_sequences * deployment.dp)


def with_batch(deployment: Deployment, batch: float) -> Deployment:
    """``deployment`` with another batch."""
    return Deployment(
        tp=deployment.tp,
        pp=deployment.pp,
        dp=deployment.dp,
        ep=deployment.ep,
        batch=batch,
        scheduler=deployment.scheduler,
        prefix_hit=deployment.prefix_hit,
        draft_len=deployment.draft_len,
        acceptance=deployment.acceptance,
        offload=deployment.offload,
    )


def evaluate_running(
    model: Model,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    kv_format: KVFormat,
    deployment: Deployment,
    economics: Economics,
    input_len: float,
    output_len: float,
    requested: float,
) -> Point:
    """All stages one after the other, for a batch that runs at once."""
    step = prepare(
        model, device, engine, weight_format, kv_format, deployment, economics, requested
    )
    experts_read = prefill_experts(step, input_len, output_len)
    served = deployment.scheduler != SCHEDULER_STATIC
    prefill = prefill_at(step, input_len, output_len, experts_read, served)
    return at_lengths(step, input_len, output_len, prefill, served)


def must_wait(deployment: Deployment, status: float, max_batch: float) -> bool:
    """Whether requests wait for room in the KV cache instead of making the row infeasible."""
    served = deployment.scheduler != SCHEDULER_STATIC
    return served and status == KV_DOES_NOT_FIT and max_batch >= 1.0


def evaluate(
    model: Model,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    kv_format: KVFormat,
    deployment: Deployment,
    economics: Economics,
    input_len: float,
    output_len: float,
) -> Point:
    """One configuration, in plain Python.

    A server runs as many of the requests in flight as its KV cache holds; the others wait a
    generation. A tensor-parallel degree of 0 asks for the fewest devices that fit.
    """
    if deployment.tp == AUTO:
        deployment = fewest_devices(
            model,
            device,
            engine,
            weight_format,
            kv_format,
            deployment,
            input_len + output_len,
        )
    running = with_batch(deployment, running_batch(engine, deployment))
    point = evaluate_running(
        model,
        device,
        engine,
        weight_format,
        kv_format,
        running,
        economics,
        input_len,
        output_len,
        deployment.batch,
    )
    if must_wait(deployment, point.status, point.max_batch):
        point = evaluate_running(
            model,
            device,
            engine,
            weight_format,
            kv_format,
            with_batch(deployment, point.max_batch),
            economics,
            input_len,
            output_len,
            deployment.batch,
        )
    return point
