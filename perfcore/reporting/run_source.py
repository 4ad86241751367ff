"""A run on disk as pictures ask it: read in row groups, each reduced as it comes."""

import json
import os
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa

from perfcore.errors import InputError, argument
from perfcore.kernel.layout import Integers
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
from perfcore.runs.run import MANIFEST, Run
from perfcore.runs.workers import run_shards
from perfcore.searching.conditions import conditions
from perfcore.searching.objectives import Objective
from perfcore.searching.reductions import Best, Candidates, Front, Kept
from perfcore.space.axes import RULES, Axis, Value, WhatIf
from perfcore.space.sections import Where
from perfcore.space.space import admits

_OK: Final = Where("status", allowed=("ok",))


class RunSource(Source):
    """A run on disk, of which only the columns and row groups are read that a picture needs."""

    def __init__(self, run: Run, where: Sequence[str], workers: int | None, given: str) -> None:
        self.run = run
        spec = self._spec()
        try:
            self.name, self.description = str(spec["name"]), str(spec["description"])
            axes, what_ifs = _axes_of(spec)
            columns = cast("list[str]", run.manifest["columns"])
            self.zipped = frozenset(name for names in spec["zip"] for name in names)
            self.sampled = spec["sample"] is not None
            keeps_all = bool(spec["output"]["keep_infeasible"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{run.path / MANIFEST}: its spec is damaged ({error!r}); run the sweep again"
            ) from error
        self.where, self.workers, self.given = tuple(where), workers, given
        self.overrides = ()
        self.conditions = conditions(where, axes, what_ifs)
        self.metrics = frozenset(columns) - {axis.name for axis in axes}
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
            self.conditions += (_OK,)
            if "status" not in self.metrics:
                faults.append(f"{given}: keeps what cannot run, without status; {self.remedy}")
        if faults:
            raise InputError(faults)

    def _spec(self) -> dict[str, Any]:
        spec = self.run.manifest.get("spec")
        if not isinstance(spec, dict):
            raise InputError(f"{self.run.path / MANIFEST}: has no spec; run the sweep again")
        return spec

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """All row groups, in the order of the space."""
        found = pieces_of(self.run.data)
        if not any(piece.metadata.num_rows for piece in found):
            raise InputError(
                f"{self.given}: has no rows; `perfcore run` its sweep, or widen its conditions"
            )
        return found

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """What the run's files say about themselves."""
        texts = schema_of(self.pieces[0]).metadata or {}
        known = {key.decode().removeprefix("perfcore."): text for key, text in texts.items()}
        if "entries" not in known:
            raise InputError(f"{self.pieces[0].path}: perfcore did not write it; run again")
        return {
            "entries": json.loads(known["entries"]),
            "version": known["version"].decode(),
            "fingerprint": known["fingerprint"].decode(),
            "catalog_hash": known["catalog_hash"].decode(),
            "spec": self._spec(),
        }

    @property
    def rows(self) -> str:
        """Rows of the run, and whether it is whole."""
        part = "" if self.run.manifest.get("complete") else " of a run that was interrupted"
        return f"{self.run.rows:,} rows{part}"

    @property
    def remedy(self) -> str:
        """Write the column, or ask the sweep."""
        return (
            f"run again with {argument('overrides', ['output.columns=all'])}, "
            "or name the sweep file instead of the run: it has every column"
        )

    def axis_remedy(self, setting: str) -> str:
        """Run with the axis, or ask the sweep."""
        option = argument("overrides", [setting])
        return f"run again with {option}, or name the sweep file here with the same"

    def best(
        self, objective: Objective, by: Sequence[str], fixed: Fixed, columns: Sequence[str]
    ) -> list[Row]:
        """Return the row of each group with the best value."""
        groups = _Groups(self.axes, by)
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
        """Return the rows of each group that no other beats."""
        groups = _Groups(self.axes, by)
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
        groups: "_Groups",
        fixed: Fixed,
        columns: Sequence[str],
        make: Any,  # noqa: ANN401 - makes one of two sinks
    ) -> list[Row]:
        several = {name: value for name, value in fixed.items() if len(self.axes[name]) > 1}
        conditions_on = (*self.conditions, *where_of(several))
        todo = [piece for piece in self.pieces if may_hold(piece, conditions_on)]
        scan = _Scan(todo, objectives, groups, conditions_on, make)
        run_shards(scan, range(len(todo)), self.workers or os.cpu_count() or 1)
        if not scan.sinks:
            return []
        first, *others = scan.sinks
        for other in others:
            first.take(other.entries())
        values, numbers, places = first.entries()
        order = np.lexsort((places, *values[::-1], numbers))
        return self._rows_at(places[order], [*self.axes, *columns])

    def _rows_at(self, places: Integers, columns: Sequence[str]) -> list[Row]:
        """Return rows at places of the run, in their order."""
        starts = np.array([piece.first for piece in self.pieces])
        owners = np.searchsorted(starts, places, side="right") - 1
        found: dict[int, Row] = {}
        for owner in np.unique(owners):
            piece = self.pieces[owner]
            mine = places[owners == owner]
            names = [name for name in dict.fromkeys(columns) if name in self._written]
            table = read(piece, names).take(pa.array(mine - piece.first))
            found.update(zip(mine.tolist(), table.to_pylist(), strict=True))
        return [found[place] for place in places.tolist()]

    @cached_property
    def _written(self) -> frozenset[str]:
        return frozenset(schema_of(self.pieces[0]).names)


