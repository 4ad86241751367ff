"""A worked example for every formula, with the numbers' source.

Sources: [H100] data sheet of the H100 SXM, 3.35 TB/s and 989 TFLOP/s; [fit] least-squares fit to
the H100 kernel tables of ai-dynamo/aiconfigurator@095f58a (Apache-2.0); [config] a model's
``config.json``, as in the catalogue. Numbers without one follow from the formula by hand.
"""

import importlib
import inspect
import math
import pkgutil
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfcore import catalog, physics, records
from perfcore.physics.attention import (
    UNLIMITED,
    causal_keys,
    chunked_integral,
    index_limit,
    kv_bytes_per_sequence,
    kv_bytes_per_token,
    limited_pairs,
    mean_context,
    mean_limited,
    mean_window,
    sliding_integral,
    state_bytes_per_sequence,
    window_limit,
    windowed_pairs,
)
from perfcore.physics.collectives import all_reduce, exchange, exchanges, expert_exchange, repeated
from perfcore.physics.cost import annuity, owned_usd_per_hour, usd_per_second
from perfcore.physics.decode import (
    ContextCosts,
    Terms,
    add_attention,
    add_operator,
    attention_flops,
    context_costs,
    index_costs,
    kv_efficiency,
    layer_terms,
    no_terms,
    scaled,
    state_terms,
    summed,
)
from perfcore.physics.energy import (
    busy_energy,
    carbon_per_joule,
    facility_factor,
    idle_power,
    waiting_energy,
)
from perfcore.physics.fused import fma
from perfcore.physics.memory import (
    largest_batch,
    second_tier_bandwidth,
    second_tier_bytes,
    usable_bytes,
)
from perfcore.physics.moe import (
    copies_per_token,
    distinct_experts,
    fullest_rank_experts,
    load_imbalance,
    log_passed_over,
)
from perfcore.physics.operators import (
    activation_bytes_per_token,
    body_read_bytes,
    expert_read_bytes,
    flops_per_token,
    head_io_elements,
    linear_operator,
    operators,
    start_up,
    touched_experts,
)
from perfcore.physics.parallelism import (
    experts_fit,
    groups_at_work,
    head_padding,
    head_share,
    heads_fit,
    lay_out,
    micro_batches_at_once,
    pipeline_fill,
)
from perfcore.physics.prefill import (
    add_prefill_operator,
    attention_bytes,
    attention_work,
    chunk_fill,
    passes_at_once,
    prefill_costs,
    prefill_terms,
    prompts_of,
)
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
from perfcore.physics.rounding import NOTHING, ceil_of, decay, floor_of
from perfcore.physics.serving import (
    interference_share,
    prefill_pool,
    prompts_together,
    queueing,
    wasted_tokens,
)
from perfcore.physics.sizing import fewest_devices, fits, weight_bytes_per_device, with_degrees
from perfcore.physics.speculation import accepted_tokens
from perfcore.physics.stages.batch import batch_at, runnable
from perfcore.physics.stages.capacity import cache_at, capacity_at
from perfcore.physics.stages.passes import attention_terms, away_at, context_at, prefill_at, step_at
from perfcore.physics.stages.point import evaluate, point_at
from perfcore.physics.stages.replica import configuration_status, prepare, spread_of
from perfcore.physics.weights import (
    body_arithmetic,
    body_bits,
    body_elements,
    body_kernel,
    expert_bytes,
    leaves_body_wide,
    parameters,
    weight_bytes,
)
from perfcore.testing import ideal_engine

SIX_DIGITS = 5e-7


def digits(value):
    return pytest.approx(value, rel=SIX_DIGITS)


def model(name):
    return catalog.load_model(name).record()


def weights(name):
    return catalog.load_weight_format(name).record()


def cache(name):
    return catalog.load_kv_format(name).record()


def sheet(name):
    return catalog.load_device(name).record()


LLAMA = model("llama-3-70b")
DEEPSEEK = model("deepseek-v3")
H100 = sheet("h100-sxm")._replace(memory_bandwidth=3.35e12, flops_fp16=989e12)
ENGINE = catalog.load_engine("default").record(catalog.load_device("h100-sxm"))
ENGINE = ENGINE._replace(  # tokens that choose alone, answers of one length, sums in fp32
    routing_independence=1.0, length_spread=1.0, narrow_accumulation=0.0
)
FITTED = ENGINE._replace(
    residue=1.0,
    launch=3.63e-6,
    compute_efficiency_16=0.802,
    memory_efficiency_16=0.845,
    one_shot_latency=2.77e-6,
    one_shot_hop=0.074e-6,
    one_shot_efficiency=0.62,
    two_shot_latency=27.8e-6,
    two_shot_efficiency=0.775,
)
IDEAL = ideal_engine(ENGINE)
BF16, FP8, INT4, MXFP4 = weights("bf16"), weights("fp8"), weights("int4-g128"), weights("mxfp4")
FP8_BLOCK = weights("fp8-block128")
KV16, KV8 = cache("bf16"), cache("fp8")
MONEY = catalog.default_economics()
ALONE = records.Deployment(
    tp=1.0,
    pp=1.0,
    dp=1.0,
    ep=1.0,
    batch=1.0,
    scheduler=records.SCHEDULER_STATIC,
    prefix_hit=0.0,
    draft_len=0.0,
    acceptance=0.0,
    offload=records.OFFLOAD_NONE,
)
STATIC = records.SCHEDULER_STATIC
CONTINUOUS = records.SCHEDULER_CONTINUOUS
APART = records.SCHEDULER_DISAGGREGATED
NO_TERMS = no_terms()


def deployed(**fields):
    return ALONE._replace(**fields)


def whole(
    record,
    engine,
    *,
    device=H100,
    form=BF16,
    kv=KV16,
    money=MONEY,
    input_len=2_048.0,
    output_len=256.0,
    **fields,
):
    """Return the point of a configuration; ``fields`` are those of its deployment."""
    return evaluate(
        record, device, engine, form, kv, deployed(**fields), money, input_len, output_len
    )


def test_every_formula_has_an_example():
    shown = globals()
    missing = [
        f"{module.name}.{name}"
        for module in pkgutil.iter_modules(physics.__path__)
        for name, function in inspect.getmembers(
            importlib.import_module(f"perfcore.physics.{module.name}"), inspect.isfunction
        )
        if function.__module__.endswith(module.name) and shown.get(name) is not function
    ]

    assert missing == []


# ------------------------------------------------------------------- roofline and rounding


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
        8_192 * 28_672, 8_192 + 28_672, 1.0, 16.0, path, path.bandwidth, 2.0, 1.0
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
    """Without fp8 arithmetic it is weight-only, and starts up as 16 bit does."""
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


GEFORCE = H100._replace(
    flops_fp32=82.6e12,
    flops_fp16=165.2e12,
    flops_fp16_narrow=330.4e12,
    flops_fp8=660.8e12,
    flops_fp4=0.0,
)
NARROW = IDEAL._replace(narrow_accumulation=1.0)
WIDE_SUMS = IDEAL._replace(narrow_accumulation=0.0)


def test_sums_in_fp16():
    """RTX 4090: 330.4 TFLOP/s summed in fp16, 165.2 in fp32, also of fp4, which it has not."""
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
    """A device of which fp8 runs at the rate of fp16 summed in fp32: it stays at that rate."""
    level = GEFORCE._replace(flops_fp8=165.2e12)

    assert reached_flops(level, NARROW, records.MATH_FP8) == 165.2e12


def test_matrix_product_summed_in_fp16():
    """Its compute time halves, that of fp8 and fp32 does not; memory is the same."""

    def times(engine, kernel, arithmetic):
        path = linear_path(GEFORCE, engine, kernel, arithmetic)
        product = linear_operator(1e9, 0.0, 1.0, 16.0, path, path.bandwidth, 2.0, 1.0)
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
    """Compute alone: half of the time, scores as well, at the same share of twice the rate."""
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


def test_scores_summed_in_fp16():
    assert attention_flops(GEFORCE, NARROW, 0.5) == 0.5 * 330.4e12
    assert attention_flops(GEFORCE, WIDE_SUMS, 0.5) == 0.5 * 165.2e12


@pytest.mark.parametrize("value", [0.0, 0.2, 1.0, 2.5, 2**40 + 0.5, 2.0**51, 2.0**53])
def test_rounding(value):
    assert floor_of(value) == math.floor(value)
    assert ceil_of(value) == math.ceil(value)


# ----------------------------------------------------------------------------- weights


def test_parameters_of_published_models():
    """[config] Llama-3-70B 70,553,706,496; DeepSeek-V3 671,026,419,200."""
    assert parameters(LLAMA) == 70_553_706_496
    assert parameters(DEEPSEEK) == 671_026_419_200


def test_elements_of_a_layer():
    """[config] Llama-3-70B: attention 150,994,944 and FFN 704,643,072 a layer, 80 layers."""
    attention = LLAMA.attention_in_elements + LLAMA.attention_out_elements
    ffn = LLAMA.ffn_in_elements + LLAMA.ffn_out_elements

    assert attention / 80 == 150_994_944
    assert ffn / 80 == 704_643_072
    assert body_elements(LLAMA) == attention + ffn


def test_active_parameters():
    """[config] DeepSeek-V3: 36,625,618,432 with the lm_head, without the embedding."""
    active = parameters(DEEPSEEK) - DEEPSEEK.embedding_elements
    active -= (256 - 8) * DEEPSEEK.expert_elements

    assert active == 36_625_618_432


def test_reading_140_gb():
    """[H100] 70e9 parameters in bf16 at 3.35 TB/s: 41.79104478 ms."""
    product = linear_operator(70e9, 0.0, 1.0, 16.0, Path(1.0, 3.35e12, 0.0), 3.35e12, 2.0, 1.0)

    assert product.weights == digits(41.79104478e-3)


def test_reading_llama():
    """[H100] Llama-3-70B in bf16 without the input embedding: 41.49434827 ms."""
    assert body_read_bytes(LLAMA, BF16) / 3.35e12 == digits(41.49434827e-3)


def test_weight_bytes_keep_embeddings_in_16_bit():
    """Llama-3-8B in int4-g128 (4.125 bit): 3.60 GB of matrices and 2.10 GB of embeddings."""
    llama = model("llama-3-8b")
    expected = body_elements(llama) * 4.125 / 8 + 2 * (2 * 128_256 * 4_096) + 2 * 65 * 4_096

    assert weight_bytes(llama, INT4) == digits(expected)
    assert 2 * llama.lm_head_elements * 2 == pytest.approx(2.101e9, rel=1e-3)


def test_experts_only_formats_leave_the_body_in_16_bit():
    gpt_oss, mixtral = model("gpt-oss-120b"), model("mixtral-8x7b")

    assert leaves_body_wide(gpt_oss, MXFP4)
    assert leaves_body_wide(gpt_oss, INT4)
    assert not leaves_body_wide(gpt_oss, FP8)
    assert not leaves_body_wide(mixtral, INT4)
    assert not leaves_body_wide(LLAMA, MXFP4)
    assert body_bits(gpt_oss, MXFP4) == 16.0
    assert body_kernel(gpt_oss, MXFP4) == records.KERNEL_16
    assert body_arithmetic(gpt_oss, MXFP4) == records.MATH_FP16
    assert body_bits(LLAMA, MXFP4) == 4.25


def test_other_matrices_of_gguf_files():
    """gpt-oss-120b: 36 x 26,542,080 elements at 8.5 bit, experts at 4.25; the GGUF kernel."""
    gpt_oss = model("gpt-oss-120b")
    q8, f16, mixture = weights("mxfp4-gguf-q8"), weights("mxfp4-gguf-f16"), weights("q4_k_m")

    assert [body_bits(gpt_oss, form) for form in (q8, f16, mixture)] == [8.5, 16.0, 16.0]
    for form in (q8, f16, mixture):
        assert leaves_body_wide(gpt_oss, form)
        assert body_kernel(gpt_oss, form) == records.KERNEL_GGUF
        assert body_arithmetic(gpt_oss, form) == records.MATH_FP16
    assert not leaves_body_wide(LLAMA, q8)
    assert (body_bits(LLAMA, q8), body_kernel(LLAMA, q8)) == (4.25, records.KERNEL_GGUF)
    rest = 2 * gpt_oss.other_elements + 201_088 * 2_880 * 8.5 / 8
    assert body_read_bytes(gpt_oss, q8) == digits(36 * 26_542_080 * 8.5 / 8 + rest)


