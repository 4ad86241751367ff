"""Time of steps, and the quantities counted over it."""

import numpy as np

from perfcore.kernel import jit
from perfcore.physics.attention import index_limit, window_limit
from perfcore.physics.rounding import floor_of
from perfcore.physics.stages.beside import ExpertSide
from perfcore.physics.stages.mixed import Load, Mixed, load_at, mixed_at
from perfcore.physics.stages.mixed_beside import apart_step, drafted_step, parts_of_step
from perfcore.physics.stages.passes import Context
from perfcore.physics.stages.replica import Replica
from perfcore.records import Model
from perfcore.traffic.steps.blocks import context_of, prompt_of
from perfcore.traffic.steps.records import (
    BINS,
    DROPPED_BITS,
    FIRST_GAP_BIN,
    GAP_BINS,
    LEAST_GAP,
    Limits,
    Offered,
    Parts,
    Span,
    State,
)

GROWTH = 0.125  # of the contexts, over which the time of a step counts as affine


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
    replica: Replica,
    model: Model,
    limits: Limits,
    state: State,
    server: int,
    writing: int,
    step: int,
) -> Context:
    """Return the mean context of the sequences in a decode step, by layers of ``model``.

    If all are known to be as long as a window, nothing is summed.
    """
    if writing == 0:
        return Context(0.0, 0.0, 0.0)
    per_sequence = 1.0 / writing
    length = state.starts[server] * per_sequence + replica.step_tokens * step
    least = state.least_start[server] + replica.step_tokens * step
    seen = length
    if model.index_topk > 0.0 and least >= index_limit(model):
        seen = index_limit(model)
    elif model.index_topk > 0.0:
        seen = 0.0
        for position in range(writing):
            request = state.row[server * limits.positions + position]
            seen += min(context_of(replica, state, request, step), index_limit(model))
        seen *= per_sequence
    near = 0.0
    window = window_limit(model)
    if model.window_kv_elements > 0.0 and model.window_chunked == 0.0 and least >= window:
        near = window
    elif model.window_kv_elements > 0.0:
        for position in range(writing):
            request = state.row[server * limits.positions + position]
            context = context_of(replica, state, request, step)
            inside = context - window * floor_of((context - 1.0) * (1.0 / window))
            near += inside if model.window_chunked == 1.0 else min(context, window)
        near *= per_sequence
    return Context(length, seen, near)


@jit.inlined
def used_tokens(
    replica: Replica, limits: Limits, offered: Offered, state: State, server: int
) -> float:
    """Return the tokens in the KV cache of running requests, counting shared ones once."""
    step = state.write_steps[server]
    writers = state.writing[server]
    used = state.starts[server] + writers * (replica.step_tokens * step)
    for position in range(writers, state.running[server]):
        request = state.row[server * limits.positions + position]
        used += prompt_of(offered, state, request) - state.left[request]
    return float(used - state.twice[server] * limits.hashed_tokens)


@jit.inlined
def count_gaps(limits: Limits, state: State, server: int, writing: int, span: Span) -> None:
    """Count the times between tokens in a span of steps with ``writing`` sequences in decode."""
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
def equal_steps(replica: Replica, limits: Limits, state: State, server: int) -> int:
    """Return the number of decode steps, at least one, in which only contexts change."""
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
def load_of_step(
    replica: Replica, experts: ExpertSide | None, writing: float, parts: Parts
) -> Load:
    """Return the part of a step that does not depend on contexts.

    With experts elsewhere, it is that of the part of the sequences that prompts join.
    """
    if experts is not None:
        writing = writing / parts_of_step(replica, writing)
    return load_at(replica, writing, parts.prompts, parts.work.tokens, parts.finished)


@jit.inlined
def step_of(
    replica: Replica,
    draft: Replica | None,
    experts: ExpertSide | None,
    limits: Limits,
    state: State,
    server: int,
    writing: int,
    parts: Parts,
    load: Load,
    step: int,
) -> Mixed:
    """Return a step of ``load`` in which the sequences that write have written ``step`` times."""
    context = mean_context(replica, replica.model, limits, state, server, writing, step)
    if draft is not None:
        return drafted_step(
            replica,
            draft,
            load,
            float(writing),
            parts.prompts,
            parts.finished,
            context,
            mean_context(replica, draft.model, limits, state, server, writing, step),
            parts.work,
            parts.own_work,
        )
    if experts is not None:
        return apart_step(
            replica, experts, load, float(writing), parts.prompts, context, parts.work
        )
    return mixed_at(replica, load, context, parts.work)


@jit.inlined
def span_of(
    replica: Replica,
    draft: Replica | None,
    experts: ExpertSide | None,
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
    load = load_of_step(replica, experts, float(writing), parts)
    first = step_of(replica, draft, experts, limits, state, server, writing, parts, load, step)
    one = Span(1, first.seconds, 0.0, first.seconds, first.energy_j, first.bytes_moved)
    if limits.at_once == 0 or parts.prompts > 0.0 or begin + first.seconds >= horizon:
        return one
    most = equal_steps(replica, limits, state, server)
    if most == 1:
        return one
    until = step + most - 1
    last = step_of(replica, draft, experts, limits, state, server, writing, parts, load, until)
    per_pair = 0.5 / (most - 1)
    slower = per_pair * (last.seconds - first.seconds)
    steps = steps_before(begin, horizon, first.seconds, slower, most)
    pairs = steps * (steps - 1.0)
    return Span(
        steps=steps,
        first_s=first.seconds,
        before_s=(steps - 1) * (first.seconds + slower * (steps - 2)),
        seconds=steps * first.seconds + slower * pairs,
        energy_j=steps * first.energy_j + per_pair * (last.energy_j - first.energy_j) * pairs,
        bytes_moved=steps * first.bytes_moved
        + per_pair * (last.bytes_moved - first.bytes_moved) * pairs,
    )
