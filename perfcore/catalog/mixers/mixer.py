"""The kind of a mixer, and what one of its layers has.

Symbols in this room: d hidden size, H and K query and KV heads, h and h_v widths of a key and a
value head; of MLA c latent width, q_r query rank, n, r and v widths of a head without and with
rotation and of its value; of state layers i inner width, N state, g groups, n_h heads.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Literal, NamedTuple

from perfcore.catalog import linear
from perfcore.catalog.architecture import Architecture
from perfcore.catalog.linear import Linear

Rule = tuple[bool, str]  # whether an entry breaks it, and what to say then


class Layer(NamedTuple):
    """Matrices, cache, scores and state of one attention or state layer. [elements, FLOP]

    The names are those of ``records.Model``. A token's share of an entry that a cache keeps for
    several tokens is a fraction.
    """

    into: Linear = Linear()
    out: Linear = Linear()
    other: int = 0  # parameters that are in no large matrix: norms, biases, convolutions
    attention_io_elements: int = 0
    global_kv_elements: int | Fraction = 0
    global_score_flops: int | Fraction = 0
    global_prefill_score_flops: int | Fraction = 0
    window_kv_elements: int = 0
    window_score_flops: int = 0
    index_elements: int | Fraction = 0
    index_score_flops: int | Fraction = 0
    state_elements: int = 0


@dataclass(frozen=True)
class Mixer:
    """The kind of an attention or state layer: everything that the catalogue knows of it.

    Attributes
    ----------
    letter
        Its letter in ``Architecture.layer_types``.
    reach
        The layers of ``records.Model`` it is counted with: attention over the whole context
        ("global") or over a window, a recurrent state, or none of them.
    layer
        What one layer of an architecture has.
    rules
        Which fields an architecture with such layers needs, and how they must fit together.
    kv_heads
        Heads over which tensor parallelism can split the cache; without it, attention has a
        latent cache, which all heads share.
    index_tokens
        Tokens of context that an indexer selects for each one of ``index_topk``.
    """

    letter: str
    title: str
    reach: Literal["global", "window", "state", "none"]
    layer: Callable[[Architecture], Layer]
    rules: Callable[[Architecture], list[Rule]]
    kv_heads: Callable[[Architecture], int] | None = None
    index_tokens: int = 1

    @property
    def attends(self) -> bool:
        """Whether it is attention, with query heads and a KV cache."""
        return self.reach in {"global", "window"}

    @property
    def latent_cache(self) -> bool:
        """Whether all heads share one latent in the KV cache."""
        return self.attends and self.kv_heads is None


def times(layer: Layer, layers: int) -> Layer:
    """Return so many equal layers together, in whole elements and FLOP."""
    into, out, *rest = layer
    return Layer(
        linear.times(into, layers),
        linear.times(out, layers),
        *(floor(layers * value) for value in rest),
    )


def total(layers: Iterable[Layer]) -> Layer:
    """Return several groups of layers together."""
    into, out, *rest = zip(*layers, strict=True)
    return Layer(linear.total(into), linear.total(out), *(sum(values) for values in rest))
