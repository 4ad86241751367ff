"""Suggestions for misspelled words."""

import difflib
import re
from collections.abc import Iterable
from typing import Final

from perfcore.errors import show

MOST_LISTED: Final = 60
FEW_LISTED: Final = 12


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Return the candidate that a misspelled word most likely means, or ``""`` if none is near."""
    folded: dict[str, str] = {}
    for candidate in candidates:
        folded.setdefault(_fold(candidate), candidate)
    target = _fold(word)
    near = difflib.get_close_matches(target, folded, n=1, cutoff=0.6)
    if not near and len(target) >= 2:
        near = sorted((name for name in folded if name.startswith(target)), key=len)[:1]
    return folded[near[0]] if near else ""


def suggest(word: str, candidates: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest candidate, or ``""`` if none is near."""
    near = nearest(word, candidates)
    return f"; did you mean {near!r}?" if near else ""


def unknown(noun: str, word: str, known: Iterable[str], meant: str = "") -> str:
    """Return the message for an unknown name, with the nearest known name or a list.

    ``meant`` is the name that the word stands for elsewhere, if that is known; a long list is cut.
    """
    listed = list(known)
    found = f"; did you mean {meant!r}?" if meant else suggest(word, listed)
    if not found:
        shown = listed if len(listed) <= MOST_LISTED else listed[:FEW_LISTED]
        more = len(listed) - len(shown)
        found = f"; use one of: {', '.join(shown)}{f' and {more} more' if more else ''}"
    return f"unknown {noun} {show(word)}{found}"


def _fold(name: str) -> str:
    return re.sub(r"[\s_]+", "-", name.strip().casefold())
