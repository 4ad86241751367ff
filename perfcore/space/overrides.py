"""Overrides of a sweep file, given as text: ``axes.batch=[1,2,4]``."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from perfcore.errors import argument, show
from perfcore.inputs import RECORDS
from perfcore.reading.places import Place
from perfcore.space.axes import factors_in, located

_SPLIT = re.compile(r"""((?:"[^"\n]*"|'[^'\n]*'|[^"'=\n])+)=(.*)""", re.DOTALL)
_OPENS_TOML = ("[", "{", '"', "'")
OF_TRACE = "trace:"  # before a file from which lengths are drawn
REMEDY = "write KEY=VALUE, e.g. axes.batch=[1,2,4]"


def apply(
    document: Mapping[str, object], overrides: Iterable[str], place: Place
) -> dict[str, object]:
    """Return the document with overrides applied in order and what-ifs in one table of dotted keys.

    ``device.memory_bandwidth=...`` (likewise for any record) is short for
    ``what_if."device.memory_bandwidth"=...``, in files and in overrides. Paths in overrides are
    relative to the current directory.
    """
    merged = _gather_what_ifs(document, place)
    for text in overrides:
        spot = place._replace(
            key=f"{argument('overrides')} {text if text.isprintable() else show(text)}"
        )
        parsed = parse(text, spot)
        if parsed is not None:
            path, value = parsed
            if path[0] == "axes":
                value = _from_here(value)
            elif path[0] == "traffic":
                value = _traces_from_here(value, path[1:])
            _put(merged, path, value, spot)
    return _gather_what_ifs(merged, place)


def parse(text: str, place: Place) -> tuple[tuple[str, ...], object] | None:
    """Return the keys and the value of ``a.b=value``; None after a fault.

    The value is TOML. Text that is not TOML is a string unless it begins like a list, table or
    string.
    """
    split = _SPLIT.fullmatch(text)
    if split is None:
        place.fault("not KEY=VALUE", REMEDY)
        return None
    key, raw = split[1].strip(), split[2].strip()
    if not raw:
        place.fault("no value", REMEDY)
        return None
    try:
        level: object = tomllib.loads(f"{key} = 0")
    except (ValueError, RecursionError):
        level = {}
    if not level:  # also if the key is just a comment
        place.fault(f"{show(key)} is not a key", "write dotted words, e.g. axes.batch")
        return None
    path: list[str] = []
    while isinstance(level, dict):
        ((name, level),) = level.items()
        path.append(name)
    try:
        loaded = tomllib.loads(f"value = {raw}")
    except (ValueError, RecursionError) as error:
        opens = raw.startswith(_OPENS_TOML) and not factors_in(raw)
        if opens or not raw.isprintable():
            place.fault(f"{show(raw)} is not a TOML value ({error})", REMEDY)
            return None
        loaded = {"value": raw}
    if set(loaded) != {"value"}:
        place.fault(
            f"{show(raw)} is more than one value", "give each key in an override of its own"
        )
        return None
    return tuple(path), loaded["value"]


def _gather_what_ifs(document: Mapping[str, object], place: Place) -> dict[str, object]:
    """Move ``[what_if.device]`` and ``[device]`` into ``what_if."device.FIELD"``."""
    merged = {key: value for key, value in document.items() if key not in RECORDS}
    what_ifs = merged.get("what_if", {})
    if not isinstance(what_ifs, dict):
        return merged
    gathered: dict[str, object] = {}

    def gather(key: str, value: object) -> None:
        if key in gathered:
            place.at("what_if").at(key).fault(
                f"{show(value)} is given twice", "keep one of the two"
            )
        gathered[key] = value

    nested = [*what_ifs.items(), *((key, document[key]) for key in RECORDS if key in document)]
    for key, value in nested:
        if key in RECORDS and isinstance(value, Mapping):
            for field, field_value in value.items():
                gather(f"{key}.{field}", field_value)
        else:
            gather(key, value)
    if gathered:
        merged["what_if"] = gathered
    return merged


def _from_here(value: object) -> object:
    """Make paths relative to the current directory, as in a shell, not to the sweep file."""
    if isinstance(value, str):
        return located(value, Path.cwd())
    if isinstance(value, list):
        return [_from_here(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _from_here(item) for key, item in value.items()}
    return value


def _traces_from_here(value: object, keys: tuple[str, ...]) -> object:
    """Make the paths of traces relative to the current directory, like those of entries."""
    if isinstance(value, list):
        return [_traces_from_here(item, keys) for item in value]
    if isinstance(value, Mapping):
        return {key: _traces_from_here(item, (*keys, key)) for key, item in value.items()}
    if isinstance(value, str) and keys == ("trace",):
        return str(Path.cwd() / value)
    if isinstance(value, str) and value.startswith(OF_TRACE):
        return OF_TRACE + str(Path.cwd() / value.removeprefix(OF_TRACE))
    return value


def _put(document: dict[str, object], path: tuple[str, ...], value: object, place: Place) -> None:
    if path[0] in RECORDS:
        path = ("what_if", *path)
    if path[0] == "what_if" and len(path) > 2 and path[1] in RECORDS:
        path = ("what_if", f"{path[1]}.{path[2]}", *path[3:])
    level = document
    for key in path[:-1]:
        below = level.get(key, {})
        if not isinstance(below, Mapping):
            place.fault(
                f"{show(key)} holds {show(below)}, not a table", "override the whole value instead"
            )
            return
        inner = dict(below)  # a copy: the caller's document stays unchanged
        level[key] = inner
        level = inner
    level[path[-1]] = value
