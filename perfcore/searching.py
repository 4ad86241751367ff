"""The best rows of a sweep, the undominated ones, or how many lie where, without writing them.

Rows go from the kernel into what is kept of them and are gone: memory grows with the result only.
"""

import os
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import Final, Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from perfcore.axes import Axis, Value, WhatIf
from perfcore.columns import METRICS
from perfcore.engine import Evaluator, Progress, evaluate_rows, run_shards
from perfcore.errors import InputError
from perfcore.ranges import Place
from perfcore.run import ProgressDisplay, facts
from perfcore.sections import Where, parse_condition
from perfcore.sinks.parquet import Buffers, schema
from perfcore.space import Space, distinct

BLOCK: Final = 1 << 14  # rows between kernel and selection: they stay in the second-level cache
LARGEST_RESULT: Final = 1_000_000  # rows that are kept, of all groups together
LARGEST_TOP: Final = 10_000  # rows of one group: each new one is inserted among them
LARGEST_FRONT: Final = 100_000  # rows of one group's front: each new row is held against them
_CONDITION: Final = re.compile(r"\s*([\w.]+)\s*(<=|>=|=)\s*(\S.*?)\s*")
_NOWHERE: Final = np.iinfo(np.int64).max
_DECADES: Final = 30  # of bins on each side of 1, whose ends are 1e-30 and 1e30
_ROOM: Final = 16  # rows of a front at first
_KEYS: Final = {"<=": "max", ">=": "min", "=": "in"}

Reals = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Objective(NamedTuple):
    """A column, and whether more of it is better."""

    name: str
    maximize: bool = False

    @classmethod
    def named(cls, name: str, option: str, *, maximize: bool) -> Self:
        """Return an objective; ``option`` is what named it."""
        numbers = [known.name for known in METRICS if known.kind != "code"]
        if name not in numbers:
            faults: list[str] = []
            Place(option, "", faults).unknown("metric", name, numbers)
            raise InputError(faults)
        return cls(name, maximize)

    @classmethod
    def parse(cls, text: str, option: str) -> Self:
        """Read ``tpot_s`` or ``tokens_per_s_per_device:max``."""
        name, _, sense = text.strip().partition(":")
        if sense not in {"", "min", "max"}:
            raise InputError(f"{option}: {text!r}: write {name}:max to maximise, or {name}")
        return cls.named(name, option, maximize=sense == "max")


class Found(NamedTuple):
    """Result of a search: rows with every axis and column, and how many were looked at."""

    rows: pa.Table
    configs: int
    feasible: int
    seconds: float


class Entries(NamedTuple):
    """Rows: (objectives, rows) values of which smaller is better, their groups and places."""

    values: Reals
    groups: Integers
    places: Integers


class Sink(Protocol):
    """What a thread makes of the rows that it sees."""

    def take(self, rows: Entries) -> None:
        """Look at rows."""

    def merge(self, other: Self) -> None:
        """Add what another thread or process has made of other rows."""


S = TypeVar("S", bound=Sink)


class Kept(Sink, Protocol):
    """Rows that a thread keeps of those that it sees."""

    def entries(self) -> Entries:
        """Return the rows that are kept."""


class Best:
    """The ``top`` rows of each group with the smallest values."""

    def __init__(self, groups: int, top: int, dtype: npt.DTypeLike) -> None:
        self.values = np.full((groups, top), np.inf, dtype)
        self.places = np.full((groups, top), _NOWHERE)

    def take(self, rows: Entries) -> None:
        """Look at rows."""
        from perfcore.selection import keep_best  # noqa: PLC0415 - Numba is slow to import

        keep_best(rows.values[0], rows.groups, rows.places, self.values, self.places)

    def merge(self, other: Self) -> None:
        """Look at the rows that another one keeps."""
        self.take(other.entries())

    def entries(self) -> Entries:
        """Return the rows that are kept."""
        groups, ranks = np.nonzero(self.places != _NOWHERE)
        values = self.values[groups, ranks][np.newaxis]
        return Entries(values, groups, self.places[groups, ranks])


