"""Speculative decoding: draft a few tokens cheaply and verify them in one step."""


def accepted_tokens(draft_len: float, acceptance: float) -> float:
    """Expected tokens of one step, with that of the verification: (1 - a^(g+1)) / (1 - a).

    Leviathan et al., arXiv:2211.17192, equation 1, for independent acceptance. Golden values:
    3.3616 for a = 0.8, g = 4; 1.85 for a = 0.85, g = 1 (multi-token prediction).
    """
    if acceptance >= 1.0:
        return draft_len + 1.0
    rejected: float = acceptance ** (draft_len + 1.0)
    return (1.0 - rejected) / (1.0 - acceptance)
