"""Searches that evaluate rows together that differ only in prices and the like.

Such rows have the same memory, prefill pass and decode step, which take nearly all of the time of
a row (``perfcore.runs.influences.late_axes`` finds them from the formulas). The kernel computes
these once for each group of rows.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Final, NamedTuple

import numpy as np

from perfcore.kernel.layout import TOGETHER, Block, Integers, Late
from perfcore.runs.parquet import Buffers
from perfcore.runs.workers import Progress
from perfcore.searching.groups import SpaceGroups
from perfcore.searching.objectives import Objective
from perfcore.searching.reductions import S
from perfcore.searching.workers import SearchWorker
from perfcore.space.space import Space

BLOCK: Final = 1 << 14


class Part(NamedTuple):
    """Outer points in groups of ``TOGETHER``, of which the first ``distinct`` differ."""

    block: Block
    outers: Integers  # (points,) their numbers in the space
    distinct: int


class Together:
    """The outer points of a space in groups of rows evaluated together, divided into parts.

    Parameters
    ----------
    late
        Dimensions in which points of a group differ.
    """

    def __init__(self, space: Space, late: Late) -> None:
        self.space = space
        self.late = late
        self.sizes = [len(dimension) for dimension in space.outer_dimensions]
        self.others = [n for n in range(len(self.sizes)) if n not in late.dimensions]
        self.copies = prod(self.sizes[number] for number in late.dimensions)
        self.bases = prod(self.sizes[number] for number in self.others)
        self.each = max(1, space.points_per_shard // TOGETHER)  # bases of a part
        self.pieces = -(-self.bases // self.each)
        self.parts = self.pieces * -(-self.copies // TOGETHER)

    def part(self, number: int) -> Part:
        """Return a part: a range of bases with the same few of their copies."""
        chunk, piece = divmod(number, self.pieces)
        first = chunk * TOGETHER
        distinct = min(self.copies - first, TOGETHER)
        copies = first + np.minimum(np.arange(TOGETHER), distinct - 1)
        bases = np.arange(piece * self.each, min((piece + 1) * self.each, self.bases))
        positions: list[Integers] = [np.empty(0, np.int64)] * len(self.sizes)
        for chosen, points in (
            (self.others, np.repeat(bases, TOGETHER)),
            (list(self.late.dimensions), np.tile(copies, len(bases))),
        ):
            sizes = [self.sizes[one] for one in chosen]
            for one, places in zip(chosen, np.unravel_index(points, sizes or (1,)), strict=False):
                positions[one] = places
        outers = np.ravel_multi_index(positions, self.sizes).astype(np.int64)
        return Part(self.space.block_at(positions), outers, distinct)


class TogetherWorker(SearchWorker[S]):
    """Worker that evaluates the parts of ``Together`` and reduces their rows."""

    def __init__(
        self,
        points: Together,
        objectives: Sequence[Objective],
        groups: SpaceGroups,
        make: Callable[[], S],
        progress: Progress,
        computed: frozenset[str] | None = None,
    ) -> None:
        super().__init__(points.space, objectives, groups, make, progress, computed)
        self.points = points

    def begin(self) -> None:
        """Allocate the buffers of a thread."""
        columns = len(self.maximize)
        self.local.copies = [Buffers(self.space, BLOCK, columns) for _ in range(TOGETHER)]

    def look(self, number: int, sink: S) -> None:
        """Evaluate a part and reduce its rows."""
        part = self.points.part(number)
        outer_groups = self.groups.of_block(part.block)
        rows_of: list[Buffers] = self.local.copies
        found = 0

        def consume(copy: int, rows: int) -> None:
            nonlocal found
            if copy < part.distinct and not self.stopped.is_set():
                self.reduce(rows_of[copy], rows, part.outers, outer_groups, sink)
                found += rows

        self.evaluator.evaluate_copies(part.block, self.points.late.leaves, rows_of, consume)
        self.count(found, len(part.outers) // TOGETHER * part.distinct)
