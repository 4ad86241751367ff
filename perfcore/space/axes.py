"""Axes and what-ifs of a sweep, read from a sweep file."""

import math
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from perfcore.catalog import loader
from perfcore.catalog.entry import Entry
from perfcore.catalog.groups import ALL, class_with, devices_of
from perfcore.catalog.hosts import FIELDS, HostEntry
from perfcore.catalog.names import HUB
from perfcore.errors import MOST_FAULTS, InputError, renamed, show
from perfcore.inputs import AXIS_INPUTS, FORMER, LIMITS, PAIR_AXES, PREFILL, AxisInput
from perfcore.limits import POSITIVE, Limits
from perfcore.reading.places import Place
from perfcore.reading.ranges import MAX_VALUES, expand
from perfcore.reading.words import suggest
from perfcore.space.sizes import MAX_ENTRIES, family_models
from perfcore.units import DIMENSIONS

Kind = Literal["categorical", "integer", "real"]
Value = str | int | float


DEGREES: Final = ("tp", "pp")  # chosen by `devices = "auto"`
POOL_DEGREES: Final = tuple(f"{PREFILL}{name}" for name in ("tp", "pp", "dp", "ep"))
POWER_LIMIT: Final = "power_limit"  # below [axes]; rows have it as a what-if of the device
HOST: Final = "host"  # likewise, as three what-ifs that vary together
_FACTOR: Final = re.compile(r"(\d*\.?\d+)\s*x|x\s*(\d*\.?\d+)")
_POWER_FIELD: Final = "device.board_power"
SCALE: Final = Limits("ratio", POSITIVE, 1e6)


@dataclass(frozen=True)
class Axis:
    """One axis of a sweep.

    Parameters
    ----------
    name
        Name of the column.
    values
        Labels of a categorical axis, else numbers in SI units, in order.
    kind
        ``integer`` values are ``int``, ``real`` values ``float``.
    entries
        Catalogue entry of each value of a categorical axis.
    """

    name: str
    values: tuple[Value, ...]
    kind: Kind
    entries: tuple[Entry, ...] = ()

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class WhatIf:
    """A field of a record that a sweep sets to, or scales by, each of several values."""

    record: str
    field: str
    mode: Literal["scale", "set"]
    values: tuple[float, ...]

    @property
    def key(self) -> str:
        """Name in sweep files, e.g. ``device.memory_bandwidth``."""
        return f"{self.record}.{self.field}"

    @property
    def column_name(self) -> str:
        """Name of the column, which ends in the unit or in ``_scale``."""
        name = f"{self.record}_{self.field}"
        suffix = "_scale" if self.mode == "scale" else DIMENSIONS[self.limits.dimension].suffix
        return name if name.endswith(suffix) else name + suffix

    @property
    def limits(self) -> Limits:
        """Limits of the field."""
        return LIMITS[self.record][self.field]

    @property
    def axis(self) -> Axis:
        """The axis that the what-if adds to the sweep."""
        return Axis(self.column_name, self.values, "real")


def parse_axes(table: object, place: Place, zipped: Container[str] = ()) -> dict[str, Axis]:
    """Return the axes by name, including defaults but not axes with faults.

    A zipped axis may repeat values: the other axes of its zip distinguish the rows.
    """
    if not isinstance(table, Mapping):
        place.fault(f"{show(table)} is not a table", 'write [axes] and below it model = ["..."]')
        return {}
    table, chosen = _chosen_devices(table, place)
    known = {**AXIS_INPUTS, **PAIR_AXES}
    for key in table:
        if key not in known:
            if str(key).partition(".")[0] in LIMITS:
                place.fault(f"{show(key)} is a what-if, not an axis", "move it below [what_if]")
            else:
                place.unknown("axis", str(key), known)
    axes = {}
    named = [rule for rule in PAIR_AXES.values() if rule.name in table]
    for rule in (*AXIS_INPUTS.values(), *named):
        if rule.name not in table and rule.default is None:
            place.fault(
                f"key '{rule.name}' is missing",
                f'add {rule.name} = ["NAME"] (perfcore {rule.name}s lists all)',
            )
            continue
        given = table.get(rule.name, rule.default)
        if rule.name in chosen:
            axes[rule.name] = Axis(rule.name, (0,), "integer")
            continue
        axis = _axis(rule, given, place.at(rule.name), repeats=rule.name in zipped)
        if axis is not None:
            axes[rule.name] = axis
    if _drafts_in_vain(axes):
        place.at("draft_len").fault("all drafts are rejected", "add acceptance = 0.7")
    return axes


def _drafts_in_vain(axes: Mapping[str, Axis]) -> bool:
    """Return whether tokens are drafted, but no acceptance is above 0."""
    drafted, accepted = axes.get("draft_len"), axes.get("acceptance")
    return bool(drafted and accepted and any(drafted.values) and not any(accepted.values))


