"""Servers with a draft, or experts, on devices beside them: theory, a second simulation, laws."""

from math import ceil

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from naive.beside import pace

from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError
from perfcore.physics.prefill import prompts_of
from perfcore.physics.stages.beside import crossing, experts_at
from perfcore.physics.stages.mixed import host_at, load_at, mixed_at, no_prompts, with_prompt
from perfcore.physics.stages.passes import Context
from perfcore.traffic import server
from perfcore.traffic.others import NO_OTHERS, others_beside, price_of_time
from perfcore.traffic.results import MONTH, latencies, summary
from perfcore.traffic.server import (
    Rules,
    limits_of,
    others_of,
    replica_of,
    room_of,
    simulate_requests,
)
from perfcore.traffic.steps.loop import run
from perfcore.traffic.synthetic import Traffic
from traffic import naive_server
from traffic.test_server import column, naive_jobs, naive_rules, random_requests

DENSE = {"model": "llama-3.3-70b", "device": "h100-sxm", "engine": "vllm", "weight_format": "fp8"}
DRAFTS = {"draft_model": "llama-3.2-1b", "draft_device": "l40s", "draft_len": 4}
DRAFTED = {**DENSE, **DRAFTS, "acceptance": 0.8, "tp": 4}
WINDOWS = {**DRAFTED, "draft_model": "gemma-3-1b"}
SLOW = {**DRAFTED, "draft_device": "m1-max"}  # whose prompts take longer than the model's
STAGES = {**DRAFTED, "device": "h20", "tp": 2, "pp": 2}
MIXTURE = {"engine": "vllm", "weight_format": "fp8", "expert_device": "h100-sxm"}
APART = {**MIXTURE, "model": "deepseek-v3", "device": "h20", "tp": 8, "expert_devices": 16}
TURNS = {**APART, "expert_parts": 1}
GROUPS = {**MIXTURE, "model": "qwen3-235b-a22b", "device": "h20", "tp": 4, "dp": 4}
GROUPS |= {"expert_devices": 8, "expert_parts": 3}
CASES = {
    "drafted": DRAFTED,
    "windows": WINDOWS,
    "slow": SLOW,
    "stages": STAGES,
    "apart": APART,
    "turns": TURNS,
    "groups": GROUPS,
}
BOTH = {"drafted": DRAFTED, "apart": APART}


def prepared(configuration):
    replica = replica_of(configuration)
    return replica, others_of(configuration, replica)


def mean_of(model, contexts):
    """The mean context, as its layers see it."""
    if not contexts:
        return Context(0.0, 0.0, 0.0)
    near = [min(one, model.window) for one in contexts] if model.window_kv_elements else [0.0]
    mean = float(np.mean(contexts))
    return Context(mean, mean, float(np.mean(near)))


def step_on(replica, writing, contexts, parts, finished):
    """A step on one kind of device: its time, and the host's."""
    work = no_prompts()
    for new, done in parts:
        work = with_prompt(work, prompts_of(replica.model, 1.0, float(new), float(done)))
    load = load_at(replica, writing, float(len(parts)), work.tokens, float(finished))
    step = mixed_at(replica, load, mean_of(replica.model, contexts), work)
    return step.seconds, load.host_s * replica.step_tokens


def drafted_time(replica, draft):
    """One draft pass after another, micro-batch by micro-batch; then the model's step."""

    def seconds(contexts, parts, finished):
        model_s, _ = step_on(replica, float(len(contexts)), contexts, parts, finished)
        reading_s = step_on(draft, 0.0, [], parts, finished)[0] if parts else 0.0
        total = max(model_s, reading_s)
        micro_batches = int(min(len(contexts), replica.layout.micro_batches))
        for _ in range(micro_batches):
            share = len(contexts) / micro_batches
            total += crossing(replica, draft, share).seconds
            for _ in range(int(replica.deployment.draft_len)):
                total += step_on(draft, share, contexts, [], 0)[0]
        return total

    return seconds


