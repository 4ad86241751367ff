"""Power and energy, from the board to the grid."""

from math import sqrt

from perfcore.records import Device, Economics, Engine

JOULES_PER_KWH = 3.6e6


def busy_power(
    device: Device,
    engine: Engine,
    memory_use: float,
    square_root_compute_use: float,
    attention_share: float,
) -> float:
    """Board power while operators run, never above the board's limit. [W]

    P = min(1, f0 + fm u_m + fc sqrt(u_c) + fa a) TDP, with the shares u of peak bandwidth and
    FLOP/s that are used, and the share a of the time in which attention reads the KV cache: its
    kernels draw more than those that stream weights at the same rate. The square root is measured:
    power is near the limit from u_c of 0.2 on.
    """
    share = (
        engine.power_floor
        + engine.power_memory * memory_use
        + engine.power_compute * square_root_compute_use
        + engine.power_attention * attention_share
    )
    return device.board_power * min(1.0, share)


def mean_power(
    device: Device,
    engine: Engine,
    busy_share: float,
    network_share: float,
    host_share: float,
    memory_use: float,
    compute_use: float,
    attention_share: float,
) -> float:
    """Board power averaged over the phases of a step, given as shares of its time. [W]

    ``memory_use`` and ``compute_use`` are shares of peak rates while operators run,
    ``attention_share`` of that time is spent on the KV cache.
    """
    busy = busy_power(device, engine, memory_use, sqrt(compute_use), attention_share)
    waiting = engine.power_network * network_share + engine.power_host * host_share
    return busy * busy_share + device.board_power * waiting


def pipeline_power(device: Device, active_power: float, active_share: float) -> float:
    """Board power of a device that works ``active_share`` of the time and idles the rest. [W]"""
    idle_share = max(1.0 - active_share, 0.0)  # a share of 1 may be rounded up
    return active_share * active_power + idle_share * device.idle_power


def facility_factor(economics: Economics) -> float:
    """Joules at the grid per joule on the boards: hosts and fans, then PUE once."""
    return (1.0 + economics.node_overhead) * economics.pue


def carbon_per_joule(economics: Economics) -> float:
    """Grams of CO2 equivalent per joule on the boards; PUE counts once. [g/J]

    Golden value: 2 J per token at PUE 1.2 and 380 g/kWh are 253.3 g per million tokens.
    """
    return facility_factor(economics) * economics.carbon_intensity / JOULES_PER_KWH
