"""Simulation of requests on the servers of a configuration."""

from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from perfcore.errors import InputError, argument
from perfcore.kernel.layout import Integers, Reals
from perfcore.physics.attention import (
    kv_bytes_per_sequence,
    kv_bytes_per_token,
    state_bytes_per_sequence,
)
from perfcore.physics.energy import idle_power
from perfcore.physics.serving import hand_over
from perfcore.physics.stages.replica import OK, Replica, prepare
from perfcore.reading.places import Place
from perfcore.records import OFFLOAD_NONE, SCHEDULER_CONTINUOUS
from perfcore.traffic.others import NO_OTHERS, Others, others_beside, price_of_time
from perfcore.traffic.requests import Requests
from perfcore.traffic.results import QUEUE_GROWTH, QUEUE_SHARE, Simulation
from perfcore.traffic.steps.loop import serve, serve_pools
from perfcore.traffic.steps.records import (
    BINS,
    CHAINS,
    GAP_BINS,
    LOWER,
    NOBODY,
    Limits,
    Log,
    Offered,
    Side,
    State,
)
from perfcore.traffic.tiers import NONE, block_bytes, loads_of, parse_tiers

ADMISSIONS: Final = ("on-demand", "reserved")
ORDERS: Final = ("fcfs", "priority")
ROUTINGS: Final = ("round-robin", "least-loaded", "prefix-aware")
MOST: Final = 2**40  # tokens, blocks or sequences: as good as no limit
FIRST_BIN_S: Final = 2.0**-10  # of the timeline, which doubles it


@dataclass(frozen=True)
class Rules:
    """Rules of a server's scheduler; ``None`` is the engine's own.

    Parameters
    ----------
    admission
        ``on-demand``: the KV cache of a prompt on admission, that of its answer as it grows;
        ``reserved``: all of it on admission.
    order
        ``fcfs``, first come first served, or ``priority``, lower values first.
    budget
        Token budget of a pass; a step has one pass for each attention group and pipeline stage.
    max_sequences
        Maximum number of requests that one attention group runs at once.
    chunked
        Whether prompts are prefilled in chunks, in the steps of other requests; otherwise whole
        prompts have separate steps.
    block_tokens
        Tokens per block of the KV cache.
    kv_tokens
        Capacity of the KV cache of one attention group, as the engine's log states it; ``None``:
        what the memory holds. [tokens]
    watermark
        Share of the KV cache that an admission leaves free.
    prefix_cache
        Whether blocks of prompts are kept for other requests until their room is needed.
    kv_tiers
        Lower memory tiers of each device, into which blocks of prompts are evicted:
        ``dram:512GB@50GB/s,nvme:4TB@6GB/s``, or ``none``. Without a bandwidth, DRAM has that of the
        link between device and host.
    replicas, routing
        Number of identical servers, and the rule that assigns requests to them: ``round-robin``,
        ``least-loaded`` by requests, or ``prefix-aware``, by prompt tokens left to prefill.
    at_once
        Whether equal steps are computed together; otherwise one by one, which is the reference.

    Raises
    ------
    InputError
        There are faults; all of them are listed.
    """

    admission: str | None = None
    order: str = "fcfs"
    budget: int | None = None
    max_sequences: int | None = None
    chunked: bool = True
    block_tokens: int | None = None
    kv_tokens: int | None = None
    watermark: float = 0.0
    prefix_cache: bool = True
    kv_tiers: str = NONE
    replicas: int = 1
    routing: str = "round-robin"
    at_once: bool = True

    def __post_init__(self) -> None:
        faults = []
        choices = (("admission", ADMISSIONS), ("order", ORDERS), ("routing", ROUTINGS))
        for name, known in choices:
            given = getattr(self, name)
            if given not in known and not (name == "admission" and given is None):
                faults.append(f"{argument(name)}: {given!r} is none of {', '.join(known)}")
        for name in ("budget", "max_sequences", "block_tokens", "kv_tokens", "replicas"):
            given = getattr(self, name)
            if given is not None and not 1 <= given <= MOST:
                faults.append(f"{argument(name)}: {given} is not between 1 and 2^40")
        if not 0.0 <= self.watermark < 1.0:
            faults.append(f"{argument('watermark')}: {self.watermark} is not in [0, 1)")
        tiers = parse_tiers(self.kv_tiers, Place(argument("kv_tiers"), "", faults))
        if tiers and not self.prefix_cache:
            faults.append(
                f"{argument('kv_tiers')}: tiers keep nothing without a prefix cache; leave them out"
            )
        if faults:
            raise InputError(faults)


