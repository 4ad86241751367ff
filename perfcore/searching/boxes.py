"""Boxes of a space: ranges of positions on every dimension, and bounds on their rows' results."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from perfcore import records
from perfcore.kernel.layout import Integers, Reals
from perfcore.physics.stages.point import Point, evaluate
from perfcore.searching.intervals import Interval, Number, UnboundedError, bounding
from perfcore.space.axes import Axis
from perfcore.space.space import ENGINE_AXES, INNER, TABLES, Dimension, Space

# A loop runs once per drafted token, so all rows of a box have the same number of them.
_UNMIXED: Final = frozenset({"draft_len"})
# Bounds are close over wide ranges of rates and prices, less so of what many terms of opposite sign
# depend on: such ranges count as so many times as wide.
_LOOSE: Final = {
    **dict.fromkeys(("tp", "pp", "dp", "ep"), 100.0),
    **dict.fromkeys(("batch", "prefix_hit"), 8.0),
    **dict.fromkeys(INNER[1:], 4.0),
}
_RECORDS: Final = {
    "model": records.Model,
    "device": records.Device,
    "engine": records.Engine,
    "weight_format": records.WeightFormat,
    "kv_format": records.KVFormat,
    "economics": records.Economics,
}


class Boxes(NamedTuple):
    """Boxes: first position on each dimension, and the one after the last. (dimensions, boxes)"""

    start: Integers
    stop: Integers

    @property
    def number(self) -> int:
        """Number of boxes."""
        return int(self.start.shape[1])

    @property
    def rows(self) -> Integers:
        """Rows of each box."""
        return np.asarray(np.prod(self.stop - self.start, axis=0, dtype=np.int64))

    def at(self, chosen: npt.NDArray[np.bool_] | Integers) -> "Boxes":
        """Return some of the boxes."""
        return Boxes(self.start[:, chosen], self.stop[:, chosen])


class Halves(NamedTuple):
    """Halves of boxes: the first of each, then the second of each."""

    boxes: Boxes
    along: Integers  # dimension that was halved
    width: Reals  # of the whole box's values on it, as a logarithm


class Ranges:
    """Minimum and maximum of numbers in any range of positions, found in constant time."""

    def __init__(self, values: Reals) -> None:
        self.low, self.high = [values], [values]
        width = 1
        while 2 * width <= len(values):
            last_low, last_high = self.low[-1], self.high[-1]
            self.low.append(np.minimum(last_low[:-width], last_low[width:]))
            self.high.append(np.maximum(last_high[:-width], last_high[width:]))
            width *= 2

    def ends(self, start: Integers, stop: Integers) -> tuple[Reals, Reals]:
        """Return the least and largest number of each range."""
        low, high = np.empty(len(start)), np.empty(len(start))
        levels = np.frexp(stop - start)[1] - 1  # of the largest power of two within the range
        for level in np.unique(levels):
            chosen = levels == level
            first, second = start[chosen], stop[chosen] - (1 << level)
            lows, highs = self.low[level], self.high[level]
            low[chosen] = np.minimum(lows[first], lows[second])
            high[chosen] = np.maximum(highs[first], highs[second])
        return low, high


class Grid:
    """Grid of a space as boxes.

    Boxes of one family share every choice: models, devices, formats, and groups if results are
    grouped. On other dimensions, whose values are numbers, boxes are split.
    """

    def __init__(self, space: Space, by: tuple[str, ...] = ()) -> None:
        self.space = space
        self.dimensions: tuple[Dimension, ...] = (*space.outer_dimensions, *space.inner_dimensions)
        self.sizes = np.array([len(dimension) for dimension in self.dimensions], np.int64)
        self.place_of = {
            axis.name: number
            for number, dimension in enumerate(self.dimensions)
            for axis in dimension.axes
        }
        self.single = np.array(
            [
                any(not _splits(axis) or axis.name in by for axis in dimension.axes)
                for dimension in self.dimensions
            ]
        )
        self.weights = np.array(
            [
                max(_LOOSE.get(axis.name, 1.0) for axis in dimension.axes)
                for dimension in self.dimensions
            ]
        )
        self.ranges = {name: Ranges(values) for name, values in space.axis_values.items()}
        # of the place in the whole space, from positions on each dimension
        self.strides = np.ones(len(self.sizes), np.int64)
        for number in range(len(self.sizes) - 2, -1, -1):
            self.strides[number] = self.strides[number + 1] * self.sizes[number + 1]
        self.formula = bounding(evaluate)

    def families(self) -> list[Boxes]:
        """Return the largest boxes, by family: one box each."""
        shape = tuple(self.sizes[self.single])
        found = []
        for chosen in np.ndindex(*shape):
            start, stop = np.zeros_like(self.sizes), self.sizes.copy()
            start[self.single] = chosen
            stop[self.single] = np.array(chosen, np.int64) + 1
            found.append(Boxes(start[:, np.newaxis], stop[:, np.newaxis]))
        return found

    def halves(self, boxes: Boxes, weights: Reals) -> Halves:
        """Return both halves of each box, on the dimension on which its values differ most.

        Differences count times the weights of dimensions. Every box has several positions on some
        dimension.
        """
        widths = np.full(boxes.start.shape, -1.0)
        for name, ranges in self.ranges.items():
            number = self.place_of[name]
            low, high = ranges.ends(boxes.start[number], boxes.stop[number])
            width = np.log(np.maximum(abs(high), 1e-9)) - np.log(np.maximum(abs(low), 1e-9))
            widths[number] = np.maximum(widths[number], abs(width))
        single = boxes.stop - boxes.start < 2
        widest = np.argmax(np.where(single, -np.inf, widths * weights[:, np.newaxis]), axis=0)
        every = np.arange(boxes.number)
        middle = (boxes.start[widest, every] + boxes.stop[widest, every]) // 2
        start, stop = boxes.start.copy(), boxes.stop.copy()
        stop[widest, every] = middle
        start[widest, every] = middle
        both = Boxes(
            np.concatenate([boxes.start, start], axis=1),
            np.concatenate([stop, boxes.stop], axis=1),
        )
        return Halves(both, np.tile(widest, 2), np.tile(widths[widest, every], 2))

    def first_places(self, boxes: Boxes) -> Integers:
        """Return the place in the space of the first row of each box."""
        places: Integers = self.strides @ boxes.start
        return places

    def bounds(self, boxes: Boxes) -> Point | None:
        """Return bounds of the results of each box of a family; None if nothing is known.

        Each field is an interval with a lane per box, or a number that all boxes share.
        """
        with np.errstate(all="ignore"):  # overflow and invalid operations bound nothing
            try:
                point: Point = self.formula(*self._inputs(boxes))
            except (UnboundedError, ArithmeticError, ValueError):
                return None
        return point

    def _inputs(self, boxes: Boxes) -> tuple[object, ...]:
        """Return the arguments of ``evaluate``, of numbers and intervals."""
        space = self.space
        first = {name: boxes.start[number, :1] for name, number in self.place_of.items()}
        made: list[object] = []
        for kind in TABLES:
            row = first[kind]
            if kind == "engine":
                row = space.engine_row(*(first[name] for name in ENGINE_AXES))
            base = _RECORDS[kind](*map(float, space.base_records[kind][int(row[0])]))
            changes = {}
            for what_if in space.what_ifs.values():
                if what_if.record == kind:
                    value = self._value(what_if.column_name, boxes)
                    scales = what_if.mode == "scale"
                    changes[what_if.field] = (
                        value * getattr(base, what_if.field) if scales else value
                    )
            made.append(base._replace(**changes))
        values: dict[str, Any] = {
            name: self._value(name, boxes)
            for name in records.Deployment._fields
            if name in self.place_of  # others: of prefill pools, which there are none of
        }
        rules = space.engine_rules(first["engine"], first["weight_format"])
        values |= {name: float(codes[0]) for name, codes in rules.items()}
        deployment = records.Deployment(**values)
        made.insert(5, deployment)
        return (*made, *(self._value(name, boxes) for name in INNER[1:]))

    def _value(self, name: str, boxes: Boxes) -> Number:
        """Return an axis's values in each box: an interval, or a number if there is just one."""
        number = self.place_of[name]
        low, high = self.ranges[name].ends(boxes.start[number], boxes.stop[number])
        if low.min() == high.max():
            return float(low[0])
        return Interval(low, high)


def _splits(axis: Axis) -> bool:
    return axis.kind != "categorical" and axis.name not in _UNMIXED
