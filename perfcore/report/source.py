"""Where a picture's numbers come from: a sweep that is evaluated, or a run that is read.

Both answer the same two questions, by the same compiled selection: which row of each group is the
best, and which rows no other beats. Rows are looked at once and gone, so that memory depends on
the answer, not on how many there are.
"""

import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from perfcore.api import as_space
from perfcore.axes import RULES, Axis, Value, WhatIf
from perfcore.columns import METRICS
from perfcore.engine import run_shards
from perfcore.errors import InputError
from perfcore.run import MANIFEST, Run, facts, open_run
from perfcore.searching import (
    Best,
    Entries,
    Front,
    Integers,
    Kept,
    Objective,
    conditions,
    find_best,
    find_front,
    kept,
)
from perfcore.sections import Where
from perfcore.space import Space, admits, distinct

Row = dict[str, Any]
Fixed = Mapping[str, Value | tuple[Value, ...]]

_OK: Final = Where("status", allowed=("ok",))


class Source(ABC):
    """A sweep or a run, as far as pictures ask.

    ``axes`` has the values of every axis that conditions leave, ``metrics`` the columns that rows
    have, ``zipped`` the axes that move with others, and ``command`` what to type for the same rows.
    """

    name: str
    description: str
    axes: dict[str, tuple[Value, ...]]
    metrics: frozenset[str]
    zipped: frozenset[str]
    sampled: bool
    where: tuple[str, ...]
    overrides: tuple[str, ...]
    given: str

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What a run's files say about themselves: specification, entries, fingerprint, version."""

    @property
    @abstractmethod
    def rows(self) -> str:
        """How many rows there are, in words."""

    @property
    @abstractmethod
    def remedy(self) -> str:
        """How to get a column that is missing."""

    @abstractmethod
    def axis_remedy(self, setting: str) -> str:
        """How to get an axis that is missing; ``setting`` is what ``--set`` would take."""

    @abstractmethod
    def best(
        self, objective: Objective, by: Sequence[str], fixed: Fixed, columns: Sequence[str]
    ) -> list[Row]:
        """Return the row of each group with the best value, its axes and some columns."""

    @abstractmethod
    def front(
        self,
        objectives: Sequence[Objective],
        by: Sequence[str],
        fixed: Fixed,
        columns: Sequence[str],
    ) -> list[Row]:
        """Return the rows of each group that no other beats."""

    def entry(self, axis: str, label: Value) -> Mapping[str, Any]:
        """Return a catalogue entry as the facts have it."""
        found: Mapping[str, Any] = self.facts["entries"][axis][str(label)]
        return found

    @property
    def line(self) -> str:
        """Where the numbers come from, for the foot of a picture."""
        engines = ", ".join(map(str, self.axes["engine"]))
        fingerprint = str(self.facts["fingerprint"])[:12]
        return (
            f"perfcore {self.facts['version']} · {self.name} · fingerprint {fingerprint} · "
            f"engine {engines} · {self.rows}"
        )


class SweepSource(Source):
    """A sweep, evaluated by the kernel as often as a picture asks."""

    def __init__(self, space: Space, where: Sequence[str], workers: int | None, given: str) -> None:
        self.space = kept(space, conditions(where, space.spec.axes, space.spec.what_ifs))
        spec = space.spec
        self.name, self.description = spec.name, spec.description
        self.axes = {axis.name: tuple(distinct(axis)) for axis in self.space.axes}
        self.metrics = frozenset(column.name for column in METRICS)
        self.zipped = frozenset(name for names in spec.zips for name in names)
        self.sampled = spec.sample is not None
        self.where, self.workers, self.given = tuple(where), workers, given
        self.overrides = ()

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """What a run's files would say about themselves."""
        return facts(self.space)

    @property
    def rows(self) -> str:
        """Rows of the sweep."""
        return f"{self.space.rows:,} configurations"

    @property
    def remedy(self) -> str:
        """Never needed: a sweep has every column."""
        return "name a column of `perfcore columns`"

    def axis_remedy(self, setting: str) -> str:
        """The option that adds the axis."""
        return f"add --set '{setting}'"

    def best(
        self,
        objective: Objective,
        by: Sequence[str],
        fixed: Fixed,
        columns: Sequence[str],  # noqa: ARG002 - rows come with all of them
    ) -> list[Row]:
        """Return the row of each group with the best value."""
        narrow = kept(self.space, _where(fixed))
        found = find_best(narrow, objective, (), by, 1, self.workers)
        return cast("list[Row]", found.rows.to_pylist())

    def front(
        self,
        objectives: Sequence[Objective],
        by: Sequence[str],
        fixed: Fixed,
        columns: Sequence[str],  # noqa: ARG002 - rows come with all of them
    ) -> list[Row]:
        """Return the rows of each group that no other beats."""
        narrow = kept(self.space, _where(fixed))
        found = find_front(narrow, objectives, (), by, self.workers)
        return cast("list[Row]", found.rows.to_pylist())


