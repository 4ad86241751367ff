"""Python API of sweeps, searches and comparisons of runs."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Final, overload

from perfcore.diffing.facts import Side
from perfcore.diffing.rows import Diff, compare
from perfcore.errors import InputError, argument
from perfcore.runs.dataset import Dataset, Rows
from perfcore.runs.parquet import schema
from perfcore.runs.run import Run, open_run
from perfcore.runs.run import sweep as sweep_to_disk
from perfcore.runs.shards import facts
from perfcore.runs.workers import evaluate_counted
from perfcore.searching.objectives import Objective
from perfcore.searching.search import count_by_value, find_best, find_front
from perfcore.space.space import Sweep, as_space

LARGEST_IN_MEMORY: Final = 50_000_000  # rows of about 100 bytes


@overload
def sweep(
    spec: Sweep,
    output: None = None,
    workers: int | None = None,
    overrides: Iterable[str] = (),
) -> Rows: ...
@overload
def sweep(
    spec: Sweep,
    output: str | Path,
    workers: int | None = None,
    overrides: Iterable[str] = (),
    *,
    part: tuple[int, int] = (1, 1),
    executor: Executor | None = None,
    kernel: str = "auto",
) -> Run: ...
def sweep(
    spec: Sweep,
    output: str | Path | None = None,
    workers: int | None = None,
    overrides: Iterable[str] = (),
    *,
    part: tuple[int, int] = (1, 1),
    executor: Executor | None = None,
    kernel: str = "auto",
) -> Run | Rows:
    """Return a sweep's rows, in memory or as a run on disk if ``output`` names a directory.

    Both are a ``perfcore.Dataset``, with ``to_arrow()``, ``to_pandas()``, ``to_polars()`` and
    ``sql()``, in which the rows are the table ``run``.

    Parameters
    ----------
    spec
        Sweep file, mapping with the same structure, or ``Space``.
    output
        Directory of the run, or ``s3://bucket/name``. An interrupted run is resumed.
    workers
        Number of threads, all processors by default. Rows in memory are computed by one.
    overrides
        Settings ``key=value`` that override the file, e.g. ``axes.batch=[1,2,4]``.
    part
        ``(i, n)`` to run only part ``i`` of ``n`` of the shards, so that machines can split a run.
    executor
        Any ``concurrent.futures.Executor`` to use in place of threads, e.g.
        ``dask_client.get_executor()``. Its workers must reach ``output``.
    kernel
        Columns that are computed for a run on disk: ``full`` for all, ``narrow`` for those that are
        written, ``auto`` for whichever is faster. Rows do not depend on them.

    Raises
    ------
    InputError
        With every fault of the specification; or if the rows do not fit in memory.
    OutputError
        If ``output`` cannot be written.
    """
    space = as_space(spec, overrides)
    if output is None and (executor is not None or part != (1, 1) or kernel != "auto"):
        raise InputError("output: part, executor and kernel need an output directory; name one")
    if output is not None:
        return sweep_to_disk(space, output, workers, part=part, executor=executor, kernel=kernel)
    if space.rows > LARGEST_IN_MEMORY:
        raise InputError(
            f"{space.spec.name}: {space.rows:,} rows are too many to hold in memory "
            f"(at most {LARGEST_IN_MEMORY:,}); name an output directory"
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
    executor: Executor | None = None,
    kernel: str = "auto",
    *,
    prune: bool = False,
) -> Rows:
    """Return the best rows of a sweep, with all axes and columns; other rows are not kept.

    Parameters
    ----------
    minimize, maximize
        Column to minimise or to maximise; give exactly one.
    where
        Conditions, e.g. ``tpot_s<=50ms`` or ``device=h100-sxm``.
    by
        Axes to group by: each combination of their values has its own best rows.
    top
        Number of rows to return for each group.
    kernel
        Columns that are computed before the best rows are known: ``full`` for all, ``narrow`` for
        those that decide, ``auto`` for whichever is faster. Results do not depend on them.
    prune
        Skip blocks of the space that have no result, by bounds of their rows. Results do not depend
        on it; spaces of 10¹² configurations may take minutes.

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
    found = find_best(
        space,
        objective,
        tuple(where),
        tuple(by),
        top,
        workers,
        executor=executor,
        kernel=kernel,
        prune=prune,
    )
    return Rows(found.rows, space.spec.name, found.configs)


