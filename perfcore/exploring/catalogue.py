"""The catalogue as numbers: records of all entries, without sources."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from perfcore.catalog import loader
from perfcore.catalog.engine_entry import EngineEntry
from perfcore.catalog.entry import Entry
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.native import as_published, native_format
from perfcore.catalog.schema import DeviceEntry, WeightFormatEntry
from perfcore.inputs import LIMITS, RECORDS

KERNELS: Final = len(LIMITS["weight_format"]["kernel"].choices)


def catalogue(own: Iterable[tuple[Entry, str]]) -> dict[str, Any]:
    """Return the records of all entries by kind and name, for JSON.

    Parameters
    ----------
    own
        Entries that are not the catalogue's, which they replace, and how a command names each;
        empty if it cannot.
    """
    entries = {
        kind: {name: loader.load(kind, name) for name in loader.names(kind)} for kind in RECORDS
    }
    written: dict[tuple[str, str], str] = {}
    for entry, word in own:
        entries[entry.kind][entry.name] = entry
        written[entry.kind, entry.name] = word
    told = {
        kind: {
            name: _about(entry) | _word(written.get((kind, name)))
            for name, entry in entries[kind].items()
        }
        for kind in RECORDS
    }
    formats = cast("list[WeightFormatEntry]", list(entries["weight_format"].values()))
    for name, entry in entries["model"].items():
        told["model"][name] |= _formats_of(cast("ModelEntry", entry), formats)
    devices = cast("list[DeviceEntry]", list(entries["device"].values()))
    engines = cast("list[EngineEntry]", list(entries["engine"].values()))
    constants, uses = _constants(engines, devices, formats)
    for engine, use in zip(engines, uses, strict=True):
        told["engine"][engine.name] |= {"uses": use, **_rules(engine)}
    return {**told, "constants": constants}


def _rules(engine: EngineEntry) -> dict[str, Any]:
    """Return the code of the layouts that an engine can run, and the kernels that it lacks."""
    kernels = LIMITS["weight_format"]["kernel"].choices
    has = (engine.can and engine.can.kernels) or kernels
    return {
        "layouts": engine.layouts,
        "lacks": [code for code, kernel in enumerate(kernels) if kernel not in has],
    }


def _word(word: str | None) -> dict[str, str]:
    return {} if word is None else {"word": word}


def _about(entry: Entry) -> dict[str, Any]:
    told: dict[str, Any] = {"title": entry.title or entry.name}
    if entry.hypothetical:
        told["hypothetical"] = True
    if isinstance(entry, DeviceEntry):
        told |= {"group": entry.vendor, "neighbours": entry.has_neighbours}
    if not isinstance(entry, EngineEntry):
        told["record"] = _numbers(entry.record())  # type: ignore[attr-defined]
    return told


def _formats_of(entry: ModelEntry, formats: Sequence[WeightFormatEntry]) -> dict[str, Any]:
    """Return a model's own format, and formats that have other bits in its checkpoint.

    ``dtype`` is how its publisher names its format, which means the same to a configuration.
    """
    changed = {
        form.name: _numbers(made)
        for form in formats
        if (made := as_published(entry, form).record()) != form.record()
    }
    told = {"native": native_format(entry), "dtype": entry.native_dtype}
    return told | ({"formats": changed} if changed else {})


def _constants(
    engines: Iterable[EngineEntry],
    devices: Sequence[DeviceEntry],
    formats: Iterable[WeightFormatEntry],
) -> tuple[list[list[float]], list[dict[str, int | list[int]]]]:
    """Return different records of engines, and the place among them by device and kernel code.

    A single place holds for all kernels, which is all that an engine takes from a format.
    """
    by_kernel = {int(form.record().kernel): form for form in formats}
    places: dict[tuple[float, ...], int] = {}
    uses = []
    for engine in engines:
        use: dict[str, int | list[int]] = {}
        for device in devices:
            found: dict[str, int] = {}  # by the level of the intervals, all that differs
            row = []
            for kernel in range(KERNELS):
                form = by_kernel[kernel]
                level = engine.calibration(device, form)
                if level not in found:
                    record = engine.record(device, form)
                    found[level] = places.setdefault(record, len(places))
                row.append(found[level])
            use[device.name] = row[0] if len(found) == 1 else row
        uses.append(use)
    return [_numbers(record) for record in places], uses


def _numbers(record: Iterable[float]) -> list[float]:
    """Return a record as numbers that JSON writes in few letters."""
    return [int(x) if x.is_integer() and abs(x) < 2**53 else x for x in map(float, record)]
