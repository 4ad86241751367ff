"""Results of a simulation: each request, and figures over all of them."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from perfcore.errors import InputError
from perfcore.kernel.layout import Integers, Reals
from perfcore.physics.cost import TOKENS_PER_MTOK, YEAR
from perfcore.traffic.steps.records import DROPPED_BITS, FIRST_GAP_BIN
from perfcore.traffic.tiers import TIERS

PERCENTILES: Final = (50, 90, 95, 99)
STATISTICS: Final = ("mean", *(f"p{percentile}" for percentile in PERCENTILES))
MONTH: Final = YEAR / 12.0  # s
LATENCIES: Final = ("ttft", "tpot", "itl", "e2e")
QUEUE_GROWTH: Final = 1.5  # growth of an overloaded queue over the second half of the requests
QUEUE_SHARE: Final = 0.02  # share of all requests that wait at the end of an overload


class Simulation(NamedTuple):
    """Result of a simulation. Arrays of ``requests`` have one element for each request.

    ``requests`` has ``arrival_s``, ``first_token_s`` and ``finished_s`` on the clock of the
    traffic, NaN for requests that never fit; ``queued_s``, the time before the request was first
    admitted; ``replica``, -1 for none; ``cached_tokens`` of the prompt when it was first admitted;
    ``preemptions``, ``input_len``, ``output_len`` and ``session``. ``timeline`` has the start
    ``time_s`` of equal intervals and means over each: waiting requests ``queue``, running ones
    ``batch``, both of all replicas, and ``kv_use``, the share of KV cache in use.
    """

    requests: dict[str, Reals | Integers]
    status: str  # "ok", "overloaded", or "rejected": no request fits
    replicas: int
    devices: int  # of all replicas
    steps: int
    makespan_s: float  # from the first arrival to the last end
    busy_s: Reals  # (replicas,)
    energy_j: float  # of all boards, including idle ones
    energy_by_pool_j: Reals  # energy of separate prefill servers, if any, and of the rest
    cost_usd: float  # of all devices over the makespan
    bytes_moved: float
    batch_mean: float  # running requests of all replicas, mean over time
    queue_mean: float  # waiting requests, mean over time
    kv_use_mean: float  # share of KV cache in use
    kv_use_max: float  # share of KV cache in use or reserved at once, on the fullest replica
    kv_tokens: float  # of one replica
    hit_tokens: int  # cached tokens of admitted prompts
    lower_hit_tokens: Integers  # (lower tiers,) cached tokens found in each lower tier
    stalled_s: float  # time by which loads from lower tiers lengthen steps, sum over replicas
    prompt_tokens: int
    queue_growth_per_s: float  # over the second half of the requests
    gaps: Reals  # numbers of times between two tokens, by bin
    timeline: dict[str, Reals]


def latencies(simulation: Simulation) -> dict[str, Reals]:
    """Return ``ttft``, ``tpot`` and ``e2e`` of the requests that have ended. [s]

    TPOT is that of requests with more than one token of output.
    """
    table = simulation.requests
    ended = ~np.isnan(table["finished_s"])
    arrival, first, finished, output = (
        table[name][ended].astype(np.float64)
        for name in ("arrival_s", "first_token_s", "finished_s", "output_len")
    )
    several = output > 1
    return {
        "ttft": first - arrival,
        "tpot": (finished - first)[several] / (output[several] - 1),
        "e2e": finished - arrival,
    }


def gap_edges(bins: int) -> Reals:
    """Return the lower ends of the bins of times between tokens, and the end of the last. [s]"""
    codes = (np.arange(bins + 1, dtype=np.int64) + FIRST_GAP_BIN) << DROPPED_BITS
    return codes.view(np.float64)


def gap_statistics(gaps: Reals) -> Reals:
    """Return the mean and percentiles of times between tokens, to 0.4 %. [s]"""
    total = float(gaps.sum())
    if total == 0.0:
        return np.full(len(STATISTICS), np.nan)
    edges = gap_edges(len(gaps))
    below = np.cumsum(gaps)
    wanted = np.array(PERCENTILES) / 100.0 * total
    place = np.searchsorted(below, wanted)
    inside = (wanted - (below[place] - gaps[place])) / gaps[place]
    mean = np.dot(gaps, 0.5 * (edges[:-1] + edges[1:])) / total
    return np.array([mean, *(edges[place] + inside * (edges[place + 1] - edges[place]))])


def statistics(simulation: Simulation) -> dict[str, float]:
    """Return mean and percentiles of all latencies, by name: ``ttft_p99_s``."""
    found = {"itl": gap_statistics(simulation.gaps)}
    for name, values in latencies(simulation).items():
        found[name] = np.full(len(STATISTICS), np.nan)
        if len(values):
            found[name] = np.array([values.mean(), *np.percentile(values, PERCENTILES)])
    return {
        f"{latency}_{name}_s": float(value)
        for latency in LATENCIES
        for name, value in zip(STATISTICS, found[latency], strict=True)
    }


def goodput(
    simulation: Simulation,
    slos: Mapping[str, float],
    known: Mapping[str, float | str] | None = None,
) -> dict[str, float | str]:
    """Return whether objectives are met, and the requests that meet all of them.

    An objective is a limit on a statistic, ``ttft_p99_s``, or on every request, ``ttft_s``. A
    request is good if its own latencies are within all limits; for ITL, its TPOT. ``known`` has the
    statistics, if they have been computed.

    Raises
    ------
    InputError
        There is no such latency.
    """
    known = known or statistics(simulation)
    values = latencies(simulation)
    table = simulation.requests
    ended = ~np.isnan(table["finished_s"])
    several = table["output_len"][ended] > 1
    good = np.ones(int(ended.sum()), bool)
    met = True
    for name, limit in slos.items():
        latency = name.partition("_")[0]
        if name not in known and name not in {f"{one}_s" for one in LATENCIES}:
            raise InputError(f"slo: no latency {name!r}; use {', '.join(known)}")
        if latency in {"tpot", "itl"}:
            good[several] &= values["tpot"] <= limit
        else:
            good &= values[latency] <= limit
        met &= float(known[name]) <= limit if name in known else bool(good.all())
    total = len(ended)
    return {
        "slo": "met" if met and bool(ended.all()) else "missed",
        "good_share": float(good.sum()) / total,
        "goodput_requests_per_s": float(good.sum()) / (simulation.makespan_s or 1.0),
    }


def hit_rates(simulation: Simulation) -> dict[str, float]:
    """Return the shares of the prompts' tokens that were found in each tier of memory."""
    prompts = max(simulation.prompt_tokens, 1)
    lower = simulation.lower_hit_tokens.tolist()
    hits = {"hbm": simulation.hit_tokens - sum(lower), **dict(zip(TIERS, lower, strict=True))}
    return {f"prefix_hit_rate_{tier}": tokens / prompts for tier, tokens in hits.items()}


