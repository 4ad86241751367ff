"""Groups of rows: combinations of the values of some axes."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from perfcore.errors import InputError, argument
from perfcore.kernel.layout import Integers
from perfcore.reading.places import Place
from perfcore.space.axes import Axis, Value
from perfcore.space.space import Space, distinct


class Groups:
    """Numbers of the groups that rows belong to, from the values of each axis in its order."""

    def __init__(self, axes: Mapping[str, Sequence[Value]]) -> None:
        self.axes = dict(axes)
        self.count = 1
        self.strides: dict[str, int] = {}
        for name, values in reversed(self.axes.items()):
            self.strides[name] = self.count
            self.count *= len(values)

    def label(self, number: int) -> dict[str, Value]:
        """Return the values of a group's axes."""
        return {
            name: values[number // self.strides[name] % len(values)]
            for name, values in self.axes.items()
        }

    def numbers(self, places: Mapping[str, Integers], rows: int) -> Integers:
        """Return the part of each row's group that its places on some axes give."""
        numbers = np.zeros(rows, np.int64)
        for name, place in places.items():
            numbers += place * self.strides[name]
        return numbers


class SpaceGroups(Groups):
    """Groups of a space's rows: a part of a group's number comes from the outer point."""

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
        """Return the part of the group's number that an outer point gives."""
        codes = self.space.block(start, stop).axes if self.strides else ()
        return self.numbers(self._places(self.space.varying_outer, codes), stop - start)

    def inner(self) -> Integers:
        """Return the part that the batch and the lengths give."""
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
    values = np.array(distinct(axis), np.float64)  # of which the codes are the values
    order = np.argsort(values)
    places: Integers = order[np.searchsorted(values, codes, sorter=order)]
    return places
