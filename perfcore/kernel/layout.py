"""What goes into the kernel and comes out of it, as arrays."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]

CACHE_LINE: Final = 64  # bytes
VECTOR: Final = 8  # rows that the kernel's loops take at once


class Block(NamedTuple):
    """A contiguous range of outer points."""

    records: Integers  # (6, points) rows of the tables
    deployments: Reals  # (points, fields) one `Deployment` each, batch 0 where it is inner
    lengths: Reals  # (2, points) input and output length where they are not inner, else 0
    axes: Codes  # (outer axes that vary, points) values of integers, else codes
    degrees: Integers  # (2,) axes of the chosen degrees of tensor and pipeline parallelism


class Inner(NamedTuple):
    """What every outer point goes through: batches and sequence lengths."""

    batches: Reals  # (points,) where it is inner, else 0
    lengths: Reals  # (2, points) input and output length where they are inner, else 0. [tokens]
    axes: Codes  # (inner axes that vary, points)


class Rules(NamedTuple):
    """Conditions on metrics: field, range, and for codes the set of allowed values as bits."""

    fields: Integers
    dropped_bits: Integers  # as in ``Output``: what is compared is what is written
    ranges: Reals  # (rules, 2)
    masks: Integers


class Output(NamedTuple):
    """Columns, each at least a tile long, and the fields of ``Point`` that go into them."""

    capacity: int  # rows of a column; the arrays are longer, by a vector at least
    axes: Codes  # (axes that vary, pitch) outer ones first
    metrics: npt.NDArray[np.floating]  # (columns, pitch)
    codes: Codes  # (columns, pitch)
    metric_fields: Integers
    dropped_bits: Integers  # of each metric's mantissa, which is rounded
    code_fields: Integers


def pitch_of(capacity: int) -> int:
    """Return the distance of columns that hold ``capacity`` rows, in numbers of either size.

    At whole pages, the same rows of all columns would share a few places of the cache: it is a
    cache line more in numbers of 4 bytes, two in numbers of 8.
    """
    line, page = CACHE_LINE // 4, 4096 // 8  # in numbers of the narrowest and the widest kind
    return -(-(capacity + VECTOR - line) // page) * page + line


def aligned(columns: int, pitch: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an uninitialised (columns, pitch) array that begins at a whole cache line."""
    size = columns * pitch * np.dtype(dtype).itemsize
    room = np.empty(size + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    return room[start : start + size].view(dtype).reshape(columns, pitch)
