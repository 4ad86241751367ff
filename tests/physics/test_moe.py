"""Distinct experts and load of ranks, by hand."""

import math

import pytest

from perfcore.physics.moe import (
    copies_per_token,
    distinct_experts,
    fullest_rank_experts,
    load_imbalance,
    log_passed_over,
)
from perfcore.physics.operators import body_read_bytes, expert_read_bytes, touched_experts
from perfcore.physics.weights import weight_bytes
from physics.worked import (
    BF16,
    DEEPSEEK,
    ENGINE,
    FP8,
    GROUPED,
    H100,
    IDEAL,
    LLAMA,
    digits,
    model,
    passed_over,
    whole,
)

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


def test_touched_experts_of_a_dense_model():
    assert touched_experts(LLAMA.experts, ENGINE, passed_over(LLAMA), 10.0) == 0.0
    assert touched_experts(DEEPSEEK.experts, ENGINE, passed_over(DEEPSEEK), 64.0) == digits(
        222.4424877
    )


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 8.0), (0.5, 164.7735617), (1.0, 222.4424877)]
)
def test_experts_of_tokens_that_are_alike(share, expected):
    """64 tokens choose like 1, 32.5 or 64 independent ones: 256 (1 - (31/32)^T)."""
    engine = ENGINE._replace(routing_independence=share)

    assert touched_experts(DEEPSEEK.experts, engine, passed_over(DEEPSEEK), 64.0) == digits(
        expected
    )
    assert touched_experts(DEEPSEEK.experts, engine, passed_over(DEEPSEEK), 1.0) == digits(8.0)
    assert touched_experts(DEEPSEEK.experts, engine, passed_over(DEEPSEEK), 0.5) == digits(
        256 * (1 - (31 / 32) ** 0.5)
    )


@pytest.mark.parametrize(("share", "experts"), [(0.0, 2.0), (0.5, 4.102885683), (1.0, 5.46875)])
def test_sequences_that_are_alike_read_fewer_experts(share, experts):
    """Mixtral, 4 sequences: experts of 1, 2.5 or 4 independent tokens, FLOP of 4 tokens."""
    mixtral = model("mixtral-8x7b")
    engine = IDEAL._replace(routing_independence=share)
    point = whole(mixtral, engine, batch=4.0)
    read = body_read_bytes(mixtral, BF16) + experts * 2 * mixtral.expert_elements

    assert point.weights_s == digits(read / 3.35e12)
    assert point.step_flops == whole(mixtral, IDEAL, batch=4.0).step_flops
    assert point.weight_bytes_per_device == weight_bytes(mixtral, BF16)


def test_prompts_that_are_alike_read_fewer_experts():
    """Memory time of 1024 tokens of Mixtral: 2 of 8 experts instead of all."""
    mixtral = model("mixtral-8x7b")
    device = H100._replace(flops_fp16=1e30)
    alone, alike = (
        whole(mixtral, IDEAL._replace(routing_independence=share), device=device, input_len=1_024.0)
        for share in (1.0, 0.0)
    )

    assert alone.ttft_s - alike.ttft_s == digits(6 * 2 * mixtral.expert_elements / 3.35e12)


# ---------------------------------------------------------------------------- collectives


@pytest.mark.parametrize(("ranks", "copies"), [(32.0, 7.177603848), (1.0, 1.0)])
def test_copies_of_a_token(ranks, copies):
    """8 experts on 32 ranks: R (1 - (1 - 1/R)^k) ranks receive the token."""
    assert copies_per_token(8.0, ranks) == digits(copies)


# --------------------------------------------------------------------- experts on many ranks


def test_fullest_rank():
    """128 of 256 experts on 16 ranks: 8 per rank, plus sqrt(2 8 (1 - 1/2) ln 16)."""
    more = math.sqrt(2 * 8 * 0.5 * math.log(16))

    assert fullest_rank_experts(256.0, 128.0, 16.0) == digits(128 + 16 * more)
    assert fullest_rank_experts(256.0, 255.0, 256.0) == 256.0
    assert fullest_rank_experts(256.0, 128.0, 1.0) == 128.0


def test_load_imbalance():
    """Mean 2 on 256 ranks: 6.70964009 from the square root, plus ln R / 3."""
    waited = load_imbalance(64.0, 8.0, 256.0) * 2.0

    assert waited - math.log(256) / 3 == digits(6.70964009)
    assert load_imbalance(64.0, 8.0, 1.0) == 1.0
    assert load_imbalance(1e-9, 8.0, 256.0) == 256.0


# ---------------------------------------------------------- one test for every kind of spread


def test_groups_split_sequences_and_share_experts():
    """8 groups of one device with 8 sequences each: own cache, and an eighth of the experts."""
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


def test_the_fullest_rank_is_waited_for():
    """Weights of the rank with the most experts, or of the mean without imbalance."""
    even = whole(DEEPSEEK, IDEAL._replace(expert_imbalance=0.0), **GROUPED, ep=8.0)
    uneven = whole(DEEPSEEK, IDEAL._replace(expert_imbalance=1.0), **GROUPED, ep=8.0)
    touched = distinct_experts(256.0, log_passed_over(256.0, 8.0), 64.0)
    more = fullest_rank_experts(256.0, touched, 8.0) - touched

    assert uneven.weights_s - even.weights_s == digits(
        more * expert_read_bytes(DEEPSEEK, FP8) / 8 / 3.35e12
    )


def test_the_fullest_rank_computes_longer():
    """Compute time: tokens of the rank with the most."""
    device = H100._replace(memory_bandwidth=1e30, link_bandwidth=1e30, network_bandwidth=1e30)
    even, uneven = (
        whole(DEEPSEEK, IDEAL._replace(expert_imbalance=flag), device=device, **GROUPED, ep=8.0)
        for flag in (0.0, 1.0)
    )
    routed = 64 * 8 * 2 * DEEPSEEK.expert_elements / 8 / (H100.flops_fp8)

    assert uneven.compute_s - even.compute_s == digits(
        routed * (load_imbalance(64.0, 8.0, 8.0) - 1)
    )