class Front:
    """The rows of each group that no other one is at least as good as in every objective.

    Of rows that are alike in all objectives the first is kept.
    """

    def __init__(self, groups: int, objectives: int, dtype: npt.DTypeLike) -> None:
        self.values = np.empty((groups, _ROOM, objectives), dtype)
        self.places = np.empty((groups, _ROOM), np.int64)
        self.sizes = np.zeros(groups, np.int64)

    def take(self, rows: Entries) -> None:
        """Look at rows; make room where a front outgrows it."""
        from perfcore.selection import keep_front  # noqa: PLC0415 - Numba is slow to import

        start = 0
        while True:
            start = keep_front(*rows, start, self.values, self.places, self.sizes)
            if start == rows.places.size:
                return
            room = self.places.shape[1]
            if room >= LARGEST_FRONT or self.places.size >= 4 * LARGEST_RESULT:
                raise InputError(
                    f"--objectives: more than {room:,} rows are undominated; "
                    "name fewer objectives, or add --where"
                )
            self.values = np.concatenate([self.values, np.empty_like(self.values)], axis=1)
            self.places = np.concatenate([self.places, np.empty_like(self.places)], axis=1)

    def merge(self, other: Self) -> None:
        """Look at the rows that another one keeps."""
        self.take(other.entries())

    def entries(self) -> Entries:
        """Return the rows that are kept."""
        groups, members = np.nonzero(np.arange(self.places.shape[1]) < self.sizes[:, np.newaxis])
        values = np.ascontiguousarray(self.values[groups, members].T)
        return Entries(values, groups, self.places[groups, members])


class Counts:
    """Rows by group and bin of a value."""

    def __init__(self, groups: int, edges: Reals) -> None:
        self.edges = edges
        self.counts = np.zeros((groups, edges.size + 1), np.int64)

    def take(self, rows: Entries) -> None:
        """Look at rows."""
        from perfcore.selection import count_bins  # noqa: PLC0415 - Numba is slow to import

        count_bins(rows.values[0], rows.groups, self.edges, self.counts)

    def merge(self, other: Self) -> None:
        """Add another one's counts."""
        self.counts += other.counts


class Groups:
    """Numbers of the groups that rows belong to: combinations of the values of some axes."""

    def __init__(self, space: Space, names: Sequence[str]) -> None:
        axes = (*space.outer_axes, *space.inner_axes)
        known = [axis.name for axis in axes]
        faults: list[str] = []
        for name in names:
            if name not in known:
                Place("--by", "", faults).unknown("axis", name, known)
            elif space.chooses_devices and name in {"tp", "pp"}:
                faults.append(f"--by: {name} is chosen for each row; list values of it to group by")
        if faults:
            raise InputError(faults)
        self.space = space
        self.axes = [axis for axis in axes if axis.name in names]
        self.count = 1
        self.strides: dict[str, int] = {}
        for axis in reversed(self.axes):
            self.strides[axis.name] = self.count
            self.count *= len(distinct(axis))

    def label(self, number: int) -> dict[str, Value]:
        """Return the values of a group's axes."""
        return {
            axis.name: distinct(axis)[number // self.strides[axis.name] % len(distinct(axis))]
            for axis in self.axes
        }

    def outer(self, start: int, stop: int) -> Integers:
        """Return the part of the group's number that an outer point gives."""
        codes = self.space.block(start, stop).axes if self.strides else ()
        return self._numbers(self.space.varying_outer, codes, stop - start)

    def inner(self) -> Integers:
        """Return the part that the lengths give."""
        codes = self.space.inner.axes
        return self._numbers(self.space.varying_inner, codes, self.space.inner_points)

    def _numbers(
        self, axes: Sequence[Axis], codes: Iterable[npt.NDArray[np.int32]], points: int
    ) -> Integers:
        numbers = np.zeros(points, np.int64)
        for axis, row in zip(axes, codes, strict=False):
            if axis.name in self.strides:
                place = row.astype(np.int64)
                if axis.kind == "integer":  # of which the codes are the values
                    values = np.array(distinct(axis), np.float64)
                    order = np.argsort(values)
                    place = order[np.searchsorted(values, row, sorter=order)]
                numbers += place * self.strides[axis.name]
        return numbers


class SearchWorker(Generic[S]):
    """Evaluates shards into sinks, one a thread; one object serves all threads."""

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        groups: Groups,
        make: Callable[[], S],
        progress: Progress,
    ) -> None:
        self.space = space
        self.progress = progress
        self.evaluator = Evaluator(space, [objective.name for objective in objectives])
        self.signs = np.array([-1.0 if o.maximize else 1.0 for o in objectives])
        self.groups = groups
        self.inner_groups = groups.inner()
        self.make = make
        self.sinks: list[S] = []
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.local = threading.local()

    def work(self, shard: int) -> None:
        """Look at the rows of a shard."""
        from perfcore.selection import locate  # noqa: PLC0415 - Numba is slow to import

        if self.stopped.is_set():
            return
        if not hasattr(self.local, "sink"):
            self.local.sink = self.make()
            self.local.buffers = Buffers(self.space, BLOCK, len(self.signs))
            self.local.places = np.empty((2, BLOCK), np.int64)
            with self.lock:
                self.sinks.append(self.local.sink)
        sink: S = self.local.sink
        buffers: Buffers = self.local.buffers
        start, stop = self.space.shard_range(shard)
        outer_groups = self.groups.outer(start, stop)
        signs = self.signs.astype(buffers.metrics.dtype)[:, np.newaxis]

        def consume(rows: int) -> None:
            if self.stopped.is_set():
                return
            groups, places = self.local.places[:, :rows]
            locate(
                buffers.axes[0, :rows],
                buffers.axes[-1, :rows],
                start,
                self.space.inner_points,
                outer_groups,
                self.inner_groups,
                groups,
                places,
            )
            sink.take(Entries(signs * buffers.metrics[:, :rows], groups, places))

        count = self.evaluator.evaluate(start, stop, buffers, consume)
        with self.lock:
            self.progress.rows += count.rows
            self.progress.done_shards += 1
            self.progress.done_points += (stop - start) * self.space.inner_points