def pareto(
    spec: Sweep,
    objectives: Iterable[str],
    where: Iterable[str] = (),
    by: Iterable[str] = (),
    workers: int | None = None,
    overrides: Iterable[str] = (),
    executor: Executor | None = None,
    kernel: str = "auto",
    *,
    prune: bool = False,
) -> Rows:
    """Return the Pareto front of a sweep: rows that no other row matches in all objectives.

    Parameters
    ----------
    objectives
        Two or three columns to minimise, or to maximise as ``name:max``. Of rows that are equal in
        all objectives, the first is kept.

    Other parameters are those of ``search``.

    Raises
    ------
    InputError
        With every fault of the specification or the conditions; or if the front has too many rows.
    """
    wanted = [Objective.parse(text, "objectives") for text in objectives]
    space = as_space(spec, overrides)
    found = find_front(
        space,
        wanted,
        tuple(where),
        tuple(by),
        workers,
        executor=executor,
        kernel=kernel,
        prune=prune,
    )
    return Rows(found.rows, space.spec.name, found.configs)


def histogram(
    spec: Sweep,
    metric: str,
    where: Iterable[str] = (),
    by: Iterable[str] = (),
    per_decade: int = 10,
    workers: int | None = None,
    overrides: Iterable[str] = (),
    executor: Executor | None = None,
    kernel: str = "auto",
) -> Rows:
    """Return the number of rows of a sweep in each bin of a column's values.

    The result has the axes of ``by``, the ends ``low`` (inclusive) and ``high`` (exclusive) of a
    bin, its number of ``rows``, and their ``share`` of the group. Each decade is divided into
    ``per_decade`` bins of equal ratio. Other parameters are those of ``search``.

    Raises
    ------
    InputError
        With every fault of the specification or the conditions.
    """
    column = Objective.named(metric, "metric", maximize=False)
    space = as_space(spec, overrides)
    found = count_by_value(
        space,
        column,
        tuple(where),
        tuple(by),
        per_decade,
        workers,
        executor=executor,
        kernel=kernel,
    )
    return Rows(found.rows, f"{metric} of {space.spec.name}")


def diff(
    before: Sweep | Dataset,
    after: Sweep | Dataset,
    metrics: Sequence[str] = (),
    tolerance: float = 0.0,
    overrides: Iterable[str] = (),
) -> Diff:
    """Return the rows that changed between two sweeps, by how much, and what differs.

    Rows are paired by their axes; axes with a single value on each side are ignored.
    ``perfcore.diff("old", "sweep.toml", tolerance=0.001).equal``

    Parameters
    ----------
    before, after
        Directory of a run, a ``Dataset``, or a sweep (a file, a mapping with the same structure, or
        a ``Space``), which is evaluated in memory.
    metrics
        Columns to compare, by default all that both sides have.
    tolerance
        Largest relative change that is ignored.
    overrides
        Settings ``key=value`` of the last side that is a sweep.

    Raises
    ------
    InputError
        With every fault of a specification; if rows cannot be paired, a metric is unknown, or
        DuckDB is not installed.
    OutputError
        If a temporary file cannot be written.
    """
    changed = tuple(overrides)
    if changed and _is_there(before) and _is_there(after):
        raise InputError(f"{argument('overrides')} needs a sweep file; both are runs")
    first = changed if _is_there(after) else ()
    return compare(_side(before, first), _side(after, () if first else changed), metrics, tolerance)


def _is_there(given: Sweep | Dataset) -> bool:
    """Return whether the rows exist already."""
    return isinstance(given, Dataset) or (isinstance(given, str | Path) and Path(given).is_dir())


def _side(given: Sweep | Dataset, overrides: tuple[str, ...]) -> Side:
    if isinstance(given, Dataset):
        return Side.of(given.name, given)
    if isinstance(given, str | Path):
        if Path(given).is_dir():
            return Side.of(str(given), open_run(given))
        if Path(given).suffix != ".toml":
            raise InputError(f"{given}: no such directory; name a run's directory or a sweep file")
    rows = sweep(given, overrides=overrides)
    label = str(given) if isinstance(given, str | Path) else rows.name
    return Side.of(f"{label} with {', '.join(overrides)}" if overrides else label, rows)
