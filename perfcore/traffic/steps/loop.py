"""The loop over steps and arrivals of all servers, and its compiled form."""

from typing import Any

import numpy as np
import numpy.typing as npt

from perfcore.kernel import jit, loops
from perfcore.physics.serving import hand_over
from perfcore.physics.stages.beside import ExpertSide
from perfcore.physics.stages.replica import Replica
from perfcore.traffic.steps.blocks import hit_blocks, prompt_of
from perfcore.traffic.steps.clock import add_time
from perfcore.traffic.steps.queues import (
    add_due,
    join_queue,
    release_dependents,
    release_ended,
    take_due,
)
from perfcore.traffic.steps.records import (
    DUE,
    ENDED,
    NOBODY,
    PREFIX_AWARE,
    ROUND_ROBIN,
    ROUTED,
    Limits,
    Log,
    Offered,
    Side,
    State,
)
from perfcore.traffic.steps.scheduler import advance

FOREVER = np.inf
PHYSICS = loops.FORMULAS  # importing them makes them callable from compiled code


@jit.inlined
def choose(limits: Limits, offered: Offered, state: State, request: int) -> int:
    """Return the server for a request.

    It is the next one in turn, the one with the fewest requests, or the one with the fewest prompt
    tokens to prefill, including those of the request that it has not cached. Ties go to the first.
    """
    servers = limits.servers
    if limits.routing == ROUND_ROBIN:
        return int(state.counts[ROUTED] % servers)
    best = 0
    best_work = -1
    for server in range(servers):
        work = state.running[server] + state.waiting[server]
        if limits.routing == PREFIX_AWARE:
            hits = hit_blocks(limits, offered, state, server, request)
            work += (state.to_prefill[server] - hits * limits.hashed_tokens) << 20
        if server == 0 or work < best_work:
            best = server
            best_work = work
    return best


@jit.inlined
def arrive(
    limits: Limits, offered: Offered, log: Log, state: State, request: int, now: float
) -> bool:
    """Route a request that arrives; return whether it can ever run."""
    log.arrival_s[request] = now
    if offered.fits[request] == 0:
        return False
    ahead = 0
    for other in range(limits.servers):
        ahead += state.waiting[other]
    log.ahead[request] = ahead
    server = choose(limits, offered, state, request)
    state.counts[ROUTED] += 1
    log.server[request] = server
    if state.running[server] + state.waiting[server] == 0:
        state.clock[server] = max(state.clock[server], now)
    join_queue(limits, offered, state, server, request, False)
    state.to_prefill[server] += prompt_of(offered, state, request)
    add_time(state, server, now, state.clock[server], 1.0, 0.0, 0.0)
    return True


@jit.inlined
def furthest_behind(limits: Limits, state: State) -> int:
    """Return the server with the earliest clock of those that have requests."""
    behind = NOBODY
    for server in range(limits.servers):
        works = state.running[server] + state.waiting[server] > 0
        if works and (behind == NOBODY or state.clock[server] < state.clock[behind]):
            behind = server
    return behind


@jit.inlined
def run(
    replica: Replica,
    limits: Limits,
    offered: Offered,
    log: Log,
    state: State,
    first: int,
    stride: int,
    single: int,
    draft: Replica | None,
    experts: ExpertSide | None,
) -> None:
    """Serve each ``stride``-th request from the ``first`` one on, and those that wait for them.

    The server that is furthest behind advances until all have reached the next arrival. With
    ``single`` steps, requests that wait for others meet all servers as they are. A draft, or
    experts, are on devices beside each server.
    """
    upcoming = first
    while True:
        while upcoming < limits.requests and offered.after[upcoming] != NOBODY:
            upcoming += stride
        horizon = FOREVER
        if upcoming < limits.requests:
            horizon = offered.arrival_s[upcoming]
        from_heap = state.counts[DUE] > 0 and state.due_s[0] < horizon
        if from_heap:
            horizon = state.due_s[0]
        behind = furthest_behind(limits, state)
        if behind != NOBODY and state.clock[behind] < horizon:
            until = state.clock[behind] if single == 1 else horizon
            advance(replica, draft, experts, limits, offered, log, state, behind, until)
            release_ended(log, state, offered, state)
            continue
        if horizon == FOREVER:
            return
        request = upcoming
        if from_heap:
            request = take_due(state)
        else:
            upcoming += stride
        if not arrive(limits, offered, log, state, request, horizon):
            release_dependents(offered, state, request, horizon)


