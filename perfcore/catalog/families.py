"""Models of any size: architectures that follow the shapes of real families.

The dense family is Llama 3 made continuous, the mixture-of-experts family Qwen3-MoE. A shape is
anchored at models of the catalogue and interpolated between them on logarithmic axes. At the size
of an anchor, the family therefore has the anchor's depth and its KV cache per token. The width
follows from the size, and the FFN is rounded last, so that the size is met.

Left out: differences between families of the same size. The dense rule is within 12 % of the KV
cache of Mistral models and of Qwen3 from 8B on, but Qwen2.5-7B has half of it (4 KV heads). The
mixture-of-experts rule describes Qwen3 only; models with latent attention have a third of its KV
cache, gpt-oss a quarter.
"""

import math
from collections.abc import Callable
from itertools import pairwise, product

from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.parameters import active_parameter_count, parameter_count, routed_expert
from perfcore.errors import InputError

SMALLEST, LARGEST = 1e8, 1e13  # parameters

# (parameters, layers). 124M: GPT-2 and OPT; then Llama 3.2 1B and 3B, Llama 3 8B and 70B,
# Llama 3.1 405B (Llama Team, arXiv:2407.21783, table 3).
_DENSE_LAYERS = (
    (0.124e9, 12.0),
    (1.236e9, 16.0),
    (3.213e9, 28.0),
    (8.030e9, 32.0),
    (70.55e9, 80.0),
    (405.85e9, 126.0),
)
# OLMoE 7B, Qwen1.5-MoE, Qwen3-30B-A3B and Qwen3-235B-A22B (Qwen Team, arXiv:2505.09388, table 2);
# beyond that, depth no longer grows: Kimi K3 has 93 layers at 2.8e12.
_MOE_LAYERS = (
    (6.919e9, 16.0),
    (14.32e9, 24.0),
    (30.53e9, 48.0),
    (235.1e9, 94.0),
    (2.78e12, 94.0),
)
# (parameters, share active per token): OLMoE, Qwen3-30B-A3B, Qwen3-235B-A22B,
# Qwen3-Coder-480B-A35B, Kimi K2, Kimi K3.
_MOE_ACTIVE_SHARE = (
    (6.919e9, 0.170),
    (30.53e9, 0.0996),
    (235.1e9, 0.0917),
    (480.2e9, 0.0719),
    (1026e9, 0.0309),
    (2.78e12, 0.0375),
)
_MULTIPLE = 128  # of widths, as tensor cores and tensor parallelism require
_SMALL = 0.5e9  # below, vocabularies are small (GPT-2, SmolLM2)
_TIED_BELOW = 5e9  # Llama 3.2 and Qwen3 share the embedding with the output up to 4B
_NARROW_HEADS_BELOW = 2e9  # heads of 64 (Llama 3.2 1B, Qwen2.5 0.5B, SmolLM2), 128 above


def dense_model(params: float) -> ModelEntry:
    """Return a Llama-3-like model of about this many parameters, within 3 %.

    Grouped-query attention with 8 KV heads, an FFN about 3.5 times as wide as the model
    (Llama 3 8B and 70B: 3.5; 405B: 3.25), a vocabulary of 128,256, layers between the anchors.

    Parameters
    ----------
    params
        All parameters, 1e8 to 1e13; need not be an integer.

    Raises
    ------
    InputError
        The size is out of range.
    """
    _check("dense", params)
    layers = round(_interpolate(_DENSE_LAYERS, params))
    head_dim = 64 if params < _NARROW_HEADS_BELOW else 128
    vocab = 49_152 if params < _SMALL else 128_256
    tied = params < _TIED_BELOW
    embeddings = vocab * (1 if tied else 2)
    width = _width(params, layers * (2 + 3 * 3.5), layers * 2 * 8 * head_dim + embeddings)

    def build(ffn: int) -> ModelEntry:
        return ModelEntry(
            name=f"dense-{_size(params)}",
            title=f"Dense transformer, {_size(params)} parameters",
            source="shape rule: Llama 3 (arXiv:2407.21783, table 3) made continuous",
            hypothetical=True,
            hidden_size=width,
            num_hidden_layers=layers,
            vocab_size=vocab,
            tie_word_embeddings=tied,
            max_position_embeddings=131_072,
            num_attention_heads=_multiple(width / head_dim, 8),
            num_key_value_heads=8,
            head_dim=head_dim,
            intermediate_size=ffn,
        )

    thin = build(_MULTIPLE)
    missing = (params - parameter_count(thin)) / (3 * width * layers)
    return build(_multiple(_MULTIPLE + missing, _MULTIPLE if width >= 1024 else 32))