class Room(NamedTuple):
    """KV cache of a replica in blocks."""

    blocks: int
    block_tokens: int
    fixed_blocks: int  # that each sequence takes apart from its tokens
    tokens: float


class Described(Protocol):
    """Interface of ``Configuration``, which this package cannot import."""

    @property
    def records(self) -> Any:  # noqa: ANN401 - NamedTuple of the records of physics
        """Records that physics uses."""

    def changed(self, **fields: object) -> Any:  # noqa: ANN401 - another one
        """Return a configuration with some fields changed."""


class Pool(NamedTuple):
    """Equal servers, and what they logged of the requests that they served."""

    replica: Replica
    others: Others
    rules: Rules
    room: Room
    log: Log
    state: State


def simulate_requests(configuration: Described, requests: Requests, rules: Rules) -> Simulation:
    """Simulate ``requests`` on servers of a configuration.

    Its ``batch`` and lengths have no effect; a static scheduler counts as a continuous one. Data
    parallelism with uneven groups runs as fast as its fullest group. A draft, or experts, on
    devices of their own are part of each server.

    Raises
    ------
    InputError
        The configuration cannot run, or offloads, or sets ``prefix_hit``, which follows from the
        requests here.
    """
    replica = replica_of(configuration)
    return simulate_replica(replica, requests, rules, others_of(configuration, replica))


def simulate_replica(
    replica: Replica, requests: Requests, rules: Rules, others: Others = NO_OTHERS
) -> Simulation:
    """Simulate ``requests`` on servers that are known to run.

    Raises
    ------
    InputError
        There is no room for a KV cache.
    """
    pool = served(replica, requests, rules, _origin(requests), others=others)
    log = pool.log
    return _simulation((pool,), requests, log, log.admitted_s - log.arrival_s)


def simulate_pools(
    prefill: Described,
    decode: Described,
    requests: Requests,
    prefill_rules: Rules,
    decode_rules: Rules,
) -> Simulation:
    """Simulate ``requests`` whose prefill and decode run on separate servers.

    A prefill server generates the first token. The KV cache of the prompt is then sent to a decode
    server, all layers but the last during the prefill. If a decode server preempts a request, its
    cache is sent again. ``replica`` in the result numbers decode servers after the prefill servers.
    Answers stay on their servers: the next turn of a session finds blocks of the previous prompt
    in the prefill pool, but none of its answer.

    Raises
    ------
    InputError
        As ``simulate_requests``, or there are drafts or experts on devices of their own.
    """
    faults = [
        f"{argument(name)}: beside {argument('prefill')}; leave out one of them"
        for name in ("expert_devices", "draft_devices")
        if getattr(decode.records.deployment, name) or getattr(prefill.records.deployment, name)
    ]
    if faults:
        raise InputError(faults)
    prompts_on, answers_on = replica_of(prefill), replica_of(decode)
    return simulate_replica_pools(prompts_on, answers_on, requests, prefill_rules, decode_rules)


