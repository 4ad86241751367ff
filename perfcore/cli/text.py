"""Output of commands: aligned tables, named facts and bars as text, and JSON for programs."""

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import click

from perfcore import tables
from perfcore.errors import one_line, visible
from perfcore.output import json_text
from perfcore.units import format_quantity

WIDEST: Final = 100
_LONG: Final = {"years": 31_557_600.0, "days": 86_400.0, "h": 3600.0, "min": 60.0}
_FULL: Final = "█"
_PARTS: Final = " ▏▎▍▌▋▊▉"
_HALVES: Final = {
    (False, False): " ",
    (True, False): "▌",
    (False, True): "▐",
    (True, True): _FULL,
}
_PLAIN: Final = "#"

json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON."
)

markdown_option: Callable[[Any], Any] = click.option(
    "--markdown", "as_markdown", is_flag=True, help="Print Markdown."
)

KERNELS: Final = ("auto", "full", "narrow")  # a test compares them with `runs.kernels`
SEARCH_KERNELS: Final = (*KERNELS, "together")


def set_option(example: str, name: str = "overrides") -> Callable[[Any], Any]:
    """Return the option ``--set`` for an argument, with an example in its help."""
    return click.option(
        "--set",
        name,
        metavar="KEY=VALUE",
        multiple=True,
        help=f"Set a value, e.g. {example}. Repeatable.",
    )


def kernel_option(choices: Sequence[str], help_text: str) -> Callable[[Any], Any]:
    """Return the option ``--kernel`` of a command that evaluates many rows."""
    return click.option(
        "--kernel", type=click.Choice(choices), default="auto", show_default=True, help=help_text
    )


def width() -> int:
    """Return the number of columns available for text."""
    return min(shutil.get_terminal_size((80, 24)).columns, WIDEST)


def dump(value: object) -> None:
    """Print a value as JSON."""
    click.echo(json_text(value, 2))


def say(text: str = "", *, bold: bool = False, err: bool = False) -> None:
    """Print one line, with unprintable characters escaped."""
    text = visible(text)
    click.echo(click.style(text, bold=True) if bold else text, err=err)


def rendered(text: str, *, nl: bool = True) -> None:
    """Print lines of a renderer, which has escaped what must be escaped."""
    click.echo(text, nl=nl)


def print_table(table: tables.Table) -> None:
    """Print a table: within a terminal's width, or one line per row in a pipe."""
    columns = shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else None
    click.echo(_text(table, columns))


def facts(pairs: Iterable[tuple[str, str]], indent: str = "") -> None:
    """Print names with their texts, wrapped at the terminal's width."""
    table = tables.facts(pairs)
    if table.rows:
        click.echo(textwrap.indent(_text(table, width() - len(indent)), indent))


def _text(table: tables.Table, columns: int | None) -> str:
    render = tables.terminal_text if sys.stdout.isatty() else tables.plain_text
    return render(table, columns)


def heading(text: str) -> None:
    """Print a heading after an empty line."""
    say()
    say(text, bold=True)


def paragraph(text: str, indent: str = "  ", *, bold: bool = False) -> None:
    """Print wrapped text; continuation lines are indented."""
    text = one_line(text)
    click.echo(
        textwrap.fill(
            click.style(text, bold=True) if bold else text,
            width(),
            initial_indent=indent,
            subsequent_indent=indent + "  " if indent else "",
            break_on_hyphens=False,
            break_long_words=False,
        )
    )


def has_blocks() -> bool:
    """Return whether the terminal's encoding has block elements: all of Unicode's do."""
    return (getattr(sys.stdout, "encoding", "") or "").lower().startswith("utf")


def bar(share: float, size: int = 24) -> str:
    """Return a bar of blocks for a share from 0 to 1."""
    share = min(max(share, 0.0), 1.0)
    if not has_blocks():
        return _PLAIN * round(share * size)
    eighths = round(share * size * 8)
    return (_FULL * (eighths // 8) + _PARTS[eighths % 8]).strip()


def part_bar(start: float, stop: float, size: int) -> str:
    """Return the part of a bar from one share to another, never empty, after leading blanks."""
    halves = 2 * size
    first = min(max(round(start * halves), 0), halves - 1)
    last = min(max(round(stop * halves), first + 1), halves)
    cells = ((first <= place < last, first <= place + 1 < last) for place in range(0, last, 2))
    if not has_blocks():
        return "".join(_PLAIN if any(cell) else " " for cell in cells)
    return "".join(_HALVES[cell] for cell in cells)


def duration(seconds: float) -> str:
    """Return a duration in a customary unit."""
    for name, size in _LONG.items():
        if seconds >= 2.0 * size:
            return f"{seconds / size:,.0f} {name}"
    return format_quantity(seconds, "s", 2)


def quantity(value: float | None, unit: str = "", digits: int = 4) -> str:
    """Return a quantity with its unit, or a dash if there is none."""
    return "-" if value is None else format_quantity(value, unit, digits)
