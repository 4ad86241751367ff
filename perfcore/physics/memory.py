"""Memory of a device, and the largest batch that fits."""

from perfcore.physics.parallelism import Layout
from perfcore.physics.rounding import floor_of
from perfcore.records import Device, Engine, Model

LARGEST_BATCH = 16_777_216.0  # 2^24: the largest count that a float32 holds exactly
HIDDEN_COPIES = 1.28  # hidden states of a step while it samples; fit to vLLM's logs


def widest_elements(model: Model, layout: Layout) -> float:
    """Activations of one token in the widest operator of a layer, on one device. [elements]

    A dense layer has 2 I of gate and up, I of their product, and three copies of the hidden state:
    input, residual and output. Golden value: 55,296 for Llama-3-8B (14,336 and 4,096).
    A routed expert has as much per token that it gets, and an output of its own.
    """
    hidden = model.hidden_size
    dense = (model.ffn_in_io_elements + model.ffn_out_io_elements) / max(
        model.ffn_out_operators, 1.0
    )
    routed = model.expert_io_elements / max(model.moe_layers, 1.0)
    outputs = model.experts_per_token * hidden if model.moe_layers > 0.0 else 0.0
    inner = max(
        max(dense - 2.0 * hidden, 0.0) / layout.width,
        max(routed - 2.0 * outputs, 0.0) / layout.width + outputs,
    )
    return 3.0 * hidden + inner


def activation_bytes(model: Model, engine: Engine, layout: Layout) -> float:
    """Peak of activations at the token budget, on one device. [bytes]

    It is that of a layer, or of the sampler, which all devices run on the whole vocabulary, beside
    the hidden states of the last layer.
    """
    tokens = engine.activation_tokens
    vocabulary = model.lm_head_elements / model.hidden_size
    layer = tokens * engine.activation_width * widest_elements(model, layout)
    hidden = tokens * engine.activation_width * HIDDEN_COPIES * model.hidden_size
    sampler = min(engine.sampled_sequences, tokens) * vocabulary * engine.sampler_width
    return max(layer, hidden + sampler)


def usable_bytes(model: Model, device: Device, engine: Engine, layout: Layout) -> float:
    """Bytes of a device that an engine allocates to weights and KV cache. [bytes]"""
    visible = device.memory_capacity * (1.0 - engine.memory_driver_share)
    talk = engine.communicator_memory if layout.devices > 1.0 else 0.0
    kept = engine.memory_reserve + talk + activation_bytes(model, engine, layout)
    return max(0.0, visible * engine.memory_fraction - kept)


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