def _chosen_devices(
    table: Mapping[str, object], place: Place
) -> tuple[Mapping[str, object], tuple[str, ...]]:
    """Return the table without ``devices = "auto"``, and the degrees to choose for each row.

    The axis of a degree to choose has the value 0; rows have the chosen degrees.
    """
    if "devices" not in table:
        return table, ()
    given = table["devices"]
    if given != "auto":
        place.at("devices").fault(
            f"{show(given)} is not 'auto'", 'write devices = "auto", or give tp and pp instead'
        )
    for name in DEGREES:
        if name in table:
            place.at(name).fault(f"{name} is given as well as devices", "leave out one of them")
    return {key: value for key, value in table.items() if key != "devices"}, DEGREES


def _axis(rule: AxisInput, given: object, place: Place, *, repeats: bool) -> Axis | None:
    if rule.limits is None:
        return _categorical(rule, given, place, repeats=repeats)
    values = expand(given, rule.limits, place, repeats=repeats)
    return None if values is None else Axis(rule.name, values, rule.kind)


def _categorical(rule: AxisInput, given: object, place: Place, *, repeats: bool) -> Axis | None:
    items = list(given) if isinstance(given, list | tuple) else [given]
    if not items:
        place.fault("[] is empty", "list at least one name, or leave the key out")
        return None
    if len(items) > MAX_ENTRIES:
        place.fault(f"{len(items)} entries are too many", f"list at most {MAX_ENTRIES}")
        return None
    entries: list[Entry] = []
    labels: list[str] = []
    seen: set[str] = set()
    before = len(place.faults)
    for index, item in enumerate(items):
        spot = place.item(index) if isinstance(given, list | tuple) else place
        for label, entry in _labelled(rule, item, spot):
            if label in seen and not repeats:
                spot.fault(
                    f"{show(item)} is a duplicate of {label!r}", "list it once, or rename it"
                )
            seen.add(label)
            labels.append(label)
            if entry is not None:
                entries.append(entry)
        if len(place.faults) - before > MOST_FAULTS or len(entries) > MAX_ENTRIES:
            break  # each further entry may need to read a file
    if len(entries) > MAX_ENTRIES:
        place.fault(f"{len(entries)} entries are too many", f"use at most {MAX_ENTRIES}")
    if len(place.faults) > before:
        return None
    return Axis(rule.name, tuple(labels), "categorical", tuple(entries))


def _labelled(rule: AxisInput, item: object, place: Place) -> Iterable[tuple[str, Entry | None]]:
    if rule.choices:
        return _choices(rule.name, item, rule.choices, place)
    return _entries(rule.entry, item, place)


def _choices(
    name: str, item: object, choices: tuple[str, ...], place: Place
) -> Iterator[tuple[str, None]]:
    if isinstance(item, str) and item in choices:
        yield item, None
    else:
        place.unknown(f"value of {name}", item if isinstance(item, str) else show(item), choices)


_GROUPS: Final = f"; {ALL!r}, a vendor or a class stands for its devices"


def _entries(kind: str, item: object, place: Place) -> Iterator[tuple[str, Entry]]:
    if isinstance(item, str):
        try:
            entry = loader.load(kind, located(item, place.folder))
        except InputError as error:
            group = devices_of(item) if kind == "device" else ()
            yield from ((entry.name, entry) for entry in group)
            alike = class_with(item) if kind == "device" else ""
            if alike and not group:
                place.fault(f"unknown device {item!r}", f"did you mean the class {alike!r}?")
                return
            for fault in () if group else error.faults:
                place.relay(
                    f"{fault}{_GROUPS}" if fault.startswith(f"unknown device {item!r} (") else fault
                )
        else:
            yield entry.name, entry
    elif kind == "model" and isinstance(item, Mapping):
        yield from family_models(item, place)
    else:
        tables = " or a family table" if kind == "model" else ""
        place.fault(f"{show(item)} is not a name", f"write a name or file in quotes{tables}")


def located(name: str, folder: Path) -> str:
    """Return a path relative to ``folder``; names are returned unchanged."""
    is_path = (
        name.startswith(("./", "../", ".\\", "..\\", "~"))
        or Path(name).is_absolute()
        or name in {".", ".."}
        or (name.lower().endswith((".toml", ".json", ".gguf")) and not name.lower().startswith(HUB))
    )
    if is_path or ".toml:" in name.lower():
        try:
            return str(folder / Path(name).expanduser())
        except RuntimeError:  # unknown user in `~user`
            return name
    return name


def parse_what_ifs(table: object, place: Place) -> dict[str, WhatIf]:
    """Return the what-ifs by key, in the order of records and their fields."""
    if not isinstance(table, Mapping):
        place.fault(
            f"{show(table)} is not a table", 'write "device.memory_bandwidth" = { scale = [1, 2] }'
        )
        return {}
    found = {}
    values = 0
    for key, given in table.items():
        what_if = _what_if(str(key), given, place)
        if what_if is not None:
            found[what_if.key] = what_if
            values += len(what_if.values)
        if values > MAX_VALUES:
            place.fault(
                f"what-ifs have more than {MAX_VALUES} values in total", "list fewer values"
            )
            break
    ordered = (f"{record}.{field}" for record, fields in LIMITS.items() for field in fields)
    return {key: found[key] for key in ordered if key in found}


