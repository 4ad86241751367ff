"""Files of results as records: JSON, JSON lines and CSV, recognised by their contents."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from perfcore.accuracy.table import LARGEST as MOST_RECORDS
from perfcore.errors import InputError
from perfcore.reading.files import read_text

LARGEST: Final = 64 * 2**20  # bytes: even results with details of every request stay below

_BLANK: Final = re.compile(r"\s*")
_CSV_COLUMN: Final = "avg_ts"  # of llama-bench, the only tool here that writes CSV

Record = Mapping[str, object]


def read_records(path: str) -> list[Record]:
    """Return the objects of a file, in their order.

    JSON may be one object, a list of objects, or several documents in sequence, as written by tools
    that append one line per run. The first line of a CSV file names columns; numeric cells become
    numbers.

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
    text = read_text(path, ".json")
    start = text.lstrip()[:1]
    if start in ("{", "["):
        found = _json(path, text)
    elif _CSV_COLUMN in text.partition("\n")[0]:
        found = _csv(path, text)
    elif start:
        raise InputError(f"{path}: is neither JSON nor llama-bench's CSV; save results as JSON")
    else:
        raise InputError(f"{path}: is empty; run the benchmark again")
    records: list[Record] = []
    for record in found:
        if not isinstance(record, dict):
            raise InputError(f"{path}: has a {type(record).__name__} in place of a result")
        if len(records) == MOST_RECORDS:
            raise InputError(f"{path}: has more than {MOST_RECORDS:,} results; split the file")
        records.append(record)
    if not records:
        raise InputError(f"{path}: has no result; run the benchmark again")
    return records


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return 0  # reading it reports what is wrong


def _json(path: str, text: str) -> Iterator[object]:
    """Yield documents one by one, with lists split into their items."""
    decoder = json.JSONDecoder()
    place = _after_blanks(text, 0)
    while place < len(text):
        try:
            document, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{path}: not valid JSON: line {error.lineno}: {error.msg}; "
                "if the benchmark was interrupted, run it again"
            ) from None
        except RecursionError:
            raise InputError(f"{path}: not valid JSON: nested too deeply") from None
        except ValueError:
            raise InputError(f"{path}: has a number of more than 4300 digits") from None
        if isinstance(document, list):
            yield from document
        else:
            yield document
        place = _after_blanks(text, place)


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
            yield {name: _cell(cell) for name, cell in row.items()}
    except csv.Error as error:
        raise InputError(
            f"{path}: line {reader.line_num}: not valid CSV: {error}; check its quotes"
        ) from None


def _cell(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell
