"""The CPU beside the devices: layers and routed experts in host memory, and their time.

The CPU of the host computes what is in its memory, or the weights are copied to the device, which
computes (llama.cpp does so for passes of 32 tokens or more).
"""

from typing import NamedTuple

from perfcore.physics.memory import second_tier_bandwidth
from perfcore.physics.operators import computing_experts, expert_read_bytes
from perfcore.physics.roofline import Operator, operator_time
from perfcore.physics.weights import body_elements, expert_bytes, layer_bytes
from perfcore.records import OFFLOAD_EXPERTS, Deployment, Device, Engine, Model, WeightFormat


class Split(NamedTuple):
    """Shares of a model in host memory."""

    layers: float  # of layers, with their KV cache
    experts: float  # of the layers' routed experts


def split_of(model: Model, deployment: Deployment) -> Split:
    """Shares of ``model`` in host memory: the first layers are those of the CPU, as in llama.cpp.

    Layers count alike. The lm_head and the input embedding are on the devices.
    """
    layers = max(model.layers - deployment.gpu_layers, 0.0) / model.layers
    experts = layers
    if deployment.offload == OFFLOAD_EXPERTS:
        experts = max(layers, min(deployment.cpu_moe_layers, model.layers) / model.layers)
    return Split(layers=layers, experts=experts if model.experts > 0.0 else 0.0)


def experts_away(split: Split, deployment: Deployment) -> float:
    """Share of the layers whose routed experts are not on the devices that compute attention."""
    return 1.0 if deployment.expert_devices > 0.0 else split.experts


def on_cpu(split: Split) -> float:
    """Whether the CPU computes anything, as a flag."""
    return 1.0 if split.layers + split.experts > 0.0 else 0.0


def waits(split: Split, deployment: Deployment) -> float:
    """Whether devices wait for another machine, the CPU or others of their kind, as a flag."""
    others = deployment.expert_devices + deployment.draft_devices
    return 1.0 if others > 0.0 else on_cpu(split)


def tables_here(device: Device) -> float:
    """Share of a model's n-gram tables in device memory: none, if there is host memory."""
    return 1.0 if device.host_memory_capacity == 0.0 else 0.0


def part_of(model: Model, layers: float, experts: float, outside: float, tables: float) -> Model:
    """``layers`` of the layers of a model, ``experts`` of their routed experts, as shares.

    ``outside`` is the share of the lm_head and the embedding, ``tables`` that of n-gram tables.
    """
    return Model(
        layers=model.layers * layers,
        hidden_size=model.hidden_size,
        heads=model.heads,
        kv_heads=model.kv_heads,
        max_context=model.max_context,
        attention_in_elements=model.attention_in_elements * layers,
        attention_in_io_elements=model.attention_in_io_elements * layers,
        attention_in_operators=model.attention_in_operators * layers,
        attention_out_elements=model.attention_out_elements * layers,
        attention_out_io_elements=model.attention_out_io_elements * layers,
        attention_out_operators=model.attention_out_operators * layers,
        ffn_in_elements=model.ffn_in_elements * layers,
        ffn_in_io_elements=model.ffn_in_io_elements * layers,
        ffn_in_operators=model.ffn_in_operators * layers,
        ffn_out_elements=model.ffn_out_elements * layers,
        ffn_out_io_elements=model.ffn_out_io_elements * layers,
        ffn_out_operators=model.ffn_out_operators * layers,
        shared_elements=model.shared_elements * layers,
        shared_io_elements=model.shared_io_elements * layers,
        shared_operators=model.shared_operators * layers,
        expert_elements=model.expert_elements * experts,
        expert_io_elements=model.expert_io_elements * experts,
        moe_layers=model.moe_layers * experts,
        experts=model.experts,
        experts_per_token=model.experts_per_token,
        lm_head_elements=model.lm_head_elements * outside,
        embedding_elements=model.embedding_elements * outside,
        table_elements=model.table_elements * tables,
        other_elements=model.other_elements * layers,
        global_layers=model.global_layers * layers,
        window_layers=model.window_layers * layers,
        state_layers=model.state_layers * layers,
        window=model.window,
        window_chunked=model.window_chunked,
        global_kv_elements=model.global_kv_elements * layers,
        window_kv_elements=model.window_kv_elements * layers,
        global_read_elements=model.global_read_elements * layers,
        window_read_elements=model.window_read_elements * layers,
        latent_cache=model.latent_cache,
        attention_io_elements=model.attention_io_elements * layers,
        global_score_flops=model.global_score_flops * layers,
        window_score_flops=model.window_score_flops * layers,
        global_prefill_score_flops=model.global_prefill_score_flops * layers,
        index_topk=model.index_topk,
        index_elements=model.index_elements * layers,
        index_score_flops=model.index_score_flops * layers,
        state_elements=model.state_elements * layers,
        all_reduces=model.all_reduces * layers,
        experts_only=model.experts_only,
        token_price=model.token_price,
    )


