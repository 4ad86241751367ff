"""The roofline of an operator, and the achieved FLOP/s of a device, by hand."""

import pytest

from perfcore import records
from perfcore.physics.operators import linear_operator
from perfcore.physics.roofline import (
    Operator,
    Path,
    half_performance_bytes,
    kernel_on,
    linear_path,
    native_flops,
    operator_time,
    peak_flops,
    reached_flops,
    ridge_batch,
    roofline,
    usable_flops,
)
from physics.worked import (
    BF16,
    DEEPSEEK,
    ENGINE,
    FITTED,
    FP8,
    FP8_BLOCK,
    GEFORCE,
    H100,
    IDEAL,
    LLAMA,
    NARROW,
    WIDE_SUMS,
    digits,
    whole,
)


def test_roofline_is_the_p2_norm():
    time = roofline(3.0, 4.0, 1.0)

    assert time.total == 5.0
    assert (time.compute_duty * 3.0, time.memory_duty * 4.0) == (digits(9 / 5), digits(16 / 5))


def test_roofline_without_residue_is_the_slower():
    time = roofline(3.0, 4.0, 0.0)

    assert time == (4.0, 0.0, 1.0)


def test_roofline_on_a_tie_waits_for_memory():
    time = roofline(2.0, 2.0, 0.0)

    assert time == (2.0, 0.0, 1.0)


def test_roofline_of_nothing_takes_no_time():
    assert roofline(0.0, 0.0, 1.0) == (0.0, 0.0, 0.0)


def test_matrix_product_with_fitted_constants():
    """[fit] m = 64, n = 8192, k = 28672 in bf16 takes 175.4789057 us on an H100."""
    path = linear_path(H100, FITTED, records.KERNEL_16, records.MATH_FP16)
    product = linear_operator(
        8_192 * 28_672, 8_192 + 28_672, 1.0, 16.0, path, path.bandwidth, 2.0, 1.0, 1.0
    )

    time = operator_time(product, 64.0, 1.0, 1.0)

    assert product.start_up + time.total == digits(175.4789057e-6)


def test_weights_read_twice_take_twice_as_long():
    product = Operator(compute_per_token=0.0, weights=2.0, activations_per_token=1.0, start_up=0.0)

    assert operator_time(product, 3.0, 2.0, 1.0).total == 7.0


def test_half_performance_length():
    """[fit] n_1/2 = 10.3 MB (3.7 us, 0.831 of 3.35 TB/s); 64 MiB reach 0.7204251115 of peak."""
    size = half_performance_bytes(3.7e-6, 0.831 * 3.35e12)
    reached = 0.831 / (1.0 + size / 2**26)

    assert size == pytest.approx(10.3e6, rel=1e-3)
    assert reached == digits(0.7204251115)


def test_ridge_batch():
    """[H100] 989e12 / 3.35e12: 295.2238806 tokens in bf16, 78.41884328 for 4.25 bit with bf16."""
    assert ridge_batch(H100, ENGINE, 16.0, records.MATH_FP16) == digits(295.2238806)
    assert ridge_batch(H100, ENGINE, 4.25, records.MATH_FP16) == digits(78.41884328)


def test_native_flops_are_those_of_the_data_sheet():
    assert native_flops(H100, records.MATH_FP8) == H100.flops_fp8
    assert native_flops(H100, records.MATH_FP16) == 989e12
    assert native_flops(H100._replace(flops_fp8=0.0), records.MATH_FP8) == 0.0
    assert native_flops(H100, records.MATH_FP4) == H100.flops_fp4 == 0.0


def test_peak_flops_falls_back_to_16_bit_then_fp32():
    old = H100._replace(flops_fp8=0.0)
    oldest = old._replace(flops_fp16=0.0, flops_fp32=14e12)

    assert peak_flops(H100, records.MATH_FP8) == H100.flops_fp8
    assert peak_flops(old, records.MATH_FP8) == 989e12
    assert peak_flops(oldest, records.MATH_FP8) == 14e12


def test_usable_flops_are_never_zero():
    assert usable_flops(H100, records.MATH_FP16) == 989e12
    assert usable_flops(H100._replace(flops_fp16=0.0, flops_fp32=0.0), records.MATH_FP16) == 1.0


def test_kernel_without_native_arithmetic_is_weight_only():
    old = H100._replace(flops_fp8=0.0, flops_fp4=0.0)

    assert kernel_on(H100, records.KERNEL_8, records.MATH_FP8) == records.KERNEL_8
    assert kernel_on(old, records.KERNEL_8_BLOCK, records.MATH_FP8) == records.KERNEL_8_WEIGHT_ONLY
    assert kernel_on(old, records.KERNEL_4, records.MATH_FP4) == records.KERNEL_4_WEIGHT_ONLY
    assert kernel_on(old, records.KERNEL_8, records.MATH_INT8) == records.KERNEL_8
    assert kernel_on(old, records.KERNEL_GGUF, records.MATH_FP16) == records.KERNEL_GGUF


def test_linear_path_of_fp8():
    path = linear_path(H100, ENGINE, records.KERNEL_8, records.MATH_FP8)

    assert path == Path(
        flops=ENGINE.compute_efficiency_8 * H100.flops_fp8,
        bandwidth=ENGINE.memory_efficiency_8 * 3.35e12,
        launch=ENGINE.launch_fp8,
    )


