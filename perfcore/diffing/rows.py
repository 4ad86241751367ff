"""Comparison of two sweeps: which rows changed, by how much, and which constants differ.

Rows are paired by their axes in DuckDB, which spills to disk, so neither side is ever in memory as
Python objects. Axes with a single value on each side do not take part in pairing, so that two
engines or two releases of a catalogue can be compared. If these values differ, they are a cause.
"""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa

from perfcore.diffing.facts import (
    Change,
    Side,
    changes_of_entries,
    changes_of_spec,
    changes_of_versions,
)
from perfcore.errors import InputError, OutputError, argument
from perfcore.reading.words import suggest
from perfcore.runs.dataset import needed
from perfcore.space.axes import DEGREES

MEMORY: Final = "2GB"  # limit of DuckDB; more goes to a temporary file
WORST: Final = 3  # rows shown per metric
_ALWAYS: Final = '"of the sweep"'  # a constant column: a sweep may have no other key


class Moved(NamedTuple):
    """Statistics of a metric over the rows in which it changed.

    Changes are relative to the magnitude of the first side: ``(after - before) / |before|``. They
    exist only if the first value is finite and not 0; ``without_change`` counts the other rows.
    """

    metric: str
    rows: int
    rose: int
    median: float | None  # of the magnitudes of changes
    largest: float | None  # change of the largest magnitude, with its sign
    without_change: int
    worst: list[dict[str, object]]  # axes that identify the row, before, after, change


class Switch(NamedTuple):
    """Number of rows in which a text became another, e.g. ``bound``."""

    metric: str
    before: str
    after: str
    rows: int


class OnlyIn(NamedTuple):
    """Rows on one side only: their number, and how many the other side left out."""

    rows: int
    left_out: int  # the other side has the values of their axes, but not these rows
    examples: list[dict[str, object]]


@dataclass(frozen=True)
class Diff:
    """Differences between two sides, and their causes."""

    before: Side
    after: Side
    pairs: int
    moved: int
    metrics: list[Moved]
    switches: list[Switch]
    only_before: OnlyIn
    only_after: OnlyIn
    keys: list[str]
    uncompared: dict[str, list[str]]  # columns on one side only
    changes: list[Change] = field(default_factory=list)
    unexplained: int = 0  # rows that changed although all entries and settings are equal

    @property
    def equal(self) -> bool:
        """Whether every row is on both sides and none changed."""
        return not any((self.moved, self.only_before.rows, self.only_after.rows))

    def to_dict(self) -> dict[str, object]:
        """Return everything by name, for JSON; values that are not finite are None."""
        return {
            "equal": self.equal,
            "before": _about(self.before),
            "after": _about(self.after),
            "paired_by": self.keys,
            "pairs": self.pairs,
            "moved": self.moved,
            "only_before": self.only_before._asdict(),
            "only_after": self.only_after._asdict(),
            "metrics": {
                moved.metric: {
                    **{key: value for key, value in moved._asdict().items() if key != "metric"},
                    "worst": [{k: _finite(v) for k, v in row.items()} for row in moved.worst],
                }
                for moved in self.metrics
            },
            "switches": [switch._asdict() for switch in self.switches],
            "changes": [
                {**change._asdict(), "labels": list(change.labels)} for change in self.changes
            ],
            "unexplained": self.unexplained,
            "uncompared": self.uncompared,
        }


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _about(side: Side) -> dict[str, object]:
    return {
        "label": side.label,
        "name": side.data.name,
        "rows": side.data.num_rows,
        "complete": side.complete,
        "versions": dict(side.versions),
    }


