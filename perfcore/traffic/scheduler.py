"""Servers in steps: rules of the scheduler, and the loop that runs them.

A step of a server carries one token of each sequence that writes (all that it verifies, with
speculation) and parts of prompts. Its time is that of ``perfcore.physics.stages.mixed``. The rules
are functions of the state of one server, kept in arrays; nothing is allocated while servers run.
Sequences that write are always in a step; prompts take what they leave of its budget.
Compiled, the arrays are pointers, whose references Numba does not count.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from perfcore.kernel import jit
from perfcore.kernel.layout import Integers, Reals
from perfcore.kernel.loops import FORMULAS
from perfcore.physics.attention import index_limit, window_limit
from perfcore.physics.prefill import Prompts, prompts_of
from perfcore.physics.rounding import ceil_of, floor_of
from perfcore.physics.stages.mixed import load_at, mixed_at, no_prompts, with_prompt
from perfcore.physics.stages.passes import Context
from perfcore.physics.stages.replica import Replica

__all__ = ["FORMULAS", "Limits", "Log", "Offered", "State", "serve"]  # physics that ``serve`` calls

NOBODY = -1
ROUND_ROBIN = 0
LEAST_LOADED = 1
PREFIX_AWARE = 2
FOREVER = np.inf
BINS = 1024  # of the timeline
DROPPED_BITS = 45  # of a gap's float64: 128 bins per octave, at most 0.8 % wide
GAP_BINS = 128 * 48
LEAST_GAP = 2.0**-24  # s, of the first bin
FIRST_GAP_BIN = int(np.float64(LEAST_GAP).view(np.int64)) >> DROPPED_BITS
GROWTH = 0.125  # of the contexts, over which the time of a step counts as affine
ROUNDING = 1e-9  # of numbers of tokens and steps


class Limits(NamedTuple):
    """Rules and sizes of one server, as numbers."""

    budget: int  # tokens of a step
    max_sequences: int
    chunked: int  # 1: prompts in steps of others; 0: whole prompts in steps of their own
    reserved: int  # 1: all blocks of a request on admission; 0: those of its answer on demand
    by_priority: int
    block_tokens: int
    blocks: int  # of the KV cache
    fixed_blocks: int  # that each sequence takes apart from its tokens: windows, states
    watermark: int  # blocks that an admission leaves free
    hashed_tokens: int  # of a block of a prompt that may be shared
    hashed_blocks: int  # blocks of the KV cache that it takes
    routing: int
    at_once: int  # 1: equal steps are taken at once; 0: one by one, the reference
    prefilled: int  # 1: prompts arrive with their KV cache, from a pool of prefill servers
    requests: int
    servers: int
    positions: int  # most running requests of a server
    hashes: int


class Offered(NamedTuple):
    """Requests as the loop reads them, with hashes numbered from 0."""

    arrival_s: Reals
    input_len: Integers
    output_len: Integers
    after: Integers
    next: Integers  # turn of the session
    priority: Integers
    first_block: Integers
    block_hash: Integers
    child: Integers  # first request that waits for the end of this one
    sibling: Integers  # next request that waits for the same one
    fits: Integers  # 0: it can never run


class Log(NamedTuple):
    """Course of each request."""

    arrival_s: Reals  # known once the request before it has ended
    admitted_s: Reals
    first_token_s: Reals
    finished_s: Reals
    server: Integers
    cached_tokens: Integers
    preemptions: Integers
    ahead: Integers  # requests that wait when it arrives, on all servers


class State(NamedTuple):
    """Servers, and the requests that they hold. Arrays by server, unless stated."""

    clock: Reals  # end of the last step
    wrote_at: Reals  # end of the last step in which sequences wrote
    write_steps: Integers  # steps in which sequences wrote
    steps: Integers
    running: Integers
    writing: Integers  # the first of those that run; the others are in their prompts
    steady: Integers  # the first of those that write, which also did in the last such step
    waiting: Integers
    head: Integers  # of the queue
    tail: Integers
    next_end: Integers  # write step at which a sequence ends, at the earliest
    sure_until: Integers  # write step up to which blocks certainly last
    starts: Reals  # sum of ``start`` over the sequences that write
    to_prefill: Integers  # prompt tokens of its requests
    twice: Integers  # uses of hashed blocks beyond the first of each
    cached: Integers  # hashed blocks that are kept
    unused: Integers  # those of them that no request uses
    oldest: Integers  # unused hashed block, least recently used
    newest: Integers
    busy_s: Reals
    energy_j: Reals  # while busy
    bytes_moved: Reals
    running_s: Reals  # integral of running requests
    waiting_s: Reals  # integral of waiting requests
    used_s: Reals  # integral of the tokens in the KV cache of running requests
    hit_tokens: Integers
    prompt_tokens: Integers  # admitted, cached ones included
    preempted: Integers
    most_used: Reals  # tokens in the KV cache of running requests
    row: Integers  # (servers x positions,) running requests in order of admission
    start: Reals  # (requests,) context at write step 0, had it written since
    end: Integers  # (requests,) write step at which it ends
    left: Integers  # (requests,) prompt tokens to prefill
    shared: Integers  # (requests,) hashed blocks that it uses
    users: Integers  # (servers x hashes,) requests that use the block; -1: it is not kept
    older: Integers  # (servers x hashes,) neighbours of unused blocks in order of use
    newer: Integers  # (servers x hashes,)
    link: Integers  # (requests,) next in the queue
    written: Reals  # (requests,) tokens up to the last prefill or preemption
    token_s: Reals  # (requests,) time of the last token, if it is not from a step of others
    held: Integers  # (hashes of all requests,) 1: the request uses the block
    due_s: Reals  # (requests,) heap of requests whose predecessor has ended
    due: Integers  # (requests,)
    gaps: Reals  # (bins,) numbers of times between two tokens
    timeline: Reals  # (3 x bins,) integrals of waiting, running and KV cache in use
    bin_s: Reals  # (1,) width of a bin of the timeline
    counts: Integers  # (2,) requests in the heap, and routed


class Parts(NamedTuple):
    """Prompts of one step."""

    work: Prompts
    prompts: float
    finished: float


class Span(NamedTuple):
    """Equal steps of a server, one after the other."""

    steps: int
    first_s: float  # the first of them
    seconds: float
    energy_j: float
    bytes_moved: float


# KV cache.


@jit.inlined
def blocks_of(limits: Limits, context: float) -> int:
    """Return the blocks of a sequence with ``context`` tokens of KV cache, hashed ones included."""
    return int(ceil_of(context * (1.0 / limits.block_tokens))) + limits.fixed_blocks


@jit.inlined
def prompt_of(offered: Offered, state: State, request: int) -> int:
    """Return the tokens to prefill: the prompt, and what was written before a preemption."""
    return int(offered.input_len[request] + int(state.written[request]))


@jit.inlined
def context_of(replica: Replica, state: State, request: int, step: int) -> float:
    """Return the context of a sequence in a write step, its own token included."""
    return float(state.start[request] + replica.step_tokens * step)


@jit.inlined
def own_blocks(
    replica: Replica, limits: Limits, offered: Offered, state: State, server: int
) -> int:
    """Return the blocks of running requests in the next write step, without hashed ones."""
    total = 0
    step = state.write_steps[server]
    for position in range(state.running[server]):
        request = state.row[server * limits.positions + position]
        context = float(offered.input_len[request] + offered.output_len[request])
        if limits.reserved == 0:
            if position < state.writing[server]:
                context = min(context_of(replica, state, request, step), context)
            else:
                context = float(prompt_of(offered, state, request))
        total += blocks_of(limits, context)
        total -= int(state.shared[request]) * limits.hashed_blocks
    return total


@jit.inlined
def own_at_most(
    replica: Replica, limits: Limits, offered: Offered, state: State, server: int
) -> int:
    """Return a bound of ``own_blocks`` that does not look at every request, if on demand."""
    if limits.reserved == 1:
        return own_blocks(replica, limits, offered, state, server)
    writing = state.writing[server]
    running = state.running[server]
    tokens = state.starts[server] + writing * (replica.step_tokens * state.write_steps[server])
    for position in range(writing, running):
        request = state.row[server * limits.positions + position]
        tokens += prompt_of(offered, state, request)
    shared = state.cached[server] - state.unused[server] + state.twice[server]
    total = int(tokens * (1.0 / limits.block_tokens)) + 1
    total += running * (1 + limits.fixed_blocks)
    return int(total - shared * limits.hashed_blocks)


@jit.inlined
def hit_blocks(limits: Limits, offered: Offered, state: State, server: int, request: int) -> int:
    """Return the leading blocks of a prompt that are cached; its last token never is."""
    first = offered.first_block[request]
    tokens = prompt_of(offered, state, request) - 1
    most = min(offered.first_block[request + 1] - first, tokens // limits.hashed_tokens)
    hits = 0
    while (
        hits < most and state.users[server * limits.hashes + offered.block_hash[first + hits]] >= 0
    ):
        hits += 1
    return hits


@jit.inlined
def keep_unused(limits: Limits, state: State, server: int, block: int) -> None:
    """Make a hashed block the most recently used of those that no request uses."""
    newest = state.newest[server]
    state.users[server * limits.hashes + block] = 0
    state.older[server * limits.hashes + block] = newest
    state.newer[server * limits.hashes + block] = NOBODY
    if newest == NOBODY:
        state.oldest[server] = block
    else:
        state.newer[server * limits.hashes + newest] = block
    state.newest[server] = block
    state.unused[server] += 1


@jit.inlined
def take_unused(limits: Limits, state: State, server: int, block: int) -> None:
    """Remove a hashed block from those that no request uses."""
    older = state.older[server * limits.hashes + block]
    newer = state.newer[server * limits.hashes + block]
    if older == NOBODY:
        state.oldest[server] = newer
    else:
        state.newer[server * limits.hashes + older] = newer
    if newer == NOBODY:
        state.newest[server] = older
    else:
        state.older[server * limits.hashes + newer] = older
    state.unused[server] -= 1


@jit.inlined
def evict(limits: Limits, state: State, server: int, needed: int) -> int:
    """Drop hashed blocks, least recently used first, until ``needed`` blocks are free.

    Return how many blocks are free beyond those needed, negative if there are too few. Blocks
    ``needed`` include all that requests have for themselves.
    """
    free = limits.blocks - needed - int(state.cached[server]) * limits.hashed_blocks
    while free < 0 and state.unused[server] > 0:
        block = state.oldest[server]
        take_unused(limits, state, server, block)
        state.users[server * limits.hashes + block] = NOBODY
        state.cached[server] -= 1
        free += limits.hashed_blocks
    return free


@jit.inlined
def use_hits(
    limits: Limits, offered: Offered, state: State, server: int, request: int, hits: int
) -> None:
    """Let a request use its leading cached blocks."""
    first = offered.first_block[request]
    for place in range(first, first + hits):
        block = offered.block_hash[place]
        if state.users[server * limits.hashes + block] == 0:
            take_unused(limits, state, server, block)
        else:
            state.twice[server] += 1
        state.users[server * limits.hashes + block] += 1
        state.held[place] = 1
    state.shared[request] = hits


@jit.inlined
def share_prompt(limits: Limits, offered: Offered, state: State, server: int, request: int) -> None:
    """Offer the whole blocks of a prompt that has been prefilled to others."""
    first = offered.first_block[request]
    whole = prompt_of(offered, state, request) // limits.hashed_tokens
    for place in range(first, min(offered.first_block[request + 1], first + whole)):
        block = offered.block_hash[place]
        if state.users[server * limits.hashes + block] == NOBODY:
            state.users[server * limits.hashes + block] = 1
            state.held[place] = 1
            state.cached[server] += 1
            state.shared[request] += 1


@jit.inlined
def give_back(limits: Limits, offered: Offered, state: State, server: int, request: int) -> None:
    """End the use of hashed blocks, the last first, so that it is evicted first."""
    first = offered.first_block[request]
    for place in range(offered.first_block[request + 1] - 1, first - 1, -1):
        if state.held[place] == 1:
            block = offered.block_hash[place]
            state.held[place] = 0
            state.users[server * limits.hashes + block] -= 1
            if state.users[server * limits.hashes + block] == 0:
                keep_unused(limits, state, server, block)
            else:
                state.twice[server] -= 1


@jit.inlined
def keep_answer(limits: Limits, offered: Offered, state: State, server: int, request: int) -> None:
    """Keep the blocks of prompt and answer that the next turn of the session begins with."""
    turn = offered.next[request]
    if turn == NOBODY:
        return
    first = offered.first_block[turn]
    # the last token of the answer has not been processed
    tokens = offered.input_len[request] + offered.output_len[request] - 1
    last = min(offered.first_block[turn + 1], first + tokens // limits.hashed_tokens)
    for place in range(last - 1, first - 1, -1):
        block = offered.block_hash[place]
        if state.users[server * limits.hashes + block] == NOBODY:
            state.cached[server] += 1
            keep_unused(limits, state, server, block)


# Queues.


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
    place = state.counts[0]
    state.due_s[place], state.due[place] = due_s, request
    state.counts[0] += 1
    while place > 0 and is_due_before(state, place, (place - 1) // 2):
        swap_due(state, place, (place - 1) // 2)
        place = (place - 1) // 2


@jit.inlined
def take_due(state: State) -> int:
    """Remove the earliest request from the heap."""
    request = state.due[0]
    state.counts[0] -= 1
    count = state.counts[0]
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


# Time.


@jit.inlined
def add_time(
    state: State,
    server: int,
    begin: float,
    end: float,
    waiting: float,
    running: float,
    used: float,
) -> None:
    """Integrate requests and KV cache in use over a time, in sum and in the bins that it meets."""
    seconds = end - begin
    state.waiting_s[server] += waiting * seconds
    state.running_s[server] += running * seconds
    state.used_s[server] += used * seconds
    while end >= BINS * state.bin_s[0]:
        for kind in range(3):
            for place in range(BINS // 2):
                state.timeline[kind * BINS + place] = (
                    state.timeline[kind * BINS + 2 * place]
                    + state.timeline[kind * BINS + 2 * place + 1]
                )
            for place in range(BINS // 2, BINS):
                state.timeline[kind * BINS + place] = 0.0
        state.bin_s[0] *= 2.0
    width = state.bin_s[0]
    place = int(begin / width)
    while begin < end:
        until = min(end, (place + 1) * width)
        state.timeline[place] += waiting * (until - begin)
        state.timeline[BINS + place] += running * (until - begin)
        state.timeline[2 * BINS + place] += used * (until - begin)
        begin = until
        place += 1


@jit.inlined
def add_gap(state: State, seconds: float, count: float) -> None:
    """Count times between two tokens of a sequence."""
    code = int(np.float64(max(seconds, LEAST_GAP)).view(np.int64)) >> DROPPED_BITS
    state.gaps[min(code - FIRST_GAP_BIN, GAP_BINS - 1)] += count


@jit.inlined
def mean_context(
    replica: Replica, limits: Limits, state: State, server: int, writing: int, step: int
) -> Context:
    """Return the mean context of the sequences that write in a write step."""
    if writing == 0:
        return Context(0.0, 0.0, 0.0)
    model = replica.model
    per_sequence = 1.0 / writing
    length = state.starts[server] * per_sequence + replica.step_tokens * step
    seen = length
    if model.index_topk > 0.0:
        seen = 0.0
        for position in range(writing):
            request = state.row[server * limits.positions + position]
            seen += min(context_of(replica, state, request, step), index_limit(model))
        seen *= per_sequence
    near = 0.0
    if model.window_kv_elements > 0.0:
        window = window_limit(model)
        for position in range(writing):
            request = state.row[server * limits.positions + position]
            context = context_of(replica, state, request, step)
            inside = context - window * floor_of((context - 1.0) * (1.0 / window))
            near += inside if model.window_chunked == 1.0 else min(context, window)
        near *= per_sequence
    return Context(length, seen, near)


# Scheduler.


@jit.inlined
def preempt(
    replica: Replica, limits: Limits, offered: Offered, log: Log, state: State, server: int
) -> None:
    """Stop the request that was admitted last; it is prefilled again, with what it has written."""
    position = state.running[server] - 1
    request = state.row[server * limits.positions + position]
    state.running[server] = position
    state.to_prefill[server] -= state.left[request]
    if position < state.writing[server]:
        step = state.write_steps[server]
        context = context_of(replica, state, request, step)
        # the prefill that follows writes a token, unless another pool does it
        state.written[request] = context - offered.input_len[request] - limits.prefilled
        state.token_s[request] = max(state.token_s[request], state.wrote_at[server])
        state.starts[server] -= state.start[request]
        state.writing[server] = position
        state.steady[server] = min(state.steady[server], position)
    give_back(limits, offered, state, server, request)
    join_queue(limits, offered, state, server, request, True)
    state.to_prefill[server] += prompt_of(offered, state, request)
    state.preempted[server] += 1
    log.preemptions[request] += 1


@jit.inlined
def make_room(
    replica: Replica, limits: Limits, offered: Offered, log: Log, state: State, server: int
) -> bool:
    """Find blocks for the next write step; return whether requests had to be preempted.

    Each write step of W sequences takes at most W (1 + y / b) blocks more, for y tokens a step and
    blocks of b tokens, which gives the number of steps before blocks must be counted again.
    """
    step = state.write_steps[server]
    if limits.reserved == 1 or state.writing[server] == 0 or step < state.sure_until[server]:
        return False
    preempted = False
    own = own_at_most(replica, limits, offered, state, server)
    free = limits.blocks - own - state.cached[server] * limits.hashed_blocks
    while free < 0:
        own = own_blocks(replica, limits, offered, state, server)
        free = evict(limits, state, server, own)
        if free < 0:
            preempt(replica, limits, offered, log, state, server)
            preempted = True
    each = float(free // max(state.writing[server], 1) - 1)
    more = max(each * limits.block_tokens * replica.per_step_token, 0.0)
    state.sure_until[server] = step + 1 + int(min(more, 1e9))
    return preempted


@jit.inlined
def admit(
    replica: Replica,
    limits: Limits,
    offered: Offered,
    log: Log,
    state: State,
    server: int,
    room: int,
) -> bool:
    """Admit the first request of the queue if its blocks are free, and its prompt fits if whole."""
    request = state.head[server]
    position = state.running[server]
    tokens = prompt_of(offered, state, request)
    hits = hit_blocks(limits, offered, state, server, request)
    new = tokens - hits * limits.hashed_tokens
    if limits.prefilled == 1:
        new = 0
    if limits.chunked == 0 and new > room and room < limits.budget:
        return False
    if limits.reserved == 1:
        tokens = offered.input_len[request] + offered.output_len[request]
    more = blocks_of(limits, float(tokens)) - hits * limits.hashed_blocks
    own = own_at_most(replica, limits, offered, state, server) + more
    reserve = limits.watermark if position > 0 else 0
    if own + state.cached[server] * limits.hashed_blocks + reserve > limits.blocks:
        own = own_blocks(replica, limits, offered, state, server) + more
        first = offered.first_block[request]
        evictable = state.unused[server]
        for place in range(first, first + hits):
            evictable -= state.users[server * limits.hashes + offered.block_hash[place]] == 0
        kept = (state.cached[server] - evictable) * limits.hashed_blocks
        if own + kept + reserve > limits.blocks:
            return False
    leave_queue(state, server)
    state.running[server] += 1
    state.row[server * limits.positions + position] = request
    use_hits(limits, offered, state, server, request, hits)
    evict(limits, state, server, own)
    state.sure_until[server] = state.write_steps[server]
    state.left[request] = new
    tokens = prompt_of(offered, state, request)
    state.to_prefill[server] -= tokens - new
    if np.isnan(log.admitted_s[request]):
        log.admitted_s[request] = state.clock[server]
        log.cached_tokens[request] = hits * limits.hashed_tokens
        state.hit_tokens[server] += hits * limits.hashed_tokens
        state.prompt_tokens[server] += tokens
    return True


@jit.inlined
def fill_step(
    replica: Replica,
    limits: Limits,
    offered: Offered,
    log: Log,
    state: State,
    server: int,
    admits: bool,
) -> Parts:
    """Return the prompts of a step: those that run, then those that it admits.

    They take the tokens that the sequences which write leave of the budget. Without chunks, whole
    prompts have steps of their own, a longer one alone.
    """
    work = no_prompts()
    prompts = 0.0
    finished = 0.0
    room = limits.budget
    if limits.chunked == 1:
        room -= int(state.writing[server] * replica.drafted)
    position = state.writing[server]
    while room > 0:
        if position == state.running[server]:
            full = position == limits.max_sequences or state.waiting[server] == 0
            if full or not admits:
                break
            if not admit(replica, limits, offered, log, state, server, room):
                break
        request = state.row[server * limits.positions + position]
        left = state.left[request]
        take = min(left, room) if limits.chunked == 1 else left
        if take > 0:
            done = prompt_of(offered, state, request) - left
            part = prompts_of(replica.model, 1.0, float(take), float(done))
            work = with_prompt(work, part)
            prompts += 1.0
            finished += 1.0 if take == left else 0.0
        state.left[request] = left - take
        state.to_prefill[server] -= take
        room -= take
        if take < left:
            break
        position += 1
    return Parts(work, prompts, finished)


@jit.inlined
def begin_writing(
    replica: Replica, limits: Limits, offered: Offered, log: Log, state: State, server: int
) -> None:
    """Let the requests write whose prompts have ended; they have a token more."""
    now = state.clock[server]
    step = state.write_steps[server]
    position = state.writing[server]
    while position < state.running[server]:
        request = state.row[server * limits.positions + position]
        if state.left[request] > 0:
            break
        share_prompt(limits, offered, state, server, request)
        if np.isnan(log.first_token_s[request]):
            log.first_token_s[request] = now
        else:
            add_gap(state, now - state.token_s[request], 1.0)
        if limits.prefilled == 0:
            state.token_s[request] = now
        state.written[request] += 1.0
        missing = (offered.output_len[request] - state.written[request]) * replica.per_step_token
        more = int(ceil_of(max(missing - ROUNDING, 0.0)))
        start = offered.input_len[request] + state.written[request] - replica.step_tokens * step
        state.start[request] = start
        state.starts[server] += start
        state.end[request] = step + more
        state.next_end[server] = min(state.next_end[server], step + more)
        state.sure_until[server] = step
        position += 1
    state.writing[server] = position


@jit.inlined
def finish(limits: Limits, offered: Offered, log: Log, state: State, server: int) -> None:
    """End the requests that have written everything."""
    now = state.clock[server]
    step = state.write_steps[server]
    writing = state.writing[server]
    kept = 0
    kept_writing = 0
    kept_steady = 0
    next_end = np.iinfo(np.int64).max
    for position in range(state.running[server]):
        request = state.row[server * limits.positions + position]
        if position < writing and state.end[request] <= step:
            state.starts[server] -= state.start[request]
            log.finished_s[request] = now
            give_back(limits, offered, state, server, request)
            keep_answer(limits, offered, state, server, request)
            release_dependents(offered, state, request, now)
            continue
        if position < writing:
            next_end = min(next_end, state.end[request])
            kept_writing += 1
            kept_steady += position < state.steady[server]
        state.row[server * limits.positions + kept] = request
        kept += 1
    state.running[server] = kept
    state.writing[server] = kept_writing
    state.steady[server] = kept_steady
    state.next_end[server] = next_end
    state.sure_until[server] = step
    if kept_writing == 0:
        state.starts[server] = 0.0  # without the rounding errors of all that have ended


@jit.inlined
def equal_steps(replica: Replica, limits: Limits, state: State, server: int) -> int:
    """Return the write steps for which nothing changes but contexts, at least one."""
    step = state.write_steps[server]
    steps = state.next_end[server] - step
    if limits.reserved == 0:
        steps = min(steps, state.sure_until[server] - step)
    growth = state.writing[server] * replica.step_tokens
    context = state.starts[server] + growth * step
    steps = min(steps, 16 + int(GROWTH * context / growth))
    return max(int(steps), 1)


@jit.inlined
def steps_before(begin: float, horizon: float, first_s: float, slower: float, most: int) -> int:
    """Return the steps, at most ``most``, of which the last starts before ``horizon``.

    k steps take k (``first_s`` + ``slower`` (k - 1)).
    """
    if begin + (most - 1) * (first_s + slower * (most - 2)) < horizon:
        return most
    short = 1  # steps that end before the horizon
    while most - short > 1:
        middle = (short + most) // 2
        if begin + middle * (first_s + slower * (middle - 1)) < horizon:
            short = middle
        else:
            most = middle
    return most


@jit.inlined
def span_of(
    replica: Replica,
    limits: Limits,
    state: State,
    server: int,
    writing: int,
    parts: Parts,
    horizon: float,
) -> Span:
    """Return the next step, or several equal ones of which the last starts before ``horizon``.

    Over k equal steps, the time and energy of a step grow in proportion to its number.
    """
    begin = state.clock[server]
    step = state.write_steps[server]
    load = load_at(replica, float(writing), parts.prompts, parts.work.tokens, parts.finished)
    context = mean_context(replica, limits, state, server, writing, step)
    first = mixed_at(replica, load, context, parts.work)
    one = Span(1, first.seconds, first.seconds, first.energy_j, first.bytes_moved)
    if limits.at_once == 0 or parts.prompts > 0.0 or begin + first.seconds >= horizon:
        return one
    most = equal_steps(replica, limits, state, server)
    if most == 1:
        return one
    context = mean_context(replica, limits, state, server, writing, step + most - 1)
    last = mixed_at(replica, load, context, parts.work)
    per_pair = 0.5 / (most - 1)
    slower = per_pair * (last.seconds - first.seconds)
    steps = steps_before(begin, horizon, first.seconds, slower, most)
    pairs = steps * (steps - 1.0)
    return Span(
        steps=steps,
        first_s=first.seconds,
        seconds=steps * first.seconds + slower * pairs,
        energy_j=steps * first.energy_j + per_pair * (last.energy_j - first.energy_j) * pairs,
        bytes_moved=steps * first.bytes_moved
        + per_pair * (last.bytes_moved - first.bytes_moved) * pairs,
    )


@jit.inlined
def used_tokens(
    replica: Replica, limits: Limits, offered: Offered, state: State, server: int
) -> float:
    """Return the tokens in the KV cache of running requests, shared ones counted once."""
    step = state.write_steps[server]
    writers = state.writing[server]
    used = state.starts[server] + writers * (replica.step_tokens * step)
    for position in range(writers, state.running[server]):
        request = state.row[server * limits.positions + position]
        used += prompt_of(offered, state, request) - state.left[request]
    return float(used - state.twice[server] * limits.hashed_tokens)


@jit.inlined
def count_gaps(limits: Limits, state: State, server: int, writing: int, span: Span) -> None:
    """Count the times between tokens in a span of steps in which ``writing`` sequences write."""
    begin = state.clock[server]
    steady = state.steady[server]
    if steady > 0:
        add_gap(state, span.first_s + (begin - state.wrote_at[server]), float(steady))
    for position in range(steady, writing):
        since = begin - state.token_s[state.row[server * limits.positions + position]]
        add_gap(state, span.first_s + since, 1.0)
    if span.steps > 1:
        mean_s = (span.seconds - span.first_s) / (span.steps - 1)
        add_gap(state, mean_s, writing * (span.steps - 1.0))


@jit.inlined
def advance(
    replica: Replica,
    limits: Limits,
    offered: Offered,
    log: Log,
    state: State,
    server: int,
    horizon: float,
) -> None:
    """Take one step, or several equal ones of which the last starts before ``horizon``."""
    preempted = make_room(replica, limits, offered, log, state, server)
    parts = fill_step(replica, limits, offered, log, state, server, not preempted)
    if limits.prefilled == 1:
        begin_writing(replica, limits, offered, log, state, server)
        make_room(replica, limits, offered, log, state, server)
    stalled = limits.chunked == 0 and parts.prompts > 0.0
    writing = 0 if stalled else int(state.writing[server])
    span = span_of(replica, limits, state, server, writing, parts, horizon)
    begin = state.clock[server]
    end = begin + span.seconds
    used = used_tokens(replica, limits, offered, state, server)
    used += 0.5 * replica.step_tokens * writing * (span.steps - 1)
    waits = float(state.waiting[server])
    add_time(state, server, begin, end, waits, float(state.running[server]), used)
    state.busy_s[server] += span.seconds
    state.most_used[server] = max(state.most_used[server], used)
    state.energy_j[server] += span.energy_j
    state.bytes_moved[server] += span.bytes_moved
    state.steps[server] += span.steps
    if writing > 0:
        count_gaps(limits, state, server, writing, span)
        state.steady[server] = writing
        state.wrote_at[server] = end
        state.write_steps[server] += span.steps
    state.clock[server] = end
    if limits.prefilled == 0 and parts.finished > 0.0:
        begin_writing(replica, limits, offered, log, state, server)
    if state.next_end[server] <= state.write_steps[server]:
        finish(limits, offered, log, state, server)


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
