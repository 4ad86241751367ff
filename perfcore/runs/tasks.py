"""Tasks that store the shards of a run on an executor."""

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import lru_cache

from perfcore.errors import OutputError
from perfcore.runs.executors import ROOM, packed_spec, retry_or_raise, unpacked_space
from perfcore.runs.manifest import fingerprint
from perfcore.runs.shards import worker_for
from perfcore.runs.store import Directory, Store, open_store
from perfcore.runs.workers import Progress, Receipt, ShardWorker, Stored, spread
from perfcore.space.space import Space


@dataclass(frozen=True)
class SweepTask:
    """Task that stores a shard; one object serves all shards of a run."""

    spec: bytes = field(repr=False)  # see packed_spec; not in the repr, which names Dask tasks
    location: str
    run: str  # fingerprint of the run
    computed: frozenset[str] | None = None  # columns of the kernel

    def __call__(self, shard: int) -> Stored | None:
        """Store a shard, unless it exists."""
        return _shard_worker(self).work(shard)


@lru_cache(maxsize=2)
def _shard_worker(task: SweepTask) -> ShardWorker:
    """Return the worker that the threads of one process share between tasks."""
    space = unpacked_space(task.spec, task.run)
    progress = Progress(space.shards, space.rows)
    return worker_for(space, open_store(task.location), {}, progress, task.computed)


def sweep_on(
    executor: Executor,
    space: Space,
    store: Store,
    shards: Iterable[int],
    done: dict[int, Receipt],
    progress: Progress,
    computed: frozenset[str] | None = None,
) -> None:
    """Store shards on an executor; add each receipt to ``done`` as it arrives."""
    location = str(store.path.resolve()) if isinstance(store, Directory) else store.location
    task = SweepTask(packed_spec(space.spec), location, fingerprint(space), computed)

    def take(shard: int, stored: Stored | None) -> None:
        if stored is None:  # the worker is shutting down
            raise OutputError(f"shard {shard}: not done; run again, which keeps complete shards")
        done[shard] = stored.receipt
        start, stop = space.shard_range(shard)
        progress.done_shards += 1
        progress.done_points += (stop - start) * space.inner_points
        progress.rows += stored.receipt.rows if stored.computed else 0

    spread(executor, task, shards, ROOM, take, retry_or_raise)
