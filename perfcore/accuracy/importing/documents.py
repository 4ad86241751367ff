"""Files of results as records: JSON, CSV and printed text, recognised by their contents."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from perfcore.accuracy.table import LARGEST as MOST_RECORDS
from perfcore.errors import InputError
from perfcore.reading.files import read_text

LARGEST: Final = 64 * 2**20  # bytes: even results with details of every request stay below

_BLANK: Final = re.compile(r"\s*")
# A line of a log in brackets, "[INFO] ..." or "[2026-03-31 ...", which JSON never starts with.
_LOG: Final = re.compile(r"\[(?![\s\[{\]])")
_JSON_LINE: Final = re.compile(r"^[ \t]*(?=[\[{])", re.MULTILINE)
# Columns of which one is in the header of every CSV file that a reader knows.
_CSV_COLUMNS: Final = frozenset(
    [
        *("avg_ts", "request_throughput", "requests_per_second", "avg_latency"),
        *("completion_tokens", "throughput(out tok/s)"),
    ]
)
_UNKNOWN: Final = (
    "is neither JSON nor CSV nor a table of a known tool; save results as JSON, or type them into "
    "the table that `perfcore measurements template` writes"
)

Record = Mapping[str, object]
Printed = Callable[[str], list[dict[str, object]]]


class Document(NamedTuple):
    """Results in a file, and remarks on skipped parts."""

    records: list[Record]
    notes: list[str]


def read_records(path: str, printed: Sequence[Printed] = ()) -> Document:
    """Return the objects of a file, in their order.

    JSON may be one object, a list of objects, or several documents in sequence, as written by tools
    that append one line per run; lines of a log around it are skipped, and a remark says how many.
    The header of a CSV file names columns; numeric cells become numbers.

    Parameters
    ----------
    printed
        Parsers of text that tools print; each returns no record for text of another tool.

    Raises
    ------
    InputError
        The file cannot be read, is too large, is empty, is cut off, or holds anything except
        objects.
    """
    if _size(path) > LARGEST:
        raise InputError(
            f"{path}: is larger than {LARGEST >> 20} MiB; save results without each request's data"
        )
    text = read_text(path, ".json").removeprefix("\ufeff").replace("\r\n", "\n")
    notes: list[str] = []
    if not text.strip():
        raise InputError(f"{path}: is empty; run the benchmark again")
    found = _found(path, text, printed, notes)
    records: list[Record] = []
    for record in found:
        if not isinstance(record, dict):
            raise InputError(f"{path}: has a {type(record).__name__} in place of a result")
        if len(records) == MOST_RECORDS:
            raise InputError(f"{path}: has more than {MOST_RECORDS:,} results; split the file")
        records.append(record)
    if not records:
        raise InputError(f"{path}: has no result; run the benchmark again")
    return Document(records, notes)


def _found(path: str, text: str, printed: Sequence[Printed], notes: list[str]) -> Iterator[object]:
    start = text.lstrip()
    if start[:1] in ("{", "[") and not _LOG.match(start):
        return _json(path, text, notes)
    for parse in printed:
        records = parse(text)
        if records:
            return iter(records)
    header = _header(text)
    if header is not None:
        return _csv(path, text[header:])
    if _LOG.match(start) or _JSON_LINE.search(text):
        return _json(path, text, notes)
    raise InputError(f"{path}: {_UNKNOWN}")


def _header(text: str) -> int | None:
    """Return the place of the line that names the columns of a CSV file."""
    place = 0
    for line in text.split("\n"):
        if not _CSV_COLUMNS.isdisjoint(name.strip(' "') for name in line.split(",")):
            return place
        place += len(line) + 1
    return None


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return 0  # reading it reports what is wrong


def _json(path: str, text: str, notes: list[str]) -> Iterator[object]:
    """Yield documents one by one, with lists split into their items."""
    decoder = json.JSONDecoder()
    place = _after_blanks(text, 0)
    line_start = True
    log = documents = 0
    below_log = text[place : place + 1] not in ("{", "[")
    while place < len(text):
        listed = text[place] == "[" and below_log and not documents
        logged = listed or text[place] not in "{[" or _LOG.match(text, place) is not None
        try:
            document, place = _decoded(decoder, text, place)
        except json.JSONDecodeError as error:
            if logged and line_start:
                log += 1
                end = text.find("\n", place)
                place = _after_blanks(text, len(text) if end < 0 else end)
                continue
            raise InputError(
                f"{path}: not valid JSON: line {error.lineno}: {error.msg}; "
                "if the benchmark was interrupted, run it again"
            ) from None
        except RecursionError:
            raise InputError(f"{path}: not valid JSON: nested too deeply") from None
        except ValueError:
            raise InputError(f"{path}: has a number of more than 4300 digits") from None
        documents += 1
        if isinstance(document, list):
            yield from document
        else:
            yield document
        after = _after_blanks(text, place)
        line_start = "\n" in text[place:after]
        place = after
    if documents and log:
        notes.append(f"{path}: {log:,} {'line' if log == 1 else 'lines'} of log skipped")
    if not documents and log:
        raise InputError(f"{path}: {_UNKNOWN}")


def _decoded(decoder: json.JSONDecoder, text: str, place: int) -> tuple[object, int]:
    """Return the object or list at a place and the place after it."""
    if text[place] not in "{[":
        raise json.JSONDecodeError("text that is not JSON", text, place)
    document, after = decoder.raw_decode(text, place)
    return document, after


def _after_blanks(text: str, place: int) -> int:
    found = _BLANK.match(text, place)
    return found.end() if found else place


def _csv(path: str, text: str) -> Iterator[object]:
    reader = csv.DictReader(io.StringIO(text.lstrip(), newline=""), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise InputError(
                    f"{path}: line {reader.line_num}: has more or fewer cells than the first line; "
                    "if the benchmark was interrupted, run it again"
                )
            yield {name: cell_value(cell) for name, cell in row.items()}
    except csv.Error as error:
        raise InputError(
            f"{path}: line {reader.line_num}: not valid CSV: {error}; check its quotes"
        ) from None


def cell_value(cell: str) -> float | str:
    """Return the number in a cell, or its text."""
    try:
        return float(cell)
    except ValueError:
        return cell
