"""Weights: their width, and the bytes they take."""

from math import nan

from perfcore.records import (
    KERNEL_16,
    KERNEL_GGUF,
    MATH_FP16,
    UNMEASURED,
    Model,
    WeightFormat,
)

TABLE_BITS = 8.0  # of an entry of an n-gram table, at least
OTHER_BYTES = 2.0  # norms, biases and routers stay 16-bit in every format


def leaves_body_wide(model: Model, weight_format: WeightFormat) -> bool:
    """Return whether only the routed experts are narrow, as in MXFP4 checkpoints of gpt-oss."""
    if model.experts == 0.0:
        return False
    narrow = weight_format.bits < 6.0
    return weight_format.experts_only == 1.0 or (model.experts_only == 1.0 and narrow)


def body_bits(model: Model, weight_format: WeightFormat) -> float:
    """Bits per weight of attention, dense FFN and shared experts."""
    return weight_format.body_bits if leaves_body_wide(model, weight_format) else weight_format.bits


def body_kernel(model: Model, weight_format: WeightFormat) -> float:
    """Kernel code of attention, dense FFN and shared experts."""
    if weight_format.kernel == KERNEL_GGUF or not leaves_body_wide(model, weight_format):
        return weight_format.kernel
    return KERNEL_16


def body_arithmetic(model: Model, weight_format: WeightFormat) -> float:
    """Arithmetic code of attention, dense FFN and shared experts."""
    return MATH_FP16 if leaves_body_wide(model, weight_format) else weight_format.arithmetic


def body_elements(model: Model) -> float:
    """Weights that every token multiplies, without the lm_head. [elements]"""
    return (
        model.attention_in_elements
        + model.attention_out_elements
        + model.ffn_in_elements
        + model.ffn_out_elements
        + model.shared_elements
    )


def parameters(model: Model) -> float:
    """All parameters of the model. [elements]"""
    return (
        body_elements(model)
        + model.experts * model.expert_elements
        + model.lm_head_elements
        + model.embedding_elements
        + model.table_elements
        + model.other_elements
    )


def table_bytes(model: Model, weight_format: WeightFormat) -> float:
    """Bytes of n-gram tables, at the width of weights, but 8 bits or more. [bytes]

    Qwen3.8-Flash-Next-FP8 and DeepSeek-V4.1-Flash, whose experts have 4 bits, keep theirs in fp8.
    """
    bits = min(weight_format.embedding_bits, max(weight_format.bits, TABLE_BITS))
    return model.table_elements * bits / 8.0


def expert_bytes(model: Model, weight_format: WeightFormat) -> float:
    """Bytes of all routed experts of one copy of the model. [bytes]"""
    return model.experts * model.expert_elements * weight_format.bits / 8.0


def layer_bytes(model: Model, weight_format: WeightFormat) -> float:
    """Bytes of the layers of one copy of the model, without routed experts. [bytes]"""
    body = body_elements(model) * body_bits(model, weight_format) / 8.0
    return body + model.other_elements * OTHER_BYTES


def weight_bytes(model: Model, weight_format: WeightFormat) -> float:
    """Bytes of one copy of the model, with all experts, embedding and tables. [bytes]"""
    return (
        body_elements(model) * body_bits(model, weight_format) / 8.0
        + expert_bytes(model, weight_format)
        + (model.lm_head_elements + model.embedding_elements) * weight_format.embedding_bits / 8.0
        + table_bytes(model, weight_format)
        + model.other_elements * OTHER_BYTES
    )


def perplexity_increase(weight_format: WeightFormat) -> float:
    """Increase of perplexity, as a fraction; NaN if nobody has measured it."""
    increase = weight_format.perplexity_increase
    return increase if increase > UNMEASURED else nan
