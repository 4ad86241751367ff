"""Fitted constants written as engines of the catalogue, with their basis."""

import math
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from perfcore.accuracy.fit import Fit, Parameter
from perfcore.catalog import toml
from perfcore.catalog.engine_entry import EngineEntry
from perfcore.catalog.schema import DeviceClass, LinkKind
from perfcore.inputs import LIMITS
from perfcore.units import DIMENSIONS, parse

UNMOVED: Final = 0.02  # logarithm below which a factor is not written
SHARED: Final = "default"  # engine that holds the factors common to all engines

_CLASSES: Final = get_args(DeviceClass)
_LINKS: Final = get_args(LinkKind)
_HEAD: Final = (
    "base",
    "title",
    "aliases",
    "release_of",
    "until",
    "until_version",
    "since_version",
    "graphs",
    "years",
    "source",
    "notes",
)
_FLAT: Final = ("runs", "constants", "factors")
_OF_RUNS: Final = ("eager", "offline")
_NESTED: Final = ("class_factors", "device_class", "link", "device", "intervals")

Table = dict[str, Any]


def owner(parameter: Parameter) -> str:
    """Return the engine whose table holds a parameter."""
    return parameter.engines[0] if parameter.engines else SHARED


def fitted_table(engine: str, table: Table, fit: Fit, entry: EngineEntry | None = None) -> Table:
    """Return an engine's table with its own fitted factors.

    A constant that the table gives is scaled; other constants get a factor on the base's value.
    Constants of a link are taken from ``entry``.
    """
    updated = {key: _copied(value) for key, value in table.items()}
    for parameter, log, error in zip(fit.parameters, fit.logs, fit.errors, strict=True):
        if owner(parameter) != engine or abs(log) < UNMOVED:
            continue
        for constant in parameter.constants:
            for place in parameter.places or ("",):
                _scale(updated, constant, place, float(log), float(error), entry)
    return updated


def _scale(
    table: Table,
    constant: str,
    place: str,
    log: float,
    error: float,
    entry: EngineEntry | None,
) -> None:
    """Scale a constant in a place: its value if the table gives one, else by a factor."""
    if not place:
        own = table.setdefault("constants", {})
        for found in (own, *_measured_places(table)):
            if constant in found:
                found[constant] = _scaled(constant, found[constant], log, error)
        if constant not in own:
            _multiply(table.setdefault("factors", {}), constant, log, error)
    elif place in _CLASSES:
        found = table.get("device_class", {}).get(place, {})
        if constant in found:
            found[constant] = _scaled(constant, found[constant], log, error)
        else:
            factors = table.setdefault("class_factors", {}).setdefault(place, {})
            _multiply(factors, constant, log, error)
    elif place in _LINKS:
        found = table.setdefault("link", {}).setdefault(place, {})
        if constant not in found and entry is not None:
            known = {**entry.constants, **entry.link.get(place, {})}  # type: ignore[call-overload]
            found[constant] = {"value": known[constant].value}
        found[constant] = _scaled(constant, found[constant], log, error)


def _measured_places(table: Table) -> list[Table]:
    """Return the tables of places whose constants a fit of the engine may scale.

    What a class or a device states for itself rests on its own evidence, so that it is left alone
    where the engine has no measurements.
    """
    classes = table.get("measured", {})
    devices = {device for listed in classes.values() for device in listed}
    own = {"device_class": classes, "device": devices}
    return [
        found
        for key in ("device_class", "link", "device")
        for place, found in table.get(key, {}).items()
        if not classes or key not in own or place in own[key]
    ]


def _scaled(constant: str, before: Table, log: float, error: float) -> Table:
    value = entry_value(constant, before["value"])
    return {
        "value": number_text(constant, value * math.exp(log)),
        "start": before.get("start", number_text(constant, value)),
        "basis": "fit",
        "source": _sourced(before, error),
    }


def _multiply(factors: Table, constant: str, log: float, error: float) -> None:
    before = factors.get(constant, {"value": 1.0})
    factors[constant] = {
        "value": float(f"{before['value'] * math.exp(log):.4g}"),
        "start": before.get("start", before["value"]),
        "basis": "fit",
        "source": _sourced(before, error),
    }


_THEN: Final = "; then "


