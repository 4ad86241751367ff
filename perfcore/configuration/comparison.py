"""Comparison of configurations, given as files or as lists of values to vary."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, Unpack

from perfcore.catalog.groups import devices_of
from perfcore.columns import BY_NAME, METRICS, SOUGHT, STATUS
from perfcore.configuration.configuration import (
    KINDS,
    STACK,
    Configuration,
    faults_of,
    told,
)
from perfcore.configuration.figures import unit_of, value_of
from perfcore.configuration.frames import Frames
from perfcore.configuration.options import Compared
from perfcore.configuration.signatures import with_options
from perfcore.errors import InputError, argument, show
from perfcore.inputs import AXIS_INPUTS, PAIR_AXES, RECORDS
from perfcore.physics.stages.point import Point
from perfcore.reading.files import read_toml
from perfcore.reading.other_words import meant_by
from perfcore.reading.places import Place
from perfcore.reading.words import nearest
from perfcore.space.axes import located
from perfcore.tables import NOTEBOOK, Row, Table, html, left, plain_text, right

MOST: Final = 64
_NAME: Final = "name"
_OVERRIDES: Final = "overrides"
VARIED: Final = (*AXIS_INPUTS, *PAIR_AXES, "devices", _OVERRIDES, *STACK)  # may have several values
_UNSTATED: Final = {"eager": "false"}
_METRICS: Final = frozenset(column.name for column in METRICS)


@dataclass(frozen=True)
class Comparison(Frames):
    """Named configurations in the order given, with their results.

    ``rows`` are results of ``perfcore.evaluate``. Configurations that cannot run are never the best
    and have no ratios.
    """

    names: tuple[str, ...]
    configurations: tuple[Configuration, ...]
    rows: tuple[dict[str, float | str], ...] = field(init=False)

    def __post_init__(self) -> None:
        rows = tuple(configuration.to_dict() for configuration in self.configurations)
        object.__setattr__(self, "rows", rows)

    @cached_property
    def bounds(self) -> tuple[Point, ...]:
        """Physical bound of each configuration."""
        return tuple(configuration.bound() for configuration in self.configurations)

    @property
    def runs(self) -> tuple[bool, ...]:
        """Whether each configuration can run."""
        return tuple(row["status"] == STATUS[0] for row in self.rows)

    @property
    def differing(self) -> dict[str, tuple[float | str | None, ...]]:
        """Axes and overridden fields that differ, with the values of all configurations."""
        settings = dict.fromkeys(key for row in self.rows for key in row if key not in _METRICS)
        values = {
            key: tuple(row.get(key, _UNSTATED.get(key)) for row in self.rows) for key in settings
        }
        return {key: found for key, found in values.items() if len(set(found)) > 1}

    def best(self, metric: str) -> tuple[int, ...]:
        """Return the indices of the runnable configurations with the best value of a metric.

        The result is empty if all are equal.
        """
        values = {
            place: float(row[metric]) for place, row in enumerate(self.rows) if self.runs[place]
        }
        if len(set(values.values())) < 2:
            return ()
        choose = max if BY_NAME[metric].better == "most" else min
        limit = choose(values.values())
        return tuple(place for place, value in values.items() if value == limit)

    def ratios(self, metric: str) -> tuple[float | None, ...]:
        """Return the ratios of a metric to the first configuration's; None if either cannot run."""
        first = float(self.rows[0][metric])
        return tuple(
            float(row[metric]) / first if runs and self.runs[0] and first else None
            for row, runs in zip(self.rows, self.runs, strict=True)
        )

    def __str__(self) -> str:
        return plain_text(self._table())

    def _lines(self) -> list[dict[str, object]]:
        return [
            {"name": name, **told(row)} for name, row in zip(self.names, self.rows, strict=True)
        ]

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows: the best of each metric is bold."""
        return html(self._table(), style=NOTEBOOK)

    def _table(self) -> Table:
        names = ["status", "bound", *SOUGHT]
        lines = []
        styles: dict[tuple[int, int], str] = {}
        for number, name in enumerate(names):
            cells = [
                value_of(row, name) if runs or name == "status" else "-"
                for row, runs in zip(self.rows, self.runs, strict=True)
            ]
            lines.append(Row((name, unit_of(name), *cells)))
            if name in SOUGHT:
                styles |= {(number, place + 2): "bold" for place in self.best(name)}
        return Table((*left("column", "unit"), *right(*self.names)), lines, styles=styles)

    def to_dict(self) -> dict[str, object]:
        """Return names, rows, bounds, the best and ratios, for JSON."""
        return {
            "names": list(self.names),
            "rows": [told(row) for row in self.rows],
            "bound_tpot_s": [
                bound.tpot_s if runs else None
                for bound, runs in zip(self.bounds, self.runs, strict=True)
            ],
            "best": {metric: [self.names[n] for n in self.best(metric)] for metric in SOUGHT},
            "ratio_to_first": {metric: list(self.ratios(metric)) for metric in SOUGHT},
        }


class _Base(NamedTuple):
    """Parameters from a file, a mapping, the name of a model, or a configuration."""

    name: str
    place: str  # prefix of faults; empty for options
    fields: dict[str, Any]


@with_options(Compared, {})
def compare(
    *subjects: str | Path | Mapping[str, object] | Configuration, **options: Unpack[Compared]
) -> Comparison:
    """Return a comparison of configurations.

    ``perfcore.compare("llama-3-70b", device=["h100-sxm", "b200"], tp=8).best("tpot_s")``

    Parameters
    ----------
    subjects
        TOML files with one configuration each, equivalent mappings, ``Configuration`` objects, or
        names of models. The keys of a file are the parameters of ``Configuration``, and ``name``.
    options
        Parameters of ``Configuration``. Every value of a list makes a configuration, as does every
        value of a what-if in ``overrides``; a single configuration with overrides is compared with
        itself without them. Options take precedence over subjects.

    Raises
    ------
    InputError
        There are faults, all of which are listed; or there are fewer than two configurations, or
        too many.
    """
    faults: list[str] = []
    given = _options(options, faults)
    bases = [
        base
        for number, subject in enumerate(subjects, 1)
        for base in _bases(subject, number, given, faults)
    ]
    if not subjects:
        bases = [_Base("", "", {})]
    if len(bases) == 1:
        bases = [bases[0]._replace(name="")]
    found: list[tuple[str, Configuration]] = []
    sound = not faults
    for base in bases:
        missing = [name for name in KINDS[:2] if name not in base.fields and name not in given]
        for name in missing:
            where = (
                f"{base.place}: key '{name}' is missing" if base.place else f"no {name} is given"
            )
            faults.append(f"{where}; add one (perfcore {name}s lists all)")
        if missing or not sound:
            continue
        varied = _varied(given, alone=len(bases) == 1)
        count = len(bases)
        for values in varied.values():
            count *= len(values)
        if count > MOST:
            raise InputError(
                f"compare: {count} configurations are more than {MOST}; list fewer values, "
                "or write a sweep (perfcore run)"
            )
        found += _made(base, varied, faults)
    if faults:
        raise InputError(dict.fromkeys(faults))
    if len(found) < 2:
        raise InputError(
            "compare: only one configuration is given; give two files, "
            f"or several values, e.g. {argument('device', ['h100-sxm', 'b200'])}"
        )
    return Comparison(
        _unique([name for name, _ in found]), tuple(configuration for _, configuration in found)
    )


def _options(options: Mapping[str, object], faults: list[str]) -> dict[str, list[Any]]:
    """Return the values of each option, each checked on its own."""
    found: dict[str, list[Any]] = {}
    for name, given in options.items():
        if name not in VARIED:
            Place("compare", "", faults).unknown("option", name, VARIED, meant_by(name, VARIED))
            continue
        values = [given]
        if isinstance(given, Sequence) and not isinstance(given, str):
            values = list(given)
        if not values:
            faults.append(f"{name}: [] is empty; give at least one value")
        if name == _OVERRIDES:
            values = [each for value in values for each in _spread(value)]
        if name == KINDS[1]:
            values = [each for value in values for each in _devices(value)]
        for value in values:
            faults += faults_of(name, value)
        found[name] = values
    return found


def _devices(given: object) -> Iterator[object]:
    """Yield the devices that a word stands for, such as a vendor; otherwise what is given."""
    group = devices_of(given) if isinstance(given, str) and faults_of(KINDS[1], given) else ()
    yield from (entry.name for entry in group) if group else (given,)


def _spread(overrides: object) -> Iterator[object]:
    """Yield the overrides of every combination of values, where some are lists."""
    if not isinstance(overrides, Mapping):
        yield overrides
        return
    for values in itertools.product(*(_values(value) for value in overrides.values())):
        yield dict(zip(overrides, values, strict=True))


def _values(given: object) -> list[object]:
    """Return the values of a what-if: a list's, those of a list of factors, or the only one."""
    if isinstance(given, list | tuple):
        return list(given)
    if isinstance(given, Mapping) and isinstance(given.get("scale"), list | tuple):
        return [{**given, "scale": factor} for factor in given["scale"]]
    return [given]