def find_best(
    space: Space,
    objective: Objective,
    where: Sequence[str] = (),
    by: Sequence[str] = (),
    top: int = 1,
    workers: int | None = None,
    show: Callable[[Progress], ProgressDisplay] | None = None,
    executor: Executor | None = None,
) -> Found:
    """Return the ``top`` rows of each group with the best value of a column.

    Parameters
    ----------
    where
        Conditions besides the specification's, e.g. ``tpot_s<=50ms`` or ``device=h100-sxm``. As in
        a sweep file, those on axes narrow the space before a sample is drawn from it.
    by
        Axes of which every combination of values is a group.
    workers
        Threads; all processors by default. They do not change the result.
    executor
        What does the work in place of threads of this process.

    Raises
    ------
    InputError
        If a name is unknown, or more than a million rows would be kept.
    """
    space = narrowed(space, where)
    groups = Groups(space, by)
    if not 1 <= top <= LARGEST_TOP:
        raise InputError(
            f"--top: {top:,} is not from 1 to {LARGEST_TOP:,}; write more rows with `perfcore run`"
        )
    if groups.count * top > LARGEST_RESULT:
        raise InputError(
            f"--top: {groups.count:,} groups of {top:,} rows are more than {LARGEST_RESULT:,}; "
            "keep fewer, or group by fewer axes"
        )
    dtype = space.spec.output.dtype
    make = partial(Best, groups.count, top, dtype)
    return _found(space, [objective], groups, make, workers, show, executor)


def find_front(
    space: Space,
    objectives: Sequence[Objective],
    where: Sequence[str] = (),
    by: Sequence[str] = (),
    workers: int | None = None,
    show: Callable[[Progress], ProgressDisplay] | None = None,
    executor: Executor | None = None,
) -> Found:
    """Return the rows of each group that no other row is at least as good as in all objectives.

    Parameters are those of ``find_best``; of rows alike in all objectives the first is kept.

    Raises
    ------
    InputError
        If a name is unknown, there are not two or three different objectives, or too many rows
        are undominated.
    """
    names = [objective.name for objective in objectives]
    if not 2 <= len(set(names)) == len(names) <= 3:
        raise InputError(f"--objectives: {', '.join(names)}: name two or three different metrics")
    space = narrowed(space, where)
    groups = Groups(space, by)
    if groups.count > LARGEST_RESULT:
        raise InputError(
            f"--by: {groups.count:,} groups are more than {LARGEST_RESULT:,}; group by fewer axes"
        )
    dtype = space.spec.output.dtype
    make = partial(Front, groups.count, len(names), dtype)
    return _found(space, objectives, groups, make, workers, show, executor)


def count_by_value(
    space: Space,
    metric: Objective,
    where: Sequence[str] = (),
    by: Sequence[str] = (),
    per_decade: int = 10,
    workers: int | None = None,
    show: Callable[[Progress], ProgressDisplay] | None = None,
    executor: Executor | None = None,
) -> Found:
    """Return how many rows of each group have a column's value in which bin.

    Bins are decades, each divided into ``per_decade`` equal ratios, so that they depend on no row;
    the first one has all values below 1e-30, zero and negative ones among them. The table has the
    axes of ``by``, ``low`` (inclusive) and ``high`` of a bin, null where it has no end, ``rows``
    and their ``share`` of the group; empty bins are left out. Other parameters are those of
    ``find_best``.

    Raises
    ------
    InputError
        If a name is unknown, or there would be more than a million bins.
    """
    space = narrowed(space, where)
    groups = Groups(space, by)
    decades = np.array([float(f"1e{power}") for power in range(-_DECADES, _DECADES)])
    edges = np.append(np.outer(decades, 10.0 ** (np.arange(per_decade) / per_decade)), 1e30)
    if groups.count * edges.size > LARGEST_RESULT * 10:
        raise InputError(f"--by: {groups.count:,} groups are too many; name fewer axes")
    make = partial(Counts, groups.count, edges)
    sink, progress = _looked(space, [metric], groups, make, workers, show, executor)
    counts = sink.counts
    limits = [None, *edges.tolist(), None]
    totals = counts.sum(axis=1)
    rows = [
        {
            **groups.label(int(group)),
            "low": limits[place],
            "high": limits[place + 1],
            "rows": int(counts[group, place]),
            "share": float(counts[group, place] / totals[group]),
        }
        for group, place in np.argwhere(counts)
    ]
    names = [axis.name for axis in groups.axes]
    empty: dict[str, list[float]] = {name: [] for name in (*names, "low", "high", "rows", "share")}
    table = pa.Table.from_pylist(rows) if rows else pa.table(empty)
    return Found(table, space.rows, progress.rows, progress.seconds)


