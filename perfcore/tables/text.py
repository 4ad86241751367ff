"""Tables as text, plain for pipes or styled for terminals, wrapped to a width if one is given."""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final, NamedTuple

from perfcore.tables.table import STYLES, Column, Table

GAP: Final = "  "
_NARROW: Final = 8  # least characters of a text column before numbers are split
_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class _Piece(NamedTuple):
    """Part of a line with one style."""

    text: str
    style: str = ""


def plain_text(table: Table, width: int | None = None) -> str:
    """Return lines without styles, of at most ``width`` characters if it is given."""
    return "\n".join(
        "".join(piece.text for piece in line).rstrip() for line in _lines(table, width)
    )


def terminal_text(table: Table, width: int | None = None) -> str:
    """Return the lines of ``plain_text`` with ANSI codes for styles, and the header in bold."""
    return "\n".join("".join(map(_styled, line)).rstrip() for line in _lines(table, width))


def _styled(piece: _Piece) -> str:
    """Return the text of a piece with its style applied, except to surrounding blanks."""
    letters = piece.text.strip()
    if not letters or not piece.style:
        return piece.text
    before, _, after = piece.text.partition(letters)
    words = STYLES.get(piece.style, piece.style).split()
    return f"{before}\x1b[{';'.join(_CODES[word] for word in words)}m{letters}\x1b[0m{after}"


def _lines(table: Table, width: int | None) -> Iterator[Sequence[_Piece]]:
    table = table.printable()
    columns = table.columns
    sizes = _sizes(table, width)
    for line in _wrapped(table.caption, width) if table.caption else ():
        yield [_Piece(line, "bold")]
    for header, style in (
        ([column.name for column in columns], "bold"),
        ([column.unit for column in columns], "dim"),
    ):
        if any(header):
            yield from _row(header, columns, sizes, [style] * len(columns))
    for number, row in enumerate(table.rows):
        styles = [table.style(number, place) for place in range(len(columns))]
        yield from _row(row.cells, columns, sizes, styles)
        for line in _note(row.note, table, width) if row.note else ():
            yield [_Piece(GAP), _Piece(line, row.note_style)]
    for footnote in table.footnotes:
        for number, line in enumerate(_wrapped(footnote, width and width - len(GAP))):
            yield [_Piece(f"{GAP if number else ''}{line}")]


def _row(
    cells: Sequence[str], columns: Sequence[Column], sizes: Sequence[int], styles: Sequence[str]
) -> Iterator[Sequence[_Piece]]:
    """Yield the lines of a row: several if cells are wrapped."""
    wrapped = [_wrapped(cell, size) for cell, size in zip(cells, sizes, strict=True)]
    for line in zip_longest(*wrapped, fillvalue=""):
        pieces: list[_Piece] = []
        for text, column, size, style in zip(line, columns, sizes, styles, strict=True):
            aligned = text.rjust(size) if column.align == "right" else text.ljust(size)
            pieces += [_Piece(GAP)] if pieces else []
            pieces.append(_Piece(aligned, style))
        yield pieces


def _sizes(table: Table, width: int | None) -> list[int]:
    """Return the width of each column in characters.

    If a width is given, the widest columns are narrowed: text columns first, as long as their words
    stay whole; then text within words; numbers and bars only as a last resort.
    """
    lines = [[column.name for column in table.columns], [column.unit for column in table.columns]]
    lines += [list(row.cells) for row in table.rows]
    by_column = list(zip(*lines, strict=True))
    sizes = [max(map(len, cells)) for cells in by_column]
    if width is None:
        return sizes
    words = [
        max((len(word) for cell in cells for word in cell.split()), default=0)
        for cells in by_column
    ]
    texts = [
        place
        for place, column in enumerate(table.columns)
        if column.align == "left" and not (column.picture or column.whole)
    ]
    excess = sum(sizes) + len(GAP) * (len(sizes) - 1) - width
    for places, least in (
        (texts, words),
        (texts, [_NARROW] * len(sizes)),
        (range(len(sizes)), [1] * len(sizes)),
    ):
        while excess > 0 and (wide := [place for place in places if sizes[place] > least[place]]):
            sizes[max(wide, key=sizes.__getitem__)] -= 1
            excess -= 1
    return sizes


def _note(note: str, table: Table, width: int | None) -> list[str]:
    if width is None or not table.short_notes:
        return _wrapped(note, width and width - len(GAP))
    return [
        textwrap.shorten(note, width - len(GAP), placeholder=" ...", break_on_hyphens=False),
    ]


def _wrapped(text: str, width: int | None) -> list[str]:
    """Return text as lines; text that fits is unchanged, including blanks at its ends."""
    if width is None or len(text) <= width:
        return [text]
    return textwrap.wrap(text, max(width, 1), break_on_hyphens=False) or [""]
