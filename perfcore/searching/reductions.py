"""Reductions of the rows that one thread sees: best rows, Pareto fronts, or counts."""

from typing import Final, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from perfcore.errors import InputError, argument
from perfcore.kernel.layout import Integers, Reals

LARGEST_RESULT: Final = 1_000_000  # rows kept, over all groups

LARGEST_FRONT: Final = 100_000  # rows of one group's front: each new row is compared with all

_NOWHERE: Final = np.iinfo(np.int64).max

_ROOM: Final = 16  # initial rows of a front


class Candidates(NamedTuple):
    """Rows as values (objectives, rows), smaller is better, with groups and places."""

    values: Reals
    groups: Integers
    places: Integers


class Rows(NamedTuple):
    """Rows as the kernel writes them: objectives, and positions in a block of outer points."""

    metrics: npt.NDArray[np.floating]  # (objectives, rows)
    maximize: tuple[bool, ...]
    outer_of: npt.NDArray[np.int32]
    inner_of: npt.NDArray[np.int32]
    outers: Integers  # numbers of the block's outer points in the space
    inner_points: int
    outer_groups: Integers  # contributions to the number of a row's group
    inner_groups: Integers

    def located(self) -> Candidates:
        """Return the rows with their groups and places."""
        from perfcore.kernel.selection import locate  # noqa: PLC0415 - Numba is slow to import

        groups, places = np.empty((2, len(self.outer_of)), np.int64)
        locate(
            self.outer_of,
            self.inner_of,
            self.outers,
            self.inner_points,
            self.outer_groups,
            self.inner_groups,
            groups,
            places,
        )
        signs = np.array([-1.0 if one else 1.0 for one in self.maximize], self.metrics.dtype)
        return Candidates(signs[:, np.newaxis] * self.metrics, groups, places)


class Sink(Protocol):
    """Reduction of the rows that one thread sees."""

    def see(self, rows: Rows) -> None:
        """Add rows as the kernel writes them."""

    def take(self, rows: Candidates) -> None:
        """Add rows."""

    def merge(self, other: Self) -> None:
        """Add the reduction of other rows, from another thread or process."""


S = TypeVar("S", bound=Sink)


class Kept(Sink, Protocol):
    """Reduction that keeps some of the rows."""

    def entries(self) -> Candidates:
        """Return the kept rows."""

    def settles(self, bounds: Candidates) -> npt.NDArray[np.bool_]:
        """Return whether rows with at least these values and places would change nothing."""


K = TypeVar("K", bound=Kept)


class Best:
    """The ``top`` rows of each group with the smallest values."""

    def __init__(self, groups: int, top: int, dtype: npt.DTypeLike) -> None:
        self.values = np.full((groups, top), np.inf, dtype)
        self.places = np.full((groups, top), _NOWHERE)

    def see(self, rows: Rows) -> None:
        """Add rows as the kernel writes them."""
        from perfcore.kernel.selection import (  # noqa: PLC0415 - Numba is slow to import
            keep_best_of_block,
        )

        keep_best_of_block(
            rows.metrics[0],
            rows.maximize[0],
            rows.outer_of,
            rows.inner_of,
            rows.outers,
            rows.inner_points,
            rows.outer_groups,
            rows.inner_groups,
            self.values,
            self.places,
        )

    def take(self, rows: Candidates) -> None:
        """Add rows."""
        from perfcore.kernel.selection import keep_best  # noqa: PLC0415 - Numba is slow to import

        keep_best(rows.values[0], rows.groups, rows.places, self.values, self.places)

    def merge(self, other: Self) -> None:
        """Add the rows kept by another reduction."""
        self.take(other.entries())

    def entries(self) -> Candidates:
        """Return the kept rows."""
        groups, ranks = np.nonzero(self.places != _NOWHERE)
        values = self.values[groups, ranks][np.newaxis]
        return Candidates(values, groups, self.places[groups, ranks])

    def settles(self, bounds: Candidates) -> npt.NDArray[np.bool_]:
        """Return whether rows with at least these values and places would change nothing."""
        last, place = self.values[bounds.groups, -1], self.places[bounds.groups, -1]
        value = bounds.values[0]
        settled: npt.NDArray[np.bool_] = (value > last) | (value == last) & (bounds.places > place)
        return settled


class Front:
    """Pareto front of each group: the rows that no other row matches or beats in every objective.

    Of rows that are equal in all objectives, the first is kept.
    """

    def __init__(self, groups: int, objectives: int, dtype: npt.DTypeLike) -> None:
        self.values = np.empty((groups, _ROOM, objectives), dtype)
        self.places = np.empty((groups, _ROOM), np.int64)
        self.sizes = np.zeros(groups, np.int64)

    def see(self, rows: Rows) -> None:
        """Add rows as the kernel writes them."""
        self.take(rows.located())

    def take(self, rows: Candidates) -> None:
        """Add rows; enlarge the arrays if a front outgrows them."""
        from perfcore.kernel.selection import keep_front  # noqa: PLC0415 - Numba is slow to import

        start = 0
        while True:
            start = keep_front(*rows, start, self.values, self.places, self.sizes)
            if start == rows.places.size:
                return
            room = self.places.shape[1]
            if room >= LARGEST_FRONT or self.places.size >= 4 * LARGEST_RESULT:
                raise InputError(
                    f"{argument('objectives')}: more than {room:,} rows are undominated; "
                    f"name fewer, or add {argument('where')}"
                )
            self.values = np.concatenate([self.values, np.empty_like(self.values)], axis=1)
            self.places = np.concatenate([self.places, np.empty_like(self.places)], axis=1)

    def merge(self, other: Self) -> None:
        """Add the rows kept by another reduction."""
        self.take(other.entries())

    def entries(self) -> Candidates:
        """Return the kept rows."""
        groups, members = np.nonzero(np.arange(self.places.shape[1]) < self.sizes[:, np.newaxis])
        values = np.ascontiguousarray(self.values[groups, members].T)
        return Candidates(values, groups, self.places[groups, members])

    def settles(self, bounds: Candidates) -> npt.NDArray[np.bool_]:
        """Return whether rows with at least these values and places would change nothing."""
        settled = np.zeros(bounds.places.shape, np.bool_)
        for group in np.unique(bounds.groups):
            chosen = np.flatnonzero(bounds.groups == group)
            values, places = bounds.values[:, chosen], bounds.places[chosen]
            for member in range(self.sizes[group]):
                held = self.values[group, member][:, np.newaxis]
                no_worse = (held <= values).all(axis=0)
                same = (held == values).all(axis=0) & (places <= self.places[group, member])
                settled[chosen] |= no_worse & ~same
        return settled


class Counts:
    """Numbers of rows by group and by bin of a value."""

    def __init__(self, groups: int, edges: Reals) -> None:
        self.edges = edges
        self.counts = np.zeros((groups, edges.size + 1), np.int64)

    def see(self, rows: Rows) -> None:
        """Add rows as the kernel writes them."""
        self.take(rows.located())

    def take(self, rows: Candidates) -> None:
        """Add rows."""
        from perfcore.kernel.selection import count_bins  # noqa: PLC0415 - Numba is slow to import

        count_bins(rows.values[0], rows.groups, self.edges, self.counts)

    def merge(self, other: Self) -> None:
        """Add the counts of another reduction."""
        self.counts += other.counts
