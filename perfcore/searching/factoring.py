"""Spaces without the axes that have no effect on a search.

Rows that differ only in these axes have the same results, bit for bit. One of them is evaluated,
and the others are added to the rows kept.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from perfcore.kernel.layout import Integers
from perfcore.runs.influences import idle_axes
from perfcore.runs.kernels import FEWEST
from perfcore.searching.reductions import Candidates, K
from perfcore.space.axes import Axis
from perfcore.space.space import Dimension, Space

MOST_COPIES: Final = 1 << 20  # at once


class Factored(NamedTuple):
    """Space whose idle axes have one value each, and the whole space."""

    space: Space
    whole: Space
    idle: tuple[str, ...]  # axes

    @property
    def copies(self) -> int:
        """Rows of the whole space for each row."""
        return self.whole.rows // self.space.rows

    def expanded(self, kept: K, top: int, make: Callable[[], K]) -> K:
        """Return the reduction of the whole space's rows, which keeps ``top`` rows of each group.

        ``kept`` is that of the rows of ``space``.
        """
        if not self.idle:
            return kept
        values, groups, places = kept.entries()
        order = np.lexsort((places, *values[::-1], groups))
        first = np.searchsorted(groups[order], groups[order])
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order)) - first
        whole = make()
        for rank in range(int(ranks.max(initial=-1)) + 1):
            chosen = np.flatnonzero(ranks == rank)
            firsts = Candidates(values[:, chosen], groups[chosen], self._places(places[chosen]))
            # rows of better ranks have as many copies
            copies = self._copies(min(self.copies, top - rank if top > 1 else 1))
            left = np.flatnonzero(~whole.settles(firsts))
            for part in np.array_split(left, -(-left.size * copies.size // MOST_COPIES) or 1):
                taken = Candidates(
                    np.repeat(firsts.values[:, part], copies.size, axis=1),
                    np.repeat(firsts.groups[part], copies.size),
                    (firsts.places[part, np.newaxis] + copies).ravel(),
                )
                whole.take(taken)
        return whole

    def _places(self, places: Integers) -> Integers:
        """Return the places in the whole space of rows of ``space``: the first of their copies."""
        positions = np.unravel_index(places, _sizes(self.space) or (1,))
        found = np.zeros(len(places), np.int64)
        for position, stride in zip(positions, _strides(self.whole), strict=False):
            found += position * stride
        return found

    def _copies(self, count: int) -> Integers:
        """Return the distances of the first copies of a row from its first copy."""
        number = [place for place, one in enumerate(_dimensions(self.whole)) if self._idles(one)]
        sizes, strides = _sizes(self.whole), _strides(self.whole)
        positions = np.unravel_index(np.arange(count), [sizes[place] for place in number])
        found = np.zeros(count, np.int64)
        for position, place in zip(positions, number, strict=True):
            found += position * strides[place]
        return found

    def _idles(self, dimension: Dimension) -> bool:
        return dimension.axes[0].name in self.idle


def factored(space: Space, results: Iterable[str], by: Iterable[str]) -> Factored:
    """Return a space without the axes that change neither results nor conditions nor groups.

    A space of few rows is left as it is: looking for such axes would take longer.
    """
    idle: tuple[str, ...] = ()
    if space.rows >= FEWEST:
        names = [space.results[field].name for field in space.rules.fields]
        idle = idle_axes(space, [*results, *names])
        grouped = {
            axis.name
            for dimension in _dimensions(space)
            if any(axis.name in by for axis in dimension.axes)
            for axis in dimension.axes
        }
        idle = tuple(name for name in idle if name not in grouped)
    if not idle:
        return Factored(space, space, ())
    first = {axis.name: _first(axis) for axis in space.axes if axis.name in idle}
    axes = tuple(first.get(axis.name, axis) for axis in space.spec.axes)
    return Factored(Space(replace(space.spec, axes=axes)), space, idle)


def _first(axis: Axis) -> Axis:
    """Return an axis with its first value only."""
    return Axis(axis.name, axis.values[:1], axis.kind, axis.entries[:1])


def _dimensions(space: Space) -> tuple[Dimension, ...]:
    return (*space.outer_dimensions, *space.inner_dimensions)


def _sizes(space: Space) -> tuple[int, ...]:
    return tuple(len(dimension) for dimension in _dimensions(space))


def _strides(space: Space) -> list[int]:
    """Return the number of rows between neighbours on each dimension."""
    strides = [1]
    for size in reversed(_sizes(space)[1:]):
        strides.insert(0, strides[0] * size)
    return strides
