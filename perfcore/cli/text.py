"""Plain text for people: aligned tables, named facts, bars, and JSON for programs."""

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable
from typing import Any, Final

import click

from perfcore import tables
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
    "--json", "as_json", is_flag=True, help="Print JSON for programs."
)

markdown_option: Callable[[Any], Any] = click.option(
    "--markdown", "as_markdown", is_flag=True, help="Print Markdown."
)


def set_option(example: str, name: str = "overrides") -> Callable[[Any], Any]:
    """Return the option ``--set`` for an argument, with an example in its help."""
    return click.option(
        "--set",
        name,
        metavar="KEY=VALUE",
        multiple=True,
        help=f"Set a value, e.g. {example}. May be repeated.",
    )


def width() -> int:
    """Return the columns that there are for text."""
    return min(shutil.get_terminal_size((80, 24)).columns, WIDEST)


def dump(value: object) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(table: tables.Table) -> None:
    """Print a table: within a terminal's width, in a pipe one line a row."""
    columns = shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else None
    click.echo(_text(table, columns))


def facts(pairs: Iterable[tuple[str, str]], indent: str = "") -> None:
    """Print names and their texts, wrapped at the terminal's width."""
    table = tables.facts(pairs)
    if table.rows:
        click.echo(textwrap.indent(_text(table, width() - len(indent)), indent))


def _text(table: tables.Table, columns: int | None) -> str:
    render = tables.terminal_text if sys.stdout.isatty() else tables.plain_text
    return render(table, columns)


def heading(text: str) -> None:
    """Print a line that opens a paragraph."""
    click.echo()
    click.secho(text, bold=True)


def paragraph(text: str, indent: str = "  ") -> None:
    """Print wrapped text; further lines are set in."""
    click.echo(
        textwrap.fill(
            text,
            width(),
            initial_indent=indent,
            subsequent_indent=indent + "  " if indent else "",
            break_on_hyphens=False,
            break_long_words=False,
        )
    )


def has_blocks() -> bool:
    """Whether the terminal's letters have block elements: all of Unicode's have."""
    return (getattr(sys.stdout, "encoding", "") or "").lower().startswith("utf")


def bar(share: float, size: int = 24) -> str:
    """Return a bar of blocks for a share from 0 to 1."""
    share = min(max(share, 0.0), 1.0)
    if not has_blocks():
        return _PLAIN * round(share * size)
    eighths = round(share * size * 8)
    return (_FULL * (eighths // 8) + _PARTS[eighths % 8]).strip()


def part_bar(start: float, stop: float, size: int) -> str:
    """Return the part of a bar from one share to another, never empty; blanks stand before it."""
    halves = 2 * size
    first = min(max(round(start * halves), 0), halves - 1)
    last = min(max(round(stop * halves), first + 1), halves)
    cells = ((first <= place < last, first <= place + 1 < last) for place in range(0, last, 2))
    if not has_blocks():
        return "".join(_PLAIN if any(cell) else " " for cell in cells)
    return "".join(_HALVES[cell] for cell in cells)


def duration(seconds: float) -> str:
    """Return a time for people, in the unit that they would use."""
    for name, size in _LONG.items():
        if seconds >= 2.0 * size:
            return f"{seconds / size:,.0f} {name}"
    return format_quantity(seconds, "s", 2)


def quantity(value: float | None, unit: str = "", digits: int = 4) -> str:
    """Return a quantity for people, or a dash where there is none."""
    return "-" if value is None else format_quantity(value, unit, digits)
