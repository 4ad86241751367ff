"""``perfcore explore``: a page that computes configurations in the browser."""

import shlex

import click

from perfcore.cli.completion import entry_name
from perfcore.cli.parsing import Command
from perfcore.cli.text import say


@click.command(cls=Command)
@click.argument(
    "given", metavar="[RUN|SPEC|MODEL]...", nargs=-1, shell_complete=entry_name("model")
)
@click.option("-o", "--output", required=True, metavar="FILE.html", help="Page to write.")
def explore(given: tuple[str, ...], output: str) -> None:
    """Write a page that computes configurations in the browser.

    The page is one HTML file that works offline. It has the physics as JavaScript and the whole
    catalogue: choose models, devices, formats and layouts, and drag batch, lengths, bandwidth,
    FLOP/s, capacity, power and price. It shows the parts of a token's time, memory, latency against
    throughput, 80 % intervals, and the command that computes each point again.

    It begins with the models given, or with the axes and rows of a sweep file (SPEC) or of a
    directory written by `perfcore run` (RUN). Files of other runs are opened in the browser:
    Parquet, CSV or JSON.

    \b
    perfcore explore -o page.html
    perfcore explore llama-3.3-70b deepseek-v3 -o page.html
    perfcore explore results -o page.html
    """  # noqa: D301
    from perfcore.exploring import exploring  # noqa: PLC0415 - Arrow and NumPy are slow to import

    again = shlex.join(["perfcore", "explore", *given, "-o", "page.html"])
    exploring.explore(given, output, again=again)
    say(f"written to {output}")
