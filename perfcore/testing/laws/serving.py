"""Laws of serving: running and waiting requests, speculation and prefix caching."""

from typing import Final

from perfcore.physics.speculation import accepted_tokens
from perfcore.physics.stages.replica import (
    OK,
)
from perfcore.records import (
    OFFLOAD_NONE,
    SCHEDULER_CONTINUOUS,
    SCHEDULER_DISAGGREGATED,
    SCHEDULER_STATIC,
)
from perfcore.testing.laws.requirements import (
    as_many_run,
    equal,
    not_below,
    not_faster,
    require,
)
from perfcore.testing.scenario import Scenario

SERVER_CONSTANTS: Final = {  # constants of servers only, with other values
    "interference": 0.5,
    "queue_weight": 0.5,
    "prefill_pool_load": 0.5,
    "block_tokens": 64.0,
    "reserves_output": 1.0,
    "max_sequences": 2.0,
    "server_per_step": 0.5,
    "server_per_device": 0.5,
    "server_per_sequence": 0.5,
    "length_spread": 3.0,
    "low_tpot_served": 0.05,
    "high_tpot_served": 20.0,
    "low_ttft_served": 0.05,
    "high_ttft_served": 20.0,
}


def requests_run_or_wait(scenario: Scenario) -> None:
    """A static batch runs whole; a server runs what fits, and waiting only adds to TTFT."""
    point, deployment = scenario.evaluate(), scenario.deployment
    if deployment.scheduler == SCHEDULER_STATIC:
        require(point.running_batch == deployment.batch, "a static batch runs whole")
        return
    most = min(deployment.batch, scenario.engine.max_sequences * deployment.dp)
    require(point.running_batch <= most, "no more run than the scheduler holds", most)
    if point.status == OK:
        require(point.running_batch <= point.max_batch, "no more run than fit")
        if most > point.max_batch:
            require(point.running_batch == point.max_batch, "as many run as fit")
    if point.running_batch < deployment.batch:
        longer = scenario.with_deployment(batch=2.0 * deployment.batch).evaluate()
        equal(longer.tpot_s, point.tpot_s, "waiting requests do not slow running ones")
        not_below(longer.ttft_s, point.ttft_s, "waiting requests do not lower TTFT")


def static_batches_have_no_server(scenario: Scenario) -> None:
    """Constants of servers have no effect on a static batch."""
    static = scenario.with_deployment(scheduler=SCHEDULER_STATIC)
    other = static.with_engine(**SERVER_CONSTANTS)
    require(other.evaluate() == static.evaluate(), "a static batch has no server")


def disaggregation_only_decodes(scenario: Scenario) -> None:
    """A disaggregated server has no other requests' prefill, and a pool for it.

    A request alone in flight takes the same steps with each scheduler.
    """
    together = scenario.with_deployment(scheduler=SCHEDULER_CONTINUOUS)
    apart = scenario.with_deployment(scheduler=SCHEDULER_DISAGGREGATED)
    require(apart.evaluate().prefill_s == 0.0, "nothing of others is prefilled")
    require(apart.evaluate().prefill_pool > 0.0, "prefill has a pool")
    require(together.evaluate().prefill_pool == 0.0, "no pool")
    one, other = (each.with_deployment(batch=1.0).evaluate() for each in (together, apart))
    equal(one.tpot_s, other.tpot_s, "a request alone takes the same steps")


def requests_take_their_time(scenario: Scenario) -> None:
    """Requests in flight are throughput times latency (Little's law); tokens are those of requests.

    The prefill pool counts as devices.
    """
    point, deployment = scenario.evaluate(), scenario.deployment
    in_flight = point.requests_per_s * point.e2e_latency_s
    equal(in_flight, deployment.batch, "requests in flight are throughput x latency")
    devices = deployment.tp * deployment.pp * deployment.dp * (1.0 + point.prefill_pool)
    tokens = point.tokens_per_s_per_device * devices
    equal(tokens, point.requests_per_s * scenario.output_len, "tokens are those of requests")


def crowds_do_not_lower_throughput(scenario: Scenario) -> None:
    """More requests in flight do not lower the throughput, if the prompts of others count in full.

    Exempt are offloading, as a larger batch moves more data to the second tier; uneven expert
    loads and all-reduces, whose cheapest way and fullest rank change with the batch; and pipeline
    stages, whose micro-batches read all weights. A saturated server may lose 3 %: other requests
    that only prefill leave less arithmetic to hide behind.
    """
    deployment = scenario.deployment
    staged = deployment.pp > 1.0 or scenario.device.spatial == 1.0
    if staged or deployment.ep > 1.0 or deployment.offload != OFFLOAD_NONE:
        return
    full = scenario.with_engine(interference=1.0)
    before = full.evaluate()
    after = full.with_deployment(batch=2.0 * deployment.batch).evaluate()
    if before.status == OK and after.status == OK:
        some = 0.97 * before.requests_per_s
        not_below(after.requests_per_s, some, "more requests do not lower the throughput")


