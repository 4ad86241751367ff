"""Speculative decoding, by hand."""

import pytest

from perfcore.physics.operators import body_read_bytes
from perfcore.physics.parallelism import lay_out
from perfcore.physics.sizing import draft_bytes
from perfcore.physics.speculation import accepted_tokens, draft_share, drafted_here
from perfcore.physics.weights import layer_bytes, weight_bytes
from perfcore.records import Deployment
from physics.worked import (
    BF16,
    ENGINE,
    H100,
    IDEAL,
    LLAMA,
    deployed,
    digits,
    model,
    whole,
)


def test_accepted_tokens():
    """(1 - a^(g+1)) / (1 - a): 3.3616 for 0.8 and 4, 1.85 for 0.85 and 1."""
    assert accepted_tokens(4.0, 0.8, 1.0) == digits(3.3616)
    assert accepted_tokens(1.0, 0.85, 0.5) == digits(1.85)
    assert accepted_tokens(4.0, 1.0, 1.0) == 5.0
    assert accepted_tokens(0.0, 0.8, 0.9) == 1.0
    assert accepted_tokens(2.0, 0.8, 0.5) == digits(1 + 0.8 + 0.8 * 0.4)


# InferenceX golden acceptance lengths: mean accepted lengths for 1, 2, ... drafts, and the decay.
LENGTHS = {
    "DeepSeek-V4": (0.755, [1.79, 2.27, 2.49, 2.54, 2.55]),
    "Kimi-K3": (0.935, [1.84, 2.45, 2.87, 3.22, 3.44, 3.54, 3.78, 3.88]),
    "GLM-5.2": (0.945, [1.84, 2.50, 2.99, 3.33, 3.61]),
    "MiniMax-M3": (0.975, [1.78, 2.38, 2.83, 3.11]),
    "Qwen3.5": (0.955, [1.93, 2.73, 3.39, 3.97, 4.41, 4.80, 5.04, 5.21]),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_accepted_lengths_of_deep_drafts(name):
    """Acceptance of the first draft as measured, and one decay for all others."""
    decay, lengths = LENGTHS[name]
    for draft_len, length in enumerate(lengths, start=1):
        expected = accepted_tokens(float(draft_len), lengths[0] - 1.0, decay)
        assert expected == pytest.approx(length, rel=0.05)


def test_drafts_take_memory():
    """A draft of one layer: 1/80 of Llama-3-70B's layers and of its cache."""
    plain = whole(LLAMA, ENGINE, batch=8.0)
    drafted = whole(LLAMA, ENGINE._replace(draft_layers=1.0), batch=8.0, draft_len=3.0)
    layers = weight_bytes(LLAMA, BF16) - 2 * 2 * LLAMA.lm_head_elements
    layout = lay_out(LLAMA, H100, deployed(draft_len=3.0))

    assert layer_bytes(LLAMA, BF16) == digits(layers)
    assert draft_bytes(LLAMA, BF16, layout, 1 / 80) == digits(layers / 80)
    assert draft_share(LLAMA, IDEAL._replace(draft_layers=1.0), deployed(draft_len=3.0)) == 1 / 80
    assert draft_share(LLAMA, ENGINE, deployed()) == 0.0
    added = drafted.weight_bytes_per_device - plain.weight_bytes_per_device
    assert added == digits(layers / 80)
    assert drafted.kv_bytes_per_device == digits(plain.kv_bytes_per_device * 81 / 80)
    assert drafted.max_batch <= plain.max_batch


def test_speculation_where_verification_is_free():
    """Acceptance 0.8, 4 drafts of a tenth of a step: 3.3616 / 1.4 = 2.401142857 times as fast."""
    engine = IDEAL._replace(draft_layers=8.0)
    headless = LLAMA._replace(lm_head_elements=0.0)
    plain = whole(headless, engine)
    drafted = whole(headless, engine, draft_len=4.0, acceptance=0.8, acceptance_decay=1.0)

    assert plain.weights_s / drafted.weights_s == digits(2.401142857)


def test_verification_computes_for_every_draft_and_reads_the_cache_once():
    """g + 1 tokens per step: FLOP of all, one read of weights and of the cache."""
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
    """Mixtral: one sequence reads 2 of 8 experts, or 5.46875 with 3 rejected drafts."""
    mixtral = model("mixtral-8x7b")
    engine = IDEAL._replace(draft_layers=0.0)
    plain = whole(mixtral, engine)
    refused = whole(mixtral, engine, draft_len=3.0)
    head = 3 * 2 * mixtral.lm_head_elements
    experts = (5.46875 - 2) * mixtral.expert_elements * 2

    assert refused.weights_s - plain.weights_s == digits((experts + head) / 3.35e12)


def test_drafted_here():
    """Four tokens a step, which devices of a draft's own draft themselves."""
    assert drafted_here(Deployment(draft_len=4.0)) == 4.0
    assert drafted_here(Deployment(draft_len=4.0, draft_devices=1.0)) == 0.0
