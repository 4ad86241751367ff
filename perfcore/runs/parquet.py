"""Parquet files: the schema of a row, and the writer of rows."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from perfcore.columns import BY_NAME, SOUGHT, Column
from perfcore.errors import OutputError, argument, reason
from perfcore.kernel.layout import aligned, pitch_of
from perfcore.space.axes import Axis
from perfcore.space.profiles import LEVELS, PROFILES
from perfcore.space.sections import Output
from perfcore.space.space import Space, distinct

ROW_GROUP: Final = 122_880  # rows; DuckDB's default, and a good size for all readers
PAGE_BYTES: Final = 1 << 20
# Rows that Arrow passes to an encoder at once. With its default of 1024, it collects the labels in
# use, which statistics of text need, 120 times per row group (13 ns per row and column, not 7).
ENCODER_ROWS: Final = 1 << 16
FORMAT_VERSION: Final = "2.6"


def axis_field(axis: Axis) -> pa.Field:
    """Return the Arrow field of an axis: text as dictionary, int32, or float64 for a what-if."""
    column = BY_NAME.get(axis.name)
    unit = column.unit if column else ""
    meaning = column.meaning if column else f"what-if: {axis.name}"
    if axis.kind == "categorical":
        kind = pa.dictionary(pa.int32(), pa.string())
    elif axis.kind == "integer":
        kind = pa.int32()
    else:
        kind = pa.float64()
    return pa.field(axis.name, kind, nullable=False, metadata={"unit": unit, "meaning": meaning})


def metric_field(column: Column, dtype: str) -> pa.Field:
    """Return the Arrow field of a metric, a count or a code."""
    if column.kind == "code":
        kind = pa.dictionary(pa.int32(), pa.string())
    elif column.kind == "count":
        kind = pa.int32()
    else:
        kind = pa.float32() if dtype == "float32" else pa.float64()
    metadata = {"unit": column.unit, "meaning": column.meaning}
    return pa.field(column.name, kind, nullable=False, metadata=metadata)


def schema(space: Space, metadata: Mapping[str, object]) -> pa.Schema:
    """Return the Arrow schema of a space's rows; ``metadata`` is JSON under ``perfcore.*``."""
    fields = [axis_field(axis) for axis in (*space.outer_axes, *space.inner_axes)]
    fields += [metric_field(column, space.spec.output.dtype) for column in space.columns]
    texts = {
        f"perfcore.{key}": value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for key, value in metadata.items()
    }
    return pa.schema(fields, metadata=texts)


class Buffers:
    """Output columns of one worker, which the kernel fills repeatedly."""

    axes: npt.NDArray[np.int32]
    metrics: npt.NDArray[np.floating]
    codes: npt.NDArray[np.int32]

    def __init__(
        self, space: Space, capacity: int = ROW_GROUP, objectives: int | None = None
    ) -> None:
        """Allocate ``capacity`` rows.

        Those of a search have so many ``objectives``, and positions in place of axes.
        """
        axes = len(space.varying_outer) + len(space.varying_inner)
        metrics = sum(column.kind == "metric" for column in space.columns)
        codes = len(space.columns) - metrics
        if objectives is not None:
            axes, metrics, codes = (4 if space.chooses_devices else 2), objectives, 0
        self.capacity = capacity
        pitch = pitch_of(capacity)
        self.axes = aligned(axes, pitch, np.int32)
        self.metrics = aligned(metrics, pitch, space.spec.output.dtype)
        self.codes = aligned(codes, pitch, np.int32)