def parse_power_limit(table: object, place: Place) -> tuple[object, WhatIf | None]:
    """Return the table of axes without ``power_limit``, and the what-if that it stands for.

    Limits are powers, or shares of each device's rated power such as ``"70 %"``.
    """
    if not isinstance(table, Mapping) or POWER_LIMIT not in table:
        return table, None
    given = table[POWER_LIMIT]
    rest = {key: value for key, value in table.items() if key != POWER_LIMIT}
    items = list(given) if isinstance(given, list | tuple) else [given]
    shares = [str(item) for item in items if is_share(item)]
    spot = place.at(POWER_LIMIT)
    if shares and len(shares) < len(items):
        spot.fault("shares and powers are mixed", "write all in % or all in W")
        return rest, None
    change: object = {"scale": [share_of(item, spot) for item in shares]} if shares else given
    return rest, _what_if(_POWER_FIELD, change, spot)


def parse_host(table: object, place: Place) -> tuple[object, tuple[WhatIf, ...]]:
    """Return the table of axes without ``host``, and the what-ifs of the devices' hosts.

    Hosts are names in the catalogue. The what-ifs are to vary together.
    """
    if not isinstance(table, Mapping) or HOST not in table:
        return table, ()
    given = table[HOST]
    items = list(given) if isinstance(given, list | tuple) else [given]
    spot = place.at(HOST)
    hosts: list[dict[str, float]] = []
    for item in items:
        if not isinstance(item, str):
            spot.fault(f"{show(item)} is not a name", "write a host in quotes")
            continue
        try:
            hosts.append(cast("HostEntry", loader.load("host", item)).fields())
        except InputError as error:
            for fault in error.faults:
                spot.relay(fault)
    if not items:
        spot.fault("[] is empty", "list at least one host, or leave the key out")
    if len({tuple(host.values()) for host in hosts}) < len(hosts):
        spot.fault("hosts are the same", "list each once")
    what_ifs = tuple(
        WhatIf("device", field, "set", tuple(host[field] for host in hosts))
        for field in FIELDS.values()
    )
    return {key: value for key, value in table.items() if key != HOST}, what_ifs if hosts else ()


def is_share(given: object) -> bool:
    """Return whether a power limit is meant as a share of the rated power."""
    return isinstance(given, str) and given.rstrip().endswith("%")


def share_of(text: str, place: Place) -> float:
    """Return a share such as ``70 %`` as a number; 1 after a fault."""
    try:
        share = float(text.rstrip()[:-1]) / 100.0
    except ValueError:
        share = math.nan
    if not 0.0 < share <= 1.0:
        place.fault(f"{show(text)} is not a share of the rated power", 'write it like "70 %"')
        return 1.0
    return share


def _what_if(key: str, given: object, place: Place) -> WhatIf | None:
    record, _, field = key.partition(".")
    if field in FORMER.get(record, {}):
        field = FORMER[record][field]
        renamed(key, f"{record}.{field}")
        key = f"{record}.{field}"
    if not field and record in AXIS_INPUTS:
        place.fault(
            f"{show(key)} is an axis, not a what-if",
            f"write {key} = ... below [axes], or RECORD.FIELD here",
        )
        return None
    if record not in LIMITS or field not in LIMITS[record]:
        everything = [f"{name}.{other}" for name, fields in LIMITS.items() for other in fields]
        hint = suggest(key, everything)
        listed = ", ".join(LIMITS.get(record, LIMITS))
        place.relay(
            f"unknown what-if {show(key)}" + (hint or f"; write RECORD.FIELD, of: {listed}")
        )
        return None
    spot = place.at(key)
    if isinstance(given, Mapping) and set(given) == {"scale"}:
        values = expand(given["scale"], SCALE, spot.at("scale"))
        return None if values is None else WhatIf(record, field, "scale", values)
    if isinstance(given, Mapping) and "scale" in given:
        spot.fault(f"{show(dict(given))} has keys besides scale", "write { scale = [1, 2, 4] }")
        return None
    factors = factors_in(given)
    if factors:
        spot.fault(f"{show(given)} is a factor", f"write {{ scale = {factors} }}")
        return None
    values = expand(given, LIMITS[record][field], spot)
    return None if values is None else WhatIf(record, field, "set", tuple(map(float, values)))


def factors_in(given: object) -> str:
    """Return factors as they are written, if a value is text like ``2x``, ``x2`` or ``1x,2x``."""
    if not isinstance(given, str):
        return ""
    parts = [_FACTOR.fullmatch(part.strip()) for part in given.strip("[]").split(",")]
    numbers = [part[1] or part[2] for part in parts if part]
    if not numbers or len(numbers) < len(parts):
        return ""
    return numbers[0] if len(numbers) == 1 else f"[{', '.join(numbers)}]"
