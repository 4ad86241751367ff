"""A table as a value: named columns, and rows of cells that are formatted text already."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

# Styles of text by meaning, in words that rich understands, too. Others are those words themselves.
STYLES: Final = {"good": "bold green", "bad": "bold red", "doubt": "yellow"}


class Column(NamedTuple):
    """Name of a column with its unit, and how its cells are shown.

    Parameters
    ----------
    picture
        Whether the cells are bars of letters, which only text shows.
    style
        Style of the cells, where neither their row nor they themselves have one.
    whole
        Whether its cells are names, which are split only if nothing else is left.
    """

    name: str = ""
    unit: str = ""
    align: Literal["left", "right"] = "left"
    picture: bool = False
    style: str = ""
    whole: bool = False


class Row(NamedTuple):
    """Cells, one a column, and a note: in text a line of its own, otherwise a last cell.

    Styles are names of ``STYLES``, or words as "bold cyan".
    """

    cells: Sequence[str]
    style: str = ""
    note: str = ""
    note_style: str = "dim"


@dataclass(frozen=True)
class Table:
    """Columns and rows.

    Parameters
    ----------
    columns
        If none has a name, text has no header.
    footnotes
        Lines below the table.
    notes_title
        Header of the rows' notes, where they are a column.
    short_notes
        Whether text within a width shows one line of a note.
    styles
        Styles of single cells, by numbers of row and column.

    Raises
    ------
    ValueError
        If a row has not one cell a column.
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
        """Return a table of lines that are cells and nothing else."""
        return cls(columns, [Row(cells) for cells in lines], caption, footnotes)

    def style(self, row: int, column: int) -> str:
        """Return the style of a cell: its own, that of its row, or that of its column."""
        of_row = self.rows[row].style or self.columns[column].style
        return self.styles.get((row, column), of_row)


def left(*names: str) -> tuple[Column, ...]:
    """Return columns of text."""
    return tuple(Column(name) for name in names)


def right(*names: str) -> tuple[Column, ...]:
    """Return columns of numbers, which are flush right."""
    return tuple(Column(name, align="right") for name in names)


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """Return names and their texts as a table without a header."""
    return Table.of((Column(style="dim", whole=True), Column()), pairs)
