"""Capacity of memory: whether a batch fits, and how many of its requests run otherwise."""

from typing import NamedTuple

from perfcore.physics.attention import kv_bytes_of_prefix, kv_bytes_per_sequence
from perfcore.physics.memory import LARGEST_BATCH, largest_batch
from perfcore.physics.prefill import new_tokens
from perfcore.physics.rounding import NOTHING
from perfcore.physics.serving import kept_output, wasted_tokens
from perfcore.physics.stages.replica import (
    CONTEXT_TOO_LONG,
    HOST_MEMORY_TOO_SMALL,
    KV_DOES_NOT_FIT,
    OK,
    PREFILL_POOL_FAILS,
    Replica,
)
from perfcore.records import SCHEDULER_STATIC


class Cache(NamedTuple):
    """KV cache and states. [bytes]"""

    per_sequence: float  # KV cache of a sequence, without the shared prefix
    states: float  # recurrent states of one sequence
    shared: float  # KV cache of the shared prefix
    kept_per_sequence: float  # KV cache and states of a sequence, on the fullest device
    shared_per_device: float


class Capacity(NamedTuple):
    """Status and batch of some requests, given the memory."""

    status: float
    batch: float  # requests that run at once
    max_batch: float  # largest batch whose KV cache fits; at most 2^24


def cache_at(replica: Replica, input_len: float, output_len: float) -> Cache:
    """KV cache of the requests that run, a draft's included.

    A static batch is as long as its longest moment. A server has requests at all stages of their
    answers, unless it reserves them, and wastes half of the last block of each.
    """
    model = replica.model
    layout = replica.layout
    deployment = replica.deployment
    engine = replica.engine
    new = new_tokens(deployment.prefix_hit, input_len)
    kept = output_len
    if deployment.scheduler != SCHEDULER_STATIC:
        kept = kept_output(engine, output_len) + wasted_tokens(engine)
    own = new + kept
    copies = 1.0 + replica.draft_share
    per_sequence = copies * kv_bytes_per_sequence(model, replica.kv_format, own)
    shared = copies * kv_bytes_of_prefix(model, replica.kv_format, input_len - new, own)
    states = copies * replica.state_bytes
    return Cache(
        per_sequence=per_sequence,
        states=states,
        shared=shared,
        kept_per_sequence=per_sequence * layout.kv_share + states * layout.state_share,
        shared_per_device=shared * layout.kv_share,
    )


def end_bytes(replica: Replica, input_len: float, output_len: float) -> float:
    """Bytes kept free, so that one request of each group can write its last tokens.

    Windows that are full need no more.
    """
    deployment = replica.deployment
    if deployment.scheduler == SCHEDULER_STATIC:
        return NOTHING
    engine = replica.engine
    new = new_tokens(deployment.prefix_hit, input_len) + wasted_tokens(engine)
    now = new + kept_output(engine, output_len)
    end = kv_bytes_per_sequence(replica.model, replica.kv_format, new + output_len)
    kv_bytes = end - kv_bytes_per_sequence(replica.model, replica.kv_format, now)
    return (1.0 + replica.draft_share) * kv_bytes * replica.layout.kv_share


class HostShares(NamedTuple):
    """What is in host memory, divided by devices. [bytes]"""

    weights: float
    cache: float


def host_shares(replica: Replica, cache: Cache, batch: float) -> HostShares:
    """Weights and cache of ``batch`` requests in host memory, divided by devices. [bytes]"""
    per_devices = 1.0 / replica.layout.devices
    kept = replica.away.cpu.cached * (batch * (cache.per_sequence + cache.states) + cache.shared)
    return HostShares(weights=replica.away.weight_bytes * per_devices, cache=kept * per_devices)


def batch_on_host(replica: Replica, cache: Cache) -> float:
    """Largest batch whose KV cache in host memory fits there, beside the weights."""
    free = replica.device.host_memory_capacity - replica.away.weight_bytes
    own = replica.away.cpu.cached * (cache.per_sequence + cache.states)
    return largest_batch(free - replica.away.cpu.cached * cache.shared, own)


def with_prompts(fit: Capacity, prompts: Capacity) -> Capacity:
    """``fit`` of a decode replica whose prefill replica has room for a prompt, or has not."""
    fails = fit.status == OK and prompts.status > OK
    return Capacity(
        status=PREFILL_POOL_FAILS if fails else fit.status,
        batch=fit.batch,
        max_batch=fit.max_batch,
    )


def capacity_at(replica: Replica, batch: float, input_len: float, output_len: float) -> Capacity:
    """Status and running batch of ``batch`` requests.

    A server runs as many of them as its KV cache holds, if at least one; the others wait.
    """
    layout = replica.layout
    cache = cache_at(replica, input_len, output_len)
    room = replica.usable_bytes + replica.second_tier_bytes
    free = room - replica.weight_bytes_per_device - cache.shared_per_device
    most = largest_batch(free - end_bytes(replica, input_len, output_len), cache.kept_per_sequence)
    most *= layout.groups
    on_host = LARGEST_BATCH
    if replica.on_cpu == 1.0:
        on_host = batch_on_host(replica, cache)
    max_batch = min(min(most, on_host), LARGEST_BATCH)
    too_long = input_len + output_len > replica.model.max_context
    fails = batch > max_batch
    served = replica.deployment.scheduler != SCHEDULER_STATIC
    can_wait = replica.status == OK and served and max_batch >= 1.0 and not too_long
    waits = fails and can_wait
    lacking = HOST_MEMORY_TOO_SMALL if on_host < most else KV_DOES_NOT_FIT
    kv_status = lacking if fails and not can_wait else OK
    length_status = CONTEXT_TOO_LONG if too_long else kv_status
    return Capacity(
        status=replica.status if replica.status > OK else length_status,
        batch=max_batch if waits else batch,
        max_batch=max_batch,
    )
