"""Sources of pictures, opened from the run or sweep that a user names."""

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
    """Return a run or a sweep as a source of pictures.

    Parameters
    ----------
    given
        Directory of a run, sweep file, mapping with the same structure, or ``Space``.
    where
        Conditions, e.g. ``model=llama-3-70b`` or ``tpot_s<=50ms``.
    overrides
        Settings ``key=value`` that override the sweep file.
    workers
        Number of threads, all processors by default.

    Raises
    ------
    InputError
        With every fault of the specification or the conditions.
    """
    overrides, where = tuple(overrides), tuple(where)
    if isinstance(given, str | Path) and Path(given).is_dir():
        if overrides:
            raise InputError(
                f"{argument('overrides')}: {given} is a run, whose settings cannot be changed; "
                "name its sweep file"
            )
        return RunSource(open_run(given), where, workers, str(given))
    name = str(given) if isinstance(given, str | Path) else "SPEC"
    source = SweepSource(as_space(given, overrides), where, workers, name)
    source.overrides = overrides
    return source
