"""Row groups of a run: selection by their statistics, and their columns as numbers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from perfcore.errors import InputError, reason
from perfcore.kernel.layout import Integers
from perfcore.runs.run import Run
from perfcore.space.axes import Value
from perfcore.space.sections import Where


class Piece(NamedTuple):
    """Row group of a data file, with the place of its first row in the run."""

    path: Path
    metadata: pq.FileMetaData
    columns: Mapping[str, int]  # places of the columns in the file
    group: int
    first: int


def pieces_of(run: Run) -> tuple[Piece, ...]:
    """Return all row groups of a run, in the order of the space.

    Raises
    ------
    InputError
        A file cannot be read, or has other columns than the first one.
    """
    found = []
    first = 0
    schema = None
    for name in run.store.data_files():
        path = run.data / name
        with _reading(path), pq.ParquetFile(path) as file:
            metadata = file.metadata
            columns = {metadata.schema.column(n).path: n for n in range(metadata.num_columns)}
            schema = schema or file.schema_arrow
            if not schema.equals(file.schema_arrow):
                raise InputError(f"{path}: has other columns than the first file; run again")
        for group in range(metadata.num_row_groups):
            found.append(Piece(path, metadata, columns, group, first))
            first += metadata.row_group(group).num_rows
    return tuple(found)


def schema_of(piece: Piece) -> pa.Schema:
    """Return the schema of a piece's file, including perfcore's metadata."""
    with _reading(piece.path), pq.ParquetFile(piece.path, metadata=piece.metadata) as file:
        return file.schema_arrow


def read(piece: Piece, columns: Sequence[str]) -> pa.Table:
    """Return some columns of a piece."""
    with _reading(piece.path), pq.ParquetFile(piece.path, metadata=piece.metadata) as file:
        return file.read_row_group(piece.group, columns=list(columns))


def may_hold(piece: Piece, where: Sequence[Where]) -> bool:
    """Return whether a row group may have rows that meet conditions, by its statistics."""
    metadata = piece.metadata.row_group(piece.group)
    for condition in where:
        place = piece.columns.get(condition.column)
        found = None if place is None else metadata.column(place).statistics
        if found is None or not found.has_min_max:
            continue
        low, high = found.min, found.max
        if condition.allowed and not any(
            isinstance(value, str) == isinstance(low, str) and low <= value <= high
            for value in condition.allowed
        ):
            return False
        if condition.minimum is not None and high < condition.minimum:
            return False
        if condition.maximum is not None and low > condition.maximum:
            return False
    return True


def codes_of(column: pa.ChunkedArray, values: tuple[Value, ...]) -> Integers:
    """Return the places of a column's values among those of its axis, or -1 if not among them."""
    if pa.types.is_dictionary(column.type):
        column = column.combine_chunks()
        array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        place = {value: code for code, value in enumerate(values)}
        codes = np.array([place.get(label, -1) for label in array.dictionary.to_pylist()], np.int64)
        found: Integers = codes[np.asarray(array.indices)]
        return found
    known = np.array(values, np.float64)
    order = np.argsort(known)
    numbers = numbers_of(column)
    nearest = np.minimum(np.searchsorted(known, numbers, sorter=order), known.size - 1)
    places = order[nearest]
    return np.where(known[places] == numbers, places, -1)


def met(column: pa.ChunkedArray, condition: Where) -> npt.NDArray[np.bool_]:
    """Return which values meet a condition."""
    if len(condition.allowed) == 1 and not isinstance(condition.allowed[0], str):
        return np.equal(numbers_of(column), float(condition.allowed[0]))
    if condition.allowed:
        return codes_of(column, condition.allowed) >= 0
    numbers = numbers_of(column)
    low = -np.inf if condition.minimum is None else condition.minimum
    high = np.inf if condition.maximum is None else condition.maximum
    return (numbers >= low) & (numbers <= high)


def numbers_of(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Return a column as real numbers."""
    return np.asarray(column.to_numpy(), np.float64)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Convert errors of reading a file into ``InputError``."""
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({reason(error)}); run the sweep again"
        ) from error