@jit.inlined
def hand_on(ahead: Side, behind: Side) -> None:
    """Send the caches of the prompts that have just been prefilled to the decode servers.

    Requests of one token have ended instead. The requests of the second pool have the time of a
    layer's transfer in place of their arrival.
    """
    log, state = ahead.log, ahead.state
    for place in range(state.counts[ENDED]):
        request = state.ended[place]
        now = log.finished_s[request]
        if behind.offered.output_len[request] > 1:
            layer_s = behind.offered.arrival_s[request]
            layers = behind.replica.model.layers
            sent_s = hand_over(layer_s, now - log.admitted_s[request], layers)
            behind.state.token_s[request] = now
            add_due(behind.state, request, now + sent_s)
        else:
            release_dependents(ahead.offered, state, request, now)
    state.counts[ENDED] = 0


@jit.inlined
def earliest_other(limits: Limits, state: State, server: int) -> float:
    """Return the earliest clock of the servers that have requests, except one of them."""
    clock = FOREVER
    for other in range(limits.servers):
        works = state.running[other] + state.waiting[other] > 0
        if works and other != server:
            clock = min(clock, state.clock[other])
    return clock


@jit.inlined
def next_due(state: State) -> float:
    """Return the time of the earliest arrival in the heap; infinite if it is empty."""
    return float(state.due_s[0]) if state.counts[DUE] > 0 else FOREVER


@jit.inlined
def advance_pools(sides: tuple[Side, Side], horizon: float) -> bool:
    """Advance the server that is furthest behind, up to another one; False if all have arrived.

    Steps that it takes at once start before all others end, whose requests others may wait for.
    """
    ahead, behind = sides
    first_s = earliest_other(ahead.limits, ahead.state, NOBODY)
    second_s = earliest_other(behind.limits, behind.state, NOBODY)
    if min(first_s, second_s) >= horizon:
        return False
    pool = int(second_s < first_s)
    side = sides[pool]
    server = furthest_behind(side.limits, side.state)
    until = min(horizon, max(first_s, second_s))
    until = min(until, earliest_other(side.limits, side.state, server))
    advance(
        side.replica, None, None, side.limits, side.offered, side.log, side.state, server, until
    )
    if pool == 0:
        hand_on(ahead, behind)
    else:
        release_ended(behind.log, behind.state, ahead.offered, ahead.state)
    return True


@jit.inlined
def run_pools(sides: tuple[Side, Side]) -> None:
    """Serve requests whose prompts run on the first pool and whose answers run on the second."""
    ahead, behind = sides
    upcoming = 0
    while True:
        while upcoming < ahead.limits.requests and ahead.offered.after[upcoming] != NOBODY:
            upcoming += 1
        free_s = FOREVER
        if upcoming < ahead.limits.requests:
            free_s = ahead.offered.arrival_s[upcoming]
        waited_s, sent_s = next_due(ahead.state), next_due(behind.state)
        horizon = min(free_s, waited_s, sent_s)
        if advance_pools(sides, horizon):
            continue
        if horizon == FOREVER:
            return
        pool = int(sent_s < min(free_s, waited_s))
        to = sides[pool]
        request = upcoming
        if pool == 1 or waited_s < free_s:
            request = take_due(to.state)
        else:
            upcoming += 1
        if not arrive(to.limits, to.offered, to.log, to.state, request, horizon):
            release_dependents(ahead.offered, ahead.state, request, horizon)


