"""``perfcore report``: an HTML report on a run or a sweep."""

import shlex

import click

from perfcore.cli.parsing import Command
from perfcore.cli.plot import source_options
from perfcore.cli.text import say


@click.command(cls=Command)
@click.argument("source", metavar="RUN|SPEC")
@click.option("-o", "--output", required=True, metavar="FILE.html", help="Page to write.")
@source_options
def report(
    source: str,
    output: str,
    where: tuple[str, ...],
    overrides: tuple[str, ...],
    workers: int | None,
) -> None:
    """Write an HTML report on a run or a sweep.

    The report is one HTML file that works offline. It has the findings, the page of `perfcore
    explore`, in which readers pick models and devices and set conditions, every plot of `perfcore
    plot` for which the sweep has the axes, assumptions, sources, errors, and the command that
    reproduces it. RUN is a directory written by `perfcore
    run`; SPEC is a sweep file, which is evaluated first. Axes that are not plotted are fixed at one
    value or optimised; --where selects other values.

    \b
    perfcore report results -o report.html
    perfcore report sweep.toml -o report.html --where model=llama-3.1-70b
    """  # noqa: D301
    from perfcore.exploring import document  # noqa: PLC0415 - Arrow and NumPy are slow to import

    again = _again(source, where, overrides)
    document.report(source, output, where, overrides, workers, again=again)
    say(f"written to {output}")


def _again(source: str, where: tuple[str, ...], overrides: tuple[str, ...]) -> str:
    """Return the command that reproduces the page."""
    words = ["perfcore", "report", source]
    words += [word for condition in where for word in ("--where", condition)]
    words += [word for override in overrides for word in ("--set", override)]
    return shlex.join([*words, "-o", "report.html"])
