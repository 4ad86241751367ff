"""Names of entries: their spelling, their comparison, and names that refer to foreign files."""

import re
from functools import lru_cache

HUB = "hf:"  # prefix of a model on the Hugging Face hub

_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]*")


@lru_cache(10_000)
def normalise(name: str) -> str:
    """Return a name in the form used for comparison: lower case, ``-`` for blanks and ``_``."""
    return re.sub(r"[\s_]+", "-", name.strip().lower())


def is_name(text: str) -> bool:
    """Return whether a text is valid as the name of an entry."""
    return bool(_NAME.fullmatch(text))


def is_foreign(name: str) -> bool:
    """Return whether the name of a model refers to a file in another project's format."""
    lowered = name.lower()
    return (
        lowered.startswith(HUB)
        or lowered.endswith((".json", ".gguf"))
        or name.startswith(("./", "../", "/", "~", ".\\"))
        or name in {".", ".."}
    )