class Shaper:
    """Converter of buffers into Arrow batches, without a copy of the kernel's output."""

    def __init__(self, space: Space, arrow_schema: pa.Schema) -> None:
        self.schema = arrow_schema
        self.axes = (*space.outer_axes, *space.inner_axes)
        self.columns = space.columns
        self.labels = {
            axis.name: pa.array(distinct(axis), pa.string())
            for axis in self.axes
            if axis.kind == "categorical"
        }
        self.values = {
            axis.name: np.array(distinct(axis), np.float64)
            for axis in self.axes
            if axis.kind == "real"
        }
        self.constants = {
            axis.name: self._axis(axis, self._codes(axis))
            for axis in self.axes
            if not space.varies(axis)
        }
        self.codes = {
            column.name: pa.array(column.categories, pa.string())
            for column in self.columns
            if column.kind == "code"
        }

    def batch(self, buffers: Buffers, rows: int) -> pa.RecordBatch:
        """Return the first ``rows`` rows of ``buffers``; valid until the kernel writes again."""
        codes = iter(buffers.axes)
        arrays = [
            self.constants[axis.name].slice(0, rows)
            if axis.name in self.constants
            else self._axis(axis, next(codes)[:rows])
            for axis in self.axes
        ]
        real = iter(buffers.metrics)
        whole = iter(buffers.codes)
        for column in self.columns:
            if column.kind == "metric":
                arrays.append(pa.array(next(real)[:rows]))
            elif column.kind == "count":
                arrays.append(pa.array(next(whole)[:rows]))
            else:
                arrays.append(_dictionary(next(whole)[:rows], self.codes[column.name]))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _axis(self, axis: Axis, codes: npt.NDArray[np.int32]) -> pa.Array:
        if axis.kind == "categorical":
            return _dictionary(codes, self.labels[axis.name])
        return pa.array(codes if axis.kind == "integer" else self.values[axis.name][codes])

    @staticmethod
    def _codes(axis: Axis) -> npt.NDArray[np.int32]:
        """Return the codes of an axis that does not vary, for a full buffer."""
        code = int(axis.values[0]) if axis.kind == "integer" else 0
        return np.full(ROW_GROUP, code, np.int32)


def writer_options(arrow_schema: pa.Schema, output: Output) -> dict[str, Any]:
    """Return the options of Arrow's writer for an output profile.

    Only text is dictionary-encoded. Trying a dictionary on real numbers costs two thirds of the
    speed; on whole numbers it costs half of it and saves nothing, because they run in long
    stretches. The same holds for real axes, whose bytes are not split either. Statistics would take
    a sixth of the time on all real numbers; they are written only where readers select few rows: on
    the outermost axes, on what-ifs, and on metrics whose best rows are sought
    (``benchmarks/explore_parquet.py``).
    """
    profile = PROFILES[output.profile]
    level = LEVELS.get(output.compression)
    if output.compression == profile.compression:
        level = profile.level
    real = [field.name for field in arrow_schema if pa.types.is_floating(field.type)]
    metrics = [name for name in real if name in BY_NAME and BY_NAME[name].kind == "metric"]
    what_ifs = [name for name in real if name not in BY_NAME]
    sought = [name for name in arrow_schema.names if name in SOUGHT]
    text = [field.name for field in arrow_schema if pa.types.is_dictionary(field.type)]
    return {
        "version": FORMAT_VERSION,
        "compression": output.compression,
        "compression_level": level,
        "use_dictionary": text,
        "column_encoding": dict.fromkeys(metrics, "BYTE_STREAM_SPLIT")
        if profile.split_bytes
        else None,
        "write_statistics": [*arrow_schema.names[:2], *what_ifs, *sought],
        "data_page_size": PAGE_BYTES,
        "write_batch_size": ENCODER_ROWS,
        "store_schema": True,
    }


class ParquetShard:
    """Data file that grows by row groups; ``name`` is its name in errors.

    ``options`` are those of ``writer_options``.
    """

    def __init__(
        self,
        path: Path,
        arrow_schema: pa.Schema,
        options: Mapping[str, object],
        name: str | None = None,
    ) -> None:
        self.path = path
        self.name = name or str(path)
        try:
            self.writer = pq.ParquetWriter(path, arrow_schema, **options)
        except OSError as error:
            raise _unwritable(self.name, error) from error

    def write(self, batch: pa.RecordBatch) -> None:
        """Append a row group."""
        try:
            self.writer.write_batch(batch, row_group_size=ROW_GROUP)
        except OSError as error:
            raise _unwritable(self.name, error) from error

    def commit(self) -> None:
        """Write the footer and close the file."""
        try:
            self.writer.close()
        except OSError as error:
            raise _unwritable(self.name, error) from error

    def discard(self) -> None:
        """Close and delete the file, as far as that is possible."""
        with suppress(OSError, pa.ArrowException):
            self.writer.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def _dictionary(codes: npt.NDArray[np.int32], labels: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes), labels, safe=False)


def _unwritable(name: str, error: OSError) -> OutputError:
    return OutputError(
        f"{name}: cannot be written ({reason(error)}); free space or choose another "
        f"{argument('output')}"
    )
