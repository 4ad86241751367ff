"""Output of a command as blocks, rendered for a terminal by rich or as Markdown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from perfcore import tables
from perfcore.cli.text import rendered, width
from perfcore.errors import one_line
from perfcore.tables import Row, Table, escape_markdown, right

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_NARROWEST_TILE: Final = 14


@dataclass(frozen=True)
class Title:
    """Title, on the first line."""

    text: str


@dataclass(frozen=True)
class Heading:
    """Heading of a section."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Wrapped text."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Facts:
    """List of names with their texts."""

    pairs: Sequence[tuple[str, str]]


class Tile(NamedTuple):
    """Large number with a label and a note."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Panel:
    """Frame around the key results: tiles side by side, and lines below them."""

    tiles: Sequence[Tile]
    lines: Sequence[str]
    style: str = ""


Block = Title | Heading | Paragraph | Facts | Panel | Table


def show(blocks: Sequence[Block]) -> None:
    """Print blocks within the terminal's width, in colour if it has any."""
    from rich.console import Console  # noqa: PLC0415 - takes a tenth of a second
    from rich.theme import Theme  # noqa: PLC0415

    console = Console(width=width(), highlight=False, markup=False, theme=Theme(tables.STYLES))
    with console.capture() as captured:
        for block in blocks:
            for part in _rendered(block, console):
                console.print(part)
    rendered("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _rendered(block: Block, console: "Console") -> "Iterator[RenderableType]":
    from rich.rule import Rule  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    match block:
        case Title(text):
            yield Text(one_line(text), "bold")
        case Heading(text):
            yield Text()
            yield Rule(Text(one_line(text), "bold"), align="left", style="dim")
        case Paragraph(text, style):
            yield Text(one_line(text), style)
        case Facts(pairs):
            if pairs:
                yield _lines(tables.facts(pairs), console)
        case Panel():
            yield _panel(block, console)
        case Table():
            yield _lines(block, console)


def _lines(table: Table, console: "Console") -> "RenderableType":
    from rich.text import Text  # noqa: PLC0415

    return Text.from_ansi(tables.terminal_text(table, console.width))


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
        grid.add_row(*(Text(one_line(tile.value), "bold") for tile in tiles))
        grid.add_row(*(Text(one_line(tile.label)) for tile in tiles))
        if any(tile.note for tile in tiles):
            grid.add_row(*(Text(one_line(tile.note), "dim") for tile in tiles))
        parts += [grid, Text()]
    parts += [
        Text(one_line(line), "" if place else block.style or "bold")
        for place, line in enumerate(block.lines)
    ]
    return Frame(Group(*parts), border_style=block.style or "dim")


def markdown(blocks: Sequence[Block]) -> str:
    """Return blocks as Markdown."""
    return "\n\n".join(part for block in blocks for part in _marked(block))


def _marked(block: Block) -> Iterator[str]:
    match block:
        case Title(text):
            yield f"# {escape_markdown(text)}"
        case Heading(text):
            yield f"## {escape_markdown(text)}"
        case Paragraph(text, _):
            yield escape_markdown(text)
        case Facts(pairs):
            if pairs:
                yield "\n".join(
                    f"- {one_line(name)}: {escape_markdown(text)}" for name, text in pairs
                )
        case Panel():
            yield from _marked_panel(block)
        case Table():
            yield tables.markdown(block)


def _marked_panel(block: Panel) -> Iterator[str]:
    if block.tiles:
        rows = [Row([tile.value for tile in block.tiles], "bold")]
        if any(tile.note for tile in block.tiles):
            rows.append(Row([tile.note for tile in block.tiles]))
        yield tables.markdown(Table(right(*(tile.label for tile in block.tiles)), rows))
    for number, line in enumerate(map(escape_markdown, block.lines)):
        yield line if number else f"**{line}**"
