"""Communication between devices, and its time."""

from math import log2
from typing import NamedTuple

from perfcore.physics.fused import fma
from perfcore.physics.moe import copies_per_token
from perfcore.physics.rounding import floor_of
from perfcore.records import Deployment, Device, Engine, Model


class Exchange(NamedTuple):
    """An all-reduce among ``n`` devices: time = min(one shot, two shots) + network, of M bytes."""

    one_shot_start: float  # s
    one_shot_per_byte: float  # s/byte
    two_shot_start: float
    two_shot_per_byte: float
    network_start: float
    network_per_byte: float


class ExchangeTime(NamedTuple):
    """Time of an all-reduce, and the part that a faster link would shorten. [s]"""

    total: float
    transfer: float


def exchange(devices: float, device: Device, engine: Engine) -> Exchange:
    """Coefficients of an all-reduce among ``devices``, hierarchical beyond the scale-up domain.

    Inside the domain the faster of one exchange of whole messages, (n-2) h + (n-1) M / (e1 B),
    and reduce-scatter plus all-gather, 2 (n-1)/n M / (e2 B), each with its start-up; fitted to
    NVLink measurements from 256 B to 1 GiB with 7 % error. Between domains every device sends its
    1/n_local of the message over its own network port: 2 (m-1)/m of it, along a double binary tree
    of 2 log2 m exchanges.
    """
    if devices <= 1.0:
        return Exchange(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    local = min(devices, device.scale_up_domain)
    domains = devices / local
    one_shot_start = 0.0
    one_shot_per_byte = 0.0
    two_shot_start = 0.0
    two_shot_per_byte = 0.0
    if local > 1.0:
        one_shot_start = engine.one_shot_latency + max(local - 2.0, 0.0) * engine.one_shot_hop
        one_shot_per_byte = (local - 1.0) / (engine.one_shot_efficiency * device.link_bandwidth)
        two_shot_start = engine.two_shot_latency
        two_shot_per_byte = (
            2.0 * (local - 1.0) / local / (engine.two_shot_efficiency * device.link_bandwidth)
        )
    network_start = 0.0
    network_per_byte = 0.0
    if domains > 1.0:
        network_start = 2.0 * log2(domains) * engine.network_latency
        network_per_byte = (
            2.0
            * (domains - 1.0)
            / domains
            / local
            / (engine.network_efficiency * device.network_bandwidth)
        )
    return Exchange(
        one_shot_start=one_shot_start,
        one_shot_per_byte=one_shot_per_byte,
        two_shot_start=two_shot_start,
        two_shot_per_byte=two_shot_per_byte,
        network_start=network_start,
        network_per_byte=network_per_byte,
    )


def all_reduce(exchange: Exchange, message_bytes: float) -> ExchangeTime:
    """Time of an all-reduce of ``message_bytes`` per device, or tokens if ``repeated``. [s]"""
    one_shot = fma(exchange.one_shot_per_byte, message_bytes, exchange.one_shot_start)
    two_shot = fma(exchange.two_shot_per_byte, message_bytes, exchange.two_shot_start)
    per_byte = exchange.one_shot_per_byte if one_shot < two_shot else exchange.two_shot_per_byte
    network = fma(exchange.network_per_byte, message_bytes, exchange.network_start)
    return ExchangeTime(
        total=min(one_shot, two_shot) + network,
        transfer=(per_byte + exchange.network_per_byte) * message_bytes,
    )


def repeated(exchange: Exchange, times: float, bytes_per_token: float) -> Exchange:
    """``times`` equal exchanges as one, with messages in tokens instead of bytes."""
    per_token = times * bytes_per_token
    return Exchange(
        one_shot_start=times * exchange.one_shot_start,
        one_shot_per_byte=per_token * exchange.one_shot_per_byte,
        two_shot_start=times * exchange.two_shot_start,
        two_shot_per_byte=per_token * exchange.two_shot_per_byte,
        network_start=times * exchange.network_start,
        network_per_byte=per_token * exchange.network_per_byte,
    )


def exchanges(
    links: Exchange, tokens: float, expert_links: Exchange, expert_tokens: float, grouped: bool
) -> ExchangeTime:
    """Time of all exchanges of a pass: in a group, and with experts if there are groups. [s]

    Both kinds of links are ``repeated`` for the number of such exchanges in a pass.
    """
    inside = all_reduce(links, tokens)
    if not grouped:
        return inside
    among = all_reduce(expert_links, expert_tokens)
    return ExchangeTime(total=inside.total + among.total, transfer=inside.transfer + among.transfer)


DISPATCH_BYTES = 1.03  # per element sent to an expert: fp8 and one scale per 128
COMBINE_BYTES = 2.0  # per element returned: bf16


def expert_exchange(
    model: Model, device: Device, engine: Engine, deployment: Deployment, activation_bytes: float
) -> Exchange:
    """Coefficients of an MoE layer's exchanges, apart from the all-reduce of attention.

    They are per byte of hidden state of all tokens of the pass (T d a), for use with
    ``all_reduce``. Without attention groups, tokens are on every device already and an all-reduce
    sums the experts' outputs. With groups but without expert parallelism, tokens are gathered and
    reduced among all devices, which costs an all-reduce among them. With both, every device sends
    its T / n tokens to their experts' devices and receives them back, in the faster of two ways:
    one copy per expert with a short start-up, or one per device with a long start-up.
    Fitted to DeepEP on 8 H100: 11.8 + 11.4 us at 0.54 and 0.48 of the link, 26.8 + 39.5 us at
    0.52 and 0.59; errors 6-14 %.
    """
    joined = deployment.tp * deployment.dp
    if deployment.dp <= 1.0 or deployment.ep <= 1.0:
        return exchange(joined, device, engine)
    ranks = deployment.ep
    bytes_per_copy = (DISPATCH_BYTES + COMBINE_BYTES) / activation_bytes / joined
    remote = (ranks - 1.0) / ranks
    nearby = floor_of(device.scale_up_domain * ranks / joined)
    local_ranks = max(1.0, min(ranks, nearby))
    away = (ranks - local_ranks) / ranks
    direct = model.experts_per_token * bytes_per_copy
    once = copies_per_token(model.experts_per_token, ranks) * bytes_per_copy
    network_per_byte = 0.0
    network_start = 0.0
    if away > 0.0:
        network_per_byte = once * away / (engine.network_efficiency * device.network_bandwidth)
        network_start = 2.0 * engine.network_latency
    return Exchange(
        one_shot_start=2.0 * engine.dispatch_latency,
        one_shot_per_byte=direct
        * (remote - away)
        / (engine.dispatch_efficiency * device.link_bandwidth),
        two_shot_start=2.0 * engine.bulk_dispatch_latency,
        two_shot_per_byte=once
        * (remote - away)
        / (engine.bulk_dispatch_efficiency * device.link_bandwidth),
        network_start=network_start,
        network_per_byte=network_per_byte,
    )
