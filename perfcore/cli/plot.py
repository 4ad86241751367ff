"""``perfcore plot``: a picture of a run or a sweep."""

from pathlib import Path
from typing import Any

import click

from perfcore.cli.output import check_output, replacing
from perfcore.cli.text import set_option
from perfcore.errors import InputError
from perfcore.reporting.names import KINDS, SUFFIXES

_SOURCE_OPTIONS = (
    click.option(
        "--where",
        metavar="CONDITION",
        multiple=True,
        help="Keep rows of which COLUMN<=VALUE, >= or =, e.g. model=llama-3-70b. Repeatable.",
    ),
    set_option("axes.batch=[1,2,4]"),
    click.option("--workers", type=click.IntRange(1, 1024), help="Threads [all processors]."),
)


def source_options(command: Any) -> Any:  # noqa: ANN401 - what click decorates
    """Add the options that say which rows a picture or page is of."""
    for option in reversed(_SOURCE_OPTIONS):
        command = option(command)
    return command


class _Command(click.Command):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the kinds, a line each."""
        with formatter.section("Kinds"):
            formatter.write_dl(list(KINDS.items()))


@click.command(cls=_Command)
@click.argument("kind", metavar="KIND")
@click.argument("source", metavar="RUN|SPEC")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="File to write: .png, .svg, or .html, which answers to the pointer.",
)
@click.option("--by", metavar="AXIS", help="Axis whose values are told apart [device].")
@click.option("--metric", metavar="METRIC", help="Column to show, where a kind shows one.")
@source_options
def plot(
    kind: str,
    source: str,
    output: str,
    by: str | None,
    metric: str | None,
    where: tuple[str, ...],
    overrides: tuple[str, ...],
    workers: int | None,
) -> None:
    """Draw a picture of a run or a sweep.

    RUN is a directory that `perfcore run` wrote, SPEC a sweep file, which is evaluated. Axes that a
    picture does not show are held at one value, or take whatever is best; the picture says which,
    and --where chooses others.

    \b
    perfcore plot memory_wall results -o wall.png --where model=llama-3.1-70b
    perfcore plot pareto sweep.toml -o front.svg --by weight_format
    perfcore plot winners results -o map.html --metric cost_per_mtok_output_usd
    """  # noqa: D301
    suffix = Path(output).suffix
    if suffix not in SUFFIXES:
        raise InputError(f"--output: {output!r} must end in {', '.join(SUFFIXES)}")
    check_output("--output", output, [source])
    from perfcore.reporting import vega  # noqa: PLC0415 - Arrow and NumPy are slow to import
    from perfcore.reporting.kinds import gather  # noqa: PLC0415
    from perfcore.reporting.opening import open_source  # noqa: PLC0415

    vega.converter()
    picture = gather(open_source(source, where, overrides, workers), kind, by, metric)
    with replacing(Path(output)) as part:
        if suffix == ".png":
            part.write_bytes(vega.png(picture))
        elif suffix == ".svg":
            part.write_text(vega.svg(picture), encoding="utf-8")
        else:
            from perfcore.reporting.page import picture_page  # noqa: PLC0415

            part.write_text(picture_page(picture), encoding="utf-8")
    click.echo(picture.finding)
    click.echo(f"written to {output}")
