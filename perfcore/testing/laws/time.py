"""Laws of time: more work never takes less time, and faster hardware never takes more."""

import math
from typing import Final

from perfcore.records import (
    OFFLOAD_NONE,
    SCHEDULER_DISAGGREGATED,
    SCHEDULER_STATIC,
)
from perfcore.testing.laws.requirements import (
    ROUNDING,
    as_many_run,
    equal,
    not_below,
    not_faster,
    require,
)
from perfcore.testing.scenario import COMPUTE_RATES, LINK_RATES, Scenario, ideal_engine

STEP_TIMES: Final = (  # constants that add time to a decode step, linearly
    "host_per_step",
    "host_per_sequence",
    "host_per_device",
    "server_per_step",
    "server_per_device",
    "server_per_sequence",
    "sampling_per_sequence",
)


def grows_with_batch(scenario: Scenario) -> None:
    """Neither prefill nor a decode step gets faster with a larger batch.

    Exempt is TTFT with pipeline stages, as the chunks of a longer prefill fill them better. The
    batch is static: a served request may be done sooner if its prompt hides in steps of others.
    What is in host memory is copied if that is faster, not from some number of tokens on.
    """
    scenario = scenario.with_deployment(scheduler=SCHEDULER_STATIC)
    scenario = scenario.with_engine(cpu_stream_tokens=0.0)
    deployment = scenario.deployment
    staged = deployment.pp > 1.0 and scenario.device.spatial == 0.0
    before = scenario.evaluate()
    for more in (deployment.batch + 1.0, 2.0 * deployment.batch):
        after = scenario.with_deployment(batch=more).evaluate()
        not_below(after.tpot_s, before.tpot_s, "TPOT does not fall with the batch")
        if not staged:
            not_below(after.ttft_s, before.ttft_s, "TTFT does not fall with the batch")


def grows_with_context(scenario: Scenario) -> None:
    """No request is done sooner with a longer prompt or a longer answer.

    Exempt are:

    - models with chunked windows, whose layers see a single token just after the end of a chunk:
      their decode times, their served requests, and their TTFT with a prefix cache;
    - servers that run fewer requests, as each takes more memory;
    - pipeline stages, which several chunks fill better.

    Prompts of others count in full, whether or not others write tokens at the same time. They hide
    behind the first decode steps, if there are any, so that a served request may gain 1 %. What is
    in host memory is copied if that is faster, not from some number of tokens on.
    """
    scenario = scenario.with_engine(interference=1.0, cpu_stream_tokens=0.0)
    before = scenario.evaluate()
    static = scenario.deployment.scheduler == SCHEDULER_STATIC
    staged = scenario.deployment.pp > 1.0 and scenario.device.spatial == 0.0
    chunked = scenario.model.window_chunked == 1.0
    hit = scenario.deployment.prefix_hit > 0.0
    longer = (
        scenario._replace(input_len=scenario.input_len + 1.0),
        scenario._replace(input_len=2.0 * scenario.input_len),
        scenario._replace(output_len=2.0 * scenario.output_len),
    )
    for change in longer:
        after = change.evaluate()
        if not as_many_run(before, after):
            continue
        if static:
            if not (staged or (chunked and hit)):
                not_below(after.ttft_s, before.ttft_s, "TTFT does not fall with the context")
            if not chunked:
                not_below(after.tpot_s, before.tpot_s, "TPOT does not fall with the context")
        elif not (staged or chunked):
            some = 0.99 * before.e2e_latency_s
            not_below(after.e2e_latency_s, some, "more tokens are done no sooner")


def faster_hardware_is_no_slower(scenario: Scenario) -> None:
    """More bandwidth, arithmetic, link, network or second tier never slows a request.

    Exempt is memory bandwidth with offloading, as data in the second tier counts as read from
    memory, plus the difference of both times.
    """
    before = scenario.evaluate()
    changes = {
        "FLOP/s": scenario.with_rates(1.5, *COMPUTE_RATES),
        "the link": scenario.with_rates(1.5, "link_bandwidth"),
        "the network": scenario.with_rates(1.5, "network_bandwidth"),
        "the second tier": scenario.with_second_tier(1.5),
    }
    if scenario.deployment.offload == OFFLOAD_NONE:
        changes["bandwidth"] = scenario.with_rates(1.5, "memory_bandwidth")
    for name, change in changes.items():
        after = change.evaluate()
        not_faster(before, after, scenario.deployment, f"no slower with {name}")


def ideal_is_a_bound(scenario: Scenario) -> None:
    """No engine beats the ideal one in the same deployment."""
    real = scenario.evaluate()
    bound = scenario._replace(engine=ideal_engine(scenario.engine)).evaluate()
    not_faster(real, bound, scenario.deployment, "not below its bound")


