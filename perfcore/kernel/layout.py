"""Input and output arrays of the kernel."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]

CACHE_LINE: Final = 64  # bytes
VECTOR: Final = 8  # rows that the kernel's loops process at once


class Block(NamedTuple):
    """A contiguous range of outer points."""

    # (6, points) rows in the tables, followed by those of other machines: device and engine of a
    # prefill pool or of experts; model, device and engine of a draft
    records: Integers
    deployments: Reals  # (points, fields) one `Deployment` each; batch 0 if it is inner
    lengths: Reals  # (2, points) input and output length; 0 if inner
    axes: Codes  # (varying outer axes, points) values of integer axes, else codes
    degrees: Integers  # (2,) indices of the axes of chosen tp and pp


class Late(NamedTuple):
    """In what the outer points of a group differ, whose rows are evaluated together.

    Only the last stage of the formulas depends on it: prices, but no time and no memory.
    """

    dimensions: tuple[int, ...]  # numbers of the space's outer dimensions
    axes: tuple[str, ...]
    leaves: tuple[str, ...]  # numbers in ``Replica``, by dotted paths


ALONE: Final = Late((), (), ())
TOGETHER: Final = 4  # outer points of a group


class Inner(NamedTuple):
    """Inner points, the same for each outer point: batches and sequence lengths."""

    batches: Reals  # (points,) 0 if it is outer
    lengths: Reals  # (2, points) input and output length; 0 if outer. [tokens]
    axes: Codes  # (varying inner axes, points)


class Rules(NamedTuple):
    """Conditions on metrics: field, range and, for codes, the allowed values as bits."""

    fields: Integers
    dropped_bits: Integers  # as in ``Output``: conditions apply to the rounded values
    ranges: Reals  # (rules, 2)
    masks: Integers


class Output(NamedTuple):
    """Output columns, each at least a tile long, and the fields of ``Point`` that they hold."""

    capacity: int  # rows of a column; arrays are longer by at least a vector
    axes: Codes  # (varying axes, pitch) outer axes first
    metrics: npt.NDArray[np.floating]  # (columns, pitch)
    codes: Codes  # (columns, pitch)
    metric_fields: Integers
    dropped_bits: Integers  # bits to round away from each metric's mantissa
    code_fields: Integers


def pitch_of(capacity: int) -> int:
    """Return the distance between columns of ``capacity`` rows, in numbers of either size.

    At a distance of whole pages, the same row of all columns would map to a few sets of the cache.
    The distance is therefore one cache line longer for 4-byte numbers, two for 8-byte numbers.
    """
    line, page = CACHE_LINE // 4, 4096 // 8  # in numbers of 4 and of 8 bytes
    return -(-(capacity + VECTOR - line) // page) * page + line


def aligned(columns: int, pitch: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an uninitialised (columns, pitch) array aligned to a cache line."""
    size = columns * pitch * np.dtype(dtype).itemsize
    room = np.empty(size + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    return room[start : start + size].view(dtype).reshape(columns, pitch)