def test_time_of_other_matrices_of_gguf_files():
    """8.5 bits instead of 16 of 955,514,880 elements, at the GGUF kernel's 0.5 of 3.35 TB/s."""
    engine = IDEAL._replace(memory_efficiency_gguf=0.5)
    q8, f16 = weights("mxfp4-gguf-q8"), weights("mxfp4-gguf-f16")._replace(embedding_bits=8.5)
    narrow, wide = (whole(model("gpt-oss-120b"), engine, form=form) for form in (q8, f16))

    saved = 955_514_880 * (16 - 8.5) / 8
    assert wide.weights_s - narrow.weights_s == digits(saved / (0.5 * 3.35e12))


# ------------------------------------------------------------------------------- experts


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [(1, 8.0), (16, 101.9621623), (64, 222.4424877), (256, 255.9244144)],
)
def test_distinct_experts(tokens, expected):
    """E (1 - (1 - k/E)^T) with E = 256, k = 8."""
    assert distinct_experts(256.0, log_passed_over(256.0, 8.0), float(tokens)) == digits(expected)


def test_distinct_experts_of_mixtral():
    """U(8, 2, 4) = 5.46875."""
    assert distinct_experts(8.0, log_passed_over(8.0, 2.0), 4.0) == pytest.approx(
        5.46875, rel=1e-15
    )


def test_all_experts_at_once():
    assert distinct_experts(8.0, log_passed_over(8.0, 8.0), 1.0) == 8.0


def passed_over(record):
    return log_passed_over(record.experts, record.experts_per_token)


def test_touched_experts_of_a_dense_model():
    assert touched_experts(LLAMA, ENGINE, passed_over(LLAMA), 10.0) == 0.0
    assert touched_experts(DEEPSEEK, ENGINE, passed_over(DEEPSEEK), 64.0) == digits(222.4424877)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 8.0), (0.5, 164.7735617), (1.0, 222.4424877)]
)
def test_experts_of_tokens_that_are_alike(share, expected):
    """64 tokens choose as 1, 32.5 or 64 do: 256 (1 - (31/32)^T); half a token as half a token."""
    engine = ENGINE._replace(routing_independence=share)

    assert touched_experts(DEEPSEEK, engine, passed_over(DEEPSEEK), 64.0) == digits(expected)
    assert touched_experts(DEEPSEEK, engine, passed_over(DEEPSEEK), 1.0) == digits(8.0)
    assert touched_experts(DEEPSEEK, engine, passed_over(DEEPSEEK), 0.5) == digits(
        256 * (1 - (31 / 32) ** 0.5)
    )


@pytest.mark.parametrize(("share", "experts"), [(0.0, 2.0), (0.5, 4.102885683), (1.0, 5.46875)])
def test_sequences_that_are_alike_read_fewer_experts(share, experts):
    """Mixtral, 4 sequences: 2 of 8 experts, those of 2.5 tokens, or of 4; the FLOP of 4."""
    mixtral = model("mixtral-8x7b")
    engine = IDEAL._replace(routing_independence=share)
    point = whole(mixtral, engine, batch=4.0)
    read = body_read_bytes(mixtral, BF16) + experts * 2 * mixtral.expert_elements

    assert point.weights_s == digits(read / 3.35e12)
    assert point.step_flops == whole(mixtral, IDEAL, batch=4.0).step_flops
    assert point.weight_bytes_per_device == weight_bytes(mixtral, BF16)


def test_prompts_that_are_alike_read_fewer_experts():
    """Memory alone, 1024 tokens of Mixtral: 2 of 8 experts instead of all."""
    mixtral = model("mixtral-8x7b")
    device = H100._replace(flops_fp16=1e30)
    alone, alike = (
        whole(mixtral, IDEAL._replace(routing_independence=share), device=device, input_len=1_024.0)
        for share in (1.0, 0.0)
    )

    assert alone.ttft_s - alike.ttft_s == digits(6 * 2 * mixtral.expert_elements / 3.35e12)


@pytest.mark.parametrize(("batch", "expected"), [(1, 36.51829146e9), (64, 584.2754146e9)])
def test_bytes_of_a_step_of_deepseek(batch, expected):
    """[config] DeepSeek-V3 at one byte a weight: 64 times the batch, 16 the bytes.

    The source counts the norms of the latents (61 x 2048) and no other norm and no router.
    """
    byte = FP8._replace(embedding_bits=8.0)
    matrices = body_read_bytes(DEEPSEEK, byte) - 2 * DEEPSEEK.other_elements + 61 * 2_048
    experts = touched_experts(
        DEEPSEEK, ENGINE, passed_over(DEEPSEEK), float(batch)
    ) * expert_read_bytes(DEEPSEEK, byte)

    assert matrices + experts == digits(expected)


# ------------------------------------------------------------------------------ operators


def test_flops_per_token():
    """[config] Llama-3-70B: 2 x 80 x (150,994,944 + 704,643,072)."""
    assert flops_per_token(LLAMA) == 2 * 80 * (150_994_944 + 704_643_072)


def test_prefill_flops():
    """[config] Llama-3-70B, 2048 tokens: 285.88 TFLOP with the causal half.

    The source counts norms as products, 5.4 GFLOP, and S^2/2 pairs instead of S (S + 1)/2.
    """
    costs, work = llama_prefill(IDEAL, batch=1.0, input_len=2_048.0)
    flops = flops_per_token(LLAMA) * 2_048 + 2 * LLAMA.lm_head_elements
    flops += attention_work(costs, LLAMA, work)
    as_source = flops + 2 * 2_048 * LLAMA.other_elements - 80 * 4 * 64 * 128 * 1_024

    assert as_source == digits(285.8805268e12)


def test_activations_per_token():
    """Llama-3-70B: per layer qkv, o, gate and up, down in and out, and 10 d element-wise."""
    d, f, qkv = 8_192, 28_672, (64 + 2 * 8) * 128
    layer = (d + qkv) + (d + d) + (d + 2 * f) + (f + d) + 10 * d

    assert activation_bytes_per_token(LLAMA, BF16) == 2 * 80 * layer


def test_operators_of_llama():
    layout = lay_out(LLAMA, H100, deployed(tp=8.0))
    ops = operators(LLAMA, H100, FITTED, BF16, layout, 8.0)

    assert ops.ffn_in.weights == digits(2 * 80 * 2 * 28_672 * 8_192 / 8 / (0.845 * 3.35e12))
    assert ops.ffn_in.start_up == digits(80 * 3.63e-6)
    assert ops.lm_head.compute_per_token == digits(2 * 128_256 * 8_192 / 8 / (0.802 * 989e12))
    assert ops.experts.weights == 0.0


def test_start_up_of_llama():
    """Per layer four products, attention and four element-wise kernels; one lm_head."""
    layout = lay_out(LLAMA, H100, ALONE)
    ops = operators(LLAMA, H100, ENGINE, BF16, layout, 1.0)
    layer = 4 * ENGINE.launch + ENGINE.launch_attention + 4 * ENGINE.launch_elementwise

    assert start_up(LLAMA, H100, ENGINE, ops) == digits(80 * layer + ENGINE.launch)


# ------------------------------------------------------------------------------ attention


def test_sliding_integral():
    """Of min(s, 4) from 0 to 10: 8 + 24."""
    assert sliding_integral(10.0, 4.0) == 32.0


def test_chunked_integral():
    """Of s mod 4 from 0 to 10: twice 8, and 2."""
    assert chunked_integral(10.0, 4.0) == 18.0


def test_mean_window_chooses():
    assert mean_window(4.0, 6.0, 4.0, 0.0) == 4.0
    assert mean_window(4.0, 6.0, 4.0, 1.0) == pytest.approx((8.0 + 2.0) / 6.0, rel=1e-15)


def test_mean_window_just_after_the_end_of_a_chunk_keeps_its_digits():
    assert mean_window(2.0**40, 1.375, 8_192.0, 1.0) == 0.6875


def test_mean_contexts():
    """I = 6, O = 4: global 8; a window of 4 sees 4; chunks of 4 see (18 - 10) / 4 = 2."""
    assert mean_context(6.0, 4.0) == 8.0
    assert mean_limited(6.0, 4.0, 4.0) == 4.0
    assert mean_window(6.0, 4.0, 4.0, 0.0) == 4.0
    assert mean_window(6.0, 4.0, 4.0, 1.0) == 2.0


def test_chunked_window_in_the_long_run():
    """Llama 4, chunks of 8192: half of them, whatever the context."""
    assert mean_window(0.0, 8_192.0 * 100, 8_192.0, 1.0) == 4_096.0


def test_pairs():
    """I = 6, counted by hand; with a limit or window of 4: 1 + 2 + 3 + 4 + 4 + 4."""
    assert 6 * causal_keys(6.0, 0.0) == 21.0
    assert 3 * causal_keys(6.0, 0.5) == 4 + 5 + 6
    assert windowed_pairs(6.0, 4.0, 0.0) == 18.0
    assert windowed_pairs(6.0, 4.0, 1.0) == (1 + 2 + 3 + 4) + (1 + 2)
    assert limited_pairs(6.0, 4.0) == 18.0
    assert limited_pairs(6.0, UNLIMITED) == 21.0


def test_state_of_a_sequence():
    """4 bytes an element: Qwen3-Next keeps 79 MB a sequence whatever its length."""
    assert state_bytes_per_sequence(model("qwen3-next-80b-a3b")) == 4 * 19_759_104


def test_traffic_of_logits():
    """The input of d elements, and V logits in 16 bit and in fp32."""
    assert head_io_elements(LLAMA) == 8_192 + 3 * 128_256


def test_limits():
    sparse = model("deepseek-v3.2")

    assert index_limit(LLAMA) == UNLIMITED
    assert index_limit(sparse) == 2_048.0
    assert window_limit(LLAMA) == 1.0
    assert window_limit(model("gemma-3-27b")) == 1_024.0


def test_kv_bytes_per_token():
    """[config] in bf16: Llama-3-70B 327,680, DeepSeek-V3 70,272."""
    assert kv_bytes_per_token(LLAMA, KV16) == 327_680
    assert kv_bytes_per_token(DEEPSEEK, KV16) == 70_272


def test_kv_bytes_of_a_batch():
    """Llama-3-70B, 32 sequences of 8192 tokens: 85.89934592 GB."""
    assert 32 * kv_bytes_per_sequence(LLAMA, KV16, 8_192.0) == digits(85.89934592e9)


def test_kv_bytes_of_windows():
    """[config] Gemma-3-27B at 131,072 tokens: 11,173,625,856 bytes, 66,571,993,088 without."""
    gemma = model("gemma-3-27b")
    without = gemma._replace(window=1e9)

    assert kv_bytes_per_sequence(gemma, KV16, 131_072.0) == 11_173_625_856
    assert kv_bytes_per_sequence(without, KV16, 131_072.0) == 66_571_993_088


def test_kv_efficiency():
    """8 query heads a KV head lose 7 g; a latent cache nothing."""
    engine = ENGINE._replace(kv_efficiency=0.8, kv_efficiency_quantised=0.7, kv_group_penalty=0.03)

    assert kv_efficiency(LLAMA, engine, KV16) == digits(0.8 / 1.21)
    assert kv_efficiency(LLAMA, engine, KV8) == digits(0.7 / 1.21)
    assert kv_efficiency(DEEPSEEK, engine, KV16) == 0.8


def test_attention_computes_in_16_bit():
    assert attention_flops(H100, ENGINE, 0.5) == 0.5 * 989e12


