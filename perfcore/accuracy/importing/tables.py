"""Tables as tools print them, with ``|`` or box-drawing lines between cells."""

import re
from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing.documents import cell_value

_RULE: Final = re.compile(r"[\s:|+=\u2500-\u257f-]+")  # also of box-drawing lines
_BORDER: Final = re.compile(r"[|│┃║]")


def cells_of(text: str) -> Iterator[dict[str, float | str]]:
    """Yield the rows of every table in a text, by the names in the first row of their table."""
    header: list[str] = []
    for line in text.split("\n"):
        stripped = line.strip()
        if not _BORDER.match(stripped):
            if not _RULE.fullmatch(stripped):
                header = []
            continue
        if _RULE.fullmatch(stripped):
            continue
        cells = [cell.strip() for cell in _BORDER.split(stripped)[1:]]
        if cells and not cells[-1]:
            cells.pop()
        if not header:
            header = cells
        elif len(cells) == len(header):
            yield {name: cell_value(cell) for name, cell in zip(header, cells, strict=True)}


def labels_of(text: str) -> dict[str, str]:
    """Return the values of lines like ``Average Input Length (tokens):  128``, by their label."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        label, colon, value = line.partition(":")
        if colon and value.strip():
            found.setdefault(" ".join(label.split()), value.strip())
    return found