class _Groups:
    """Numbers of the groups that rows belong to: combinations of the values of some axes."""

    def __init__(self, axes: Mapping[str, tuple[Value, ...]], by: Sequence[str]) -> None:
        self.values = {name: axes[name] for name in by}
        self.count = 1
        self.strides: dict[str, int] = {}
        for name in reversed(by):
            self.strides[name] = self.count
            self.count *= len(axes[name])

    def of(self, table: pa.Table) -> Integers:
        """Return each row's group; every value is one of its axis."""
        numbers = np.zeros(table.num_rows, np.int64)
        for name, values in self.values.items():
            numbers += codes_of(table[name], values) * self.strides[name]
        return numbers


class _Scan:
    """Reads row groups into sinks, one a thread; one object serves all threads."""

    def __init__(
        self,
        pieces: Sequence[Piece],
        objectives: Sequence[Objective],
        groups: _Groups,
        where: Sequence[Where],
        make: Any,  # noqa: ANN401 - makes one of two sinks
    ) -> None:
        self.pieces = pieces
        self.objectives = objectives
        self.groups = groups
        self.where = where
        self.make = make
        self.conditions = list(dict.fromkeys(condition.column for condition in where))
        names = (*(objective.name for objective in objectives), *groups.values)
        self.columns = list(dict.fromkeys(names))
        self.sinks: list[Kept] = []
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.local = threading.local()

    def work(self, number: int) -> None:
        """Look at the rows of a row group."""
        if self.stopped.is_set():
            return
        if not hasattr(self.local, "sink"):
            self.local.sink = self.make()
            with self.lock:
                self.sinks.append(self.local.sink)
        piece = self.pieces[number]
        rows = self._met(piece)
        if not rows.size:
            return
        table = read(piece, self.columns)
        if rows.size < table.num_rows:
            table = table.take(pa.array(rows))
        groups = self.groups.of(table)
        values = np.empty((len(self.objectives), rows.size))
        for place, objective in enumerate(self.objectives):
            column = numbers_of(table[objective.name])
            values[place] = -column if objective.maximize else column
        self.local.sink.take(Candidates(values, groups, piece.first + rows))

    def _met(self, piece: Piece) -> Integers:
        """Return the rows of a piece that meet the conditions."""
        keep = np.ones(piece.metadata.row_group(piece.group).num_rows, np.bool_)
        if self.conditions:
            table = read(piece, self.conditions)
            for condition in self.where:
                keep &= met(table[condition.column], condition)
        return np.flatnonzero(keep)


def _axes_of(spec: Mapping[str, Any]) -> tuple[tuple[Axis, ...], list[WhatIf]]:
    """Return the axes and what-ifs of a specification in the form that a manifest has."""
    listed = {name: tuple(values) for name, values in spec["axes"].items()}
    axes = tuple(
        Axis(name, values, RULES[name].kind if name in RULES else "real")
        for name, values in listed.items()
    )
    what_ifs = []
    for key, how in spec["what_if"].items():
        record, field = key.split(".", 1)
        what_ifs.append(WhatIf(record, field, how["mode"], listed[how["column"]]))
    return axes, what_ifs