class _Piece(NamedTuple):
    """A row group of a data file, and the place of its first row in the run."""

    path: Path
    group: int
    first: int


class RunSource(Source):
    """A run on disk, of which only the columns and row groups are read that a picture needs."""

    def __init__(self, run: Run, where: Sequence[str], workers: int | None, given: str) -> None:
        self.run = run
        spec = self._spec()
        self.name, self.description = str(spec["name"]), str(spec["description"])
        listed = {name: tuple(values) for name, values in spec["axes"].items()}
        what_ifs = [
            WhatIf(*key.split(".", 1), how["mode"], listed[how["column"]])  # type: ignore[call-arg]
            for key, how in spec["what_if"].items()
        ]
        axes = tuple(Axis(name, values, _kind(name)) for name, values in listed.items())
        self.conditions = conditions(where, axes, what_ifs)
        named = run.manifest["columns"]
        columns = cast("list[str]", named)
        self.metrics = frozenset(columns) - set(listed)
        self.axes = {
            axis.name: tuple(
                value
                for value in dict.fromkeys(axis.values)
                if all(admits(w, value) for w in self.conditions if w.column == axis.name)
            )
            for axis in axes
        }
        faults = [
            f"--where: the run has no column {condition.column}; {self.remedy}"
            for condition in self.conditions
            if condition.column not in {*self.metrics, *self.axes}
        ]
        faults += [
            f"--where: no value of {name} meets the conditions; widen them"
            for name, values in self.axes.items()
            if not values
        ]
        if spec["output"]["keep_infeasible"]:
            self.conditions += (_OK,)
            if "status" not in self.metrics:
                faults.append(f"{given}: keeps what cannot run, without status; {self.remedy}")
        if faults:
            raise InputError(faults)
        self.zipped = frozenset(name for names in spec["zip"] for name in names)
        self.sampled = spec["sample"] is not None
        self.where, self.workers, self.given = tuple(where), workers, given
        self.overrides = ()

    def _spec(self) -> dict[str, Any]:
        spec = self.run.manifest.get("spec")
        if not isinstance(spec, dict):
            raise InputError(f"{self.run.path / MANIFEST}: has no spec; run the sweep again")
        return spec

    @cached_property
    def pieces(self) -> tuple[_Piece, ...]:
        """All row groups, in the order of the space."""
        found = []
        first = 0
        for path in sorted(self.run.data.glob("*.parquet")):
            metadata = _read_metadata(path)
            for group in range(metadata.num_row_groups):
                found.append(_Piece(path, group, first))
                first += metadata.row_group(group).num_rows
        if not first:
            raise InputError(
                f"{self.given}: has no rows; `perfcore run` its sweep, or widen its conditions"
            )
        return tuple(found)

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """What the run's files say about themselves."""
        texts = _read_schema(self.pieces[0].path).metadata or {}
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
            "run again with --set output.columns=all, "
            "or name the sweep file instead of the run: it has every column"
        )

    def axis_remedy(self, setting: str) -> str:
        """Run with the axis, or ask the sweep."""
        return f"run again with --set '{setting}', or name the sweep file here with that option"

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
        conditions_on = (*self.conditions, *_where(fixed))
        todo = [piece for piece in self.pieces if _may_hold(piece, conditions_on)]
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
            table = _read(piece, names).take(pa.array(mine - piece.first))
            found.update(zip(mine.tolist(), table.to_pylist(), strict=True))
        return [found[place] for place in places.tolist()]

    @cached_property
    def _written(self) -> frozenset[str]:
        return frozenset(_read_schema(self.pieces[0].path).names)


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
        """Return each row's group, -1 of those in none."""
        numbers = np.zeros(table.num_rows, np.int64)
        outside = np.zeros(table.num_rows, np.bool_)
        for name, values in self.values.items():
            codes = _codes(table[name], values)
            outside |= codes < 0
            numbers += codes * self.strides[name]
        numbers[outside] = -1
        return numbers


