"""Time of an operator: a smooth roofline with a start-up time."""

from math import sqrt
from typing import NamedTuple

from perfcore.physics.fused import fma
from perfcore.records import (
    KERNEL_4,
    KERNEL_4_WEIGHT_ONLY,
    KERNEL_8,
    KERNEL_8_BLOCK,
    KERNEL_8_WEIGHT_ONLY,
    KERNEL_GGUF,
    MATH_FP4,
    MATH_FP8,
    MATH_FP16,
    MATH_FP32,
    MATH_INT8,
    Device,
    Engine,
)

TINY = 1e-300  # s; avoids 0/0 for an absent operator


class Time(NamedTuple):
    """Time of an operator without its start-up, and the shares of each resource's time in it.

    ``total = compute_duty * compute_s + memory_duty * memory_s``.
    """

    total: float  # s
    compute_duty: float
    memory_duty: float


class Path(NamedTuple):
    """Achieved rates of a linear operator on a device, and its start-up time."""

    flops: float  # FLOP/s
    bandwidth: float  # bytes/s
    launch: float  # s


class Operator(NamedTuple):
    """A class of linear operators of one pass, in seconds on the devices that share it."""

    compute_per_token: float
    weights: float  # to read the weights once
    activations_per_token: float
    start_up: float


def roofline(compute_s: float, memory_s: float, residue: float) -> Time:
    """Time of an operator that computes and moves data at once. [s]

    t = sqrt(slow^2 + residue fast^2): the slower resource dominates, the faster one counts if both
    are close. ``residue`` 1 is the p = 2 norm, with an error of 7 % on 21,650 measured H100 GEMMs
    (max(): 33 %, with data-sheet rates); 0 is max(), the bound. As t is homogeneous of degree one,
    each resource's part follows from Euler's theorem, and the two parts sum to t.
    """
    slow = max(compute_s, memory_s)
    fast = min(compute_s, memory_s)
    total = sqrt(fma(slow, slow, residue * (fast * fast)))
    per_total = 1.0 / (total + TINY)
    compute_weight = 1.0 if compute_s > memory_s else residue
    memory_weight = residue if compute_s > memory_s else 1.0
    return Time(
        total=total,
        compute_duty=compute_weight * (compute_s * per_total),
        memory_duty=memory_weight * (memory_s * per_total),
    )


def operator_time(operator: Operator, tokens: float, weight_reads: float, residue: float) -> Time:
    """Time of a class of linear operators on ``tokens``, weights read ``weight_reads`` times."""
    return roofline(
        operator.compute_per_token * tokens,
        fma(operator.activations_per_token, tokens, operator.weights * weight_reads),
        residue,
    )


def native_flops(device: Device, arithmetic: float) -> float:
    """Dense FLOP/s at which ``device`` multiplies in ``arithmetic`` itself; 0 if it cannot."""
    if arithmetic == MATH_FP32:
        return device.flops_fp32
    if arithmetic == MATH_FP8:
        return device.flops_fp8
    if arithmetic == MATH_INT8:
        return device.flops_int8
    return device.flops_fp4 if arithmetic == MATH_FP4 else device.flops_fp16


def peak_flops(device: Device, arithmetic: float) -> float:
    """Dense FLOP/s of the narrowest path of ``device`` that can multiply in ``arithmetic``.

    A device without a native path computes in 16 bit, or else in fp32, and unpacks weights on the
    fly. 0 if there is no path at all.
    """
    native = native_flops(device, arithmetic)
    if native > 0.0:
        return native
    return device.flops_fp16 if device.flops_fp16 > 0.0 else device.flops_fp32


def usable_flops(device: Device, arithmetic: float) -> float:
    """``peak_flops``, or 1 FLOP/s if there is no path, to avoid a division by zero."""
    return max(peak_flops(device, arithmetic), 1.0)


def reached_flops(device: Device, engine: Engine, arithmetic: float) -> float:
    """``usable_flops`` of an engine's kernels, some of which accumulate in fp16. [FLOP/s]

    GeForce cards do so at twice the data-sheet rate of fp32 accumulation. bf16 has no such
    mode; the engines that use it run such models in fp16.
    """
    usable = usable_flops(device, arithmetic)
    native = arithmetic != MATH_FP16 and native_flops(device, arithmetic) > 0.0
    if native or device.flops_fp16 == 0.0:
        return usable
    return max(usable, engine.narrow_accumulation * device.flops_fp16_narrow)


def kernel_on(device: Device, kernel: float, arithmetic: float) -> float:
    """Code of the kernel that runs: a format without a native path becomes weight-only."""
    if kernel in (KERNEL_8, KERNEL_8_BLOCK):
        native = device.flops_int8 if arithmetic == MATH_INT8 else device.flops_fp8
        return kernel if native > 0.0 else KERNEL_8_WEIGHT_ONLY
    if kernel == KERNEL_4:
        return kernel if device.flops_fp4 > 0.0 else KERNEL_4_WEIGHT_ONLY
    return kernel


def linear_path(device: Device, engine: Engine, kernel: float, arithmetic: float) -> Path:
    """Rates and start-up time of matrix multiplications in one format."""
    running = kernel_on(device, kernel, arithmetic)
    launch = engine.launch
    memory = engine.memory_efficiency_16
    compute = engine.compute_efficiency_16
    if running == KERNEL_8:
        launch = engine.launch_fp8
        memory = engine.memory_efficiency_8
        compute = engine.compute_efficiency_8
    elif running == KERNEL_8_BLOCK:
        launch = engine.launch_fp8_block
        memory = engine.memory_efficiency_8_block
        compute = engine.compute_efficiency_8_block
    elif running == KERNEL_8_WEIGHT_ONLY:
        memory = engine.memory_efficiency_8_weight_only
        compute = engine.compute_efficiency_8_weight_only
    elif running == KERNEL_4_WEIGHT_ONLY:
        memory = engine.memory_efficiency_4_weight_only
        compute = engine.compute_efficiency_4_weight_only
    elif running == KERNEL_GGUF:
        memory = engine.memory_efficiency_gguf
        compute = engine.compute_efficiency_gguf
    elif running == KERNEL_4:
        launch = engine.launch_fp8
        memory = engine.memory_efficiency_4
        compute = engine.compute_efficiency_4
    return Path(
        flops=compute * reached_flops(device, engine, arithmetic),
        bandwidth=memory * device.memory_bandwidth,
        launch=launch,
    )


def half_performance_bytes(start_up: float, bandwidth: float) -> float:
    """Bytes at which an operator reaches half of ``bandwidth``: n_1/2 = t0 W. [bytes]

    Hockney's half-performance length; 10.3 MB on an H100 (3.63 us, 0.845 of 3.35 TB/s). This is why
    tensor parallelism, which shrinks operators, loses efficiency.
    """
    return start_up * bandwidth


def ridge_batch(device: Device, engine: Engine, weight_bits: float, arithmetic: float) -> float:
    """Tokens per weight read above which a matrix product is compute-bound. [tokens]

    B* = (P / W) w / 2 for w bytes per weight: 295 on an H100 in bf16.
    """
    return reached_flops(device, engine, arithmetic) / device.memory_bandwidth * weight_bits / 16.0
