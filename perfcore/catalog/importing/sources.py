"""Sources of imported models: a file, a directory, or the Hugging Face hub."""

import os
import re
from pathlib import Path
from typing import Final

from perfcore.catalog.importing import hub
from perfcore.catalog.importing.document import read_json
from perfcore.catalog.importing.gguf import from_gguf
from perfcore.catalog.importing.huggingface import from_config
from perfcore.catalog.importing.quantization import BESIDE, FILE
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.names import HUB
from perfcore.catalog.printed import QUANTISED
from perfcore.errors import InputError

CONFIG: Final = "config.json"
PARAMS: Final = "params.json"
QUANTISATION: Final = "hf_quant_config.json"
_WIDE: Final = ("bf16", "fp16", "fp32")
_UNSEEN: Final = f"whether a {QUANTISATION} says that weights are quantised was not looked up"
_NAMED: Final = re.compile(rf"[-_. ]({QUANTISED})(?=$|[-_. ])", re.IGNORECASE)
_SPLIT: Final = re.compile(r"-\d{5}-of-\d{5}$")


def import_model(source: str) -> ModelEntry:
    """Return the model that a file, a directory or ``hf:org/name`` describes.

    A directory holds a ``config.json`` or one GGUF model. Nothing is executed, and only ``hf:``
    uses the network.

    Raises
    ------
    InputError
        There is no such source, or its model cannot be read; all faults are listed.
    """
    if source.lower().startswith(HUB):
        name = source[len(HUB) :]
        config = hub.download(name)
        repository = name.partition("@")[0]
        identity = _identity(repository.rpartition("/")[2], f"{source}: {CONFIG}")
        entry = from_config(read_json(config), source, {**identity, "hf_id": repository})
        if entry.native_format or not entry.native_dtype.startswith(_WIDE):
            return entry
        return _noted(entry, _UNSEEN)
    path = _expanded(source)
    if os.path.isdir(path):  # noqa: PTH112 - Path raises for names that are too long
        path = _in_directory(path)
    if path.suffix.lower() == ".gguf":
        return from_gguf(path, _identity(_SPLIT.sub("", path.stem), f"GGUF header of {path.name}"))
    stem = (
        path.stem if path.name not in (CONFIG, PARAMS) else _directory_name(path.absolute().parent)
    )
    quantised = _quantisation_beside(path) if path.name == CONFIG else None
    identity = _identity(stem, f"{path.name} of {stem}")
    entry = from_config(read_json(path), str(path), identity, quantised)
    named = _NAMED.search(stem)
    if named is None or entry.native_format or not entry.native_dtype.startswith(_WIDE):
        return entry
    return _noted(
        entry,
        f"its name says {named[1]} and the file nothing of the kind (a {QUANTISATION} beside it "
        "would): give a weight format",
    )


def _quantisation_beside(path: Path) -> dict[str, object] | None:
    """Return the contents of the file that says how a model is quantised, if there is one."""
    found = (path.with_name(name) for name in BESIDE)
    beside = next((other for other in found if other.is_file()), None)
    return {**read_json(beside), FILE: beside.name} if beside else None


def _noted(entry: ModelEntry, note: str) -> ModelEntry:
    notes = f"{entry.notes}; {note}".removeprefix("; ")
    return entry.model_copy(update={"notes": notes})


def _identity(text: str, source: str) -> dict[str, str]:
    printable = text.encode("ascii", "replace").decode()
    name = re.sub(r"[^a-z0-9._+-]+", "-", printable.lower()).strip("-._+")
    return {
        "name": name or "model",
        "title": printable if printable.isprintable() else "",
        "source": source.encode("ascii", "replace").decode(),
    }


def _directory_name(directory: Path) -> str:
    """Return the name of a directory; for one in the hub's cache, the name of its model."""
    if directory.parent.name == "snapshots":
        return directory.parent.parent.name.rpartition("--")[2]
    return directory.name


def _expanded(source: str) -> Path:
    try:
        return Path(source).expanduser()
    except RuntimeError:
        return Path(source)  # there is no such user; reading it reports that


def _in_directory(directory: Path) -> Path:
    """Return the config.json of a directory, or its only GGUF model."""
    for name in (CONFIG, PARAMS):
        if (directory / name).is_file():
            return directory / name
    try:
        models = sorted(directory.glob("*.gguf"))
    except OSError as error:
        raise InputError(f"{directory}: cannot be read: {error.strerror}; check it") from None
    models = [path for path in models if not _SPLIT.search(path.stem) or "-00001-of-" in path.stem]
    if len(models) == 1:
        return models[0]
    if models:
        listed = ", ".join(path.name for path in models[:8])
        raise InputError(f"{directory}: has {len(models)} GGUF models ({listed}); give one of them")
    raise InputError(f"{directory}: has neither a {CONFIG} nor a GGUF file; give another directory")