def scales_with_all_rates(scenario: Scenario, factor: float = 3.0) -> None:
    """If all rates are multiplied by k and all latencies divided by k, times are divided by k."""
    rates = ("memory_bandwidth", *COMPUTE_RATES, *LINK_RATES)
    before = scenario.evaluate()
    faster = scenario.with_rates(factor, *rates).with_second_tier(factor)
    after = faster.with_latencies(1.0 / factor).evaluate()
    for name in ("ttft_s", "tpot_s", "e2e_latency_s"):
        slow, fast = getattr(before, name), getattr(after, name)
        equal(slow, factor * fast, f"{name} is homogeneous")
    for name in ("running_batch", "max_batch", "status"):
        require(getattr(before, name) == getattr(after, name), f"{name} depends on no rate")


def more_bits_are_no_faster(scenario: Scenario) -> None:
    """At the physical bound and with the same arithmetic, wider weights or caches are no faster.

    For some models, formats below 6 bits quantise only the routed experts and others all matrices,
    so widths on both sides of 6 are not compared. Nor are cases with different numbers of running
    requests: wider formats leave room for fewer, and each is faster.
    """
    ideal = scenario._replace(engine=ideal_engine(scenario.engine))
    before = ideal.evaluate()
    form, cache = ideal.weight_format, ideal.kv_format
    for bits in (form.bits + 0.5, 1.5 * form.bits):
        after = ideal._replace(weight_format=form._replace(bits=bits)).evaluate()
        if (form.bits < 6.0) == (bits < 6.0) and as_many_run(before, after):
            not_faster(after, before, ideal.deployment, "wider weights are no faster")
    after = ideal._replace(kv_format=cache._replace(bits=1.5 * cache.bits)).evaluate()
    not_below(before.max_batch, after.max_batch, "a wider cache holds no more sequences")
    if as_many_run(before, after):
        not_faster(after, before, ideal.deployment, "a wider cache is no faster")


def host_time_is_no_gain(scenario: Scenario) -> None:
    """Time of the host, server and sampling adds to a step linearly.

    Exempt are disaggregated servers, in which more requests write tokens as steps take longer.
    """
    before = scenario.evaluate()
    names = [name for name in STEP_TIMES if getattr(scenario.engine, name) > 0.0]
    for name in names:
        slower = scenario.with_engine(**{name: 2.0 * getattr(scenario.engine, name)}).evaluate()
        faster = scenario.with_engine(**{name: 0.0}).evaluate()
        not_below(slower.tpot_s, before.tpot_s, f"TPOT does not fall with {name}")
        added, taken = slower.tpot_s - before.tpot_s, before.tpot_s - faster.tpot_s
        apart = scenario.deployment.scheduler == SCHEDULER_DISAGGREGATED
        near = apart or math.isclose(added, taken, rel_tol=1e-6, abs_tol=ROUNDING * slower.tpot_s)
        require(near, f"TPOT is linear in {name}", added, taken)
    without = scenario.with_engine(host_per_device=0.0, server_per_device=0.0)
    if scenario.device.spatial == 1.0:
        require(without.evaluate() == before, "the host of a spatial machine drives no devices")
    alone = scenario.with_deployment(tp=1.0, pp=1.0, ep=1.0)
    other = alone.with_engine(host_per_device=0.0, server_per_device=0.0)
    require(other.evaluate() == alone.evaluate(), "groups of one device have no additional device")


def like_tokens_read_no_more(scenario: Scenario) -> None:
    """If tokens choose experts less independently, no more experts are read."""
    before = scenario.evaluate()
    for share in (0.5 * scenario.engine.routing_independence, 0.0):
        after = scenario.with_engine(routing_independence=share).evaluate()
        not_faster(before, after, scenario.deployment, "similar tokens are no slower")
        if scenario.deployment.scheduler != SCHEDULER_DISAGGREGATED:
            not_below(before.step_bytes, after.step_bytes, "similar tokens read no more")
            require(after.step_flops == before.step_flops, "similar tokens compute as much")
        if scenario.model.experts == 0.0:
            require(after == before, "a dense model has no experts to choose")


def narrow_sums_are_no_slower(scenario: Scenario) -> None:
    """Accumulation in fp16 is no slower, and has no effect on devices without a faster rate."""
    wide = scenario.with_engine(narrow_accumulation=0.0)
    narrow = scenario.with_engine(narrow_accumulation=1.0)
    before, after = wide.evaluate(), narrow.evaluate()
    not_faster(before, after, scenario.deployment, "fp16 accumulation does not slow")
    same = narrow.with_device(flops_fp16_narrow=0.0).evaluate()
    require(same == before, "a device without a faster rate has one rate")