def test_context_costs():
    """Per token of context of Llama-3-70B: 327,680 bytes, and 4 H h FLOP a layer."""
    layout = lay_out(LLAMA, H100, deployed(tp=8.0, batch=4.0))
    costs = context_costs(
        LLAMA.global_kv_elements,
        LLAMA.global_score_flops,
        LLAMA.attention_io_elements,
        H100,
        IDEAL,
        BF16,
        KV16,
        3.35e12,
        layout,
        4.0,
        4.0,
        1.0,
    )

    assert costs.kv_per_token == digits(4 * 327_680 / 8 / 3.35e12)
    assert costs.compute_per_token == digits(4 * 80 * 4 * 64 * 128 / 8 / 989e12)
    assert costs.activations == digits(4 * 80 * 2 * 64 * 128 * 2 / 8 / 3.35e12)


def test_intensity_of_latent_decode():
    """Absorbed MLA with 128 heads: 2 x 1088 x 128 FLOP for 576 x 2 bytes, 241.8 FLOP/byte."""
    flops = DEEPSEEK.global_score_flops / 61
    size = DEEPSEEK.global_kv_elements / 61 * 2

    assert flops / size == digits(128 * 1_088 * 2 / (576 * 2))


def test_index_costs():
    """DeepSeek-V3.2: 61 layers of 128 fp8 keys; 64 indexer heads."""
    sparse = model("deepseek-v3.2")
    layout = lay_out(sparse, H100, ALONE)
    costs = index_costs(sparse, H100, IDEAL, 3.35e12, layout, 1.0, 1.0, 1.0)

    assert costs.kv_per_token == digits(61 * 128 / 3.35e12)
    assert costs.compute_per_token == digits(61 * 2 * 64 * 128 / 989e12)


def test_states_are_read_and_written():
    mamba = model("mamba-2.8b")
    layout = lay_out(mamba, H100, ALONE)
    terms = state_terms(NO_TERMS, mamba, H100, IDEAL, layout, 2.0)

    assert terms.kv == digits(2 * 2 * 4 * mamba.state_elements / 3.35e12)


def test_terms_divide_an_operator():
    """Memory 3 + 1, compute 3: 5 s in all; memory's 16/5 is divided 3 to 1."""
    operator = Operator(compute_per_token=3.0, weights=3.0, activations_per_token=1.0, start_up=9.0)

    terms = add_operator(NO_TERMS, operator, 1.0, 1.0, 1.0)

    assert terms == (digits(2.4), 0.0, digits(0.8), digits(1.8))


def test_replica_stages():
    """Context 4096 + 64/2, its cache, and attention over it, of 4 sequences on 8 H100s."""
    replica = prepare(LLAMA, H100, IDEAL, BF16, KV16, deployed(tp=8.0), MONEY)
    running = batch_at(replica, 4.0, 4.0)
    context = context_at(replica, 4_096.0, 64.0)
    cache = cache_at(replica, 4_096.0, 64.0)
    terms = attention_terms(replica, running, context)

    assert context == (4_128.0, 4_128.0, 0.0)
    assert cache.per_sequence == 4_160 * 327_680
    assert cache.kept_per_sequence == digits(4_160 * 327_680 / 8)
    assert cache.shared == cache.shared_per_device == 0.0
    assert terms.weights == running.weights_s
    assert terms.kv == digits(4 * 4_128 * 327_680 / 8 / 3.35e12)
    assert away_at(replica, running, 1e12, 0.0) == (0.0, 0.0, 0.0)


def test_what_does_not_fit_is_away():
    """Weights beyond memory lie in the second tier, and are read there once a step."""
    engine = IDEAL._replace(host_memory_bytes=1e12, host_memory_bandwidth=50e9)
    plan = deployed(offload=records.OFFLOAD_WEIGHTS)
    replica = prepare(LLAMA, H100, engine, BF16, KV16, plan, MONEY)
    away = away_at(replica, batch_at(replica, 1.0, 1.0), 1e9, 0.0)
    size = replica.weight_bytes_per_device + 1e9 - replica.usable_bytes

    assert away.size == digits(size)
    assert away.weights_s == away.step_s
    assert away.weights_s == pytest.approx(size / 50e9, rel=0.02)  # the embedding is not read


@pytest.mark.parametrize("tokens", [1.0, 100.0, 1e4])
def test_exchanges_add_up(tokens):
    """3 in a group and 2 among groups of four times the tokens, of 1 kB each."""
    links = exchange(16.0, H100, ENGINE)
    inside, among = repeated(links, 3.0, 1e3), repeated(links, 2.0, 1e3)
    one, two = all_reduce(links, 1e3 * tokens), all_reduce(links, 4e3 * tokens)

    alone = exchanges(inside, tokens, among, 4 * tokens, grouped=False)
    assert alone.total == digits(3 * one.total)
    assert alone.transfer == digits(3 * one.transfer)
    both = exchanges(inside, tokens, among, 4 * tokens, grouped=True)
    assert both.total == digits(3 * one.total + 2 * two.total)
    assert both.transfer == digits(3 * one.transfer + 2 * two.transfer)


@pytest.mark.parametrize("exponent", [0.0, -1e-9, -0.03, -1.0, -7.5, -59.9])
def test_decay_is_the_exponential(exponent):
    assert decay(exponent) == pytest.approx(math.exp(exponent), rel=1e-13)
    assert decay(-60.1) == decay(-1e30) == 0.0


finite = st.floats(-1e100, 1e100)


@given(finite, finite, finite)
def test_fma_rounds_once(first, second, addend):
    exact = Fraction(first) * Fraction(second) + Fraction(addend)

    assert fma(first, second, addend) == float(exact)


def test_fma_of_what_twice_rounded_is_nothing():
    """A tenth is 2^-54 too large, times ten, which rounding the product loses."""
    assert 0.1 * 10.0 - 1.0 == 0.0
    assert fma(0.1, 10.0, -1.0) == 2.0**-54


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-300, 3.0])
def test_nothing_changes_no_sum(value):
    """Not even the sign of a zero, which 0.0 does."""
    assert str(value + NOTHING) == str(NOTHING + value) == str(value)


def test_terms_divide_attention():
    terms = add_attention(NO_TERMS, ContextCosts(0.0, 0.0, 0.5), 2.0, 1.5, 1.5, 1.0)

    assert terms == (0.0, digits(2.4), digits(0.8), digits(1.8))


def test_layer_terms_are_the_ideal_time():
    """Batch 1 at the bound: all weights but the embeddings, once; the lm_head comes on top."""
    layout = lay_out(LLAMA, H100, ALONE)
    ops = operators(LLAMA, H100, IDEAL, BF16, layout, 1.0)
    terms = layer_terms(ops, 1.0, 1.0, 0.0, 0.0)

    assert terms.weights == digits(41.49434827e-3 - 2 * 128_256 * 8_192 / 3.35e12)
    assert terms.compute == 0.0


def test_terms_scale_and_sum():
    """Of a draft: a tenth of a step, and the step."""
    step = Terms(1.0, 2.0, 3.0, 4.0)

    assert summed(step, scaled(step, 0.5)) == (1.5, 3.0, 4.5, 6.0)


# ---------------------------------------------------------------------------- collectives


@pytest.mark.parametrize(
    ("size", "expected"),
    [(2**14, 3.6250681e-6), (2**20, 29.52235842e-6), (2**26, 364.5469878e-6)],
)
def test_all_reduce(size, expected):
    """[fit] 8 x H100, TRT-LLM kernels, 450 GB/s: 16 KiB, 1 MiB, 64 MiB."""
    links = exchange(8.0, H100._replace(link_bandwidth=450e9), FITTED)

    assert all_reduce(links, float(size)).total == digits(expected)


def test_all_reduces_of_a_token():
    """160 exchanges of 16 KiB: 0.5800108961 ms."""
    links = exchange(8.0, H100._replace(link_bandwidth=450e9), FITTED)

    assert LLAMA.all_reduces * all_reduce(links, 8_192 * 2.0).total == digits(0.5800108961e-3)


def test_ideal_ring():
    """2 (n - 1)/n M / B of 64 MiB: 260.9789156 us."""
    links = exchange(8.0, H100._replace(link_bandwidth=450e9), IDEAL)

    assert all_reduce(links, 2.0**26).total == digits(260.9789156e-6)


def test_all_reduce_beyond_the_domain():
    """16 devices in domains of 8: 2 latency more, and 2 (1/2) M / 8 over the network."""
    device = H100._replace(link_bandwidth=450e9, scale_up_domain=8.0, network_bandwidth=50e9)
    inside = all_reduce(exchange(8.0, device, FITTED), 1e6)
    beyond = all_reduce(exchange(16.0, device, FITTED), 1e6)
    more = 2 * FITTED.network_latency + 1e6 / 8 / (FITTED.network_efficiency * 50e9)

    assert beyond.total - inside.total == digits(more)


def test_one_device_exchanges_nothing():
    assert all_reduce(exchange(1.0, H100, ENGINE), 1e9) == (0.0, 0.0)


@pytest.mark.parametrize(("ranks", "copies"), [(32.0, 7.177603848), (1.0, 1.0)])
def test_copies_of_a_token(ranks, copies):
    """8 experts on 32 ranks: R (1 - (1 - 1/R)^k) ranks get the token."""
    assert copies_per_token(8.0, ranks) == digits(copies)


WIDE = DEEPSEEK._replace(hidden_size=7_168.0, experts_per_token=8.0)
NVLINK = H100._replace(link_bandwidth=450e9, scale_up_domain=32.0)


def test_experts_that_get_one_copy_each():
    """[fit] 128 tokens a device on 8 H100: dispatch 38.87265742 us, combine 70.86785185 us.

    Fits: 11.8 us and 0.543 of the link, 11.4 us and 0.480; here one latency and efficiency.
    """
    engine = ENGINE._replace(
        dispatch_latency=0.5 * (11.8e-6 + 11.4e-6),
        dispatch_efficiency=3.03 / (1.03 / 0.543 + 2.0 / 0.480),
        bulk_dispatch_latency=1.0,
    )
    links = expert_exchange(WIDE, NVLINK, engine, deployed(dp=8.0, ep=8.0), 2.0)

    time = all_reduce(links, 8 * 128 * 7_168 * 2.0)

    assert time.total == digits((38.87265742 + 70.86785185) * 1e-6)
    assert time.total - time.transfer == digits(23.2e-6)


def test_experts_that_share_a_copy():
    """128 tokens a device to 8 experts on 32 ranks: 6.379683984 MB a byte, 3.03 bytes in all."""
    engine = ENGINE._replace(
        dispatch_latency=1.0, bulk_dispatch_latency=0.0, bulk_dispatch_efficiency=0.5
    )
    links = expert_exchange(WIDE, NVLINK, engine, deployed(dp=32.0, ep=32.0), 2.0)

    time = all_reduce(links, 32 * 128 * 7_168 * 2.0)

    assert time.total == digits(3.03 * 6.379683984e6 / (0.5 * 450e9))


def test_dispatch_takes_the_faster_way():
    """Few tokens go one copy per expert, many one per rank."""
    links = expert_exchange(WIDE, NVLINK, ENGINE, deployed(dp=8.0, ep=8.0), 2.0)
    few = all_reduce(links, 8 * 1 * 7_168 * 2.0)
    many = all_reduce(links, 8 * 65_536 * 7_168 * 2.0)

    assert few.total - few.transfer == digits(2 * ENGINE.dispatch_latency)
    assert many.total - many.transfer == digits(2 * ENGINE.bulk_dispatch_latency)


def test_experts_beyond_the_domain():
    """16 ranks in domains of 8: half of the ranks, and half of the copies, over the network."""
    device = H100._replace(scale_up_domain=8.0, network_bandwidth=50e9)
    links = expert_exchange(WIDE, device, IDEAL, deployed(dp=16.0, ep=16.0), 2.0)
    copies = 16 * (1 - (15 / 16) ** 8)

    assert links.network_per_byte == digits(copies * 3.03 / 2 / 16 * 0.5 / 50e9)
    assert links.network_start == 2 * IDEAL.network_latency


