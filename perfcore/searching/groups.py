"""Groups of rows by the values of some axes."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from perfcore.errors import InputError, argument
from perfcore.kernel.layout import Block, Integers
from perfcore.reading.places import Place
from perfcore.space.axes import Axis, Value
from perfcore.space.space import Space, distinct


class Groups:
    """Numbering of groups: one group per combination of axis values, the last axis fastest."""

    def __init__(self, axes: Mapping[str, Sequence[Value]]) -> None:
        self.axes = dict(axes)
        self.count = 1
        self.strides: dict[str, int] = {}
        for name, values in reversed(self.axes.items()):
            self.strides[name] = self.count
            self.count *= len(values)

    def label(self, number: int) -> dict[str, Value]:
        """Return the axis values of a group."""
        return {
            name: values[number // self.strides[name] % len(values)]
            for name, values in self.axes.items()
        }

    def numbers(self, places: Mapping[str, Integers], rows: int) -> Integers:
        """Return the contribution of some axes to each row's group number.

        Parameters
        ----------
        places
            Index of each row's value on each of the axes. (rows,)
        """
        numbers = np.zeros(rows, np.int64)
        for name, place in places.items():
            numbers += place * self.strides[name]
        return numbers


class SpaceGroups(Groups):
    """Groups of a space's rows. Group numbers are the sum of an outer and an inner part."""

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
        super().__init__({axis.name: distinct(axis) for axis in axes if axis.name in names})
        self.space = space

    def outer(self, start: int, stop: int) -> Integers:
        """Return the contribution of each outer point to its rows' group numbers."""
        if not self.strides:
            return np.zeros(stop - start, np.int64)
        return self.of_block(self.space.block(start, stop))

    def of_block(self, block: Block) -> Integers:
        """Return the contribution of each outer point of a block."""
        return self.numbers(self._places(self.space.varying_outer, block.axes), block.axes.shape[1])

    def inner(self) -> Integers:
        """Return the contribution of each inner point: batch and lengths."""
        places = self._places(self.space.varying_inner, self.space.inner.axes)
        return self.numbers(places, self.space.inner_points)

    def _places(
        self, axes: Sequence[Axis], codes: Iterable[npt.NDArray[np.int32]]
    ) -> dict[str, Integers]:
        return {
            axis.name: _places_of(axis, row)
            for axis, row in zip(axes, codes, strict=False)
            if axis.name in self.strides
        }


def _places_of(axis: Axis, codes: npt.NDArray[np.int32]) -> Integers:
    if axis.kind != "integer":
        return codes.astype(np.int64)
    values = np.array(distinct(axis), np.float64)  # codes of integer axes are the values themselves
    order = np.argsort(values)
    places: Integers = order[np.searchsorted(values, codes, sorter=order)]
    return places