STARTING = IDEAL._replace(
    launch=1e-6,
    launch_fp8=10e-6,
    launch_fp8_block=7e-6,
    launch_experts=42e-6,
    launch_experts_block=120e-6,
)
AMPERE = H100._replace(flops_fp8=0.0, flops_fp4=0.0)


def test_linear_path_of_fp8_in_blocks():
    """Without fp8 arithmetic the format is weight-only, with the start-up of 16 bit."""
    path = linear_path(H100, ENGINE, records.KERNEL_8_BLOCK, records.MATH_FP8)

    assert path == Path(
        flops=ENGINE.compute_efficiency_8_block * H100.flops_fp8,
        bandwidth=ENGINE.memory_efficiency_8_block * 3.35e12,
        launch=ENGINE.launch_fp8_block,
    )
    assert linear_path(AMPERE, STARTING, records.KERNEL_8_BLOCK, records.MATH_FP8).launch == 1e-6


@pytest.mark.parametrize(
    ("form", "device", "seconds"),
    [
        (BF16, H100, 0.321e-3),
        (FP8, H100, 3.201e-3),
        (FP8_BLOCK, H100, 2.241e-3),
        (FP8_BLOCK, AMPERE, 0.321e-3),
    ],
)
def test_start_up_of_scales_in_blocks(form, device, seconds):
    """Llama-3-70B: 320 products of 1, 10 or 7 us, and an lm_head of 1 us."""
    assert whole(LLAMA, STARTING, form=form, device=device).latency_s == digits(seconds)


@pytest.mark.parametrize(
    ("form", "device", "seconds"),
    [
        (BF16, H100, 2.864e-3),
        (FP8, H100, 6.707e-3),
        (FP8_BLOCK, H100, 9.950e-3),
        (FP8_BLOCK, AMPERE, 2.864e-3),
    ],
)
def test_start_up_of_experts_in_blocks(form, device, seconds):
    """DeepSeek-V3: 58 MoE layers of 42 or 120 us, 305 + 6 + 116 products, one lm_head."""
    assert whole(DEEPSEEK, STARTING, form=form, device=device).latency_s == digits(seconds)


def test_sums_in_fp16():
    """RTX 4090: 330.4 TFLOP/s accumulating in fp16, 165.2 in fp32; also for fp4, which it lacks."""
    for arithmetic, wide, narrow in (
        (records.MATH_FP32, 82.6e12, 82.6e12),
        (records.MATH_FP16, 165.2e12, 330.4e12),
        (records.MATH_FP8, 660.8e12, 660.8e12),
        (records.MATH_FP4, 165.2e12, 330.4e12),
    ):
        assert reached_flops(GEFORCE, WIDE_SUMS, arithmetic) == wide
        assert reached_flops(GEFORCE, NARROW, arithmetic) == narrow
    slow = GEFORCE._replace(flops_fp16_narrow=0.0)
    assert reached_flops(slow, NARROW, records.MATH_FP16) == 165.2e12
    assert reached_flops(GEFORCE._replace(flops_fp8=0.0), NARROW, records.MATH_FP8) == 330.4e12


def test_sums_in_fp16_where_fp8_is_as_fast_as_16_bit():
    """A device with fp8 at the rate of fp16 accumulated in fp32 stays at that rate."""
    level = GEFORCE._replace(flops_fp8=165.2e12)

    assert reached_flops(level, NARROW, records.MATH_FP8) == 165.2e12


def test_matrix_product_summed_in_fp16():
    """The compute time of fp16 halves, that of fp8 and fp32 does not; memory time is the same."""

    def times(engine, kernel, arithmetic):
        path = linear_path(GEFORCE, engine, kernel, arithmetic)
        product = linear_operator(1e9, 0.0, 1.0, 16.0, path, path.bandwidth, 2.0, 1.0, 1.0)
        return product.compute_per_token, product.weights

    sixteen = records.KERNEL_16, records.MATH_FP16
    assert times(WIDE_SUMS, *sixteen) == (digits(2e9 / 165.2e12), digits(2e9 / 3.35e12))
    assert times(NARROW, *sixteen) == (digits(2e9 / 330.4e12), digits(2e9 / 3.35e12))
    for other in (
        (records.KERNEL_8, records.MATH_FP8),
        (records.KERNEL_16, records.MATH_FP32),
    ):
        assert times(NARROW, *other) == times(WIDE_SUMS, *other)


def test_point_summed_in_fp16():
    """Compute time halves, that of scores too, at the same share of twice the rate."""
    device = GEFORCE._replace(memory_bandwidth=1e30)
    wide, narrow = (whole(LLAMA, engine, device=device) for engine in (WIDE_SUMS, NARROW))
    without = device._replace(flops_fp16_narrow=0.0)

    assert narrow.tpot_s == digits(wide.tpot_s / 2)
    assert narrow.ttft_s == digits(wide.ttft_s / 2)
    assert narrow.compute_s == digits(narrow.step_flops / 330.4e12)
    assert (narrow.mfu, wide.mfu) == (digits(1.0), digits(1.0))
    assert whole(LLAMA, NARROW, device=without) == whole(LLAMA, WIDE_SUMS, device=without)


def test_ridge_batch_of_sums_in_fp16():
    """165.2 or 330.4 TFLOP/s at 3.35 TB/s: 49.31343284 tokens, or twice as many."""
    assert ridge_batch(GEFORCE, WIDE_SUMS, 16.0, records.MATH_FP16) == digits(49.31343284)
    assert ridge_batch(GEFORCE, NARROW, 16.0, records.MATH_FP16) == digits(98.62686567)
