"""Linear operators of one forward pass, in seconds on the devices that share them."""

from typing import NamedTuple

from perfcore.physics.moe import distinct_experts
from perfcore.physics.parallelism import Layout, head_padding
from perfcore.physics.roofline import Operator, Path, kernel_on, linear_path, reached_flops
from perfcore.physics.weights import (
    OTHER_BYTES,
    body_arithmetic,
    body_bits,
    body_elements,
    body_kernel,
)
from perfcore.records import (
    KERNEL_4_WEIGHT_ONLY,
    KERNEL_8_BLOCK,
    KERNEL_16,
    KERNEL_GGUF,
    MATH_FP16,
    MATH_FP32,
    Device,
    Engine,
    Model,
    WeightFormat,
)

NORM_BYTES = 20.0  # per hidden element, layer and token: two norms, two residuals, rotary, gate
ELEMENTWISE_PER_LAYER = 4.0  # kernels other than matrix products and attention
LOGIT_ELEMENTS = 3.0  # per logit, of 2 bytes: the 16-bit output and the sampler's fp32 copy


class Operators(NamedTuple):
    """Classes of linear operators; ``experts.weights`` is the time to read one expert."""

    attention_in: Operator
    attention_out: Operator
    ffn_in: Operator
    ffn_out: Operator
    shared: Operator
    experts: Operator
    lm_head: Operator
    elementwise: Operator


def linear_operator(
    elements: float,
    io_elements: float,
    launches: float,
    bits: float,
    path: Path,
    activation_bandwidth: float,
    activation_bytes: float,
    width: float,
    io_width: float,
) -> Operator:
    """One class of matrix products: 2 FLOP per weight and token, weights and activations moved.

    ``io_elements`` are those of all ``io_width`` devices that share it.
    """
    return Operator(
        compute_per_token=2.0 * elements / (path.flops * width),
        weights=elements * bits / 8.0 / (path.bandwidth * width),
        activations_per_token=io_elements * activation_bytes / (activation_bandwidth * io_width),
        start_up=launches * path.launch,
    )


class Activations(NamedTuple):
    """Activation elements that a token moves in and out of the operators of all layers.

    Summed over all devices that share the operators.
    """

    attention_in: float
    attention_out: float
    ffn_in: float
    ffn_out: float
    shared: float
    experts: float
    lm_head: float
    elementwise: float


def activation_elements(model: Model, layout: Layout, ep: float, padding: float) -> Activations:
    """Activations that move in and out of operators, with their copies.

    The input of a product whose columns are split, and the output of one whose rows are split, are
    whole on every device: d elements for each product. So are norms and residuals. Products of
    routed experts are split among the devices of an expert rank. Spatial machines hold one copy.
    ``padding`` multiplies heads, and so the other elements of attention's products.
    """
    copies = layout.copies - 1.0
    hidden = model.hidden_size
    into = hidden * model.attention_in_operators
    out = hidden * model.attention_out_operators
    expert_copies = max(layout.copies * layout.groups / ep - 1.0, 0.0)
    of_experts = 2.0 * hidden * model.experts_per_token * model.moe_layers
    return Activations(
        attention_in=(model.attention_in_io_elements - into) * padding + layout.copies * into,
        attention_out=(model.attention_out_io_elements - out) * padding + layout.copies * out,
        ffn_in=model.ffn_in_io_elements + copies * hidden * model.ffn_in_operators,
        ffn_out=model.ffn_out_io_elements + copies * hidden * model.ffn_out_operators,
        shared=model.shared_io_elements + copies * hidden * model.shared_operators,
        experts=model.expert_io_elements + expert_copies * of_experts,
        lm_head=head_io_elements(model) + copies * hidden,
        elementwise=layout.copies * (NORM_BYTES / 2.0) * hidden * model.layers,
    )


def computing_experts(model: Model, engine: Engine) -> float:
    """Routed experts that compute for one token: those that it chooses, or all of them.

    A graph that is compiled ahead knows no routes: all experts see all tokens, and the router's
    weights leave out what is not chosen.
    """
    chosen = model.experts_per_token
    return chosen + engine.dense_experts * (model.experts - chosen)


