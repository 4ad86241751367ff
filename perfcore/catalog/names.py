"""Names of entries: how they are written and compared, and which are files of others."""

import re

HUB = "hf:"  # begins the name of a model on the Hugging Face hub

_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]*")


def normalise(name: str) -> str:
    """Return a name as it is compared: lower case, with ``-`` for blanks and underscores."""
    return re.sub(r"[\s_]+", "-", name.strip().lower())


def is_name(text: str) -> bool:
    """Whether an entry may be called so."""
    return bool(_NAME.fullmatch(text))


def is_foreign(name: str) -> bool:
    """Whether a model's name says that it stands in a file of another project's format."""
    lowered = name.lower()
    return (
        lowered.startswith(HUB)
        or lowered.endswith((".json", ".gguf"))
        or name.startswith(("./", "../", "/", "~", ".\\"))
        or name in {".", ".."}
    )
