"""Speculative decoding: draft a few tokens cheaply and verify them in one step."""

from perfcore.records import Deployment, Engine, Model


def accepted_tokens(draft_len: float, acceptance: float, decay: float) -> float:
    """Expected tokens of one step, with that of the verification.

    1 + sum over k of the product over i up to k of a r^(i-1): the draft at position i is accepted
    with probability a r^(i-1) if all before it were. With r = 1 this is (1 - a^(g+1)) / (1 - a),
    Leviathan et al., arXiv:2211.17192, equation 1, for independent acceptance; drafts from drafts
    are accepted less often. Golden values: 3.3616 for a = 0.8, r = 1, g = 4; 1.85 for a = 0.85,
    g = 1 (multi-token prediction). Fitted to mean accepted lengths (InferenceX golden acceptance
    lengths) with a = length at g = 1 less 1, and largest error of all g: DeepSeek-V4 r = 0.755,
    0.7 %; Kimi-K3 0.935, 4.0 %; GLM-5.2 0.945, 0.9 %; MiniMax-M3 0.975, 0.7 %; Qwen3.5 0.955,
    2.0 %.
    """
    tokens = 1.0
    reached = 1.0  # probability that all drafts up to a position are accepted
    for _ in range(int(draft_len)):
        reached *= acceptance
        tokens += reached
        acceptance *= decay
    return tokens


def drafted_here(deployment: Deployment) -> float:
    """Tokens that the devices of the model draft in a step: none, if the draft has its own."""
    return deployment.draft_len if deployment.draft_devices == 0.0 else 0.0


def draft_share(model: Model, engine: Engine, deployment: Deployment) -> float:
    """Layers of the draft relative to those of the model, whose kind they are; 0 without one."""
    return engine.draft_layers / model.layers if drafted_here(deployment) > 0.0 else 0.0
