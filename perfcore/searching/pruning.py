"""Searches that skip whole boxes of a space that provably contain no result.

Boxes are halved, the most promising first. A box is skipped if the bounds on its results show that
none of its rows can run, meet the conditions and change the result so far. Boxes of few rows are
evaluated by the kernel. The result is the same as with every row evaluated.
"""

import heapq
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Generic, NamedTuple

import numpy as np
import numpy.typing as npt

from perfcore.errors import InputError, argument
from perfcore.kernel.layout import Integers, Reals
from perfcore.physics.stages.point import Point
from perfcore.physics.stages.replica import OK
from perfcore.runs.parquet import Buffers
from perfcore.runs.workers import Count, Evaluator, Progress
from perfcore.searching.boxes import Boxes, Grid, Halves
from perfcore.searching.groups import SpaceGroups
from perfcore.searching.intervals import ends
from perfcore.searching.objectives import Objective
from perfcore.searching.reductions import Candidates, K
from perfcore.searching.workers import BLOCK
from perfcore.space.space import Space

BATCH: Final = 2048  # boxes whose bounds are computed together
# Boxes are evaluated if that takes about as long as bounds of a few halves would.
CHUNKS: Final = 4  # parts of those, by their promise
DRAWN: Final = 128  # outer points and inner points drawn from a family
DESCENTS: Final = 8  # descents along all axes
LEARNT: Final = 0.5  # share of a weight that one batch of boxes replaces
OUTER_S: Final = 1e-6  # kernel time per outer point
ROW_S: Final = 6e-9  # kernel time per row
LEAF_S: Final = 5e-5


class Pruned(NamedTuple):
    """Statistics of a search that skips boxes."""

    evaluated: int  # rows
    bounded: int  # boxes whose bounds were computed


class _Part(Space):
    """Some outer points of a space, each with some of its inner points."""

    def __init__(self, space: Space, positions: Sequence[Integers], inner: Integers) -> None:
        self.__dict__.update(vars(space))
        whole = space.inner
        self.positions = positions
        self.__dict__["inner"] = whole._replace(
            batches=whole.batches[inner],
            lengths=np.take(whole.lengths, inner, axis=1),
            axes=np.take(whole.axes, inner, axis=1),
        )
        self.__dict__["inner_points"] = len(inner)

    def block(self, start: int, stop: int) -> Any:  # noqa: ANN401
        """Return some of the outer points."""
        return self.block_at([position[start:stop] for position in self.positions])


def check_prunable(space: Space) -> None:
    """Check that the rows of a space are a grid whose results have bounds.

    Raises
    ------
    InputError
        Rows are a sample, or simulated, or the number of devices is chosen for each, or prefill may
        run on separate servers.
    """
    reasons = {
        "[sample]": space.spec.sample is not None,
        "[traffic]": space.spec.traffic is not None,
        'devices = "auto"': space.chooses_devices,
        "axes of a prefill pool": space.other == "prompts",
        "axes of a draft's devices": space.other == "draft",
        "axes of experts' devices": space.other == "experts",
    }
    for name, given in reasons.items():
        if given:
            raise InputError(
                f"{argument('prune')}: a sweep with {name} has no boxes of rows with bounds; "
                "search it without"
            )


def search_pruned(
    space: Space,
    objectives: Sequence[Objective],
    groups: SpaceGroups,
    make: Callable[[], K],
    progress: Progress,
    computed: frozenset[str] | None,
    workers: int | None,
) -> tuple[K, Pruned]:
    """Return the reduction of all rows of a space, and how many of them were evaluated."""
    search = _Search(space, objectives, groups, make, progress, computed)
    with ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="perfcore") as pool:
        search.run(pool)
    merged, *others = search.sinks or [make()]
    for other in others:
        merged.merge(other)
    return merged, Pruned(search.evaluated, search.bounded)


