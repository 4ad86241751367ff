"""Power and energy, from the board to the grid."""

from math import sqrt

from perfcore.physics.fused import fma
from perfcore.records import Device, Economics, Engine

JOULES_PER_KWH = 3.6e6


def busy_energy(
    device: Device,
    engine: Engine,
    busy_s: float,
    memory_s: float,
    compute_s: float,
    attention_s: float,
) -> float:
    """Energy of a board in ``busy_s`` of running operators, never above its limit. [J]

    E = TDP min(t, f0 t + fm t_m + fc sqrt(t_c t) + fa t_a): t_m and t_c are what memory and
    arithmetic would take at their peak rates, so that t_m / t and t_c / t are the shares of them
    that are used; t_a is the time in which attention reads the KV cache: its kernels draw more than
    those that stream weights at the same rate. The square root is measured: power is near the limit
    from t_c / t of 0.2 on.
    """
    at_limit_s = engine.power_floor * busy_s
    at_limit_s = fma(engine.power_memory, memory_s, at_limit_s)
    at_limit_s = fma(engine.power_attention, attention_s, at_limit_s)
    at_limit_s = fma(engine.power_compute, sqrt(compute_s * busy_s), at_limit_s)
    return device.board_power * min(busy_s, at_limit_s)


def waiting_energy(device: Device, engine: Engine, network_s: float, host_s: float) -> float:
    """Energy of a board while it waits for links and for its host. [J]"""
    network_w = device.board_power * engine.power_network
    host_w = device.board_power * engine.power_host
    return fma(network_w, network_s, host_w * host_s)


def idle_power(device: Device, active_share: float) -> float:
    """Mean power that a board draws in the rest of the time, in which it idles. [W]"""
    return max(1.0 - active_share, 0.0) * device.idle_power  # a share of 1 may be rounded up


def facility_factor(economics: Economics) -> float:
    """Joules at the grid per joule on the boards: hosts and fans, then PUE once."""
    return (1.0 + economics.node_overhead) * economics.pue


def carbon_per_joule(economics: Economics) -> float:
    """Grams of CO2 equivalent per joule on the boards; PUE counts once. [g/J]

    Golden value: 2 J per token at PUE 1.2 and 380 g/kWh are 253.3 g per million tokens.
    """
    return facility_factor(economics) * economics.carbon_intensity / JOULES_PER_KWH