def apart_time(replica, side):
    """Parts go round attention, link and experts; then prompts do, with a turn of their own."""

    def seconds(contexts, parts, finished):
        wanted = replica.deployment.expert_parts or 2.0
        fullest = ceil(len(contexts) / replica.layout.groups)
        turns = max(min(int(wanted), fullest), 1)
        share = len(contexts) / turns
        total = 0.0
        both_s, both_host_s = step_on(replica, share, contexts, parts, finished)
        attention_s = both_s - both_host_s
        if contexts:
            alone_s, host_s = step_on(replica, share, contexts, [], 0)
            one = experts_at(side, share * replica.drafted)
            there_s = share * replica.drafted * side.there_per_token
            back_s = share * replica.drafted * side.back_per_token
            stations = [alone_s - host_s, there_s, one.seconds, back_s]
            total += pace(stations, side.crossings_s, turns)
            attention_s -= alone_s - host_s
        if parts:
            read = experts_at(side, float(sum(new for new, _ in parts)))
            total += attention_s + read.seconds + read.link_s
        handled = fullest + ceil(len(parts) / replica.layout.groups)
        return total + host_at(replica, float(handled))

    return seconds


def naive(configuration, requests, rules):
    replica, others = prepared(configuration)
    room = room_of(replica, requests, rules, others)
    limits = limits_of(replica, requests, rules, room)
    jobs, arrivals = naive_jobs(requests, hashed=limits.hashes > 0)
    if others.draft is not None:
        step_time = drafted_time(replica, others.draft)
    else:
        step_time = apart_time(replica, others.experts)
    given = naive_rules(replica, limits, rules)
    naive_server.simulate(jobs, arrivals, given, rules.replicas, step_time)
    return jobs


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
@pytest.mark.parametrize("kind", ["free", "session"])
def test_a_second_simulation_agrees_request_by_request(options, kind):
    configuration = Configuration(**options)
    requests = random_requests(21, kind=kind, rate=20.0)
    rules = Rules(budget=256, block_tokens=16, kv_tokens=6000, at_once=False)

    found = simulate_requests(configuration, requests, rules).requests
    jobs = naive(configuration, requests, rules)

    np.testing.assert_array_equal(found["preemptions"], column(jobs, "preemptions"))
    for name in ("arrival", "first_token", "finished"):
        np.testing.assert_allclose(found[f"{name}_s"], column(jobs, name), rtol=1e-9)


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_equal_steps_at_once_are_like_one_by_one(options):
    configuration = Configuration(**options)
    requests = random_requests(22, kind="session", count=150)

    rules = {"budget": 512, "kv_tokens": 20000}
    once = simulate_requests(configuration, requests, Rules(**rules))
    each = simulate_requests(configuration, requests, Rules(**rules, at_once=False))

    assert once.steps == each.steps
    np.testing.assert_allclose(once.requests["finished_s"], each.requests["finished_s"], rtol=1e-4)
    assert once.energy_j == pytest.approx(each.energy_j, rel=1e-4)
    assert once.bytes_moved == pytest.approx(each.bytes_moved, rel=1e-4)


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_interpreted_and_compiled_are_equal(options, monkeypatch):
    configuration = Configuration(**options)
    requests = random_requests(23, kind="session", count=40)
    rules = Rules(budget=256, kv_tokens=5000, replicas=2, kv_tiers="dram:100MB@2GB/s")
    compiled = simulate_requests(configuration, requests, rules)

    monkeypatch.setattr(server, "serve", run)
    interpreted = simulate_requests(configuration, requests, rules)

    for name, values in compiled.requests.items():
        np.testing.assert_array_equal(values, interpreted.requests[name])
    assert compiled.energy_j == interpreted.energy_j
    assert compiled.bytes_moved == interpreted.bytes_moved


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
@pytest.mark.parametrize("seed", [24, 25])
def test_littles_law_energy_and_money(options, seed):
    """Requests are rate times latency, energy is power times time, money is price times time."""
    configuration = Configuration(**options)
    replica, others = prepared(configuration)
    requests = random_requests(seed, count=200, rate=5.0)
    found = simulate_requests(configuration, requests, Rules(replicas=2))
    figures = summary(found)

    e2e = latencies(found)["e2e"]
    in_system = found.batch_mean + found.queue_mean
    assert in_system == pytest.approx(len(e2e) * e2e.mean() / found.makespan_s, rel=1e-9)
    each = int(replica.layout.devices) + others.devices
    assert figures["devices"] == 2 * each
    power = figures["power_w"] * figures["devices"]
    assert figures["energy_j"] == pytest.approx(power * found.makespan_s, rel=1e-12)
    economics = configuration.records.economics._replace(utilization=1.0)
    prices = [
        (configuration.records.device, replica.layout.devices),
        (configuration.beside.records.device, others.devices),
    ]
    hourly = 2 * sum(device.price_per_hour * count for device, count in prices)
    hourly *= economics.price_multiplier
    assert figures["cost_usd"] == pytest.approx(hourly / 3600 * found.makespan_s, rel=1e-12)
    assert figures["cost_per_month_usd"] == pytest.approx(hourly / 3600 * MONTH, rel=1e-12)


