"""Kinds of mixers, and the matrices, cache and state of their layers.

Symbols in this package: d hidden size, H and K query and KV heads, h and h_v widths of a key and a
value head. MLA: c latent width, q_r query rank, n and r widths of a head's parts without and with
rotary positions, v width of its value. State layers: i inner width, N state, g groups, n_h heads.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Literal, NamedTuple

from perfcore.catalog import linear
from perfcore.catalog.architecture import Architecture
from perfcore.catalog.linear import Linear

Rule = tuple[bool, str]  # whether an entry breaks it, and the message


class Layer(NamedTuple):
    """Matrices, cache, scores and state of one attention or state layer. [elements, FLOP]

    The names are those of ``records.Model``, whose layers read what they keep and what they borrow.
    A cache entry that covers several tokens counts per token, as a fraction.
    """

    into: Linear = Linear()
    out: Linear = Linear()
    other: int = 0  # parameters outside large matrices: norms, biases, convolutions
    attention_io_elements: int = 0
    global_kv_elements: int | Fraction = 0
    global_score_flops: int | Fraction = 0
    global_prefill_score_flops: int | Fraction = 0
    window_kv_elements: int = 0
    global_borrowed_elements: int | Fraction = 0  # of an earlier layer's cache, read here, too
    window_borrowed_elements: int = 0
    window_score_flops: int = 0
    index_elements: int | Fraction = 0
    index_score_flops: int | Fraction = 0
    state_elements: int = 0


@dataclass(frozen=True)
class Mixer:
    """A kind of attention or state layer: everything that the catalogue knows about it.

    Attributes
    ----------
    letter
        Its letter in ``Architecture.layer_types``.
    reach
        Group of layers of ``records.Model`` in which it is counted: attention over the whole
        context ("global") or over a window, a recurrent state, or none.
    beside
        A second group, if a layer has two mixers side by side.
    layer
        Function that returns one layer of an architecture.
    rules
        Function that returns the rules for an architecture with such layers: fields that it needs
        and that must agree.
    kv_heads
        Heads over which tensor parallelism can split the cache; ``None`` for attention with a
        latent cache, which all heads share.
    index_tokens
        Tokens of context that an indexer selects per unit of ``index_topk``.
    """

    letter: str
    title: str
    reach: Literal["global", "window", "state", "none"]
    layer: Callable[[Architecture], Layer]
    rules: Callable[[Architecture], list[Rule]]
    kv_heads: Callable[[Architecture], int] | None = None
    index_tokens: int = 1
    beside: Literal["", "state"] = ""

    @property
    def attends(self) -> bool:
        """Whether the layers are attention, with query heads and a KV cache."""
        return self.reach in {"global", "window"}

    @property
    def latent_cache(self) -> bool:
        """Whether all heads share one latent in the KV cache."""
        return self.attends and self.kv_heads is None


def times(layer: Layer, layers: int) -> Layer:
    """Return the sum over a number of identical layers, in whole elements and FLOP."""
    into, out, *rest = layer
    return Layer(
        linear.times(into, layers),
        linear.times(out, layers),
        *(floor(layers * value) for value in rest),
    )


def total(layers: Iterable[Layer]) -> Layer:
    """Return the sum over several groups of layers."""
    into, out, *rest = zip(*layers, strict=True)
    return Layer(linear.total(into), linear.total(out), *(sum(values) for values in rest))