def summary(
    simulation: Simulation, slos: Mapping[str, float] | None = None
) -> dict[str, float | str]:
    """Return the figures of a simulation, by name; latencies that no request has are NaN.

    Energy and cost include idle time. ``slos`` are the objectives of ``goodput``, whose figures are
    left out if there are none.
    """
    table = simulation.requests
    ended = ~np.isnan(table["finished_s"])
    done = int(ended.sum())
    written = int(table["output_len"][ended].sum())
    read = int(table["input_len"][ended].sum())
    seconds = simulation.makespan_s
    per_request = 1.0 / done if done else float("nan")
    per_token = 1.0 / written if written else float("nan")
    per_second = 1.0 / seconds if seconds > 0.0 else float("nan")
    sessions = np.unique(table["session"][ended & (table["session"] >= 0)])
    found: dict[str, float | str] = {
        "status": simulation.status,
        "requests": len(ended),
        "completed": done,
        "rejected": int((table["replica"] < 0).sum()),
        "replicas": simulation.replicas,
        "devices": simulation.devices,
        "makespan_s": seconds,
        "steps": simulation.steps,
        **statistics(simulation),
        "queued_mean_s": float(table["queued_s"][ended].mean()) if done else float("nan"),
        "requests_per_s": done * per_second,
        "input_tokens_per_s": read * per_second,
        "output_tokens_per_s": written * per_second,
        "output_tokens_per_s_per_device": written * per_second / simulation.devices,
        "batch_mean": simulation.batch_mean,
        "queue_mean": simulation.queue_mean,
        "queue_growth_per_s": simulation.queue_growth_per_s,
        "kv_tokens": simulation.kv_tokens,
        "kv_use_mean": simulation.kv_use_mean,
        "kv_use_max": simulation.kv_use_max,
        "prefix_hit_rate": simulation.hit_tokens / max(simulation.prompt_tokens, 1),
        **hit_rates(simulation),
        "kv_load_share": simulation.stalled_s * per_second / simulation.replicas,
        "preemptions": int(table["preemptions"].sum()),
        "busy_share": float(simulation.busy_s.mean()) * per_second,
        "power_w": simulation.energy_j * per_second / simulation.devices,
        "energy_j": simulation.energy_j,
        "energy_per_request_j": simulation.energy_j * per_request,
        "energy_per_output_token_j": simulation.energy_j * per_token,
        "cost_usd": simulation.cost_usd,
        "cost_per_request_usd": simulation.cost_usd * per_request,
        "cost_per_mtok_output_usd": simulation.cost_usd * per_token * TOKENS_PER_MTOK,
        "cost_per_month_usd": simulation.cost_usd * per_second * MONTH,
    }
    if len(sessions):
        found["sessions"] = len(sessions)
        found["energy_per_session_j"] = simulation.energy_j / len(sessions)
        found["cost_per_session_usd"] = simulation.cost_usd / len(sessions)
    if slos:
        found |= goodput(simulation, slos)
    return found
