"""CSV files from and for spreadsheets: rows by column name, faults with their line numbers."""

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from perfcore.errors import show, visible
from perfcore.reading.places import Place

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def formula(text: str) -> bool:
    """Return whether a spreadsheet would run a text as a formula."""
    return text.startswith(_FORMULA)


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV that is safe to open in a spreadsheet.

    Numbers stay as they are. Text that begins like a formula gets a leading apostrophe, which marks
    it as text to spreadsheets (OWASP, CSV Injection). Unprintable characters except tabs and line
    ends are escaped, as files are shown in terminals, too. Missing values are empty.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def _harmless(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    text = re.sub(r"[^\t\r\n]+", lambda part: visible(part[0]), cell)
    return f"'{text}" if formula(text) and not _number(text) else text


def _plain(cell: str) -> str:
    """Return a cell without the leading apostrophe that ``csv_text`` adds."""
    return cell[1:] if cell[:1] == "'" and formula(cell[1:]) else cell


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and not text[0].isspace()


class Form(NamedTuple):
    """Layout of a kind of CSV file."""

    columns: Collection[str]
    required: Collection[str]
    any_of: Collection[str]  # at least one of them is required
    noun: str  # for lines, in the plural
    largest: int  # lines


def read_rows(
    path: str, text: str, form: Form, faults: list[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each line's number and its cells by column; the first line names the columns."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    count = 0
    start = 1
    try:
        for cells in reader:
            line, start = start, reader.line_num + 1
            stripped = [_plain(cell.strip()) for cell in cells]
            if not any(stripped):
                continue
            if header is None:
                header = [name.lower() for name in stripped]
                if not _check_header(header, form, Place(path, f"line {line}", faults)):
                    return
                continue
            count += 1
            if count > form.largest:
                faults.append(f"{path}: has more than {form.largest:,} {form.noun}; split the file")
                return
            # spreadsheets pad short lines with empty cells, or leave these out
            if any(stripped[len(header) :]):
                Place(path, f"line {line}", faults).fault(
                    f"{len(stripped)} cells for {len(header)} columns",
                    "put text with commas in quotes",
                )
                continue
            stripped += [""] * (len(header) - len(stripped))
            yield line, dict(zip(header, stripped, strict=False))
    except csv.Error as error:
        faults.append(f"{path}: line {reader.line_num}: not valid CSV: {error}; check its quotes")
        return
    if header is None:
        faults.append(
            f"{path}: is empty; name the columns in the first line: {', '.join(form.columns)}"
        )


def _check_header(header: list[str], form: Form, place: Place) -> bool:
    before = len(place.faults)
    separator = next((other for other in ";\t" if other in header[0]), "")
    if len(header) == 1 and separator:
        place.fault(f"cells are separated by {separator!r}", "save the file with commas")
        return False
    seen: set[str] = set()
    for name in header:
        if name in seen:
            place.fault(f"column {show(name)} appears twice", "remove one")
        elif name not in form.columns:
            place.unknown("column", name, form.columns)
        seen.add(name)
    known = [name for name in header if name in form.columns]
    # a misspelled column is one fault: do not also report the right one as missing
    if len(known) == len(header):
        for name in form.required:
            if name not in header:
                place.fault(f"column {name!r} is missing", "add it")
        if form.any_of and not set(form.any_of) & set(header):
            place.fault(
                f"no column of {', '.join(form.any_of)}", f"add at least one for the {form.noun}"
            )
    return len(place.faults) == before
