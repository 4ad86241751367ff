"""What a command has to say as blocks, shown in a terminal by rich or printed as Markdown."""

import re
import textwrap
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from perfcore.cli.text import width

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table as Grid

_STYLES: Final = {"good": "bold green", "bad": "bold red", "doubt": "yellow"}
_NARROWEST_TILE: Final = 14
_GAP: Final = 2
_SPECIAL: Final = re.compile(r"([\\|$*<`])")


@dataclass(frozen=True)
class Title:
    """The first line."""

    text: str


@dataclass(frozen=True)
class Heading:
    """Opens a section."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Wrapped text."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Facts:
    """Names and their texts."""

    pairs: Sequence[tuple[str, str]]


class Tile(NamedTuple):
    """One number, large."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Panel:
    """What matters most: tiles side by side, and lines below them."""

    tiles: Sequence[Tile]
    lines: Sequence[str]
    style: str = ""


class Row(NamedTuple):
    """Cells of a table, and a remark on a line of its own."""

    cells: Sequence[str]
    style: str = ""
    note: str = ""
    note_style: str = "dim"


@dataclass(frozen=True)
class Table:
    """Aligned columns.

    Parameters
    ----------
    right
        Columns that are flush right.
    pictures
        Columns that only a terminal shows: bars.
    notes
        What the rows' notes are.
    short
        Whether a terminal shows one line of a note, Markdown all of it.
    styles
        Style of a cell, by row and column.
    """

    header: Sequence[str]
    rows: Sequence[Row]
    right: Collection[int] = ()
    pictures: Collection[int] = ()
    notes: str = ""
    short: bool = False
    styles: dict[tuple[int, int], str] = field(default_factory=dict)


Block = Title | Heading | Paragraph | Facts | Panel | Table


def show(blocks: Sequence[Block]) -> None:
    """Print blocks, in colour where there is any, within the terminal's width."""
    from rich.console import Console  # noqa: PLC0415 - takes a tenth of a second
    from rich.theme import Theme  # noqa: PLC0415

    console = Console(width=width(), highlight=False, markup=False, theme=Theme(_STYLES))
    with console.capture() as captured:
        for block in blocks:
            for part in _rendered(block, console):
                console.print(part)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _rendered(block: Block, console: "Console") -> "Iterator[RenderableType]":
    from rich.rule import Rule  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    match block:
        case Title(text):
            yield Text(text, "bold")
        case Heading(text):
            yield Text()
            yield Rule(Text(text, "bold"), align="left", style="dim")
        case Paragraph(text, style):
            yield Text(text, style)
        case Facts(pairs):
            if pairs:
                grid = _grid([max(len(name) for name, _ in pairs), None], ())
                for name, text in pairs:
                    grid.add_row(Text(name, "dim"), Text(text))
                yield grid
        case Panel():
            yield _panel(block, console)
        case Table():
            yield from _table(block, console)


def _grid(sizes: Sequence[int | None], right: Collection[int]) -> "Grid":
    from rich.table import Table as Grid  # noqa: PLC0415

    grid = Grid.grid(padding=(0, _GAP, 0, 0))
    for place, size in enumerate(sizes):
        grid.add_column(
            justify="right" if place in right else "left", min_width=size, overflow="fold"
        )
    return grid


def _panel(block: Panel, console: "Console") -> "RenderableType":
    from rich.console import Group  # noqa: PLC0415
    from rich.panel import Panel as Frame  # noqa: PLC0415
    from rich.table import Table as Grid  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    inside = console.width - 4
    abreast = max(1, min(len(block.tiles), inside // _NARROWEST_TILE))
    parts: list[RenderableType] = []
    for start in range(0, len(block.tiles), abreast):
        tiles = block.tiles[start : start + abreast]
        grid = Grid.grid(expand=True)
        for _ in tiles:
            grid.add_column(justify="center", ratio=1, overflow="fold")
        grid.add_row(*(Text(tile.value, "bold") for tile in tiles))
        grid.add_row(*(Text(tile.label) for tile in tiles))
        if any(tile.note for tile in tiles):
            grid.add_row(*(Text(tile.note, "dim") for tile in tiles))
        parts += [grid, Text()]
    parts += [
        Text(line, "" if place else block.style or "bold") for place, line in enumerate(block.lines)
    ]
    return Frame(Group(*parts), border_style=block.style or "dim")


def _table(block: Table, console: "Console") -> "Iterator[RenderableType]":
    from rich.padding import Padding  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    lines = [block.header, *(row.cells for row in block.rows)]
    sizes: list[int | None] = [
        max(len(line[place]) for line in lines) for place in range(len(block.header))
    ]
    if sum(size or 0 for size in sizes) + _GAP * (len(sizes) - 1) > console.width:
        sizes = [None] * len(sizes)  # cells are wrapped
    grid = _grid(sizes, block.right)
    if any(block.header):
        grid.add_row(*(Text(cell, "dim") for cell in block.header))
    for number, row in enumerate(block.rows):
        grid.add_row(
            *(
                Text(cell, block.styles.get((number, place), row.style))
                for place, cell in enumerate(row.cells)
            )
        )
        if row.note:
            yield grid
            note = row.note
            if block.short:
                note = textwrap.shorten(
                    note, console.width - _GAP, placeholder=" ...", break_on_hyphens=False
                )
            yield Padding(Text(note, row.note_style), (0, 0, 0, _GAP))
            grid = _grid(sizes, block.right)
    if grid.row_count:
        yield grid


def markdown(blocks: Sequence[Block]) -> str:
    """Return blocks as Markdown."""
    return "\n\n".join(part for block in blocks for part in _marked(block))


def _marked(block: Block) -> Iterator[str]:
    match block:
        case Title(text):
            yield f"# {_escaped(text)}"
        case Heading(text):
            yield f"## {_escaped(text)}"
        case Paragraph(text, _):
            yield _escaped(text)
        case Facts(pairs):
            if pairs:
                yield "\n".join(f"- {name}: {_escaped(text)}" for name, text in pairs)
        case Panel(tiles, lines, _):
            if tiles:
                rows = [[f"**{_escaped(tile.value)}**" for tile in tiles]]
                if any(tile.note for tile in tiles):
                    rows.append([_escaped(tile.note) for tile in tiles])
                yield _pipes([_escaped(tile.label) for tile in tiles], rows, range(len(tiles)))
            yield from (
                f"**{_escaped(line)}**" if not n else _escaped(line) for n, line in enumerate(lines)
            )
        case Table():
            yield _marked_table(block)


def _marked_table(block: Table) -> str:
    kept = [place for place in range(len(block.header)) if place not in block.pictures]
    noted = any(row.note for row in block.rows)
    header = [_escaped(block.header[place]) for place in kept] + [block.notes] * noted
    rows = [
        [
            f"**{text}**" if strong and text else text
            for place in kept
            for strong in [block.styles.get((number, place), row.style) in ("bold", "good")]
            for text in [_escaped(row.cells[place].strip())]
        ]
        + [_escaped(row.note)] * noted
        for number, row in enumerate(block.rows)
    ]
    right = [number for number, place in enumerate(kept) if place in block.right]
    return _pipes(header, rows, right)


def _pipes(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int]) -> str:
    rule = ["---:" if place in right else "---" for place in range(len(header))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))


def _escaped(text: str) -> str:
    """Text whose signs mean nothing to Markdown."""
    return _SPECIAL.sub(r"\\\1", text)
