"""Prefill passes and cached prompts, by hand."""

import pytest

from perfcore.physics.collectives import exchange
from perfcore.physics.operators import flops_per_token, operators
from perfcore.physics.parallelism import lay_out
from perfcore.physics.prefill import (
    add_prefill_operator,
    attention_bytes,
    attention_work,
    chunk_fill,
    prefill_terms,
    prompts_of,
)
from perfcore.physics.roofline import Operator, operator_time
from physics.worked import (
    ALONE,
    BF16,
    ENGINE,
    H100,
    IDEAL,
    LLAMA,
    NO_TERMS,
    deployed,
    digits,
    llama_prefill,
    model,
    whole,
)

# ------------------------------------------------------------------------ prefill and point


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
    """4 H h FLOP per pair and layer: the causal half."""
    costs, work = llama_prefill(IDEAL, batch=3.0, input_len=2_048.0)

    assert attention_work(costs, LLAMA, work) == digits(3 * 80 * 4 * 64 * 128 * 2_048 * 2_049 / 2)


def test_attention_traffic_of_a_prompt():
    """q and o, and K and V written and read; no scores."""
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
    """Compute 3 s and memory 4 s take 5 s; if not split, all count as compute."""
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
            1.0,
            operator_time(ops.lm_head, 1.0, 1.0, IDEAL.residue).total,
            split,
        )
        assert sum(terms[1:]) == (digits(terms.seconds) if split else 0.0)
        return terms.seconds

    assert seconds(split=True) >= flops / 989e12
    assert seconds(split=True) == digits(seconds(split=False))
    assert seconds(split=True) == pytest.approx(flops / 989e12, rel=0.08)  # lm_head, element-wise


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
    """Half of the prompt of 10 sequences cached: 1024 tokens once, and 10 x (1024 + 256)."""
    point = whole(LLAMA, ENGINE, batch=10.0, prefix_hit=0.5)

    assert point.kv_bytes_per_device == digits((1_024 + 10 * 1_280) * 327_680)


def test_cached_tokens_are_cheap():
    """A cached input token costs the attention of new tokens to it, but no matrix products."""
    point = whole(LLAMA, ENGINE, batch=10.0, prefix_hit=0.5)

    assert 0 < point.cost_per_mtok_cached_input_usd < 0.1 * point.cost_per_mtok_input_usd


# ---------------------------------------------------------- one test for every kind of spread


def test_chunks_of_a_prompt_fill_the_stages():
    """Compute time: 8 chunks through 4 stages take (8 + 3) / 32."""
    engine = IDEAL._replace(pipeline_chunk=256.0, prefill_overlap=64.0)
    device = H100._replace(memory_bandwidth=1e30, link_bandwidth=1e30)
    record = LLAMA._replace(lm_head_elements=0.0)
    one, four = (whole(record, engine, device=device, pp=pp).ttft_s for pp in (1.0, 4.0))

    assert four / one == digits(11 / 32)