def _bases(
    subject: object, number: int, given: Mapping[str, list[Any]], faults: list[str]
) -> Iterator[_Base]:
    if isinstance(subject, Configuration):
        fields = {name: getattr(subject, name) for name in VARIED}
        yield _Base("", f"configuration {number}", fields)
        return
    if isinstance(subject, Mapping):
        yield _checked(f"configuration {number}", "", subject, Path(), faults)
        return
    name = str(subject)
    if name.lower().endswith(".toml"):
        try:
            tables = read_toml(name)
        except InputError as error:
            faults += error.faults
            return
        if not _is_catalogue(tables):
            path = Path(name)
            yield _checked(name, path.stem, tables, path.parent, faults)
            return
    if "model" in given:
        faults.append(
            f"{name}: a model, beside model = {show(given['model'])}; leave out one of them"
        )
    faults += faults_of("model", name)
    yield _Base(name, "", {"model": name})


def _is_catalogue(tables: Mapping[str, object]) -> bool:
    """Return whether a file holds catalogue entries (tables only) instead of a configuration."""
    return bool(tables) and all(
        isinstance(table, Mapping) and key not in VARIED for key, table in tables.items()
    )


def _checked(
    place: str, name: str, given: Mapping[str, object], folder: Path, faults: list[str]
) -> _Base:
    """Return the parameters in a file or mapping, each value checked."""
    fields: dict[str, Any] = {}
    for key, value in given.items():
        spelled = str(key).replace("-", "_")  # as for options
        if spelled == _NAME:
            if isinstance(value, str) and value.strip():
                name = value.strip()
            else:
                faults.append(f"{place}: name: {show(value)} is not a name; write it in quotes")
            continue
        if spelled not in VARIED:
            Place(place, "", faults).unknown("key", str(key), (*VARIED, _NAME))
            fields.setdefault(nearest(spelled, VARIED), None)  # misspelled, so not missing
            continue
        if isinstance(value, list):
            faults.append(
                f"{place}: {key}: {show(value)} is a list, and a file holds one configuration; "
                f"give one value here, or several as an option ({spelled})"
            )
            fields[spelled] = None
            continue
        if fields.get(spelled) is not None:
            faults.append(f"{place}: {key}: is given twice; leave out one of them")
        if spelled == _OVERRIDES and isinstance(value, Mapping):
            value = _flat(value)  # noqa: PLW2901
        if spelled in KINDS and isinstance(value, str):
            value = located(value, folder)  # noqa: PLW2901
        faults += [f"{place}: {fault}" for fault in faults_of(spelled, value)]
        fields[spelled] = value
    return _Base(name, place, fields)