class CpuCosts(NamedTuple):
    """Costs of what is in host memory, for the CPU and for copies to the devices. [s]"""

    body: Operator  # linear operators of its layers, without routed experts
    experts: Operator  # ``weights`` reads one expert in each of its layers
    per_byte: float  # of its KV cache
    per_flop: float  # of attention
    cached: float  # layers with a cache in host memory, for each on the devices
    body_copy: float  # of all weights of its layers to a device, without routed experts
    expert_copy: float  # of one expert in each of its layers
    crossings: float  # times that a pass passes activations between devices and CPU
    copied_crossings: float  # likewise if weights are copied
    crossing_per_token: float  # over the link, of one crossing
    crossing_start: float
    crossings_s: float  # start-ups of all crossings of a pass


def cpu_costs(
    model: Model,
    split: Split,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
) -> CpuCosts:
    """Costs of ``split`` of ``model`` in host memory.

    Activations stay in the caches of the CPU. A layer whose routed experts alone are in host memory
    passes its activations there and back; the CPU's own layers come first and pass them on once.
    If their weights are copied, only their attention is left to the CPU.
    """
    part = part_of(model, split.layers, split.experts, 0.0, 0.0)
    per_byte = 1.0 / (engine.cpu_memory_efficiency * device.host_memory_bandwidth)
    per_flop = 1.0 / (engine.cpu_compute_efficiency * device.host_flops)
    link = second_tier_bandwidth(device, engine)
    body = layer_bytes(part, weight_format)
    expert = expert_read_bytes(part, weight_format)
    apart = model.moe_layers * max(split.experts - split.layers, 0.0)
    crossings = 2.0 * apart + min(part.layers, 1.0)
    return CpuCosts(
        body=Operator(
            compute_per_token=2.0 * body_elements(part) * per_flop,
            weights=body * per_byte,
            activations_per_token=0.0,
            start_up=0.0,
        ),
        experts=Operator(
            compute_per_token=2.0
            * computing_experts(model, engine)
            * part.expert_elements
            * per_flop,
            weights=expert * per_byte,
            activations_per_token=0.0,
            start_up=0.0,
        ),
        per_byte=per_byte,
        per_flop=per_flop,
        cached=split.layers / (1.0 - split.layers),
        body_copy=body / link,
        expert_copy=expert / link,
        crossings=crossings,
        copied_crossings=2.0 * part.layers,
        crossing_per_token=model.hidden_size * weight_format.activation_bytes / link,
        crossing_start=engine.cpu_hand_over,
        crossings_s=crossings * engine.cpu_hand_over,
    )


def host_weight_bytes(model: Model, split: Split, weight_format: WeightFormat) -> float:
    """Bytes of the weights in host memory, of which there is one copy. [bytes]"""
    part = part_of(model, split.layers, split.experts, 0.0, 0.0)
    return layer_bytes(part, weight_format) + expert_bytes(part, weight_format)


def cpu_linear(
    costs: CpuCosts, tokens: float, experts_read: float, reads: float, residue: float
) -> float:
    """Time of the CPU's linear operators on ``tokens``, weights read ``reads`` times. [s]"""
    body = operator_time(costs.body, tokens, reads, residue)
    experts = operator_time(costs.experts, tokens, experts_read * reads, residue)
    return body.total + experts.total
