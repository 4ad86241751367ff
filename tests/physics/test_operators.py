"""Linear operators of a pass: FLOP, bytes and start-up, by hand."""

import pytest

from perfcore.physics.operators import (
    activation_bytes_per_token,
    activation_elements,
    body_read_bytes,
    computing_experts,
    expert_kernel,
    expert_read_bytes,
    flops_per_token,
    half_width,
    head_io_elements,
    layer_compute,
    layer_weights,
    linear_operator,
    linear_start_up,
    operators,
    start_up,
    touched_experts,
)
from perfcore.physics.parallelism import lay_out
from perfcore.physics.prefill import attention_work
from perfcore.physics.roofline import Path
from physics.worked import (
    ALONE,
    BF16,
    DEEPSEEK,
    ENGINE,
    FITTED,
    FP8,
    H100,
    IDEAL,
    LLAMA,
    deployed,
    digits,
    llama_prefill,
    model,
    passed_over,
    weights,
    whole,
)

# ----------------------------------------------------------------------------- weights


def test_reading_140_gb():
    """[H100] 70e9 parameters in bf16 at 3.35 TB/s: 41.79104478 ms."""
    product = linear_operator(70e9, 0.0, 1.0, 16.0, Path(1.0, 3.35e12, 0.0), 3.35e12, 2.0, 1.0, 1.0)

    assert product.weights == digits(41.79104478e-3)


def test_reading_llama():
    """[H100] Llama-3-70B in bf16 without the input embedding: 41.49434827 ms."""
    assert body_read_bytes(LLAMA, BF16) / 3.35e12 == digits(41.49434827e-3)


def test_time_of_other_matrices_of_gguf_files():
    """8.5 bits instead of 16 of 955,514,880 elements, at the GGUF kernel's 0.5 of 3.35 TB/s."""
    engine = IDEAL._replace(memory_efficiency_gguf=0.5)
    q8, f16 = weights("mxfp4-gguf-q8"), weights("mxfp4-gguf-f16")._replace(embedding_bits=8.5)
    narrow, wide = (whole(model("gpt-oss-120b"), engine, form=form) for form in (q8, f16))

    saved = 955_514_880 * (16 - 8.5) / 8
    assert wide.weights_s - narrow.weights_s == digits(saved / (0.5 * 3.35e12))


# ------------------------------------------------------------------------------- experts


