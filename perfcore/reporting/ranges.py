"""Ranges of findings: the other values of a picture's fixed axes at which its claim holds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from perfcore.errors import InputError
from perfcore.reporting.picture import Picture
from perfcore.reporting.settling import said, spread
from perfcore.reporting.source import Source
from perfcore.reporting.wording import listing
from perfcore.space.axes import Value

MOST_VALUES: Final = 4  # of an axis that are compared, with the one that is held
MOST_ROWS: Final = 50_000_000  # of a source; above, every picture would take minutes


def ranged(source: Source, picture: Picture, draw: Callable[[Source], Picture]) -> Picture:
    """Return a picture whose finding says at which values it is true.

    It names every axis that is held at one of several values, and tells at which other values, one
    changed at a time, its claim is true as well, and at which it is not. ``draw`` makes the picture
    of another source.
    """
    if not picture.held:
        return picture
    held = listing([said(name, value) for name, value in picture.held.items()], 99)
    told = f"{picture.finding}, with {held}"
    if not picture.claim:
        return replace(picture, finding=told)
    if source.size > MOST_ROWS:
        return replace(picture, finding=f"{told}; other values are not compared")
    same: dict[str, list[Value]] = {}
    other: dict[str, list[Value]] = {}
    for name, value in picture.held.items():
        for changed in others(source.axes[name], value):
            try:
                found = draw(source.at({**picture.held, name: changed}))
            except InputError:  # nothing runs there
                continue
            (same if found.claim == picture.claim else other).setdefault(name, []).append(changed)
    if same:
        but = f", but not with {_listed(other, 'or')}," if other else ""
        told += f". It is also true with {_listed(same)}{but} that {picture.claim}"
    elif other:
        told += f". It is not true with {_listed(other, 'or')} that {picture.claim}"
    return replace(picture, finding=told)


def _listed(values: Mapping[str, Sequence[Value]], last: str = "and") -> str:
    """Return values by axis as text: ``b200, batch 1 or 64 and input_len 128 tokens``."""
    parts = []
    for name, listed in values.items():
        each = [said(name, value) for value in listed]
        stem, unit = f"{name} ", " tokens" if each[0].endswith(" tokens") else ""
        if not each[0].startswith(stem):
            parts += each
            continue
        bare = [text.removeprefix(stem).removesuffix(unit) for text in each]
        parts.append(f"{stem}{listing(bare, 99, 'or')}{unit}")
    return listing(parts, 99, last)


def others(values: Sequence[Value], held: Value) -> list[Value]:
    """Return the values that are compared with the one that is held: a few, to both ends."""
    chosen = list(values)[:MOST_VALUES] if isinstance(held, str) else spread(values, MOST_VALUES)
    return [value for value in chosen if value != held][: MOST_VALUES - 1 + (held not in chosen)]