class _Family:
    """Boxes of a family that may have results, with bounds on their objectives.

    They lie in a heap of chunks, so that taking the most promising does not move all others.
    """

    def __init__(self, weights: Reals) -> None:
        self.chunks: list[tuple[float, int, Boxes, Reals]] = []
        self.added = 0
        self.weights = 0.2 * weights  # of dimensions: what halving a range of unit width gained

    def learn(self, halves: Halves, before: Reals, after: Reals) -> None:
        """Adapt the weights to how much the bounds of halves are closer than those of boxes."""
        with np.errstate(invalid="ignore", divide="ignore"):
            gain = (after - before) / (abs(after) + abs(before)) / halves.width
        known = np.isfinite(gain)
        for dimension in np.unique(halves.along[known]):
            mean = max(np.mean(gain[known & (halves.along == dimension)]), 0.0)
            self.weights[dimension] += LEARNT * (mean - self.weights[dimension])

    @property
    def least(self) -> float:
        """First objective of the most promising box."""
        return self.chunks[0][0]

    def add(self, boxes: Boxes, values: Reals) -> None:
        """Add boxes, with bounds below the values of their objectives."""
        order = np.argsort(values[0], kind="stable")
        for part in np.array_split(order, CHUNKS):
            if part.size:
                self.added += 1
                chunk = (float(values[0, part[0]]), self.added, boxes.at(part), values[:, part])
                heapq.heappush(self.chunks, chunk)

    def take(self) -> tuple[Boxes, Reals]:
        """Remove and return some of the most promising boxes."""
        taken: list[tuple[Boxes, Reals]] = []
        count = 0
        while self.chunks and count < BATCH // 2:
            _, _, boxes, values = heapq.heappop(self.chunks)
            taken.append((boxes, values))
            count += boxes.number
        start, stop, values = (
            np.concatenate(parts, axis=1)
            for parts in zip(*((*boxes, values) for boxes, values in taken), strict=True)
        )
        return Boxes(start, stop), values


