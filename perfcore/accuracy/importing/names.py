"""Translation of benchmarks' names of models and devices to the catalogue's names.

Names of model files combine the model, its tuning and its quantisation. Drivers report the title
of a device, with more or fewer words. Only unambiguous names are recognised; for others, the user
gives the column.
"""

import re
from typing import Final

from perfcore.catalog import loader
from perfcore.catalog.names import normalise
from perfcore.catalog.parameters import parameter_count
from perfcore.catalog.printed import QUANTISED, SUFFIX, words

_NARROW: Final = re.compile(rf"[-_./](?:{QUANTISED})(?:$|[-_.])", re.IGNORECASE)
_LONGEST: Final = 1_000  # characters of a name; longer texts are not names
_SAME_SIZE: Final = 0.02  # a file's parameter count against the catalogue's
_WIDE: Final = ("bf16", "fp16", "fp32")

_MOBILE: Final = re.compile(r"laptop|mobile|max-q", re.IGNORECASE)


class Names:
    """Lookup of catalogue names by name, alias and title, read once."""

    def __init__(self) -> None:
        self._by_kind: dict[str, dict[str, str]] = {}

    def find(self, kind: str, text: str) -> str:
        """Return the entry with a text as its name or alias, or ``""``; files are not read."""
        if kind not in self._by_kind:
            spelled = loader.aliases(kind) | {name: name for name in loader.names(kind)}
            self._by_kind[kind] = {normalise(key): name for key, name in spelled.items()}
        return self._by_kind[kind].get(normalise(text), "")

    def model(self, text: str, parameters: float | None = None) -> str:
        """Return the model of an identifier or file path, or ``""``.

        If the number of parameters is known, models of another size do not match, and the directory
        of a file may name the model as well.
        """
        if len(text) > _LONGEST:
            return ""
        parts = text.replace("\\", "/").rstrip("/").split("/")
        candidates = [text, parts[-1], parts[-1].partition("_")[2]]
        if parameters is not None:
            candidates += parts[-2:-1]
        for candidate in candidates:
            name = self._without_suffixes(candidate)
            if name and (parameters is None or _is_size(name, parameters)):
                return name
        return ""

    def _without_suffixes(self, text: str) -> str:
        while text:
            name = self.find("model", text)
            shorter = SUFFIX.sub("", text)
            if name or shorter == text:
                return name
            text = shorter
        return ""

    def device(self, text: str) -> str:
        """Return the device with a name reported by a driver, or ``""``."""
        return loader.printed_device(text) if len(text) <= _LONGEST else ""

    def near_device(self, text: str) -> str:
        """Return the device that shares the most words with a name, ``""`` if there is none.

        A word with a digit must be shared. Mobile chips are other chips under the same name.
        """
        if _MOBILE.search(text):
            return ""
        said = set(words(text[:_LONGEST]))
        shared = {
            name: sum(len(word) for word in said & set(spelling))
            for spelling, name in loader.spellings().items()
            if any(any(map(str.isdigit, word)) for word in said & set(spelling))
        }
        return max(shared, key=lambda name: shared[name], default="")

    def doubt(self, text: str) -> dict[str, str]:
        """Return why 16-bit weights must not be assumed for a model with this name.

        The result is empty, or has the column ``weight_format``.
        """
        if _NARROW.search(text[-_LONGEST:]):
            return {"weight_format": ", but the model's name suggests one"}
        name = self.model(text)
        if name and native_format(name):
            return {"weight_format": ", and the model is published in a narrower one"}
        return {}


def format_in(text: str) -> str:
    """Return the weight format at the end of a model's name, ``""`` if it names none."""
    text = text[-_LONGEST:].removesuffix(".gguf")
    found = re.search(rf"[-_.:]({QUANTISED})$", text, re.IGNORECASE)
    name = found[1].lower() if found else ""
    return name if name in loader.names("weight_format") else ""


def native_format(model: str) -> str:
    """Return the format in which a model is published, ``""`` if its weights have 16 or 32 bits."""
    native = loader.load_model(model).native_dtype
    if native.startswith(_WIDE):
        return ""
    formats = loader.names("weight_format")
    words = re.findall(r"[a-z]+\d+\w*", native)
    return next((word for word in reversed(words) if word in formats), "int4-g32")


def _is_size(name: str, parameters: float) -> bool:
    known = parameter_count(loader.load_model(name))
    return abs(parameters - known) <= _SAME_SIZE * known
