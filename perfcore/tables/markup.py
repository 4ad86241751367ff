"""Tables as HTML and as Markdown."""

import html as markup
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from perfcore.errors import one_line
from perfcore.tables.table import Column, Table

NOTEBOOK: Final = "padding: 0.1em 0.6em; white-space: nowrap"  # style of cells in notebooks
_SPECIAL: Final = re.compile(r"([\\|$*<`])")
_STRONG: Final = ("bold", "good")
_LONG: Final = 48  # characters above which the text of a cell is wrapped
_UNIT: Final = "font-weight: normal; opacity: 0.7"


class _Cell(NamedTuple):
    text: str
    strong: bool


def escape_html(text: str) -> str:
    """Return text in one line, with unprintable and HTML's special characters escaped."""
    return markup.escape(one_line(text))


def html(table: Table, cell: Callable[[str], str] = escape_html, style: str = "") -> str:
    """Return a ``table`` element, followed by its footnotes as paragraphs.

    The first cell of a row is its header. Bars are left out. Long cells have the class ``text``,
    footnotes the class ``note``.

    Parameters
    ----------
    cell
        Function that converts text to HTML.
    style
        CSS of every cell, for places without a style sheet, such as notebooks.
    """
    table = table.printable()
    columns, lines = _columns_and_lines(table)
    plain = [_css(column, style) for column in columns]
    faint = [_css(column, f"{style}; {_UNIT}" if style else _UNIT) for column in columns]
    header = [_heads([column.name for column in columns], plain, cell)]
    if any(column.unit for column in columns):
        header.append(_heads([column.unit for column in columns], faint, cell))
    parts = ["<table>"]
    if table.caption:
        parts.append(f"<caption>{cell(table.caption)}</caption>")
    parts += [f"<thead>{''.join(header)}</thead>", "<tbody>"]
    parts += [_body(line, plain, cell) for line in lines]
    parts += ["</tbody>", "</table>"]
    parts += [f'<p class="note">{cell(footnote)}</p>' for footnote in table.footnotes]
    return "\n".join(parts)


def _css(column: Column, style: str) -> str:
    """Return the style attribute of a column's cells after a blank, or an empty string."""
    aligned = f"text-align: {column.align}" if style or column.align == "right" else ""
    css = "; ".join(filter(None, (aligned, style)))
    return f' style="{markup.escape(css)}"' if css else ""


def _heads(texts: Sequence[str], css: Sequence[str], cell: Callable[[str], str]) -> str:
    heads = zip(texts, css, strict=True)
    cells = (f'<th scope="col"{own}>{cell(text)}</th>' for text, own in heads)
    return f"<tr>{''.join(cells)}</tr>"


def _body(line: Sequence[_Cell], css: Sequence[str], cell: Callable[[str], str]) -> str:
    cells = []
    for number, (one, own) in enumerate(zip(line, css, strict=True)):
        text = f"<strong>{cell(one.text)}</strong>" if one.strong else cell(one.text)
        wide = ' class="text"' if len(one.text) > _LONG else ""
        cells.append(
            f"<td{wide}{own}>{text}</td>" if number else f'<th scope="row"{own}>{text}</th>'
        )
    return f"<tr>{''.join(cells)}</tr>"


def escape_markdown(text: str) -> str:
    """Return text in one line, with unprintable and Markdown's special characters escaped."""
    return _SPECIAL.sub(r"\\\1", one_line(text))


def markdown(table: Table, cell: Callable[[str], str] = escape_markdown) -> str:
    """Return a table with pipes, between its caption and footnotes as paragraphs.

    Bars are left out. ``cell`` converts text to Markdown; pass ``str`` if it is Markdown already.
    """
    table = table.printable()
    columns, lines = _columns_and_lines(table)
    rule = ["---:" if column.align == "right" else "---" for column in columns]
    header = [cell(", ".join(filter(None, (column.name, column.unit)))) for column in columns]
    rows = [
        [f"**{cell(one.text)}**" if one.strong and one.text else cell(one.text) for one in line]
        for line in lines
    ]
    pipes = "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))
    above = [cell(table.caption)] if table.caption else []
    return "\n\n".join([*above, pipes, *map(cell, table.footnotes)])


def _columns_and_lines(table: Table) -> tuple[list[Column], list[list[_Cell]]]:
    """Return a table's columns and lines without bars, with notes of rows as the last column."""
    kept = [place for place, column in enumerate(table.columns) if not column.picture]
    columns = [table.columns[place] for place in kept]
    lines = [
        [_Cell(row.cells[place].strip(), table.style(number, place) in _STRONG) for place in kept]
        for number, row in enumerate(table.rows)
    ]
    if any(row.note for row in table.rows):
        columns.append(Column(table.notes_title))
        for line, row in zip(lines, table.rows, strict=True):
            line.append(_Cell(row.note.strip(), strong=False))
    return columns, lines