def compare(before: Side, after: Side, metrics: Sequence[str] = (), tolerance: float = 0.0) -> Diff:
    """Return the differences between two sweeps.

    Parameters
    ----------
    metrics
        Columns to compare; by default all columns that both sides have.
    tolerance
        Relative change up to which values count as equal. Differences from rounding to other
        precisions never count.

    Raises
    ------
    InputError
        Rows cannot be paired, a metric is unknown, or DuckDB is not installed.
    OutputError
        The temporary file cannot be written.
    """
    keys, apart = _keys(before, after)
    shared = _shared(before, after, metrics)
    duckdb = needed("duckdb")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="perfcore-diff-") as folder,
            duckdb.connect(str(Path(folder) / "pairs.duckdb")) as connection,
        ):
            tolerances = {name: max(tolerance, _rounding(before, after, name)) for name in shared}
            query = _Query(connection, keys, tolerances)
            query.prepare(folder, before, after)
            pairs, only_before, only_after = query.pair(before, after)
            ((moved,),) = query.ask("SELECT count(*) FROM moved")
            numbers = [name for name in shared if not _is_text(before, name)]
            texts = [name for name in shared if _is_text(before, name)]
            entry_changes, touched = changes_of_entries(before, after)
            return Diff(
                before,
                after,
                pairs,
                moved,
                [found for name in numbers if (found := query.metric(name)).rows],
                [switch for name in texts for switch in query.switches(name)],
                only_before,
                only_after,
                keys,
                _uncompared(before, after),
                *_causes(before, after, entry_changes, touched, apart, moved, query),
            )
    except duckdb.Error as error:
        text = " ".join(str(error).split())
        if isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException):
            raise OutputError(f"diff: {text}; free space for temporary files") from error
        raise InputError(
            f"{before.label} and {after.label}: cannot be compared ({text}); check them with "
            "`perfcore verify`"
        ) from error


def _keys(before: Side, after: Side) -> tuple[list[str], list[str]]:
    """Return the axes that pair rows, and axes whose single values differ between the sides."""
    faults = []
    keys: list[str] = []
    apart: list[str] = []
    chosen = before.chooses_devices and after.chooses_devices
    axes = {*before.spec["axes"], *after.spec["axes"]}
    for name in dict.fromkeys((*before.schema.names, *after.schema.names)):
        if name not in axes:
            continue
        ours, theirs = before.values(name), after.values(name)
        if chosen and name in DEGREES:
            continue
        one = [side for side in (before, after) if name not in side.spec["axes"]]
        if one:
            (lacking,) = one
            having = after if lacking is before else before
            values = having.values(name)
            if values is None or len(values) > 1:
                many = "many" if values is None else f"{len(values)}"
                faults.append(
                    f"{having.label}: has {many} values of {name}, which {lacking.label} lacks, "
                    "so rows cannot be paired; keep one of them, or add the axis there"
                )
            else:
                apart.append(name)
        elif ours is not None and theirs is not None and len(ours) == len(theirs) == 1:
            if ours != theirs:
                apart.append(name)
        else:
            keys.append(name)
    if faults:
        raise InputError(faults)
    return keys, apart


def _metrics(side: Side) -> list[str]:
    """Return the columns of results, including degrees that are chosen for each row."""
    axes = set(side.spec["axes"])
    return [
        name
        for name in side.schema.names
        if name not in axes or (side.chooses_devices and name in DEGREES)
    ]


def _shared(before: Side, after: Side, wanted: Sequence[str]) -> list[str]:
    theirs = set(_metrics(after))
    shared = [name for name in _metrics(before) if name in theirs]
    faults = [
        f"{argument('metrics')}: {name!r} is not a result of both{suggest(name, shared)}; "
        f"use one of: {', '.join(shared)}"
        for name in wanted
        if name not in shared
    ]
    if faults:
        raise InputError(faults)
    found = [name for name in shared if name in wanted] if wanted else shared
    if not found:
        raise InputError(
            f"{before.label} and {after.label} have no column of results in common; write both "
            "with the same output.columns"
        )
    return found


def _uncompared(before: Side, after: Side) -> dict[str, list[str]]:
    ours, theirs = _metrics(before), _metrics(after)
    return {
        "before": [name for name in ours if name not in theirs],
        "after": [name for name in theirs if name not in ours],
    }


def _is_text(side: Side, name: str) -> bool:
    kind = side.schema.field(name).type
    return bool(pa.types.is_dictionary(kind) or pa.types.is_string(kind))


def _causes(
    before: Side,
    after: Side,
    entry_changes: list[Change],
    touched: Mapping[str, set[str]],
    apart: Sequence[str],
    moved: int,
    query: "_Query",
) -> tuple[list[Change], int]:
    """Return the differences with their numbers of changed rows, and the unexplained rows."""
    changes = changes_of_versions(before, after) + changes_of_spec(before, after)
    counted = {axis: query.moved_by(axis) for axis in touched if axis in query.keys}
    for change in entry_changes:
        concerned = [counted.get(change.axis, {}).get(label, 0) for label in change.labels]
        rows = sum(concerned) if change.axis in counted else moved
        changes.append(change._replace(rows=rows))
    if apart or any(axis not in counted and labels for axis, labels in touched.items()):
        return changes, 0
    return changes, moved - query.moved_with(touched)


