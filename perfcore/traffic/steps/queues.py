"""Requests that wait: in the queue of a server, or for the end of another request."""

from perfcore.kernel import jit
from perfcore.traffic.steps.records import DUE, ENDED, NOBODY, Limits, Log, Offered, State


@jit.inlined
def join_queue(
    limits: Limits, offered: Offered, state: State, server: int, request: int, ahead: bool
) -> None:
    """Put a request at the end of the queue, or ``ahead`` of all, within its priority."""
    before = NOBODY
    after = state.head[server]
    if limits.by_priority == 1:
        own = offered.priority[request]
        while after != NOBODY and (
            offered.priority[after] < own or (offered.priority[after] == own and not ahead)
        ):
            before = after
            after = state.link[after]
    elif not ahead:
        before = state.tail[server]
        after = NOBODY
    state.link[request] = after
    if before == NOBODY:
        state.head[server] = request
    else:
        state.link[before] = request
    if after == NOBODY:
        state.tail[server] = request
    state.waiting[server] += 1


@jit.inlined
def leave_queue(state: State, server: int) -> int:
    """Take the first request of the queue."""
    request = state.head[server]
    state.head[server] = state.link[request]
    if state.head[server] == NOBODY:
        state.tail[server] = NOBODY
    state.waiting[server] -= 1
    return int(request)


@jit.inlined
def is_due_before(state: State, one: int, other: int) -> bool:
    """Return whether a place of the heap is due before another one."""
    first, second = state.due_s[one], state.due_s[other]
    return bool(first < second or (first == second and state.due[one] < state.due[other]))


@jit.inlined
def swap_due(state: State, one: int, other: int) -> None:
    """Exchange two places of the heap."""
    due_s, due = state.due_s[one], state.due[one]
    state.due_s[one], state.due[one] = state.due_s[other], state.due[other]
    state.due_s[other], state.due[other] = due_s, due


@jit.inlined
def add_due(state: State, request: int, due_s: float) -> None:
    """Add a request that arrives at ``due_s`` to the heap."""
    place = state.counts[DUE]
    state.due_s[place], state.due[place] = due_s, request
    state.counts[DUE] += 1
    while place > 0 and is_due_before(state, place, (place - 1) // 2):
        swap_due(state, place, (place - 1) // 2)
        place = (place - 1) // 2


@jit.inlined
def take_due(state: State) -> int:
    """Remove the earliest request from the heap."""
    request = state.due[0]
    state.counts[DUE] -= 1
    count = state.counts[DUE]
    swap_due(state, 0, count)
    place = 0
    while True:
        child = 2 * place + 1
        if child + 1 < count and is_due_before(state, child + 1, child):
            child += 1
        if child >= count or not is_due_before(state, child, place):
            return int(request)
        swap_due(state, place, child)
        place = child


@jit.inlined
def release_dependents(offered: Offered, state: State, request: int, now: float) -> None:
    """Let the requests arrive that wait for the end of another one, after their pause."""
    child = offered.child[request]
    while child != NOBODY:
        add_due(state, child, now + offered.arrival_s[child])
        child = offered.sibling[child]


@jit.inlined
def release_ended(log: Log, state: State, offered: Offered, to: State) -> None:
    """Let the requests arrive at ``to`` that wait for those that have ended in the last steps."""
    for place in range(state.counts[ENDED]):
        request = state.ended[place]
        release_dependents(offered, to, request, log.finished_s[request])
    state.counts[ENDED] = 0
