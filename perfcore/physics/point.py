"""The one place that assembles a result: ``prepare`` what lengths do not change, then lengths.

``evaluate`` is plain Python, the explanation and the oracle; the kernel compiles the same two
functions and runs the second one in its innermost loop.
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
from perfcore.physics.collectives import Exchange, all_reduce, exchange
from perfcore.physics.cost import TOKENS_PER_MTOK, usd_per_second
from perfcore.physics.decode import (
    ContextCosts,
    Terms,
    add_attention,
    context_costs,
    index_costs,
    kv_efficiency,
    linear_terms,
    state_terms,
)
from perfcore.physics.energy import carbon_per_joule, facility_factor, mean_power, pipeline_power
from perfcore.physics.memory import LARGEST_BATCH, largest_batch, usable_bytes
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
from perfcore.physics.parallelism import Spread, spread
from perfcore.physics.prefill import (
    PrefillCosts,
    attention_work,
    prefill_costs,
    prefill_time,
    prompt,
)
from perfcore.physics.roofline import TINY, peak_flops, ridge_batch, usable_flops
from perfcore.physics.rounding import ceil_of
from perfcore.physics.weights import weight_bytes
from perfcore.records import (
    Device,
    Economics,
    Engine,
    KVFormat,
    Model,
    Parallelism,
    WeightFormat,
    Workload,
)

OK = 0.0
HEADS_NOT_DIVISIBLE = 1.0
FEWER_LAYERS_THAN_STAGES = 2.0
NO_COMPUTE_PATH = 3.0
WEIGHTS_DO_NOT_FIT = 4.0
CONTEXT_TOO_LONG = 5.0
KV_DOES_NOT_FIT = 6.0

BOUND_WEIGHTS = 0.0
BOUND_KV_CACHE = 1.0
BOUND_ACTIVATIONS = 2.0
BOUND_COMPUTE = 3.0
BOUND_NETWORK = 4.0
BOUND_LATENCY = 5.0


class Step(NamedTuple):
    """Everything about a configuration that does not depend on sequence lengths."""

    status: float
    model: Model
    device: Device
    engine: Engine
    kv_format: KVFormat
    economics: Economics
    batch: float
    tokens: float  # sequences of one pass: the batch, or one of its micro-batches
    layout: Spread
    operators: Operators
    links: Exchange
    message_bytes_per_token: float

    terms: Terms  # decode, without attention over the context
    network_s: float
    transfer_s: float  # the part of network_s that a faster link would shorten
    latency_s: float  # start-ups and host
    host_s: float  # the part of latency_s in which the device waits for the host
    global_attention: ContextCosts
    window_attention: ContextCosts
    indexer: ContextCosts
    linear_bytes: float  # one pass on all devices: weights, activations, states
    linear_flops: float

    peak_flops: float  # of one device, at the weights' arithmetic
    ridge_batch: float
    weight_bytes: float  # one copy
    weight_bytes_per_device: float
    usable_bytes: float  # of one device
    state_bytes: float  # recurrent state of one sequence
    prefill: PrefillCosts
    prefill_fixed_bytes: float
    prefill_bytes_per_token: float
    expert_bytes: float
    prefill_fixed_flops: float
    prefill_flops_per_token: float
    usd_per_second: float


class Prefill(NamedTuple):
    """What the prefill of a batch comes to."""

    ttft_s: float
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
    weight_bytes_per_device: float
    kv_bytes_per_device: float
    total_bytes_per_device: float
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
    weights_share: float
    kv_share: float
    activations_share: float
    compute_share: float
    network_share: float
    latency_share: float
    elasticity_bandwidth: float
    elasticity_compute: float
    elasticity_link: float
    elasticity_latency: float
    decode_power_w: float
    prefill_power_w: float
    energy_per_output_token_j: float
    energy_per_input_token_j: float
    energy_per_request_j: float
    facility_energy_per_output_token_j: float
    cost_per_mtok_output_usd: float
    cost_per_mtok_input_usd: float
    carbon_per_mtok_output_g: float
    carbon_per_mtok_input_g: float


def configuration_status(
    model: Model,
    device: Device,
    parallelism: Parallelism,
    peak: float,
    weight_bytes_per_device: float,
    usable: float,
) -> float:
    """Why a configuration cannot run whatever its lengths are; OK if nothing says so."""
    if device.spatial == 0.0:
        if model.heads % parallelism.tp != 0.0:
            return HEADS_NOT_DIVISIBLE
        if model.layers < parallelism.pp:
            return FEWER_LAYERS_THAN_STAGES
    if peak <= 0.0:
        return NO_COMPUTE_PATH
    if weight_bytes_per_device > usable:
        return WEIGHTS_DO_NOT_FIT
    return OK


def prepare(
    model: Model,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    kv_format: KVFormat,
    parallelism: Parallelism,
    batch: float,
    economics: Economics,
) -> Step:
    """Stage 1: reduce a configuration to what does not depend on sequence lengths."""
    layout = spread(model, device, parallelism, batch)
    tokens = batch / layout.micro_batches
    ops = operators(model, device, engine, weight_format, layout)
    experts_read = touched_experts(model, tokens)
    terms = linear_terms(ops, tokens, experts_read, engine.residue)
    terms = state_terms(terms, model, device, engine, layout, tokens)

    spatial = device.spatial == 1.0
    message_bytes_per_token = model.hidden_size * weight_format.activation_bytes
    links = exchange(1.0 if spatial else parallelism.tp, device, engine)
    one = all_reduce(links, message_bytes_per_token * tokens)
    hops = 0.0 if spatial else parallelism.pp - 1.0
    hand_over = hops * engine.hop_latency
    hand_over_per_token = hops * message_bytes_per_token / device.link_bandwidth
    transfer_s = model.all_reduces * one.transfer + hand_over_per_token * tokens
    network_s = model.all_reduces * one.total + hand_over_per_token * tokens + hand_over
    launches_s = start_up(model, device, engine, ops)
    host_s = engine.host_per_step + engine.host_per_sequence * batch

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
        tokens,
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
        tokens,
    )

    arithmetic = weight_format.arithmetic
    peak = peak_flops(device, arithmetic)
    resident = weight_bytes(model, weight_format)
    resident_per_device = resident * layout.weight_share
    usable = usable_bytes(device, engine)
    body_bytes = body_read_bytes(model, weight_format)
    expert_bytes = expert_read_bytes(model, weight_format)
    token_bytes = activation_bytes_per_token(model, weight_format)
    head_bytes = head_io_elements(model) * weight_format.activation_bytes
    token_flops = flops_per_token(model)
    state_bytes = 2.0 * state_bytes_per_sequence(model)
    attention_token_bytes = model.attention_io_elements * weight_format.activation_bytes
    head_flops = 2.0 * model.lm_head_elements
    costs = prefill_costs(
        model,
        device,
        engine,
        weight_format,
        kv_format,
        layout,
        ops,
        batch,
        launches_s,
        hand_over,
        hand_over_per_token,
    )
    return Step(
        status=configuration_status(model, device, parallelism, peak, resident_per_device, usable),
        model=model,
        device=device,
        engine=engine,
        kv_format=kv_format,
        economics=economics,
        batch=batch,
        tokens=tokens,
        layout=layout,
        operators=ops,
        links=links,
        message_bytes_per_token=message_bytes_per_token,
        terms=terms,
        network_s=network_s,
        transfer_s=transfer_s,
        latency_s=launches_s + host_s,
        host_s=host_s,
        global_attention=global_attention,
        window_attention=window_attention,
        indexer=index_costs(model, device, engine, kv_bandwidth, layout, tokens),
        linear_bytes=body_bytes
        + experts_read * expert_bytes
        + (token_bytes + head_bytes + attention_token_bytes + state_bytes) * tokens,
        linear_flops=(token_flops + head_flops + STATE_FLOPS * model.state_elements) * tokens,
        peak_flops=usable_flops(device, arithmetic),
        ridge_batch=ridge_batch(device, weight_format.bits, weight_format.arithmetic),
        weight_bytes=resident,
        weight_bytes_per_device=resident_per_device,
        usable_bytes=usable,
        state_bytes=state_bytes_per_sequence(model),
        prefill=costs,
        prefill_fixed_bytes=body_bytes + head_bytes * batch,
        prefill_bytes_per_token=token_bytes + costs.attention_bytes_per_token,
        expert_bytes=expert_bytes,
        prefill_fixed_flops=head_flops * batch,
        prefill_flops_per_token=token_flops,
        usd_per_second=usd_per_second(device, layout.devices, economics),
    )


def prefill_experts(step: Step, input_len: float) -> float:
    """Distinct experts that the batch's prompts touch: between the stages, as it needs ``exp``."""
    return touched_experts(step.model, step.batch * input_len)


