"""Differences between the metadata of two sweeps: versions, settings and constants."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import pyarrow as pa
from pydantic import ValidationError

from perfcore.catalog.engine_entry import EngineEntry
from perfcore.catalog.schema import DeviceEntry
from perfcore.runs.dataset import Dataset
from perfcore.runs.facts import read_facts

# Fields that explain a number or identify an entry; they change no row.
_WORDS: Final = frozenset(
    {
        "aliases",
        "basis",
        "estimated",
        "fit",
        "hf_id",
        "notes",
        "price_per_hour_basis",
        "price_per_hour_date",
        "purchase_price_basis",
        "spot_price_per_hour_basis",
        "published_active",
        "published_params",
        "published_source",
        "quality",
        "release",
        "source",
        "start",
        "title",
        "vendor",
        "year",
        "years",
    }
)
# Tables of an engine that apply to some devices only, and the device's field that selects them.
_CHOSEN_BY: Final = {
    "class_factors": "device_class",
    "device_class": "device_class",
    "measured": "device_class",
    "kernels": "vendor",
    "link": "link_kind",
    "device": "name",
}


_DEFAULT_LINK: Final = "pcie"  # entries are stored without defaults


class Change(NamedTuple):
    """A difference between the two sides.

    ``kind`` is ``version``, ``spec`` or ``entry``. For an entry, ``axis`` and ``labels`` are the
    axis and the values that it concerns, and ``rows`` is the number of changed rows with one of
    these values. ``words`` marks differences of wording, which change no row.
    """

    kind: str
    place: str  # e.g. "device h100-sxm"
    field: str  # e.g. "memory_bandwidth"
    before: Any  # None: absent
    after: Any
    axis: str = ""
    labels: tuple[str, ...] = ()
    rows: int = 0
    words: bool = False


@dataclass(frozen=True)
class Side:
    """One of the two sides: its rows and their metadata."""

    label: str
    data: Dataset
    spec: Mapping[str, Any]
    entries: Mapping[str, Mapping[str, Any]]
    bases: Mapping[str, Any]
    versions: Mapping[str, str]
    complete: bool

    @classmethod
    def of(cls, label: str, data: Dataset) -> "Side":
        """Return a run or an in-memory sweep as one side.

        Raises
        ------
        InputError
            The rows do not say which sweep they belong to.
        """
        told = read_facts(label, data.schema, getattr(data, "manifest", None))
        versions = told.versions or {"perfcore": told.version}
        return cls(label, data, told.spec, told.entries, told.bases, versions, told.complete)

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of the columns, read from the files once."""
        return self.data.schema

    def values(self, axis: str) -> list[Any] | None:
        """Return the values of an axis; None if they are too many to be listed in a file."""
        values = self.spec["axes"].get(axis, [])
        return list(values) if isinstance(values, list) else None

    @property
    def chooses_devices(self) -> bool:
        """Whether degrees of parallelism are chosen for each row."""
        return self.values("tp") == [0]

    @property
    def repeats(self) -> bool:
        """Whether rows may repeat: sampled points, and zipped axes with repeated values."""
        return bool(self.spec.get("sample") or self.spec.get("zip"))


def changes_of_versions(before: Side, after: Side) -> list[Change]:
    """Return the programs whose versions differ, if both sides name them."""
    return [
        Change("version", "version", name, ours, after.versions[name])
        for name, ours in before.versions.items()
        if name in after.versions and ours != after.versions[name]
    ]


def changes_of_spec(before: Side, after: Side) -> list[Change]:
    """Return the settings that differ, by key; names and descriptions are marked as words."""
    changes = []
    for section in dict.fromkeys((*before.spec, *after.spec)):
        ours, theirs = before.spec.get(section), after.spec.get(section)
        if section == "entries" or ours == theirs:
            continue  # entries are compared by their digests
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            changes += [
                Change("spec", "spec", f"{section}.{name}", ours.get(name), theirs.get(name))
                for name in dict.fromkeys((*ours, *theirs))
                if ours.get(name) != theirs.get(name)
            ]
        else:
            words = section in ("name", "description")
            changes.append(Change("spec", "spec", section, ours, theirs, words=words))
    return changes


def changes_of_entries(before: Side, after: Side) -> tuple[list[Change], dict[str, set[str]]]:
    """Return the constants that differ, and the values of axes whose rows they can change.

    Compared are entries on both sides, and entries that are the only value of an axis on each side.
    The bases of an engine count as part of it; tables for devices on neither side do not.
    """
    changes: list[Change] = []
    touched: dict[str, set[str]] = {}
    for axis in dict.fromkeys((*before.entries, *after.entries)):
        ours, theirs = before.entries.get(axis, {}), after.entries.get(axis, {})
        couples = [(label, label) for label in ours if label in theirs]
        if not couples and len(ours) == len(theirs) == 1:
            couples = [(next(iter(ours)), next(iter(theirs)))]
        found = []
        for one, other in couples:
            place = f"{axis} {one}" if one == other else f"{axis} {one}, {other}"
            if axis == "engine" and one != other:
                found += [
                    (place, field, values, one)
                    for field, *values in _engines(ours[one], before, theirs[other], after)
                ]
                continue
            found += [
                (place, field, values, one) for field, *values in _fields(ours[one], theirs[other])
            ]
            if axis == "engine":
                found += [
                    (f"engine {name}", field, values, one)
                    for name in dict.fromkeys(
                        _lineage(ours[one], before) + _lineage(theirs[other], after)
                    )
                    for field, *values in _bases(name, before, after)
                ]
        labels: dict[tuple[str, str], dict[str, None]] = {}
        values_of = {}
        for place, field, values, label in found:
            if axis != "engine" or _concerns(field, before, after):
                labels.setdefault((place, field), {})[label] = None
                values_of[place, field] = values
        for (place, field), (one, other) in values_of.items():
            concerned = tuple(labels[place, field])
            words = _is_words(field)
            changes.append(Change("entry", place, field, one, other, axis, concerned, words=words))
            if not words:
                touched.setdefault(axis, set()).update(concerned)
    return changes, touched


