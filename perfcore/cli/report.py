"""``perfcore report``: one page on a run or a sweep."""

import shlex

import click

from perfcore.cli.plot import source_options


@click.command()
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
    """Write one page on a run or a sweep.

    Findings, the pictures of `perfcore plot` that it has the axes for, what is best on each device,
    assumptions, sources, errors, and the command that makes it again: one HTML file that needs no
    network. Axes that a picture does not show are held at one value; --where chooses others.

    \b
    perfcore report results -o report.html
    perfcore report sweep.toml -o report.html --where model=llama-3.1-70b
    """  # noqa: D301
    from perfcore.reporting import drawing  # noqa: PLC0415 - Arrow and NumPy are slow to import

    again = _again(source, where, overrides)
    drawing.report(source, output, where, overrides, workers, again=again)
    click.echo(f"written to {output}")


def _again(source: str, where: tuple[str, ...], overrides: tuple[str, ...]) -> str:
    """Return the command that writes the page again."""
    words = ["perfcore", "report", source]
    words += [word for condition in where for word in ("--where", condition)]
    words += [word for override in overrides for word in ("--set", override)]
    return shlex.join([*words, "-o", "report.html"])
