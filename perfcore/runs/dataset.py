"""Data sets, in memory and on disk: the results of sweeps, runs and searches."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from perfcore.errors import InputError
from perfcore.reading.words import suggest
from perfcore.runs import preview

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

VIEWS: Final = ("run", "rows")  # names of the rows in a query
_QUERY: Final = "query of "


class Dataset(ABC):
    """Rows with a name, and counts of the configurations that were left out.

    Arrow tables and data frames are made on request. Libraries that read the Arrow C stream
    interface (DuckDB, Polars, ``pyarrow.table``, pandas 3) also accept the object itself.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the rows."""

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """Names and types of the columns, with ``unit`` and ``meaning`` as metadata."""

    @property
    @abstractmethod
    def num_rows(self) -> int:
        """Number of rows."""

    @property
    @abstractmethod
    def evaluated(self) -> int | None:
        """Number of configurations evaluated; None if unknown."""

    @property
    @abstractmethod
    def dropped(self) -> Mapping[str, int] | None:
        """Configurations that were left out, by reason; None if unknown."""

    @abstractmethod
    def to_arrow(self, columns: Iterable[str] | None = None) -> pa.Table:
        """Return all rows in memory, with all columns or only ``columns``."""

    @abstractmethod
    def head(self, rows: int = 5) -> "Rows":
        """Return the first rows, five by default."""

    @abstractmethod
    def register(self, connection: Any, view: str) -> None:  # noqa: ANN401 - DuckDB's
        """Register the rows as a view of a DuckDB connection."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns, axes first."""
        return list(self.schema.names)

    @property
    def column_names(self) -> list[str]:
        """Names of the columns, as Arrow calls them."""
        return self.columns

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        return self.to_arrow([name])[name]

    def to_pandas(self, columns: Iterable[str] | None = None) -> "pd.DataFrame":
        """Return a pandas data frame of all columns or only ``columns``; text is categorical.

        Raises
        ------
        InputError
            pandas is not installed.
        """
        needed("pandas")
        frame: pd.DataFrame = self.to_arrow(columns).to_pandas()
        return frame

    def to_polars(self, columns: Iterable[str] | None = None) -> "pl.DataFrame":
        """Return a Polars data frame of all columns or only ``columns``; text is categorical.

        Raises
        ------
        InputError
            Polars is not installed.
        """
        frame: pl.DataFrame = needed("polars").from_arrow(self.to_arrow(columns))
        return frame

    def to_pylist(self) -> list[dict[str, Any]]:
        """Return every row as a dictionary."""
        rows: list[dict[str, Any]] = self.to_arrow().to_pylist()
        return rows

    def equals(self, other: "Dataset") -> bool:
        """Return whether names, types and values are equal."""
        return bool(self.to_arrow().equals(other.to_arrow()))

    def sql(self, query: str) -> "Rows":
        """Return the result of a DuckDB SQL query as a data set.

        The rows are the table ``run``, also called ``rows``; only the part of a run on disk that
        the query needs is read. Text columns are returned as categories, and columns that keep
        their name keep their unit.

        Raises
        ------
        InputError
            The query is invalid, or DuckDB is not installed.
        """
        duckdb = needed("duckdb")
        with duckdb.connect() as connection:
            try:
                for view in VIEWS:
                    self.register(connection, view)
                found = connection.sql(query)
                table = None if found is None else found.to_arrow_table()
            except duckdb.Error as error:
                raise InputError(f"sql: {' '.join(str(error).split())}") from None
        if table is None:
            raise InputError("sql: the query asks for nothing; write SELECT ... FROM run")
        name = self.name if self.name.startswith(_QUERY) else _QUERY + self.name
        return Rows(_described(table, self.schema), name)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export the rows through Arrow's stream interface."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return preview.text(self)

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows."""
        return preview.html(self)

    def _known(self, columns: Iterable[str] | None) -> list[str] | None:
        """Return ``columns`` as a list; ``InputError`` if one does not exist."""
        if columns is None:
            return None
        names = list(columns)
        known = self.columns
        faults = [
            f"unknown column {name!r}{suggest(str(name), known)}; this data set has: "
            + ", ".join(known)
            for name in names
            if name not in known
        ]
        if faults:
            raise InputError(faults)
        return names


@dataclass(frozen=True, repr=False, eq=False)
class Rows(Dataset):
    """A data set in memory.

    Parameters
    ----------
    table
        The rows.
    name
        Name of the data set.
    evaluated
        Number of configurations evaluated, if known.
    dropped
        Number of configurations left out, by reason, if known.
    """

    table: pa.Table
    name: str = "rows"
    evaluated: int | None = None
    dropped: Mapping[str, int] | None = None

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self.table.schema

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return int(self.table.num_rows)

    def to_arrow(self, columns: Iterable[str] | None = None) -> pa.Table:
        """Return the rows, with all columns or only some, without copying."""
        names = self._known(columns)
        return self.table if names is None else self.table.select(names)

    def head(self, rows: int = 5) -> "Rows":
        """Return the first rows."""
        return Rows(self.table.slice(0, rows), self.name)

    def register(self, connection: Any, view: str) -> None:  # noqa: ANN401 - DuckDB's
        """Register the rows as a view of a DuckDB connection."""
        connection.register(view, self.table)


def needed(package: str) -> Any:  # noqa: ANN401 - a module
    """Return a package of the extra ``analysis``, or raise an error that says how to install it."""
    try:
        return import_module(package)
    except ImportError:
        raise InputError(f"{package} is not installed; pip install {package}") from None


def _described(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a query's result with text as categories, and metadata by column name."""
    fields = []
    arrays = []
    for found, array in zip(table.schema, table.columns, strict=True):
        is_text = pa.types.is_string(found.type) or pa.types.is_large_string(found.type)
        arrays.append(array.cast(pa.string()).dictionary_encode() if is_text else array)
        place = schema.get_field_index(found.name)
        about = schema.field(place).metadata if place >= 0 else None
        fields.append(pa.field(found.name, arrays[-1].type, found.nullable, about))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
