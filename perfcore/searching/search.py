"""Searches of a sweep for best rows, Pareto fronts or histograms, without writing its rows.

Rows are reduced as the kernel returns them, so memory grows with the result only.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from perfcore.errors import InputError, argument
from perfcore.kernel.layout import Integers
from perfcore.runs.kernels import Kernel, kernel_for, kernel_of_search
from perfcore.runs.parquet import schema
from perfcore.runs.shards import ProgressDisplay, facts
from perfcore.runs.workers import Progress, evaluate_rows
from perfcore.searching.conditions import narrowed
from perfcore.searching.factoring import Factored, factored
from perfcore.searching.groups import SpaceGroups
from perfcore.searching.objectives import Objective, check_objectives
from perfcore.searching.pruning import Pruned, check_prunable, search_pruned
from perfcore.searching.reductions import LARGEST_RESULT, Best, Counts, Front, Kept, S
from perfcore.searching.scan import places_in_order
from perfcore.searching.tasks import search_on
from perfcore.searching.together import Together, TogetherWorker
from perfcore.searching.workers import SearchWorker
from perfcore.space.space import Space

LARGEST_TOP: Final = 10_000  # rows of one group: each new row is inserted in order
_DECADES: Final = 30  # of bins on each side of 1, from 1e-30 to 1e30


class Found(NamedTuple):
    """Result of a search: rows with every axis and column, and the numbers of rows evaluated."""

    rows: pa.Table
    configs: int
    feasible: int
    seconds: float
    kernel: Kernel
    pruned: Pruned | None = None  # of a search that skips rows
    idle: tuple[str, ...] = ()  # axes that change nothing, of which one value was evaluated


def find_best(
    space: Space,
    objective: Objective,
    where: Sequence[str] = (),
    by: Sequence[str] = (),
    top: int = 1,
    workers: int | None = None,
    show: Callable[[Progress], ProgressDisplay] | None = None,
    executor: Executor | None = None,
    kernel: str = "auto",
    *,
    prune: bool = False,
) -> Found:
    """Return the ``top`` rows of each group with the best value of a column.

    Parameters
    ----------
    where
        Conditions added to the sweep's, e.g. ``tpot_s<=50ms`` or ``device=h100-sxm``. As in a sweep
        file, conditions on axes narrow the space before a sample is drawn.
    by
        Axes to group by: each combination of their values is a group.
    workers
        Threads, one per processor by default. The result does not depend on them.
    executor
        Executor that does the work instead of threads of this process.
    kernel
        Columns that the kernel computes, as in ``kernel_for``. The result does not depend on them.
    prune
        Skip boxes of the space that have no result by the bounds of their rows. The result does not
        depend on it; ``feasible`` counts evaluated rows only.

    Raises
    ------
    InputError
        If a name is unknown, or more than a million rows would be kept.
    """
    space = narrowed(space, where)
    groups = SpaceGroups(space, by)
    if not 1 <= top <= LARGEST_TOP:
        raise InputError(
            f"{argument('top')}: {top:,} is not from 1 to {LARGEST_TOP:,}; "
            "write more rows with `perfcore run`"
        )
    if groups.count * top > LARGEST_RESULT:
        raise InputError(
            f"{argument('top')}: {groups.count:,} groups of {top:,} rows are more than "
            f"{LARGEST_RESULT:,}; keep fewer, or group by fewer axes"
        )
    dtype = space.spec.output.dtype
    make = partial(Best, groups.count, top, dtype)
    asked = _Asked(space, [objective], by, workers, show, executor, kernel)
    return _found(asked, make, top, prune=prune)


def find_front(
    space: Space,
    objectives: Sequence[Objective],
    where: Sequence[str] = (),
    by: Sequence[str] = (),
    workers: int | None = None,
    show: Callable[[Progress], ProgressDisplay] | None = None,
    executor: Executor | None = None,
    kernel: str = "auto",
    *,
    prune: bool = False,
) -> Found:
    """Return the Pareto front of each group: rows that no other matches or beats in all objectives.

    Parameters are as in ``find_best``. Of rows that are equal in all objectives, the first is kept.

    Raises
    ------
    InputError
        If a name is unknown, there are not two or three different objectives, or a front has too
        many rows.
    """
    names = [objective.name for objective in objectives]
    if not 2 <= len(set(names)) == len(names) <= 3:
        raise InputError(
            f"{argument('objectives')}: {', '.join(names)}: name two or three different metrics"
        )
    space = narrowed(space, where)
    groups = SpaceGroups(space, by)
    if groups.count > LARGEST_RESULT:
        raise InputError(
            f"{argument('by')}: {groups.count:,} groups are more than {LARGEST_RESULT:,}; "
            "group by fewer axes"
        )
    dtype = space.spec.output.dtype
    make = partial(Front, groups.count, len(names), dtype)
    asked = _Asked(space, objectives, by, workers, show, executor, kernel)
    return _found(asked, make, 1, prune=prune)


def count_by_value(
    space: Space,
    metric: Objective,
    where: Sequence[str] = (),
    by: Sequence[str] = (),
    per_decade: int = 10,
    workers: int | None = None,
    show: Callable[[Progress], ProgressDisplay] | None = None,
    executor: Executor | None = None,
    kernel: str = "auto",
) -> Found:
    """Return a histogram of a column for each group.

    Each decade has ``per_decade`` bins of equal ratio, whatever the rows are. The first bin has all
    values below 1e-30, including zero and negative values. The table has the axes of ``by``, the
    bin's ``low`` (inclusive) and ``high`` (null if unbounded), the number of ``rows`` and their
    ``share`` of the group. Empty bins are left out. Other parameters are as in ``find_best``.

    Raises
    ------
    InputError
        If a name is unknown, or there would be more than a million bins.
    """
    space = narrowed(space, where)
    groups = SpaceGroups(space, by)
    decades = np.array([float(f"1e{power}") for power in range(-_DECADES, _DECADES)])
    edges = np.append(np.outer(decades, 10.0 ** (np.arange(per_decade) / per_decade)), 1e30)
    if groups.count * edges.size > LARGEST_RESULT * 10:
        raise InputError(f"{argument('by')}: {groups.count:,} groups are too many; name fewer axes")
    make = partial(Counts, groups.count, edges)
    asked = _Asked(space, [metric], by, workers, show, executor, kernel)
    parts = asked.factored()
    sink, progress, used = _looked(asked, parts.space, make)
    counts = sink.counts * parts.copies
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
    names = list(groups.axes)
    empty: dict[str, list[float]] = {name: [] for name in (*names, "low", "high", "rows", "share")}
    table = pa.Table.from_pylist(rows) if rows else pa.table(empty)
    feasible = progress.rows * parts.copies
    return Found(table, space.rows, feasible, progress.seconds, used, None, parts.idle)


class _Asked(NamedTuple):
    """Arguments that all kinds of search share."""

    space: Space
    objectives: Sequence[Objective]
    by: Sequence[str]
    workers: int | None
    show: Callable[[Progress], ProgressDisplay] | None
    executor: Executor | None
    kernel: str

    def factored(self) -> Factored:
        """Return the space without idle axes, once objectives and the whole space are checked."""
        check_objectives(self.objectives, self.space.results)
        # raise their errors before progress is shown
        _ = self.space.tables, self.space.rules, self.space.inner
        return factored(self.space, [one.name for one in self.objectives], self.by)


def _looked(asked: _Asked, space: Space, make: Callable[[], S]) -> tuple[S, Progress, Kernel]:
    """Return the reduction of all rows of a space, and the kernel that evaluated them."""
    objectives, executor = asked.objectives, asked.executor
    names = [objective.name for objective in objectives]
    threads = asked.workers or os.cpu_count() or 1
    kernel = kernel_of_search(space, names, threads, asked.kernel, elsewhere=executor is not None)
    computed = kernel.computed
    groups = SpaceGroups(space, asked.by)
    points = Together(space, kernel.late) if kernel.late.axes else None
    parts = space.shards if points is None else points.parts
    progress = Progress(shards=parts, points=space.rows)
    with asked.show(progress) if asked.show else ProgressDisplay():
        if executor is not None:
            sink = search_on(executor, space, objectives, groups, make, progress, computed)
        else:
            common = (objectives, groups, make, progress, computed)
            worker = TogetherWorker(points, *common) if points else SearchWorker(space, *common)
            sink = worker.over(range(parts), asked.workers)
    return sink, progress, kernel


def _found(asked: _Asked, make: Callable[[], Kept], top: int, *, prune: bool) -> Found:
    """Return the rows that are kept, ``top`` of each group."""
    whole = asked.space
    if prune:
        return _found_pruned(asked, make, top)
    parts = asked.factored()
    first, progress, kernel = _looked(asked, parts.space, make)
    first = parts.expanded(first, top, make)
    seconds = progress.seconds
    rows = rows_at(whole, places_in_order(first))
    feasible = progress.rows * parts.copies
    return Found(rows, whole.rows, feasible, seconds, kernel, None, parts.idle)


def _found_pruned(asked: _Asked, make: Callable[[], Kept], top: int) -> Found:
    """Return the rows that are kept, without evaluating all."""
    whole, objectives = asked.space, asked.objectives
    check_objectives(objectives, whole.results)
    check_prunable(whole)
    if asked.executor is not None:
        raise InputError(
            f"{argument('prune')}: boxes are skipped by one process; drop the executor"
        )
    parts = asked.factored()
    space = parts.space
    _ = space.tables, space.rules, space.inner
    threads = asked.workers or os.cpu_count() or 1
    # few rows are evaluated, for which no kernel is worth compiling
    kernel = kernel_for(space, [one.name for one in objectives], threads, asked.kernel, rows=0)
    groups = SpaceGroups(space, asked.by)
    progress = Progress(shards=space.shards, points=space.rows)
    with asked.show(progress) if asked.show else ProgressDisplay():
        first, pruned = search_pruned(
            space, objectives, groups, make, progress, kernel.computed, asked.workers
        )
    first = parts.expanded(first, top, make)
    seconds = progress.seconds
    rows = rows_at(whole, places_in_order(first))
    return Found(rows, whole.rows, progress.rows, seconds, kernel, pruned, parts.idle)


def rows_at(space: Space, places: Integers) -> pa.Table:
    """Return the rows at some places of the space, with every axis and column."""
    spec = space.spec
    every = tuple(column.name for column in space.results)
    axes = {axis.name for axis in spec.axes}
    whole = Space(
        replace(
            spec,
            where=tuple(where for where in spec.where if where.column in axes),
            output=spec.output.model_copy(update={"columns": every, "keep_infeasible": True}),
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