def simulate_replica_pools(
    prompts_on: Replica,
    replica: Replica,
    requests: Requests,
    prefill_rules: Rules,
    decode_rules: Rules,
) -> Simulation:
    """Simulate ``requests`` on two pools that are known to run.

    The pools are simulated one after the other, unless requests wait for the end of others.

    Raises
    ------
    InputError
        There is no room for a KV cache.
    """
    serving = served_together if (requests.after >= 0).any() else served_in_turn
    ahead, behind, prompts = serving(prompts_on, replica, requests, prefill_rules, decode_rules)
    log = ahead.log._replace(
        finished_s=ahead.log.finished_s.copy(),
        server=ahead.log.server.copy(),
        preemptions=ahead.log.preemptions.copy(),
    )
    log.finished_s[prompts] = behind.log.finished_s
    fits = behind.log.server >= 0
    log.server[prompts] = np.where(fits, behind.log.server + prefill_rules.replicas, NOBODY)
    log.preemptions[prompts] += behind.log.preemptions
    queued_s = log.admitted_s - log.arrival_s
    queued_s[prompts] += behind.log.admitted_s - behind.log.arrival_s
    return _simulation((ahead, behind), requests, log, queued_s)


def served_in_turn(
    prompts_on: Replica,
    replica: Replica,
    requests: Requests,
    prefill_rules: Rules,
    decode_rules: Rules,
) -> tuple[Pool, Pool, Integers]:
    """Return pools that have served prompts and answers, and the requests of the second."""
    first = requests._replace(output_len=np.minimum(requests.output_len, 1))
    ahead = served(prompts_on, first, prefill_rules, _origin(requests))
    prompts = np.flatnonzero((requests.output_len > 1) & ~np.isnan(ahead.log.finished_s))
    layer_s = layers_sent_s(prompts_on, replica, requests.input_len[prompts])
    ends_s = ahead.log.finished_s[prompts]
    took_s = ends_s - ahead.log.admitted_s[prompts]
    arrival_s = ends_s + np.array(
        [
            hand_over(layer, seconds, replica.model.layers)
            for layer, seconds in zip(layer_s.tolist(), took_s.tolist(), strict=True)
        ]
    )
    order = np.argsort(arrival_s, kind="stable")
    prompts = prompts[order]
    sent = _sent(requests, prompts, arrival_s[order])
    behind = served(replica, sent, decode_rules, 0.0, ends_s[order])
    return ahead, behind, prompts


def served_together(
    prompts_on: Replica,
    replica: Replica,
    requests: Requests,
    prefill_rules: Rules,
    decode_rules: Rules,
) -> tuple[Pool, Pool, Integers]:
    """Return pools that have served prompts and answers, side by side; and the latter's requests.

    The second pool has all requests, of which those with one token never arrive.
    """
    first = requests._replace(output_len=np.minimum(requests.output_len, 1))
    every = np.arange(len(requests.arrival_s))
    sent = _sent(requests, every, layers_sent_s(prompts_on, replica, requests.input_len))
    several = requests.output_len > 1
    answers = _sent(requests, every[several], sent.arrival_s[several]) if several.any() else sent
    one, ahead = _side(prompts_on, first, first, prefill_rules, _origin(requests))
    other, behind = _side(replica, sent, answers, decode_rules, 0.0, prefilled=True)
    serve_pools((one, other))
    prompts = np.flatnonzero(~np.isnan(behind.log.arrival_s))
    log = Log(**{name: values[prompts] for name, values in behind.log._asdict().items()})
    return ahead, behind._replace(log=log), prompts


def _sent(requests: Requests, prompts: Integers, arrival_s: Reals) -> Requests:
    """Return the requests of a decode pool, which share no blocks."""
    none = np.full(len(prompts), NOBODY, np.int64)
    return Requests(
        arrival_s=arrival_s,
        input_len=requests.input_len[prompts],
        output_len=requests.output_len[prompts],
        session=none,
        after=none,
        next=none,
        priority=requests.priority[prompts],
        block_tokens=1,
        first_block=np.zeros(len(prompts) + 1, np.int64),
        block_hash=np.zeros(0, np.int64),
    )


