"""Rules of the scheduler, one function each.

A step of a server carries one token of each sequence in decode (with speculation, all tokens to
verify) and parts of prompts. Sequences in decode are always in a step; prompts take the rest of its
token budget. In this package, sequences in decode are said to write, and their steps are write
steps.
"""

import numpy as np

from perfcore.kernel import jit
from perfcore.physics.prefill import prompts_of
from perfcore.physics.rounding import ceil_of
from perfcore.physics.stages.beside import ExpertSide
from perfcore.physics.stages.mixed import no_prompts, with_prompt
from perfcore.physics.stages.replica import Replica
from perfcore.traffic.steps.blocks import (
    blocks_of,
    context_of,
    evict,
    found_again,
    give_back,
    hit_blocks,
    hits_below,
    keep_answer,
    own_at_most,
    own_blocks,
    prompt_of,
    share_prompt,
    tier_of,
    use_hits,
)
from perfcore.traffic.steps.clock import add_gap, add_time, count_gaps, span_of, used_tokens
from perfcore.traffic.steps.queues import join_queue, leave_queue
from perfcore.traffic.steps.records import ENDED, LOWER, Limits, Log, Offered, Parts, Span, State

ROUNDING = 1e-9  # of numbers of tokens and steps


@jit.inlined
def preempt(
    replica: Replica, limits: Limits, offered: Offered, log: Log, state: State, server: int
) -> None:
    """Stop the request that was admitted last; it is prefilled again with its generated tokens."""
    position = state.running[server] - 1
    request = state.row[server * limits.positions + position]
    state.running[server] = position
    state.to_prefill[server] -= state.left[request]
    state.kept[request] = prompt_of(offered, state, request) - state.left[request]
    state.kept_at[request] = state.taken[server]
    if position < state.writing[server]:
        step = state.write_steps[server]
        context = context_of(replica, state, request, step)
        # the prefill that follows writes a token, unless another pool does it
        state.written[request] = context - offered.input_len[request] - limits.prefilled
        state.kept[request] = context
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
def count_hits(
    limits: Limits, offered: Offered, state: State, server: int, request: int, hits: int
) -> None:
    """Count the tokens of leading cached blocks, by tier."""
    state.hit_tokens[server] += hits * limits.hashed_tokens
    first = offered.first_block[request]
    for place in range(first, first + hits):
        tier = tier_of(limits, state, server, offered.block_hash[place])
        if tier >= 0:
            state.lower_hit_tokens[server * LOWER + tier] += limits.hashed_tokens


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
    known = max(hits * limits.hashed_tokens, found_again(limits, offered, state, server, request))
    new = tokens - known
    if limits.prefilled == 1:
        new = 0
    if limits.chunked == 0 and new > room and room < limits.budget * limits.passes:
        return False
    if limits.reserved == 1:
        tokens = offered.input_len[request] + offered.output_len[request]
    more = blocks_of(limits, float(tokens)) - hits * limits.hashed_blocks
    own = own_at_most(replica, limits, offered, state, server) + more
    reserve = limits.watermark if position > 0 else 0
    reserve += hits_below(limits, offered, state, server, request, hits) * limits.hashed_blocks
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
    if np.isnan(log.admitted_s[request]):
        count_hits(limits, offered, state, server, request, hits)
    use_hits(limits, offered, state, server, request, hits)
    evict(limits, state, server, own)
    state.sure_until[server] = state.write_steps[server]
    state.left[request] = new
    tokens = prompt_of(offered, state, request)
    state.taken[server] += tokens - known
    state.to_prefill[server] -= tokens - new
    if np.isnan(log.admitted_s[request]):
        log.admitted_s[request] = state.clock[server]
        log.cached_tokens[request] = hits * limits.hashed_tokens
        state.prompt_tokens[server] += tokens
    return True


@jit.inlined
def fill_step(
    replica: Replica,
    draft: Replica | None,
    limits: Limits,
    offered: Offered,
    log: Log,
    state: State,
    server: int,
    admits: bool,
    planned_at: float,
) -> Parts:
    """Return the prompts of a step: running ones, then those that it admits.

    It admits what had arrived when it was planned, in the order of the queue.

    They take what sequences in decode leave of the token budget of each pass; a prompt takes the
    budget of one pass at most. Without chunks, whole prompts have separate steps, and a prompt
    longer than the budget runs alone.
    """
    work = no_prompts()
    own_work = no_prompts()
    prompts = 0.0
    finished = 0.0
    most = limits.budget
    if limits.chunked == 1:
        fullest = (state.writing[server] + limits.passes - 1) // limits.passes
        most -= int(fullest * replica.drafted)
    room = most * limits.passes
    position = state.writing[server]
    while room > 0:
        if position == state.running[server]:
            full = position == limits.max_sequences or state.waiting[server] == 0
            if full or not admits or log.arrival_s[state.head[server]] > planned_at:
                break
            if not admit(replica, limits, offered, log, state, server, room):
                break
        request = state.row[server * limits.positions + position]
        left = state.left[request]
        take = min(left, most, room) if limits.chunked == 1 else left
        if take > 0:
            done = prompt_of(offered, state, request) - left
            part = prompts_of(replica.model, 1.0, float(take), float(done))
            work = with_prompt(work, part)
            if draft is not None:
                own_part = prompts_of(draft.model, 1.0, float(take), float(done))
                own_work = with_prompt(own_work, own_part)
            prompts += 1.0
            finished += 1.0 if take == left else 0.0
        state.left[request] = left - take
        state.to_prefill[server] -= take
        room -= take
        position += 1
    return Parts(work, own_work, prompts, finished)


