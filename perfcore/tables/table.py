"""Table as a value: named columns, and rows of cells that are already formatted text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple

from perfcore.errors import one_line

# Styles of text by meaning, in rich's words. A style may also be such words, e.g. "bold cyan".
STYLES: Final = {"good": "bold green", "bad": "bold red", "doubt": "yellow"}


class Column(NamedTuple):
    """Column with its name, its unit, and the format of its cells.

    Parameters
    ----------
    picture
        Whether the cells are bars made of characters, which only text output shows.
    style
        Style of cells that have none, neither their own nor that of their row.
    whole
        Whether the cells are names, which are split only as a last resort.
    """

    name: str = ""
    unit: str = ""
    align: Literal["left", "right"] = "left"
    picture: bool = False
    style: str = ""
    whole: bool = False


class Row(NamedTuple):
    """Row with a cell for each column and a note: a separate line in text, else the last cell.

    A style is a name of ``STYLES``, or words such as "bold cyan".
    """

    cells: Sequence[str]
    style: str = ""
    note: str = ""
    note_style: str = "dim"


@dataclass(frozen=True)
class Table:
    """Table with columns, rows, caption and footnotes.

    Parameters
    ----------
    columns
        If none has a name, text output has no header.
    footnotes
        Lines below the table.
    notes_title
        Header of the notes of rows, if they are a column.
    short_notes
        Whether a note is shortened to one line in text of limited width.
    styles
        Styles of single cells, by row and column number.

    Raises
    ------
    ValueError
        If a row does not have one cell for each column.
    """

    columns: Sequence[Column]
    rows: Sequence[Row]
    caption: str = ""
    footnotes: Sequence[str] = ()
    notes_title: str = ""
    short_notes: bool = False
    styles: Mapping[tuple[int, int], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row.cells) != len(self.columns):
                cells = f"row {number} has {len(row.cells)} cells"
                raise ValueError(f"{cells}, the table {len(self.columns)} columns")

    @classmethod
    def of(
        cls,
        columns: Sequence[Column],
        lines: Iterable[Sequence[str]],
        caption: str = "",
        footnotes: Sequence[str] = (),
    ) -> "Table":
        """Return a table from lines of cells, without styles and notes."""
        return cls(columns, [Row(cells) for cells in lines], caption, footnotes)

    def printable(self) -> "Table":
        """Return the table as renderers show it: each text in one line, without control codes."""
        return replace(
            self,
            columns=[
                column._replace(name=one_line(column.name), unit=one_line(column.unit))
                for column in self.columns
            ],
            rows=[
                row._replace(cells=list(map(one_line, row.cells)), note=one_line(row.note))
                for row in self.rows
            ],
            caption=one_line(self.caption),
            footnotes=list(map(one_line, self.footnotes)),
            notes_title=one_line(self.notes_title),
        )

    def style(self, row: int, column: int) -> str:
        """Return the style of a cell: its own, that of its row, or that of its column."""
        of_row = self.rows[row].style or self.columns[column].style
        return self.styles.get((row, column), of_row)


def left(*names: str) -> tuple[Column, ...]:
    """Return left-aligned columns, for text."""
    return tuple(Column(name) for name in names)


def right(*names: str) -> tuple[Column, ...]:
    """Return right-aligned columns, for numbers."""
    return tuple(Column(name, align="right") for name in names)


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """Return names with their texts as a table without a header."""
    return Table.of((Column(style="dim", whole=True), Column()), pairs)
