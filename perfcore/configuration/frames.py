"""Results as tables of Arrow, pandas and Polars."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from perfcore.runs.dataset import Rows


class Frames(ABC):
    """Results with one row for each configuration, as a data frame."""

    @abstractmethod
    def _lines(self) -> Sequence[Mapping[str, object]]:
        """Return the rows; keys that a row lacks are null."""

    def _rows(self) -> "Rows":
        import pyarrow as pa  # noqa: PLC0415 - slow to import, and a result needs it rarely

        from perfcore.runs.dataset import Rows  # noqa: PLC0415

        lines = self._lines()
        names = dict.fromkeys(name for line in lines for name in line)
        table = pa.table({name: [line.get(name) for line in lines] for name in names})
        return Rows(table)

    def to_arrow(self) -> "pa.Table":
        """Return an Arrow table."""
        return self._rows().to_arrow()

    def to_pandas(self) -> "pd.DataFrame":
        """Return a pandas data frame."""
        return self._rows().to_pandas()

    def to_polars(self) -> "pl.DataFrame":
        """Return a Polars data frame."""
        return self._rows().to_polars()
