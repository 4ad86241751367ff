"""What devices say to each other, and how long it takes."""

from typing import NamedTuple

from perfcore.records import Device, Engine


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
    1/n_local of the message over its own network port, as a ring with 2 (m-1)/m of it.
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
        one_shot_start = engine.one_shot_latency + (local - 2.0) * engine.one_shot_hop
        one_shot_per_byte = (local - 1.0) / (engine.one_shot_efficiency * device.link_bandwidth)
        two_shot_start = engine.two_shot_latency
        two_shot_per_byte = (
            2.0 * (local - 1.0) / local / (engine.two_shot_efficiency * device.link_bandwidth)
        )
    network_start = 0.0
    network_per_byte = 0.0
    if domains > 1.0:
        network_start = 2.0 * (domains - 1.0) * engine.network_latency
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
    """Time of one all-reduce of ``message_bytes`` per device. [s]"""
    one_shot = exchange.one_shot_start + exchange.one_shot_per_byte * message_bytes
    two_shot = exchange.two_shot_start + exchange.two_shot_per_byte * message_bytes
    per_byte = exchange.one_shot_per_byte if one_shot < two_shot else exchange.two_shot_per_byte
    network = exchange.network_start + exchange.network_per_byte * message_bytes
    return ExchangeTime(
        total=min(one_shot, two_shot) + network,
        transfer=(per_byte + exchange.network_per_byte) * message_bytes,
    )
