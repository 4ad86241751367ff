"""What must fit into a device's memory."""

from perfcore.physics.rounding import floor_of
from perfcore.records import Device, Engine

LARGEST_BATCH = 16_777_216.0  # 2^24: the largest count that a float32 holds exactly


def usable_bytes(device: Device, engine: Engine) -> float:
    """Bytes that an engine gives to weights and KV cache. [bytes]"""
    return max(0.0, device.memory_bytes * engine.memory_fraction - engine.memory_reserve)


def largest_batch(free_bytes: float, kv_bytes_per_sequence: float) -> float:
    """Sequences whose KV cache fits into ``free_bytes``, at most 2^24."""
    fitting = floor_of(max(0.0, free_bytes) / (kv_bytes_per_sequence + 1e-30))
    return min(fitting, LARGEST_BATCH)
