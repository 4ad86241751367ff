"""Laws of disaggregated servers whose prompts run on other machines than their answers."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from perfcore.physics.stages.point import PromptMachine, evaluate
from perfcore.physics.stages.replica import OK, PREFILL_POOL_FAILS
from perfcore.records import OFFLOAD_NONE, SCHEDULER_DISAGGREGATED, Deployment
from perfcore.testing import devices, engines, ideal_engine, scenarios
from perfcore.testing.scenario import COMPUTE_RATES, LINK_RATES

RATIOS = st.just(0.0) | st.floats(0.01, 100.0)
LINKS = st.just(0.0) | st.floats(1e3, 1e15)


@st.composite
def pairs(draw):
    """Return a disaggregated configuration, and the machine that runs its prompts."""
    scenario = draw(scenarios()).with_deployment(
        scheduler=SCHEDULER_DISAGGREGATED,
        offload=OFFLOAD_NONE,
        gpu_layers=Deployment().gpu_layers,
        prefill_tp=draw(st.sampled_from((1.0, 2.0, 8.0))),
        prefill_pp=draw(st.sampled_from((1.0, 1.0, 3.0))),
        prefill_dp=draw(st.sampled_from((1.0, 1.0, 4.0))),
        prefill_ep=1.0,
        prefill_ratio=draw(RATIOS),
        prefill_link=draw(LINKS),
    )
    return scenario, PromptMachine(draw(devices()), draw(engines()))


DEGREES = ("tp", "pp", "dp", "ep")


def runs(scenario, prompts):
    """Return the result of a pair that can run."""
    point = evaluate(*scenario, prompts)
    assume(point.status == OK)
    return point


def no_more(value, bound):
    return value <= bound * (1.0 + 1e-9)


@given(scenarios(), RATIOS, LINKS)
def test_like_machines_are_one(scenario, ratio, link):
    """A pair of the same device, engine and layout is the disaggregated server, bit for bit."""
    plain = scenario.with_deployment(
        scheduler=SCHEDULER_DISAGGREGATED,
        offload=OFFLOAD_NONE,
        prefill_ratio=ratio,
        prefill_link=link,
    )
    degrees = {
        f"prefill_{name}": getattr(plain.deployment, name) for name in ("tp", "pp", "dp", "ep")
    }
    alike = plain.with_deployment(**degrees)

    pair = evaluate(*alike, PromptMachine(plain.device, plain.engine))

    if pair.status != PREFILL_POOL_FAILS:  # of a KV cache that is full but for rounding
        assert pair == plain.evaluate()


@given(pairs())
def test_requests_take_their_time(pair):
    """Little's law, and tokens of the devices of both pools."""
    scenario, prompts = pair
    point, deployment = evaluate(*scenario, prompts), scenario.deployment
    decode = deployment.tp * deployment.pp * deployment.dp
    ahead = deployment.prefill_tp * deployment.prefill_pp * deployment.prefill_dp

    in_flight = point.requests_per_s * point.e2e_latency_s
    tokens = point.tokens_per_s_per_device * (decode + point.prefill_pool * ahead)

    assert in_flight == pytest.approx(deployment.batch, rel=1e-9)
    assert tokens == pytest.approx(point.requests_per_s * scenario.output_len, rel=1e-9)


@given(pairs())
def test_ideal_engines_are_a_bound(pair):
    """Of both machines, where as many requests run.

    With a pool of a given size, faster answers may leave more requests waiting for it.
    """
    scenario, prompts = pair
    real = runs(scenario, prompts)
    bound = runs(
        scenario._replace(engine=ideal_engine(scenario.engine)),
        prompts._replace(engine=ideal_engine(prompts.engine)),
    )
    assume(bound.running_batch == real.running_batch)

    if scenario.deployment.prefill_ratio == 0.0:
        assert no_more(bound.ttft_s, real.ttft_s)
    assert no_more(bound.e2e_latency_s, real.e2e_latency_s)
    assert no_more(real.requests_per_s, bound.requests_per_s)


@given(pairs())
def test_faster_machines_for_prompts_delay_no_first_token(pair):
    """Nor do they lower the throughput."""
    scenario, prompts = pair
    device = prompts.device
    before = runs(scenario, prompts)
    for rates in (("memory_bandwidth",), COMPUTE_RATES, LINK_RATES):
        faster = {name: 1.5 * getattr(device, name) for name in rates}
        power = {"board_power": device.rated_power}  # its clocks may fall with more work
        if device.board_power < device.rated_power:
            continue
        after = runs(scenario, prompts._replace(device=device._replace(**faster, **power)))
        assert no_more(after.ttft_s, before.ttft_s)
        assert no_more(before.requests_per_s, after.requests_per_s)


@given(pairs())
@settings(max_examples=15)
def test_pools_share_the_bill(pair):
    """Prompts are billed as on their own machines, answers on theirs; together they are all."""
    scenario, prompts = pair
    scenario = scenario.with_deployment(prefill_ratio=0.0)
    scenario = scenario._replace(output_len=max(scenario.output_len, 2.0))
    point, deployment = runs(scenario, prompts), scenario.deployment
    layout = {name: getattr(deployment, f"prefill_{name}") for name in DEGREES}
    alone = scenario._replace(device=prompts.device, engine=prompts.engine)
    # as many requests run there, so that pipeline stages and groups work alike
    alone = alone.with_deployment(**layout, batch=point.running_batch)
    there = alone.evaluate()
    assume(there.status == OK and there.running_batch == point.running_batch)

    whole = max(point.energy_per_request_j, there.energy_per_request_j)
    written = scenario.output_len - 1.0
    joules = scenario.input_len * point.energy_per_input_token_j
    joules += written * point.energy_per_output_token_j

    assert joules == pytest.approx(point.energy_per_request_j, rel=1e-9)
    assert point.energy_per_input_token_j == pytest.approx(
        there.energy_per_input_token_j,
        rel=1e-6,
        abs=1e-9 * whole / scenario.input_len,  # what answers leave of the sum
    )
    assert point.cost_per_mtok_input_usd == pytest.approx(there.cost_per_mtok_input_usd, rel=1e-9)
    assert point.prefill_power_w == there.prefill_power_w


@given(pairs(), st.floats(0.01, 10.0), st.floats(1.0, 10.0))
def test_throughput_is_that_of_the_slower_pool(pair, ratio, more):
    """A pool finishes no more prompts than it can, and a larger one does not lower throughput."""
    scenario, prompts = pair
    some = scenario.with_deployment(prefill_ratio=ratio)
    point = runs(some, prompts)
    larger = runs(scenario.with_deployment(prefill_ratio=ratio * more), prompts)
    alone = some.with_deployment(batch=1.0, prefill_ratio=0.0)
    follows = runs(alone, prompts)
    load = prompts.engine.prefill_pool_load
    seconds = follows.prefill_pool * load / follows.requests_per_s  # of a prompt, in one group
    groups = min(point.running_batch, scenario.deployment.prefill_dp)
    stages = scenario.deployment.prefill_pp

    assert point.prefill_pool == ratio
    assert no_more(point.requests_per_s, ratio * groups * stages / seconds * 1.000001)
    assert no_more(point.requests_per_s, larger.requests_per_s)