def test_groups_without_expert_parallelism_reduce_among_all():
    """Tokens of all groups are gathered and summed: an all-reduce among tp dp devices."""
    deployment = deployed(tp=2.0, dp=4.0)

    assert expert_exchange(WIDE, NVLINK, FITTED, deployment, 2.0) == exchange(8.0, NVLINK, FITTED)


# --------------------------------------------------------------------- experts on many ranks


def test_fullest_rank():
    """256 experts, 128 of them touched, 16 ranks: 8 a rank, and sqrt(2 8 (1 - 1/2) ln 16) more."""
    more = math.sqrt(2 * 8 * 0.5 * math.log(16))

    assert fullest_rank_experts(256.0, 128.0, 16.0) == digits(128 + 16 * more)
    assert fullest_rank_experts(256.0, 255.0, 256.0) == 256.0
    assert fullest_rank_experts(256.0, 128.0, 1.0) == 128.0


def test_load_imbalance():
    """Mean 2 on 256 ranks: 6.70964009 with the square root alone, ln R / 3 on top."""
    waited = load_imbalance(64.0, 8.0, 256.0) * 2.0

    assert waited - math.log(256) / 3 == digits(6.70964009)
    assert load_imbalance(64.0, 8.0, 1.0) == 1.0
    assert load_imbalance(1e-9, 8.0, 256.0) == 256.0


# ---------------------------------------------------------------------------- parallelism


def test_lay_out_divides_heads():
    """Llama-3-70B on 16 x 2: each device has one of 8 KV heads, twice in all, of 40 layers."""
    layout = lay_out(LLAMA, H100, deployed(tp=16.0, pp=2.0))

    assert layout.devices == 32.0
    assert (layout.stage_share, layout.width) == (1 / 2, 16.0)
    assert layout.kv_share == 1 / 16
    assert layout.kv_width == 8.0


def test_lay_out_of_uneven_stages():
    """80 layers on 3 stages: the fullest has 27."""
    assert lay_out(LLAMA, H100, deployed(pp=3.0)).stage_share == 27 / 80


def test_lay_out_of_groups():
    """4 groups of 2 devices: a quarter of the sequences each, experts on all 8."""
    layout = lay_out(DEEPSEEK, H100, deployed(tp=2.0, dp=4.0, batch=64.0))

    assert (layout.devices, layout.groups, layout.width, layout.expert_width) == (8, 4, 2, 8)
    assert (groups_at_work(layout, 64.0), groups_at_work(layout, 3.0)) == (4.0, 3.0)


def test_lay_out_of_micro_batches():
    """A static batch passes stages whole; a server's sequences spread over them."""
    assert lay_out(LLAMA, H100, deployed(pp=4.0, batch=64.0)).micro_batches == 1.0
    served = deployed(pp=4.0, batch=64.0, scheduler=CONTINUOUS)
    layout = lay_out(LLAMA, H100, served)
    assert micro_batches_at_once(layout, 64.0) == 4.0
    assert micro_batches_at_once(layout, 3.0) == 3.0


def test_lay_out_of_a_spatial_machine():
    """160 chips for 80 layers: 2 a layer, 80 stages, one for each of 32 sequences."""
    layout = lay_out(LLAMA, sheet("groq-lpu"), deployed(tp=160.0))

    assert (layout.width, layout.stages) == (2.0, 80.0)
    assert micro_batches_at_once(layout, 32.0) == 32.0
    assert layout.prefill_width == 160.0


def test_heads_on_devices():
    """64 heads on 6 devices: 11 on the fullest, 66/64 of the work, if the engine pads."""
    padding = ENGINE._replace(pads_heads=1.0)

    assert head_share(64.0, 6.0) == 11 / 64
    assert head_padding(LLAMA, 6.0) == 66 / 64
    assert head_padding(LLAMA._replace(heads=0.0), 6.0) == 1.0
    assert not heads_fit(LLAMA, ENGINE, 6.0)
    assert heads_fit(LLAMA, ENGINE, 8.0)
    assert heads_fit(LLAMA, padding, 6.0)


def test_experts_on_devices():
    """256 experts on 8 of 16 devices, but not on 3, nor on 32 of 16; and none of a dense model."""
    assert experts_fit(DEEPSEEK, deployed(tp=4.0, dp=4.0, ep=8.0))
    assert not experts_fit(DEEPSEEK, deployed(tp=3.0, ep=3.0))
    assert not experts_fit(DEEPSEEK, deployed(tp=4.0, dp=4.0, ep=32.0))
    assert not experts_fit(LLAMA, deployed(tp=2.0, ep=2.0))
    assert experts_fit(LLAMA, deployed(tp=2.0))


def test_pipeline_fill():
    """(m + p - 1) / (m p): 1 of one chunk, 7/16 of 4 through 4 stages."""
    assert pipeline_fill(4.0, 1.0) == 1.0
    assert pipeline_fill(4.0, 4.0) == 7 / 16


# ------------------------------------------------------------------------ prefill and point


def llama_prefill(engine, *, batch, input_len):
    layout = lay_out(LLAMA, H100, deployed(batch=batch))
    costs = prefill_costs(LLAMA, H100, engine, BF16, KV16, layout, 0.0, 0.0, 0.0)
    return costs, prompts_of(LLAMA, batch, input_len, 0.0)


def test_prompts():
    work = prompts_of(model("gemma-3-27b"), 2.0, 2_048.0, 0.0)

    assert work.tokens == 4_096.0
    assert work.global_pairs == 2_048 * 2_049
    assert work.window_pairs == 2 * sum(min(query, 1_024) for query in range(1, 2_049))


def test_cached_prompts():
    """3/4 of 8 tokens cached: queries 7 and 8 see 7 + 8 keys."""
    work = prompts_of(LLAMA, 1.0, 8.0, 0.75)

    assert (work.tokens, work.context, work.global_pairs) == (2.0, 8.0, 15.0)


def test_attention_of_a_prompt():
    """4 H h FLOP a pair and layer: the causal half."""
    costs, work = llama_prefill(IDEAL, batch=3.0, input_len=2_048.0)

    assert attention_work(costs, LLAMA, work) == digits(3 * 80 * 4 * 64 * 128 * 2_048 * 2_049 / 2)


def test_attention_traffic_of_a_prompt():
    """q and o, and K and V written and read: no scores."""
    costs, work = llama_prefill(IDEAL, batch=1.0, input_len=2_048.0)

    assert attention_bytes(costs, work) == 2_048 * (80 * 2 * 64 * 128 * 2 + 2 * 327_680)


def test_attention_traffic_of_a_prompt_is_slow():
    """2048 x 3,276,800 bytes at a quarter of 3.35 TB/s: 3 x 2.003249672 ms longer."""
    device = H100._replace(flops_fp16=1e30)
    slow = IDEAL._replace(attention_prefill_memory_efficiency=0.25)
    fast, behind = (whole(LLAMA, engine, device=device) for engine in (IDEAL, slow))

    assert behind.ttft_s - fast.ttft_s == digits(3 * 2.003249672e-3)
    assert behind.tpot_s == fast.tpot_s


def test_chunks_fill_stages():
    """16,384 tokens in chunks of 4096 through 2 stages: (4 + 1) / 8; at most 2 overlap: 3/4."""
    engine = ENGINE._replace(pipeline_chunk=4_096.0, prefill_overlap=64.0)
    layout = lay_out(LLAMA, H100, deployed(pp=2.0))

    assert chunk_fill(engine, layout, 16_384.0) == 5 / 8
    assert chunk_fill(engine._replace(prefill_overlap=2.0), layout, 16_384.0) == 3 / 4
    assert chunk_fill(engine, layout, 100.0) == 1.0


def test_prefill_operator():
    """Compute 3 and memory 4 s make 5; unsplit all of it counts as compute."""
    product = Operator(compute_per_token=3.0, weights=3.0, activations_per_token=1.0, start_up=0.0)

    assert add_prefill_operator(NO_TERMS, product, 1.0, 1.0, 1.0, True) == (
        digits(3.2),
        0.0,
        0.0,
        digits(1.8),
    )
    assert add_prefill_operator(NO_TERMS, product, 1.0, 1.0, 1.0, False) == (0.0, 0.0, 0.0, 5.0)


def test_prefill_is_bound_by_compute():
    """At the bound, 2048 tokens of Llama-3-70B: their FLOP at 989 TFLOP/s."""
    costs, work = llama_prefill(IDEAL, batch=1.0, input_len=2_048.0)
    layout = lay_out(LLAMA, H100, ALONE)
    ops = operators(LLAMA, H100, IDEAL, BF16, layout, 1.0)
    links = exchange(1.0, H100, IDEAL)
    flops = flops_per_token(LLAMA) * 2_048 + attention_work(costs, LLAMA, work)

    def seconds(split):
        terms = prefill_terms(
            costs,
            LLAMA,
            IDEAL,
            layout,
            ops,
            links,
            links,
            False,
            work,
            1.0,
            1.0,
            0.0,
            operator_time(ops.lm_head, 1.0, 1.0, IDEAL.residue).total,
            split,
        )
        assert sum(terms[1:]) == (digits(terms.seconds) if split else 0.0)
        return terms.seconds

    assert seconds(split=True) >= flops / 989e12
    assert seconds(split=True) == digits(seconds(split=False))
    assert seconds(split=True) == pytest.approx(flops / 989e12, rel=0.08)  # lm_head, element-wise


@pytest.mark.parametrize("scheduler", [STATIC, CONTINUOUS, APART])
def test_stages_make_the_point(scheduler):
    deployment = deployed(tp=8.0, batch=4.0, scheduler=scheduler)
    common = (LLAMA, H100, ENGINE, BF16, KV16, deployment, MONEY)
    replica = prepare(*common)
    fit = capacity_at(replica, 4.0, 512.0, 64.0)
    running = batch_at(replica, 4.0, 4.0)
    prefill = prefill_at(replica, running, 512.0, 64.0)
    step = step_at(replica, running, 512.0, 64.0)
    point = point_at(replica, running, fit, 512.0, 64.0, prefill, step)

    assert point == evaluate(*common, 512.0, 64.0)


def test_experts_of_a_prefill():
    """64 tokens read 222.4 of 256 experts: what the time of experts' weights alone shows."""
    engine = IDEAL._replace(routing_independence=1.0)
    device = H100._replace(flops_fp16=1e30, flops_fp8=1e30)
    replica = prepare(DEEPSEEK, device, engine, FP8, KV16, deployed(batch=2.0), MONEY)
    running = batch_at(replica, 2.0, 2.0)

    def seconds(weights):
        experts = Operator(0.0, weights, 0.0, 0.0)
        other = replica._replace(operators=replica.operators._replace(experts=experts))
        return prefill_at(other, running, 32.0, 8.0).seconds

    assert seconds(1.0) - seconds(0.0) == digits(222.4424877)


def test_runnable():
    """100 requests, 16 at once in each of 2 groups; a static batch runs whole."""
    engine = ENGINE._replace(max_sequences=16.0)
    served = deployed(batch=100.0, dp=2.0, scheduler=CONTINUOUS)

    assert runnable(engine, served, 100.0) == 32.0
    assert runnable(engine, served, 10.0) == 10.0
    assert runnable(engine, served._replace(scheduler=STATIC), 100.0) == 100.0


