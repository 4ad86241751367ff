"""Sweeps and searches from Python."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, overload

from perfcore.dataset import Rows
from perfcore.engine import evaluate_counted
from perfcore.errors import InputError
from perfcore.run import Run, facts
from perfcore.run import sweep as sweep_to_disk
from perfcore.searching import Objective, count_by_value, find_best, find_front
from perfcore.sinks.parquet import schema
from perfcore.space import Space
from perfcore.spec import Spec

LARGEST_IN_MEMORY: Final = 50_000_000  # rows, of about 100 bytes

Sweep = str | Path | Mapping[str, object] | Space


@overload
def sweep(
    spec: Sweep, output: None = None, workers: int | None = None, overrides: Iterable[str] = ()
) -> Rows: ...
@overload
def sweep(
    spec: Sweep, output: str | Path, workers: int | None = None, overrides: Iterable[str] = ()
) -> Run: ...
def sweep(
    spec: Sweep,
    output: str | Path | None = None,
    workers: int | None = None,
    overrides: Iterable[str] = (),
) -> Run | Rows:
    """Return a sweep's rows: in memory, or as a run on disk if ``output`` names a directory.

    Both are a ``perfcore.Dataset``: ``to_arrow()``, ``to_pandas()``, ``to_polars()``, and
    ``sql()``, where the rows are the table ``run``.

    Parameters
    ----------
    spec
        A sweep file, a mapping laid out like one, or a ``Space``.
    output
        Directory of the run; a run that was interrupted goes on.
    workers
        Threads, all processors by default. A table in memory is made by one.
    overrides
        ``key=value`` each, e.g. ``axes.batch=[1,2,4]``; they win over the file.

    Raises
    ------
    InputError
        With every fault of the specification, or if it is too large for memory.
    OutputError
        ``output`` cannot be written.
    """
    space = as_space(spec, overrides)
    if output is not None:
        return sweep_to_disk(space, output, workers)
    if space.rows > LARGEST_IN_MEMORY:
        raise InputError(
            f"{space.spec.name}: {space.rows:,} rows are more than memory should hold "
            f"({LARGEST_IN_MEMORY:,}); name an output directory"
        )
    table, count = evaluate_counted(space, schema(space, facts(space)), 0, space.outer_points)
    return Rows(table, space.spec.name, space.rows, count.dropped)


def search(
    spec: Sweep,
    minimize: str | None = None,
    maximize: str | None = None,
    where: Iterable[str] = (),
    by: Iterable[str] = (),
    top: int = 1,
    workers: int | None = None,
    overrides: Iterable[str] = (),
) -> Rows:
    """Return the best rows of a sweep, with every axis and column, without keeping the others.

    Parameters
    ----------
    minimize, maximize
        A column; one of the two.
    where
        Conditions, e.g. ``tpot_s<=50ms`` or ``device=h100-sxm``.
    by
        Axes of which every combination of values has its own best rows.
    top
        Rows of each.

    Other parameters are those of ``sweep``.

    Raises
    ------
    InputError
        With every fault of the specification or the conditions.
    """
    if (minimize is None) == (maximize is None):
        raise InputError("search: give one of minimize and maximize")
    name = minimize or maximize or ""
    option = "minimize" if maximize is None else "maximize"
    objective = Objective.named(name, option, maximize=maximize is not None)
    space = as_space(spec, overrides)
    found = find_best(space, objective, tuple(where), tuple(by), top, workers)
    return Rows(found.rows, space.spec.name, found.configs)


def pareto(
    spec: Sweep,
    objectives: Iterable[str],
    where: Iterable[str] = (),
    by: Iterable[str] = (),
    workers: int | None = None,
    overrides: Iterable[str] = (),
) -> Rows:
    """Return the rows of a sweep that no other is at least as good as in all objectives.

    Parameters
    ----------
    objectives
        Two or three columns, of each the least is best, or of ``name:max`` the most. Of rows that
        are alike in all of them the first stays.

    Other parameters are those of ``search``.

    Raises
    ------
    InputError
        With every fault of the specification or the conditions, or if too many rows are unbeaten.
    """
    wanted = [Objective.parse(text, "objectives") for text in objectives]
    space = as_space(spec, overrides)
    found = find_front(space, wanted, tuple(where), tuple(by), workers)
    return Rows(found.rows, space.spec.name, found.configs)


def histogram(
    spec: Sweep,
    metric: str,
    where: Iterable[str] = (),
    by: Iterable[str] = (),
    per_decade: int = 10,
    workers: int | None = None,
    overrides: Iterable[str] = (),
) -> Rows:
    """Return how many rows of a sweep have a column's value in which bin, without keeping them.

    Columns are the axes of ``by``, ``low`` (inclusive) and ``high`` of a bin, ``rows``, and
    ``share`` of the group. Bins are decades, each divided into ``per_decade`` equal ratios.
    Other parameters are those of ``search``.

    Raises
    ------
    InputError
        With every fault of the specification or the conditions.
    """
    column = Objective.named(metric, "metric", maximize=False)
    space = as_space(spec, overrides)
    found = count_by_value(space, column, tuple(where), tuple(by), per_decade, workers)
    return Rows(found.rows, f"{metric} of {space.spec.name}")


def as_space(spec: Sweep, overrides: Iterable[str] = ()) -> Space:
    """Return the space of a file, a mapping, or a space as it is."""
    overrides = tuple(overrides)
    if isinstance(spec, Space):
        if overrides:
            raise InputError(
                f"{overrides[0]}: a Space takes no overrides; give the file or mapping instead"
            )
        return spec
    if isinstance(spec, Mapping):
        return Space(Spec.from_dict(spec, overrides=overrides))
    return Space.from_toml(spec, overrides)
