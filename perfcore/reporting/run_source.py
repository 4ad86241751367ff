"""Run on disk as a source of pictures: row groups are read and reduced one at a time."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa

from perfcore.columns import BY_NAME, results_of
from perfcore.errors import InputError, argument, show
from perfcore.inputs import AXIS_INPUTS, ENTRY_AXES, PAIR_AXES, TRAFFIC_INPUTS
from perfcore.kernel.layout import Integers
from perfcore.output import MANIFEST
from perfcore.reporting.pieces import (
    Piece,
    codes_of,
    may_hold,
    met,
    numbers_of,
    pieces_of,
    read,
    schema_of,
)
from perfcore.reporting.source import Fixed, Row, Source, where_of
from perfcore.runs.facts import read_facts
from perfcore.runs.run import Run
from perfcore.searching.conditions import conditions
from perfcore.searching.groups import Groups
from perfcore.searching.objectives import Objective
from perfcore.searching.reductions import Best, Candidates, Front, Kept
from perfcore.searching.scan import Scan, places_in_order
from perfcore.space.axes import Axis, Kind, Value, WhatIf
from perfcore.space.sections import Where
from perfcore.space.space import admits

_RUNS: Final = Where("status", allowed=("ok", "overloaded"))


class RunSource(Source):
    """Run on disk; only the columns and row groups that a picture needs are read."""

    def __init__(self, run: Run, where: Sequence[str], workers: int | None, given: str) -> None:
        self.run = run
        place = str(run.path / MANIFEST)
        told = read_facts(place, None, run.manifest)
        spec = told.spec
        try:
            self.name, self.description = str(spec["name"]), str(spec["description"])
            axes, what_ifs = _axes_of(spec)
            self.zipped = frozenset(name for names in spec["zip"] for name in names)
            self.sampled = spec["sample"] is not None
            keeps_all = bool(spec["output"]["keep_infeasible"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{place}: its spec is damaged ({error!r}); run again") from error
        simulated = spec.get("traffic") is not None
        there = {axis.name for axis in axes}
        needed = ENTRY_AXES if simulated else AXIS_INPUTS.values()
        lacking = [rule.name for rule in needed if rule.name not in there]
        if lacking:
            raise InputError(
                f"{place}: its spec has no axis {lacking[0]}; run the sweep again, or name the "
                "sweep file instead of the run"
            )
        self.where, self.workers, self.given = tuple(where), workers, given
        self.overrides = ()
        self.conditions = conditions(where, axes, what_ifs, results_of(simulated=simulated))
        self.columns = tuple(told.columns)
        self.metrics = frozenset(self.columns) - {axis.name for axis in axes}
        self.axes = {
            axis.name: tuple(
                value
                for value in dict.fromkeys(axis.values)
                if all(
                    admits(w, frozenset(w.allowed), value)
                    for w in self.conditions
                    if w.column == axis.name
                )
            )
            for axis in axes
        }
        faults = [
            f"{argument('where')}: the run has no column {condition.column}; {self.remedy}"
            for condition in self.conditions
            if condition.column not in {*self.metrics, *self.axes}
        ]
        faults += [
            f"{argument('where')}: no value of {name} meets the conditions; widen them"
            for name, values in self.axes.items()
            if not values
        ]
        if keeps_all:
            self.conditions += (_RUNS,)
            if "status" not in self.metrics:
                faults.append(
                    f"{given}: has rows that cannot run, but no column status; {self.remedy}"
                )
        if faults:
            raise InputError(faults)

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """All row groups, in the order of the space."""
        found = pieces_of(self.run)
        if not any(piece.metadata.num_rows for piece in found):
            raise InputError(
                f"{self.given}: has no rows; `perfcore run` its sweep, or widen its conditions"
            )
        schema = schema_of(found[0])
        for name in self.columns:
            if name not in schema.names:
                raise InputError(
                    f"{found[0].path}: has no column {show(name)}, which {MANIFEST} lists; run the "
                    "sweep again"
                )
            kind = schema.field(name).type
            if _is_text(kind) != self._text(name) or not (_is_text(kind) or _is_number(kind)):
                raise InputError(
                    f"{found[0].path}: column {show(name)} has values of type {kind}; run the "
                    "sweep again"
                )
        return found

    def _text(self, name: str) -> bool:
        """Return whether a column is text."""
        if name in self.axes:
            return isinstance(self.axes[name][0], str)
        return name in BY_NAME and BY_NAME[name].text

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """Metadata in the run's files."""
        piece = self.pieces[0]
        return read_facts(str(piece.path), schema_of(piece), self.run.manifest).model_dump()

    @property
    def rows(self) -> str:
        """Number of rows, with a remark if the run is not complete."""
        part = "" if self.run.manifest.get("complete") else " of an unfinished run"
        return f"{self.run.rows:,} rows{part}"

    @property
    def remedy(self) -> str:
        """Remedy for a missing column: write it, or name the sweep."""
        return (
            f"run again with {argument('overrides', ['output.columns=all'])}, "
            "or name the sweep file instead of the run: it has every column"
        )

    def axis_remedy(self, setting: str) -> str:
        """Return the remedy for a missing axis: run with it, or name the sweep."""
        option = argument("overrides", [setting])
        return f"run again with {option}, or name the sweep file here with the same setting"

    def best(
        self, objective: Objective, by: Sequence[str], fixed: Fixed, columns: Sequence[str]
    ) -> list[Row]:
        """Return the row of each group with the best value."""
        groups = Groups({name: self.axes[name] for name in by})
        return self._chosen(
            [objective], groups, fixed, columns, lambda: Best(groups.count, 1, np.float64)
        )

    def front(
        self,
        objectives: Sequence[Objective],
        by: Sequence[str],
        fixed: Fixed,
        columns: Sequence[str],
    ) -> list[Row]:
        """Return the Pareto front of each group."""
        groups = Groups({name: self.axes[name] for name in by})
        return self._chosen(
            objectives,
            groups,
            fixed,
            columns,
            lambda: Front(groups.count, len(objectives), np.float64),
        )

    def _chosen(
        self,
        objectives: Sequence[Objective],
        groups: Groups,
        fixed: Fixed,
        columns: Sequence[str],
        make: Callable[[], Kept],
    ) -> list[Row]:
        several = {name: value for name, value in fixed.items() if len(self.axes[name]) > 1}
        conditions_on = (*self.conditions, *where_of(several))
        todo = [piece for piece in self.pieces if may_hold(piece, conditions_on)]
        scan = _FileScan(todo, objectives, groups, conditions_on, make)
        kept = scan.over(range(len(todo)), self.workers)
        return self.rows_at(places_in_order(kept), [*self.axes, *columns])

    def rows_at(self, places: Integers, columns: Sequence[str]) -> list[Row]:
        """Return rows at places of the run, in their order."""
        starts = np.array([piece.first for piece in self.pieces])
        owners = np.searchsorted(starts, places, side="right") - 1
        found: dict[int, Row] = {}
        for owner in np.unique(owners):
            piece = self.pieces[owner]
            mine = places[owners == owner]
            names = [name for name in dict.fromkeys(columns) if name in self.written]
            table = read(piece, names).take(pa.array(mine - piece.first))
            found.update(zip(mine.tolist(), table.to_pylist(), strict=True))
        return [found[place] for place in places.tolist()]

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.run.rows

    def at(self, fixed: Mapping[str, Value]) -> "RunSource":
        """Return the rows with axes at values, sharing what was read from the files."""
        found = copy(self)
        found.axes = self.axes | {name: (value,) for name, value in fixed.items()}
        found.conditions = (*self.conditions, *where_of(fixed))
        return found

    def sample(self, most: int, columns: Sequence[str]) -> tuple[list[Row], int]:
        """Return evenly chosen rows that meet the conditions, and the number of all of these."""
        where = [condition for condition in self.conditions if condition is not _RUNS]
        places = np.concatenate(
            [piece.first + _met(piece, where) for piece in self.pieces if may_hold(piece, where)]
            or [np.empty(0, np.int64)]
        )
        chosen = np.linspace(0, places.size - 1, min(places.size, most)).astype(np.int64)
        return self.rows_at(places[np.unique(chosen)], columns), places.size

    @cached_property
    def written(self) -> frozenset[str]:
        """Names of the columns in the files."""
        return frozenset(schema_of(self.pieces[0]).names)


