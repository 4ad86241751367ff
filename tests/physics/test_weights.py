"""Parameters, widths and bytes of weights, by hand."""

import math

import pytest

from perfcore import records
from perfcore.physics.operators import body_read_bytes
from perfcore.physics.weights import (
    body_arithmetic,
    body_bits,
    body_elements,
    body_kernel,
    leaves_body_wide,
    parameters,
    perplexity_increase,
    table_bytes,
    weight_bytes,
)
from physics.worked import DEEPSEEK, FP8, INT4, LLAMA, MXFP4, digits, model, weights


def test_parameters_of_published_models():
    """[config] Llama-3-70B 70,553,706,496; DeepSeek-V3 671,026,419,200."""
    assert parameters(LLAMA) == 70_553_706_496
    assert parameters(DEEPSEEK) == 671_026_419_200


def test_elements_of_a_layer():
    """[config] Llama-3-70B: attention 150,994,944 and FFN 704,643,072 per layer, 80 layers."""
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


def test_weight_bytes_keep_embeddings_in_16_bit():
    """Llama-3-8B in int4-g128 (4.125 bit): 3.60 GB of matrices and 2.10 GB of embeddings."""
    llama = model("llama-3-8b")
    expected = body_elements(llama) * 4.125 / 8 + 2 * (2 * 128_256 * 4_096) + 2 * 65 * 4_096

    assert weight_bytes(llama, INT4) == digits(expected)
    assert 2 * llama.lm_head_elements * 2 == pytest.approx(2.101e9, rel=1e-3)


@pytest.mark.parametrize(("form", "expected"), [(FP8, 8), (INT4, 8), (MXFP4, 8)])
def test_tables_have_8_bits_at_least(form, expected):
    """Qwen3.8-Flash-Next-FP8 has 51,200,245,760 entries of an n-gram table in fp8."""
    tables = model("llama-3-8b")._replace(table_elements=51_200_245_760.0)
    more = weight_bytes(tables, form) - weight_bytes(model("llama-3-8b"), form)

    assert table_bytes(tables, form) == expected * 51_200_245_760 / 8
    assert more == digits(51_200_245_760)


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


def test_perplexity_of_formats_that_nobody_has_measured_is_not_a_number():
    """Llama 3 8B in Q4_K_M: 6.4071 instead of 6.2316 at 16 bit."""
    assert perplexity_increase(weights("q4_k_m")) == pytest.approx(0.0282, abs=1e-4)
    assert perplexity_increase(weights("fp8")) == pytest.approx(0.0120, abs=1e-4)
    assert math.isnan(perplexity_increase(weights("int4-g128")))
    given = weights("int4-g128")._replace(perplexity_increase=0.02)
    assert perplexity_increase(given) == 0.02