def _flat(overrides: Mapping[str, object]) -> dict[str, object]:
    """Return overrides with nested tables as dotted keys, e.g. ``device.memory_bandwidth``."""
    found: dict[str, object] = {}
    for key, value in overrides.items():
        if key in RECORDS and isinstance(value, Mapping):
            found |= {f"{key}.{inner}": item for inner, item in value.items()}
        else:
            found[key] = value
    return found


def _varied(given: Mapping[str, list[Any]], *, alone: bool) -> dict[str, list[Any]]:
    """Return the values of each option; one configuration with overrides is also without them."""
    varied = {name: given[name] for name in VARIED if name in given}
    if alone and _OVERRIDES in varied and all(len(values) == 1 for values in varied.values()):
        varied[_OVERRIDES] = [{}, *varied[_OVERRIDES]]
    return varied


def _made(
    base: _Base, varied: Mapping[str, Sequence[Any]], faults: list[str]
) -> Iterator[tuple[str, Configuration]]:
    """Yield the configuration for every combination of values, with its name."""
    several = [name for name, values in varied.items() if len(values) > 1]
    for values in itertools.product(*varied.values()):
        chosen = dict(zip(varied, values, strict=True))
        fields = {**base.fields, **chosen}
        if _OVERRIDES in chosen:
            fields[_OVERRIDES] = {**base.fields.get(_OVERRIDES, {}), **chosen[_OVERRIDES]}
        try:
            configuration = Configuration(**fields)
        except InputError as error:
            place = f"{base.place}: " if base.place else ""
            faults += [f"{place}{fault}" for fault in error.faults]
            continue
        told = [base.name, *(_told(name, configuration) for name in several)]
        if not any(told):
            told = [str(configuration.labels["model"]), str(configuration.labels["device"])]
        yield ", ".join(filter(None, told)), configuration


def _told(name: str, configuration: Configuration) -> str:
    """Return the part of a configuration's name for one of several values."""
    if name == _OVERRIDES:
        return (
            ", ".join(
                f"{w.key} {'x' if w.mode == 'scale' else '='} {w.values[0]:g}"
                for w in configuration.what_ifs
            )
            or "as it is"
        )
    if name not in AXIS_INPUTS:
        return f"{name} {getattr(configuration, name)}"
    if name in KINDS or AXIS_INPUTS[name].choices:
        return str(configuration.labels[name])
    return f"{name} {configuration.labels[name]}"


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Return names with a number after each duplicate."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(f"{name} ({seen[name]})" if names.count(name) > 1 else name)
    return tuple(found)
