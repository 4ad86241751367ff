"""The KV cache of a server: blocks of requests, and blocks of prompts that they share."""

from perfcore.kernel import jit
from perfcore.physics.rounding import ceil_of
from perfcore.physics.stages.replica import Replica
from perfcore.traffic.steps.records import CHAINS, LOWER, NOBODY, Limits, Offered, State


@jit.inlined
def blocks_of(limits: Limits, context: float) -> int:
    """Return the blocks of a sequence with ``context`` tokens, including hashed ones."""
    return int(ceil_of(context * (1.0 / limits.block_tokens))) + limits.fixed_blocks


@jit.inlined
def prompt_of(offered: Offered, state: State, request: int) -> int:
    """Return the tokens to prefill: the prompt, and those generated before a preemption."""
    return int(offered.input_len[request] + int(state.written[request]))


@jit.inlined
def context_of(replica: Replica, state: State, request: int, step: int) -> float:
    """Return the context of a sequence in a decode step, including its own token."""
    return float(state.start[request] + replica.step_tokens * step)


@jit.inlined
def own_blocks(
    replica: Replica, limits: Limits, offered: Offered, state: State, server: int
) -> int:
    """Return the blocks of running requests in the next decode step, without hashed ones."""
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
    """Return the leading blocks of a prompt found in any tier; its last token is never cached."""
    first = offered.first_block[request]
    tokens = prompt_of(offered, state, request) - 1
    most = min(offered.first_block[request + 1] - first, tokens // limits.hashed_tokens)
    hits = 0
    while (
        hits < most
        and state.users[server * limits.hashes + offered.block_hash[first + hits]] != NOBODY
    ):
        hits += 1
    return hits


@jit.inlined
def found_again(limits: Limits, offered: Offered, state: State, server: int, request: int) -> int:
    """Return the leading tokens of a preempted request whose blocks have not been reused.

    Its freed blocks are reused from the last to the first. The last token of its prompt never
    counts.
    """
    left = min(
        state.kept[request] - (state.taken[server] - state.kept_at[request]),
        prompt_of(offered, state, request) - 1.0,
    )
    if limits.keeps == 0 or left < limits.block_tokens:
        return 0
    return int(left * (1.0 / limits.block_tokens)) * limits.block_tokens


@jit.inlined
def join_chain(limits: Limits, state: State, server: int, tier: int, block: int) -> None:
    """Make a hashed block the most recently used of a chain: 0, unused ones on the devices."""
    chain = server * CHAINS + tier
    newest = state.newest[chain]
    state.older[server * limits.hashes + block] = newest
    state.newer[server * limits.hashes + block] = NOBODY
    if newest == NOBODY:
        state.oldest[chain] = block
    else:
        state.newer[server * limits.hashes + newest] = block
    state.newest[chain] = block


@jit.inlined
def leave_chain(limits: Limits, state: State, server: int, tier: int, block: int) -> None:
    """Remove a hashed block from a chain."""
    chain = server * CHAINS + tier
    older = state.older[server * limits.hashes + block]
    newer = state.newer[server * limits.hashes + block]
    if older == NOBODY:
        state.oldest[chain] = newer
    else:
        state.newer[server * limits.hashes + older] = newer
    if newer == NOBODY:
        state.newest[chain] = older
    else:
        state.older[server * limits.hashes + newer] = older


@jit.inlined
def keep_unused(limits: Limits, state: State, server: int, block: int) -> None:
    """Make a hashed block the most recently used of those that no request uses."""
    state.users[server * limits.hashes + block] = 0
    join_chain(limits, state, server, 0, block)
    state.unused[server] += 1


@jit.inlined
def take_unused(limits: Limits, state: State, server: int, block: int) -> None:
    """Remove a hashed block from those that no request uses."""
    leave_chain(limits, state, server, 0, block)
    state.unused[server] -= 1


@jit.inlined
def tier_of(limits: Limits, state: State, server: int, block: int) -> int:
    """Return the lower tier of a hashed block, from 0; negative: it is in none."""
    return int(NOBODY - 1 - state.users[server * limits.hashes + block])


@jit.inlined
def take_from_lower(limits: Limits, state: State, server: int, block: int) -> None:
    """Remove a hashed block from its lower tier, if it is in one."""
    tier = tier_of(limits, state, server, block)
    if 0 <= tier < LOWER:
        leave_chain(limits, state, server, 1 + tier, block)
        state.lower[server * LOWER + tier] -= 1
        state.users[server * limits.hashes + block] = NOBODY


@jit.inlined
def move_down(limits: Limits, state: State, server: int, block: int) -> None:
    """Move a hashed block from the devices to the first lower tier, whose oldest makes room for it.

    That one moves down likewise; the last one is dropped.
    """
    state.users[server * limits.hashes + block] = NOBODY
    for tier in range(LOWER):
        if state.lower_blocks[tier] > 0 and block != NOBODY:
            join_chain(limits, state, server, 1 + tier, block)
            state.users[server * limits.hashes + block] = NOBODY - 1 - tier
            state.lower[server * LOWER + tier] += 1
            block = NOBODY
            if state.lower[server * LOWER + tier] > state.lower_blocks[tier]:
                block = state.oldest[server * CHAINS + 1 + tier]
                take_from_lower(limits, state, server, block)


@jit.inlined
def hits_below(
    limits: Limits, offered: Offered, state: State, server: int, request: int, hits: int
) -> int:
    """Return how many of the leading cached blocks of a prompt are in lower tiers."""
    first = offered.first_block[request]
    below = 0
    for place in range(first, first + hits):
        below += state.users[server * limits.hashes + offered.block_hash[place]] < NOBODY
    return below


@jit.inlined
def evict(limits: Limits, state: State, server: int, needed: int) -> int:
    """Evict hashed blocks, least recently used first, until ``needed`` blocks are free.

    Return how many blocks are free beyond those needed, negative if there are too few. Blocks
    ``needed`` include all that requests have for themselves.
    """
    free = limits.blocks - needed - int(state.cached[server]) * limits.hashed_blocks
    while free < 0 and state.unused[server] > 0:
        block = state.oldest[server * CHAINS]
        take_unused(limits, state, server, block)
        move_down(limits, state, server, block)
        state.cached[server] -= 1
        free += limits.hashed_blocks
    return free


@jit.inlined
def use_hits(
    limits: Limits, offered: Offered, state: State, server: int, request: int, hits: int
) -> None:
    """Let a request use its leading cached blocks; those in lower tiers are loaded."""
    first = offered.first_block[request]
    for place in range(first, first + hits):
        block = offered.block_hash[place]
        tier = tier_of(limits, state, server, block)
        if tier >= 0:
            take_from_lower(limits, state, server, block)
            state.users[server * limits.hashes + block] = 0
            state.cached[server] += 1
            state.loads[server] += 1
            state.loads_s[server] += state.load_s[tier]
        elif state.users[server * limits.hashes + block] == 0:
            take_unused(limits, state, server, block)
        else:
            state.twice[server] += 1
        state.users[server * limits.hashes + block] += 1
        state.held[place] = 1
    state.shared[request] = hits


@jit.inlined
def share_prompt(limits: Limits, offered: Offered, state: State, server: int, request: int) -> None:
    """Offer the whole blocks of a prefilled prompt to other requests."""
    first = offered.first_block[request]
    whole = prompt_of(offered, state, request) // limits.hashed_tokens
    for place in range(first, min(offered.first_block[request + 1], first + whole)):
        block = offered.block_hash[place]
        if state.users[server * limits.hashes + block] < 0:
            take_from_lower(limits, state, server, block)
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
        if state.users[server * limits.hashes + block] < 0:
            take_from_lower(limits, state, server, block)
            state.cached[server] += 1
            keep_unused(limits, state, server, block)
