"""Workers of a search, which evaluate shards and reduce their rows."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from perfcore.runs.parquet import Buffers
from perfcore.runs.workers import Evaluator, Progress
from perfcore.searching.groups import SpaceGroups
from perfcore.searching.objectives import Objective
from perfcore.searching.reductions import Candidates, S
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
        self.signs = np.array([-1.0 if o.maximize else 1.0 for o in objectives])
        self.groups = groups
        self.inner_groups = groups.inner()

    def begin(self) -> None:
        """Allocate the buffers of a thread."""
        self.local.buffers = Buffers(self.space, BLOCK, len(self.signs))
        self.local.places = np.empty((2, BLOCK), np.int64)

    def look(self, shard: int, sink: S) -> None:
        """Evaluate a shard and reduce its rows."""
        from perfcore.kernel.selection import locate  # noqa: PLC0415 - Numba is slow to import

        buffers: Buffers = self.local.buffers
        start, stop = self.space.shard_range(shard)
        outer_groups = self.groups.outer(start, stop)
        signs = self.signs.astype(buffers.metrics.dtype)[:, np.newaxis]

        def consume(rows: int) -> None:
            if self.stopped.is_set():
                return
            groups, places = self.local.places[:, :rows]
            locate(
                buffers.axes[0, :rows],
                buffers.axes[-1, :rows],
                start,
                self.space.inner_points,
                outer_groups,
                self.inner_groups,
                groups,
                places,
            )
            sink.take(Candidates(signs * buffers.metrics[:, :rows], groups, places))

        count = self.evaluator.evaluate(start, stop, buffers, consume)
        with self.lock:
            self.progress.rows += count.rows
            self.progress.done_shards += 1
            self.progress.done_points += (stop - start) * self.space.inner_points