HERE = st.sampled_from(["h100-sxm", "h20", "mi300x", "b200"])
THERE = st.sampled_from(["l40s", "h100-sxm", "rtx-4090", "m1-max", "groq-lpu", "h20"])
ENGINE = st.sampled_from(["vllm", "sglang", "default", "ideal"])
PAIRS = st.one_of(
    st.fixed_dictionaries(
        {
            "model": st.sampled_from(["qwen3-32b", "gpt-oss-20b", "llama-3.1-8b"]),
            "device": HERE,
            "engine": ENGINE,
            "tp": st.sampled_from([1, 2, 4]),
            "draft_model": st.sampled_from(["llama-3.2-1b", "gemma-3-1b"]),
            "draft_device": THERE,
            "draft_len": st.integers(1, 6),
            "acceptance": st.floats(0.1, 1.0),
            "draft_link": st.sampled_from([None, "1 MB/s", "1 TB/s"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "model": st.sampled_from(["gpt-oss-20b", "qwen3-30b-a3b"]),
            "device": HERE,
            "engine": ENGINE,
            "dp": st.sampled_from([1, 2]),
            "weight_format": st.just("fp8"),
            "expert_device": THERE,
            "expert_parts": st.integers(1, 5),
            "expert_link": st.sampled_from([None, "100 MB/s", "1 TB/s"]),
        }
    ),
)


@given(PAIRS, st.integers(0, 10**6), st.floats(0.05, 200.0), st.integers(1, 3))
def test_laws_of_any_pair(options, seed, rate, replicas):
    """Little's law; boards draw between idle and limit; all are paid; a quiet server is no slower.

    What runs on two devices takes at least as long as the same with links that take no time.
    """
    try:
        configuration = Configuration(**options, scheduler="continuous")
        replica, others = prepared(configuration)
    except InputError:
        assume(False)
    requests = random_requests(seed, count=30, rate=rate)
    found = simulate_requests(configuration, requests, Rules(replicas=replicas))
    figures = summary(found)

    assert figures["completed"] == 30
    e2e = latencies(found)["e2e"]
    in_system = found.batch_mean + found.queue_mean
    assert in_system == pytest.approx(e2e.sum() / found.makespan_s, rel=1e-9)
    there = configuration.beside.records.device
    counts = (replicas * replica.layout.devices, replicas * others.devices)
    idle_w = counts[0] * replica.watts.idle + counts[1] * there.idle_power
    most_w = counts[0] * replica.watts.limit + counts[1] * there.rated_power
    mean_w = found.energy_j / found.makespan_s
    assert idle_w * (1.0 - 1e-9) <= mean_w <= most_w * (1.0 + 1e-9)
    assert figures["power_w"] * figures["devices"] == pytest.approx(mean_w, rel=1e-12)
    assert figures["devices"] == sum(counts)
    rent = found.cost_usd / found.makespan_s
    own = price_of_time(replica.device, counts[0], replica.economics)
    assert rent == pytest.approx(own + price_of_time(there, counts[1], replica.economics))
    link = "draft_link" if "draft_model" in options else "expert_link"
    apart = requests._replace(arrival_s=np.arange(30) * 1e6)
    free = configuration.changed(**{link: 1e15})
    alone, near = (
        latencies(simulate_requests(one, apart, Rules()))["e2e"] for one in (configuration, free)
    )
    assert (alone >= near * (1.0 - 1e-12)).all()


@pytest.mark.parametrize("options", BOTH.values(), ids=BOTH)
def test_idle_time_of_all_devices_is_paid(options):
    configuration = Configuration(**options)
    replica, others = prepared(configuration)
    requests = random_requests(26, rate=5.0)
    often, seldom = (
        simulate_requests(configuration, one, Rules())
        for one in (requests, requests._replace(arrival_s=requests.arrival_s * 1000.0))
    )

    idle_w = replica.watts.idle * replica.layout.devices
    idle_w += configuration.beside.records.device.idle_power * others.devices
    idle_s = seldom.makespan_s - float(seldom.busy_s.sum())
    assert idle_s > 0.9 * seldom.makespan_s
    busy_w = (seldom.energy_j - idle_w * idle_s) / float(seldom.busy_s.sum())
    boards = replica.watts.limit * replica.layout.devices
    boards += configuration.beside.records.device.board_power * others.devices
    assert idle_w < busy_w < boards
    per_second = often.cost_usd / often.makespan_s
    assert seldom.cost_usd == pytest.approx(per_second * seldom.makespan_s)


@pytest.mark.parametrize("options", BOTH.values(), ids=BOTH)
@pytest.mark.parametrize(
    ("clients", "input_len", "output_len"), [(8, 900, 300), (64, 300, 64), (256, 500, 200)]
)
def test_closed_loops_are_those_of_the_steady_state(options, clients, input_len, output_len):
    """As without other devices: at most 1.5 % in time was measured, and in energy 0.8 % with
    experts apart and 7.2 % with drafts, whose steady state knows nothing of their ends' bursts
    (8.2 % if the same model drafts on its own devices).
    """
    one = Configuration(**options, scheduler="continuous").changed(
        batch=clients, input_len=input_len, output_len=output_len
    )
    steady = one.evaluate()
    e2e_s = steady.e2e_latency_s - one.records.engine.host_per_prefill  # left out there
    traffic = Traffic(
        clients=clients, requests=12 * clients, input_len=input_len, output_len=output_len
    )
    found = summary(simulate_requests(one, traffic.made(), Rules(prefix_cache=False)))

    assert found["e2e_mean_s"] == pytest.approx(e2e_s, rel=0.02)
    assert found["requests_per_s"] == pytest.approx(clients / e2e_s, rel=0.03)
    near = 0.02 if "expert_device" in options else 0.08
    assert found["energy_per_request_j"] == pytest.approx(steady.energy_per_request_j, rel=near)


def test_experts_elsewhere_leave_room_for_the_cache():
    whole, apart = (
        summary(simulate_requests(Configuration(**one), random_requests(27, rate=2.0), Rules()))
        for one in (
            {**{k: v for k, v in APART.items() if k[:6] != "expert"}, "device": "h200-sxm"},
            {**APART, "device": "h200-sxm"},
        )
    )
    assert apart["kv_tokens"] > 1.5 * whole["kv_tokens"]


def test_the_cache_of_a_server_is_the_smaller_of_model_and_draft():
    requests = random_requests(28, rate=2.0)
    large, small = (
        Configuration(**{**DRAFTED, "draft_model": model, "draft_device": device})
        for model, device in (("llama-3.2-1b", "h200-sxm"), ("llama-3.1-8b", "rtx-4090"))
    )
    rooms = []
    for one in (large, small):
        replica, others = prepared(one)
        rooms.append(room_of(replica, requests, Rules(), others))
        own = room_of(replica, requests, Rules())
        drafts = room_of(others.draft, requests, Rules(block_tokens=own.block_tokens))
        assert rooms[-1].tokens == min(own.tokens, drafts.tokens)
        given = room_of(replica, requests, Rules(kv_tokens=5000), others)
        assert given == room_of(replica, requests, Rules(kv_tokens=5000))
    assert rooms[0].tokens > 3 * rooms[1].tokens
    found = simulate_requests(small, requests, Rules())
    assert found.kv_tokens == rooms[1].tokens


def test_requests_longer_than_the_drafts_context_never_fit():
    requests = random_requests(29)
    lengths = requests.input_len.copy()
    lengths[5] = 40_000
    assert Configuration(**WINDOWS).beside.records.model.max_context < 40_000

    found = simulate_requests(
        Configuration(**WINDOWS), requests._replace(input_len=lengths), Rules()
    )

    assert found.requests["replica"][5] == -1
    assert (found.requests["replica"][:5] == 0).all()


def test_loads_from_lower_tiers_are_those_of_both_caches():
    """A slow tier of the draft holds up the model, and all boards wait meanwhile."""
    requests = random_requests(30, kind="session", count=150)
    rules = Rules(budget=256, kv_tokens=6000, kv_tiers="dram:2GB@0.2GB/s")
    found = simulate_requests(Configuration(**DRAFTED), requests, rules)

    assert found.stalled_s > 0.0
    assert found.lower_hit_tokens[0] > 0


def test_what_cannot_run_names_its_remedy():
    requests = random_requests(31)
    few = Configuration(**{**APART, "expert_devices": 4})
    with pytest.raises(InputError, match=r"experts do not fit .* use expert_devices=10 or more"):
        simulate_requests(few, requests, Rules())
    large = {**DRAFTED, "draft_model": "llama-3.1-70b", "draft_devices": 1}
    with pytest.raises(InputError, match="draft"):
        simulate_requests(Configuration(**large), requests, Rules())
    replica = replica_of(Configuration(**DENSE, tp=4))
    assert others_beside(replica.model, replica, None, None) is NO_OTHERS
