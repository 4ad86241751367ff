"""State-space layers: Mamba, versions 1 and 2."""

from typing import Final

from perfcore.catalog.architecture import Architecture
from perfcore.catalog.linear import matrices
from perfcore.catalog.mixers.mixer import Layer, Mixer, Rule


def mamba(entry: Architecture) -> Layer:
    """Mamba, in the version that the entry's fields imply."""
    return mamba_2(entry) if entry.mamba_num_heads else mamba_1(entry)


def mamba_1(entry: Architecture) -> Layer:
    """Mamba: 2 d i + i (R + 2N) + R i + i d, and the convolution, dt, A and D parameters.

    Gu and Dao, arXiv:2312.00752. Inner norms are Jamba's.
    """
    d, inner = entry.hidden_size, entry.mamba_intermediate_size
    rank, state = entry.time_step_rank, entry.ssm_state_size
    small = inner * (entry.conv_kernel + 1) + inner + inner * state + inner
    return Layer(
        matrices((d, 2 * inner), (inner, rank + 2 * state), (rank, inner)),
        matrices((inner, d)),
        small + (rank + 2 * state if entry.mamba_inner_norms else 0),
        state_elements=_state(entry),
    )


def mamba_2(entry: Architecture) -> Layer:
    """Mamba-2: d(2 i + 2 g N + n_h) + i d, and the convolution, dt, A, D and a norm.

    Dao and Gu, arXiv:2405.21060.
    """
    d, heads = entry.hidden_size, entry.mamba_num_heads
    inner = heads * entry.mamba_head_dim
    convolved = inner + 2 * entry.n_groups * entry.ssm_state_size
    return Layer(
        matrices((d, inner + convolved + heads)),
        matrices((inner, d)),
        convolved * (entry.conv_kernel + 1) + 3 * heads + (inner if entry.mamba_norm else 0),
        state_elements=_state(entry),
    )


def _state(entry: Architecture) -> int:
    """Return the state: i N, and the tail of the convolution."""
    inner = entry.mamba_num_heads * entry.mamba_head_dim or entry.mamba_intermediate_size
    convolved = inner + 2 * entry.n_groups * entry.ssm_state_size
    return inner * entry.ssm_state_size + convolved * max(entry.conv_kernel - 1, 0)


def _rules(entry: Architecture) -> list[Rule]:
    first = entry.mamba_intermediate_size and entry.time_step_rank
    second = entry.mamba_num_heads and entry.mamba_head_dim and entry.n_groups
    return [
        (
            not (entry.ssm_state_size and (first or second)),
            (
                "Mamba layers need ssm_state_size and either mamba_num_heads, mamba_head_dim and"
                " n_groups or mamba_intermediate_size and time_step_rank"
            ),
        )
    ]


STATE_SPACE: Final = (
    Mixer(
        letter="M",
        title="Mamba, version 1 or (with mamba_num_heads) 2",
        reach="state",
        layer=mamba,
        rules=_rules,
    ),
)