class _FileScan(Scan[Kept]):
    """Scan of row groups into reductions."""

    def __init__(
        self,
        pieces: Sequence[Piece],
        objectives: Sequence[Objective],
        groups: Groups,
        where: Sequence[Where],
        make: Callable[[], Kept],
    ) -> None:
        super().__init__(make)
        self.pieces = pieces
        self.objectives = objectives
        self.groups = groups
        self.where = where
        names = (*(objective.name for objective in objectives), *groups.axes)
        self.columns = list(dict.fromkeys(names))

    def look(self, part: int, sink: Kept) -> None:
        """Read a row group, and reduce the rows that meet the conditions."""
        piece = self.pieces[part]
        rows = _met(piece, self.where)
        if not rows.size:
            return
        table = read(piece, self.columns)
        if rows.size < table.num_rows:
            table = table.take(pa.array(rows))
        places = {
            name: codes_of(table[name], tuple(values)) for name, values in self.groups.axes.items()
        }
        values = np.empty((len(self.objectives), rows.size))
        for place, objective in enumerate(self.objectives):
            column = numbers_of(table[objective.name])
            values[place] = -column if objective.maximize else column
        groups = self.groups.numbers(places, rows.size)
        sink.take(Candidates(values, groups, piece.first + rows))


def _met(piece: Piece, where: Sequence[Where]) -> Integers:
    """Return the rows of a piece that meet conditions."""
    keep = np.ones(piece.metadata.row_group(piece.group).num_rows, np.bool_)
    if where:
        table = read(piece, list(dict.fromkeys(condition.column for condition in where)))
        for condition in where:
            keep &= met(table[condition.column], condition)
    return np.flatnonzero(keep)


def _is_text(kind: pa.DataType) -> bool:
    text = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(text) or pa.types.is_large_string(text))


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    )


def _kind_of(name: str, values: tuple[Value, ...]) -> Kind:
    """Return the kind of an axis, numeric or not."""
    if isinstance(values[0], str):
        return "categorical"
    rule = AXIS_INPUTS.get(name) or PAIR_AXES.get(name) or TRAFFIC_INPUTS.get(name)
    return rule.kind if rule else "real"


def _axes_of(spec: Mapping[str, Any]) -> tuple[tuple[Axis, ...], list[WhatIf]]:
    """Return the axes and what-ifs of a specification in the form of a manifest."""
    listed = {name: tuple(values) for name, values in spec["axes"].items()}
    shortened = [name for name, values in spec["axes"].items() if isinstance(values, dict)]
    if shortened:
        raise ValueError(f"axis {shortened[0]} has no list of values")
    axes = tuple(Axis(name, values, _kind_of(name, values)) for name, values in listed.items())
    what_ifs = []
    for key, how in spec["what_if"].items():
        record, field = key.split(".", 1)
        what_ifs.append(WhatIf(record, field, how["mode"], listed[how["column"]]))
    return axes, what_ifs