def _sourced(before: Mapping[str, Any], error: float) -> str:
    """Return the source of a fitted value: the previous source and the fit, named only once."""
    why = f"fit, standard error {math.expm1(error) * 100:.2g} %"
    source = str(before.get("source", "")).partition(_THEN)[0]
    return why if not source or source.startswith("fit, ") else f"{source}{_THEN}{why}"


def before_fit(table: Table) -> Table:
    """Return an engine's table as it was before it was fitted."""
    found: Table = {}
    for key, value in table.items():
        if key in ("fit", "measured", "kernels"):
            continue
        if not isinstance(value, dict):
            found[key] = value
        elif "value" not in value:
            found[key] = before_fit(value)
        elif "start" not in value:
            found[key] = value
        elif not str(value["source"]).startswith("fit, ") or value["start"] != 1:
            source = str(value["source"]).partition(_THEN)[0]
            found[key] = {"value": value["start"], "basis": "assumption", "source": source}
    return found


def with_intervals(text: str, name: str, intervals: Mapping[str, Any]) -> str:
    """Return the text of an engine's file with new intervals, at the end of the file."""
    head = toml.without(text, name, "intervals").rstrip("\n")
    written = toml.group({})
    levels = {level: _ordered(constants) for level, constants in intervals.items()}
    toml.add(written, "intervals", toml.group(levels))
    return f"{head}\n\n{toml.document({name: written})}"


def entry_value(constant: str, given: object) -> float:
    """Return a constant's value in SI units."""
    return parse(given, LIMITS["engine"][constant].dimension)  # type: ignore[arg-type]


def number_text(constant: str, value: float) -> object:
    """Return a constant as written in TOML: with its unit, if it has one."""
    unit = DIMENSIONS[LIMITS["engine"][constant].dimension].unit
    if unit == "s":
        for scale, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")):
            if value >= scale:
                return f"{value / scale:.4g} {name}"
        return "0 s"
    return f"{value:.4g} {unit}" if unit else float(f"{value:.4g}")


def _copied(value: Any) -> Any:  # noqa: ANN401 - TOML
    return (
        {key: _copied(inner) for key, inner in value.items()} if isinstance(value, dict) else value
    )


def dump_engine(name: str, table: Mapping[str, Any], comment: str = "") -> str:
    """Return the text of a TOML file with one engine."""
    written = toml.table({key: table[key] for key in _HEAD if table.get(key, "") not in ("", [])})
    for key in _FLAT:
        if table.get(key):
            toml.add(written, key, toml.table(_ordered(table[key])))
    for key in _NESTED:
        places = {place: _ordered(found) for place, found in table.get(key, {}).items() if found}
        if places:
            toml.add(written, key, toml.group(places))
    for key, found in _of_runs(table):
        toml.add(written, key, found)
    for key in ("measured", "kernels", "remarks"):
        if table.get(key):
            toml.add(written, key, toml.table(table[key]))
    if table.get("fit"):
        fit = {"data": table["fit"]["data"], "errors": toml.lines(table["fit"]["errors"])}
        if table["fit"].get("strangers"):
            fit["strangers"] = toml.lines(table["fit"]["strangers"])
        toml.add(written, "fit", toml.table(fit))
    return toml.document({name: written}, comment)


def _of_runs(table: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the tables that hold for some runs only, by key."""
    for key in _OF_RUNS:
        if table.get(key):
            yield key, toml.table(_ordered(table[key]))
    if table.get("backend"):
        backends = toml.group({})
        for name, places in table["backend"].items():
            own = {place: _ordered(found) for place, found in places.items()}
            toml.add(backends, name, toml.group(own))
        yield "backend", backends


def _ordered(table: Table) -> Table:
    """Return a table with constants in the order of the record, after other keys as they are."""
    order = {name: place for place, name in enumerate(LIMITS["engine"])}
    return {name: table[name] for name in sorted(table, key=lambda name: order.get(name, -1))}


def read_engine(path: Path) -> tuple[str, Table, str]:
    """Return the name and table of a file with one engine, and the comment at its top."""
    text = path.read_text("utf-8")
    ((name, table),) = tomllib.loads(text).items()
    head = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        head.append(line.lstrip("# "))
    return name, table, "\n".join(head)