def prefill_at(step: Step, input_len: float, experts_read: float) -> Prefill:
    """Stage 2, prefill of the whole batch; ``experts_read`` is ``prefill_experts(step, …)``."""
    engine = step.engine
    layout = step.layout
    work = prompt(step.model, step.batch, input_len)
    ttft_s = prefill_time(
        step.prefill,
        step.operators,
        step.links,
        step.model.all_reduces,
        step.message_bytes_per_token,
        work,
        experts_read,
        engine.residue,
    )
    moved_bytes = (
        step.prefill_fixed_bytes
        + experts_read * step.expert_bytes
        + step.prefill_bytes_per_token * work.tokens
    )
    flops = (
        step.prefill_fixed_flops
        + step.prefill_flops_per_token * work.tokens
        + attention_work(step.prefill, work)
    )
    per_ttft = 1.0 / ttft_s
    per_running = 1.0 / (ttft_s - engine.host_per_prefill)
    per_memory_rate = 1.0 / (layout.prefill_width * step.device.memory_bandwidth)
    per_compute_rate = 1.0 / (layout.prefill_width * step.peak_flops)
    host_share = engine.host_per_prefill * per_ttft
    active_power = mean_power(
        step.device,
        engine,
        1.0 - host_share,
        0.0,
        host_share,
        moved_bytes * per_running * per_memory_rate,
        flops * per_running * per_compute_rate,
    )
    active_share = layout.prefill_width / layout.devices
    return Prefill(ttft_s, pipeline_power(step.device, active_power, active_share))


