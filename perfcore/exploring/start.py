"""Initial content of a page: models, a sweep's axes, or a run with its rows."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, cast

from perfcore.catalog import loader
from perfcore.catalog.entry import Entry
from perfcore.configuration.parameters import AUTO_DEVICES
from perfcore.errors import InputError, argument
from perfcore.exploring import rows
from perfcore.inputs import AXIS_INPUTS, PAIR_AXES, RECORDS
from perfcore.output import MANIFEST
from perfcore.reading.files import read_toml
from perfcore.reporting.opening import open_source
from perfcore.reporting.run_source import RunSource
from perfcore.reporting.source import Source
from perfcore.reporting.sweep_source import SweepSource
from perfcore.space.axes import Value, located
from perfcore.space.space import Space

MODELS: Final = ("llama-3.3-70b",)
DEVICES: Final = ("h100-sxm", "h200-sxm", "b200", "mi300x")
BATCH: Final = 32
SERIES: Final = ("device", "model", "weight_format", "tp")  # axes of which a page shows several
MOST_SHOWN: Final = 8  # combinations that it begins with
MOST_OFFERED: Final = 200  # values of an axis to pick from

_SIGNS: Final = {"scale": "*", "set": "="}  # of what-ifs on the page

State = dict[str, list[Value]]  # of axes, by name


@dataclass(frozen=True)
class Start:
    """Initial content of a page.

    Parameters
    ----------
    state
        Values of axes. Axes that are not in it have their defaults.
    own
        Entries that are not the catalogue's, and how a command names each; empty if it cannot.
    notes
        What of the sweep or run the page leaves out.
    rows
        Rows of a run or a sweep, as ``perfcore.exploring.rows`` embeds them.
    offered
        All values of the sweep or run on axes of which a page shows several.
    computes
        Whether the page computes points. It does not if rows are simulations.
    """

    state: State
    own: tuple[tuple[Entry, str], ...] = ()
    notes: tuple[str, ...] = ()
    rows: Mapping[str, Any] | None = field(default=None, repr=False)
    offered: State = field(default_factory=dict)
    computes: bool = True


def start(given: Sequence[str | Path]) -> Start:
    """Return the initial content of a page on models and at most one run or sweep file.

    Raises
    ------
    InputError
        With every fault of what is given.
    """
    sources = [one for one in given if _is_run(one) or _is_sweep(one)]
    if len(sources) > 1:
        raise InputError(
            f"{argument('given')}: {sources[0]} and {sources[1]} are both runs or sweeps; name one"
        )
    faults: list[str] = []
    models: list[tuple[Entry, str]] = []
    for one in given:
        if one in sources:
            continue
        try:
            models.append((loader.load("model", str(one)), str(one)))
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    begun = _of(sources[0]) if sources else Start({"device": list(DEVICES), "batch": [BATCH]})
    state = begun.state | ({"model": [entry.name for entry, _ in models]} if models else {})
    state.setdefault("model", list(MODELS))
    state.setdefault("device", list(DEVICES))
    own = [*begun.own, *(pair for pair in models if not _is_known(pair[0]))]
    return replace(begun, state=state, own=tuple(own))


def _is_run(given: str | Path) -> bool:
    return (Path(given) / MANIFEST).is_file()


def _is_sweep(given: str | Path) -> bool:
    """Return whether a file is a sweep file: TOML files of models have other tables."""
    path = Path(given)
    return path.suffix == ".toml" and path.is_file() and "axes" in read_toml(path)


def _of(given: str | Path) -> Start:
    source = open_source(given)
    if source.simulated:
        kind = "run" if isinstance(source, RunSource) else "sweep"
        raise InputError(
            f"{given}: is a {kind} with traffic, whose rows a page does not compute; use "
            "perfcore report"
        )
    return replace(started(source), rows=rows.embedded(source))


def started(source: Source) -> Start:
    """Return the initial content of a page on a run or a sweep, without rows."""
    if source.simulated:
        return Start({"model": list(source.axes["model"])}, computes=False)
    own: tuple[tuple[Entry, str], ...] = ()
    more: tuple[str, ...] = ()
    if isinstance(source, SweepSource):
        own = tuple(_own_entries(source.given, source.given_space))
        more = source.given_space.notes
    elif source.facts["version"] != version("perfcore"):
        made, here = source.facts["version"], version("perfcore")
        more = (f"The run was made by perfcore {made}; this page computes with {here}.",)
    known = {kind: set(loader.names(kind)) for kind in RECORDS}
    for entry, _ in own:
        known[entry.kind].add(entry.name)
    told = source.facts["spec"]["what_if"].items()
    what_ifs = {how["column"]: key + _SIGNS[how["mode"]] for key, how in told}
    every, notes = _state(source.axes, what_ifs, known)
    state, fewer = _begun(every)
    offered = {name: every.get(name, [])[:MOST_OFFERED] for name in SERIES}
    own = tuple(pair for pair in own if pair[0].name in (every | offered).get(pair[0].kind, ()))
    return Start(state, own, (*notes, *fewer, *more), offered=offered)


def _state(
    axes: Mapping[str, Sequence[Value]],
    what_ifs: Mapping[str, str],
    known: Mapping[str, set[str]],
) -> tuple[State, tuple[str, ...]]:
    """Return the values of axes that a page supports, and notes on those left out.

    ``what_ifs`` has the field and sign of each, ``device.memory_bandwidth*``, by its column.
    """
    state: State = {"sets": []}
    notes = []
    for name, listed in axes.items():
        values = list(dict.fromkeys(listed))
        if name in what_ifs and len(values) == 1:
            state["sets"].append(f"{what_ifs[name]}{values[0]}")
            continue
        if name in PAIR_AXES:
            notes.append(f"{name} is left out: this page computes servers on machines of one kind.")
            continue
        if name not in AXIS_INPUTS:
            notes.append(f"The what-if {name} has {len(values)} values; the page begins with none.")
            continue
        unknown = [value for value in values if value not in known.get(name, values)]
        if unknown:
            notes.append(f"The catalogue has no {name} {unknown[0]}: it is not computed here.")
            values = [value for value in values if value not in unknown]
        if name == "tp":
            values = [value or AUTO_DEVICES for value in values]
        if values:
            state[name] = values
    return state, tuple(notes)


def _begun(every: State) -> tuple[State, tuple[str, ...]]:
    """Return the values with which a page begins, and notes on those that wait in its pickers."""
    state, notes = dict(every), []
    shown = 1
    for name in SERIES:
        values = every.get(name, [])
        most = max(MOST_SHOWN // shown, 1)
        if len(values) > most:
            state[name] = values[:most]
            notes.append(f"{name} has {len(values)} values, of which the page begins with {most}.")
        shown *= max(min(len(values), most), 1)
    return state, tuple(notes)


def _own_entries(given: str, space: Space) -> Iterable[tuple[Entry, str]]:
    """Yield the entries of a sweep that are not the catalogue's, and their files."""
    path = Path(given)
    read = read_toml(path) if path.is_file() else {}  # the sweep has been checked
    axes = cast("dict[str, object]", read.get("axes", {}))
    files: dict[tuple[str, str], str] = {}
    for kind in RECORDS:
        listed = axes.get(kind, [])
        for item in listed if isinstance(listed, list) else [listed]:
            with contextlib.suppress(InputError):  # a table, or a group of devices
                word = located(str(item), path.parent)
                files[kind, loader.load(kind, word).name] = word
    for kind in RECORDS:
        for entry in space.spec.axis(kind).entries:
            if not _is_known(entry):
                yield entry, files.get((kind, entry.name), "")


def _is_known(entry: Entry) -> bool:
    """Return whether the catalogue has an entry."""
    return entry.name in loader.names(entry.kind) and loader.load(entry.kind, entry.name) == entry
