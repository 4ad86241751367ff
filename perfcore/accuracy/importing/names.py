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

_QUANTISED: Final = (
    r"fp8|fp4|nvfp4|mxfp4|awq|gptq|int[48]|w\d+a\d+|bnb|[48]bit|(?:ud-)?i?q\d(?:_\w+)?"
)
_SUFFIX: Final = re.compile(
    rf"[-_.](?:gguf|\d{{5}}-of-\d{{5}}|{_QUANTISED}|b?f16|fp16|f32|quantized|dynamic|block|kv|"
    r"i1|instruct|chat|it|base|hf|2[3-6](?:0[1-9]|1[0-2]))$",
    re.IGNORECASE,
)
_NARROW: Final = re.compile(rf"[-_./](?:{_QUANTISED})(?:$|[-_.])", re.IGNORECASE)
_LONGEST: Final = 1_000  # characters of a name; longer texts are not names
_SAME_SIZE: Final = 0.02  # a file's parameter count against the catalogue's
_WIDE: Final = ("bf16", "fp16", "fp32")

# Parentheses, trade marks and core counts; then words that some drivers omit.
_ASIDE: Final = re.compile(r"\([^)]*\)|\b\d+-core\b", re.IGNORECASE)
_NOISE: Final = frozenset(
    [
        *("nvidia", "amd", "intel", "apple", "aws", "google", "huawei", "qualcomm", "microsoft"),
        *("tesla", "geforce", "radeon", "instinct", "generation", "edition", "ed", "processor"),
        *("cpu", "gpu", "graphics", "hbm3"),
    ]
)

# Names that drivers and result files print, with words that no title in the catalogue has.
_PRINTED: Final = {
    "radeon 8060s graphics": "strix-halo",
    "amd ryzen ai max+ 395 w/ radeon 8060s": "strix-halo",
    "amd ryzen ai max+ 395": "strix-halo",
    "nvidia rtx pro 6000 blackwell workstation edition": "rtx-pro-6000",
    "nvidia rtx pro 6000 blackwell": "rtx-pro-6000",
    "nvidia gh200 480gb": "gh200-96gb",  # 480 GB is the memory of its CPU
    "nvidia gh200 144g hbm3e": "gh200-144gb",
    "amd instinct mi300x vf": "mi300x",
    "amd instinct mi300x oam": "mi300x",
    "amd instinct mi300x hf": "mi300x",
    "amd instinct mi325x oam": "mi325x",
    "amd instinct mi325x vf": "mi325x",
    "amd instinct mi350x oam": "mi350x",
    "amd instinct mi355x oam": "mi355x",
    "amd instinct mi355x vf": "mi355x",
    "amd instinct mi250x / mi250": "mi250x",
    "amd instinct mi250x/mi250": "mi250x",
    "nvidia b200 180gb": "b200",
    "nvidia b300 sxm6 ac": "b300",
    "nvidia b300": "b300",
    "nvidia h100 sxm5 80gb": "h100-sxm",
    "nvidia h100 80gb": "h100-sxm",
    "nvidia h100 nvl 94gb": "h100-nvl",
    "nvidia h200 141gb": "h200-sxm",
    "nvidia h200 sxm5 141gb": "h200-sxm",
    "nvidia a100 sxm 80gb": "a100-80gb-sxm",
    "nvidia a100 80gb": "a100-80gb-sxm",
    "nvidia a10g 24gb": "a10g",
    "nvidia l40s 48gb": "l40s",
    "nvidia jetson agx orin": "jetson-agx-orin-64gb",
    "nvidia jetson agx thor": "jetson-agx-thor",
    "nvidia dgx spark": "dgx-spark",
    "nvidia graphics device gb10": "dgx-spark",
}
_MOBILE: Final = re.compile(r"laptop|mobile|max-q", re.IGNORECASE)
_CHIPS: Final = {"gfx1151": "strix-halo"}  # chips of one device only, as back ends print them

Words = tuple[str, ...]


class Names:
    """Lookup of catalogue names by name, alias and title, read once."""

    def __init__(self) -> None:
        self._by_kind: dict[str, dict[str, str]] = {}
        self._devices: dict[Words, str] = {}

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
            shorter = _SUFFIX.sub("", text)
            if name or shorter == text:
                return name
            text = shorter
        return ""

    def device(self, text: str) -> str:
        """Return the device with a name reported by a driver, or ``""``."""
        if not self._devices:
            for name in loader.names("device"):
                entry = loader.load_device(name)
                for spelling in (name, *entry.aliases, entry.title):
                    self._devices.setdefault(_words(spelling), name)
            for printed, name in _PRINTED.items():
                self._devices.setdefault(_words(printed), name)
        words = _words(text) if len(text) <= _LONGEST else ()
        chip = next((name for gfx, name in _CHIPS.items() if gfx in text.lower()), "")
        return self._devices.get(words, chip) if words else chip

    def near_device(self, text: str) -> str:
        """Return the device that shares the most words with a name, ``""`` if there is none.

        A word with a digit must be shared. Mobile chips are other chips under the same name.
        """
        if _MOBILE.search(text):
            return ""
        self.device("")  # so that titles are read
        words = set(_words(text[:_LONGEST]))
        shared = {
            name: sum(len(word) for word in words & set(spelling))
            for spelling, name in self._devices.items()
            if any(any(map(str.isdigit, word)) for word in words & set(spelling))
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
    found = re.search(rf"[-_.:]({_QUANTISED})$", text, re.IGNORECASE)
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


def _words(text: str) -> Words:
    words = re.findall(r"[a-z0-9.+]+", _ASIDE.sub(" ", text.lower()))
    return tuple(sorted({word.rstrip(".") for word in words} - _NOISE))
