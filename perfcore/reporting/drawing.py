"""Pictures of a run or a sweep: output is checked first, then drawn and written."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from perfcore.errors import InputError, argument
from perfcore.output import check_output, replacing
from perfcore.reporting import vega
from perfcore.reporting.kinds import gather
from perfcore.reporting.names import SUFFIXES
from perfcore.reporting.opening import open_source
from perfcore.reporting.page import picture_page
from perfcore.reporting.picture import Picture
from perfcore.reporting.timeline import timeline
from perfcore.space.space import Space
from perfcore.traffic.results import Simulation

Given = str | Path | Mapping[str, object] | Space


def plot(
    kind: str,
    source: Given,
    output: str | Path | None = None,
    by: str | None = None,
    metric: str | None = None,
    where: Iterable[str] = (),
    overrides: Iterable[str] = (),
    workers: int | None = None,
) -> Picture:
    """Return a picture of a run or a sweep as data; draw it to a file if one is named.

    ``perfcore.plot("pareto", "sweep.toml", "front.svg", by="weight_format").finding``

    Parameters
    ----------
    kind
        ``roofline``, ``pareto``, ``winners``, ``memory_wall``, ``cost``, ``energy``,
        ``quantisation`` or ``bandwidth``; of a sweep with traffic, ``pareto`` or ``load``.
    source
        Directory of a run, sweep file, mapping with the same structure, or ``Space``.
    output
        File to write: ``.png``, ``.svg``, or ``.html`` (interactive).
    by
        Axis with one series per value; the default depends on the kind.
    metric
        Column to plot, for kinds that plot one metric.
    where
        Conditions, e.g. ``model=llama-3-70b`` or ``tpot_s<=50ms``.
    overrides
        Settings ``key=value`` that override the sweep file.
    workers
        Number of threads, all processors by default.

    Raises
    ------
    InputError
        With every fault of the specification or the conditions; if the source lacks an axis or a
        column that the kind needs and that cannot be evaluated again, no configuration can run, or
        the file cannot be written.
    """
    if output is not None:
        _check(output, source)
    picture = gather(open_source(source, where, overrides, workers), kind, by, metric)
    if output is not None:
        with replacing(Path(output)) as part:
            part.write_bytes(_drawn(picture, Path(output).suffix))
    return picture


draw = plot  # its former name


def check_picture(output: str | Path, inputs: Sequence[str] = ()) -> None:
    """Refuse a file for a picture that cannot be written; ``inputs`` are those it is made from.

    Raises
    ------
    InputError
        With the file and the remedy, or if the plotting library is missing.
    """
    name = argument("plot")
    if Path(output).suffix not in SUFFIXES:
        raise InputError(f"{name}: {str(output)!r} must end in {', '.join(SUFFIXES)}")
    check_output(name, str(output), inputs)
    if Path(output).suffix != ".html":
        vega.converter()


def draw_timeline(
    simulation: Simulation, subject: str, output: str | Path | None = None
) -> Picture:
    """Return the timeline of a simulation as data; draw it to a file if one is named.

    ``subject`` names what was simulated. Errors are those of ``check_picture``.
    """
    if output is not None:
        check_picture(output)
    picture = timeline(simulation, subject)
    if output is not None:
        with replacing(Path(output)) as part:
            part.write_bytes(_drawn(picture, Path(output).suffix))
    return picture


def _check(output: str | Path, source: Given) -> None:
    """Refuse a file that cannot be written; fail early if the plotting library is missing."""
    if Path(output).suffix not in SUFFIXES:
        raise InputError(f"{argument('output')}: {str(output)!r} must end in {', '.join(SUFFIXES)}")
    inputs = [str(source)] if isinstance(source, str | Path) else []
    check_output(argument("output"), str(output), inputs)
    if Path(output).suffix != ".html":
        vega.converter()


def _drawn(picture: Picture, suffix: str) -> bytes:
    if suffix == ".png":
        return vega.png(picture)
    return (vega.svg(picture) if suffix == ".svg" else picture_page(picture)).encode()