class _Only:
    """Collector of the rows on one side without a partner on the other side, ``lacking``."""

    def __init__(self, keys: Sequence[str], lacking: Side) -> None:
        listed = {key: values for key in keys if (values := lacking.values(key)) is not None}
        self.keys = list(keys)
        self.within = " AND ".join(f"{_q(key)} IN (SELECT unnest(?))" for key in listed) or "true"
        self.values = list(listed.values())
        self.rows = self.left_out = 0
        self.examples: list[dict[str, object]] = []

    def add(self, query: "_Query", absent: str) -> None:
        """Count the rows of the current part."""
        counts = f"SELECT count(*), count(*) FILTER (here) FROM (SELECT {self.within} AS here"
        ((rows, left_out),) = query.ask(f"{counts} FROM part WHERE {absent})", self.values)
        self.rows += rows
        self.left_out += left_out
        if rows and self.keys and len(self.examples) < WORST:
            names = ", ".join(map(_q, self.keys))
            found = query.ask(
                f"SELECT {names} FROM part WHERE {absent} ORDER BY ALL "
                f"LIMIT {WORST - len(self.examples)}"
            )
            self.examples += [dict(zip(self.keys, row, strict=True)) for row in found]

    def found(self) -> OnlyIn:
        """Return the collected rows."""
        return OnlyIn(self.rows, self.left_out, self.examples)


def _rounding(before: Side, after: Side, name: str) -> float:
    """Return how far a metric may differ because the sides store it in different precisions."""
    kept = [
        bits.get(name, bits["default"])
        for side in (before, after)
        if (bits := side.spec["output"].get("significant_bits"))
    ]
    return sum(2.0**-bits for bits in kept) if len(kept) == 1 or len(set(kept)) == 2 else 0.0