def test_who_must_wait():
    """Requests of a server, if their cache does not fit, but that of one does."""

    def fit(batch, input_len=4_000.0, record=LLAMA, **fields):
        common = (record, H100, ENGINE, FP8, KV16, deployed(**fields), MONEY)
        return capacity_at(prepare(*common), batch, input_len, 96.0)

    room = fit(1e6, scheduler=CONTINUOUS)
    assert (room.status, room.batch) == (0.0, room.max_batch)
    assert 1.0 <= room.max_batch < 1e6
    assert fit(room.max_batch, scheduler=CONTINUOUS) == room
    assert fit(1e6).status == 7.0
    assert fit(1e6).batch == 1e6
    assert fit(1.0, input_len=1e9, scheduler=CONTINUOUS).status == 6.0
    endless = fit(1.0, input_len=1e9, record=LLAMA._replace(max_context=1e12), scheduler=CONTINUOUS)
    assert (endless.status, endless.batch, endless.max_batch) == (7.0, 1.0, 0.0)


def test_configuration_status():
    def status(record=LLAMA, *, peak=1.0, size=1.0, room=2.0, device=H100, **fields):
        deployment = deployed(**fields)
        return configuration_status(record, device, ENGINE, deployment, peak, size, room)

    assert status(tp=8.0, pp=80.0) == 0.0
    assert status(tp=3.0, pp=81.0) == 1.0
    assert status(tp=8.0, pp=81.0) == 2.0
    assert status(tp=8.0, ep=2.0) == 3.0
    assert status(DEEPSEEK, tp=8.0, ep=3.0) == 3.0
    assert status(DEEPSEEK, tp=8.0, ep=8.0) == 0.0
    assert status(tp=8.0, peak=0.0) == 4.0
    assert status(tp=8.0, size=3.0) == 5.0
    assert status(tp=3.0, pp=81.0, device=sheet("groq-lpu")) == 0.0


# --------------------------------------------------------------------------------- sizing


def test_weights_of_groups():
    """DeepSeek-V3 in 2 groups of 8: experts on 16 devices, all else on each group's 8."""
    layout = lay_out(DEEPSEEK, H100, deployed(tp=8.0, dp=2.0))
    routed = expert_bytes(DEEPSEEK, FP8)
    rest = weight_bytes(DEEPSEEK, FP8) - routed

    assert routed == DEEPSEEK.experts * DEEPSEEK.expert_elements * FP8.bits / 8
    assert weight_bytes_per_device(DEEPSEEK, FP8, layout) == digits(rest / 8 + routed / 16)


def test_fewest_devices():
    """Llama-3-70B in bf16 is 141 GB: not on 1 H100 of 80 GB, nor on 2 of them at 0.9 and 2 GB."""
    engine = ENGINE._replace(memory_fraction=0.9, memory_reserve=2e9)
    device = H100._replace(memory_capacity=80e9)
    empty = deployed(tp=0.0)
    known = (LLAMA, device, engine, BF16, KV16)

    chosen = fewest_devices(*known, empty, 4_096.0)

    assert chosen == with_degrees(empty, 4.0, 1.0)
    assert fits(*known, chosen, 4_096.0)
    assert not fits(*known, with_degrees(empty, 2.0, 1.0), 4_096.0)


def test_decode_of_llama_on_eight_h100():
    """[fit] S = 2048, five start-ups a layer, attention at 0.92: 8.3351 ms, batch 64 14.399 ms.

    The source does not say what it counts of activations; without that the two agree to 2 %.
    """
    engine = FITTED._replace(
        launch_attention=3.63e-6,
        launch_elementwise=0.0,
        kv_efficiency=0.92,
        kv_group_penalty=0.0,
        attention_decode_efficiency=0.802,
        host_per_step=0.0,
        host_per_sequence=0.0,
    )
    device = H100._replace(link_bandwidth=450e9)
    for batch, expected in ((1.0, 8.335090843e-3), (64.0, 14.3985575e-3)):
        point = whole(
            LLAMA, engine, device=device, input_len=2_047.0, output_len=2.0, tp=8.0, batch=batch
        )

        assert point.tpot_s == pytest.approx(expected, rel=0.05)


def test_hand_made_batch_of_a_dense_model():
    """Llama-2-13B at the bound: weights, KV cache of every sequence, and activations."""
    llama = model("llama-2-13b")
    point = whole(llama, IDEAL, input_len=1_000.0, output_len=100.0, batch=4.0)
    kv = 4 * 1_050 * kv_bytes_per_token(llama, KV16)

    assert point.kv_s == digits(kv / 3.35e12)
    assert point.weights_s == digits(body_read_bytes(llama, BF16) / 3.35e12)


# --------------------------------------------------------------------------------- memory


def test_usable_bytes():
    """80 GB at 0.9, less 4 GB."""
    engine = ENGINE._replace(memory_fraction=0.9, memory_reserve=4e9)

    assert usable_bytes(H100._replace(memory_capacity=80e9), engine) == digits(68e9)
    assert usable_bytes(H100._replace(memory_capacity=1e9), engine) == 0.0


def test_largest_batch():
    """8 x 80 GB, 0.9, 4 GB reserve, Llama-3-70B in bf16, 4096 tokens: 300 sequences."""
    free = 8 * 68e9 - weight_bytes(LLAMA, BF16)

    assert largest_batch(free, kv_bytes_per_sequence(LLAMA, KV16, 4_096.0)) == 300.0
    assert largest_batch(-1.0, 1.0) == 0.0
    assert largest_batch(1.0, 0.0) == 2.0**24


# ------------------------------------------------------------------------ energy and money


def test_busy_energy():
    """2 s; a share of 0.01 of the peak FLOP/s counts as its root, 0.1."""
    engine = ENGINE._replace(
        power_floor=0.4, power_memory=0.3, power_compute=0.7, power_attention=0.2
    )

    assert busy_energy(H100, engine, 2.0, 1.0, 0.02, 0.0) == digits(2 * 700 * 0.62)
    assert busy_energy(H100, engine, 2.0, 1.0, 0.02, 1.0) == digits(2 * 700 * 0.72)
    assert busy_energy(H100, engine, 2.0, 2.0, 2.0, 0.0) == 2 * 700.0


def test_waiting_energy():
    """1 s for links and 2 s for the host."""
    engine = ENGINE._replace(power_network=0.2, power_host=0.1)

    assert waiting_energy(H100, engine, 1.0, 2.0) == digits(700 * 0.4)


def test_energy_of_a_memory_bound_token():
    """H200 at 545 W, 140 GB at 0.85 of 4.8 TB/s: 18.70098039 J."""
    engine = ENGINE._replace(power_floor=545 / 700, power_memory=0.0, power_compute=0.0)
    seconds = 140e9 / (0.85 * 4.8e12)

    assert busy_energy(H100, engine, seconds, seconds, 0.0, 0.0) == digits(18.70098039)


def test_idle_power():
    assert idle_power(H100._replace(idle_power=100.0), 0.25) == 75.0


def test_facility_factor():
    assert facility_factor(MONEY._replace(node_overhead=0.5, pue=1.2)) == digits(1.8)


def test_carbon():
    """2 J a token, PUE 1.2, 380 g/kWh: 253.3333333 g per million tokens."""
    grid = MONEY._replace(node_overhead=0.0, pue=1.2, carbon_intensity=380.0)

    assert 2e6 * carbon_per_joule(grid) == digits(253.3333333)


def test_money():
    """8 devices at 2.50 USD/h, 3000 tokens/s, utilisation 0.6: 3.086419753 USD/Mtok."""
    money = MONEY._replace(utilization=0.6, price_multiplier=1.0, purchase=0.0)

    per_second = usd_per_second(H100._replace(price_per_hour=2.5), 8.0, money)

    assert per_second / 3_000 * 1e6 == digits(3.086419753)


def test_annuity():
    """4 years at 8 %: 0.3019208 a year; without interest a quarter."""
    four_years = 4 * 8_760 * 3_600.0

    assert annuity(0.08, four_years) == digits(0.30192080)
    assert annuity(0.0, four_years) == 0.25


OWNED = MONEY._replace(
    purchase=records.PURCHASE_OWNED,
    interest=0.08,
    lifetime=4 * 8_760 * 3_600.0,
    server_factor=1.0,
    operations=0.1,
    electricity_price=0.08,
    pue=1.25,
    node_overhead=0.0,
)


def test_price_of_an_owned_device():
    """35,000 USD, 4 years at 8 %, 10 % operations, 1.3 kW, PUE 1.25: 1.735847963 USD/h."""
    device = H100._replace(purchase_price=35_000.0, board_power=1_300.0)

    assert owned_usd_per_hour(device, OWNED) == digits(1.735847963)


# ------------------------------------------------------------------------- second memory tier


def test_second_tier():
    """A device's own, else its share of the host's."""
    engine = ENGINE._replace(host_memory_bytes=256e9, host_memory_bandwidth=50e9)
    own = H100._replace(memory2_capacity=1e12, memory2_bandwidth=400e9)
    unknown = own._replace(memory2_bandwidth=0.0)

    assert second_tier_bytes(H100, engine) == 256e9
    assert second_tier_bytes(own, engine) == 1e12
    assert second_tier_bandwidth(H100, engine) == 50e9
    assert second_tier_bandwidth(own, engine) == 400e9
    assert second_tier_bandwidth(unknown, engine) == 50e9


def roomy(memory):
    """Return a device and an engine of which all memory is usable, with 50 GB/s behind it."""
    engine = IDEAL._replace(
        memory_fraction=1.0,
        memory_reserve=0.0,
        host_memory_bytes=1e13,
        host_memory_bandwidth=50e9,
    )
    device = H100._replace(memory_capacity=memory, memory2_capacity=0.0, memory2_bandwidth=0.0)
    return device, engine


def test_offloaded_weights_are_read_from_the_second_tier():
    """10 GB too little for Llama-3-70B and a sequence: 10 GB at 50 GB/s, all of it read a step."""
    kv = kv_bytes_per_sequence(LLAMA, KV16, 2_304.0)
    size = weight_bytes(LLAMA, BF16)
    device, engine = roomy(size + kv - 10e9)
    refused = whole(LLAMA, engine, device=device)
    point = whole(LLAMA, engine, device=device, offload=records.OFFLOAD_WEIGHTS)
    read = body_read_bytes(LLAMA, BF16) / size

    assert refused.status == 5.0
    assert point.status == 0.0
    assert point.offloaded_bytes_per_device == digits(10e9)
    assert point.offload_s == digits(10e9 * read / 50e9)
    assert point.bound == 7.0


def test_offloaded_cache_is_read_from_the_second_tier():
    """Half of the cache of 64 sequences does not fit."""
    kv = 64 * kv_bytes_per_sequence(LLAMA, KV16, 2_304.0)
    device, engine = roomy(weight_bytes(LLAMA, BF16) + 0.5 * kv)
    refused = whole(LLAMA, engine, device=device, batch=64.0)
    point = whole(LLAMA, engine, device=device, batch=64.0, offload=records.OFFLOAD_KV)

    assert refused.status == 7.0
    assert point.status == 0.0
    assert point.offload_s == digits(0.5 * kv / 50e9)


def test_every_micro_batch_reads_the_shared_prefix_in_the_second_tier():
    """Two stages, a sequence each, half of the cache away: 1280 own tokens and 1024 of a prefix."""
    own, common = (
        kv_bytes_per_sequence(LLAMA, KV16, tokens) / 2.0 for tokens in (1_280.0, 1_024.0)
    )
    weights = weight_bytes(LLAMA, BF16) / 2.0
    device, engine = roomy(weights + own + 0.5 * common)
    point = whole(
        LLAMA,
        engine._replace(block_tokens=1.0),
        device=device,
        pp=2.0,
        batch=2.0,
        scheduler=records.SCHEDULER_CONTINUOUS,
        prefix_hit=0.5,
        offload=records.OFFLOAD_KV,
    )

    assert point.status == 0.0
    assert point.offload_s == digits(2 * 0.5 * (own + common) / 50e9)


# ------------------------------------------------------------------------------ speculation


def test_accepted_tokens():
    """(1 - a^(g+1)) / (1 - a): 3.3616 for 0.8 and 4, 1.85 for 0.85 and 1."""
    assert accepted_tokens(4.0, 0.8) == digits(3.3616)
    assert accepted_tokens(1.0, 0.85) == digits(1.85)
    assert accepted_tokens(4.0, 1.0) == 5.0
    assert accepted_tokens(0.0, 0.8) == 1.0