def speculation_gains_at_most_its_tokens(scenario: Scenario) -> None:
    """Rejected drafts do not speed up decode; others gain at most the tokens they add.

    The batch is static: in a server, other requests write tokens in a step if each takes fewer
    steps, and fewer requests run, as the draft takes memory. With offloading, the draft displaces
    weights of the first pass.
    """
    scenario = scenario.with_deployment(scheduler=SCHEDULER_STATIC)
    deployment = scenario.deployment
    draft_len = max(deployment.draft_len, 1.0)
    plain = scenario.with_deployment(draft_len=0.0).evaluate()
    drafted = scenario.with_deployment(draft_len=draft_len)
    refused = drafted.with_deployment(acceptance=0.0).evaluate()
    tokens = accepted_tokens(draft_len, deployment.acceptance, deployment.acceptance_decay)
    some = drafted.evaluate()
    not_below(some.tpot_s * tokens, plain.tpot_s, "no more speed-up than tokens")
    equal(some.tpot_s * tokens, refused.tpot_s, "steps cost the same, whatever is accepted")
    all_of_them = drafted.with_deployment(acceptance=1.0).evaluate()
    not_below(some.tpot_s, all_of_them.tpot_s, "more acceptance does not slow down")
    if deployment.offload == OFFLOAD_NONE:
        equal(some.ttft_s, plain.ttft_s, "nothing is drafted in prefill")


def later_drafts_are_accepted_less(scenario: Scenario) -> None:
    """A decay of acceptance never speeds decode up, and does not matter to a single draft.

    The batch is static: in a server, fewer requests write tokens in a step if each takes more.
    """
    scenario = scenario.with_deployment(scheduler=SCHEDULER_STATIC)
    for draft_len in (1.0, max(scenario.deployment.draft_len, 3.0)):
        drafted = scenario.with_deployment(draft_len=draft_len)
        steady = drafted.with_deployment(acceptance_decay=1.0).evaluate()
        decaying = drafted.with_deployment(acceptance_decay=0.5).evaluate()
        not_below(decaying.tpot_s, steady.tpot_s, "fewer accepted tokens are no faster")
        if draft_len == 1.0:
            require(decaying == steady, "there is no draft after the first")


def cached_prompts_are_no_slower(scenario: Scenario) -> None:
    """No request is done later with a larger cached share of its prompt.

    Exempt are pipeline stages, which fewer chunks fill less well, offloading, and cases with
    another number of running requests, as windows hold both cached and new tokens.
    """
    staged = scenario.deployment.pp > 1.0 and scenario.device.spatial == 0.0
    if staged or scenario.deployment.offload != OFFLOAD_NONE:
        return
    scenario = scenario.with_engine(interference=1.0, cpu_stream_tokens=0.0)
    before = scenario.evaluate()
    hit = 0.5 + 0.5 * scenario.deployment.prefix_hit
    after = scenario.with_deployment(prefix_hit=hit).evaluate()
    if as_many_run(before, after):
        not_faster(before, after, scenario.deployment, "a cached prompt is no slower")


def longer_answers_in_flight_are_no_faster(scenario: Scenario) -> None:
    """A wider spread of output lengths does not shorten a server's steps, nor affect prefill.

    Steps of models with chunked windows are exempt: just after the end of a chunk, their layers see
    a single token. Prompts of others count in full: else they hide behind reads of longer caches.
    """
    scenario = scenario.with_engine(interference=1.0)
    before = scenario.evaluate()
    for factor in (1.5, 4.0):
        spread = factor * scenario.engine.length_spread
        after = scenario.with_engine(length_spread=spread).evaluate()
        fewer = after.max_batch * (1.0 - 1e-6)  # above a million, one more may be a rounding
        require(fewer <= before.max_batch, "no more fit", after.max_batch)
        if as_many_run(before, after):
            if scenario.model.window_chunked == 0.0:
                not_below(after.tpot_s, before.tpot_s, "TPOT does not fall with the spread")
                not_below(after.step_bytes, before.step_bytes, "no fewer bytes with the spread")
            cache = after.kv_bytes_per_device
            not_below(cache, before.kv_bytes_per_device, "the cache does not shrink")
            equal(after.prefill_s, before.prefill_s, "prefill does not depend on the spread")
        if scenario.deployment.scheduler == SCHEDULER_STATIC:
            require(after == before, "a static batch has one length")
