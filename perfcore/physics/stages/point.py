"""Stage 4: the metrics of a point, and the evaluation of one configuration.

``evaluate`` is plain Python and the reference; the kernel compiles the same stages and runs those
that depend on the batch and lengths in its innermost loops, one loop per stage.
"""

from typing import NamedTuple

from perfcore.physics.attention import kv_bytes_per_sequence
from perfcore.physics.cost import (
    TOKENS_PER_MTOK,
    margin,
    sale_price,
    usd_blended,
    usd_of_request,
)
from perfcore.physics.energy import (
    carbon_per_joule,
    facility_factor,
    slower_together,
    tokens_per_megawatt,
)
from perfcore.physics.memory import LARGEST_BATCH
from perfcore.physics.prefill import PassParts
from perfcore.physics.roofline import TINY
from perfcore.physics.rounding import NOTHING, ceil_of
from perfcore.physics.serving import hand_over, pool_load, portion, prefill_pool, queueing
from perfcore.physics.sizing import AUTO, fewest_devices, of_prompts
from perfcore.physics.stages.batch import RunningBatch, batch_at, runnable
from perfcore.physics.stages.beside import (
    Beside,
    DraftMachine,
    ExpertMachine,
    WithOthers,
    apart_at,
    drafted_at,
    expert_side,
    of_draft,
    with_draft,
    with_experts,
)
from perfcore.physics.stages.capacity import (
    Capacity,
    cache_at,
    capacity_at,
    host_shares,
    with_prompts,
)
from perfcore.physics.stages.passes import (
    Prefill,
    PromptsPool,
    Step,
    decode_power,
    pool_of,
    prefill_at,
    step_at,
    thinned,
)
from perfcore.physics.stages.replica import Replica, prepare
from perfcore.physics.weights import perplexity_increase
from perfcore.records import (
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

BOUND_WEIGHTS = 0.0
BOUND_KV_CACHE = 1.0
BOUND_ACTIVATIONS = 2.0
BOUND_COMPUTE = 3.0
BOUND_NETWORK = 4.0
BOUND_LATENCY = 5.0
BOUND_PREFILL = 6.0
BOUND_OFFLOAD = 7.0


class Point(NamedTuple):
    """All metrics of one configuration; ``perfcore.columns`` gives their meanings."""

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
    tokens_per_s_per_mw: float
    cost_per_mtok_output_usd: float
    cost_per_mtok_input_usd: float
    cost_per_mtok_cached_input_usd: float
    cost_per_request_usd: float
    cost_per_mtok_blended_usd: float
    break_even_utilization: float
    margin: float
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
    perplexity_increase: float


def waited_parts(replica: Replica, prefill: Prefill, passes: float) -> PassParts:
    """Time that a token waits while ``passes`` of other prompts use other machines."""
    if replica.waits == 0.0:
        return PassParts(memory=NOTHING, compute=NOTHING, transfer=NOTHING, latency=NOTHING)
    parts = prefill.cpu_parts
    return PassParts(
        memory=passes * parts.memory,
        compute=passes * parts.compute,
        transfer=passes * parts.transfer,
        latency=passes * parts.latency,
    )


class PromptMachine(NamedTuple):
    """What runs the prompts of a disaggregated server."""

    device: Device
    engine: Engine


class PoolSize(NamedTuple):
    """A prefill pool, for each decode replica."""

    replicas: float
    per_load: float  # time of the pool that a prompt pays for, relative to that of its work


def pool_size(
    deployment: Deployment, load: float, pool_s: float, requests_per_s: float
) -> PoolSize:
    """Size of a pool that works ``pool_s`` for each prompt: as given, or busy for ``load``."""
    if deployment.prefill_ratio > 0.0:
        ratio = deployment.prefill_ratio
        return PoolSize(ratio, ratio / (pool_s * requests_per_s))
    return PoolSize(prefill_pool(load, pool_s, requests_per_s), 1.0 / load)


def point_at(
    replica: Replica,
    ahead: PromptsPool,
    running: RunningBatch,
    fit: Capacity,
    input_len: float,
    output_len: float,
    prefill: Prefill,
    full: Step,
) -> Point:
    """Stage 4: metrics of a prefill pass and a decode step.

    ``prefill`` and ``full`` are ``prefill_at`` and ``step_at`` of the same lengths; all requests
    that the step has room for write tokens in it. ``ahead`` are the servers that run prompts: the
    replica's own, unless they are apart, and the pass is then theirs, too. Every branch is on a
    field of ``replica``, so that the kernel's loop over lengths has none. There is only plain
    arithmetic, and ``sqrt``.
    """
    engine = replica.engine
    economics = replica.economics
    deployment = replica.deployment
    layout = replica.layout
    batch = running.batch
    served = deployment.scheduler != SCHEDULER_STATIC
    apart = deployment.scheduler == SCHEDULER_DISAGGREGATED

    # Memory.
    cache = cache_at(replica, input_len, output_len)
    own_kv = running.per_group * cache.kept_per_sequence
    kv_bytes_per_device = own_kv + cache.shared_per_device
    weight_bytes_per_device = replica.weight_bytes_per_device
    offloaded_bytes = full.away_bytes
    if replica.away.weight_bytes > 0.0:
        shares = host_shares(replica, cache, batch)
        kv_bytes_per_device += shares.cache
        weight_bytes_per_device += shares.weights
        offloaded_bytes += shares.cache + shares.weights
    together = weight_bytes_per_device + kv_bytes_per_device
    all_kv = batch * (cache.per_sequence + cache.states) + cache.shared
    per_usable = 1.0 / (replica.usable_bytes + TINY)
    devices_needed = min(ceil_of((replica.weight_bytes + all_kv) * per_usable), LARGEST_BATCH)

    # Time of a request once it runs: its prompt, that of others, its tokens.
    written = output_len - 1.0
    outside_s = ahead.outside_s  # in which no device works for it
    per_prompt = prefill.per_prompt * prefill.per_at_once  # passes of all devices
    passes = 0.0
    prefill_s = 0.0
    saved_memory_s = 0.0
    saved_compute_s = 0.0
    saved_start_s = 0.0
    between_cpu = 0.0  # prefill passes' cpu_s that a token waits for
    busy = 1.0
    away_s = full.away_weights_s * prefill.weight_read_share
    pass_s = prefill.seconds + prefill.cpu_s
    prompts_s = pass_s + away_s
    first_s = prompts_s + outside_s
    steps_s = written * full.seconds
    step = full
    pool_s = pass_s * per_prompt  # of a prefill replica, for each prompt
    if apart:
        prompt_kv = kv_bytes_per_sequence(replica.model, replica.kv_format, input_len)
        prompt_kv *= 1.0 + replica.away.cpu.cached
        layer_s = prompt_kv * max(replica.kv_hand_over_per_byte, ahead.kv_hand_over_per_byte)
        first_s += hand_over(layer_s, pass_s, replica.model.layers)
        load = ahead.load
        paced_s = 0.0  # least time of a request at the pace of a pool of a given size
        if deployment.prefill_ratio > 0.0:
            paced_s = batch * pool_s / deployment.prefill_ratio
            service_s = ahead.random_arrivals * pass_s
            load = pool_load(batch / paced_s, batch, first_s + steps_s, service_s)
        first_s += ahead.random_arrivals * queueing(pass_s, load)
        first_s = max(first_s, paced_s - steps_s)
        company = min(batch - 1.0, 1.0)  # a request alone always writes in its steps
        step = thinned(replica, full, portion(steps_s, company * first_s))
        steps_s = written * step.seconds
        first_s = max(first_s, paced_s - steps_s)
        busy = (steps_s + first_s) / max(steps_s, step.seconds)  # of one token: like of two
    elif served:
        pace = prefill.rhythm
        filled = pace.decode_share * running.per_room  # of the room in a step
        step = thinned(replica, full, filled)
        step_s = step.seconds * replica.step_tokens
        # a step that carries prompts reads weights and starts operators once for all its tokens
        hides = prefill.chunks * replica.step_tokens * prefill.saved_share
        hidden_s = hides * step.hidden_s
        start_s = replica.pass_start_s * (prefill.chunks * prefill.saved_share)
        saved_s = hidden_s + start_s
        added_s = max(prefill.seconds - saved_s, 0.0)
        plain_s = added_s
        more = 0.0  # of a pass: a step with prompts draws more than either
        if replica.capped == 1.0:
            decode_s = hides * step.device_s
            both_s = slower_together(
                replica.watts, decode_s, step.demand, prefill.seconds, prefill.demand, saved_s
            )
            added_s = max(both_s - decode_s, plain_s)
            more = (added_s - plain_s) / prefill.seconds
        alone = 1.0 - pace.company
        alone_s = alone * (prefill.seconds + prefill.further_host_s)
        # whatever overlaps, arithmetic takes its time
        least_s = prefill.arithmetic_s - hides * step.unused_s
        own_s = (alone_s + pace.company * max(added_s, least_s)) * prefill.per_prompt + away_s
        delay_s = engine.interference * added_s
        forced = 1.0 if least_s > delay_s else 0.0
        beside_s = max(delay_s, least_s)
        ahead_s = per_prompt * (alone_s + pace.company * beside_s)
        between = pace.between * replica.per_step_token
        beside_s *= per_prompt
        prefill_s = between * beside_s
        # a prompt between two of a request's steps is carried by one of them
        weight = between * per_prompt * (engine.interference * (1.0 - forced))
        fused = weight if plain_s > 0.0 else 0.0
        passes = weight * more + fused
        others_s = pace.ahead * ahead_s
        shared_steps = pace.company * pace.prefill
        steps_s = (pace.decode + shared_steps) * step_s
        if replica.waits == 1.0:  # behind which nothing hides
            on_cpu_s = prefill.cpu_s * prefill.per_prompt
            # a prompt waits for all of its pass in the CPU, which reads weights for all prompts
            own_s += prefill.cpu_s if replica.on_cpu == 1.0 else on_cpu_s
            others_s += pace.ahead * on_cpu_s
            beside_s += on_cpu_s
            between_cpu = between * prefill.per_prompt
        prompts_s = own_s + others_s + pace.between * pace.decode * beside_s
        first_s = outside_s + shared_steps * step_s + own_s + others_s
        bare_s = replica.bare_step.weights_s
        streamed_s = running.weights_s + running.activations_s
        saved_memory_s = fused * hides * (bare_s + filled * (streamed_s - bare_s))
        saved_compute_s = fused * hidden_s - saved_memory_s
        behind_s = forced * between * per_prompt * hides * step.reads_s
        saved_memory_s += behind_s
        saved_compute_s -= behind_s + forced * prefill_s
        saved_start_s = fused * start_s
        busy = 1.0 / pace.decode_share
    parts = waited_parts(replica, prefill, between_cpu)
    prefill_s += (parts.memory + parts.compute) + (parts.transfer + parts.latency)
    tpot_s = step.seconds + prefill_s
    per_tpot = 1.0 / tpot_s
    request_s = written * tpot_s

    # Little's law: running requests = throughput x time; the others wait for as many to finish.
    running_s = first_s + request_s
    per_running = 1.0 / running_s
    requests_per_s = batch * per_running
    ttft_s = first_s + running.waiting * running_s
    e2e_latency_s = ttft_s + request_s
    pool = 0.0
    per_load = 1.0
    if apart:
        size = pool_size(deployment, ahead.load, pool_s, requests_per_s)
        pool = size.replicas
        per_load = size.per_load

    # Traffic and arithmetic of one decode step, as times at peak rates.
    memory_s = step.pass_bytes * (replica.per_step_token * replica.per_bandwidth)
    compute_s = step.pass_flops * (replica.per_step_token * replica.per_flops)
    active_share = replica.active_share * running.passes
    active_per_second = active_share * step.per_second

    # Power and energy.
    watts = replica.watts
    decode_power_w = decode_power(watts, step, active_share)
    request_device_s = running.per_batch * running_s
    seconds_per_output = step.seconds * running.per_batch * busy
    prompt_device_s = request_device_s - written * seconds_per_output
    power_w = decode_power_w
    if apart:
        prompt_device_s = pool_s
    else:
        power_w = (
            prefill.power_w * prompts_s + decode_power_w * steps_s + watts.host * outside_s
        ) * per_running
    energy_output_j = decode_power_w * layout.devices * seconds_per_output
    energy_request_j = power_w * layout.devices * request_device_s
    if apart:
        energy_request_j += prefill.power_w * ahead.devices * prompt_device_s
    seconds_per_input = prompt_device_s * (1.0 / input_len)
    rest_j = max(energy_request_j - written * energy_output_j, 0.0)  # not -0.0 by rounding
    energy_input_j = rest_j * (1.0 / input_len)

    # Money and carbon.
    usd_per_mtok_second = replica.usd_per_second * TOKENS_PER_MTOK
    usd_output = usd_per_mtok_second * seconds_per_output
    usd_per_mtok_prompt_second = ahead.usd_per_second * TOKENS_PER_MTOK
    usd_input = usd_per_mtok_prompt_second * seconds_per_input * per_load
    usd_request = usd_of_request(written, usd_output, input_len, usd_input)
    pool_share = 1.0 / (1.0 + pool * (ahead.devices / layout.devices)) if apart else 1.0
    # a cached token is never dearer than a new one, of which it saves the work
    cached_token_s = min(prefill.cached_token_s * prefill.per_at_once, seconds_per_input)
    carbon = carbon_per_joule(economics) * TOKENS_PER_MTOK

    # The bottleneck is the largest term.
    offload_s = 0.0 + (step.offload_s + step.cpu_s)  # no negative zero without offloading
    latency_s = step.latency_s
    network_s = step.network_s
    spread = replica.spread
    largest = max(
        max(max(step.weights_s, step.kv_s), max(step.activations_s, step.compute_s)),
        max(max(network_s, latency_s), max(prefill_s, offload_s)),
    )
    bound = BOUND_WEIGHTS
    bound = BOUND_KV_CACHE if step.kv_s == largest else bound
    bound = BOUND_ACTIVATIONS if step.activations_s == largest else bound
    bound = BOUND_COMPUTE if step.compute_s == largest else bound
    bound = BOUND_NETWORK if network_s == largest else bound
    bound = BOUND_LATENCY if latency_s == largest else bound
    bound = BOUND_PREFILL if prefill_s == largest else bound
    bound = BOUND_OFFLOAD if offload_s == largest else bound

    return Point(
        status=fit.status,
        bound=bound,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        e2e_latency_s=e2e_latency_s,
        tokens_per_s_per_user=per_tpot,
        tokens_per_s_per_device=requests_per_s * output_len * (1.0 / layout.devices) * pool_share,
        requests_per_s=requests_per_s,
        running_batch=batch,
        prefill_pool=pool,
        weight_bytes_per_device=weight_bytes_per_device,
        kv_bytes_per_device=kv_bytes_per_device,
        total_bytes_per_device=together,
        offloaded_bytes_per_device=offloaded_bytes,
        max_batch=fit.max_batch,
        devices_needed=devices_needed,
        step_bytes=step.pass_bytes * running.passes,
        step_flops=step.pass_flops * running.passes,
        arithmetic_intensity=step.pass_flops / step.pass_bytes,
        mbu=memory_s * active_per_second,
        mfu=compute_s * active_per_second,
        ridge_batch=replica.ridge_batch,
        weights_s=step.weights_s,
        kv_s=step.kv_s,
        activations_s=step.activations_s,
        compute_s=step.compute_s,
        network_s=network_s,
        latency_s=latency_s,
        prefill_s=prefill_s,
        offload_s=offload_s,
        weights_share=step.weights_s * per_tpot,
        kv_share=step.kv_s * per_tpot,
        activations_share=step.activations_s * per_tpot,
        compute_share=step.compute_s * per_tpot,
        network_share=network_s * per_tpot,
        latency_share=latency_s * per_tpot,
        prefill_share=prefill_s * per_tpot,
        offload_share=offload_s * per_tpot,
        elasticity_bandwidth=(
            step.weights_s
            + step.kv_s
            + step.activations_s
            + (passes * prefill.memory_s - saved_memory_s)
            + parts.memory
        )
        * per_tpot,
        elasticity_compute=(
            step.compute_s + (passes * prefill.compute_s - saved_compute_s) + parts.compute
        )
        * per_tpot,
        elasticity_link=(
            step.transfer_s
            + (step.offload_s + step.cpu_s)
            + passes * prefill.transfer_s
            + parts.transfer
        )
        * per_tpot,
        elasticity_latency=(
            latency_s
            + max(network_s - step.transfer_s, 0.0)
            + (passes * prefill.latency_s - saved_start_s)
            + parts.latency
        )
        * per_tpot,
        decode_power_w=decode_power_w,
        prefill_power_w=prefill.power_w,
        power_w=power_w,
        energy_per_output_token_j=energy_output_j,
        energy_per_input_token_j=energy_input_j,
        energy_per_request_j=energy_request_j,
        facility_energy_per_output_token_j=energy_output_j * facility_factor(economics),
        tokens_per_s_per_mw=tokens_per_megawatt(output_len, energy_request_j, economics),
        cost_per_mtok_output_usd=usd_output,
        cost_per_mtok_input_usd=usd_input,
        cost_per_mtok_cached_input_usd=usd_per_mtok_prompt_second * cached_token_s * per_load,
        cost_per_request_usd=usd_request,
        cost_per_mtok_blended_usd=usd_blended(usd_request, input_len, output_len),
        break_even_utilization=usd_output
        * (economics.utilization / sale_price(replica.model, economics)),
        margin=margin(usd_output, sale_price(replica.model, economics)),
        carbon_per_mtok_output_g=energy_output_j * carbon,
        carbon_per_mtok_input_g=energy_input_j * carbon,
        ttft_low_s=ttft_s * ahead.low_ttft,
        ttft_high_s=ttft_s * ahead.high_ttft,
        tpot_low_s=tpot_s * spread.low_tpot,
        tpot_high_s=tpot_s * spread.high_tpot,
        e2e_latency_low_s=ttft_s * ahead.low_ttft + request_s * spread.low_tpot,
        e2e_latency_high_s=ttft_s * ahead.high_ttft + request_s * spread.high_tpot,
        energy_per_output_token_low_j=energy_output_j * engine.low_energy,
        energy_per_output_token_high_j=energy_output_j * engine.high_energy,
        power_low_w=power_w * engine.low_power,
        power_high_w=min(power_w * engine.high_power, watts.limit),
        perplexity_increase=perplexity_increase(replica.weight_format),
    )


def point_beside(
    replica: Replica,
    running: RunningBatch,
    fit: Capacity,
    input_len: float,
    output_len: float,
    work: WithOthers,
) -> Point:
    """Stage 4 with devices beside the model's: their energy and their price are paid, too."""
    ahead = pool_of(replica)
    point = point_at(replica, ahead, running, fit, input_len, output_len, work.prefill, work.step)
    return paid_for_both(replica, point, work.beside, input_len, output_len)


def paid_for_both(
    replica: Replica, point: Point, beside: Beside, input_len: float, output_len: float
) -> Point:
    """``point`` with the energy and the price of ``beside``, which is paid for as long.

    An output token pays for as many seconds of both as of the model's devices, and so does an
    input token for the rest of a request.
    """
    economics = replica.economics
    engine = replica.engine
    devices = replica.layout.devices
    output_s = point.energy_per_output_token_j / (point.decode_power_w * devices)
    written = output_len - 1.0
    input_s = max(1.0 / point.requests_per_s - written * output_s, 0.0) / input_len
    output_j = point.energy_per_output_token_j + beside.decode_w * beside.devices * output_s
    input_j = point.energy_per_input_token_j + beside.prompt_w * beside.devices * input_s
    request_j = written * output_j + input_len * input_j
    usd = beside.usd_per_second * TOKENS_PER_MTOK
    usd_output = point.cost_per_mtok_output_usd + usd * output_s
    usd_input = point.cost_per_mtok_input_usd + usd * input_s
    usd_request = usd_of_request(written, usd_output, input_len, usd_input)
    dearer = 1.0 + beside.usd_per_second / (replica.usd_per_second + TINY)
    carbon = carbon_per_joule(economics) * TOKENS_PER_MTOK
    return Point(
        *point[:6],
        point.tokens_per_s_per_device * (devices / (devices + beside.devices)),
        *point[7:45],
        output_j,
        input_j,
        request_j,
        output_j * facility_factor(economics),
        tokens_per_megawatt(output_len, request_j, economics),
        usd_output,
        usd_input,
        point.cost_per_mtok_cached_input_usd * dearer,
        usd_request,
        usd_blended(usd_request, input_len, output_len),
        usd_output * (economics.utilization / sale_price(replica.model, economics)),
        margin(usd_output, sale_price(replica.model, economics)),
        output_j * carbon,
        input_j * carbon,
        *point[59:65],
        output_j * engine.low_energy,
        output_j * engine.high_energy,
        *point[67:],
    )


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
    prompts: PromptMachine | None = None,
    draft: DraftMachine | None = None,
    experts: ExpertMachine | None = None,
) -> Point:
    """All metrics of one configuration: the stages in sequence, in plain Python.

    A server runs as many of the requests in flight as its KV cache holds; the others wait for a
    generation to finish. A tensor-parallel degree of 0 selects the fewest devices that fit. With
    ``prompts``, a disaggregated server has a prefill pool of its own, with the degrees that
    ``deployment`` has for it. With ``draft`` or ``experts``, the draft or the routed experts are on
    devices beside those of the model, as many as ``deployment`` says.
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
    replica = prepare(model, device, engine, weight_format, kv_format, deployment, economics)
    fit = capacity_at(
        replica, runnable(engine, deployment, deployment.batch), input_len, output_len
    )
    if draft is not None:
        drafter = prepare(
            draft.model,
            draft.device,
            draft.engine,
            draft.weight_format,
            kv_format,
            of_draft(deployment, draft.device),
            economics,
        )
        fit = with_draft(replica, fit, capacity_at(drafter, 1.0, input_len, output_len))
        running = batch_at(replica, fit.batch, deployment.batch)
        drafted = drafted_at(replica, drafter, running, input_len, output_len)
        return point_beside(replica, running, fit, input_len, output_len, drafted)
    if experts is not None:
        side = expert_side(model, replica, experts.device, experts.engine, weight_format, economics)
        fit = with_experts(fit, side.status)
        running = batch_at(replica, fit.batch, deployment.batch)
        apart = apart_at(replica, side, running, input_len, output_len)
        return point_beside(replica, running, fit, input_len, output_len, apart)
    running = batch_at(replica, fit.batch, deployment.batch)
    if prompts is None or deployment.scheduler != SCHEDULER_DISAGGREGATED:
        pool = pool_of(replica)
        prefill = prefill_at(replica, running, input_len, output_len)
    else:
        ahead = prepare(
            model,
            prompts.device,
            prompts.engine,
            weight_format,
            kv_format,
            of_prompts(deployment),
            economics,
        )
        fit = with_prompts(fit, capacity_at(ahead, 1.0, input_len, 1.0))
        running_ahead = batch_at(ahead, fit.batch, deployment.batch)
        pool = pool_of(ahead)
        prefill = prefill_at(ahead, running_ahead, input_len, output_len)
    step = step_at(replica, running, input_len, output_len)
    return point_at(replica, pool, running, fit, input_len, output_len, prefill, step)
