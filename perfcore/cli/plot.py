"""``perfcore plot``: a picture of a run or a sweep."""

from typing import Any

import click

from perfcore.cli.text import set_option
from perfcore.reporting.names import KINDS

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
    from perfcore.reporting.drawing import draw  # noqa: PLC0415 - Arrow and NumPy are slow to import

    picture = draw(kind, source, output, by, metric, where, overrides, workers)
    click.echo(picture.finding)
    click.echo(f"written to {output}")