@pytest.mark.parametrize(("batch", "expected"), [(1, 36.51829146e9), (64, 584.2754146e9)])
def test_bytes_of_a_step_of_deepseek(batch, expected):
    """[config] DeepSeek-V3 at one byte per weight: 64 times the batch reads 16 times the bytes.

    The source counts the norms of the latents (61 x 2048), but no other norms and no routers.
    """
    byte = FP8._replace(embedding_bits=8.0)
    matrices = body_read_bytes(DEEPSEEK, byte) - 2 * DEEPSEEK.other_elements + 61 * 2_048
    experts = touched_experts(
        DEEPSEEK.experts, ENGINE, passed_over(DEEPSEEK), float(batch)
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

    alone, eight = (lay_out(LLAMA, H100, deployed(tp=tp)) for tp in (1.0, 8.0))
    assert activation_bytes_per_token(LLAMA, BF16, alone, 1.0) == 2 * 80 * layer
    whole = 4 * d + 10 * d  # two inputs, two outputs, norms and residuals lie on every device
    assert activation_bytes_per_token(LLAMA, BF16, eight, 1.0) == 2 * 80 * (layer + 7 * whole)


def test_activations_of_experts_lie_on_the_devices_of_their_rank():
    """Of 2 d elements in and out of each of k experts, one copy for each device of a rank."""
    k, d = DEEPSEEK.experts_per_token, DEEPSEEK.hidden_size
    whole = 2 * d * k * DEEPSEEK.moe_layers
    layout = lay_out(DEEPSEEK, H100, deployed(tp=8.0))
    ranks = [activation_elements(DEEPSEEK, layout, ep, 1.0).experts for ep in (1.0, 2.0, 8.0)]

    assert ranks[2] == DEEPSEEK.expert_io_elements
    assert [moved - ranks[2] for moved in ranks] == [7 * whole, 3 * whole, 0]


def test_operators_of_llama():
    layout = lay_out(LLAMA, H100, deployed(tp=8.0))
    ops = operators(LLAMA, H100, FITTED, BF16, layout, 8.0, 1.0)

    assert ops.ffn_in.weights == digits(2 * 80 * 2 * 28_672 * 8_192 / 8 / (0.845 * 3.35e12))
    assert ops.ffn_in.start_up == digits(80 * 3.63e-6)
    assert ops.lm_head.compute_per_token == digits(2 * 128_256 * 8_192 / 8 / (0.802 * 989e12))
    assert ops.experts.weights == 0.0
    elements = 80 * ((64 + 2 * 8) * 128 + 64 * 128 + 3 * 28_672) * 8_192
    assert layer_weights(ops) == digits(2 * elements / 8 / (0.845 * 3.35e12))
    assert layer_compute(ops) == digits(2 * elements / 8 / (0.802 * 989e12))


def test_start_up_of_llama():
    """Per layer four products, attention and four element-wise kernels; one lm_head."""
    layout = lay_out(LLAMA, H100, ALONE)
    ops = operators(LLAMA, H100, ENGINE, BF16, layout, 1.0, 1.0)
    layer = 4 * ENGINE.launch + ENGINE.launch_attention + 4 * ENGINE.launch_elementwise

    assert start_up(LLAMA, H100, ENGINE, ops) == digits(80 * layer + ENGINE.launch)
    assert linear_start_up(ops) == digits(80 * (layer - ENGINE.launch_attention))


# ------------------------------------------------------------------------------ attention


def test_traffic_of_logits():
    """The input of d elements, and V logits in 16 bit and in fp32."""
    assert head_io_elements(LLAMA) == 8_192 + 3 * 128_256


# ----------------------------------------------------------------------------------- serving


def test_reading_the_cache_draws_power():
    """The cache's bytes take their energy: 0.4 of board power, and 10 pJ/bit of all bytes."""
    engine = IDEAL._replace(
        power_floor=0.4, memory_energy_factor=1.0, compute_energy_factor=0.0, power_host=0.0
    )
    device = H100._replace(energy_per_bit=10e-12)
    point = whole(LLAMA, engine, device=device, batch=32.0)
    memory_w = 8 * 10e-12 * point.step_bytes / point.tpot_s

    assert 0.1 < point.kv_share < 0.9
    assert point.decode_power_w == digits(0.4 * H100.board_power + memory_w)


def experts_of(engine, form=FP8, **fields):
    deployment = deployed(**fields)
    layout = lay_out(DEEPSEEK, H100, deployment)
    made = operators(DEEPSEEK, H100, engine, form, layout, deployment.tp, deployment.ep)
    return made.experts


def test_narrow_experts_reach_less():
    """DeepSeek-V3 on 8 devices: 256 columns of each expert on one, n0 = 240 in fp8."""
    engine = IDEAL._replace(expert_half_width=120.0)
    wide, narrow = experts_of(IDEAL, tp=8.0), experts_of(engine, tp=8.0)

    assert narrow.compute_per_token == digits(wide.compute_per_token * (1.0 + 240.0 / 256.0))
    assert narrow.weights == wide.weights


def test_faster_arithmetic_needs_wider_experts():
    """fp8 has twice the rate of bf16 on an H100: n0 = 240 instead of 120."""
    engine = IDEAL._replace(expert_half_width=120.0)

    assert half_width(H100, engine, BF16) == 120.0
    assert half_width(H100, engine, FP8) == digits(240.0)
    share = expert_kernel(DEEPSEEK, H100, engine, BF16, 8.0).flops / 989e12
    assert share == digits(1.0 / (1.0 + 120.0 / 256.0))


def test_whole_experts_on_a_device_are_wide():
    """DeepSeek-V3, experts on 8 ranks: all 2,048 columns are on one device."""
    engine = IDEAL._replace(expert_half_width=120.0)
    wide, narrow = experts_of(IDEAL, tp=8.0, ep=8.0), experts_of(engine, tp=8.0, ep=8.0)

    assert narrow.compute_per_token == digits(wide.compute_per_token * (1.0 + 240.0 / 2048.0))


def test_integers_of_4_bits_need_wider_experts():
    """DeepSeek-V3 in int4 on 8 devices: n0 = 1,660, whatever other formats need."""
    form = weights("int4-g128-awq")
    engine = IDEAL._replace(expert_half_width=120.0, expert_half_width_4_weight_only=1660.0)
    wide, narrow = (experts_of(it, form, tp=8.0) for it in (IDEAL, engine))

    assert narrow.compute_per_token == digits(wide.compute_per_token * (1.0 + 1660.0 / 256.0))


def test_a_compiled_batch_computes_and_reads_all_experts():
    """DeepSeek-V3: 256 experts for every token, of which 8 are chosen."""
    engine = IDEAL._replace(dense_experts=1.0)

    assert computing_experts(DEEPSEEK, engine) == 256.0
    assert computing_experts(DEEPSEEK, IDEAL) == 8.0
    ratio = experts_of(engine).compute_per_token / experts_of(IDEAL).compute_per_token
    assert ratio == digits(256.0 / 8.0)
    assert touched_experts(256.0, engine, passed_over(DEEPSEEK), 1.0) == 256.0
