"""Reductions of the rows that one thread sees: the best, the undominated, or counts."""

from typing import Final, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from perfcore.errors import InputError, argument
from perfcore.kernel.layout import Integers, Reals

LARGEST_RESULT: Final = 1_000_000  # rows that are kept, of all groups together

LARGEST_FRONT: Final = 100_000  # rows of one group's front: each new row is held against them

_NOWHERE: Final = np.iinfo(np.int64).max

_ROOM: Final = 16  # rows of a front at first


class Candidates(NamedTuple):
    """Rows: (objectives, rows) values of which smaller is better, their groups and places."""

    values: Reals
    groups: Integers
    places: Integers


class Sink(Protocol):
    """What a thread makes of the rows that it sees."""

    def take(self, rows: Candidates) -> None:
        """Look at rows."""

    def merge(self, other: Self) -> None:
        """Add what another thread or process has made of other rows."""


S = TypeVar("S", bound=Sink)


class Kept(Sink, Protocol):
    """Rows that a thread keeps of those that it sees."""

    def entries(self) -> Candidates:
        """Return the rows that are kept."""


class Best:
    """The ``top`` rows of each group with the smallest values."""

    def __init__(self, groups: int, top: int, dtype: npt.DTypeLike) -> None:
        self.values = np.full((groups, top), np.inf, dtype)
        self.places = np.full((groups, top), _NOWHERE)

    def take(self, rows: Candidates) -> None:
        """Look at rows."""
        from perfcore.kernel.selection import keep_best  # noqa: PLC0415 - Numba is slow to import

        keep_best(rows.values[0], rows.groups, rows.places, self.values, self.places)

    def merge(self, other: Self) -> None:
        """Look at the rows that another one keeps."""
        self.take(other.entries())

    def entries(self) -> Candidates:
        """Return the rows that are kept."""
        groups, ranks = np.nonzero(self.places != _NOWHERE)
        values = self.values[groups, ranks][np.newaxis]
        return Candidates(values, groups, self.places[groups, ranks])


class Front:
    """The rows of each group that no other one is at least as good as in every objective.

    Of rows that are alike in all objectives the first is kept.
    """

    def __init__(self, groups: int, objectives: int, dtype: npt.DTypeLike) -> None:
        self.values = np.empty((groups, _ROOM, objectives), dtype)
        self.places = np.empty((groups, _ROOM), np.int64)
        self.sizes = np.zeros(groups, np.int64)

    def take(self, rows: Candidates) -> None:
        """Look at rows; make room where a front outgrows it."""
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
        """Look at the rows that another one keeps."""
        self.take(other.entries())

    def entries(self) -> Candidates:
        """Return the rows that are kept."""
        groups, members = np.nonzero(np.arange(self.places.shape[1]) < self.sizes[:, np.newaxis])
        values = np.ascontiguousarray(self.values[groups, members].T)
        return Candidates(values, groups, self.places[groups, members])


class Counts:
    """Rows by group and bin of a value."""

    def __init__(self, groups: int, edges: Reals) -> None:
        self.edges = edges
        self.counts = np.zeros((groups, edges.size + 1), np.int64)

    def take(self, rows: Candidates) -> None:
        """Look at rows."""
        from perfcore.kernel.selection import count_bins  # noqa: PLC0415 - Numba is slow to import

        count_bins(rows.values[0], rows.groups, self.edges, self.counts)

    def merge(self, other: Self) -> None:
        """Add another one's counts."""
        self.counts += other.counts