def layers_sent_s(prompts_on: Replica, replica: Replica, lengths: Integers) -> Reals:
    """Return the times to send the caches of one layer of prompts from one pool to another. [s]"""
    per_byte = max(prompts_on.kv_hand_over_per_byte, replica.kv_hand_over_per_byte)
    model, kv_format = replica.model, replica.kv_format
    return np.array(
        [kv_bytes_per_sequence(model, kv_format, float(n)) * per_byte for n in lengths.tolist()]
    )


def served(
    replica: Replica,
    requests: Requests,
    rules: Rules,
    origin: float,
    token_s: Reals | None = None,
    others: Others = NO_OTHERS,
) -> Pool:
    """Return a pool that has served ``requests``; clocks count from ``origin``.

    With ``token_s``, the times of first tokens, prompts arrive with their KV cache.
    """
    prefilled = token_s is not None
    side, pool = _side(
        replica, requests, requests, rules, origin, prefilled=prefilled, others=others
    )
    limits, offered, log, state = side[1:]
    if token_s is not None:
        state.token_s[:] = token_s
    waits = bool((requests.after >= 0).any())
    turns = rules.replicas if rules.routing == "round-robin" and not waits else 1
    for server in range(turns):  # which meet nothing but their own requests
        alone = _alone(state, server, turns) if turns > 1 else state
        of_one = limits._replace(servers=rules.replicas // turns)
        single = waits and rules.replicas > 1
        side = Side(replica, of_one, offered, log, alone)
        serve(*side, server, turns, single, others.draft, others.experts)
    if turns > 1:
        log.server[:] = np.where(log.server >= 0, np.arange(limits.requests) % turns, NOBODY)
    return pool


def _side(
    replica: Replica,
    requests: Requests,
    usual: Requests,
    rules: Rules,
    origin: float,
    *,
    prefilled: bool = False,
    others: Others = NO_OTHERS,
) -> tuple[Side, Pool]:
    """Return idle servers of a pool, for compiled code and for results.

    ``usual`` are those of its requests that set the size of a window.
    """
    room = room_of(replica, usual, rules, others)
    limits = limits_of(replica, requests, rules, room)._replace(prefilled=int(prefilled))
    offered = offered_of(replica, requests, limits, origin, others)
    log = log_of(limits.requests)
    state = state_of(offered, limits)
    add_tiers(replica, limits, rules, state, others)
    pool = Pool(replica, others, rules, room, log, state)
    return Side(replica, limits, offered, log, state), pool


def replica_of(configuration: Described) -> Replica:
    """Return the physics of a configuration with continuous batching.

    Raises
    ------
    InputError
        The configuration cannot run, or is not one that can be simulated.
    """
    made = configuration.records
    faults = []
    if made.deployment.offload != OFFLOAD_NONE:
        faults.append(f"{argument('offload')}: is not simulated; use {argument('offload', 'none')}")
    if made.deployment.gpu_layers < made.model.layers:
        faults.append(f"{argument('gpu_layers')}: is not simulated; leave it out")
    if made.deployment.prefix_hit > 0.0:
        faults.append(
            f"{argument('prefix_hit')}: follows from the requests in a simulation; leave it out"
        )
    if faults:
        raise InputError(faults)
    deployment = made.deployment._replace(scheduler=SCHEDULER_CONTINUOUS)
    replica = prepare(
        made.model,
        made.device,
        made.engine,
        made.weight_format,
        made.kv_format,
        deployment,
        made.economics,
    )
    if replica.status != OK:
        raise InputError(configuration.changed(batch=1).remedy)
    return replica


def others_of(configuration: Described, replica: Replica) -> Others:
    """Return the draft, or the experts, of a configuration that are on devices of their own.

    ``replica`` is what ``replica_of`` returns of it.

    Raises
    ------
    InputError
        They cannot run.
    """
    made = configuration.records
    others = others_beside(made.model, replica, made.draft, made.experts)
    if others.status != OK:
        raise InputError(configuration.changed(batch=1).remedy)
    return others


def room_of(replica: Replica, requests: Requests, rules: Rules, others: Others = NO_OTHERS) -> Room:
    """Return the KV cache of a replica: all of its attention groups, as one.

    Without a given size, it is what weights leave of the memory. A draft on devices of its own has
    a cache of the same sequences there, and the smaller of both counts: that which holds fewer
    requests of mean length.

    Raises
    ------
    InputError
        There is no room.
    """
    own = _room_of(replica, requests, rules)
    if others.draft is None or rules.kv_tokens is not None:
        return own
    try:
        drafts = _room_of(others.draft, requests, replace(rules, block_tokens=own.block_tokens))
    except InputError:
        more = argument("draft_devices")
        raise InputError(f"the draft leaves no room for its KV cache; raise {more}") from None
    length = float((requests.input_len + requests.output_len).mean())
    held = [one.blocks / (length / one.block_tokens + one.fixed_blocks) for one in (own, drafts)]
    return drafts if held[1] < held[0] else own


def _room_of(replica: Replica, requests: Requests, rules: Rules) -> Room:
    """Return the KV cache of a replica.

    Windows and recurrent states take room for each sequence apart from its tokens; a window as much
    as the mean request fills.
    """
    model, layout, engine = replica.model, replica.layout, replica.engine
    groups = layout.groups
    block_tokens = int(rules.block_tokens or engine.block_tokens)
    if rules.prefix_cache and len(requests.block_hash):
        block_tokens = min(block_tokens, int(requests.block_tokens))
    if rules.kv_tokens is not None:
        blocks = int(rules.kv_tokens // block_tokens * groups)
        if blocks == 0:
            raise InputError(f"{argument('kv_tokens')}: {rules.kv_tokens} are less than a block")
        return Room(blocks, block_tokens, 0, blocks * block_tokens)
    copies = 1.0 + replica.draft_share
    per_token = copies * kv_bytes_per_token(model, replica.kv_format) * layout.kv_share
    length = float((requests.input_len + requests.output_len).mean())
    window = model.window_kv_elements * replica.kv_format.bits / 8.0 * min(length, model.window)
    fixed = copies * (
        window * layout.kv_share + state_bytes_per_sequence(model) * layout.state_share
    )
    free = replica.usable_bytes - replica.weight_bytes_per_device
    if per_token == 0.0:  # states only: a block is a sequence
        blocks = int(min(free / fixed, MOST) * groups)
        return Room(blocks, MOST, 0, float(blocks))
    per_block = per_token * block_tokens
    blocks = int(min(max(free, 0.0) / per_block, MOST) * groups)
    fixed_blocks = int(np.ceil(fixed / per_block))
    if blocks <= fixed_blocks:
        raise InputError(f"the weights leave no room for a KV cache; raise {argument('tp')}")
    return Room(blocks, block_tokens, fixed_blocks, blocks * block_tokens)


def limits_of(replica: Replica, requests: Requests, rules: Rules, room: Room) -> Limits:
    """Return the rules of one replica as numbers: those of all its attention groups together."""
    engine, layout = replica.engine, replica.layout
    groups = layout.groups
    reserved = engine.reserves_output == 1.0
    if rules.admission is not None:
        reserved = rules.admission == "reserved"
    sequences = min((rules.max_sequences or engine.max_sequences) * groups, MOST)
    hashed = max(int(requests.block_tokens), 1)
    return Limits(
        budget=int(min(rules.budget or engine.prefill_chunk, MOST)),
        passes=int(groups * layout.micro_batches),
        max_sequences=int(sequences),
        chunked=int(rules.chunked),
        reserved=int(reserved),
        by_priority=int(rules.order == "priority"),
        block_tokens=room.block_tokens,
        blocks=room.blocks,
        fixed_blocks=room.fixed_blocks,
        watermark=int(rules.watermark * room.blocks),
        hashed_tokens=hashed,
        hashed_blocks=max(int(hashed // room.block_tokens), 1),
        routing=ROUTINGS.index(rules.routing),
        at_once=int(rules.at_once),
        keeps=int(rules.prefix_cache),
        ahead=int(engine.scheduled_ahead),
        prefilled=0,
        requests=len(requests.arrival_s),
        servers=rules.replicas,
        positions=int(min(sequences, len(requests.arrival_s))),
        hashes=len(np.unique(requests.block_hash)) if rules.prefix_cache else 0,
    )


def offered_of(
    replica: Replica,
    requests: Requests,
    limits: Limits,
    origin: float,
    others: Others = NO_OTHERS,
) -> Offered:
    """Return requests as the scheduler reads them, and which of them can never run.

    No request is longer than the context of the model, or of its draft. Arrivals count from
    ``origin``. Without a prefix cache, prompts have no hashes.
    """
    count = len(requests.arrival_s)
    lengths = requests.input_len + requests.output_len
    blocks = np.ceil(lengths / limits.block_tokens) + limits.fixed_blocks
    models = [one.model for one in (replica, others.draft) if one is not None]
    longest = min(model.max_context for model in models)
    fits = (lengths <= longest) & (blocks <= limits.blocks)
    free = requests.after < 0
    arrival_s = requests.arrival_s.astype(np.float64)
    arrival_s[free] -= origin
    child = np.full(count, NOBODY, np.int64)
    sibling = np.full(count, NOBODY, np.int64)
    for request in np.flatnonzero(~free)[::-1]:
        before = requests.after[request]
        sibling[request] = child[before]
        child[before] = request
    _, numbers = np.unique(requests.block_hash, return_inverse=True)
    first_block = requests.first_block
    if limits.hashes == 0:
        numbers, first_block = numbers[:0], np.zeros(count + 1, np.int64)
    return Offered(
        arrival_s=arrival_s,
        input_len=_whole(requests.input_len),
        output_len=_whole(requests.output_len),
        after=_whole(requests.after),
        next=_whole(requests.next),
        priority=_whole(requests.priority),
        first_block=_whole(first_block),
        block_hash=_whole(numbers),
        child=child,
        sibling=sibling,
        fits=_whole(fits),
    )


def log_of(count: int) -> Log:
    """Return an empty log of ``count`` requests."""
    return Log(
        arrival_s=np.full(count, np.nan),
        admitted_s=np.full(count, np.nan),
        first_token_s=np.full(count, np.nan),
        finished_s=np.full(count, np.nan),
        server=np.full(count, NOBODY, np.int64),
        cached_tokens=np.zeros(count, np.int64),
        preemptions=np.zeros(count, np.int64),
        ahead=np.zeros(count, np.int64),
    )


_BY_REQUEST: Final = (
    *("start", "end", "left", "shared", "link"),
    *("written", "token_s", "kept", "kept_at", "due_s", "due", "ended"),
)
_EMPTY: Final = ("head", "tail", "oldest", "newest", "users", "older", "newer", "link")


def state_of(offered: Offered, limits: Limits) -> State:
    """Return idle servers with empty caches."""
    shapes: dict[str, tuple[int, ...]] = {
        "row": (limits.servers * limits.positions,),
        **dict.fromkeys(("users", "older", "newer"), (limits.servers * limits.hashes,)),
        **dict.fromkeys(("oldest", "newest"), (limits.servers * CHAINS,)),
        **dict.fromkeys(("lower", "lower_hit_tokens"), (limits.servers * LOWER,)),
        **dict.fromkeys(("lower_blocks", "load_s"), (LOWER,)),
        **dict.fromkeys(("load_j", "load_bytes", "stalled_w"), (1,)),
        **dict.fromkeys(_BY_REQUEST, (limits.requests,)),
        "held": (len(offered.block_hash),),
        "gaps": (GAP_BINS,),
        "timeline": (3 * BINS,),
        "bin_s": (1,),
        "counts": (3,),
    }
    arrays: dict[str, Any] = {}
    for name, kind in State.__annotations__.items():
        dtype = np.int64 if kind == Integers else np.float64
        arrays[name] = np.full(
            shapes.get(name, (limits.servers,)), -1 if name in _EMPTY else 0, dtype
        )
    arrays["bin_s"][0] = FIRST_BIN_S
    arrays["next_end"][:] = np.iinfo(np.int64).max
    arrays["least_start"][:] = np.inf
    return State(**arrays)


def add_tiers(
    replica: Replica, limits: Limits, rules: Rules, state: State, others: Others = NO_OTHERS
) -> None:
    """Add what lower tiers of memory hold, and what loads from there take.

    A draft on devices of its own loads its cache of the same blocks from tiers beside these.
    """
    pools = [one for one in (replica, others.draft) if one is not None]
    loads = [loads_of(one, limits.hashed_tokens, rules.kv_tiers, limits.hashes) for one in pools]
    state.lower_blocks[:] = [min(one.blocks for one in tier) for tier in zip(*loads, strict=True)]
    state.load_s[:] = [max(one.seconds for one in tier) for tier in zip(*loads, strict=True)]
    for one in pools:
        size = block_bytes(one, limits.hashed_tokens)
        devices = one.layout.devices / one.layout.groups  # that have a part of a block
        state.load_bytes[0] += size * devices if one is replica else 0.0
        state.load_j[0] += size / one.device.memory_bandwidth * one.watts.memory * devices
    state.stalled_w[0] = replica.watts.network * replica.layout.devices + others.waiting_w


_SHARED: Final = {
    *_BY_REQUEST,
    *("held", "gaps", "timeline", "bin_s", "counts"),
    *("lower_blocks", "load_s", "load_j", "load_bytes", "stalled_w"),
}


def _alone(state: State, server: int, turns: int) -> State:
    """Return one of ``turns`` equal parts of the servers; they share what is not by server."""
    return State(
        **{
            name: array if name in _SHARED else _part(array, server, turns)
            for name, array in state._asdict().items()
        }
    )


def _part(array: npt.NDArray[Any], part: int, parts: int) -> npt.NDArray[Any]:
    """Return one of equal parts of an array."""
    size = len(array) // parts
    return array[part * size : (part + 1) * size]


def _origin(requests: Requests) -> float:
    """Time of the first arrival. [s]"""
    first = requests.arrival_s[requests.after < 0]
    return float(first[0]) if len(first) else 0.0


def _whole(values: npt.ArrayLike) -> Integers:
    return np.ascontiguousarray(values, np.int64)


def _simulation(
    pools: tuple[Pool, ...], requests: Requests, log: Log, queued_s: Reals
) -> Simulation:
    """Return what pools of servers logged, and the energy and price of their time."""
    ended = log.finished_s[~np.isnan(log.finished_s)]
    makespan = float(ended.max()) if len(ended) else 0.0
    per_second = 1.0 / makespan if makespan > 0.0 else 0.0
    energies = []
    price = 0.0
    tokens = 0.0
    devices = 0
    for pool in pools:
        replica, others, replicas = pool.replica, pool.others, pool.rules.replicas
        width = int(replica.layout.devices)
        idle_s = replicas * makespan - float(pool.state.busy_s.sum())
        idle_j = (idle_power(replica.watts, 0.0) * width + others.idle_w) * idle_s
        energies.append(float(pool.state.energy_j.sum()) + idle_j)
        price += price_of_time(replica.device, width, replica.economics) * replicas
        price += others.usd_per_second * replicas
        tokens += replicas * pool.room.tokens
        devices += replicas * (width + others.devices)
    growth, overloaded = _queue_growth(log)
    for pool in pools[1:]:
        overloaded |= _queue_growth(pool.log)[1]
    status = "overloaded" if overloaded else "ok"
    states = [pool.state for pool in pools]
    origin = _origin(requests)
    return Simulation(
        requests={
            "arrival_s": log.arrival_s + origin,
            "queued_s": queued_s,
            "first_token_s": log.first_token_s + origin,
            "finished_s": log.finished_s + origin,
            "replica": log.server,
            "cached_tokens": log.cached_tokens,
            "preemptions": log.preemptions,
            "input_len": _whole(requests.input_len),
            "output_len": _whole(requests.output_len),
            "session": _whole(requests.session),
        },
        status=status if len(ended) else "rejected",
        replicas=sum(pool.rules.replicas for pool in pools),
        devices=devices,
        steps=sum(int(state.steps.sum()) for state in states),
        makespan_s=makespan,
        busy_s=np.concatenate([state.busy_s for state in states]),
        energy_j=sum(energies),
        energy_by_pool_j=np.array(energies),
        cost_usd=price * makespan,
        bytes_moved=sum(float(state.bytes_moved.sum()) for state in states),
        batch_mean=sum(float(state.running_s.sum()) for state in states) * per_second,
        queue_mean=sum(float(state.waiting_s.sum()) for state in states) * per_second,
        kv_use_mean=sum(float(state.used_s.sum()) for state in states) * per_second / tokens,
        kv_use_max=max(float(pool.state.most_used.max()) / pool.room.tokens for pool in pools),
        kv_tokens=pools[-1].room.tokens,
        hit_tokens=sum(int(state.hit_tokens.sum()) for state in states),
        lower_hit_tokens=sum(
            (state.lower_hit_tokens.reshape(-1, LOWER).sum(axis=0) for state in states),
            start=np.zeros(LOWER, np.int64),
        ),
        stalled_s=sum(float(state.stalled_s.sum()) for state in states),
        prompt_tokens=int(states[0].prompt_tokens.sum()),
        queue_growth_per_s=growth,
        gaps=np.sum([state.gaps for state in states], axis=0),
        timeline=_timeline(states, makespan, origin, tokens),
    )


def _timeline(
    states: list[State], makespan: float, origin: float, tokens: float
) -> dict[str, Reals]:
    """Return means over equal intervals of all servers: waiting, running, KV cache in use."""
    width = max(float(state.bin_s[0]) for state in states)
    bins = max(min(int(np.ceil(makespan / width)), BINS), 1)
    total = np.zeros((3, BINS))
    for state in states:
        fine = int(width / float(state.bin_s[0]))  # bins in one of the widest
        for kind, values in enumerate(state.timeline.reshape(3, BINS)):
            np.add.at(total[kind], np.arange(BINS) // fine, values)
    starts = np.arange(bins, dtype=np.float64) * width
    seconds = np.minimum(starts + width, makespan) - starts
    queue, batch, used = total[:, :bins] / np.maximum(seconds, FIRST_BIN_S * 1e-9)
    return {
        "time_s": origin + starts,
        "queue": queue,
        "batch": batch,
        "kv_use": used / tokens,
    }


def _queue_growth(log: Log) -> tuple[float, bool]:
    """Return the growth of the queue over the second half of the arrivals, and whether it lasts.

    A server is overloaded if its queue is long at the end and has grown over the second half.
    """
    order = np.argsort(log.arrival_s, kind="stable")
    order = order[~np.isnan(log.arrival_s[order])]
    if len(order) < 2:
        return 0.0, False
    quarter = max(len(order) // 4, 1)
    middle, last = order[len(order) // 2 - quarter : len(order) // 2], order[-quarter:]
    before, after = float(log.ahead[middle].mean()), float(log.ahead[last].mean())
    seconds = float(log.arrival_s[last].mean() - log.arrival_s[middle].mean())
    growth = (after - before) / seconds if seconds > 0.0 else 0.0
    long = after > max(QUEUE_SHARE * len(order), 10.0)
    return growth, long and after > QUEUE_GROWTH * before
