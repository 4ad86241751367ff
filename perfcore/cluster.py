"""The shards of a sweep or a search on Dask, or on any ``concurrent.futures.Executor``.

A task is some shards. Its worker makes the space from the specification, stores the shards where
the run lies, or returns what a search keeps of them, and holds nothing that another task needs:
a task that is lost is done again.
"""

import json
import pickle
import platform
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final, Generic

from perfcore.engine import Progress, Receipt, ShardWorker, Stored, spread
from perfcore.errors import InputError, OutputError, PerfcoreError
from perfcore.manifest import fingerprint
from perfcore.run import worker_for
from perfcore.searching import Groups, Objective, S, SearchWorker
from perfcore.space import Space
from perfcore.spec import Spec
from perfcore.store import Directory, Store, open_store
from perfcore.validation import read_text

TRIES: Final = 3  # of a task that fails; that of a worker that dies are Dask's to count
ROOM: Final = 1024  # tasks that are handed out at once: more than most clusters have threads
SEARCH_TASKS: Final = 512  # at most, of a search: each returns what it keeps
SECONDS: Final = 30  # to find a scheduler, and for it to find a worker


@dataclass(frozen=True)
class SweepTask:
    """Stores a shard; the same for all shards of a run."""

    spec: bytes = field(repr=False)  # see _packed; Dask names tasks by what they look like
    location: str
    run: str  # its fingerprint

    def __call__(self, shard: int) -> Stored | None:
        """Store a shard, unless it is there."""
        return _shard_worker(self).work(shard)


@lru_cache(maxsize=2)
def _shard_worker(task: SweepTask) -> ShardWorker:
    """What threads of one process share, from one task to the next."""
    space = _space(task.spec, task.run)
    return worker_for(space, open_store(task.location), {}, Progress(space.shards, space.rows))


@dataclass(frozen=True)
class SearchTask(Generic[S]):
    """Looks at the rows of some shards."""

    spec: bytes = field(repr=False)
    run: str
    objectives: tuple[Objective, ...]
    by: tuple[str, ...]
    make: Callable[[], S]

    def __call__(self, shards: tuple[int, ...]) -> tuple[S, int]:
        """Return what is kept of the shards' rows, and how many met the conditions."""
        space = _space(self.spec, self.run)
        progress = Progress(space.shards, space.rows)
        groups = Groups(space, self.by)
        worker = SearchWorker(space, self.objectives, groups, self.make, progress)
        for shard in shards:
            worker.work(shard)
        return worker.sinks[0], progress.rows


def _packed(spec: Spec) -> bytes:
    """A specification with the entries that it names, as every task carries it."""
    return zlib.compress(pickle.dumps(spec))


@lru_cache(maxsize=2)
def _space(spec: bytes, run: str) -> Space:
    """The space of a task, if this worker makes the same of it as whoever asks."""
    made: Spec = pickle.loads(zlib.decompress(spec))  # noqa: S301 - from our own client
    space = Space(made)
    own = fingerprint(space)
    if own != run:
        raise InputError(
            f"worker {platform.node()}: has another perfcore ({own}, asked for {run}); install "
            "the same version everywhere"
        )
    return space


def sweep_on(
    executor: Executor,
    space: Space,
    store: Store,
    shards: Iterable[int],
    done: dict[int, Receipt],
    progress: Progress,
) -> None:
    """Let an executor store shards; ``done`` gets the receipt of each as it comes."""
    location = str(store.path.resolve()) if isinstance(store, Directory) else store.location
    task = SweepTask(_packed(space.spec), location, fingerprint(space))

    def take(shard: int, stored: Stored | None) -> None:
        if stored is None:  # its worker is about to stop
            raise OutputError(f"shard {shard}: not done; run again, which keeps complete shards")
        done[shard] = stored.receipt
        start, stop = space.shard_range(shard)
        progress.done_shards += 1
        progress.done_points += (stop - start) * space.inner_points
        progress.rows += stored.receipt.rows if stored.computed else 0

    spread(executor, task, shards, ROOM, take, _tried)


def search_on(
    executor: Executor,
    space: Space,
    objectives: Sequence[Objective],
    groups: Groups,
    make: Callable[[], S],
    progress: Progress,
) -> S:
    """Let an executor look at all rows; return what is kept of them."""
    by = tuple(axis.name for axis in groups.axes)
    task = SearchTask(_packed(space.spec), fingerprint(space), tuple(objectives), by, make)
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

    spread(executor, task, chunks, ROOM, take, _tried)
    return merged


def _tried(item: object, error: Exception, times: int) -> None:
    """Let a task be tried again, or say why not."""
    place = f"shard {item}" if isinstance(item, int) else "search"
    if isinstance(error, InputError):
        raise error
    if isinstance(error, BrokenExecutor | CancelledError):
        raise OutputError(
            f"{place}: its workers are gone ({str(error) or 'cancelled'}); start them and run "
            "again, which keeps complete shards"
        ) from error
    if times >= TRIES:
        if isinstance(error, PerfcoreError):
            raise error
        raise OutputError(
            f"{place}: failed {times} times on its workers ({type(error).__name__}: {error}); "
            "see their logs, and run again, which keeps complete shards"
        ) from error


def _check_scheduler_file(path: str) -> None:
    if not Path(path).is_file():
        raise InputError(f"--dask: {path}: no such file; start `dask scheduler` first")
    try:
        told = json.loads(read_text(path, ".json"))
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("address"), str):
        raise InputError(
            f"--dask: {path}: has no address; name the file that `dask scheduler` has written"
        )


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Connect to a Dask scheduler, by ``tcp://HOST:PORT`` or the JSON file that it has written.

    Raises
    ------
    InputError
        Dask is not installed, nobody answers, or there is no worker.
    """
    try:
        from distributed import Client  # noqa: PLC0415 - not everybody has it
    except ImportError:
        raise InputError("--dask: needs distributed; pip install 'perfcore[dask]'") from None
    is_file = address.endswith(".json")
    if is_file:
        _check_scheduler_file(address)
    where = {"scheduler_file": address} if is_file else {"address": address}
    try:
        client = Client(**where, timeout=SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:  # a time-out is an OSError
        raise InputError(
            f"--dask: {address}: no scheduler answers ({error}); start `dask scheduler`, or give "
            "tcp://HOST:PORT"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=SECONDS)
        except TimeoutError:
            raise InputError(
                f"--dask: {address}: has no worker; start `dask worker {address}`"
            ) from None
        yield client.get_executor(pure=False)
