"""Laws of accounting: parts, shares, elasticities and intervals."""

import math
from collections.abc import Callable

from perfcore import records
from perfcore.physics.operators import flops_per_token
from perfcore.physics.roofline import reached_flops
from perfcore.records import UNMEASURED, Engine
from perfcore.testing.laws.requirements import close, equal, not_below, require
from perfcore.testing.scenario import COMPUTE_RATES, LINK_RATES, Scenario


def is_finite(scenario: Scenario) -> None:
    """No metric is negative, infinite or NaN, even if the configuration does not fit.

    A margin may be negative, and is at most 1.
    """
    for name, value in scenario.evaluate()._asdict().items():
        if name == "perplexity_increase":  # measured, or NaN
            require(not value <= UNMEASURED, f"{name} is measured", value)
            continue
        if name == "margin":
            require(math.isfinite(value) and value <= 1.0, f"{name} is at most 1", value)
            continue
        require(math.isfinite(value) and value >= -1e-12, f"{name} is finite", value)


def parts_sum_up(scenario: Scenario) -> None:
    """Parts sum to TPOT, shares to 1; the bound is the largest part; latency is TTFT plus steps."""
    point = scenario.evaluate()
    names = (
        "weights",
        "kv",
        "activations",
        "compute",
        "network",
        "latency",
        "prefill",
        "offload",
    )
    parts = [getattr(point, f"{name}_s") for name in names]
    shares = [getattr(point, f"{name}_share") for name in names]
    equal(math.fsum(parts), point.tpot_s, "parts sum to TPOT")
    equal(math.fsum(shares), 1.0, "shares sum to 1")
    for part, share in zip(parts, shares, strict=True):
        require(close(share * point.tpot_s, part), "a share is its part", part, share)
    equal(parts[int(point.bound)], max(parts), "the bound is the largest part")
    steps = scenario.output_len - 1.0
    equal(point.e2e_latency_s, point.ttft_s + steps * point.tpot_s, "latency is the sum")
    equal(point.tokens_per_s_per_user * point.tpot_s, 1.0, "speed is 1 / TPOT")


def elasticities_sum_to_one(scenario: Scenario) -> None:
    """Time is homogeneous of degree one in its resources (Euler's theorem)."""
    point = scenario.evaluate()
    parts = (
        point.elasticity_bandwidth,
        point.elasticity_compute,
        point.elasticity_link,
        point.elasticity_latency,
    )
    equal(math.fsum(parts), 1.0, "elasticities sum to 1")


def elasticities_are_derivatives(scenario: Scenario, step: float = 1e-5) -> None:
    """Elasticities are the gains of a slightly better device, with other requests' prefill.

    If two times are equal there is a kink, and the elasticity lies between the slopes of both
    sides. The second memory tier counts as a link. Exempt are disaggregated servers: the share of
    requests that still wait for their prompts depends on times, and elasticities are those at the
    same share.
    """
    if scenario.deployment.scheduler == records.SCHEDULER_DISAGGREGATED:
        return
    point = scenario.evaluate()
    changes: dict[tuple[str, ...], Callable[[float], Scenario]] = {
        ("elasticity_compute",): lambda k: scenario.with_rates(k, *COMPUTE_RATES),
        ("elasticity_latency",): lambda k: scenario.with_latencies(1.0 / k),
        ("elasticity_bandwidth",): lambda k: scenario.with_rates(k, "memory_bandwidth"),
        ("elasticity_link",): lambda k: scenario.with_rates(k, *LINK_RATES).with_second_tier(k),
    }
    for names, change in changes.items():
        worse = change(math.exp(-step)).evaluate().tpot_s
        better = change(math.exp(step)).evaluate().tpot_s
        slopes = (math.log(worse / point.tpot_s) / step, math.log(point.tpot_s / better) / step)
        value = math.fsum(getattr(point, name) for name in names)
        near = min(slopes) - 1e-6 <= value <= max(slopes) + 1e-6
        require(near, f"{' + '.join(names)} is a derivative", value, *slopes)