@jit.inlined
def begin_writing(
    replica: Replica, limits: Limits, offered: Offered, log: Log, state: State, server: int
) -> None:
    """Move requests whose prompts have ended to decode; each gains a token."""
    now = state.clock[server]
    step = state.write_steps[server]
    writing = state.writing[server]
    first = server * limits.positions
    for position in range(writing, state.running[server]):
        request = state.row[first + position]
        if state.left[request] > 0:
            continue
        for place in range(position, writing, -1):  # ahead of prompts that take longer
            state.row[first + place] = state.row[first + place - 1]
        state.row[first + writing] = request
        writing += 1
        share_prompt(limits, offered, state, server, request)
        if np.isnan(log.first_token_s[request]):
            log.first_token_s[request] = now
        elif limits.prefilled == 0:
            add_gap(state, now - state.token_s[request], 1.0)
        if limits.prefilled == 0:
            state.token_s[request] = now
        state.written[request] += 1.0
        missing = (offered.output_len[request] - state.written[request]) * replica.per_step_token
        more = int(ceil_of(max(missing - ROUNDING, 0.0)))
        start = offered.input_len[request] + state.written[request] - replica.step_tokens * step
        state.start[request] = start
        state.starts[server] += start
        state.least_start[server] = min(state.least_start[server], start)
        state.end[request] = step + more
        state.next_end[server] = min(state.next_end[server], step + more)
        state.sure_until[server] = step
    state.writing[server] = writing


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
            state.ended[state.counts[ENDED]] = request
            state.counts[ENDED] += 1
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
        state.least_start[server] = np.inf


@jit.inlined
def with_loads(state: State, server: int, span: Span) -> Span:
    """Return a step that also loads blocks from lower tiers, and lasts at least as long as that."""
    longer_s = max(state.loads_s[server] - span.seconds, 0.0)
    loads = float(state.loads[server])
    state.loads[server] = 0
    state.loads_s[server] = 0.0
    state.stalled_s[server] += longer_s
    return Span(
        steps=span.steps,
        first_s=span.first_s + longer_s,
        before_s=span.before_s,
        seconds=span.seconds + longer_s,
        energy_j=span.energy_j + state.stalled_w[0] * longer_s + state.load_j[0] * loads,
        bytes_moved=span.bytes_moved + state.load_bytes[0] * loads,
    )


@jit.inlined
def advance(
    replica: Replica,
    draft: Replica | None,
    experts: ExpertSide | None,
    limits: Limits,
    offered: Offered,
    log: Log,
    state: State,
    server: int,
    horizon: float,
) -> None:
    """Take one step, or several equal ones of which the last starts before ``horizon``."""
    begin = state.clock[server]
    planned_at = begin
    if limits.ahead == 1 and state.running[server] > 0:
        planned_at = state.planned_at[server]
    admits = not make_room(replica, limits, offered, log, state, server)
    parts = fill_step(replica, draft, limits, offered, log, state, server, admits, planned_at)
    if state.waiting[server] > 0 and log.arrival_s[state.head[server]] > planned_at:
        horizon = begin
    if limits.prefilled == 1:
        begin_writing(replica, limits, offered, log, state, server)
        make_room(replica, limits, offered, log, state, server)
    stalled = limits.chunked == 0 and parts.prompts > 0.0
    writing = 0 if stalled else int(state.writing[server])
    span = span_of(replica, draft, experts, limits, state, server, writing, parts, horizon)
    if state.loads[server] > 0:
        span = with_loads(state, server, span)
    end = begin + span.seconds
    used = used_tokens(replica, limits, offered, state, server)
    used += 0.5 * replica.step_tokens * writing * (span.steps - 1)
    waits = float(state.waiting[server])
    add_time(state, server, begin, end, waits, float(state.running[server]), used)
    state.busy_s[server] += span.seconds
    state.most_used[server] = max(state.most_used[server], used)
    state.energy_j[server] += span.energy_j
    state.bytes_moved[server] += span.bytes_moved
    state.taken[server] += writing * replica.step_tokens * span.steps
    state.steps[server] += span.steps
    if writing > 0:
        count_gaps(limits, state, server, writing, span)
        state.steady[server] = writing
        state.wrote_at[server] = end
        state.write_steps[server] += span.steps
    state.clock[server] = end
    state.planned_at[server] = begin + span.before_s
    if limits.prefilled == 0 and parts.finished > 0.0:
        begin_writing(replica, limits, offered, log, state, server)
    if state.next_end[server] <= state.write_steps[server]:
        finish(limits, offered, log, state, server)