def half_width(device: Device, engine: Engine, weight_format: WeightFormat) -> float:
    """Width at which an expert's products reach half of their rate: ``expert_half_width``.

    Twice that for arithmetic that is twice as fast or more, whose columns are done sooner.
    """
    if weight_format.kernel == KERNEL_4_WEIGHT_ONLY:
        return engine.expert_half_width_4_weight_only
    rate = reached_flops(device, engine, weight_format.arithmetic)
    faster = rate / reached_flops(device, engine, MATH_FP16)
    return engine.expert_half_width * min(max(faster, 1.0), 2.0)


def expert_kernel(
    model: Model, device: Device, engine: Engine, weight_format: WeightFormat, sharers: float
) -> Path:
    """Rates and start-up time of the fused kernel of routed experts, each on ``sharers`` devices.

    Products of width f on one device reach 1 / (1 + n0 / f) of their rate, n0 = ``half_width``:
    they have fewer columns than a kernel needs to fill the device. The width follows from three
    matrices of d x f for each expert.
    """
    path = linear_path(device, engine, weight_format.kernel, weight_format.arithmetic)
    running = kernel_on(device, weight_format.kernel, weight_format.arithmetic)
    blocked = running == KERNEL_8_BLOCK
    narrow = 0.0
    if model.expert_elements > 0.0:
        per_width = 3.0 * model.hidden_size * model.moe_layers * max(sharers, 1.0)
        narrow = half_width(device, engine, weight_format) * per_width / model.expert_elements
    return Path(
        flops=path.flops * engine.compute_efficiency_experts / (1.0 + narrow),
        bandwidth=path.bandwidth * engine.memory_efficiency_experts,
        launch=engine.launch_experts_block if blocked else engine.launch_experts,
    )


def operators(
    model: Model,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    layout: Layout,
    tp: float,
    ep: float,
) -> Operators:
    """All classes of linear operators of ``model`` in ``weight_format`` on ``device``."""
    bits = body_bits(model, weight_format)
    path = linear_path(
        device, engine, body_kernel(model, weight_format), body_arithmetic(model, weight_format)
    )
    expert_path = expert_kernel(model, device, engine, weight_format, layout.expert_width / ep)
    head_kernel = KERNEL_GGUF if weight_format.kernel == KERNEL_GGUF else KERNEL_16
    head_arithmetic = MATH_FP32 if weight_format.arithmetic == MATH_FP32 else MATH_FP16
    head_path = linear_path(device, engine, head_kernel, head_arithmetic)
    plain_bandwidth = engine.memory_efficiency_16 * device.memory_bandwidth
    io_bytes = weight_format.activation_bytes
    width = layout.width
    heads_width = width / head_padding(model, tp) if device.spatial == 0.0 else width
    expert_width = layout.expert_width
    elements = activation_elements(model, layout, ep, width / heads_width)
    return Operators(
        attention_in=linear_operator(
            model.attention_in_elements,
            elements.attention_in,
            model.attention_in_operators,
            bits,
            path,
            plain_bandwidth,
            io_bytes,
            heads_width,
            width,
        ),
        attention_out=linear_operator(
            model.attention_out_elements,
            elements.attention_out,
            model.attention_out_operators,
            bits,
            path,
            plain_bandwidth,
            io_bytes,
            heads_width,
            width,
        ),
        ffn_in=linear_operator(
            model.ffn_in_elements,
            elements.ffn_in,
            model.ffn_in_operators,
            bits,
            path,
            plain_bandwidth,
            io_bytes,
            width,
            width,
        ),
        ffn_out=linear_operator(
            model.ffn_out_elements,
            elements.ffn_out,
            model.ffn_out_operators,
            bits,
            path,
            plain_bandwidth,
            io_bytes,
            width,
            width,
        ),
        shared=linear_operator(
            model.shared_elements,
            elements.shared,
            model.shared_operators,
            bits,
            path,
            plain_bandwidth,
            io_bytes,
            width,
            width,
        ),
        experts=Operator(
            compute_per_token=2.0
            * computing_experts(model, engine)
            * model.expert_elements
            / (expert_path.flops * expert_width),
            weights=model.expert_elements
            * weight_format.bits
            / 8.0
            / (expert_path.bandwidth * expert_width),
            activations_per_token=elements.experts * io_bytes / (plain_bandwidth * expert_width),
            start_up=model.moe_layers * expert_path.launch,
        ),
        lm_head=linear_operator(
            model.lm_head_elements,
            elements.lm_head,
            1.0,
            weight_format.embedding_bits,
            head_path,
            plain_bandwidth,
            io_bytes,
            width,
            width,
        ),
        elementwise=Operator(
            compute_per_token=0.0,
            weights=model.other_elements * OTHER_BYTES / plain_bandwidth,
            activations_per_token=elements.elementwise * io_bytes / (plain_bandwidth * width),
            start_up=ELEMENTWISE_PER_LAYER * model.layers * engine.launch_elementwise,
        ),
    )