def _fields(before: Any, after: Any, path: str = "") -> Iterable[tuple[str, Any, Any]]:  # noqa: ANN401
    """Yield the dotted names of fields that differ, with both values."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            if key != "name":
                below = f"{path}.{key}" if path else str(key)
                yield from _fields(before.get(key), after.get(key), below)
    elif before is None and isinstance(after, Mapping):
        yield from _fields({}, after, path)
    elif after is None and isinstance(before, Mapping):
        yield from _fields(before, {}, path)
    elif before != after:
        yield path, before, after


def _bases(name: str, before: Side, after: Side) -> Iterable[tuple[str, Any, Any]]:
    """Yield the differences in an engine that is a base of others, if both sides have it."""
    ours, theirs = _base(name, before), _base(name, after)
    return _fields(ours, theirs) if ours and theirs else ()


def _engines(
    one: Mapping[str, Any], before: Side, other: Mapping[str, Any], after: Side
) -> Iterable[tuple[str, Any, Any]]:
    """Yield the differences between two engines with their bases resolved, device by device.

    A constant with the same difference on all devices is listed once. If a side does not name the
    bases of its engine, or names them in another release's format, the engines' own fields are
    compared.
    """
    try:
        yield from _resolved_differences(one, before, other, after)
    except (LookupError, ValidationError):
        yield from _fields(one, other)


def _resolved_differences(
    one: Mapping[str, Any], before: Side, other: Mapping[str, Any], after: Side
) -> list[tuple[str, Any, Any]]:
    devices = [name for name in before.entries["device"] if name in after.entries["device"]]
    found: dict[str, dict[str, tuple[Any, Any]]] = {}
    for name in devices:
        ours, theirs = (
            _resolved(engine, side, side.entries["device"][name])
            for engine, side in ((one, before), (other, after))
        )
        for constant in dict.fromkeys((*ours, *theirs)):
            pair = ours.get(constant), theirs.get(constant)
            if pair[0] != pair[1]:
                found.setdefault(constant, {})[name] = pair
    differences: list[tuple[str, Any, Any]] = []
    for constant, pairs in found.items():
        if len(pairs) == len(devices) and len(set(pairs.values())) == 1:
            differences.append((constant, *pairs[devices[0]]))
        else:
            differences += [(f"{constant} on {name}", *pair) for name, pair in pairs.items()]
    return differences


def _resolved(engine: Mapping[str, Any], side: Side, device: Mapping[str, Any]) -> dict[str, float]:
    """Return the constants of an engine on a device, with its bases resolved."""
    made = EngineEntry.model_validate(engine)
    bases = []
    for name in _lineage(engine, side):
        base = _base(name, side)
        if base is None:
            raise LookupError(name)
        bases.append(EngineEntry.model_validate(base))
    standing: EngineEntry | None = None
    for entry in reversed([made, *bases]):
        standing = entry if standing is None else entry.over(standing)
    constants = (standing or made).constants_for(DeviceEntry.model_validate(device))
    return {name: constant.value for name, constant in constants.items()}


def _lineage(entry: Mapping[str, Any], side: Side) -> list[str]:
    """Return the names of an engine's bases, nearest first."""
    names: list[str] = []
    base = entry.get("base", "")
    while base and base not in names:
        names.append(base)
        base = (_base(base, side) or {}).get("base", "")
    return names


def _base(name: str, side: Side) -> Mapping[str, Any] | None:
    found = side.bases.get(name) or side.entries.get("engine", {}).get(name)
    return found if isinstance(found, Mapping) else None


def _concerns(field: str, before: Side, after: Side) -> bool:
    """Return whether a field of an engine applies to some device of either side."""
    table, _, rest = field.partition(".")
    chooser = _CHOSEN_BY.get(table)
    if chooser is None:
        return True
    devices = (device for side in (before, after) for device in side.entries["device"].values())
    chosen = {str(device.get(chooser, _DEFAULT_LINK)) for device in devices}
    return any(rest == name or rest.startswith(f"{name}.") for name in chosen)


def _is_words(field: str) -> bool:
    return any(part in _WORDS for part in field.split("."))


def shown(value: object) -> str:
    """Return a setting on one line."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def added_and_removed(before: object, after: object) -> tuple[Sequence[Any], Sequence[Any]] | None:
    """Return the items a list gained and lost; None if not lists, or if only the order differs."""
    if not isinstance(before, list) or not isinstance(after, list):
        return None
    gained = [value for value in after if value not in before]
    lost = [value for value in before if value not in after]
    return (gained, lost) if gained or lost else None