class _Search(Generic[K]):
    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        groups: SpaceGroups,
        make: Callable[[], K],
        progress: Progress,
        computed: frozenset[str] | None,
    ) -> None:
        self.space = space
        self.grid = Grid(space, tuple(groups.axes))
        self.names = [objective.name for objective in objectives]
        self.dtype = np.dtype(space.spec.output.dtype)
        self.signs = np.array([-1.0 if one.maximize else 1.0 for one in objectives], self.dtype)
        self.groups = groups
        self.inner_groups = groups.inner()
        self.make = make
        self.progress = progress
        self.computed = computed
        self.outer = len(space.outer_dimensions)
        self.evaluated = 0
        self.bounded = 0
        self.sinks: list[K] = []
        self.seen: list[Candidates] = []
        self.threshold = make()
        self.lock = threading.Lock()
        self.local = threading.local()

    def run(self, pool: ThreadPoolExecutor) -> None:
        """Halve, skip and evaluate boxes until none is left."""
        families = [_Family(self.grid.weights) for _ in self.grid.families()]
        queue: list[tuple[float, int]] = []
        for number, boxes in enumerate(self.grid.families()):
            self._add(families[number], boxes)
            if families[number].chunks:
                heapq.heappush(queue, (families[number].least, number))
                self._descend(boxes)
        if self.seen:
            self._seen()
        while queue:
            _, number = heapq.heappop(queue)
            family = families[number]
            boxes, values = family.take()
            left = ~self._settled(boxes, values)
            self._skip(boxes.at(~left))
            boxes = boxes.at(left)
            small = self._seconds(boxes) <= LEAF_S
            self._evaluate(boxes.at(small), pool)
            if not small.all():
                halves = self.grid.halves(boxes.at(~small), family.weights)
                before = np.tile(values[:, left][0, ~small], 2)
                self._add(family, halves.boxes, (halves, before))
            if family.chunks:
                heapq.heappush(queue, (family.least, number))

    def _seconds(self, boxes: Boxes) -> Reals:
        """Return the approximate kernel time of each box; 0 for a single row. [s]"""
        outer = np.prod(boxes.stop[: self.outer] - boxes.start[: self.outer], axis=0)
        rows = boxes.rows
        return np.where(rows > 1, outer * OUTER_S + rows * ROW_S, 0.0)

    def _skip(self, boxes: Boxes) -> None:
        with self.lock:
            self.progress.done_points += int(boxes.rows.sum())

    def _add(
        self, family: _Family, boxes: Boxes, halved: tuple[Halves, Reals] | None = None
    ) -> None:
        """Add those boxes to a family in which there may be a result.

        ``halved`` tells how they were made, and bounds of the whole boxes' first objective.
        """
        found: list[Reals] = []
        for first in range(0, boxes.number, BATCH):
            some = boxes.at(np.arange(first, min(first + BATCH, boxes.number)))
            self.bounded += some.number
            point = self.grid.bounds(some)
            values = np.full((len(self.names), some.number), -np.inf, self.dtype)
            possible = np.ones(some.number, np.bool_)
            if point is not None:
                for row, name in enumerate(self.names):
                    low, high = self._ends(point, name, some.number)
                    values[row] = low if self.signs[row] > 0.0 else -high
                possible = self._possible(point, some.number)
            found.append(values[0])
            possible &= ~self._settled(some, values)
            self._skip(some.at(~possible))
            family.add(some.at(possible), values[:, possible])
        if halved is not None:
            halves, before = halved
            family.learn(halves, before, np.concatenate(found))

    def _ends(self, point: Point, name: str, count: int) -> tuple[Any, Any]:
        """Return bounds of a column in each box, as the kernel writes them."""
        bits = self.space.dropped_bits(name)
        found = np.empty((2, count))
        found[0], found[1] = ends(getattr(point, name))
        with np.errstate(over="ignore"):
            low, high = rounded(found.astype(self.dtype), bits)
        return low, high

    def _possible(self, point: Point, count: int) -> npt.NDArray[np.bool_]:
        """Return whether a row of each box may run and meet the conditions."""
        low, _ = ends(point.status)
        possible = np.broadcast_to(np.asarray(low) <= OK, count).copy()
        rules = self.space.rules
        for rule, field in enumerate(rules.fields):
            low, high = self._ends(point, Point._fields[field], count)
            least, most = rules.ranges[rule]
            possible &= (high >= least) & (low <= most)
            mask = int(rules.masks[rule])
            if mask >= 0:
                codes = [code for code in range(mask.bit_length()) if mask >> code & 1]
                possible &= np.any([(low <= code) & (high >= code) for code in codes], axis=0)
        return possible

    def _settled(self, boxes: Boxes, values: Reals) -> npt.NDArray[np.bool_]:
        """Return whether no row of each box would change the result."""
        settled = np.zeros(boxes.number, np.bool_)
        if boxes.number:
            places = self.grid.first_places(boxes)
            numbers = self._groups_of(boxes)
            for sink in (self.threshold, *self.sinks):
                settled |= sink.settles(Candidates(values, numbers, places))
        return settled

    def _groups_of(self, boxes: Boxes) -> Integers:
        """Return the group of each box's rows: boxes have one value of each grouping axis."""
        if not self.groups.strides:
            return np.zeros(boxes.number, np.int64)
        block = self.space.block_at(list(boxes.start[: self.outer].astype(np.int64)))
        sizes = tuple(self.grid.sizes[self.outer :])
        inner = np.zeros(boxes.number, np.int64)
        if sizes:
            inner = np.ravel_multi_index(tuple(boxes.start[self.outer :]), sizes)
        return self.groups.of_block(block) + self.inner_groups[inner]

    def _evaluate(self, boxes: Boxes, pool: ThreadPoolExecutor) -> None:
        """Evaluate every row of some boxes, those with the same inner points together."""
        if not boxes.number:
            return
        inner = np.concatenate([boxes.start[self.outer :], boxes.stop[self.outer :]])
        _, alike = np.unique(inner, axis=1, return_inverse=True)
        order = np.argsort(alike.ravel(), kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(alike.ravel()[order])) + 1)
        list(pool.map(self._work, [boxes.at(part) for part in parts]))

    def _work(self, boxes: Boxes) -> None:
        """Evaluate boxes with the same inner points in this thread."""
        if not hasattr(self.local, "sink"):
            self.local.sink = self.make()
            with self.lock:
                self.sinks.append(self.local.sink)
        outer = np.concatenate(
            [points_of(start, stop) for start, stop in _by_box(boxes, slice(self.outer))], axis=1
        )
        ((start, stop), *_) = _by_box(boxes, slice(self.outer, None))
        inner = points_of(start, stop)
        count = self._reduce(self.local.sink, outer, inner)
        with self.lock:
            rows = outer.shape[1] * inner.shape[1]
            self.evaluated += rows
            self.progress.rows += count.rows
            self.progress.done_points += rows

    def _reduce(self, sink: K, outer: Integers, inner: Integers) -> Count:
        """Reduce the rows of outer points, each with the same inner ones, by their positions."""
        if not hasattr(self.local, "buffers"):
            self.local.buffers = Buffers(self.space, BLOCK, len(self.names))
        buffers: Buffers = self.local.buffers
        outer_places = self.grid.strides[: self.outer] @ outer
        inner_places = self.grid.strides[self.outer :] @ inner
        part = _Part(self.space, list(outer), inner_places)
        outer_groups = np.zeros(len(outer_places), np.int64)
        if self.groups.strides:
            outer_groups = self.groups.of_block(part.block(0, len(outer_places)))
        inner_groups = self.inner_groups[inner_places]

        def consume(rows: int) -> None:
            at_outer, at_inner = buffers.axes[0, :rows], buffers.axes[-1, :rows]
            values = self.signs[:, np.newaxis] * buffers.metrics[:, :rows]
            numbers = outer_groups[at_outer] + inner_groups[at_inner]
            sink.take(Candidates(values, numbers, outer_places[at_outer] + inner_places[at_inner]))

        evaluator = Evaluator(part, self.names, self.computed)
        return evaluator.evaluate(0, len(outer_places), buffers, consume)

    def _descend(self, family: Boxes) -> None:
        """Look for good rows of a family: a few at random, then along one axis after the other.

        They are not part of the result, but let boxes be skipped earlier. No row counts twice.
        """
        start, stop = family.start[:, 0], family.stop[:, 0]
        sizes = stop - start
        random = np.random.default_rng(0)
        drawn = start + (random.random((DRAWN, len(sizes))) * sizes).astype(np.int64)
        found = self._look(drawn.T)
        for _ in range(DESCENTS):
            if not found.places.size:
                return
            before = found.places[0]
            for line in np.flatnonzero(sizes > 1):
                place = np.unravel_index(found.places[0], tuple(self.grid.sizes))
                points = np.repeat(np.array(place)[:, np.newaxis], sizes[line], axis=1)
                points[line] = np.arange(start[line], stop[line])
                found = self._look(points)
            if found.places[0] == before:
                return

    def _look(self, points: Integers) -> Candidates:
        """Return the best rows at all combinations of outer and inner points, the best first."""
        outer = np.unique(points[: self.outer], axis=1)
        inner = np.unique(points[self.outer :], axis=1)
        sink = self.make()
        self._reduce(sink, outer, inner)
        values, groups, places = sink.entries()
        order = np.lexsort((places, *values[::-1]))
        found = Candidates(values[:, order], groups[order], places[order])
        self.seen.append(found)
        return found

    def _seen(self) -> None:
        """Reduce the rows seen so far, each once, as a threshold for boxes."""
        values, groups, places = (
            np.concatenate(parts, axis=-1) for parts in zip(*self.seen, strict=True)
        )
        _, once = np.unique(places, return_index=True)
        self.threshold = self.make()
        self.threshold.take(
            Candidates(np.ascontiguousarray(values[:, once]), groups[once], places[once])
        )


def rounded(values: npt.NDArray[np.floating], bits: int) -> npt.NDArray[np.floating]:
    """Return numbers without the last ``bits`` of their mantissas, rounded as by the kernel."""
    if bits == 0:
        return values
    whole: npt.NDArray[Any] = values.view(np.uint32 if values.itemsize == 4 else np.uint64)
    kept = (whole + (1 << bits >> 1)) & ~whole.dtype.type((1 << bits) - 1)
    found: npt.NDArray[np.floating] = kept.view(values.dtype)
    return found


def points_of(start: Integers, stop: Integers) -> Integers:
    """Return the positions of all points of a box. (dimensions, points)"""
    sizes = stop - start
    rest = np.arange(int(np.prod(sizes, dtype=np.int64)))
    found = np.empty((len(sizes), len(rest)), np.int64)
    for number in range(len(sizes) - 1, -1, -1):
        rest, position = np.divmod(rest, sizes[number])
        found[number] = start[number] + position
    return found


def _by_box(boxes: Boxes, dimensions: slice) -> list[tuple[Integers, Integers]]:
    starts, stops = boxes.start[dimensions].T, boxes.stop[dimensions].T
    return list(zip(starts, stops, strict=True))