class _Scan:
    """Reads row groups into sinks, one a thread; one object serves all threads."""

    def __init__(
        self,
        pieces: Sequence[_Piece],
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
        self.columns = list(
            dict.fromkeys(
                [
                    *(objective.name for objective in objectives),
                    *groups.values,
                    *(condition.column for condition in where),
                ]
            )
        )
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
        table = _read(piece, self.columns)
        groups = self.groups.of(table)
        keep = groups >= 0
        for condition in self.where:
            keep &= _met(table[condition.column], condition)
        rows = np.flatnonzero(keep)
        values = np.empty((len(self.objectives), rows.size))
        for place, objective in enumerate(self.objectives):
            column = _numbers(table[objective.name])[rows]
            values[place] = -column if objective.maximize else column
        self.local.sink.take(Entries(values, groups[rows], piece.first + rows))


def open_source(
    given: str | Path | Mapping[str, object] | Space,
    where: Iterable[str] = (),
    overrides: Iterable[str] = (),
    workers: int | None = None,
) -> Source:
    """Return the source that a directory of ``perfcore run`` or a sweep is.

    Parameters
    ----------
    given
        A run's directory, a sweep file, a mapping laid out like one, or a ``Space``.
    where
        Conditions, e.g. ``model=llama-3-70b`` or ``tpot_s<=50ms``.
    overrides
        ``key=value`` each; they win over the sweep file.
    workers
        Threads, all processors by default.

    Raises
    ------
    InputError
        With every fault of the specification or the conditions.
    """
    overrides, where = tuple(overrides), tuple(where)
    if isinstance(given, str | Path) and Path(given).is_dir():
        if overrides:
            raise InputError(
                f"--set: {given} is a run, which is as it was written; name its sweep file"
            )
        return RunSource(open_run(given), where, workers, str(given))
    name = str(given) if isinstance(given, str | Path) else "SPEC"
    source = SweepSource(as_space(given, overrides), where, workers, name)
    source.overrides = overrides
    return source


def _kind(name: str) -> Any:  # noqa: ANN401 - a literal of three
    return RULES[name].kind if name in RULES else "real"


def _where(fixed: Fixed) -> tuple[Where, ...]:
    return tuple(
        Where(name, allowed=value if isinstance(value, tuple) else (value,))
        for name, value in fixed.items()
    )


def _codes(column: pa.ChunkedArray, values: tuple[Value, ...]) -> Integers:
    """Return the places of a column's values among those of its axis, -1 of others."""
    if pa.types.is_dictionary(column.type):
        column = column.combine_chunks()
        array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        place = {value: code for code, value in enumerate(values)}
        codes = np.array([place.get(label, -1) for label in array.dictionary.to_pylist()], np.int64)
        found: Integers = codes[np.asarray(array.indices)]
        return found
    known = np.array(values, np.float64)
    order = np.argsort(known)
    numbers = _numbers(column)
    nearest = np.minimum(np.searchsorted(known, numbers, sorter=order), known.size - 1)
    places = order[nearest]
    return np.where(known[places] == numbers, places, -1)


def _met(column: pa.ChunkedArray, condition: Where) -> npt.NDArray[np.bool_]:
    if condition.allowed:
        return _codes(column, condition.allowed) >= 0
    numbers = _numbers(column)
    low = -np.inf if condition.minimum is None else condition.minimum
    high = np.inf if condition.maximum is None else condition.maximum
    return (numbers >= low) & (numbers <= high)


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(column.to_numpy(), np.float64)


def _may_hold(piece: _Piece, where: Sequence[Where]) -> bool:
    """Whether a row group can hold rows that meet conditions, by its statistics."""
    metadata = _read_metadata(piece.path).row_group(piece.group)
    listed = {metadata.column(place).path_in_schema: place for place in range(metadata.num_columns)}
    for condition in where:
        place = listed.get(condition.column)
        found = None if place is None else metadata.column(place).statistics
        if found is None or not found.has_min_max:
            continue
        low, high = found.min, found.max
        if condition.allowed and not any(
            isinstance(value, str) == isinstance(low, str) and low <= value <= high
            for value in condition.allowed
        ):
            return False
        if condition.minimum is not None and high < condition.minimum:
            return False
        if condition.maximum is not None and low > condition.maximum:
            return False
    return True


def _file(path: Path, metadata: pq.FileMetaData | None = None) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, metadata=metadata)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read ({error}); run the sweep again") from error


_METADATA: dict[tuple[Path, int, int], pq.FileMetaData] = {}


def _read_metadata(path: Path) -> pq.FileMetaData:
    status = path.stat()
    key = (path, status.st_mtime_ns, status.st_size)
    if key not in _METADATA:
        _METADATA[key] = _file(path).metadata
    return _METADATA[key]


def _read_schema(path: Path) -> pa.Schema:
    return _file(path).schema_arrow


def _read(piece: _Piece, columns: Sequence[str]) -> pa.Table:
    try:
        with _file(piece.path, _read_metadata(piece.path)) as file:
            return file.read_row_group(piece.group, columns=list(columns))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{piece.path}: cannot be read ({error}); run the sweep again") from error