def test_speculation_where_verification_is_free():
    """0.8, 4 drafts of a tenth of a step: 3.3616 / 1.4 = 2.401142857 times as fast."""
    engine = IDEAL._replace(draft_layers=8.0)
    headless = LLAMA._replace(lm_head_elements=0.0)
    plain = whole(headless, engine)
    drafted = whole(headless, engine, draft_len=4.0, acceptance=0.8)

    assert plain.weights_s / drafted.weights_s == digits(2.401142857)


def test_verification_computes_for_every_draft_and_reads_the_cache_once():
    """g + 1 tokens a step: as many FLOP, one read of weights and of the cache."""
    plain = whole(LLAMA, IDEAL, batch=4.0)
    refused = whole(LLAMA, IDEAL, batch=4.0, draft_len=3.0, acceptance=0.0)

    assert refused.step_flops == digits(4 * plain.step_flops)
    assert refused.kv_s == digits(plain.kv_s)


def test_drafts_pass_their_layers_and_the_head():
    """One layer of 80 and the lm_head for each of 3 drafts, on top of verification."""
    one = whole(LLAMA, IDEAL._replace(draft_layers=1.0), draft_len=3.0)
    none = whole(LLAMA, IDEAL._replace(draft_layers=0.0), draft_len=3.0)
    body = body_read_bytes(LLAMA, BF16) - 2 * LLAMA.lm_head_elements

    assert one.weights_s - none.weights_s == digits(3 / 80 * body / 3.35e12)
    assert none.weights_s == digits((body + 4 * 2 * LLAMA.lm_head_elements) / 3.35e12)


def test_speculation_touches_more_experts():
    """Mixtral: one sequence reads 2 of 8 experts, with 3 refused drafts 5.46875."""
    mixtral = model("mixtral-8x7b")
    engine = IDEAL._replace(draft_layers=0.0)
    plain = whole(mixtral, engine)
    refused = whole(mixtral, engine, draft_len=3.0)
    head = 3 * 2 * mixtral.lm_head_elements
    experts = (5.46875 - 2) * mixtral.expert_elements * 2

    assert refused.weights_s - plain.weights_s == digits((experts + head) / 3.35e12)


# ----------------------------------------------------------------------------------- serving


def test_queueing():
    """M/D/1: 0.375 s for 0.5 s at 0.6; no more than 0.95 is queued for."""
    assert queueing(0.5, 0.6) == digits(0.375)
    assert queueing(0.5, 2.0) == queueing(0.5, 0.95)


def test_wasted_tokens():
    """Half of the last block of 16: 7.5 tokens, 2.4576 MB of Llama-3-70B."""
    wasted = wasted_tokens(ENGINE._replace(block_tokens=16.0))

    assert wasted * kv_bytes_per_token(LLAMA, KV16) == digits(2.4576e6)
    assert wasted_tokens(ENGINE._replace(block_tokens=1.0)) == 0.0


def test_blocks_are_wasted_by_servers_only():
    """In a batch of 8: 8 x 2.4576 MB."""
    engine = ENGINE._replace(block_tokens=16.0)
    static = whole(LLAMA, engine, batch=8.0)
    served = whole(LLAMA, engine, tp=1.0, batch=8.0, scheduler=CONTINUOUS, device=roomy(1e13)[0])

    assert served.kv_bytes_per_device - static.kv_bytes_per_device == digits(8 * 2.4576e6)


def test_largest_batch_of_a_replica():
    """8 x 80 GB, 0.9, 4 GB reserve, Llama-3-70B in bf16, 4096 tokens: 300 sequences."""
    engine = ENGINE._replace(memory_fraction=0.9, memory_reserve=4e9)
    device = H100._replace(memory_capacity=80e9)
    point = whole(LLAMA, engine, device=device, tp=8.0, input_len=4_000.0, output_len=96.0)

    assert point.max_batch == 300.0


def test_prompts_together():
    """256 in flight, 64 steps each: 4 arrive a step, 2 fit a pass of 4096 in each group."""
    engine = ENGINE._replace(prefill_chunk=4_096.0)

    def together(**fields):
        plan = deployed(**fields)
        return prompts_together(engine, plan.scheduler, 256.0, plan.dp, 2_048.0, 64.0)

    assert together(scheduler=STATIC) == 256.0
    assert together(scheduler=CONTINUOUS) == 2.0
    assert together(scheduler=CONTINUOUS, dp=2.0) == 4.0
    assert together(scheduler=CONTINUOUS, dp=8.0) == 8.0
    assert together(scheduler=APART, dp=2.0) == 2.0


def test_passes_that_share_the_stages():
    """A pass in one piece leaves 3 of 4 stages idle; in many chunks none."""
    plan = deployed(tp=2.0, pp=4.0, batch=64.0, scheduler=CONTINUOUS)
    layout = lay_out(LLAMA, H100, plan)

    assert passes_at_once(layout, 1.0, 4.0, 1.0) == 4.0
    assert passes_at_once(layout, 1.0, 4.0, 0.25) == 1.0
    static = lay_out(LLAMA, H100, plan._replace(scheduler=STATIC))
    assert passes_at_once(static, 1.0, 1.0, 1.0) == 1.0


def test_interference_share():
    """Each of 63 others is prefilled once in 256 steps, two together."""
    engine = ENGINE._replace(interference=0.8)

    assert interference_share(engine, CONTINUOUS, 64.0, 1 / 256, 0.5) == 0.8 * 63 / 256 / 2
    assert interference_share(engine, APART, 64.0, 1 / 256, 0.5) == 0.0
    assert interference_share(engine, STATIC, 64.0, 1 / 256, 0.5) == 0.0
    assert interference_share(engine, CONTINUOUS, 1.0, 1 / 256, 0.5) == 0.0


def test_prefill_pool():
    """64 requests in 10 s, 0.1 s of prefill each, at 0.8 of the time: 0.8 replicas."""
    assert prefill_pool(0.8, 0.1, 64 / 10) == digits(0.8)
    assert whole(LLAMA, ENGINE, tp=8.0, scheduler=APART).prefill_pool > 0.0
    assert whole(LLAMA, ENGINE, tp=8.0, scheduler=CONTINUOUS).prefill_pool == 0.0
    assert whole(LLAMA, ENGINE, tp=8.0, scheduler=STATIC).prefill_pool == 0.0


SERVED = ENGINE._replace(
    interference=1.0,
    queue_weight=0.0,
    random_arrivals=0.0,
    prefill_chunk=1.0,
    host_per_prefill=0.0,
    block_tokens=1.0,
)


def serve(engine=SERVED, scheduler=CONTINUOUS, **fields):
    fields = {"tp": 8.0, "batch": 33.0, **fields}
    return whole(LLAMA, engine, scheduler=scheduler, **fields)


def prefill_of_one():
    """Seconds of one prompt's prefill, from a static batch of 1."""
    return serve(scheduler=STATIC, batch=1.0).ttft_s


def test_steps_wait_for_the_prefill_of_others():
    """Each of 32 others is prefilled once in 256 steps."""
    point = serve()

    assert point.prefill_s == digits(32 / 256 * prefill_of_one())
    assert point.tpot_s == digits(serve(scheduler=APART).tpot_s + point.prefill_s)


def test_steady_state_of_a_server():
    """B requests finish in O steps each."""
    point = serve()

    assert point.requests_per_s == digits(33 / (256 * point.tpot_s))
    assert point.tokens_per_s_per_device == digits(33 / point.tpot_s / 8)


def test_queue_of_random_arrivals():
    """M/D/1 at the share of time in prefill."""
    engine = SERVED._replace(random_arrivals=1.0)
    point = serve(engine)
    queue = queueing(prefill_of_one(), point.prefill_s / point.tpot_s)

    assert point.ttft_s - serve().ttft_s == digits(queue)


def test_first_token_waits_half_a_step():
    point = serve()
    step = point.tpot_s - point.prefill_s

    assert point.ttft_s == digits(prefill_of_one() + 0.5 * step)


def test_requests_in_front():
    """A tenth of 32 others are prefilled first."""
    more = serve(SERVED._replace(queue_weight=0.1)).ttft_s - serve().ttft_s

    assert more == digits(3.2 * prefill_of_one())


def test_requests_that_do_not_run_wait_a_generation():
    """32 of 128 run: the others' three quarters wait 256 tokens."""
    engine = SERVED._replace(max_sequences=32.0)
    some, all_of_them = serve(engine, batch=128.0), serve(engine, batch=32.0)

    assert some.running_batch == 32.0
    assert some.tpot_s == all_of_them.tpot_s
    waited = some.ttft_s - all_of_them.ttft_s
    assert waited == digits(0.75 * 256 * some.tpot_s)


def test_requests_wait_for_room_in_the_cache():
    """A server runs what fits where a static batch is refused."""
    engine = SERVED._replace(memory_fraction=0.9, memory_reserve=4e9)
    device = H100._replace(memory_capacity=80e9)
    lengths = {"input_len": 4_000.0, "output_len": 96.0}
    point = serve(engine, batch=1_000.0, device=device, **lengths)
    static = serve(engine, STATIC, batch=1_000.0, device=device, **lengths)

    assert (point.status, point.running_batch) == (0.0, 300.0)
    assert static.status == 7.0


def test_disaggregated_decode_waits_for_no_prefill():
    point = serve(scheduler=APART)

    assert point.prefill_s == 0.0
    assert point.prefill_pool == digits(
        prefill_of_one() * 33 / (256 * point.tpot_s * SERVED.prefill_pool_load)
    )
    assert point.tokens_per_s_per_device == digits(33 / point.tpot_s / 8 / (1 + point.prefill_pool))


def test_disaggregated_prompts_queue_for_the_pool():
    """At the pool's load, not at the decoders'."""
    more = serve(SERVED._replace(random_arrivals=1.0), APART).ttft_s - serve(scheduler=APART).ttft_s

    assert more == digits(queueing(prefill_of_one(), SERVED.prefill_pool_load))


def test_disaggregated_cache_moves():
    """2048 tokens of Llama-3-70B at 8 x 50 GB/s: 1.6777216 ms, of which 79 layers are hidden."""
    engine = SERVED._replace(network_efficiency=1.0)
    device = H100._replace(network_bandwidth=50e9, scale_up_domain=8.0)
    instant = device._replace(network_bandwidth=1e30)
    moved = serve(engine, APART, device=device).ttft_s - serve(engine, APART, device=instant).ttft_s

    assert 80 * moved == digits(1.6777216e-3)


def test_disaggregated_windows_move_once():
    """Gemma-3-27B: what windows do not keep is not sent, cached prompt or not."""
    gemma = model("gemma-3-27b")
    engine = SERVED._replace(network_efficiency=1.0, random_arrivals=0.0)
    device = H100._replace(network_bandwidth=1.0)

    for hit in (0.0, 0.5):
        point = whole(gemma, engine, device=device, scheduler=APART, prefix_hit=hit)
        expected = kv_bytes_per_sequence(gemma, KV16, 2_048.0) / gemma.layers
        assert point.ttft_s == pytest.approx(expected, rel=1e-4)


def test_long_answers_are_in_flight_longer():
    """Spread 2: the context of 256 output tokens counts as of 512; nothing but S follows."""
    engine = IDEAL._replace(memory_reserve=0.0, memory_fraction=1.0)
    even, uneven = (
        serve(engine._replace(length_spread=spread), APART, batch=4.0) for spread in (1.0, 2.0)
    )
    longer = 4 * 128 * 327_680 / 8 / 3.35e12

    assert even.kv_s == digits(4 * (2_048 + 128) * 327_680 / 8 / 3.35e12)
    assert uneven.kv_s == digits(4 * (2_048 + 256) * 327_680 / 8 / 3.35e12)
    assert uneven.tpot_s - even.tpot_s == digits(longer)
    assert uneven.step_bytes - even.step_bytes == digits(4 * 128 * 327_680)
    assert uneven.step_flops - even.step_flops == digits(4 * 128 * 80 * 4 * 64 * 128)
    for name in (
        "status",
        "ttft_s",
        "running_batch",
        "kv_bytes_per_device",
        "total_bytes_per_device",
        "max_batch",
        "devices_needed",
        "weights_s",
        "activations_s",
        "network_s",
        "latency_s",
        "prefill_s",
        "prefill_power_w",
        "energy_per_input_token_j",
        "cost_per_mtok_input_usd",
    ):
        assert getattr(uneven, name) == getattr(even, name), name


