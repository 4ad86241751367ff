"""Paths beside the mixers and FFNs of a model, which every token passes: those of Gemma 3n and 4.

Symbols: d hidden size, L layers, p width of a layer's embedding, n streams, r rank. The shapes are
those of ``modeling_gemma3n.py`` and ``modeling_gemma4.py`` in Hugging Face ``transformers``.
"""

from typing import NamedTuple

from perfcore.catalog.architecture import Architecture
from perfcore.catalog.linear import Linear, matrices, times, total


class SidePaths(NamedTuple):
    """Sum over the layers of a model. [elements]"""

    into: Linear = Linear()
    out: Linear = Linear()
    other: int = 0  # parameters outside large matrices


def side_paths(entry: Architecture) -> SidePaths:
    """Return the sum over per-layer embeddings, learned residuals and alternating updates."""
    kinds = (per_layer_embeddings(entry), learned_residuals(entry), alternating_updates(entry))
    paths = [path for path in kinds if path.other]
    if not paths:
        return SidePaths()
    return SidePaths(
        total(path.into for path in paths),
        total(path.out for path in paths),
        sum(path.other for path in paths),
    )


def per_layer_embeddings(entry: Architecture) -> SidePaths:
    """Per-layer embeddings: d L p for all layers, a gate d p, a projection p d and norms.

    The table, from which a token reads one row of L p, is in ``parameters.input_embedding``.
    """
    d, layers, p = entry.hidden_size, entry.num_hidden_layers, entry.hidden_size_per_layer_input
    if not p:
        return SidePaths()
    return SidePaths(
        total([matrices((d, layers * p)), times(matrices((d, p)), layers)]),
        times(matrices((p, d)), layers),
        layers * d + p,
    )


def learned_residuals(entry: Architecture) -> SidePaths:
    """LAuReL, a low-rank residual beside each mixer: d r + r d, and a norm.

    Menghani, Kumar and Kumar, arXiv:2411.07501.
    """
    d, layers, rank = entry.hidden_size, entry.num_hidden_layers, entry.laurel_rank
    if not rank:
        return SidePaths()
    into, out = matrices((d, rank)), matrices((rank, d))
    return SidePaths(times(into, layers), times(out, layers), layers * d)


def alternating_updates(entry: Architecture) -> SidePaths:
    """AltUp: n - 1 matrices d d before and after all layers; small matrices of n streams in each.

    Baykal et al., arXiv:2301.13310. The arithmetic on n streams between layers is left out.
    """
    d, n = entry.hidden_size, entry.altup_num_inputs
    if n < 2:
        return SidePaths()
    streams = matrices(*((d, d),) * (n - 1))
    mixing = d * n + n * n + n * n * n  # router, corrections and predictions
    return SidePaths(streams, streams, entry.num_hidden_layers * (mixing + 2 * d))
