"""Bounds on a replica without simulating it: the fewest that keep up, and its fastest token.

They hold if a step takes no less time with more sequences, more prompt tokens or longer contexts,
which the laws of the physics state. The steady state of a replica is a guess, not a bound.
"""

from collections.abc import Mapping
from math import ceil, inf
from typing import Final, NamedTuple

import numpy as np

from perfcore.physics.attention import index_limit, window_limit
from perfcore.physics.prefill import Prompts
from perfcore.physics.stages.batch import batch_at, runnable
from perfcore.physics.stages.beside import apart_at, drafted_at, with_draft
from perfcore.physics.stages.capacity import capacity_at
from perfcore.physics.stages.mixed import load_at, mixed_at, no_prompts
from perfcore.physics.stages.mixed_beside import apart_step, drafted_step, parts_of_step
from perfcore.physics.stages.passes import Context, prefill_at, step_at
from perfcore.physics.stages.point import point_at, point_beside
from perfcore.physics.stages.replica import OK, Replica
from perfcore.records import SCHEDULER_CONTINUOUS, SCHEDULER_DISAGGREGATED, Model
from perfcore.traffic.others import NO_OTHERS, Others
from perfcore.traffic.requests import Requests
from perfcore.traffic.server import MOST, Room
from perfcore.traffic.steps.records import Limits

_GRACE: Final = 1.1  # time to serve requests in, over the time in which they arrive
_PARTS: Final = (1.0, 0.95, 0.9, 0.8, 0.65, 0.5, 0.35, 0.2, 0.1, 0.05, 0.02, 0.01, 0.0)
_HALVINGS: Final = 6  # of the range of batches, in which the steady state is fast enough


class Demand(NamedTuple):
    """Work that requests bring, on whatever servers."""

    requests: int
    input_len: float  # means, in tokens
    output_len: float
    shortest_input: int
    longest: int  # prompt and answer
    prompt_tokens: float  # that are surely prefilled: none if prompts share blocks
    written_tokens: float  # that decode steps write
    shared: float  # share of the prompts' tokens in blocks that an earlier prompt had
    seconds: float  # in which requests arrive; infinite if turns wait for others
    per_second: float  # requests; of turns that wait for others, as if they had no answers
    clients: int  # of a closed loop; 0: none
    pause_s: float  # mean time between an answer and the client's next request


class Steady(NamedTuple):
    """Steady state of a replica."""

    requests_per_s: float
    batch: float  # running requests

    def replicas(self, demand: Demand) -> float:
        """Return how many replicas serve a demand; infinite if there is no telling.

        A client has a request that runs, or pauses.
        """
        at_once = demand.per_second == inf and not demand.clients
        if self.requests_per_s == 0.0 or at_once:
            return inf
        if demand.clients:
            each = self.batch + self.requests_per_s * demand.pause_s
            return max(ceil(demand.clients / each), 1)
        return max(ceil(demand.per_second / self.requests_per_s), 1)


def demand_of(requests: Requests, clients: int = 0) -> Demand:
    """Return what ``requests`` demand, which may be those of clients in a closed loop."""
    count = len(requests.arrival_s)
    ready = requests.arrival_s.astype(np.float64)
    waiting = np.flatnonzero(requests.after >= 0)
    for request in waiting:  # each follows the one that it waits for
        ready[request] += ready[requests.after[request]]
    seconds = float(ready.max() - ready.min())
    prompt_tokens = float(requests.input_len.sum())
    blocks = len(requests.block_hash)
    again = blocks - len(np.unique(requests.block_hash))
    return Demand(
        requests=count,
        input_len=prompt_tokens / count,
        output_len=float(requests.output_len.mean()),
        shortest_input=int(requests.input_len.min()),
        longest=int((requests.input_len + requests.output_len).max()),
        prompt_tokens=0.0 if blocks else prompt_tokens,
        written_tokens=float((requests.output_len - 1).sum()),
        shared=min(again * requests.block_tokens / prompt_tokens, 0.99),
        seconds=inf if len(waiting) or seconds == 0.0 else seconds,
        per_second=count / seconds if seconds > 0.0 else inf,
        clients=clients,
        pause_s=float(requests.arrival_s[waiting].mean()) if len(waiting) else 0.0,
    )


