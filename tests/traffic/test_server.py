"""The simulation against a second one, against theory, and against itself."""

import dataclasses

import numpy as np
import pytest

from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError
from perfcore.physics.attention import kv_bytes_per_token
from perfcore.physics.prefill import prompts_of
from perfcore.physics.stages.mixed import load_at, mixed_at, no_prompts, with_prompt
from perfcore.physics.stages.passes import Context
from perfcore.traffic import server
from perfcore.traffic.requests import Requests
from perfcore.traffic.results import gap_edges, latencies, summary
from perfcore.traffic.server import (
    Rules,
    limits_of,
    replica_of,
    room_of,
    simulate_pools,
    simulate_requests,
)
from perfcore.traffic.steps.loop import run, run_pools
from perfcore.traffic.synthetic import Traffic
from perfcore.units import parse
from traffic import naive_server

PLAIN = {"model": "llama-3.1-8b", "device": "h100-sxm", "engine": "vllm"}
LAYOUTS = [
    PLAIN,
    {**PLAIN, "tp": 2, "pp": 2},
    {**PLAIN, "dp": 2, "pp": 2},
    {**PLAIN, "draft_len": 2, "acceptance": 0.7},
    {**PLAIN, "model": "deepseek-v3", "device": "h200-sxm", "weight_format": "fp8", "tp": 4}
    | {"dp": 4, "ep": 16},
    {**PLAIN, "model": "gpt-oss-20b"},
    {**PLAIN, "engine": "vllm-0.14"},
]


