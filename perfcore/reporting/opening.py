"""A run or a sweep, by what a user names."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from perfcore.errors import InputError, argument
from perfcore.reporting.run_source import RunSource
from perfcore.reporting.source import Source
from perfcore.reporting.sweep_source import SweepSource
from perfcore.runs.run import open_run
from perfcore.space.space import Space, as_space


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
                f"{argument('overrides')}: {given} is a run, which is as it was written; "
                "name its sweep file"
            )
        return RunSource(open_run(given), where, workers, str(given))
    name = str(given) if isinstance(given, str | Path) else "SPEC"
    source = SweepSource(as_space(given, overrides), where, workers, name)
    source.overrides = overrides
    return source