def at_lengths(step: Step, input_len: float, output_len: float, prefill: Prefill) -> Point:
    """Stage 2: the rest, without a branch and without a transcendental function but ``sqrt``.

    ``prefill`` is ``prefill_at(step, input_len, …)``.
    """
    model = step.model
    device = step.device
    engine = step.engine
    economics = step.economics
    layout = step.layout
    residue = engine.residue
    batch = step.batch

    # Decode, at the mean context of its steps.
    context = mean_context(input_len, output_len)
    seen = mean_limited(input_len, output_len, index_limit(model))
    near = mean_window(input_len, output_len, window_limit(model), model.window_chunked)
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
    busy_s = terms.weights + terms.kv + terms.activations + terms.compute
    tpot_s = busy_s + step.network_s + step.latency_s
    per_tpot = 1.0 / tpot_s
    device_s = tpot_s - step.network_s - step.host_s

    ttft_s = prefill.ttft_s
    e2e_latency_s = ttft_s + (output_len - 1.0) * tpot_s

    # Memory.
    kv_per_sequence = kv_bytes_per_sequence(model, step.kv_format, input_len + output_len)
    kept_per_sequence = kv_per_sequence * layout.kv_share + step.state_bytes * layout.state_share
    kv_bytes_per_device = batch * kept_per_sequence
    max_batch = largest_batch(step.usable_bytes - step.weight_bytes_per_device, kept_per_sequence)
    per_usable = 1.0 / (step.usable_bytes + TINY)
    kept_bytes = step.weight_bytes + batch * (kv_per_sequence + step.state_bytes)
    devices_needed = min(ceil_of(kept_bytes * per_usable), LARGEST_BATCH)
    too_long = input_len + output_len > model.max_context
    kv_status = KV_DOES_NOT_FIT if batch > max_batch else OK
    length_status = CONTEXT_TOO_LONG if too_long else kv_status
    status = step.status if step.status > OK else length_status

    # Traffic and arithmetic of one decode step on all devices.
    kv_bytes = step.kv_format.bits / 8.0
    copies = layout.width / layout.kv_width
    context_bytes = (
        model.global_kv_elements * kv_bytes * seen
        + model.window_kv_elements * kv_bytes * near
        + model.index_elements * INDEX_BYTES * context
    ) * (step.tokens * copies)
    context_flops = (
        model.global_score_flops * seen
        + model.window_score_flops * near
        + model.index_score_flops * context
    ) * step.tokens
    pass_bytes = step.linear_bytes + context_bytes
    pass_flops = step.linear_flops + context_flops
    per_memory_rate = 1.0 / (layout.width * device.memory_bandwidth)
    per_compute_rate = 1.0 / (layout.width * step.peak_flops)
    active_share = layout.micro_batches * layout.width / layout.devices
    memory_share = pass_bytes * per_memory_rate * per_tpot
    compute_share = pass_flops * per_compute_rate * per_tpot

    # Power and energy.
    busy_share = device_s * per_tpot
    per_busy_share = tpot_s / device_s
    decode_power_w = pipeline_power(
        device,
        mean_power(
            device,
            engine,
            busy_share,
            step.network_s * per_tpot,
            step.host_s * per_tpot,
            memory_share * per_busy_share,
            compute_share * per_busy_share,
        ),
        active_share,
    )
    seconds_per_output = tpot_s * (1.0 / batch)
    seconds_per_input = prefill.ttft_s / (batch * input_len)
    energy_output_j = decode_power_w * layout.devices * seconds_per_output
    energy_input_j = prefill.power_w * layout.devices * seconds_per_input
    usd_per_mtok_second = step.usd_per_second * TOKENS_PER_MTOK
    carbon = carbon_per_joule(economics) * TOKENS_PER_MTOK

    # What binds: the largest term.
    latency_s = step.latency_s
    network_s = step.network_s
    largest = max(
        max(max(terms.weights, terms.kv), max(terms.activations, terms.compute)),
        max(network_s, latency_s),
    )
    bound = BOUND_WEIGHTS
    bound = BOUND_KV_CACHE if terms.kv == largest else bound
    bound = BOUND_ACTIVATIONS if terms.activations == largest else bound
    bound = BOUND_COMPUTE if terms.compute == largest else bound
    bound = BOUND_NETWORK if network_s == largest else bound
    bound = BOUND_LATENCY if latency_s == largest else bound

    return Point(
        status=status,
        bound=bound,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        e2e_latency_s=e2e_latency_s,
        tokens_per_s_per_user=per_tpot,
        tokens_per_s_per_device=per_tpot * (batch / layout.devices),
        weight_bytes_per_device=step.weight_bytes_per_device,
        kv_bytes_per_device=kv_bytes_per_device,
        total_bytes_per_device=step.weight_bytes_per_device + kv_bytes_per_device,
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
        weights_share=terms.weights * per_tpot,
        kv_share=terms.kv * per_tpot,
        activations_share=terms.activations * per_tpot,
        compute_share=terms.compute * per_tpot,
        network_share=network_s * per_tpot,
        latency_share=latency_s * per_tpot,
        elasticity_bandwidth=(terms.weights + terms.kv + terms.activations) * per_tpot,
        elasticity_compute=terms.compute * per_tpot,
        elasticity_link=step.transfer_s * per_tpot,
        elasticity_latency=(latency_s + (network_s - step.transfer_s)) * per_tpot,
        decode_power_w=decode_power_w,
        prefill_power_w=prefill.power_w,
        energy_per_output_token_j=energy_output_j,
        energy_per_input_token_j=energy_input_j,
        energy_per_request_j=energy_input_j * input_len + energy_output_j * (output_len - 1.0),
        facility_energy_per_output_token_j=energy_output_j * facility_factor(economics),
        cost_per_mtok_output_usd=usd_per_mtok_second * seconds_per_output,
        cost_per_mtok_input_usd=usd_per_mtok_second * seconds_per_input,
        carbon_per_mtok_output_g=energy_output_j * carbon,
        carbon_per_mtok_input_g=energy_input_j * carbon,
    )


def evaluate(
    model: Model,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    kv_format: KVFormat,
    parallelism: Parallelism,
    workload: Workload,
    economics: Economics,
) -> Point:
    """One configuration, in plain Python: the stages one after the other."""
    step = prepare(
        model,
        device,
        engine,
        weight_format,
        kv_format,
        parallelism,
        workload.batch,
        economics,
    )
    experts_read = prefill_experts(step, workload.input_len)
    prefill = prefill_at(step, workload.input_len, experts_read)
    return at_lengths(step, workload.input_len, workload.output_len, prefill)