def test_windows_of_long_answers():
    """Gemma-3-27B, mean of min(s, 1024) from 1000: 1021.12 to 1100, 1022.56 to 1200."""
    gemma = model("gemma-3-27b")
    for spread, near, far in ((1.0, 1_021.12, 1_050), (2.0, 1_022.56, 1_100)):
        engine = IDEAL._replace(length_spread=spread)
        point = whole(
            gemma, engine, input_len=1_000.0, output_len=100.0, scheduler=CONTINUOUS, batch=1.0
        )
        read = (gemma.global_kv_elements * far + gemma.window_kv_elements * near) * 2
        assert point.kv_s == digits(read / 3.35e12)


def test_indexer_of_long_answers():
    """DeepSeek-V3.2, mean of min(s, 2048) from 2000: 2036.48 to 2100, 2042.24 to 2200."""
    sparse = model("deepseek-v3.2")
    for spread, seen, context in ((1.0, 2_036.48, 2_050), (2.0, 2_042.24, 2_100)):
        engine = IDEAL._replace(length_spread=spread)
        point = whole(
            sparse, engine, form=FP8, input_len=2_000.0, output_len=100.0, scheduler=APART
        )
        assert point.kv_s == digits(61 * (576 * 2 * seen + 128 * context) / 3.35e12)


def test_answers_of_a_static_batch_are_alike():
    engine = ENGINE._replace(length_spread=2.0)

    assert serve(engine, STATIC) == serve(ENGINE, STATIC)


@pytest.mark.parametrize(
    ("layout", "further"),
    [
        ({"tp": 1.0}, 0),
        ({"tp": 8.0}, 7),
        ({"tp": 2.0, "pp": 4.0}, 7),
        ({"tp": 1.0, "dp": 8.0, "batch": 8.0}, 0),
        ({"tp": 2.0, "dp": 4.0, "batch": 8.0}, 1),
    ],
)
def test_host_drives_devices(layout, further):
    """20 us for each further device of a group, in decode steps only."""
    idle, driving = (
        whole(LLAMA, IDEAL._replace(host_per_device=seconds), **layout) for seconds in (0.0, 20e-6)
    )

    assert driving.latency_s - idle.latency_s == digits(further * 20e-6)
    assert driving.tpot_s - idle.tpot_s == pytest.approx(further * 20e-6, rel=1e-9, abs=1e-15)
    assert driving.ttft_s == idle.ttft_s


def test_host_of_a_spatial_machine_drives_none():
    groq = sheet("groq-lpu")
    slow = ENGINE._replace(host_per_device=1.0)
    fast = ENGINE._replace(host_per_device=0.0)

    assert whole(LLAMA, slow, device=groq, pp=576.0) == whole(LLAMA, fast, device=groq, pp=576.0)


@pytest.mark.parametrize("scheduler", [STATIC, CONTINUOUS, APART])
def test_servers_take_time(scheduler):
    """1 ms and 10 us a sequence: 1.32 ms for 32, 1.08 ms in 4 groups; none for a static batch."""
    engine = IDEAL._replace(server_per_step=1e-3, server_per_sequence=10e-6)
    one, four = (
        serve(engine, scheduler, tp=8.0, batch=32.0, **groups) for groups in ({}, {"dp": 4.0})
    )
    plain = serve(IDEAL, scheduler, tp=8.0, batch=32.0)

    expected = (0.0, 0.0) if scheduler == STATIC else (1.32e-3, 1.08e-3)
    assert (one.latency_s, four.latency_s) == (digits(expected[0]), digits(expected[1]))
    assert one.tpot_s - plain.tpot_s == pytest.approx(expected[0], rel=1e-9, abs=1e-15)


def test_choosing_tokens_takes_the_device():
    """2 us for each of 32 sequences, 8 a group; at the power of a device that runs."""
    engine = IDEAL._replace(
        sampling_per_sequence=2e-6, power_floor=0.4, power_memory=0.0, power_compute=0.0
    )
    engine = engine._replace(power_attention=0.0, power_host=0.1)
    one, four = (whole(LLAMA, engine, batch=32.0, dp=groups) for groups in (1.0, 4.0))

    assert one.latency_s == digits(64e-6)
    assert four.latency_s == digits(16e-6)
    assert one.decode_power_w == digits(0.4 * H100.board_power)
    assert one.ttft_s == whole(LLAMA, IDEAL, batch=32.0).ttft_s


def test_reading_the_cache_draws_power():
    """A fifth more of the board's power, in the share of a step that reads the cache."""
    engine = IDEAL._replace(
        power_floor=0.4, power_memory=0.0, power_compute=0.0, power_attention=0.2
    )
    point = whole(LLAMA, engine, batch=32.0)

    assert 0.1 < point.kv_share < 0.9
    assert point.decode_power_w == digits((0.4 + 0.2 * point.kv_share) * H100.board_power)
    assert point.prefill_power_w == digits(0.4 * H100.board_power)


# ----------------------------------------------------------------------------------- intervals

ENCLOSED = ENGINE._replace(
    low_tpot_single=0.9,
    high_tpot_single=1.1,
    low_tpot_parallel=0.8,
    high_tpot_parallel=1.2,
    low_tpot_served=0.7,
    high_tpot_served=1.3,
    low_ttft_static=0.6,
    high_ttft_static=1.4,
    low_ttft_served=0.5,
    high_ttft_served=1.5,
    low_energy=0.75,
    high_energy=1.25,
    low_power=0.85,
    high_power=1.15,
)


@pytest.mark.parametrize(
    ("layout", "tpot", "ttft"),
    [
        ({}, (0.9, 1.1), (0.6, 1.4)),
        ({"tp": 8.0}, (0.8, 1.2), (0.6, 1.4)),
        ({"pp": 2.0}, (0.8, 1.2), (0.6, 1.4)),
        ({"dp": 2.0}, (0.8, 1.2), (0.6, 1.4)),
        ({"scheduler": CONTINUOUS}, (0.7, 1.3), (0.5, 1.5)),
        ({"tp": 8.0, "scheduler": CONTINUOUS}, (0.7, 1.3), (0.5, 1.5)),
        ({"tp": 8.0, "scheduler": APART}, (0.7, 1.3), (0.5, 1.5)),
    ],
)
def test_intervals(layout, tpot, ttft):
    """One device, several, or a server: times the regime's constants; latency is the sum."""
    point = whole(LLAMA, ENCLOSED, batch=8.0, **layout)

    spread = spread_of(ENCLOSED, deployed(batch=8.0, **layout))
    assert (spread.low_tpot, spread.high_tpot) == tpot
    assert (spread.low_ttft, spread.high_ttft) == ttft
    assert point.tpot_low_s == digits(tpot[0] * point.tpot_s)
    assert point.tpot_high_s == digits(tpot[1] * point.tpot_s)
    assert point.ttft_low_s == digits(ttft[0] * point.ttft_s)
    assert point.ttft_high_s == digits(ttft[1] * point.ttft_s)
    low = ttft[0] * point.ttft_s + 255 * tpot[0] * point.tpot_s
    high = ttft[1] * point.ttft_s + 255 * tpot[1] * point.tpot_s
    assert (point.e2e_latency_low_s, point.e2e_latency_high_s) == (digits(low), digits(high))
    joules = point.energy_per_output_token_j
    assert point.energy_per_output_token_low_j == digits(0.75 * joules)
    assert point.energy_per_output_token_high_j == digits(1.25 * joules)
    assert point.power_low_w == digits(0.85 * point.power_w)
    assert point.power_high_w == digits(1.15 * point.power_w)


# ------------------------------------------------------------------------------ cached prompts


def test_cached_tokens_are_not_prefilled():
    """Half of 2048 cached: half of the linear work, three quarters of the pairs."""
    record = LLAMA._replace(lm_head_elements=0.0)
    engine = IDEAL
    device = H100._replace(memory_bandwidth=1e30)
    full = whole(record, engine, device=device)
    half = whole(record, engine, device=device, prefix_hit=0.5)
    pairs = (2_048 * 2_049 - 1_024 * 1_025) / 2

    assert full.ttft_s > half.ttft_s
    assert half.ttft_s == digits(
        (flops_per_token(record) * 1_024 + record.global_prefill_score_flops * pairs) / 989e12
    )


def test_cached_tokens_are_stored_once():
    """Half of the prompt of 10 sequences: one copy of 1024 tokens, 10 of 1024 + 256."""
    point = whole(LLAMA, ENGINE, batch=10.0, prefix_hit=0.5)

    assert point.kv_bytes_per_device == digits((1_024 + 10 * 1_280) * 327_680)


def test_cached_tokens_are_cheap():
    """A cached input token costs its attention with the new ones, not its matrices."""
    point = whole(LLAMA, ENGINE, batch=10.0, prefix_hit=0.5)

    assert 0 < point.cost_per_mtok_cached_input_usd < 0.1 * point.cost_per_mtok_input_usd


# ---------------------------------------------------------- one test for every kind of spread


def test_sliding_layers_read_their_window():
    gemma = model("gemma-3-27b")
    point = whole(gemma, IDEAL, input_len=100_000.0, output_len=100.0)
    read = (gemma.global_kv_elements * 100_050 + gemma.window_kv_elements * 1_024) * 2

    assert point.kv_s == digits(read / 3.35e12)


def test_chunked_layers_read_half_a_chunk():
    scout = model("llama-4-scout")
    point = whole(scout, IDEAL, input_len=81_920.0, output_len=8_192.0)
    read = (scout.global_kv_elements * 86_016 + scout.window_kv_elements * 4_096) * 2

    assert scout.window_chunked == 1.0
    assert point.kv_s == digits(read / 3.35e12)


def test_latent_layers_read_one_latent_for_all_heads():
    point = whole(DEEPSEEK, IDEAL, form=FP8, input_len=4_000.0, output_len=192.0)

    assert point.kv_s == digits(61 * 576 * 2 * 4_096 / 3.35e12)


def test_top_k_layers_read_k_tokens_and_all_keys():
    sparse = model("deepseek-v3.2")
    point = whole(sparse, IDEAL, form=FP8, input_len=100_000.0, output_len=192.0)
    read = 61 * (576 * 2 * 2_048 + 128 * 100_096)

    assert point.kv_s == digits(read / 3.35e12)


def test_recurrent_layers_read_their_state_at_any_length():
    mamba = model("mamba-2.8b")
    short = whole(mamba, IDEAL, input_len=10.0)
    long = whole(mamba, IDEAL, input_len=100_000.0)

    assert short.kv_s == long.kv_s == digits(2 * 4 * mamba.state_elements / 3.35e12)


def test_tensor_parallelism_copies_few_heads():
    """8 KV heads: 16 devices read an eighth each, 8 devices too, 4 a quarter."""
    four, eight, sixteen = (whole(LLAMA, IDEAL, tp=tp, batch=8.0).kv_s for tp in (4.0, 8.0, 16.0))

    assert four == digits(2 * eight)
    assert sixteen == digits(eight)


def test_padded_heads_cost_work():
    """64 heads on 6 devices compute as 66 would."""
    engine = IDEAL._replace(pads_heads=1.0)
    refused = whole(LLAMA, IDEAL._replace(pads_heads=0.0), tp=6.0)
    point = whole(LLAMA, engine, tp=6.0)
    attention = LLAMA.attention_in_elements + LLAMA.attention_out_elements
    rest = LLAMA.ffn_in_elements + LLAMA.ffn_out_elements + LLAMA.lm_head_elements
    read = 2 * (attention * 66 / 64 + rest) / 6 + 2 * LLAMA.other_elements

    assert refused.status == 1.0
    assert point.weights_s == digits(read / 3.35e12)