def layer_weights(operators: Operators) -> float:
    """Time to read the weights of all layers once, apart from routed experts. [s]"""
    return (
        operators.attention_in.weights
        + operators.attention_out.weights
        + operators.ffn_in.weights
        + operators.ffn_out.weights
        + operators.shared.weights
    )


def layer_compute(operators: Operators) -> float:
    """Time of a token's arithmetic in all layers, apart from routed experts. [s]"""
    return (
        operators.attention_in.compute_per_token
        + operators.attention_out.compute_per_token
        + operators.ffn_in.compute_per_token
        + operators.ffn_out.compute_per_token
        + operators.shared.compute_per_token
    )


def linear_start_up(operators: Operators) -> float:
    """Start-up time of the linear and element-wise operators of all layers. [s]"""
    return (
        operators.attention_in.start_up
        + operators.attention_out.start_up
        + operators.ffn_in.start_up
        + operators.ffn_out.start_up
        + operators.shared.start_up
        + operators.experts.start_up
        + operators.elementwise.start_up
    )


def start_up(model: Model, device: Device, engine: Engine, operators: Operators) -> float:
    """Start-up time of every operator of a pass, linear or not. [s]

    A spatial machine has a fixed time per layer instead of launches.
    """
    mixers = model.global_layers + model.window_layers + model.state_layers
    launches = linear_start_up(operators) + operators.lm_head.start_up
    launches += mixers * engine.launch_attention
    return launches + device.spatial * engine.spatial_latency * model.layers * device.layer_latency


def head_io_elements(model: Model) -> float:
    """Activation elements that the lm_head moves for one token: its input and all logits."""
    return model.hidden_size + LOGIT_ELEMENTS * model.lm_head_elements / model.hidden_size


def flops_per_token(model: Model) -> float:
    """Linear FLOP of one token without the lm_head: 2 per active weight. [FLOP]"""
    return 2.0 * (body_elements(model) + model.experts_per_token * model.expert_elements)


def touched_experts(experts: float, engine: Engine, passed_over: float, tokens: float) -> float:
    """Expected distinct experts of ``tokens`` in a layer; 0 for a dense model.

    All of them if every token passes through all.
    Redundant copies among ``experts`` are chosen like others. Tokens resemble each other:
    1 + x (T - 1) of T choose independently.
    """
    if experts == 0.0 or engine.dense_experts == 1.0:
        return experts
    independent = 1.0 + engine.routing_independence * max(tokens - 1.0, 0.0)
    return distinct_experts(experts, passed_over, min(tokens, independent))


def body_read_bytes(model: Model, weight_format: WeightFormat) -> float:
    """Weight bytes that every pass reads: all but routed experts and the embedding."""
    return (
        body_elements(model) * body_bits(model, weight_format) / 8.0
        + model.lm_head_elements * weight_format.embedding_bits / 8.0
        + model.other_elements * OTHER_BYTES
    )


def expert_read_bytes(model: Model, weight_format: WeightFormat) -> float:
    """Bytes of one routed expert in every MoE layer."""
    return model.expert_elements * weight_format.bits / 8.0


def activation_bytes_per_token(
    model: Model, weight_format: WeightFormat, layout: Layout, ep: float
) -> float:
    """Bytes that one token moves in and out of linear and element-wise operators, all devices."""
    moved = activation_elements(model, layout, ep, 1.0)
    elements = (
        moved.attention_in
        + moved.attention_out
        + moved.ffn_in
        + moved.ffn_out
        + moved.shared
        + moved.experts
        + moved.elementwise
    )
    return elements * weight_format.activation_bytes
