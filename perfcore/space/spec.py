"""The specification of a sweep: parsed, fully checked, and in canonical form."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from perfcore.catalog import loader
from perfcore.catalog.entry import Entry
from perfcore.columns import results_of
from perfcore.errors import InputError, show
from perfcore.inputs import (
    AXIS_INPUTS,
    DRAFT_AXES,
    ENTRY_AXES,
    EXPERT_AXES,
    LIMITS,
    NEEDED,
    ORDER,
    PAIR_AXES,
    PREFILL_AXES,
    TRAFFIC_INPUTS,
)
from perfcore.reading.files import read_toml
from perfcore.reading.places import Place
from perfcore.space import overrides as command_line
from perfcore.space.axes import (
    HOST,
    POWER_LIMIT,
    Axis,
    WhatIf,
    parse_axes,
    parse_host,
    parse_power_limit,
    parse_what_ifs,
)
from perfcore.space.sections import (
    Output,
    Sample,
    Where,
    parse_section,
    parse_where,
    parse_zips,
    zipped_names,
)
from perfcore.space.traffic import ROWS_PER_SHARD, TrafficSection, parse_traffic, replace_axes

MAX_ROWS: Final = 2**63 - 1
KEYS: Final = (
    *("name", "description", "axes", "traffic", "what_if", "zip", "where", "sample", "output"),
)


@dataclass(frozen=True)
class Spec:
    """A resolved sweep: names are entries, ranges are values, units are SI.

    Parameters
    ----------
    axes
        In canonical order, outermost first, including what-ifs.
    what_ifs
        In the order of their axes, which are named by ``column_name``.
    zips
        Names of axes that vary together, outermost first.
    traffic
        Requests over time, whose servers are simulated; None: rows are in closed form.
    """

    name: str
    description: str
    axes: tuple[Axis, ...]
    what_ifs: tuple[WhatIf, ...] = ()
    zips: tuple[tuple[str, ...], ...] = ()
    where: tuple[Where, ...] = ()
    sample: Sample | None = None
    output: Output = field(default_factory=Output)
    traffic: TrafficSection | None = None

    @classmethod
    def from_toml(cls, path: str | Path, overrides: Iterable[str] = ()) -> "Spec":
        """Return the sweep of a file. Its paths are relative to the file's folder.

        Parameters
        ----------
        overrides
            Texts ``key=value``, e.g. ``axes.batch=[1,2,4]``, applied before anything is checked.
            Their paths are relative to the current directory.

        Raises
        ------
        InputError
            With every fault of the file.
        """
        document = read_toml(path)
        document.setdefault("name", Path(path).stem)
        return _parse(document, Place(str(path), "", [], Path(path).parent), overrides)

    @classmethod
    def from_dict(
        cls, mapping: Mapping[str, object], place: str = "spec", overrides: Iterable[str] = ()
    ) -> "Spec":
        """Return the sweep of a mapping laid out like a file; ``place`` names it in errors.

        Raises
        ------
        InputError
            With every fault of the mapping.
        """
        return _parse(mapping, Place(place, "", []), overrides)

    @property
    def grid_rows(self) -> int:
        """Rows of the whole space: the product of the axes, where each zip counts once."""
        follow = {name for names in self.zips for name in names[1:]}
        return math.prod(len(axis) for axis in self.axes if axis.name not in follow)

    @property
    def rows(self) -> int:
        """Rows to evaluate: all, or the size of the sample."""
        return self.grid_rows if self.sample is None else self.sample.n

    def axis(self, name: str) -> Axis:
        """Return an axis by name.

        Raises
        ------
        KeyError
            There is no such axis.
        """
        for axis in self.axes:
            if axis.name == name:
                return axis
        raise KeyError(name)

    def to_dict(self) -> dict[str, object]:
        """Return the sweep in canonical form, for JSON. Equivalent sweeps have the same form.

        ``entries`` has a digest of each catalogue entry, so that a change of its data changes the
        form.
        """
        traffic = {} if self.traffic is None else {"traffic": self.traffic.to_dict()}
        return {
            "name": self.name,
            "description": self.description,
            "axes": {axis.name: list(axis.values) for axis in self.axes},
            "entries": self._entries,
            "what_if": {
                what_if.key: {"mode": what_if.mode, "column": what_if.column_name}
                for what_if in self.what_ifs
            },
            "zip": [list(names) for names in self.zips],
            "where": [
                {
                    "column": where.column,
                    "min": where.minimum,
                    "max": where.maximum,
                    "in": list(where.allowed),
                }
                for where in self.where
            ],
            "sample": None if self.sample is None else self.sample.model_dump(),
            "output": {**self.output.model_dump(), "columns": list(self.output.columns)},
            **traffic,
        }

    @cached_property
    def _entries(self) -> dict[str, dict[object, str]]:
        """Digests of the entries, by axis and label."""
        return {
            axis.name: {
                label: _digest(entry)
                for label, entry in zip(axis.values, axis.entries, strict=True)
            }
            for axis in self.axes
            if axis.entries
        }

    def fingerprint(self) -> str:
        """Return a hash of the canonical form, which is part of every file of a run."""
        # keys are not sorted: the order of axes is canonical
        return hashlib.sha256(json.dumps(self.to_dict(), allow_nan=False).encode()).hexdigest()


def _digest(entry: Entry) -> str:
    whole = (entry, *getattr(entry, "bases", ()))  # an engine depends on its bases, too
    facts = json.dumps([part.model_dump(mode="json") for part in whole], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def _parse(mapping: Mapping[str, object], place: Place, overrides: Iterable[str]) -> Spec:
    document = command_line.apply(mapping, overrides, place)
    for key in document:
        if key in AXIS_INPUTS or key in PAIR_AXES:
            place.fault(f"key {show(key)} is outside [axes]", f"write axes.{key} = ...")
        elif key not in KEYS:
            place.unknown("key", str(key), KEYS)
    name = _text(document.get("name", "sweep"), place.at("name"))
    description = _text(document.get("description", ""), place.at("description"), empty=True)
    zipped = zipped_names(document.get("zip", []))
    given_axes, power = parse_power_limit(document.get("axes", {}), place.at("axes"))
    given_axes, host = parse_host(given_axes, place.at("axes"))
    by_name = parse_axes(given_axes, place.at("axes"), zipped)
    by_key = _what_ifs(document, power, host, place)
    _check_scales(by_name, by_key, place.at("what_if"))
    traffic = None
    if document.get("traffic") is not None:
        traffic, added = parse_traffic(document["traffic"], place.at("traffic"), zipped)
        listed = list(given_axes) if isinstance(given_axes, Mapping) else []
        by_name = replace_axes(by_name, added, listed, place.at("axes"))
    _check_pools(by_name, place.at("axes"))
    _check_others(by_name, place.at("axes"))
    inner = dict.fromkeys([*ORDER, *TRAFFIC_INPUTS])
    entries = [rule for rule in PAIR_AXES.values() if rule.limits is None]
    axes = (
        *(by_name[rule.name] for rule in (*ENTRY_AXES, *entries) if rule.name in by_name),
        *(what_if.axis for what_if in by_key.values()),
        *(by_name[name] for name in inner if name in by_name),
    )
    simulated = traffic is not None
    results = results_of(simulated=simulated)
    zips = parse_zips(_with_hosts(document.get("zip", []), host), axes, by_key, place.at("zip"))
    where = parse_where(document.get("where", []), axes, by_key, place.at("where"), results)
    sample = None
    if document.get("sample") is not None:
        sample = parse_section(Sample, document["sample"], place.at("sample"), "n = 100000")
    form = document.get("output", {})
    if simulated and isinstance(form, Mapping):
        form = {"rows_per_shard": ROWS_PER_SHARD, **form}
    output = parse_section(Output, form, place.at("output"), 'columns = "all"', results) or Output()
    spec = Spec(
        *(name, description, axes, tuple(by_key.values()), zips, where, sample),
        output=output,
        traffic=traffic,
    )
    if not place.faults and spec.grid_rows > MAX_ROWS:
        sizes = " x ".join(str(len(axis)) for axis in axes if len(axis) > 1)
        place.at("axes").fault(
            f"{sizes} = {spec.grid_rows} rows are more than {MAX_ROWS}", "list fewer values"
        )
    if place.faults:
        raise InputError(dict.fromkeys(place.faults))
    return spec


def _with_hosts(zips: object, host: tuple[WhatIf, ...]) -> object:
    """Return the zips with that of several hosts."""
    several = any(len(what_if.values) > 1 for what_if in host)
    return (
        [*zips, {"axes": [one.key for one in host]}] if several and isinstance(zips, list) else zips
    )


def _what_ifs(
    document: Mapping[str, object],
    power: WhatIf | None,
    host: tuple[WhatIf, ...],
    place: Place,
) -> dict[str, WhatIf]:
    """Return the what-ifs by key, those of the power limit and the host among them."""
    by_key = parse_what_ifs(document.get("what_if", {}), place.at("what_if"))
    of_axes = {one.key: (HOST, one) for one in host}
    if power is not None:
        of_axes[power.key] = (POWER_LIMIT, power)
    for key, (axis, _) in of_axes.items():
        if key in by_key:
            place.at("axes").at(axis).fault(f"beside {key}", "leave out one of them")
    everything = {key: one for key, (_, one) in of_axes.items()} | by_key
    ordered = (f"device.{field}" for field in LIMITS["device"])
    return {key: everything[key] for key in ordered if key in of_axes} | everything


def _disaggregates(axes: Mapping[str, Axis]) -> bool:
    """Return whether some server is disaggregated, or may be: the axis has a fault."""
    return "scheduler" not in axes or "disaggregated" in axes["scheduler"].values


def _check_pools(axes: Mapping[str, Axis], place: Place) -> None:
    """Report axes of prefill pools in sweeps that have none, or none that they can describe."""
    given = [name for name in PREFILL_AXES if name in axes]
    simulated = "replicas" in axes  # which every sweep with traffic has
    for name in given[:1]:
        if simulated and not ("prefill_replicas" in axes and any(axes["prefill_replicas"].values)):
            place.at(name).fault(
                "there is no prefill pool", "add prefill_replicas = 1 below [traffic]"
            )
        elif simulated and "prefill_ratio" in axes:
            place.at("prefill_ratio").fault("beside prefill_replicas", "leave it out")
        elif not simulated and not _disaggregates(axes):
            place.at(name).fault(
                "only a disaggregated server has a prefill pool",
                'add scheduler = "disaggregated"',
            )
        _check_beside(name, ("offload", "gpu_layers"), axes, place)


def _check_beside(name: str, others: Iterable[str], axes: Mapping[str, Axis], place: Place) -> None:
    """Report axes with values other than their defaults that exclude another axis."""
    for other in others:
        default = AXIS_INPUTS[other].default
        # 0 is a degree that is chosen for each row
        if other in axes and not set(axes[other].values) <= {default, 0}:
            place.at(name).fault(f"beside {other}", "leave out one of them")


def _check_others(axes: Mapping[str, Axis], place: Place) -> None:
    """Report axes of experts and drafts on separate devices that have no effect."""
    found = {
        kind: [name for name in own if name in axes]
        for kind, own in (("expert", EXPERT_AXES), ("draft", DRAFT_AXES))
    }
    given = [names[0] for names in found.values() if names]
    pools = [name for name in PREFILL_AXES if name in axes]
    for name in given[:1]:
        for other in (*pools[:1], *given[1:]):
            place.at(name).fault(f"beside {other}", "leave out one of them")
        if "prefill_replicas" in axes and any(axes["prefill_replicas"].values):
            place.at(name).fault("beside prefill_replicas", "leave out one of them")
        elif "scheduler" in axes and "disaggregated" in axes["scheduler"].values:
            place.at(name).fault("beside disaggregated servers", "leave out one of them")
        _check_beside(name, ("offload", "gpu_layers"), axes, place)
    missing = [(name, kind) for kind, names in found.items() for name in names[:1]]
    for name, needed in ((name, needed) for name, kind in missing for needed in NEEDED[kind]):
        if needed not in axes:
            place.at(name).fault(f"{needed} is missing", f'add {needed} = "NAME"')
    if found["expert"]:
        _check_beside(found["expert"][0], ("pp", "ep"), axes, place)
    if found["draft"] and "draft_len" in axes and not any(axes["draft_len"].values):
        place.at(found["draft"][0]).fault("no tokens are drafted", "add draft_len = 4")


def _text(value: object, place: Place, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (empty or value.strip()):
        place.fault(f"{show(value)} is not text", "write words in quotes")
        return ""
    if not empty and not (value.isprintable() and len(value) <= 200):
        place.fault(
            f"{show(value)} does not fit on a line", "write at most 200 printable characters"
        )
    return value.strip()


def _check_scales(axes: Mapping[str, Axis], what_ifs: Mapping[str, WhatIf], place: Place) -> None:
    """Report scales that take a field of some entry out of its limits."""
    for what_if in what_ifs.values():
        if what_if.mode == "scale":
            # There may be a million scales of hundreds of entries, so check only the smallest and
            # the largest, except for whole numbers, where any scale may give a fraction.
            extremes = (min(what_if.values), max(what_if.values))
            scales = what_if.values if what_if.limits.whole else extremes
            for label, base in _bases(what_if, axes):
                scale = next(
                    (scale for scale in scales if base and not what_if.limits.admits(base * scale)),
                    None,
                )
                if scale is not None:
                    place.at(what_if.key).at("scale").fault(
                        f"{scale:g} makes {what_if.key} of {label} {base * scale:g}",
                        f"it must be {what_if.limits}",
                    )
                    break


def _bases(what_if: WhatIf, axes: Mapping[str, Axis]) -> Iterable[tuple[str, float]]:
    """Yield the label of each record that a what-if scales, and the value of the field."""
    if what_if.record == "economics":
        yield "the default", getattr(loader.default_economics(), what_if.field)
        return
    axis = axes.get(what_if.record)
    for entry in axis.entries if axis else ():
        record = getattr(entry, "record", None)
        if record is None:
            return
        if what_if.record != "engine":
            yield entry.name, getattr(record(), what_if.field)
            continue
        for device in axes["device"].entries if "device" in axes else ():
            yield f"{entry.name} on {device.name}", getattr(record(device), what_if.field)
