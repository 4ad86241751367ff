"""Workers of a search, which evaluate shards and reduce their rows."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from perfcore.kernel.layout import Integers
from perfcore.runs.parquet import Buffers
from perfcore.runs.workers import Evaluator, Progress
from perfcore.searching.groups import SpaceGroups
from perfcore.searching.objectives import Objective
from perfcore.searching.reductions import Rows, S
from perfcore.searching.scan import Scan
from perfcore.space.space import Space

BLOCK: Final = 1 << 14  # rows per reduction, few enough to stay in the L2 cache


class SearchWorker(Scan[S]):
    """Worker that evaluates shards of a space and reduces their rows."""

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        groups: SpaceGroups,
        make: Callable[[], S],
        progress: Progress,
        computed: frozenset[str] | None = None,
    ) -> None:
        super().__init__(make)
        self.space = space
        self.progress = progress
        self.evaluator = Evaluator(space, [objective.name for objective in objectives], computed)
        self.stopped = self.evaluator.stopped
        self.maximize = tuple(objective.maximize for objective in objectives)
        self.groups = groups
        self.inner_groups = groups.inner()

    def begin(self) -> None:
        """Allocate the buffers of a thread."""
        self.local.buffers = Buffers(self.space, BLOCK, len(self.maximize))

    def look(self, shard: int, sink: S) -> None:
        """Evaluate a shard and reduce its rows."""
        buffers: Buffers = self.local.buffers
        start, stop = self.space.shard_range(shard)
        outers = np.arange(start, stop)
        outer_groups = self.groups.outer(start, stop)

        def consume(rows: int) -> None:
            if not self.stopped.is_set():
                self.reduce(buffers, rows, outers, outer_groups, sink)

        count = self.evaluator.evaluate(start, stop, buffers, consume)
        self.count(count.rows, stop - start)

    def reduce(
        self, buffers: Buffers, rows: int, outers: Integers, outer_groups: Integers, sink: S
    ) -> None:
        """Reduce the rows of a buffer, given their block's outer points and groups."""
        sink.see(
            Rows(
                buffers.metrics[:, :rows],
                self.maximize,
                buffers.axes[0, :rows],
                buffers.axes[-1, :rows],
                outers,
                self.space.inner_points,
                outer_groups,
                self.inner_groups,
            )
        )

    def count(self, rows: int, points: int) -> None:
        """Count rows, of so many outer points, as done."""
        with self.lock:
            self.progress.rows += rows
            self.progress.done_shards += 1
            self.progress.done_points += points * self.space.inner_points
