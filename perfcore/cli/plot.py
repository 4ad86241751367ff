"""``perfcore plot``: plots of a run or a sweep."""

from typing import Any

import click

from perfcore.cli.completion import words
from perfcore.cli.parsing import Command
from perfcore.cli.text import say, set_option
from perfcore.reporting.names import KINDS, SIMULATED_KINDS

_SOURCE_OPTIONS = (
    click.option(
        "--where",
        metavar="CONDITION",
        multiple=True,
        help="Keep rows with COLUMN<=VALUE (>=, <, >, =), e.g. model=llama-3-70b. Repeatable.",
    ),
    set_option("axes.batch=[1,2,4]"),
    click.option("--workers", type=click.IntRange(1, 1024), help="Threads [all processors]."),
)


def source_options(command: Any) -> Any:  # noqa: ANN401 - as click's decorators
    """Add the options that select the rows of a plot or report."""
    for option in reversed(_SOURCE_OPTIONS):
        command = option(command)
    return command


class _Command(Command):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the kinds of plots, one per line."""
        with formatter.section("Kinds"):
            formatter.write_dl(list(KINDS.items()))
        with formatter.section("Kinds of sweeps with traffic"):
            formatter.write_dl(list(SIMULATED_KINDS.items()))


@click.command(cls=_Command)
@click.argument("kind", metavar="KIND", shell_complete=words((*KINDS, *SIMULATED_KINDS)))
@click.argument("source", metavar="RUN|SPEC")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="File to write: .png, .svg, or .html (interactive).",
)
@click.option("--by", metavar="AXIS", help="Axis with one series per value [device].")
@click.option("--metric", metavar="METRIC", help="Column to plot, for kinds that plot one metric.")
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
    """Plot the results of a run or a sweep.

    RUN is a directory written by `perfcore run`; SPEC is a sweep file, which is evaluated first.
    Axes that are not plotted are fixed at one value or optimised. The plot says which, and --where
    selects other values. Columns that the run has not written, and the what-ifs of cost and
    bandwidth, are evaluated again for the plot, which says so.

    \b
    perfcore plot memory_wall results -o wall.png --where model=llama-3.1-70b
    perfcore plot pareto sweep.toml -o front.svg --by weight_format
    perfcore plot winners results -o map.html --metric cost_per_mtok_output_usd
    """  # noqa: D301
    from perfcore.reporting.drawing import plot as draw  # noqa: PLC0415 - Arrow and NumPy are slow to import

    picture = draw(kind, source, output, by, metric, where, overrides, workers)
    say(picture.finding)
    say(f"written to {output}")
