"""Requests, servers and rules as arrays and numbers, for compiled code.

Compiled, the arrays are pointers, whose references Numba does not count.
"""

from typing import NamedTuple

import numpy as np

from perfcore.kernel.layout import Integers, Reals
from perfcore.physics.prefill import Prompts
from perfcore.physics.stages.replica import Replica

NOBODY = -1
BINS = 1024  # bins of the timeline
DROPPED_BITS = 45  # of a gap's float64, which leaves 128 bins per octave, at most 0.8 % wide
GAP_BINS = 128 * 48
LEAST_GAP = 2.0**-24  # lower end of the first bin [s]
FIRST_GAP_BIN = int(np.float64(LEAST_GAP).view(np.int64)) >> DROPPED_BITS
ROUND_ROBIN = 0
LEAST_LOADED = 1
PREFIX_AWARE = 2
LOWER = 2  # number of memory tiers below device memory
CHAINS = 1 + LOWER  # chains of blocks in order of use: on the devices, and in each lower tier
DUE = 0  # index in ``counts`` of the number of requests in the heap
ROUTED = 1  # of the number of routed requests
ENDED = 2  # of the number of requests that ended in the last steps


class Limits(NamedTuple):
    """Rules and sizes of one server, as numbers."""

    budget: int  # tokens per pass
    passes: int  # passes per step: one for each attention group and pipeline stage
    max_sequences: int
    chunked: int  # 1: prompts share steps with decode; 0: whole prompts in separate steps
    reserved: int  # 1: all blocks are reserved on admission; 0: those of the answer on demand
    by_priority: int
    block_tokens: int
    blocks: int  # blocks of the KV cache
    fixed_blocks: int  # blocks of each sequence that do not depend on its tokens: windows, states
    watermark: int  # blocks that an admission leaves free
    hashed_tokens: int  # tokens of a hashed block, which prompts may share
    hashed_blocks: int  # KV-cache blocks per hashed block
    routing: int
    at_once: int  # 1: equal steps are taken at once; 0: one by one, the reference
    keeps: int  # 1: free blocks keep their content until they are reused (prefix cache)
    ahead: int  # 1: a step is scheduled while the one before it runs; 0: when that has ended
    prefilled: int  # 1: prompts arrive with their KV cache, from a pool of prefill servers
    requests: int
    servers: int
    positions: int  # maximum number of running requests of a server
    hashes: int


class Offered(NamedTuple):
    """Requests as the loop reads them, with hashes numbered from 0."""

    arrival_s: Reals
    input_len: Integers
    output_len: Integers
    after: Integers
    next: Integers  # next turn of the session
    priority: Integers
    first_block: Integers
    block_hash: Integers
    child: Integers  # first request that waits for the end of this one
    sibling: Integers  # next request that waits for the same one
    fits: Integers  # 0: it can never run


class Log(NamedTuple):
    """Course of each request."""

    arrival_s: Reals  # known once the request that it waits for has ended
    admitted_s: Reals
    first_token_s: Reals
    finished_s: Reals
    server: Integers
    cached_tokens: Integers
    preemptions: Integers
    ahead: Integers  # requests waiting at its arrival, on all servers


class State(NamedTuple):
    """Servers, and the requests that they hold. Arrays by server, unless stated."""

    clock: Reals  # end of the last step
    planned_at: Reals  # start of the last step, at which the next one is scheduled if ahead
    wrote_at: Reals  # end of the last step in which sequences wrote
    write_steps: Integers  # steps in which sequences wrote
    steps: Integers
    running: Integers
    writing: Integers  # number in decode, the first of the running ones; the rest are in prefill
    steady: Integers  # number of those that were also in the last decode step, which come first
    waiting: Integers
    head: Integers  # first request of the queue
    tail: Integers  # last request of the queue
    next_end: Integers  # earliest write step at which a sequence ends
    sure_until: Integers  # write step until which blocks are certain to suffice
    starts: Reals  # sum of ``start`` over the sequences that write
    least_start: Reals  # lower bound on their ``start``
    to_prefill: Integers  # prompt tokens of its requests
    twice: Integers  # uses of hashed blocks beyond the first of each
    cached: Integers  # hashed blocks that are kept
    unused: Integers  # kept blocks that no request uses
    oldest: Integers  # (servers x chains,) least recently used of the unused hashed blocks
    newest: Integers  # (servers x chains,) most recently used one
    lower: Integers  # (servers x lower tiers,) hashed blocks in each tier
    busy_s: Reals
    energy_j: Reals  # while busy
    bytes_moved: Reals
    running_s: Reals  # integral of running requests
    waiting_s: Reals  # integral of waiting requests
    used_s: Reals  # integral of the tokens in the KV cache of running requests
    hit_tokens: Integers
    lower_hit_tokens: Integers  # (servers x lower tiers,) hits found in each tier
    loads: Integers  # hashed blocks that the next step loads
    loads_s: Reals  # time of these loads
    stalled_s: Reals  # time by which loads have lengthened steps
    prompt_tokens: Integers  # prompt tokens admitted, including cached ones
    preempted: Integers
    taken: Reals  # tokens for which decode and admissions have taken room
    most_used: Reals  # maximum of the tokens in the KV cache of running requests
    row: Integers  # (servers x positions,) running requests in order of admission
    start: Reals  # (requests,) context at write step 0, had it written since
    end: Integers  # (requests,) write step at which it ends
    left: Integers  # (requests,) prompt tokens to prefill
    shared: Integers  # (requests,) hashed blocks that it uses
    users: Integers  # (servers x hashes,) requests that use the block; -1: not kept,
    # -2 - tier: in a lower tier
    older: Integers  # (servers x hashes,) neighbours of unused blocks in order of use
    newer: Integers  # (servers x hashes,)
    link: Integers  # (requests,) next in the queue
    written: Reals  # (requests,) tokens up to the last prefill or preemption
    token_s: Reals  # (requests,) time of the token from prefill, or of the last before a preemption
    kept: Reals  # (requests,) tokens that its last preemption left in free blocks
    kept_at: Reals  # (requests,) ``taken`` at the last preemption
    held: Integers  # (hashes of all requests,) 1: the request uses the block
    due_s: Reals  # (requests,) heap of requests whose predecessor has ended
    due: Integers  # (requests,) requests in the heap
    gaps: Reals  # (bins,) numbers of times between two tokens
    timeline: Reals  # (3 x bins,) integrals of waiting, running and KV cache in use
    bin_s: Reals  # (1,) width of a bin of the timeline
    ended: Integers  # (requests,) requests that ended in the last steps
    counts: Integers  # (3,) requests in the heap, routed, and ended in the last steps
    lower_blocks: Integers  # (lower tiers,) capacity in hashed blocks
    load_s: Reals  # (lower tiers,) time to load a hashed block
    load_j: Reals  # (1,) energy to write a hashed block to the memory of its devices
    load_bytes: Reals  # (1,) bytes that this moves
    stalled_w: Reals  # (1,) power of a server that waits for loads, with devices beside it


class Side(NamedTuple):
    """One of two pools of servers: their machine, rules, requests, log and state."""

    replica: Replica
    limits: Limits
    offered: Offered
    log: Log
    state: State


class Parts(NamedTuple):
    """Prompts of one step."""

    work: Prompts
    own_work: Prompts  # of a draft on devices of its own
    prompts: float
    finished: float


class Span(NamedTuple):
    """Equal steps of a server, one after the other."""

    steps: int
    first_s: float  # time of the first step
    before_s: float  # time before the last step
    seconds: float
    energy_j: float
    bytes_moved: float
