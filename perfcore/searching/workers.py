"""Workers of a search: shards of a space go from the kernel into reductions."""

import threading
from collections.abc import Callable, Sequence
from typing import Final, Generic

import numpy as np

from perfcore.runs.parquet import Buffers
from perfcore.runs.workers import Evaluator, Progress
from perfcore.searching.groups import Groups
from perfcore.searching.objectives import Objective
from perfcore.searching.reductions import Candidates, S
from perfcore.space.space import Space

BLOCK: Final = 1 << 14  # rows between kernel and selection: they stay in the second-level cache


class SearchWorker(Generic[S]):
    """Evaluates shards into sinks, one a thread; one object serves all threads."""

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        groups: Groups,
        make: Callable[[], S],
        progress: Progress,
    ) -> None:
        self.space = space
        self.progress = progress
        self.evaluator = Evaluator(space, [objective.name for objective in objectives])
        self.signs = np.array([-1.0 if o.maximize else 1.0 for o in objectives])
        self.groups = groups
        self.inner_groups = groups.inner()
        self.make = make
        self.sinks: list[S] = []
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.local = threading.local()

    def work(self, shard: int) -> None:
        """Look at the rows of a shard."""
        from perfcore.kernel.selection import locate  # noqa: PLC0415 - Numba is slow to import

        if self.stopped.is_set():
            return
        if not hasattr(self.local, "sink"):
            self.local.sink = self.make()
            self.local.buffers = Buffers(self.space, BLOCK, len(self.signs))
            self.local.places = np.empty((2, BLOCK), np.int64)
            with self.lock:
                self.sinks.append(self.local.sink)
        sink: S = self.local.sink
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