def utilisation_is_at_most_one(scenario: Scenario) -> None:
    """Utilisation of data-sheet bandwidth and FLOP/s is at most 1.

    Weights whose arithmetic is slower than the engine's 16-bit arithmetic (fp32, and int8 on some
    devices) are exempt from the latter: attention, in 16 bit, may exceed their rate. So may an
    indexer, in fp8.
    """
    point = scenario.evaluate()
    equal(point.arithmetic_intensity * point.step_bytes, point.step_flops, "intensity")
    not_below(1.0, point.mbu, "MBU is at most 1")
    device, engine = scenario.device, scenario.engine
    arithmetic = scenario.weight_format.arithmetic
    fastest = reached_flops(device, engine, records.MATH_FP16)
    if scenario.model.index_topk > 0.0:
        fastest = max(fastest, reached_flops(device, engine, records.MATH_FP8))
    if arithmetic != records.MATH_FP32 and reached_flops(device, engine, arithmetic) >= fastest:
        not_below(1.0, point.mfu, "MFU is at most 1")


def arithmetic_takes_its_time(scenario: Scenario) -> None:
    """Requests take no less time of devices than their linear products at the fastest rate.

    The prefill pool of a disaggregated server is exempt, as are prompts that it prefills.
    """
    deployment, device = scenario.deployment, scenario.device
    rates = (*COMPUTE_RATES, "flops_fp16_narrow")
    fastest = max(getattr(device, name) for name in rates)
    tokens = scenario.output_len - 1.0
    if deployment.scheduler != records.SCHEDULER_DISAGGREGATED:
        tokens += (1.0 - deployment.prefix_hit) * scenario.input_len
    devices = deployment.tp * deployment.pp * deployment.dp
    rate = devices * max(fastest, 1.0)
    layers = min(deployment.gpu_layers, scenario.model.layers)
    if layers < scenario.model.layers or deployment.offload == records.OFFLOAD_EXPERTS:
        rate += device.host_flops
    seconds = tokens * flops_per_token(scenario.model) / rate
    share = scenario.evaluate().requests_per_s * seconds
    not_below(1.0, share, "requests take the time of their arithmetic")


def tpot_excludes_ttft(scenario: Scenario) -> None:
    """Time that delays only prefill is not part of the time per output token.

    Exempt are disaggregated servers, in which it leaves fewer requests that write tokens.
    """
    if scenario.deployment.scheduler == records.SCHEDULER_DISAGGREGATED:
        return
    before = scenario.evaluate()
    host = scenario.engine.host_per_prefill + before.ttft_s
    after = scenario.with_engine(host_per_prefill=host).evaluate()
    require(after.tpot_s == before.tpot_s, "TPOT excludes TTFT", after.tpot_s, before.tpot_s)
    waited = scenario.deployment.batch / before.running_batch  # others' hosts included
    equal(after.ttft_s, (1.0 + waited) * before.ttft_s, "TTFT includes the host")


def intervals_enclose(scenario: Scenario) -> None:
    """Predictions lie in their intervals; that of a request is the sum of both phases'."""
    point = scenario.evaluate()
    pairs = {
        "ttft_s": (point.ttft_low_s, point.ttft_high_s),
        "tpot_s": (point.tpot_low_s, point.tpot_high_s),
        "e2e_latency_s": (point.e2e_latency_low_s, point.e2e_latency_high_s),
        "energy_per_output_token_j": (
            point.energy_per_output_token_low_j,
            point.energy_per_output_token_high_j,
        ),
        "power_w": (point.power_low_w, point.power_high_w),
    }
    for name, (low, high) in pairs.items():
        value = getattr(point, name)
        not_below(value, low, f"{name} is not below its interval")
        not_below(high, value, f"{name} is not above its interval")
    steps = scenario.output_len - 1.0
    low = point.ttft_low_s + steps * point.tpot_low_s
    high = point.ttft_high_s + steps * point.tpot_high_s
    equal(point.e2e_latency_low_s, low, "the lower end is the sum of both lower ends")
    equal(point.e2e_latency_high_s, high, "the upper end is the sum of both upper ends")


def intervals_change_nothing(scenario: Scenario) -> None:
    """Predictions do not depend on the width of their intervals."""
    names = (name for name in Engine._fields if name.startswith(("low_", "high_")))
    exact = scenario.with_engine(**dict.fromkeys(names, 1.0))
    before, after = scenario.evaluate()._asdict(), exact.evaluate()._asdict()
    for name, value in before.items():
        if "_low_" not in name and "_high_" not in name:
            same = after[name] == value or (math.isnan(after[name]) and math.isnan(value))
            require(same, f"{name} has no interval in it", value, after[name])
