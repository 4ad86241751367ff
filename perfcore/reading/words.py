"""Suggestions for misspelled words."""

import difflib
import re
from collections.abc import Iterable

from perfcore.errors import show


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


def unknown(noun: str, word: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name, with the nearest known name or a list of all."""
    listed = list(known)
    return f"unknown {noun} {show(word)}" + (
        suggest(word, listed) or f"; use one of: {', '.join(listed)}"
    )


def _fold(name: str) -> str:
    return re.sub(r"[\s_]+", "-", name.strip().casefold())
