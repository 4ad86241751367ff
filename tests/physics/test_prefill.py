"""Prefill passes and cached prompts, by hand."""

import pytest

from perfcore.physics.collectives import exchange
from perfcore.physics.cost import usd_per_second
from perfcore.physics.decode import index_costs
from perfcore.physics.operators import flops_per_token, operators
from perfcore.physics.parallelism import lay_out
from perfcore.physics.prefill import (
    PassParts,
    PrefillTerms,
    add_prefill_operator,
    attention_arithmetic,
    attention_bytes,
    attention_time,
    attention_work,
    cached_token_time,
    chunk_fill,
    last_part,
    new_tokens,
    pass_attention,
    pipelined_attention,
    pipelined_parts,
    prefill_costs,
    prefill_terms,
    prompts_of,
    score_work,
    shared_parts,
    through_stages,
)
from perfcore.physics.roofline import Operator, operator_time
from physics.worked import (
    ALONE,
    BF16,
    ENGINE,
    FP8,
    H100,
    IDEAL,
    KV16,
    LLAMA,
    MONEY,
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


def test_the_last_token_of_a_prompt_is_never_cached():
    assert new_tokens(0.0, 1.0) == 1.0
    assert new_tokens(0.75, 1_024.0) == 256.0
    assert new_tokens(0.99, 16.0) == 1.0


def test_cached_prompts():
    """3/4 of 8 tokens cached: queries 7 and 8 see 7 + 8 keys."""
    work = prompts_of(LLAMA, 1.0, 2.0, 6.0)

    assert (work.tokens, work.context, work.global_pairs) == (2.0, 8.0, 15.0)


def test_attention_of_a_prompt():
    """4 H h FLOP per pair and layer: the causal half."""
    costs, work = llama_prefill(IDEAL, batch=3.0, input_len=2_048.0)

    assert attention_work(costs, LLAMA, work) == digits(3 * 80 * 4 * 64 * 128 * 2_048 * 2_049 / 2)


@pytest.mark.parametrize(("length", "per_pair"), [(2_048.0, 320), (2_049.0, 1_088)])
def test_sparse_prefill_gathers_the_latent(length, per_pair):
    """61 layers, 128 heads: 192 + 128 elements a pair; 2 x 512 + 64 once tokens are left out."""
    sparse = model("deepseek-v3.2")
    costs, _ = llama_prefill(IDEAL, batch=1.0, input_len=8.0)
    work = prompts_of(sparse, 1.0, length, 0.0)
    pairs = sum(min(query, 2_048) for query in range(1, int(length) + 1))
    indexed = 61 * 2 * 64 * 128 * length * (length + 1) / 2

    assert score_work(costs, sparse, work) == digits(61 * 256 * per_pair * pairs)
    assert attention_work(costs, sparse, work) == digits(61 * 256 * per_pair * pairs + indexed)


def test_indexer_computes_in_fp8():
    """Of a prompt of 8,192 tokens, scores run at the 16-bit rate, the indexer at twice that."""
    sparse = model("deepseek-v3.2")
    layout = lay_out(sparse, H100, deployed())
    work = prompts_of(sparse, 1.0, 8_192.0, 0.0)
    indexed = sparse.index_score_flops * 8_192 * 8_193 / 2

    for device, rate in ((H100, H100.flops_fp8), (H100._replace(flops_fp8=0.0), H100.flops_fp16)):
        costs = prefill_costs(sparse, device, IDEAL, BF16, KV16, layout, 0.0, 0.0, 0.0, 0.0)
        scores = (attention_work(costs, sparse, work) - indexed) / H100.flops_fp16
        assert attention_arithmetic(costs, sparse, work) == digits(scores + indexed / rate)
        step = index_costs(sparse, device, IDEAL, 1e12, layout, 1.0, 1.0, 1.0)
        assert step.compute_per_token == digits(sparse.index_score_flops / rate)


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

    assert pipelined_parts(engine, layout, 16_384.0) == 4.0
    assert chunk_fill(engine, layout, 16_384.0) == 5 / 8
    assert chunk_fill(engine._replace(prefill_overlap=2.0), layout, 16_384.0) == 3 / 4
    assert chunk_fill(engine, layout, 100.0) == 1.0


def test_last_part_of_a_prompt_takes_longest():
    """8 tokens behind 8, in 4 parts of 2: queries 15 and 16 see 15 + 16 keys, of 16 tokens."""
    engine = IDEAL._replace(pipeline_chunk=2.0, prefill_overlap=64.0)
    layout = lay_out(LLAMA, H100, deployed(pp=2.0))
    work = prompts_of(LLAMA, 1.0, 8.0, 8.0)
    last = last_part(LLAMA, engine, layout, work, 1.0, 8.0, 8.0)

    assert (last.tokens, last.context, last.global_pairs) == (2.0, 16.0, 31.0)
    assert last_part(LLAMA, ENGINE, layout, work, 1.0, 8.0, 8.0) == work


def test_parts_pass_through_stages_in_order():
    """Parts of 1, 2 and 3 s in 2 stages: 0.5 s, 1 s and 1.5 s in the first, 1.5 s in the second."""
    two = lay_out(LLAMA, H100, deployed(pp=2.0))
    costs, work = llama_prefill(IDEAL, batch=1.0, input_len=2_048.0)
    alone = attention_time(costs, LLAMA, IDEAL, work).total

    assert through_stages(two, 6.0, 3.0) == 4.5
    assert through_stages(lay_out(LLAMA, H100, ALONE), 6.0, 3.0) == 6.0
    one, engine = (IDEAL._replace(pipeline_chunk=size) for size in (2_048.0, 1_024.0))
    assert pipelined_attention(costs, LLAMA, one, two, 1.0, 2_048.0, 0.0) == digits(alone)
    half = prompts_of(LLAMA, 1.0, 1_024.0, 1_024.0)
    longest = attention_time(costs, LLAMA, engine, half).total
    assert pipelined_attention(costs, LLAMA, engine, two, 1.0, 2_048.0, 0.0) == digits(
        (alone + longest) / 2
    )


def test_attention_of_a_pass_by_resource():
    costs, work = llama_prefill(IDEAL, batch=1.0, input_len=2_048.0)
    two = lay_out(LLAMA, H100, deployed(pp=2.0))
    half = prompts_of(LLAMA, 1.0, 1_024.0, 1_024.0)
    longest = attention_time(costs, LLAMA, IDEAL, half).total
    alone = attention_time(costs, LLAMA, IDEAL, work).total
    attention = pass_attention(costs, LLAMA, IDEAL, two, work, half)

    assert attention.seconds == digits((alone + longest) / 2)
    assert attention.reads + attention.scores == digits(attention.seconds)
    assert attention.reads_in_turn + attention.scores_in_turn == digits(alone)
    assert attention.arithmetic == attention_arithmetic(costs, LLAMA, work)


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
    ops = operators(LLAMA, H100, IDEAL, BF16, layout, 1.0, 1.0)
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
            work,
            1.0,
            1.0,
            0.0,
            1.0,
            operator_time(ops.lm_head, 1.0, 1.0, IDEAL.residue).total,
            split,
        )
        assert sum(terms.parts) == (digits(terms.seconds) if split else 0.0)
        assert terms.serial == digits(terms.seconds)
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


