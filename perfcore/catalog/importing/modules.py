"""Modules of a checkpoint that patterns name: those that a quantisation leaves at 16 bits."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from perfcore.errors import InputError

_PREFIXES: Final = (
    "model.layers.",
    "model.language_model.layers.",
    "language_model.model.layers.",
    "language_model.layers.",
    "backbone.layers.",
    "transformer.h.",
    "layers.",
)
_FFN: Final = ("gate_proj", "up_proj", "down_proj")
_FUSED: Final = {
    "q_proj": ("qkv_proj", "query_key_value", "W_pack", "wqkv"),
    "k_proj": ("qkv_proj", "query_key_value", "W_pack", "wqkv"),
    "v_proj": ("qkv_proj", "query_key_value", "W_pack", "wqkv"),
    "q_a_proj": ("fused_qkv_a_proj_with_mqa", "q_proj"),
    "q_b_proj": ("q_proj",),
    "gate_proj": ("gate_up_proj", "w1"),
    "up_proj": ("gate_up_proj", "w3"),
    "down_proj": ("w2",),
    "in_proj": ("in_proj_qkvz", "in_proj_qkv", "in_proj_z"),
    "o_proj": ("dense", "wo"),
}
_BLOCKS: Final = {
    "attention": ("self_attn", "attention", "attn", "self_attention", "mixer"),
    "recurrent": ("linear_attn", "mixer", "mamba"),
    "ffn": ("mlp", "feed_forward", "ffn"),
    "shared": (
        "mlp.shared_experts",
        "mlp.shared_expert",
        "shared_mlp",
        "mlp.shared_mlp",
        "mixer.shared_experts",
    ),
    "experts beside": ("experts.0", "moe.experts.0"),  # of a dense FFN that is called mlp
    "experts": ("mlp.experts.0", "block_sparse_moe.experts.0", "mixer.experts.0", "experts.0"),
}
_SOME: Final = (0, 1, 2, 5, 10, 20, 40)  # layers
_LONGEST: Final = 300  # characters of a pattern
_MOST_REPEATS: Final = 3  # unbounded repetitions: a search takes a power of them
_PATIENCE: Final = 5.0  # s for all names of a model
_IS_EXPRESSION: Final = re.compile(r"\A(re:|\.\*)|[\\^$(|+{\[]")
_IS_CLASS: Final = re.compile(r"[A-Z]\w*")


class Patterns:
    """Patterns of modules, as loaders understand them.

    A pattern is a regular expression after ``re:``, a glob, or the dotted name of a module, of one
    that contains it, or of its last parts. Names of classes, such as ``Linear``, are left out.

    Parameters
    ----------
    texts
        The patterns in a file.
    place
        Prefix of the error message if they take too long.
    """

    def __init__(self, texts: Iterable[str], place: str) -> None:
        self._place = place
        self._until = time.monotonic() + _PATIENCE
        self._names: set[tuple[str, ...]] = set()
        self._expressions: list[re.Pattern[str]] = []
        self.unread: list[str] = []
        for text in dict.fromkeys(texts):
            if _IS_CLASS.fullmatch(text):
                continue
            if _IS_EXPRESSION.search(text):
                self._add(text, text.removeprefix("re:").removeprefix(".*"))
            elif "*" in text or "?" in text:
                glob = re.escape(text).replace(r"\*", ".*").replace(r"\?", ".")
                self._add(text, rf"\A{glob}(?:\.|\Z)")  # or contains a module that matches
            else:
                self._names.add(tuple(text.strip(".").split(".")))

    def _add(self, text: str, expression: str) -> None:
        """Add an expression, unless it is invalid or could take for ever."""
        repeats = re.findall(r"(?<!\\)[*+]|\{\d*,\}", expression)
        nested = re.search(r"\)[*+{]", expression)
        if len(text) <= _LONGEST and len(repeats) <= _MOST_REPEATS and not nested:
            try:
                self._expressions.append(re.compile(expression))
            except (re.error, RecursionError, OverflowError):
                self.unread.append(text)
        else:
            self.unread.append(text)

    def __bool__(self) -> bool:
        return bool(self._names or self._expressions)

    def match(self, name: str) -> bool:
        """Return whether a pattern names a module, or one that contains it.

        Raises
        ------
        InputError
            The patterns have taken too long.
        """
        words = name.split(".")
        ends = range(1, len(words) + 1)
        if any(tuple(words[start:end]) in self._names for end in ends for start in range(end)):
            return True
        if self._expressions and time.monotonic() > self._until:
            raise InputError(
                f"{self._place}: the patterns of modules that are not quantised take too long; "
                "list fewer, or name the modules"
            )
        return any(expression.search(name) for expression in self._expressions)


def ffn_matrices(patterns: Patterns) -> int:
    """Return how many of an FFN's and experts' matrices in some layers patterns name.

    Without patterns, which is so if only classes are named, it is all of them.
    """
    places = [
        (part, layer, name) for part in ("ffn", "experts") for layer in _SOME for name in _FFN
    ]
    return sum(not patterns or any(map(patterns.match, _spellings(*place))) for place in places)


def kept_share(
    kept: Patterns,
    targets: Patterns,
    part: str,
    layers: Sequence[int],
    sizes: Mapping[str, float],
) -> float:
    """Return the share of a part's weights, in some layers, that stay at 16 bits.

    Parameters
    ----------
    kept
        Patterns of modules that stay.
    targets
        Patterns of modules that are quantised; all if there is none.
    part
        ``attention``, ``recurrent``, ``ffn``, ``shared``, ``experts`` or ``experts beside``.
    sizes
        Weights of each matrix of the part in a layer, by its name.
    """
    whole = len(layers) * sum(sizes.values())
    if not whole or not (kept or targets):
        return 0.0
    stay = 0.0
    for layer in layers:
        for name, size in sizes.items():
            spelled = list(_spellings(part, layer, name))
            out = any(map(kept.match, spelled))
            stay += size * (out or bool(targets and not any(map(targets.match, spelled))))
    return stay / whole


def _spellings(part: str, layer: int, name: str) -> Iterator[str]:
    """Yield the names that a matrix may have in a checkpoint."""
    for prefix in _PREFIXES:
        for block in _BLOCKS[part]:
            for spelled in (name, *_FUSED.get(name, ())):
                yield f"{prefix}{layer}.{block}.{spelled}"