class _Query:
    """DuckDB queries about the views ``l`` and ``r`` and the table ``moved``."""

    def __init__(
        self,
        connection: Any,  # noqa: ANN401 - DuckDB is imported when it is needed
        keys: Sequence[str],
        tolerances: Mapping[str, float],
    ) -> None:
        self.connection = connection
        self.keys = list(keys)
        self.metrics = list(tolerances)
        self.tolerances = tolerances
        self.narrow: set[str] = set()  # compared in single precision, since one side has no more
        self.text: set[str] = set()

    def prepare(self, folder: str, before: Side, after: Side) -> None:
        """Create the views of both sides and the empty table ``moved``."""
        self.connection.execute(f"SET memory_limit = '{MEMORY}'")
        self.connection.execute("SET preserve_insertion_order = false")
        self.connection.execute("SET temp_directory = $1", [folder])
        for view, side in (("l", before), ("r", after)):
            side.data.register(self.connection, f"{view}_rows")
            columns = [_q(key) for key in self.keys]
            columns += [f"{_q(name)} AS {_q(f'{name} {view}')}" for name in self.metrics]
            distinct = "DISTINCT " if side.repeats else ""
            self.connection.execute(
                f"CREATE TEMP VIEW {view} AS SELECT {distinct}{', '.join(columns)}, "
                f"0 AS {_ALWAYS}, true AS {_q(f'in {view}')} FROM {view}_rows"
            )
        for name in self.metrics:
            if _is_text(before, name):
                self.text.add(name)
            elif before.schema.field(name).type != after.schema.field(name).type:
                self.narrow.add(name)

    def pair(self, before: Side, after: Side) -> tuple[int, OnlyIn, OnlyIn]:
        """Pair the rows, and put those that differ into the table ``moved``.

        The rows are paired part by part, one value of the outermost text axis at a time. Files are
        in this order, so each part is read once and is small enough to be joined in memory.
        """
        names = ", ".join((_ALWAYS, *map(_q, self.keys)))
        differs = " OR ".join(self._differs(name, *self._values(name)) for name in self.metrics)
        pairs = 0
        only = [_Only(self.keys, after), _Only(self.keys, before)]
        made = False
        for where, value in self._parts(before):
            self.connection.execute(
                f"CREATE OR REPLACE TEMP TABLE part AS SELECT * FROM (FROM l {where}) "
                f"FULL JOIN (FROM r {where}) USING ({names})",
                value * 2,
            )
            target = "INSERT INTO moved" if made else "CREATE TABLE moved AS"
            self.connection.execute(f'{target} FROM part WHERE "in l" AND "in r" AND ({differs})')
            made = True
            ((both, total),) = self.ask(
                'SELECT count(*) FILTER ("in l" AND "in r"), count(*) FROM part'
            )
            pairs += both
            if total > both:
                only[0].add(self, '"in r" IS NULL')
                only[1].add(self, '"in l" IS NULL')
        return pairs, only[0].found(), only[1].found()

    def _parts(self, before: Side) -> list[tuple[str, list[object]]]:
        """Return the conditions that divide the rows into parts, with their values."""
        texts = [key for key in self.keys if _is_text(before, key)]
        if not texts:
            return [("", [])]
        name = _q(texts[0])
        found = self.ask(f"SELECT {name} FROM l UNION SELECT {name} FROM r ORDER BY 1")
        return [(f"WHERE {name} = ?", [value]) for (value,) in found] or [("", [])]

    def ask(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        found: list[tuple[Any, ...]] = self.connection.execute(query, list(values)).fetchall()
        return found

    def metric(self, name: str) -> Moved:
        """Return the statistics of a number's changes."""
        left, right = self._values(name)
        differs = self._differs(name, left, right)
        change = (
            f"CASE WHEN {left} <> 0 AND isfinite({left}::DOUBLE) AND isfinite({right}::DOUBLE) "
            f"THEN ({right}::DOUBLE - {left}::DOUBLE) / abs({left}::DOUBLE) END"
        )
        ((rows, rose, median, largest, with_change),) = self.ask(
            "SELECT count(*), count(*) FILTER (r > l), median(abs(change)), "
            "arg_max(change, abs(change)), count(change) "
            f"FROM (SELECT {left} AS l, {right} AS r, {change} AS change FROM moved "
            f"WHERE {differs})"
        )
        keys = "".join(f"{_q(key)}, " for key in self.keys)
        worst = self.ask(
            f"SELECT {keys}{left} AS l, {right} AS r, {change} AS change FROM moved "
            f"WHERE {differs} ORDER BY abs(change) DESC NULLS LAST{self._in_order()} LIMIT {WORST}"
        )
        labels = [*self.keys, "before", "after", "change"]
        examples = [dict(zip(labels, row, strict=True)) for row in worst]
        return Moved(name, rows, rose, median, largest, rows - with_change, examples)

    def switches(self, name: str) -> list[Switch]:
        """Return how often each text became another."""
        left, right = self._values(name)
        found = self.ask(
            f"SELECT {left}, {right}, count(*) FROM moved WHERE {left} <> {right} "
            "GROUP BY ALL ORDER BY 3 DESC, 1, 2"
        )
        return [Switch(name, *row) for row in found]

    def moved_by(self, axis: str) -> dict[str, int]:
        """Return the number of changed rows for each value of an axis."""
        found = self.ask(f"SELECT {_q(axis)}, count(*) FROM moved GROUP BY 1")
        return dict(found)

    def moved_with(self, touched: Mapping[str, set[str]]) -> int:
        """Return the number of changed rows with one of the given values of axes."""
        listed = {axis: sorted(touched[axis]) for axis in touched if axis in self.keys}
        with_one = " OR ".join(f"{_q(axis)} IN (SELECT unnest(?))" for axis in listed) or "false"
        query = f"SELECT count(*) FROM moved WHERE {with_one}"
        return int(self.ask(query, list(listed.values()))[0][0])

    def _in_order(self) -> str:
        return "".join(f", {_q(key)}" for key in self.keys)

    def _values(self, name: str) -> tuple[str, str]:
        return _q(f"{name} l"), _q(f"{name} r")

    def _differs(self, name: str, left: str, right: str) -> str:
        if name in self.text:
            return f"{left} <> {right}"
        kind = "FLOAT" if name in self.narrow else "DOUBLE"
        one, other = f"{left}::{kind}::DOUBLE", f"{right}::{kind}::DOUBLE"
        tolerance = self.tolerances[name]
        if not tolerance:
            return f"{one} <> {other}"
        return (
            f"({one} <> {other} AND (NOT isfinite({one}) OR NOT isfinite({other}) OR "
            f"abs({other} - {one}) > {tolerance!r} * greatest(abs({one}), abs({other}))))"
        )


def _q(name: str) -> str:
    """Return a name quoted as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