@pytest.mark.parametrize("name", ["llama-3-70b", "gemma-3-27b", "glm-5.2", "deepseek-v4-flash"])
@pytest.mark.parametrize("hit", [0.25, 0.95])
def test_price_of_a_cached_token_is_a_difference(name, hit):
    """(A prompt of 100,000 tokens - its new tokens alone) / cached tokens, windows included."""
    whole_prompt, new, cached = 1e5, (1.0 - hit) * 1e5, hit * 1e5
    options = {"form": FP8, "tp": 8.0, "output_len": 1_000.0}
    point = whole(model(name), ENGINE, input_len=whole_prompt, prefix_hit=hit, **options)
    alone = whole(model(name), ENGINE, input_len=new, **options)
    prompt = whole_prompt * point.cost_per_mtok_input_usd
    added = (prompt - new * alone.cost_per_mtok_input_usd) / cached

    assert point.cost_per_mtok_cached_input_usd == pytest.approx(
        min(added, point.cost_per_mtok_input_usd), rel=1e-6
    )
    assert added > 0.0


def test_first_cached_token():
    """Where nothing is cached, a cached token costs its scores with all new tokens."""
    device = H100._replace(memory_bandwidth=1e30)
    costs, work = llama_prefill(IDEAL, batch=1.0, input_len=2_048.0)
    time = attention_time(costs, LLAMA, IDEAL, work).total
    point = whole(LLAMA, IDEAL, device=device)
    layout = lay_out(LLAMA, H100, ALONE)
    seconds = cached_token_time(costs, LLAMA, IDEAL, 1.0, 2_048.0, 0.0, time, layout)

    assert seconds == pytest.approx(2_048 * LLAMA.global_prefill_score_flops / 989e12, rel=1e-6)
    dollars = usd_per_second(device, 1.0, MONEY) * 1e6
    assert point.cost_per_mtok_cached_input_usd == pytest.approx(seconds * dollars, rel=1e-6)


# ---------------------------------------------------------- one test for every kind of spread


def test_chunks_of_a_prompt_fill_the_stages():
    """Compute time: 8 chunks through 4 stages take (8 + 3) / 32."""
    engine = IDEAL._replace(pipeline_chunk=256.0, prefill_overlap=64.0)
    device = H100._replace(memory_bandwidth=1e30, link_bandwidth=1e30)
    record = LLAMA._replace(lm_head_elements=0.0, global_prefill_score_flops=0.0)
    one, four = (whole(record, engine, device=device, pp=pp).ttft_s for pp in (1.0, 4.0))

    assert four / one == digits(11 / 32)


def test_passes_that_idle_stages_admit_count_by_their_work():
    """Twice as much work as time: half as many passes at once as stages."""
    time = PassParts(memory=1.0, compute=2.0, transfer=0.5, latency=0.5)
    work = PassParts(memory=3.0, compute=4.0, transfer=0.5, latency=0.5)
    terms = PrefillTerms(4.0, 8.0, time, work, 4.0, 1.0)

    assert shared_parts(terms, 2.0, 4.0, 0.5) == (1.5, 2.0, 0.25, 0.25)
    assert shared_parts(terms, 4.0, 4.0, 0.5) == time
    assert shared_parts(terms, 1.0, 4.0, 0.5) == time
