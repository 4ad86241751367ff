"""Evaluation of blocks of a space by the kernel, from arrays of NumPy."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from perfcore.kernel import jit, loops
from perfcore.kernel.flushing import STRIDE
from perfcore.kernel.layout import TOGETHER, VECTOR, Block, Inner, Integers, Output, Rules, aligned
from perfcore.kernel.loops import POINT_FIELDS, SOURCE_FIELDS, TARGET_FIELDS, Floats, Kind
from perfcore.physics.stages.point import Point


def record_of(fields: Iterable[str], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array whose type tells ``fill_columns`` to compute some fields of ``Point``.

    The fields are in canonical order, so that each set of them has one kernel.
    """
    chosen = set(fields)
    return np.empty(0, [(name, dtype) for name in Point._fields if name in chosen])


def compiled_fields(
    dtype: npt.DTypeLike, other: str = "", leaves: Iterable[str] = ()
) -> tuple[frozenset[str], ...]:
    """Return the sets of fields that a kernel is compiled for, in this process or on disk.

    With ``other``, one of ``Kind``, a part of the work runs on other machines; with ``leaves``,
    points of a group differ in these.
    """
    every = frozenset(Point._fields)
    wanted = [name == other for name in Kind._fields]
    named = frozenset(leaves)
    found = []
    for _, stored, _, _, _, _, *kind, given in jit.compiled_signatures(loops.fill_columns):
        differing = frozenset() if jit.is_absent(given) else frozenset(jit.names_of(given))
        alike = [not jit.is_absent(one) for one in kind] == wanted
        if alike and differing == named and jit.dtype_of(stored) == np.dtype(dtype):
            found.append(frozenset(jit.names_of(stored) or every))
    return tuple(found)


class Filling:
    """Evaluation of a block of a space into an output that is filled repeatedly.

    Parameters
    ----------
    tables
        Records as rows: models, devices, engines, weight formats, KV formats, economics.
    fields
        Fields of ``Point`` to compute; all by default. They include those of output and rules.
    other
        Work that may run on other machines than the rest: one of ``Kind``, or nothing.
    leaves
        Leaves of ``Replica`` in which the outer points of each group of ``TOGETHER`` differ. There
        are then as many outputs, one for each of a group.
    """

    def __init__(
        self,
        tables: tuple[Floats, Floats, Floats, Floats, Floats, Floats],
        block: Block,
        inner: Inner,
        rules: Rules,
        output: Output,
        *copies: Output,
        fields: Iterable[str] | None = None,
        other: str = "",
        leaves: Iterable[str] = (),
    ) -> None:
        parts = (tables, block, inner, rules, output, *copies)
        arrays = [array for part in parts for array in part]
        if any(isinstance(array, np.ndarray) and not array.flags.c_contiguous for array in arrays):
            raise ValueError("arrays must be C-contiguous: the loops read them by address")
        named = tuple(leaves)
        outputs = (output, *copies)
        if len(outputs) != (TOGETHER if named else 1):
            raise ValueError(f"there are {len(outputs)} outputs")
        metrics = output.metrics
        self.stored = metrics if fields is None else record_of(fields, metrics.dtype)
        self.leaves = np.empty(0, [(name, np.float64) for name in named]) if named else None
        self.kind = Kind(**{other: 1} if other else {})
        self.bound = np.empty(SOURCE_FIELDS + len(outputs) * TARGET_FIELDS, np.int64)
        self.written = np.zeros(len(outputs), np.int64)
        # keeps alive what `bound` points at
        self.kept: list[Any] = [tables, block, inner, rules]
        for copy, one in enumerate(outputs):
            placed = _placed(one)
            loops.bind(tables, block, inner, rules, one, *placed[:2], self.bound, copy)
            self.kept += [one, *placed]

    def fill(self, cursor: Integers, dropped: Integers, *, keep_infeasible: bool) -> int:
        """Fill outputs from ``cursor`` on, as ``fill_columns``; return the rows of the first.

        ``written`` has those of all.
        """
        arrays = (cursor, dropped, self.written)
        given = (self.bound, self.stored, keep_infeasible, *arrays)
        loops.fill_columns(*given, *self.kind, self.leaves)
        return int(self.written[0])


def _placed(output: Output) -> tuple[Integers, Integers, npt.NDArray[Any]]:
    """Return ``places`` and ``moves`` of ``Target``, and the memory of fields without a column."""
    metrics = output.metrics
    columns, pitch = metrics.shape
    if pitch < output.capacity + VECTOR:
        raise ValueError(f"columns have {pitch} rows, not {output.capacity} and a vector")
    out_of_the_way = aligned(POINT_FIELDS, STRIDE, metrics.dtype)
    ahead = out_of_the_way.ctypes.data - metrics.ctypes.data
    places = ahead // metrics.itemsize + np.arange(POINT_FIELDS) * STRIDE
    places[output.metric_fields] = np.arange(columns) * pitch
    moves = np.zeros(POINT_FIELDS, np.int64)
    moves[output.metric_fields] = -1
    return places, moves, out_of_the_way