def test_stages_add_their_hand_overs():
    """A static batch of 4 on 5 stages: the same operators, and 4 hand-overs."""
    engine = ENGINE._replace(hop_latency=1e-5, host_per_device=0.0)
    one, five = (whole(LLAMA, engine, batch=4.0, pp=pp) for pp in (1.0, 5.0))
    hand_over = 1e-5 + 4 * 8_192 * 2 / H100.link_bandwidth

    assert five.tpot_s - one.tpot_s == pytest.approx(4 * hand_over, rel=1e-6)


def test_stages_share_the_cache_and_weights():
    one, five = (whole(LLAMA, ENGINE, batch=4.0, pp=pp) for pp in (1.0, 5.0))

    assert five.weight_bytes_per_device == digits(one.weight_bytes_per_device / 5)
    assert five.kv_bytes_per_device == digits(one.kv_bytes_per_device / 5)


def test_static_stages_idle_in_turn():
    """4 of 5 boards wait at idle power."""
    device = H100._replace(idle_power=0.0)
    one, five = (whole(LLAMA, IDEAL, device=device, pp=pp) for pp in (1.0, 5.0))

    assert five.decode_power_w == pytest.approx(one.decode_power_w / 5, rel=1e-2)
    assert five.mbu == pytest.approx(one.mbu / 5, rel=1e-2)


def test_every_micro_batch_reads_the_weights():
    """64 sequences of a server on 4 stages: each token takes the time of 16 sequences alone."""
    engine = SERVED._replace(interference=0.0, hop_latency=0.0, host_per_sequence=0.0)
    fast = H100._replace(link_bandwidth=1e30)
    staged = whole(LLAMA, engine, device=fast, pp=4.0, batch=64.0, scheduler=CONTINUOUS)
    alone = whole(LLAMA, engine, device=fast, batch=16.0, scheduler=CONTINUOUS)

    assert staged.weights_s == digits(alone.weights_s)
    assert staged.kv_s == digits(alone.kv_s)
    assert staged.step_bytes == digits(4 * alone.step_bytes)


def test_chunks_of_a_prompt_fill_the_stages():
    """Compute alone: 8 chunks through 4 stages take (8 + 3) / 32 of the time."""
    engine = IDEAL._replace(pipeline_chunk=256.0, prefill_overlap=64.0)
    device = H100._replace(memory_bandwidth=1e30, link_bandwidth=1e30)
    record = LLAMA._replace(lm_head_elements=0.0)
    one, four = (whole(record, engine, device=device, pp=pp).ttft_s for pp in (1.0, 4.0))

    assert four / one == digits(11 / 32)


GROUPED = {"form": FP8, "tp": 1.0, "dp": 8.0, "batch": 64.0}


def test_groups_split_sequences_and_share_experts():
    """8 groups of one device, 8 sequences each: own cache, and an eighth of the experts."""
    engine = IDEAL._replace(expert_imbalance=0.0)
    one = whole(DEEPSEEK, engine, form=FP8, batch=8.0)
    groups = whole(DEEPSEEK, engine, **GROUPED, ep=8.0)
    body = body_read_bytes(DEEPSEEK, FP8)
    experts = distinct_experts(256.0, log_passed_over(256.0, 8.0), 64.0) * expert_read_bytes(
        DEEPSEEK, FP8
    )

    assert groups.kv_s == digits(one.kv_s)
    assert groups.weights_s == pytest.approx((body + experts / 8) / 3.35e12, rel=1e-3)
    assert groups.kv_bytes_per_device == digits(one.kv_bytes_per_device)


def test_groups_have_no_all_reduce_around_attention():
    """Of one device each: only the 58 MoE layers exchange, by dispatch."""
    groups = whole(DEEPSEEK, ENGINE, **GROUPED, ep=8.0)
    links = expert_exchange(DEEPSEEK, H100, ENGINE, deployed(dp=8.0, ep=8.0), 2.0)

    assert groups.network_s == digits(58 * all_reduce(links, 64 * 7_168 * 2.0).total)


def test_the_fullest_rank_is_waited_for():
    """Weights of the rank with most experts; without imbalance of the mean."""
    even = whole(DEEPSEEK, IDEAL._replace(expert_imbalance=0.0), **GROUPED, ep=8.0)
    uneven = whole(DEEPSEEK, IDEAL._replace(expert_imbalance=1.0), **GROUPED, ep=8.0)
    touched = distinct_experts(256.0, log_passed_over(256.0, 8.0), 64.0)
    more = fullest_rank_experts(256.0, touched, 8.0) - touched

    assert uneven.weights_s - even.weights_s == digits(
        more * expert_read_bytes(DEEPSEEK, FP8) / 8 / 3.35e12
    )


def test_the_fullest_rank_computes_longer():
    """Compute alone: tokens of the rank with most."""
    device = H100._replace(memory_bandwidth=1e30, link_bandwidth=1e30, network_bandwidth=1e30)
    even, uneven = (
        whole(DEEPSEEK, IDEAL._replace(expert_imbalance=flag), device=device, **GROUPED, ep=8.0)
        for flag in (0.0, 1.0)
    )
    routed = 64 * 8 * 2 * DEEPSEEK.expert_elements / 8 / (H100.flops_fp8)

    assert uneven.compute_s - even.compute_s == digits(
        routed * (load_imbalance(64.0, 8.0, 8.0) - 1)
    )


@pytest.mark.parametrize("devices", [16, 32, 64, 128, 256, 512, 1_024])
def test_hierarchical_all_reduce(devices):
    """Domains of 8: inside as 8 devices do, between them a binary tree of devices / 8."""
    device = H100._replace(link_bandwidth=450e9, scale_up_domain=8.0, network_bandwidth=50e9)
    domains = devices / 8
    inside = all_reduce(exchange(8.0, device, FITTED), 1e6).total
    tree = 2 * math.log2(domains) * FITTED.network_latency
    tree += 2 * (domains - 1) / domains * 1e6 / 8 / (FITTED.network_efficiency * 50e9)

    assert all_reduce(exchange(float(devices), device, FITTED), 1e6).total == digits(inside + tree)


# ------------------------------------------------------------------------- spatial machines


def test_groq_needs_hundreds_of_chips():
    """70 GB of weights at 0.9 of 230 MB are 338 LPUs; Llama-3-70B in fp8, embeddings in 16 bit."""
    groq = sheet("groq-lpu")
    engine = ENGINE._replace(memory_fraction=0.9, memory_reserve=0.0)
    lone = whole(LLAMA, engine, device=groq, form=FP8, input_len=1.0, output_len=1.0, pp=337.0)

    assert 338 <= lone.devices_needed <= 360
    assert lone.status == 5.0


@pytest.mark.parametrize(
    ("name", "device", "form", "chips", "published"),
    [
        pytest.param("llama-2-70b", "groq-lpu", "fp8", 576.0, 300, id="groq-vendor-claimed"),
        pytest.param("llama-3.1-8b", "wse-3", "bf16", 1.0, 1_800, id="wse-3-vendor-claimed"),
        pytest.param("llama-3.1-70b", "wse-3", "bf16", 4.0, 450, id="4-wse-3-vendor-claimed"),
    ],
)
def test_spatial_machines_are_as_fast_as_claimed(name, device, form, chips, published):
    """Vendors' tokens/s of one user, within a factor of 2."""
    entry = catalog.load_device(device)
    engine = catalog.load_engine("default").record(entry)
    point = whole(model(name), engine, device=entry.record(), form=weights(form), pp=chips)

    assert point.status == 0.0
    assert published / 2 < 1 / point.tpot_s < published * 2


def test_spatial_layers_take_a_fixed_time():
    groq = sheet("groq-lpu")
    slow = groq._replace(layer_latency=groq.layer_latency + 1e-5)
    before, after = (whole(LLAMA, ENGINE, device=device, pp=576.0) for device in (groq, slow))

    assert after.latency_s - before.latency_s == digits(80 * 1e-5 * ENGINE.spatial_latency)
    assert before.network_s == 0.0


def test_spatial_stages_hold_one_sequence_each():
    """80 sequences on 80 stages: a token takes as long as alone, apart from the host."""
    groq = sheet("groq-lpu")
    engine = ENGINE._replace(host_per_sequence=0.0)
    one, many = (
        whole(LLAMA, engine, device=groq, form=FP8, pp=800.0, batch=batch) for batch in (1.0, 80.0)
    )

    assert many.tpot_s == digits(one.tpot_s)
    assert many.tokens_per_s_per_device == digits(80 * one.tokens_per_s_per_device)


# -------------------------------------------------------------------- money, grid and carbon


def priced(purchase):
    device = H100._replace(
        price_per_hour=2.0, spot_price_per_hour=1.0, purchase_price=35_000.0, board_power=1_300.0
    )
    money = OWNED._replace(purchase=purchase)
    return whole(LLAMA, ENGINE, device=device, money=money, tp=8.0, batch=8.0)


def test_price_on_demand_spot_and_owned():
    listed = priced(records.PURCHASE_ON_DEMAND).cost_per_mtok_output_usd
    spot = priced(records.PURCHASE_SPOT).cost_per_mtok_output_usd
    owned = priced(records.PURCHASE_OWNED).cost_per_mtok_output_usd

    assert spot == digits(listed / 2)
    assert owned == digits(listed * 1.735847963 / 2)


def test_price_of_tokens_is_that_of_their_time():
    """8 devices for a step per 8 tokens, and for a prefill per 8 prompts."""
    point = priced(records.PURCHASE_ON_DEMAND)
    per_second = 8 * 2.0 * MONEY.price_multiplier / 3_600 / MONEY.utilization
    prefill = point.ttft_s - ENGINE.host_per_prefill

    assert point.cost_per_mtok_output_usd == digits(per_second * point.tpot_s / 8 * 1e6)
    assert point.cost_per_mtok_input_usd == digits(per_second * prefill / 8 / 2_048 * 1e6)


def test_interference_is_paid_by_the_input():
    """A server's output tokens pay for steps, its input tokens for the prefill in between."""
    together, apart = serve(), serve(scheduler=APART)

    assert together.cost_per_mtok_output_usd == digits(apart.cost_per_mtok_output_usd)
    assert together.energy_per_output_token_j == digits(apart.energy_per_output_token_j)


def test_break_even():
    """Where a token costs its price, all paid hours but those are surplus."""
    point = priced(records.PURCHASE_ON_DEMAND)
    needed = point.break_even_utilization
    money = OWNED._replace(purchase=records.PURCHASE_ON_DEMAND, utilization=needed)
    device = H100._replace(price_per_hour=2.0, board_power=1_300.0)
    again = whole(LLAMA, ENGINE, device=device, money=money, tp=8.0, batch=8.0)

    assert again.cost_per_mtok_output_usd == digits(money.token_price)


def test_node_overhead_and_pue_count_once():
    money = MONEY._replace(node_overhead=0.3, pue=1.2)
    point = whole(LLAMA, ENGINE, money=money)

    assert point.facility_energy_per_output_token_j == digits(
        1.3 * 1.2 * point.energy_per_output_token_j
    )


def test_carbon_follows_the_grid():
    """473 g/kWh of what the grid gives, a million tokens."""
    money = MONEY._replace(carbon_intensity=473.0)
    point = whole(LLAMA, ENGINE, money=money)
    joules = point.facility_energy_per_output_token_j

    assert point.carbon_per_mtok_output_g == digits(joules * 1e6 / 3.6e6 * 473)


def test_power_of_a_server_is_the_mean_over_its_time():
    point = serve()
    step = point.tpot_s - point.prefill_s
    joules = point.decode_power_w * step + point.prefill_power_w * point.prefill_s

    assert point.power_w == digits(joules / point.tpot_s)
