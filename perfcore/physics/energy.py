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
    """Energy of a board that runs operators for ``busy_s``, within its power limit. [J]

    E = TDP min(t, f0 t + fm t_m + fc sqrt(t_c t) + fa t_a): t_m and t_c are the times of memory
    and arithmetic at their peak rates, so t_m / t and t_c / t are their utilisations. t_a is the
    time in which attention reads the KV cache: its kernels draw more power than those that stream
    weights at the same rate. The square root is empirical: power is near the limit if t_c / t is
    0.2 or more.
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
    """Contribution of a board's idle time to its mean power. [W]"""
    return max(1.0 - active_share, 0.0) * device.idle_power  # rounding may take the share above 1


def facility_factor(economics: Economics) -> float:
    """Joules from the grid per joule on the boards: hosts and fans, times PUE."""
    return (1.0 + economics.node_overhead) * economics.pue


def carbon_per_joule(economics: Economics) -> float:
    """Grams of CO2 equivalent per joule on the boards, including PUE. [g/J]

    Golden value: 2 J per token at PUE 1.2 and 380 g/kWh are 253.3 g per million tokens.
    """
    return facility_factor(economics) * economics.carbon_intensity / JOULES_PER_KWH
