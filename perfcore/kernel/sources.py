"""Hash of the sources that decide results: records, formulas and loops."""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

SOURCES: Final = ("records.py", "kernel/**/*.py", "physics/**/*.py", "traffic/steps/**/*.py")


@cache
def source_hash() -> str:
    """Return the hash of all sources that determine results."""
    return hash_of(SOURCES)


def hash_of(patterns: Iterable[str]) -> str:
    """Return a hash of the package's files that match patterns."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(path for pattern in patterns for path in root.glob(pattern)):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