def fastest_token_s(replica: Replica, demand: Demand, others: Others = NO_OTHERS) -> float:
    """Return the least TPOT of any request: that of a short one alone. [s]"""
    return _step_s(replica, others, 1.0, 0.0, demand.shortest_input) / replica.step_tokens


def longest_fits(room: Room, demand: Demand) -> bool:
    """Return whether the KV cache of one replica has room for the longest request."""
    return ceil(demand.longest / room.block_tokens) + room.fixed_blocks <= room.blocks


def fewest_replicas(
    replica: Replica,
    limits: Limits,
    room: Room,
    demand: Demand,
    slos: Mapping[str, float],
    others: Others = NO_OTHERS,
) -> int:
    """Return a lower bound on the replicas that keep up with ``demand``.

    Servers keep up if they need at most 10 % more time than requests take to arrive, and the time
    that objectives allow the last one. A step of d sequences takes d times the time per sequence
    of the fastest step; the same holds for prompt tokens. The time of neither is part of the
    other's, so that the larger is a bound.
    """
    per_sequence = ceil((demand.shortest_input + 1) / room.block_tokens) + room.fixed_blocks
    sequences = min(limits.max_sequences, max(room.blocks // per_sequence, 1), demand.requests)
    written_s = _least(
        [
            (part, _step_s(replica, others, part, 0.0, demand.shortest_input))
            for part in _grid(float(sequences))
        ]
    )
    work_s = demand.written_tokens * written_s / replica.step_tokens
    if demand.prompt_tokens > 0.0:
        budget = min(float(limits.budget * limits.passes), demand.prompt_tokens)
        read_s = _least([(part, _step_s(replica, others, 0.0, part, 0)) for part in _grid(budget)])
        work_s = max(work_s, demand.prompt_tokens * read_s)
    return max(ceil(work_s / (_GRACE * demand.seconds + _allowed_s(demand, slos))), 1)


def limit_of(slos: Mapping[str, float], *latencies: str) -> float:
    """Return the least limit on any statistic of some latencies; infinite without one. [s]"""
    found = [limit for name, limit in slos.items() if name.partition("_")[0] in latencies]
    return min(found, default=inf)


def steady_state(
    replica: Replica,
    demand: Demand,
    slos: Mapping[str, float],
    others: Others = NO_OTHERS,
    *,
    apart: bool = False,
) -> Steady:
    """Return a guess of what a replica serves within objectives.

    It is that of the steady state of ``perfcore.evaluate`` with mean lengths, whose means are held
    against limits on any statistic; nothing if no batch is fast enough. A replica ``apart`` only
    writes answers.
    """
    scheduler = SCHEDULER_DISAGGREGATED if apart else SCHEDULER_CONTINUOUS
    deployment = replica.deployment._replace(prefix_hit=demand.shared, scheduler=scheduler)
    replica = replica._replace(deployment=deployment)
    lengths = (demand.input_len, demand.output_len)
    fit = capacity_at(replica, runnable(replica.engine, deployment, float(MOST)), *lengths)
    draft = others.draft
    if draft is not None:
        shared = draft.deployment._replace(prefix_hit=demand.shared)
        draft = draft._replace(deployment=shared)
        fit = with_draft(replica, fit, capacity_at(draft, 1.0, *lengths))
    if fit.status != OK:
        return Steady(0.0, 0.0)

    def steady(batch: float) -> tuple[bool, Steady]:
        running = batch_at(replica, batch, batch)
        if draft is not None:
            work = drafted_at(replica, draft, running, *lengths)
            point = point_beside(replica, running, fit, *lengths, work)
        elif others.experts is not None:
            work = apart_at(replica, others.experts, running, *lengths)
            point = point_beside(replica, running, fit, *lengths, work)
        else:
            point = point_at(
                *(replica, running, fit, *lengths),
                prefill_at(replica, running, *lengths),
                step_at(replica, running, *lengths),
            )
        before_s = point.ttft_s if apart else 0.0
        fast = (
            point.tpot_s <= limit_of(slos, "tpot", "itl")
            and (apart or point.ttft_s <= limit_of(slos, "ttft"))
            and point.e2e_latency_s - before_s <= limit_of(slos, "e2e")
        )
        return fast, Steady(point.requests_per_s, batch)

    low, high, best = 0.0, fit.batch, Steady(0.0, 0.0)  # fast, and too slow
    batch = high
    for _ in range(_HALVINGS):
        fast, found = steady(batch)
        if fast:
            low, best = batch, found
        else:
            high = batch
        if low == fit.batch or high == 1.0:
            break
        batch = float(ceil((max(low, 1.0) * high) ** 0.5)) if low else 1.0
    return best


def _allowed_s(demand: Demand, slos: Mapping[str, float]) -> float:
    """Time that objectives allow a request; that of all arrivals if they do not limit it. [s]"""
    steps_s = limit_of(slos, "tpot", "itl") * demand.longest
    allowed = min(limit_of(slos, "e2e"), limit_of(slos, "ttft") + steps_s)
    return allowed if allowed < inf else demand.seconds


def _grid(most: float) -> list[float]:
    """Return sizes of a step from ``most`` down to 1."""
    return sorted({max(float(ceil(most * part)), 1.0) for part in _PARTS}, reverse=True)


def _least(steps: list[tuple[float, float]]) -> float:
    """Return the least time per unit of any size, given the times of some, largest first. [s]

    A size between two of them takes at least the time of the smaller and has less than the larger.
    """
    larger = [size for size, _ in steps]
    bounds = [seconds / above for (_, seconds), above in zip(steps[1:], larger, strict=False)]
    return min([*bounds, steps[0][1] / steps[0][0]])


def _step_s(
    replica: Replica, others: Others, writing: float, tokens: float, context: float
) -> float:
    """Time of a step of ``writing`` sequences, or of prompt tokens without their attention. [s]

    The tokens are of as many prompts as make the step fastest. A draft reads prompts meanwhile.
    """
    layout = replica.layout
    prompts = {1.0, layout.groups, layout.groups * layout.micro_batches} if tokens else {0.0}
    seen, work = _context_of(replica.model, context), _work_of(replica.model, tokens)
    steps = []
    for several in prompts:
        if others.experts is not None:
            part = writing / parts_of_step(replica, writing)
            load = load_at(replica, part, several, tokens, 0.0)
            step = apart_step(replica, others.experts, load, writing, several, seen, work)
        elif others.draft is not None:
            load = load_at(replica, writing, several, tokens, 0.0)
            own = others.draft.model
            step = drafted_step(
                *(replica, others.draft, load, writing, several, 0.0),
                *(seen, _context_of(own, context), work, no_prompts()),
            )
        else:
            step = mixed_at(replica, load_at(replica, writing, several, tokens, 0.0), seen, work)
        steps.append(step.seconds)
    return min(steps)


def _context_of(model: Model, context: float) -> Context:
    """Return what the layers of a model see of a context at least."""
    seen = min(context, index_limit(model)) if model.index_topk > 0.0 else context
    near = 0.0
    if model.window_kv_elements > 0.0 and model.window_chunked == 0.0:
        near = min(context, window_limit(model))
    return Context(context, seen, near)


def _work_of(model: Model, tokens: float) -> Prompts:
    """Return prompt tokens without attention over those before them."""
    if tokens == 0.0:
        return no_prompts()
    return Prompts(tokens, tokens, model.global_prefill_score_flops, 0.0, 0.0, 0.0)
