"""Speculative decoding, by hand."""

from perfcore.physics.operators import body_read_bytes
from perfcore.physics.speculation import accepted_tokens
from physics.worked import BF16, IDEAL, LLAMA, digits, model, whole


def test_accepted_tokens():
    """(1 - a^(g+1)) / (1 - a): 3.3616 for 0.8 and 4, 1.85 for 0.85 and 1."""
    assert accepted_tokens(4.0, 0.8) == digits(3.3616)
    assert accepted_tokens(1.0, 0.85) == digits(1.85)
    assert accepted_tokens(4.0, 1.0) == 5.0
    assert accepted_tokens(0.0, 0.8) == 1.0


def test_speculation_where_verification_is_free():
    """Acceptance 0.8, 4 drafts of a tenth of a step: 3.3616 / 1.4 = 2.401142857 times as fast."""
    engine = IDEAL._replace(draft_layers=8.0)
    headless = LLAMA._replace(lm_head_elements=0.0)
    plain = whole(headless, engine)
    drafted = whole(headless, engine, draft_len=4.0, acceptance=0.8)

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
