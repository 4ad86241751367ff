"""The shards of a search as tasks of Dask, or of any ``concurrent.futures.Executor``."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final, Generic

from perfcore.runs.executors import ROOM, packed_spec, retry_or_raise, unpacked_space
from perfcore.runs.manifest import fingerprint
from perfcore.runs.workers import Progress, spread
from perfcore.searching.groups import SpaceGroups
from perfcore.searching.objectives import Objective
from perfcore.searching.reductions import S
from perfcore.searching.workers import SearchWorker
from perfcore.space.space import Space

SEARCH_TASKS: Final = 512  # at most, per search: each returns a reduction


@dataclass(frozen=True)
class SearchTask(Generic[S]):
    """Task that reduces the rows of some shards."""

    spec: bytes = field(repr=False)
    run: str
    objectives: tuple[Objective, ...]
    by: tuple[str, ...]
    make: Callable[[], S]
    computed: frozenset[str] | None = None

    def __call__(self, shards: tuple[int, ...]) -> tuple[S, int]:
        """Return the reduction of the shards' rows, and how many rows met the conditions."""
        space = unpacked_space(self.spec, self.run)
        progress = Progress(space.shards, space.rows)
        groups = SpaceGroups(space, self.by)
        worker = SearchWorker(space, self.objectives, groups, self.make, progress, self.computed)
        for shard in shards:
            worker.work(shard)
        return worker.sinks[0], progress.rows


def search_on(
    executor: Executor,
    space: Space,
    objectives: Sequence[Objective],
    groups: SpaceGroups,
    make: Callable[[], S],
    progress: Progress,
    computed: frozenset[str] | None,
) -> S:
    """Return the reduction of all rows, evaluated by an executor."""
    by = tuple(groups.axes)
    task = SearchTask(
        packed_spec(space.spec), fingerprint(space), tuple(objectives), by, make, computed
    )
    each = -(-space.shards // SEARCH_TASKS)
    chunks = [
        tuple(range(first, min(first + each, space.shards)))
        for first in range(0, space.shards, each)
    ]
    merged = make()

    def take(shards: tuple[int, ...], result: tuple[S, int]) -> None:
        kept, rows = result
        merged.merge(kept)
        progress.rows += rows
        progress.done_shards += len(shards)
        start, stop = space.shard_range(shards[0])[0], space.shard_range(shards[-1])[1]
        progress.done_points += (stop - start) * space.inner_points

    spread(executor, task, chunks, ROOM, take, retry_or_raise)
    return merged