def random_requests(seed, count=60, rate=60.0, kind="free"):
    """Requests that are free, of clients in a closed loop, with shared prefixes, or in sessions."""
    draws = np.random.default_rng(seed)
    arrival = np.cumsum(draws.exponential(1.0 / rate, count))
    input_len = draws.integers(20, 900, count)
    output_len = draws.integers(1, 120, count)
    session = np.full(count, -1)
    after = np.full(count, -1)
    following = np.full(count, -1)
    hashes = [[] for _ in range(count)]
    if kind == "loop":
        clients = 7
        after[clients:] = np.arange(count - clients)
        arrival[clients:] = draws.exponential(0.1, count - clients)
    if kind == "prefix":
        for one in range(count):
            shared = draws.integers(0, 4)
            hashes[one] = [1000 * shared + block for block in range(input_len[one] // 32)]
            hashes[one][12:] = [10**6 * (one + 1) + b for b in range(len(hashes[one][12:]))]
    if kind == "session":
        turns = 5
        for one in range(count):
            session[one] = one // turns
            if one % turns:
                after[one] = one - 1
                following[one - 1] = one
                arrival[one] = draws.exponential(0.5)
                input_len[one] += input_len[one - 1] + output_len[one - 1]
            hashes[one] = [1000 * session[one] + block for block in range(input_len[one] // 32)]
    return Requests(
        arrival_s=arrival,
        input_len=input_len,
        output_len=output_len,
        session=session,
        after=after,
        next=following,
        priority=draws.integers(0, 3, count),
        block_tokens=32,
        first_block=np.cumsum([0, *map(len, hashes)]),
        block_hash=np.array([one for several in hashes for one in several], np.int64),
    )


def step_time(replica):
    """Return the time of a step as a function of contexts, parts of prompts and prompts' ends."""
    window = max(replica.model.window, 1.0)

    def seconds(contexts, parts, finished):
        work = no_prompts()
        for new, done in parts:
            work = with_prompt(work, prompts_of(replica.model, 1.0, float(new), float(done)))
        load = load_at(
            replica, float(len(contexts)), float(len(parts)), work.tokens, float(finished)
        )
        mean = float(np.mean(contexts)) if contexts else 0.0
        near = float(np.mean([min(one, window) for one in contexts])) if contexts else 0.0
        if replica.model.window_kv_elements == 0.0:
            near = 0.0
        return mixed_at(replica, load, Context(mean, mean, near), work).seconds

    return seconds


def naive_jobs(requests, hashed=True):
    """The requests of the second simulation, and those that arrive without waiting for others."""
    jobs = []
    for one in range(len(requests.arrival_s)):
        places = slice(requests.first_block[one], requests.first_block[one + 1])
        jobs.append(
            naive_server.Job(
                number=one,
                prompt=int(requests.input_len[one]),
                output=int(requests.output_len[one]),
                hashes=requests.block_hash[places].tolist() if hashed else [],
                priority=int(requests.priority[one]),
            )
        )
    arrivals = []
    for job, time, after, following in zip(
        jobs, requests.arrival_s, requests.after, requests.next, strict=True
    ):
        job.turn = jobs[following] if following >= 0 else None
        if after >= 0:
            jobs[after].waiters.append((job, float(time)))
        else:
            arrivals.append((job.number, float(time)))
    return jobs, arrivals


def naive_rules(replica, limits, rules, **more):
    """Rules of the second simulation."""
    return naive_server.Rules(
        budget=limits.budget,
        passes=limits.passes,
        max_sequences=limits.max_sequences,
        block_tokens=limits.block_tokens,
        blocks=limits.blocks,
        hashed_tokens=limits.hashed_tokens,
        chunked=bool(limits.chunked),
        reserved=bool(limits.reserved),
        by_priority=bool(limits.by_priority),
        watermark=limits.watermark,
        routing=rules.routing,
        written=replica.step_tokens,
        drafted=int(replica.drafted),
        keeps=bool(limits.keeps),
        ahead=bool(limits.ahead),
        **lower_tiers(replica, limits, rules.kv_tiers),
        **more,
    )


def naive(configuration, requests, rules):
    """Run the second simulation of the same requests."""
    replica = replica_of(configuration)
    limits = limits_of(replica, requests, rules, room_of(replica, requests, rules))
    jobs, arrivals = naive_jobs(requests, hashed=limits.hashes > 0)
    servers = naive_server.simulate(
        jobs,
        arrivals,
        naive_rules(replica, limits, rules),
        rules.replicas,
        step_time(replica),
    )
    return jobs, servers


def naive_pools(prefill, decode, requests, prefill_rules, decode_rules):
    """Run the second simulation of the same requests on two pools."""
    alone = requests._replace(
        block_tokens=1,
        first_block=np.zeros(len(requests.arrival_s) + 1, np.int64),
        block_hash=np.zeros(0, np.int64),
    )
    rules, replicas = [], [replica_of(prefill), replica_of(decode)]
    for replica, given, offered in zip(
        replicas, (prefill_rules, decode_rules), (requests, alone), strict=True
    ):
        limits = limits_of(replica, offered, given, room_of(replica, offered, given))
        receives = offered is alone
        rules.append(naive_rules(replica, limits, given, receives=receives))
    per_byte = max(one.kv_hand_over_per_byte for one in replicas)

    def sent(prompt, took):
        """All layers but the last are sent during the prefill, or wait for the link."""
        model = replicas[0].model
        layer = kv_bytes_per_token(model, replicas[0].kv_format) * prompt * per_byte
        return layer + max(layer * model.layers - took, 0.0) * (1.0 - 1.0 / model.layers)

    jobs, arrivals = naive_jobs(requests, hashed=prefill_rules.prefix_cache)
    answers = naive_server.simulate_pools(
        jobs,
        arrivals,
        rules,
        (prefill_rules.replicas, decode_rules.replicas),
        [step_time(replica) for replica in replicas],
        sent,
    )
    return jobs, answers


def lower_tiers(replica, limits, text):
    """Sizes and speeds of lower tiers, of a replica of one device."""
    found = {"lower": [], "load_s": []}
    size = kv_bytes_per_token(replica.model, replica.kv_format) * limits.hashed_tokens
    for tier in text.split(",") if text != "none" else []:
        held, speed = (parse(word, "bytes") for word in tier.split(":")[1][:-2].split("@"))
        found["lower"].append(int(held // size))
        found["load_s"].append(size / speed)
    return found


def column(jobs, name):
    return [getattr(job, name) if getattr(job, name) is not None else np.nan for job in jobs]


RULES = {
    "plain": {},
    "few": {"max_sequences": 4},
    "tight": {"kv_tokens": 4000},
    "tight-watermark": {"kv_tokens": 4000, "watermark": 0.1},
    "reserved": {"kv_tokens": 6000, "admission": "reserved"},
    "whole": {"chunked": False, "budget": 600},
    "whole-tight": {"chunked": False, "budget": 600, "kv_tokens": 4000},
    "priority": {"max_sequences": 4, "order": "priority", "kv_tokens": 4000},
    "no-cache": {"prefix_cache": False, "kv_tokens": 9000},
    "round-robin": {"replicas": 3},
    "least-loaded": {"replicas": 3, "routing": "least-loaded", "kv_tokens": 5000},
    "prefix-aware": {"replicas": 3, "routing": "prefix-aware", "kv_tokens": 9000},
    "dram": {"kv_tokens": 4000, "kv_tiers": "dram:0.5GB@1GB/s"},
    "tiers": {"kv_tokens": 4000, "kv_tiers": "dram:100MB@2GB/s,nvme:1GB@0.1GB/s"}
    | {"replicas": 2, "routing": "prefix-aware"},
}


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@pytest.mark.parametrize("kind", ["free", "loop", "prefix", "session"])
def test_a_second_simulation_agrees_request_by_request(kind, rules):
    configuration = Configuration(**PLAIN)
    requests = random_requests(1, kind=kind)
    given = Rules(**{"budget": 256, "block_tokens": 16, "at_once": False, **rules})

    found = simulate_requests(configuration, requests, given).requests
    jobs, _ = naive(configuration, requests, given)

    np.testing.assert_array_equal(found["preemptions"], column(jobs, "preemptions"))
    np.testing.assert_array_equal(found["cached_tokens"], column(jobs, "cached"))
    for name in ("arrival", "first_token", "finished"):
        np.testing.assert_allclose(found[f"{name}_s"], column(jobs, name), rtol=1e-9)
    served = [job.server if job.server is not None else -1 for job in jobs]
    np.testing.assert_array_equal(found["replica"], served)


def test_the_cases_above_preempt_share_and_reject():
    """Otherwise they would show nothing."""
    configuration = Configuration(**PLAIN)
    tight = simulate_requests(
        configuration, random_requests(1, kind="prefix"), Rules(budget=256, kv_tokens=4000)
    )
    cached = simulate_requests(
        configuration, random_requests(1, kind="session"), Rules(budget=256, kv_tokens=50000)
    )

    assert tight.requests["preemptions"].sum() > 0
    assert tight.hit_tokens > 0
    assert cached.hit_tokens > 0.3 * cached.prompt_tokens
    small = simulate_requests(
        configuration, random_requests(1, kind="session"), Rules(budget=256, kv_tokens=2000)
    )
    assert (small.requests["replica"] < 0).sum() > 0
    assert np.isnan(small.requests["finished_s"]).sum() == (small.requests["replica"] < 0).sum()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_agree_with_a_second_simulation(layout):
    configuration = Configuration(**layout)
    requests = random_requests(2, count=40)
    given = Rules(budget=256, kv_tokens=5000, at_once=False)

    found = simulate_requests(configuration, requests, given).requests
    jobs, _ = naive(configuration, requests, given)

    np.testing.assert_allclose(found["finished_s"], column(jobs, "finished"), rtol=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["free", "session"])
def test_equal_steps_at_once_are_like_one_by_one(layout, kind):
    configuration = Configuration(**layout)
    requests = random_requests(3, kind=kind, count=200)

    rules = {"budget": 512, "kv_tokens": 20000}
    once = simulate_requests(configuration, requests, Rules(**rules))
    each = simulate_requests(configuration, requests, Rules(**rules, at_once=False))

    assert once.steps == each.steps
    for name in ("first_token_s", "finished_s"):
        np.testing.assert_allclose(once.requests[name], each.requests[name], rtol=1e-4)
    assert once.energy_j == pytest.approx(each.energy_j, rel=1e-4)
    assert once.bytes_moved == pytest.approx(each.bytes_moved, rel=1e-4)


@pytest.mark.parametrize("kind", ["free", "session", "prefix"])
@pytest.mark.parametrize("tiers", ["none", "dram:100MB@2GB/s,nvme:1GB@0.1GB/s"])
def test_interpreted_and_compiled_are_equal(kind, tiers, monkeypatch):
    configuration = Configuration(**PLAIN)
    requests = random_requests(4, kind=kind)
    rules = Rules(budget=256, kv_tokens=5000, replicas=2, routing="prefix-aware", kv_tiers=tiers)
    compiled = simulate_requests(configuration, requests, rules)

    monkeypatch.setattr(server, "serve", run)
    interpreted = simulate_requests(configuration, requests, rules)

    for name, values in compiled.requests.items():
        np.testing.assert_array_equal(values, interpreted.requests[name])
    np.testing.assert_array_equal(compiled.gaps, interpreted.gaps)
    assert compiled.energy_j == interpreted.energy_j
    for name, values in compiled.timeline.items():
        np.testing.assert_array_equal(values, interpreted.timeline[name])


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@pytest.mark.parametrize("kind", ["free", "prefix"])
def test_littles_law_and_conservation(kind, rules):
    """Requests in the system, counted over time, are rate times latency; time is busy or idle."""
    requests = random_requests(5, kind=kind, count=400)
    found = simulate_requests(Configuration(**PLAIN), requests, Rules(**{"budget": 256} | rules))

    table = found.requests
    assert not np.isnan(table["finished_s"]).any()
    assert (table["queued_s"] >= 0.0).all()
    assert (table["first_token_s"] >= table["arrival_s"] + table["queued_s"]).all()
    assert (table["finished_s"] >= table["first_token_s"]).all()
    e2e = latencies(found)["e2e"]
    assert found.batch_mean + found.queue_mean == pytest.approx(
        len(e2e) * e2e.mean() / found.makespan_s, rel=1e-9
    )
    assert (found.busy_s <= found.makespan_s * (1.0 + 1e-12)).all()
    assert found.kv_use_max <= 1.0
    # every token but the first of a request is one gap
    assert found.gaps.sum() == pytest.approx((requests.output_len - 1).sum())
    gap = summary(found)["itl_mean_s"]
    written = (table["finished_s"] - table["first_token_s"]).sum()
    assert gap == pytest.approx(written / (requests.output_len - 1).sum(), rel=0.005)
    seconds = np.diff([*found.timeline["time_s"], found.makespan_s + requests.arrival_s[0]])
    assert (found.timeline["batch"] * seconds).sum() == pytest.approx(
        found.batch_mean * found.makespan_s
    )


TIERS = ("dram:1GB@1GB/s", "dram:100MB@2GB/s,nvme:1GB@0.1GB/s", "nvme:1GB@5GB/s")


@pytest.mark.parametrize("kind", ["prefix", "session"])
@pytest.mark.parametrize("tiers", TIERS)
def test_lower_tiers_serve_what_was_evicted_and_conserve_tokens(kind, tiers):
    """Hits are divided among tiers, loads take time and energy, and every token is written."""
    requests = random_requests(1, kind=kind)
    rules = {"budget": 256, "kv_tokens": 4000}
    without = simulate_requests(Configuration(**PLAIN), requests, Rules(**rules))
    found = simulate_requests(Configuration(**PLAIN), requests, Rules(**rules, kv_tiers=tiers))
    _, servers = naive(
        Configuration(**PLAIN), requests, Rules(**rules, kv_tiers=tiers, at_once=False)
    )

    figures = summary(found)
    assert found.hit_tokens > without.hit_tokens
    assert found.lower_hit_tokens.sum() == servers[0].below > 0
    parts = sum(figures[f"prefix_hit_rate_{tier}"] for tier in ("hbm", "dram", "nvme"))
    assert parts == pytest.approx(figures["prefix_hit_rate"])
    assert found.prompt_tokens == without.prompt_tokens
    assert found.gaps.sum() == without.gaps.sum()
    assert figures["output_tokens_per_s"] * found.makespan_s == pytest.approx(
        summary(without)["output_tokens_per_s"] * without.makespan_s
    )


def test_a_tier_of_no_size_changes_nothing():
    requests = random_requests(1, kind="session")
    rules = {"budget": 256, "kv_tokens": 4000}
    without = simulate_requests(Configuration(**PLAIN), requests, Rules(**rules))
    for tiers in ("dram:0GB@1GB/s", "dram:1KB@1GB/s,nvme:0GB@1GB/s"):
        found = simulate_requests(Configuration(**PLAIN), requests, Rules(**rules, kv_tiers=tiers))
        assert summary(found) == summary(without)


@pytest.mark.parametrize(("kind", "kv_tokens"), [("prefix", 1500), ("session", 6000)])
def test_more_room_in_a_tier_never_lowers_the_hit_rate(kind, kv_tokens):
    """LRU keeps what a smaller cache keeps, if requests come in the same order."""
    requests = random_requests(3, kind=kind, count=200)
    configuration = Configuration(**PLAIN)

    def hits(tiers):
        rules = Rules(max_sequences=1, kv_tokens=kv_tokens, block_tokens=32, kv_tiers=tiers)
        return simulate_requests(configuration, requests, rules).hit_tokens

    found = [hits("none"), *(hits(f"dram:{size}MB@5GB/s") for size in (50, 200, 800, 3200))]
    below = [hits(f"dram:50MB@5GB/s,nvme:{size}MB@5GB/s") for size in (50, 200, 800, 3200)]

    assert found == sorted(found)
    assert found[-1] > found[0]
    assert [found[1], *below] == sorted([found[1], *below])
    assert below[-1] >= found[-1]


def test_a_slow_tier_takes_longer_and_loads_are_counted():
    requests = random_requests(1, kind="prefix")
    configuration = Configuration(**PLAIN)
    fast, slow = (
        simulate_requests(
            configuration, requests, Rules(budget=256, kv_tokens=4000, kv_tiers=f"dram:1GB@{speed}")
        )
        for speed in ("1TB/s", "1GB/s")
    )

    assert fast.stalled_s == 0.0
    assert slow.stalled_s > 0.0
    assert slow.makespan_s > fast.makespan_s
    assert slow.energy_j > fast.energy_j


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flash:1GB@1GB/s", "flash"),
        ("dram:1GB,dram:2GB", "given twice"),
        ("nvme:1TB", "no bandwidth"),
        ("dram", "is not a tier"),
        ("dram:1GB@", "is not a tier"),
        ("dram:-1GB@1GB/s", "dram|GB"),
        ("dram:1GB@fast", "fast"),
    ],
)
def test_tiers_that_are_not_understood_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        Rules(kv_tiers=text)


def test_tiers_without_a_prefix_cache_are_refused():
    with pytest.raises(InputError, match="without a prefix cache"):
        Rules(kv_tiers="dram:1GB", prefix_cache=False)


def one_by_one(count, rate, seed, lengths, input_len=512):
    """Requests for a server that runs one at a time."""
    draws = np.random.default_rng(seed)
    none = np.full(count, -1)
    return Requests(
        arrival_s=np.cumsum(draws.exponential(1.0 / rate, count)),
        input_len=np.full(count, input_len),
        output_len=lengths,
        session=none,
        after=none,
        next=none,
        priority=np.zeros(count, np.int64),
        block_tokens=16,
        first_block=np.zeros(count + 1, np.int64),
        block_hash=np.zeros(0, np.int64),
    )


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
@pytest.mark.parametrize(("clients", "input_len", "output_len"), [(8, 900, 300), (64, 300, 64)])
def test_closed_loops_are_those_of_the_steady_state(engine, clients, input_len, output_len):
    """Equal lengths: clients run in step, which moves time from TPOT to TTFT, not their sum."""
    one = Configuration(**{**PLAIN, "engine": engine}, scheduler="continuous").changed(
        batch=clients, input_len=input_len, output_len=output_len
    )
    steady = one.evaluate()
    e2e_s = steady.e2e_latency_s - one.records.engine.host_per_prefill  # left out there
    traffic = Traffic(
        clients=clients, requests=12 * clients, input_len=input_len, output_len=output_len
    )
    found = summary(simulate_requests(one, traffic.made(), Rules(prefix_cache=False)))

    assert found["e2e_mean_s"] == pytest.approx(e2e_s, rel=0.03)
    assert found["requests_per_s"] == pytest.approx(clients / e2e_s, rel=0.03)
    assert found["tpot_mean_s"] <= steady.tpot_s * 1.03
    assert found["ttft_mean_s"] > steady.ttft_s - one.records.engine.host_per_prefill


@pytest.mark.parametrize("degrees", [{"pp": 1}, {"pp": 2}, {"pp": 4}, {"tp": 1, "dp": 2, "pp": 2}])
def test_a_request_alone_is_that_of_the_steady_state_in_every_layout(degrees):
    """A prompt passes through all stages of a pipeline, whoever else could run beside it."""
    one = Configuration(
        "llama-3.1-70b",
        "h200-sxm",
        **{"engine": "vllm", "weight_format": "fp8", "tp": 2} | degrees,
        scheduler="continuous",
        input_len=1500,
        output_len=64,
    )
    steady = one.evaluate()
    found = simulate_requests(one, one_by_one(3, 0.01, 1, np.full(3, 64), 1500), Rules())

    first_s = found.requests["first_token_s"] - found.requests["arrival_s"]
    expected_s = steady.ttft_s - one.records.engine.host_per_prefill
    assert first_s == pytest.approx(expected_s, rel=0.01)
    whole_s = found.requests["finished_s"] - found.requests["arrival_s"]
    assert whole_s - first_s == pytest.approx(63 * steady.tpot_s, rel=0.01)


@pytest.mark.parametrize("degrees", [{"dp": 2}, {"pp": 2}])
def test_prompts_take_the_room_of_one_pass_and_short_ones_overtake(degrees):
    """Two passes of 100 tokens: the long prompt takes five steps, the short one the first."""
    configuration = Configuration(**PLAIN, **degrees)
    lengths = np.array([490, 80])
    requests = one_by_one(2, 1e9, 1, np.full(2, 3))._replace(
        arrival_s=np.zeros(2), input_len=lengths
    )
    found = simulate_requests(configuration, requests, Rules(budget=100, at_once=False))

    first_s = found.requests["first_token_s"]
    assert first_s[1] < 0.35 * first_s[0]
    # five steps with a part of the long prompt, and two that write its second and third token
    assert found.steps == 5 + 2


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_waits_are_those_of_an_m_d_1_queue(load):
    """S rho / (2 (1 - rho)), Pollaczek-Khinchine."""
    configuration = Configuration(**PLAIN)
    rules = Rules(max_sequences=1)
    alone = one_by_one(1, 1.0, 0, np.full(1, 64))
    service = simulate_requests(configuration, alone, rules).makespan_s
    count = 400_000

    found = simulate_requests(
        configuration, one_by_one(count, load / service, 7, np.full(count, 64)), rules
    )

    wait = found.requests["queued_s"].mean()
    assert wait == pytest.approx(0.5 * service * load / (1.0 - load), rel=0.02)


def test_waits_are_those_of_an_m_g_1_queue():
    """lambda E[S^2] / (2 (1 - rho)) for service times that vary like those of an M/M/1 queue."""
    configuration = Configuration(**PLAIN)
    count = 400_000
    lengths = np.random.default_rng(8).geometric(1.0 / 200.0, count)

    found = simulate_requests(
        configuration, one_by_one(count, 0.5, 9, lengths), Rules(max_sequences=1)
    )

    table = found.requests
    service = table["finished_s"] - table["arrival_s"] - table["queued_s"]
    rate = count / found.makespan_s
    wait = rate * (service**2).mean() / (2.0 * (1.0 - rate * service.mean()))
    assert table["queued_s"].mean() == pytest.approx(wait, rel=0.02)


def test_an_overloaded_server_says_so():
    requests = random_requests(6, count=2000, rate=400.0)
    configuration = Configuration(**PLAIN)

    over = simulate_requests(configuration, requests, Rules(max_sequences=8))
    fine = simulate_requests(configuration, random_requests(6, count=2000), Rules())

    assert over.status == "overloaded"
    assert over.queue_growth_per_s > 100.0
    assert fine.status == "ok"


def test_more_servers_never_wait_longer():
    requests = random_requests(7, count=500, rate=60.0)
    waits = [
        summary(
            simulate_requests(
                Configuration(**PLAIN),
                requests,
                Rules(max_sequences=8, replicas=replicas, routing="least-loaded"),
            )
        )["ttft_p99_s"]
        for replicas in (1, 2, 4, 8)
    ]

    assert waits == sorted(waits, reverse=True)


def test_more_kv_cache_never_preempts_more_and_a_larger_budget_never_serves_less():
    configuration = Configuration(**PLAIN)
    requests = random_requests(15, count=400, rate=200.0)

    rooms = [Rules(kv_tokens=tokens, budget=256) for tokens in (2000, 4000, 8000, 16000, 64000)]
    preempted = [
        summary(simulate_requests(configuration, requests, r))["preemptions"] for r in rooms
    ]
    steps = [Rules(budget=budget) for budget in (128, 256, 512, 1024, 4096)]
    makespans = [simulate_requests(configuration, requests, r).makespan_s for r in steps]

    assert preempted == sorted(preempted, reverse=True)
    assert preempted[0] > preempted[-1] == 0
    assert makespans == sorted(makespans, reverse=True)


def test_preempted_requests_find_again_what_nobody_has_taken():
    """All that they had was prefilled again, which the servers here would take 2 % longer for."""
    requests = random_requests(3, count=80, rate=200.0)
    configuration = Configuration(**PLAIN)
    kept, lost = (
        simulate_requests(configuration, requests, Rules(kv_tokens=6000, prefix_cache=cache))
        for cache in (True, False)
    )

    assert kept.requests["preemptions"].sum() > 10
    assert kept.makespan_s < lost.makespan_s


def test_bursts_make_the_longest_waits_several_times_longer():
    """Gamma arrivals with a coefficient of variation of 3, at equal load: published 4 to 5."""
    configuration = Configuration(**PLAIN)

    def p99(cv, rate):
        traffic = Traffic(rate=rate, cv=cv, requests=20_000, input_len=512, output_len=128)
        found = simulate_requests(configuration, traffic.made(), Rules())
        return summary(found)["ttft_p99_s"]

    for rate in (10.0, 20.0, 30.0):
        assert 4.0 < p99(3.0, rate) / p99(1.0, rate) < 7.0


def test_idle_time_is_paid():
    configuration = Configuration(**PLAIN)
    requests = random_requests(8)
    slow = requests._replace(arrival_s=requests.arrival_s * 100.0)

    often = simulate_requests(configuration, requests, Rules())
    seldom = simulate_requests(configuration, slow, Rules())

    idle = configuration.records.device.idle_power
    assert seldom.energy_j > idle * (seldom.makespan_s - float(seldom.busy_s.sum()))
    assert seldom.cost_usd == pytest.approx(often.cost_usd * seldom.makespan_s / often.makespan_s)


def test_later_clocks_change_nothing():
    configuration = Configuration(**PLAIN)
    requests = random_requests(9)
    later = requests._replace(arrival_s=requests.arrival_s + 4096.0)

    first = simulate_requests(configuration, requests, Rules())
    second = simulate_requests(configuration, later, Rules())

    np.testing.assert_allclose(latencies(first)["e2e"], latencies(second)["e2e"], rtol=1e-6)


def test_objectives():
    found = simulate_requests(Configuration(**PLAIN), random_requests(10), Rules())
    known = summary(found)

    assert summary(found, {"ttft_p99_s": known["ttft_p99_s"] * 1.01})["slo"] == "met"
    tight = summary(found, {"ttft_p50_s": known["ttft_p50_s"] * 0.99})
    assert tight["slo"] == "missed"
    assert 0.3 < tight["good_share"] < 0.51
    with pytest.raises(InputError, match="ttft_p42_s"):
        summary(found, {"ttft_p42_s": 1.0})


def test_what_cannot_be_simulated():
    requests = random_requests(11)
    with pytest.raises(InputError, match="prefix_hit"):
        simulate_requests(Configuration(**PLAIN, prefix_hit=0.5), requests, Rules())
    with pytest.raises(InputError, match="offload"):
        simulate_requests(Configuration(**PLAIN, offload="kv"), requests, Rules())
    large = Configuration(**{**PLAIN, "model": "llama-3.1-70b", "tp": 1})
    with pytest.raises(InputError, match="weights"):
        simulate_requests(large, requests, Rules())
    with pytest.raises(InputError, match="less than a block"):
        simulate_requests(Configuration(**PLAIN), requests, Rules(kv_tokens=3, block_tokens=16))
    with pytest.raises(InputError, match="routing"):
        Rules(routing="nowhere")


def test_requests_that_never_fit_are_counted():
    requests = random_requests(12)
    lengths = requests.input_len.copy()
    lengths[5] = 10**9

    found = simulate_requests(Configuration(**PLAIN), requests._replace(input_len=lengths), Rules())

    assert summary(found)["rejected"] == 1
    assert found.requests["replica"][5] == -1
    nothing = requests._replace(input_len=np.full(60, 10**9))
    none = simulate_requests(Configuration(**PLAIN), nothing, Rules())
    assert none.status == "rejected"
    assert summary(none, {"ttft_p99_s": 1.0})["slo"] == "missed"
    assert summary(none)["completed"] == 0


def test_pools_split_prompts_and_answers():
    """First tokens are those of prefills alone; answers wait for the transfer and one another."""
    configuration = Configuration(**PLAIN)
    requests = random_requests(13, count=300, rate=20.0)
    ones = requests._replace(output_len=np.ones(300, np.int64))
    two = Rules(replicas=2)

    found = simulate_pools(configuration, configuration, requests, two, Rules(replicas=3))
    alone = simulate_requests(configuration, ones, two).requests
    together = simulate_requests(configuration, requests, Rules(replicas=5)).requests

    table = found.requests
    np.testing.assert_array_equal(table["first_token_s"], alone["first_token_s"])
    assert (table["finished_s"] >= table["first_token_s"]).all()
    assert found.replicas == found.devices == len(found.busy_s) == 5
    assert set(table["replica"][requests.output_len > 1]) == {2, 3, 4}
    assert set(table["replica"][requests.output_len == 1]) <= {0, 1}
    assert found.gaps.sum() == (requests.output_len - 1).sum()
    edges = gap_edges(len(found.gaps))
    gap = np.dot(found.gaps, 0.5 * (edges[:-1] + edges[1:]))
    written = (table["finished_s"] - table["first_token_s"]).sum()
    assert gap == pytest.approx(written, rel=0.005)
    # no prompt of others in between
    longest = latencies(found)["tpot"].max()
    assert longest < (together["finished_s"] - together["first_token_s"]).max()
    assert found.energy_j > 0.0


def test_pools_with_little_room_send_prompts_again():
    configuration = Configuration(**PLAIN)
    requests = random_requests(14, count=100, rate=100.0)

    found = simulate_pools(
        configuration, configuration, requests, Rules(), Rules(kv_tokens=2500, block_tokens=16)
    )

    assert found.requests["preemptions"].sum() > 0
    assert not np.isnan(found.requests["finished_s"]).any()


POOLS = {
    "plain": ({}, {}),
    "two-and-three": ({"replicas": 2}, {"replicas": 3}),
    "least-loaded": (
        {"replicas": 2, "routing": "prefix-aware"},
        {"replicas": 3, "routing": "least-loaded"},
    ),
    "little-room": ({"kv_tokens": 9000}, {"kv_tokens": 2500, "replicas": 2}),
    "few": ({"max_sequences": 1}, {"max_sequences": 3}),
    "reserved": ({}, {"kv_tokens": 4000, "admission": "reserved"}),
    "no-cache": ({"prefix_cache": False}, {"prefix_cache": False, "kv_tokens": 2500}),
    "whole": ({"chunked": False, "budget": 600}, {"kv_tokens": 3000, "watermark": 0.1}),
}


@pytest.mark.parametrize("rules", POOLS.values(), ids=POOLS)
@pytest.mark.parametrize("kind", ["free", "loop", "prefix", "session"])
def test_a_second_simulation_of_pools_agrees_request_by_request(kind, rules):
    prefill = Configuration(**{**PLAIN, "device": "l40s"})
    decode = Configuration(**PLAIN)
    requests = random_requests(16, kind=kind, rate=40.0)
    given = [Rules(**{"budget": 256, "block_tokens": 16, "at_once": False, **r}) for r in rules]

    found = simulate_pools(prefill, decode, requests, *given).requests
    jobs, answers = naive_pools(prefill, decode, requests, *given)

    several = np.array([answer.arrival is not None for answer in answers])
    ends = np.where(several, column(answers, "finished"), column(jobs, "finished"))
    for name, values in (
        ("arrival", column(jobs, "arrival")),
        ("first_token", column(jobs, "first_token")),
        ("finished", ends),
    ):
        np.testing.assert_allclose(found[f"{name}_s"], values, rtol=1e-9)
    preempted = np.array(column(jobs, "preemptions")) + column(answers, "preemptions")
    np.testing.assert_array_equal(found["preemptions"], preempted)
    np.testing.assert_array_equal(found["cached_tokens"], column(jobs, "cached"))
    servers = np.array(column(jobs, "server"), float)
    servers[several] = np.array(column(answers, "server"))[several] + given[0].replicas
    np.testing.assert_array_equal(found["replica"], np.nan_to_num(servers, nan=-1))


@pytest.mark.parametrize("kind", ["loop", "session"])
def test_the_cases_of_pools_preempt_and_share(kind):
    """Otherwise they would show nothing."""
    configuration = Configuration(**PLAIN)
    requests = random_requests(16, kind=kind, rate=40.0)
    found = simulate_pools(
        configuration, configuration, requests, Rules(budget=256), Rules(kv_tokens=2500)
    )

    assert found.requests["preemptions"].sum() > 0
    assert (found.hit_tokens > 0) == (kind == "session")


@pytest.mark.parametrize("kind", ["loop", "session"])
def test_interpreted_and_compiled_pools_are_equal(kind, monkeypatch):
    prefill, decode = Configuration(**{**PLAIN, "device": "l40s"}), Configuration(**PLAIN)
    requests = random_requests(17, kind=kind, rate=40.0)
    rules = Rules(replicas=2), Rules(replicas=2, routing="least-loaded", kv_tokens=4000)
    compiled = simulate_pools(prefill, decode, requests, *rules)

    monkeypatch.setattr(server, "serve_pools", run_pools)
    interpreted = simulate_pools(prefill, decode, requests, *rules)

    for name, values in compiled.requests.items():
        np.testing.assert_array_equal(values, interpreted.requests[name])
    np.testing.assert_array_equal(compiled.gaps, interpreted.gaps)
    assert compiled.energy_j == interpreted.energy_j
    for name, values in compiled.timeline.items():
        np.testing.assert_array_equal(values, interpreted.timeline[name])


@pytest.mark.parametrize("kind", ["loop", "session"])
def test_equal_steps_of_pools_at_once_are_like_one_by_one(kind):
    prefill, decode = Configuration(**{**PLAIN, "device": "l40s"}), Configuration(**PLAIN)
    requests = random_requests(18, kind=kind, count=200, rate=20.0)

    once, each = (
        simulate_pools(
            *(prefill, decode, requests),
            Rules(at_once=at_once),
            Rules(replicas=2, kv_tokens=20000, at_once=at_once),
        )
        for at_once in (True, False)
    )

    assert once.steps == each.steps
    np.testing.assert_allclose(once.requests["finished_s"], each.requests["finished_s"], rtol=1e-4)
    assert once.energy_j == pytest.approx(each.energy_j, rel=1e-4)


def test_free_requests_are_the_same_side_by_side_and_in_turn():
    """Pools that wait for nothing are simulated one after the other."""
    prefill, decode = Configuration(**{**PLAIN, "device": "l40s"}), Configuration(**PLAIN)
    requests = random_requests(19, count=200, rate=40.0)
    rules = Rules(replicas=2, at_once=False), Rules(kv_tokens=4000, at_once=False)

    given = replica_of(prefill), replica_of(decode), requests, *rules
    results = []
    for serving in (server.served_in_turn, server.served_together):
        ahead, behind, prompts = serving(*given)
        order = np.argsort(prompts)
        results.append([ahead.log.finished_s, prompts[order], behind.log.finished_s[order]])

    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["free", "loop", "session"])
@pytest.mark.parametrize("rules", POOLS.values(), ids=POOLS)
def test_littles_law_on_pools(kind, rules):
    """Requests in the system are rate times latency, less the time of transfers."""
    requests = random_requests(20, kind=kind, count=300, rate=40.0)
    prefill, decode = Configuration(**{**PLAIN, "device": "l40s"}), Configuration(**PLAIN)
    given = [Rules(**{"budget": 256, **one}) for one in rules]
    found = simulate_pools(prefill, decode, requests, *given)
    jobs, answers = naive_pools(
        *(prefill, decode, requests), *(dataclasses.replace(one, at_once=False) for one in given)
    )

    table = found.requests
    ended = ~np.isnan(table["finished_s"])
    e2e = (table["finished_s"] - table["arrival_s"])[ended]
    sent = np.nansum(np.array(column(answers, "arrival")) - column(jobs, "finished"))
    rejected = ~ended & ~np.isnan(table["first_token_s"])
    lost = (table["first_token_s"] - table["arrival_s"])[rejected].sum()
    assert found.batch_mean + found.queue_mean == pytest.approx(
        (e2e.sum() + lost - sent) / found.makespan_s, rel=1e-3
    )
    assert found.gaps.sum() == pytest.approx((requests.output_len[ended] - 1).sum())


@pytest.mark.parametrize("think_s", [0.0, 0.5])
def test_clients_of_pools_are_in_flight_or_think(think_s):
    """N = X (R + Z), Little's law of a closed loop, until a client has sent its last request."""
    configuration = Configuration(**PLAIN)
    clients = 24
    traffic = Traffic(
        clients=clients,
        requests=6000,
        input_len="uniform:100..900",
        output_len="uniform:20..200",
        think_time=think_s,
    )
    table = simulate_pools(
        configuration, configuration, traffic.made(), Rules(), Rules(replicas=2)
    ).requests

    until = table["finished_s"][-clients:].min()
    ended = table["finished_s"] <= until
    per_second = ended.sum() / until
    response = (table["finished_s"] - table["arrival_s"])[ended].mean()
    assert per_second * (response + think_s) == pytest.approx(clients, rel=0.01)