take_replica = jit.nested(Replica)
take_experts = jit.nested(ExpertSide)
take_limits = jit.taken(Limits)
take_offered = jit.taken(Offered)
take_log = jit.taken(Log)
take_state = jit.taken(State)
pointer = jit.pointer
keep = jit.keep
OFFERED_AT = len(Limits._fields)
LOG_AT = OFFERED_AT + len(Offered._fields)
STATE_AT = LOG_AT + len(Log._fields)


@jit.inlined
def side_of(numbers: npt.NDArray[np.float64], addresses: npt.NDArray[np.int64]) -> Side:
    """Pool from its records as ``passed`` makes them."""
    values = pointer(numbers)
    places = pointer(addresses)
    return Side(
        take_replica(values),
        take_limits(places, 0, values),
        take_offered(places, OFFERED_AT, values),
        take_log(places, LOG_AT, values),
        take_state(places, STATE_AT, values),
    )


@jit.kernel
def run_compiled(
    numbers: npt.NDArray[np.float64],
    addresses: npt.NDArray[np.int64],
    first: int,
    stride: int,
    single: int,
    draft: npt.NDArray[np.float64] | None,
    experts: npt.NDArray[np.float64] | None,
) -> None:
    """``run`` with its records as one array, and its limits and addresses of arrays as another.

    So are the numbers of a draft or of experts on devices of their own. Without them, the code is
    compiled as if there were none anywhere.
    """
    one = side_of(numbers, addresses)
    given = one.replica
    if draft is not None:
        drafter = take_replica(pointer(draft))
        run(
            given, one.limits, one.offered, one.log, one.state, first, stride, single, drafter, None
        )
        keep(draft)
    elif experts is not None:
        theirs = take_experts(pointer(experts))
        run(given, one.limits, one.offered, one.log, one.state, first, stride, single, None, theirs)
        keep(experts)
    else:
        run(given, one.limits, one.offered, one.log, one.state, first, stride, single, None, None)
    keep(numbers)
    keep(addresses)


@jit.kernel
def run_pools_compiled(
    first_numbers: npt.NDArray[np.float64],
    first_addresses: npt.NDArray[np.int64],
    second_numbers: npt.NDArray[np.float64],
    second_addresses: npt.NDArray[np.int64],
) -> None:
    """``run_pools`` with the records of each side as in ``run_compiled``."""
    run_pools((side_of(first_numbers, first_addresses), side_of(second_numbers, second_addresses)))
    keep(first_numbers)
    keep(first_addresses)
    keep(second_numbers)
    keep(second_addresses)


def serve(
    replica: Replica,
    limits: Limits,
    offered: Offered,
    log: Log,
    state: State,
    first: int,
    stride: int,
    single: bool,
    draft: Replica | None = None,
    experts: ExpertSide | None = None,
) -> None:
    """``run``, compiled."""
    numbers, addresses = passed(Side(replica, limits, offered, log, state))
    own = None if draft is None else np.array(flattened(draft))
    theirs = None if experts is None else np.array(flattened(experts))
    run_compiled(numbers, addresses, first, stride, int(single), own, theirs)


def serve_pools(sides: tuple[Side, Side]) -> None:
    """``run_pools``, compiled."""
    run_pools_compiled(*passed(sides[0]), *passed(sides[1]))


def passed(side: Side) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the records of a pool as arrays: its numbers, and its limits and addresses."""
    arrays = (*side.offered, *side.log, *side.state)
    addresses = [*side.limits, *(array.ctypes.data for array in arrays)]
    return np.array(flattened(side.replica)), np.array(addresses, np.int64)


def flattened(record: tuple[Any, ...]) -> list[float]:
    """Return the numbers of nested records in order."""
    found: list[float] = []
    for value in record:
        if isinstance(value, tuple):
            found.extend(flattened(value))
        else:
            found.append(float(value))
    return found
