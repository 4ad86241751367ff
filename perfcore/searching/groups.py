"""Groups of rows: combinations of the values of some axes."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from perfcore.errors import InputError, argument
from perfcore.kernel.layout import Integers
from perfcore.reading.places import Place
from perfcore.space.axes import Axis, Value
from perfcore.space.space import Space, distinct


class Groups:
    """Numbers of the groups that rows belong to: combinations of the values of some axes."""

    def __init__(self, space: Space, names: Sequence[str]) -> None:
        axes = (*space.outer_axes, *space.inner_axes)
        known = [axis.name for axis in axes]
        faults: list[str] = []
        for name in names:
            if name not in known:
                Place(argument("by"), "", faults).unknown("axis", name, known)
            elif space.chooses_devices and name in {"tp", "pp"}:
                faults.append(
                    f"{argument('by')}: {name} is chosen for each row; "
                    "list values of it to group by"
                )
        if faults:
            raise InputError(faults)
        self.space = space
        self.axes = [axis for axis in axes if axis.name in names]
        self.count = 1
        self.strides: dict[str, int] = {}
        for axis in reversed(self.axes):
            self.strides[axis.name] = self.count
            self.count *= len(distinct(axis))

    def label(self, number: int) -> dict[str, Value]:
        """Return the values of a group's axes."""
        return {
            axis.name: distinct(axis)[number // self.strides[axis.name] % len(distinct(axis))]
            for axis in self.axes
        }

    def outer(self, start: int, stop: int) -> Integers:
        """Return the part of the group's number that an outer point gives."""
        codes = self.space.block(start, stop).axes if self.strides else ()
        return self._numbers(self.space.varying_outer, codes, stop - start)

    def inner(self) -> Integers:
        """Return the part that the lengths give."""
        codes = self.space.inner.axes
        return self._numbers(self.space.varying_inner, codes, self.space.inner_points)

    def _numbers(
        self, axes: Sequence[Axis], codes: Iterable[npt.NDArray[np.int32]], points: int
    ) -> Integers:
        numbers = np.zeros(points, np.int64)
        for axis, row in zip(axes, codes, strict=False):
            if axis.name in self.strides:
                place = row.astype(np.int64)
                if axis.kind == "integer":  # of which the codes are the values
                    values = np.array(distinct(axis), np.float64)
                    order = np.argsort(values)
                    place = order[np.searchsorted(values, row, sorter=order)]
                numbers += place * self.strides[axis.name]
        return numbers