def moe_model(params: float, active: float | None = None) -> ModelEntry:
    """Return a Qwen3-like mixture of experts of about this many parameters, within 3 %.

    Grouped-query attention has 4 KV heads and is twice as wide as the model. Every layer has 8
    active experts of about 3/8 of the model's width, no shared expert, and as many experts as the
    size requires (Qwen3-30B-A3B and 235B-A22B: 128). Depth follows from ``params``.

    Parameters
    ----------
    params
        All parameters, 1e8 to 1e13.
    active
        Active parameters per token, output head included; at least 1 % and at most 60 % of
        ``params``. Default: the share of Qwen3 models and, from 1e12 on, of Kimi K2.

    Raises
    ------
    InputError
        A size is out of range.
    """
    _check("moe", params)
    if active is None:
        active = params * _interpolate(_MOE_ACTIVE_SHARE, params, beyond=0.0)
    if not 0.01 * params <= active <= 0.6 * params:
        raise InputError(
            f"moe: active = {active:.4g} of params = {params:.4g}; give 1 % to 60 % of params"
        )
    name = f"moe-{_size(params)}-A{_size(active)}"
    layers = round(_interpolate(_MOE_LAYERS, params))
    small = params < _SMALL
    vocab = 49_152 if small else 151_936
    head_dim = 64 if params < _NARROW_HEADS_BELOW else 128
    ideal = _width(active, layers * (4 + 9), layers * 2 * 4 * head_dim + vocab)

    def build(width: int, ffn: int, experts: int) -> ModelEntry:
        return ModelEntry(
            name=name,
            title=f"Mixture of experts, {_size(params)} parameters, {_size(active)} active",
            source="shape rule: Qwen3-MoE (arXiv:2505.09388, table 2) made continuous",
            hypothetical=True,
            hidden_size=width,
            num_hidden_layers=layers,
            vocab_size=vocab,
            tie_word_embeddings=small,
            max_position_embeddings=131_072,
            num_attention_heads=_multiple(2 * width / head_dim, 8),
            num_key_value_heads=4,
            head_dim=head_dim,
            qk_norm="head-dim",
            num_experts=experts,
            num_experts_per_tok=8,
            moe_intermediate_size=ffn,
        )

    entry = _best_mixture(build, ideal, params, active)
    got = active_parameter_count(entry)
    if abs(got / active - 1) > 0.1:
        raise InputError(
            f"moe: no shape of {_size(params)} parameters has {_size(active)} active"
            f" (nearest: {_size(got)}); give another active size"
        )
    return entry


def _best_mixture(
    build: Callable[[int, int, int], ModelEntry], width: int, params: float, active: float
) -> ModelEntry:
    """Return the candidate nearest to both sizes; the total counts twice as much."""
    step = _MULTIPLE if width >= 1024 else 32
    widths = [width + shift * _MULTIPLE for shift in (0, -1, 1) if width + shift * _MULTIPLE > 0]
    best, least = None, math.inf
    for candidate, shift in product(widths, (0, -1, 1)):
        thin = build(candidate, step, 8)
        dense = active_parameter_count(thin) - 8 * routed_expert(thin).elements
        wanted = (active - dense) / 8 / (routed_expert(thin).elements / step)
        ffn = max(_multiple(wanted, step) + shift * step, step)
        one = build(candidate, ffn, 8)
        each = routed_expert(one).elements + one.num_hidden_layers * candidate  # with its router
        experts = 8 + (params - parameter_count(one)) / each
        entry = build(candidate, ffn, max(_multiple(experts, 8 if experts >= 128 else 1), 9))
        error = 2 * abs(parameter_count(entry) / params - 1)
        error += abs(active_parameter_count(entry) / active - 1)
        if error < least:
            best, least = entry, error
    if best is None:
        raise InputError(f"moe: params = {params:.4g}: no shape found; ask for a larger model")
    return best


def _check(family: str, params: float) -> None:
    if not SMALLEST <= params <= LARGEST:
        raise InputError(
            f"{family}: params = {params:.4g} is out of range; give {SMALLEST:.0e} to {LARGEST:.0e}"
        )


def _interpolate(
    anchors: tuple[tuple[float, float], ...], size: float, *, beyond: float = 0.26
) -> float:
    """Return the value at a size, on logarithmic axes.

    Outside the anchors, the value grows with the size to the power ``beyond``. Between Llama 3 70B
    and 405B, depth grows with the power 0.26.
    """
    for (below, low), (above, high) in pairwise(anchors):
        if below <= size <= above:
            power = math.log(high / low) / math.log(above / below)
            return low * math.pow(size / below, power)
    nearest, value = anchors[0] if size < anchors[0][0] else anchors[-1]
    return value * math.pow(size / nearest, beyond)


def _width(size: float, square: float, linear: float) -> int:
    """Return the hidden size d for which square d^2 + linear d equals the size."""
    exact = (math.sqrt(linear**2 + 4 * square * size) - linear) / (2 * square)
    return _multiple(exact, _MULTIPLE)


def _multiple(value: float, of: int) -> int:
    """Return the nearest positive multiple."""
    return max(round(value / of), 1) * of


def _size(params: float) -> str:
    """Return a size as written in names: 150M, 70B, 1.5T."""
    for unit, letter in ((1e12, "T"), (1e9, "B")):
        if params >= unit * 0.9995:
            return f"{params / unit:.4g}{letter}"
    return f"{params / 1e6:.4g}M"
