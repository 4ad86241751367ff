"""Steady state against simulation over a random sample of servers with closed loops.

    python benchmarks/steady_state.py [SERVERS] [SEED]

Each has a random model, device, engine, number of clients, and length of prompts and answers. The
throughput, TPOT, TTFT and time end to end of ``scheduler = "continuous"`` are held against those of
the simulation, with equal lengths, so that requests run in step, and with lengths that are spread;
those of ``scheduler = "disaggregated"`` against two pools with Poisson arrivals at its throughput,
of equal machines and of pairs whose prefill pool is a random other device; ``alone`` are pairs with
one prefill server, whose number of decode servers ``prefill_ratio`` states, busy at most 85 %.
``alone shared`` is their TTFT with the queue of a server that prefills several prompts in a step,
in place of the closed form's M/D/1. ``stages`` are the servers of ``spread`` with 2 or 4 pipeline
stages; ``drafts`` and ``experts`` those of ``equal`` with a draft, or the experts, on another
device. Servers whose requests wait are left out. The last line of stdout is a JSON document of the
relative differences: their median and 90th percentile, and the share above 10 %.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from math import exp

import numpy as np

from perfcore.configuration.configuration import Configuration
from perfcore.physics.prefill import prompts_of
from perfcore.physics.serving import queueing
from perfcore.physics.stages.mixed import load_at, mixed_at, no_prompts, with_prompt
from perfcore.physics.stages.passes import Context
from perfcore.physics.stages.replica import OK
from perfcore.traffic.results import summary
from perfcore.traffic.server import Rules, replica_of, simulate_pools, simulate_requests
from perfcore.traffic.synthetic import Traffic

SERVERS = [
    ("llama-3.1-8b", 1),
    ("qwen3-32b", 2),
    ("llama-3.3-70b", 4),
    ("gpt-oss-120b", 2),
    ("qwen3-30b-a3b", 1),
]
DEVICES = ("h100-sxm", "h200-sxm", "b200", "mi300x", "a100-80gb-sxm")
ENGINES = ("vllm", "sglang", "trtllm")
STAGES = (2, 4)
DRAFT = {"draft_model": "llama-3.2-1b", "draft_len": 3, "acceptance": 0.8}
FIGURES = ("requests_per_s", "tpot", "ttft", "e2e")
BUSIEST = 0.85  # of a prefill server that has all prompts
MOST = 30  # decode servers
ROUNDS = 12  # requests of each client
APART = Rules(prefix_cache=False)
SPREADS = {"equal": 0.0, "spread": 0.2}  # of lengths, up and down


def drawn(draws: np.random.Generator) -> Configuration:
    """Return a random server with a random number of clients and random lengths."""
    model, tp = SERVERS[draws.integers(len(SERVERS))]
    clients = int(2 ** draws.uniform(0.0, 8.0))
    input_len, output_len = (int(2 ** draws.uniform(6.0, top)) for top in (13.0, 11.0))
    return Configuration(
        model,
        str(draws.choice(DEVICES)),
        engine=str(draws.choice(ENGINES)),
        tp=tp,
        scheduler="continuous",
        batch=clients,
        input_len=input_len,
        output_len=output_len,
    )


def spread_text(length: int, spread: float) -> str:
    """Return lengths between ``length`` (1 - spread) and ``length`` (1 + spread)."""
    low = max(round(length * (1.0 - spread)), 1)
    return f"uniform:{low}..{2 * length - low}"


def compared(configuration: Configuration, spread: float) -> list[float]:
    """Return closed form over simulation, less 1, of each figure."""
    steady = configuration.evaluate()
    clients = int(configuration.batch)
    traffic = Traffic(
        clients=clients,
        requests=clients * ROUNDS,
        input_len=spread_text(int(configuration.input_len), spread),
        output_len=spread_text(int(configuration.output_len), spread),
    )
    found = summary(simulate_requests(configuration, traffic.made(), APART))
    return differences(configuration, clients / steady.e2e_latency_s, found)


def compared_pools(apart: Configuration) -> list[float]:
    """Return closed form over simulation of two pools, less 1, of each figure."""
    steady = apart.evaluate()
    # as many decode servers as make the number of prefill servers nearly whole
    servers = min(range(1, 9), key=lambda many: -abs(steady.prefill_pool * many % 1.0 - 0.5))
    return simulated(apart, servers)


def compared_alone(pair: Configuration) -> list[float] | None:
    """Return the same of one prefill server; None if it is busier than 85 %, or serves too many.

    The last figure is TTFT with steps that prompts share.
    """
    follows = pair.evaluate()
    prompt_s = follows.prefill_pool / follows.requests_per_s
    prompt_s *= (pair.ahead or pair).records.engine.prefill_pool_load
    servers = max(round(1.0 / follows.prefill_pool), 1)
    alone = pair.changed(prefill_ratio=1.0 / servers)
    steady = alone.evaluate()
    busy = prompt_s * steady.requests_per_s * servers
    if busy > BUSIEST or servers > MOST:
        return None
    found = simulated(alone, servers)
    closed_s = steady.ttft_s - alone.records.engine.host_per_prefill
    own_s = prompt_s + queueing(prompt_s, busy)
    shared_s = in_shared_steps(pair, steady.requests_per_s * servers, prompt_s)
    room = (pair.ahead or pair).records.engine.prefill_chunk / float(pair.input_len)
    together = min(max(room - 1.0, 0.0), 1.0)  # share of a further prompt that fits into a step
    changed_s = together * (shared_s - own_s)
    return [*found, (1.0 + found[2]) * (closed_s + changed_s) / closed_s - 1.0]


def in_shared_steps(pair: Configuration, rate: float, prompt_s: float) -> float:
    """Return the mean time of a prompt on a server whose steps take all prompts that wait. [s]

    A step of k prompts takes a + b k, where b is a third of what three further prompts add to one,
    and a + b is ``prompt_s``. The prompts of a step are those that arrived during the one before,
    or the first that arrives. From their first two moments the time follows by Little's law, if no
    prompt arrives during a step with the probability exp(-rate (a + b)), that of a step with one.
    """
    replica = replica_of((pair.ahead or pair).changed(scheduler="continuous"))

    def step_s(prompts: int) -> float:
        work = no_prompts()
        for _ in range(prompts):
            work = with_prompt(work, prompts_of(replica.model, 1.0, float(pair.input_len), 0.0))
        load = load_at(replica, 0.0, float(prompts), work.tokens, float(prompts))
        return mixed_at(replica, load, Context(0.0, 0.0, 0.0), work).seconds

    each = min((step_s(4) - step_s(1)) / 3.0, prompt_s)
    fixed = prompt_s - each
    none = exp(-rate * prompt_s)
    mean = (rate * fixed + none) / (1.0 - rate * each)
    square = rate * (fixed + each * mean) + none
    square += rate * rate * fixed * (fixed + 2.0 * each * mean)
    square /= 1.0 - rate * rate * each * each
    step_square = fixed * (fixed + 2.0 * each * mean) + each * each * square
    return (0.5 * rate * step_square + fixed * mean + each * square) / mean


def simulated(apart: Configuration, servers: int) -> list[float]:
    """Return closed form over simulation with some decode servers, less 1, of each figure."""
    steady = apart.evaluate()
    prompts_on = apart.ahead or apart
    traffic = Traffic(
        rate=steady.requests_per_s * servers,
        requests=max(1500, int(apart.batch) * servers * ROUNDS),
        input_len=int(apart.input_len),
        output_len=int(apart.output_len),
    )
    prefill = replace(APART, replicas=max(round(steady.prefill_pool * servers), 1))
    decode = replace(APART, replicas=servers)
    found = simulate_pools(prompts_on, apart, traffic.made(), prefill, decode)
    return differences(apart, steady.requests_per_s * servers, summary(found))


def differences(
    configuration: Configuration, requests_per_s: float, found: Mapping[str, float | str]
) -> list[float]:
    """Return the relative differences of the closed form from a simulation.

    ``host_per_prefill``, which the simulation leaves out, counts in neither.
    """
    steady = configuration.evaluate()
    outside_s = configuration.records.engine.host_per_prefill
    e2e_s = steady.e2e_latency_s - outside_s
    closed = [requests_per_s, steady.tpot_s, steady.ttft_s - outside_s, e2e_s]
    if configuration.scheduler == "continuous":
        closed[0] *= steady.e2e_latency_s / e2e_s
    names = ("requests_per_s", "tpot_mean_s", "ttft_mean_s", "e2e_mean_s")
    return [one / float(found[name]) - 1.0 for one, name in zip(closed, names, strict=True)]


def beside(configuration: Configuration, draws: np.random.Generator) -> dict[str, Configuration]:
    """Return a server with a draft, and with experts if it has any, on a random other device."""
    device = str(draws.choice(DEVICES))
    found = {"drafts": configuration.changed(**DRAFT, draft_device=device)}
    if configuration.records.model.experts:
        parts = int(draws.integers(1, 4))
        found["experts"] = configuration.changed(expert_device=device, expert_parts=parts)
    return found


def main(servers: int, seed: int) -> None:
    """Measure and print."""
    draws = np.random.default_rng(seed)
    others = np.random.default_rng(seed)
    kinds = ("pools", "pairs", "alone", "stages", "drafts", "experts")
    found: dict[str, list[list[float]]] = {name: [] for name in (*SPREADS, *kinds)}
    for _ in range(servers):
        configuration = drawn(draws)
        steady = configuration.evaluate()
        if steady.status != OK or steady.running_batch < configuration.batch:  # cannot, or waits
            continue
        for name, spread in SPREADS.items():
            found[name].append(compared(configuration, spread))
        apart = configuration.changed(scheduler="disaggregated")
        found["pools"].append(compared_pools(apart))
        device = str(draws.choice([name for name in DEVICES if name != apart.labels["device"]]))
        pair = apart.changed(prefill_device=device, prefill_tp=apart.tp)
        if pair.evaluate().status == OK:
            found["pairs"].append(compared_pools(pair))
            alone = compared_alone(pair)
            found["alone"] += [alone] if alone else []
        staged = configuration.changed(pp=int(draws.choice(STAGES)))
        if staged.evaluate().running_batch >= configuration.batch:
            found["stages"].append(compared(staged, SPREADS["spread"]))
        for name, one in beside(configuration, others).items():
            if one.evaluate().running_batch >= configuration.batch:
                found[name].append(compared(one, SPREADS["equal"]))
    answer = {}
    for name, rows in found.items():
        table = np.array(rows)
        for place, figure in enumerate((*FIGURES, "shared")[: table.shape[1]]):
            off = np.abs(table[:, place])
            answer[f"{name} {figure}"] = {
                "servers": len(off),
                "median": round(float(np.median(off)), 4),
                "p90": round(float(np.percentile(off, 90)), 4),
                "bias": round(float(np.median(table[:, place])), 4),
                "above_10_percent": round(float((off > 0.1).mean()), 3),
            }
            print(f"{name} {figure}", answer[f"{name} {figure}"])
    print(json.dumps(answer))


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:]]
    main(*(given + [300, 0][len(given) :]))