def narrowed(space: Space, where: Sequence[str]) -> Space:
    """Return the space with further conditions, and without rows that cannot run."""
    return kept(space, conditions(where, space.spec.axes, space.spec.what_ifs))


def kept(space: Space, added: Sequence[Where]) -> Space:
    """Return the space with further conditions that are parsed already, as ``narrowed`` does."""
    spec = space.spec
    output = replace(spec.output, keep_infeasible=False)
    return Space(replace(spec, where=(*spec.where, *added), output=output))


def conditions(
    texts: Sequence[str], axes: tuple[Axis, ...], listed: Iterable[WhatIf]
) -> tuple[Where, ...]:
    """Return the conditions of ``--where``, e.g. ``tpot_s<=50ms`` or ``device=h100-sxm``.

    Raises
    ------
    InputError
        With every fault of the conditions.
    """
    names = [axis.name for axis in axes]
    what_ifs = {what_if.key: what_if for what_if in listed}
    faults: list[str] = []
    found = []
    for text in texts:
        place = Place(f"--where {text}", "", faults)
        matched = _CONDITION.fullmatch(text)
        if matched is None:
            place.fault("no condition", "write COLUMN<=VALUE, COLUMN>=VALUE or COLUMN=VALUE")
            continue
        name, sign, value = matched.groups()
        subject = "axis" if name in names or name in what_ifs else "metric"
        given: object = [_number_or_text(value)] if sign == "=" else _number_or_text(value)
        table = {subject: name, _KEYS[sign]: given}
        found.append(parse_condition(table, axes, what_ifs, place))
    if faults:
        raise InputError(faults)
    return tuple(condition for condition in found if condition is not None)


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _looked(
    space: Space,
    objectives: Sequence[Objective],
    groups: Groups,
    make: Callable[[], S],
    workers: int | None,
    show: Callable[[Progress], ProgressDisplay] | None,
    executor: Executor | None,
) -> tuple[S, Progress]:
    """Look at all rows of a space, and return what is made of them."""
    # whatever is wrong with these is told before anything is shown
    _ = space.tables, space.rules, space.inner
    progress = Progress(shards=space.shards, points=space.rows)
    with show(progress) if show else ProgressDisplay():
        if executor is not None:
            from perfcore.cluster import search_on  # noqa: PLC0415 - few need it

            return search_on(executor, space, objectives, groups, make, progress), progress
        worker = SearchWorker(space, objectives, groups, make, progress)
        run_shards(worker, range(space.shards), workers or os.cpu_count() or 1)
    first, *others = worker.sinks
    for other in others:
        first.merge(other)
    return first, progress


def _found(
    space: Space,
    objectives: Sequence[Objective],
    groups: Groups,
    make: Callable[[], Kept],
    workers: int | None,
    show: Callable[[Progress], ProgressDisplay] | None,
    executor: Executor | None,
) -> Found:
    first, progress = _looked(space, objectives, groups, make, workers, show, executor)
    seconds = progress.seconds
    values, numbers, places = first.entries()
    order = np.lexsort((places, *values[::-1], numbers))
    return Found(rows_at(space, places[order]), space.rows, progress.rows, seconds)


def rows_at(space: Space, places: Integers) -> pa.Table:
    """Return rows at places of the space, with every axis and column."""
    spec = space.spec
    every = tuple(column.name for column in METRICS)
    axes = {axis.name for axis in spec.axes}
    whole = Space(
        replace(
            spec,
            where=tuple(where for where in spec.where if where.column in axes),
            output=replace(spec.output, columns=every, keep_infeasible=True),
        )
    )
    arrow_schema = schema(whole, facts(whole))
    outers, inners = np.divmod(places, whole.inner_points)
    parts = []
    for outer in np.unique(outers):
        table = evaluate_rows(whole, arrow_schema, int(outer), int(outer) + 1)
        parts.append(table.take(inners[outers == outer]))
    if not parts:
        return arrow_schema.empty_table()
    order = np.argsort(np.argsort(outers, kind="stable"), kind="stable")
    return pa.concat_tables(parts).take(order).combine_chunks()
