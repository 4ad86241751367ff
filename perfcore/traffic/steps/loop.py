"""The loop over steps and arrivals of all servers, and its compiled form."""

from typing import Any

import numpy as np
import numpy.typing as npt

from perfcore.kernel import jit, loops
from perfcore.physics.stages.replica import Replica
from perfcore.traffic.steps.blocks import hit_blocks, prompt_of
from perfcore.traffic.steps.clock import add_time
from perfcore.traffic.steps.queues import join_queue, release_dependents, take_due
from perfcore.traffic.steps.records import (
    NOBODY,
    PREFIX_AWARE,
    ROUND_ROBIN,
    Limits,
    Log,
    Offered,
    State,
)
from perfcore.traffic.steps.scheduler import advance

FOREVER = np.inf
PHYSICS = loops.FORMULAS  # importing them makes them callable from compiled code


@jit.inlined
def choose(limits: Limits, offered: Offered, state: State, request: int) -> int:
    """Return the server of a request.

    In turn; or the one with the fewest requests; or the one with the fewest prompt tokens to
    prefill, those of the request that it has not cached included. The first of equals.
    """
    servers = limits.servers
    if limits.routing == ROUND_ROBIN:
        return int(state.counts[1] % servers)
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
def arrive(limits: Limits, offered: Offered, log: Log, state: State, request: int) -> None:
    """Route a request that arrives."""
    now = log.arrival_s[request]
    ahead = 0
    for other in range(limits.servers):
        ahead += state.waiting[other]
    log.ahead[request] = ahead
    server = choose(limits, offered, state, request)
    state.counts[1] += 1
    log.server[request] = server
    if state.running[server] + state.waiting[server] == 0:
        state.clock[server] = max(state.clock[server], now)
    join_queue(limits, offered, state, server, request, False)
    state.to_prefill[server] += prompt_of(offered, state, request)
    add_time(state, server, now, state.clock[server], 1.0, 0.0, 0.0)


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
) -> None:
    """Serve each ``stride``-th request from the ``first`` one on, and those that wait for them.

    The server that is furthest behind advances until all have reached the next arrival. With
    ``single`` steps, requests that wait for others meet all servers as they are.
    """
    upcoming = first
    while True:
        while upcoming < limits.requests and offered.after[upcoming] != NOBODY:
            upcoming += stride
        horizon = FOREVER
        if upcoming < limits.requests:
            horizon = offered.arrival_s[upcoming]
        from_heap = state.counts[0] > 0 and state.due_s[0] < horizon
        if from_heap:
            horizon = state.due_s[0]
        behind = furthest_behind(limits, state)
        if behind != NOBODY and state.clock[behind] < horizon:
            until = state.clock[behind] if single == 1 else horizon
            advance(replica, limits, offered, log, state, behind, until)
            continue
        if horizon == FOREVER:
            return
        request = upcoming
        if from_heap:
            request = take_due(state)
        else:
            upcoming += stride
        log.arrival_s[request] = horizon
        if offered.fits[request] == 0:
            release_dependents(offered, state, request, horizon)
        else:
            arrive(limits, offered, log, state, request)


take_replica = jit.nested(Replica)
take_limits = jit.taken(Limits)
take_offered = jit.taken(Offered)
take_log = jit.taken(Log)
take_state = jit.taken(State)
pointer = jit.pointer
keep = jit.keep
OFFERED_AT = len(Limits._fields)
LOG_AT = OFFERED_AT + len(Offered._fields)
STATE_AT = LOG_AT + len(Log._fields)


@jit.kernel
def run_compiled(
    numbers: npt.NDArray[np.float64],
    addresses: npt.NDArray[np.int64],
    first: int,
    stride: int,
    single: int,
) -> None:
    """``run`` with its records as one array, and its limits and addresses of arrays as another."""
    values = pointer(numbers)
    places = pointer(addresses)
    run(
        take_replica(values),
        take_limits(places, 0, values),
        take_offered(places, OFFERED_AT, values),
        take_log(places, LOG_AT, values),
        take_state(places, STATE_AT, values),
        first,
        stride,
        single,
    )
    keep(numbers)
    keep(addresses)


def serve(
    replica: Replica,
    limits: Limits,
    offered: Offered,
    log: Log,
    state: State,
    first: int,
    stride: int,
    single: bool,
) -> None:
    """``run``, compiled."""
    arrays = (*offered, *log, *state)
    addresses = [*limits, *(array.ctypes.data for array in arrays)]
    run_compiled(
        np.array(flattened(replica)), np.array(addresses, np.int64), first, stride, int(single)
    )


def flattened(record: tuple[Any, ...]) -> list[float]:
    """Return the numbers of nested records in order."""
    found: list[float] = []
    for value in record:
        if isinstance(value, tuple):
            found.extend(flattened(value))
        else:
            found.append(float(value))
    return found
