"""One decode step: the contribution of each resource, by hand."""

from perfcore.physics.decode import (
    ContextCosts,
    Terms,
    add_attention,
    add_operator,
    attention_flops,
    context_costs,
    index_costs,
    index_flops,
    kv_efficiency,
    layer_terms,
    scaled,
    scored_flops,
    state_terms,
    summed,
)
from perfcore.physics.operators import operators
from perfcore.physics.parallelism import lay_out
from perfcore.physics.roofline import Operator
from physics.worked import (
    ALONE,
    BF16,
    DEEPSEEK,
    ENGINE,
    GEFORCE,
    H100,
    IDEAL,
    KV8,
    KV16,
    LLAMA,
    NARROW,
    NO_TERMS,
    WIDE_SUMS,
    deployed,
    digits,
    model,
)

# ------------------------------------------------------------------- roofline and rounding


def test_scores_summed_in_fp16():
    assert attention_flops(GEFORCE, NARROW, 0.5) == 0.5 * 330.4e12
    assert attention_flops(GEFORCE, WIDE_SUMS, 0.5) == 0.5 * 165.2e12


# ------------------------------------------------------------------------------ attention


def test_kv_efficiency():
    """8 query heads per KV head: divided by 1 + 7 g; a latent cache loses nothing."""
    engine = ENGINE._replace(kv_efficiency=0.8, kv_efficiency_quantised=0.7, kv_group_penalty=0.03)

    assert kv_efficiency(LLAMA, engine, KV16) == digits(0.8 / 1.21)
    assert kv_efficiency(LLAMA, engine, KV8) == digits(0.7 / 1.21)
    assert kv_efficiency(DEEPSEEK, engine, KV16) == 0.8


def test_attention_computes_in_16_bit():
    assert attention_flops(H100, ENGINE, 0.5) == 0.5 * 989e12


def test_context_costs():
    """Per token of context of Llama-3-70B: 327,680 bytes, and 4 H h FLOP per layer."""
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
    assert costs.compute_per_token == digits(61 * 2 * 64 * 128 / H100.flops_fp8)
    assert index_flops(H100, IDEAL, 0.5) == 0.5 * H100.flops_fp8


def test_attention_is_as_fast_as_its_indexer():
    assert scored_flops(model("deepseek-v3.2"), H100, IDEAL) == H100.flops_fp8
    assert scored_flops(LLAMA, H100, IDEAL) == H100.flops_fp16


def test_states_are_read_and_written():
    mamba = model("mamba-2.8b")
    layout = lay_out(mamba, H100, ALONE)
    terms = state_terms(NO_TERMS, mamba, H100, IDEAL, layout, 2.0)

    assert terms.kv == digits(2 * 2 * 4 * mamba.state_elements / 3.35e12)


def test_terms_divide_an_operator():
    """Memory 3 + 1 s, compute 3 s: 5 s in total; 16/5 s of memory time are divided 3 to 1."""
    operator = Operator(compute_per_token=3.0, weights=3.0, activations_per_token=1.0, start_up=9.0)

    terms = add_operator(NO_TERMS, operator, 1.0, 1.0, 1.0)

    assert terms == (digits(2.4), 0.0, digits(0.8), digits(1.8))


def test_terms_divide_attention():
    terms = add_attention(NO_TERMS, ContextCosts(0.0, 0.0, 0.5), 2.0, 1.5, 1.5, 1.0)

    assert terms == (0.0, digits(2.4), digits(0.8), digits(1.8))


def test_layer_terms_are_the_ideal_time():
    """Batch 1 at the bound: all weights but the embeddings are read once, lm_head added."""
    layout = lay_out(LLAMA, H100, ALONE)
    ops = operators(LLAMA, H100, IDEAL, BF16, layout, 1.0, 1.0)
    terms = layer_terms(ops, 1.0, 1.0, 0.0, 0.0)

    assert terms.weights == digits(41.49434827e-3 - 2 * 128_256 * 8_192 / 3.35e12)
    assert terms.compute == 0.0


def test_terms_scale_and_sum():
    """A draft of a tenth of a step, plus the step."""
    step = Terms(1.0, 2.0, 3.0, 4.0)

    assert summed(step, scaled(step, 0.5)) == (1.5, 3.0, 4.5, 6.0)
