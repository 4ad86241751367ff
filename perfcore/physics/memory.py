"""Memory of a device, and the largest batch that fits."""

from perfcore.physics.rounding import floor_of
from perfcore.records import Device, Engine

LARGEST_BATCH = 16_777_216.0  # 2^24: the largest count that a float32 holds exactly


def usable_bytes(device: Device, engine: Engine) -> float:
    """Bytes that an engine allocates to weights and KV cache. [bytes]"""
    return max(0.0, device.memory_capacity * engine.memory_fraction - engine.memory_reserve)


def second_tier_bytes(device: Device, engine: Engine) -> float:
    """Bytes of the second memory tier: the device's own, or its share of host memory. [bytes]"""
    return device.memory2_capacity if device.memory2_capacity > 0.0 else engine.host_memory_bytes


def second_tier_bandwidth(device: Device, engine: Engine) -> float:
    """Rate at which a device reads its second tier. [bytes/s]

    Golden value: 40.5 GB over a link of 64 GB/s, all of which is reached, take 0.633 s.
    """
    return engine.second_tier_efficiency * device.memory2_bandwidth


def largest_batch(free_bytes: float, kv_bytes_per_sequence: float) -> float:
    """Sequences whose KV cache fits into ``free_bytes``, at most 2^24."""
    fitting = floor_of(max(0.0, free_bytes) / (kv_bytes_per_sequence + 1e-30))
    return min(fitting, LARGEST_BATCH)
