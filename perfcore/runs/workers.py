"""Workers that evaluate shards, with bounded memory and a clean shutdown."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from perfcore.columns import SIMULATED_STATUS, STATUS
from perfcore.errors import VanishedError
from perfcore.kernel.layout import Block, Inner, Integers, Output
from perfcore.runs.parquet import Buffers, Shaper
from perfcore.space.space import Space

UNMET = "excluded by where"
REASONS = (*STATUS[1:], UNMET)
SIMULATED_REASONS = (*SIMULATED_STATUS[1:], UNMET)


@dataclass(frozen=True)
class Count:
    """Counts of a shard's rows: written, and left out by reason."""

    rows: int
    dropped: dict[str, int]


@dataclass(frozen=True)
class Receipt(Count):
    """Receipt of a stored shard: its counts, and the size and checksum of its file."""

    bytes: int
    sha256: str


class Stored(NamedTuple):
    """Receipt of a shard, and whether the shard was computed now."""

    receipt: Receipt
    computed: bool


class Shard(Protocol):
    """Destination of a shard's rows."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Write rows; the batch is invalid afterwards."""

    def commit(self, count: Count) -> Receipt:
        """Publish the shard."""

    def discard(self) -> None:
        """Delete what was written."""


class Shards(Protocol):
    """Storage of shards."""

    def intact(self, shard: int) -> Receipt | None:
        """Return the receipt of a shard whose file is intact."""

    def open(self, shard: int) -> Shard:
        """Start writing a shard."""


@dataclass
class Progress:
    """Progress of a run."""

    shards: int
    points: int  # rows, including infeasible ones
    done_shards: int = 0
    done_points: int = 0
    rows: int = 0
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started


class Filler(Protocol):
    """Evaluation of a block of a space into an output that is filled repeatedly."""

    def fill(self, cursor: Integers, dropped: Integers, *, keep_infeasible: bool) -> int:
        """Fill the output from ``cursor`` on; return its number of rows."""


class Evaluator:
    """Evaluator of ranges of outer points, used by one thread at a time.

    With ``objectives``, rows have these as real numbers in place of their columns, and in place of
    their axes the positions of their outer and inner point (``Buffers`` holds them). Once
    ``stopped`` is set, no further row is simulated. With ``computed``, only these results are
    computed, which include those asked for.
    """

    def __init__(
        self,
        space: Space,
        objectives: Sequence[str] | None = None,
        computed: frozenset[str] | None = None,
    ) -> None:
        # Imported here, so that code that evaluates nothing does not wait for Numba.
        from perfcore.kernel.filling import Filling  # noqa: PLC0415
        from perfcore.runs.simulating import Offer, Simulating  # noqa: PLC0415

        self.space = space
        self.stopped = threading.Event()
        self.filling = Filling
        self.simulating = Simulating
        self.offer = None if space.spec.traffic is None else Offer(space.spec.traffic)
        self.located = objectives is not None
        self.computed = computed
        real = objectives or [column.name for column in space.columns if column.kind == "metric"]
        whole = [column.name for column in space.columns if column.kind != "metric"]
        self.real = space.fields(real)
        self.dropped_bits = np.array([space.dropped_bits(name) for name in real], np.int64)
        self.whole = space.fields([] if self.located else whole)

    def proceed(self) -> None:
        """Raise an error if the work was stopped."""
        if self.stopped.is_set():
            raise _StoppedError

    def output(self, buffers: Buffers) -> Output:
        """Return the columns that the kernel writes."""
        return Output(
            capacity=buffers.capacity,
            axes=buffers.axes,
            metrics=buffers.metrics,
            codes=buffers.codes,
            metric_fields=self.real,
            dropped_bits=self.dropped_bits,
            code_fields=self.whole,
        )

    def evaluate(
        self,
        start: int,
        stop: int,
        buffers: Buffers,
        consume: Callable[[int], None],
    ) -> Count:
        """Evaluate outer points ``start`` … ``stop - 1``; call ``consume`` for each full buffer."""
        space = self.space
        block, inner = self._points(space.block(start, stop))
        output = self.output(buffers)
        filling: Filler
        if self.offer is None:
            filling = self.filling(
                *(space.tables, block, inner, space.rules, output),
                fields=self.computed,
                other=space.other,
            )
        else:
            traffic = space.traffic(start, stop)
            filling = self.simulating(space, self.offer, block, traffic, output, self.proceed)
        keep = space.spec.output.keep_infeasible
        reasons = REASONS if self.offer is None else SIMULATED_REASONS
        dropped = np.zeros(len(reasons) + 1, np.int64)
        cursor = np.zeros(2, np.int64)
        total = 0
        while cursor[0] < stop - start:
            rows = filling.fill(cursor, dropped, keep_infeasible=keep)
            if rows:
                consume(rows)
                total += rows
        counted = zip(reasons, dropped[1:].tolist(), strict=True)
        return Count(total, {reason: count for reason, count in counted if count})

    def evaluate_copies(
        self,
        block: Block,
        leaves: Sequence[str],
        buffers: Sequence[Buffers],
        consume: Callable[[int, int], None],
    ) -> None:
        """Evaluate outer points in groups that differ in some leaves of their replicas.

        Parameters
        ----------
        block
            As many points of each group, one after another, as there are ``buffers``.
        consume
            Called for full buffers with their number and that of their rows.
        """
        block, inner = self._points(block)
        outputs = [self.output(one) for one in buffers]
        filling = self.filling(
            self.space.tables,
            block,
            inner,
            self.space.rules,
            *outputs,
            fields=self.computed,
            leaves=leaves,
        )
        keep = self.space.spec.output.keep_infeasible
        dropped = np.zeros(len(REASONS) + 1, np.int64)
        cursor = np.zeros(2, np.int64)
        while cursor[0] < block.axes.shape[1]:
            filling.fill(cursor, dropped, keep_infeasible=keep)
            for number, rows in enumerate(filling.written.tolist()):
                if rows:
                    consume(number, rows)

    def _points(self, block: Block) -> tuple[Block, Inner]:
        """Return outer and inner points, with positions in place of axes for a search."""
        inner = self.space.inner
        if not self.located:
            return block, inner
        chooses = self.space.chooses_devices
        outer = np.arange(block.axes.shape[1], dtype=np.int32)
        # the kernel writes the degrees it chooses to these extra rows, not over positions
        axes = np.array([outer, *([outer] * 2 if chooses else [])])
        positions = np.arange(self.space.inner_points, dtype=np.int32)[np.newaxis]
        block = block._replace(axes=axes, degrees=np.array([1, 2]))
        return block, inner._replace(axes=positions)


class ShardWorker:
    """Worker that evaluates and stores missing shards; one object serves all threads.

    ``done`` has every shard that is stored, and no partial one, whatever ends the work. Every
    thread fills its own buffers, encodes and writes; the kernel and the encoder run without the
    interpreter's lock.
    """

    def __init__(
        self,
        space: Space,
        arrow_schema: pa.Schema,
        shards: Shards,
        progress: Progress,
        computed: frozenset[str] | None = None,
    ) -> None:
        self.space = space
        self.shards = shards
        self.progress = progress
        self.evaluator = Evaluator(space, None, computed)
        self.shaper = Shaper(space, arrow_schema)
        self.done: dict[int, Receipt] = {}
        self.stopped = self.evaluator.stopped
        self.lock = threading.Lock()
        self.local = threading.local()

    def work(self, shard: int) -> Stored | None:
        """Store a shard completely or not at all; do nothing if the run was stopped."""
        if self.stopped.is_set():
            return None
        there = self.shards.intact(shard)
        try:
            receipt = there or self._written(shard)
        except VanishedError:  # e.g. another host removed the draft: try once more
            receipt = self._written(shard)
        start, stop = self.space.shard_range(shard)
        with self.lock:
            self.done[shard] = receipt
            self.progress.done_shards += 1
            self.progress.done_points += (stop - start) * self.space.inner_points
        return Stored(receipt, computed=there is None)

    def _written(self, shard: int) -> Receipt:
        if not hasattr(self.local, "buffers"):
            self.local.buffers = Buffers(self.space)
        buffers: Buffers = self.local.buffers
        sink = self.shards.open(shard)

        def consume(rows: int) -> None:
            self.evaluator.proceed()
            sink.write(self.shaper.batch(buffers, rows))
            with self.lock:
                self.progress.rows += rows

        try:
            count = self.evaluator.evaluate(*self.space.shard_range(shard), buffers, consume)
            return sink.commit(count)
        except BaseException:
            sink.discard()
            raise


class Worker(Protocol):
    """Interface of a worker on shards, called from any thread."""

    stopped: threading.Event

    def work(self, shard: int) -> object:
        """Process a shard; do nothing if ``stopped`` is set."""


def run_shards(worker: Worker, shards: Iterable[int], workers: int) -> None:
    """Run a worker on ``shards`` in ``workers`` threads.

    Whatever ends this early (an error, Ctrl-C), ``worker.stopped`` is set, and no thread is left.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="perfcore") as pool:
        try:
            spread(pool, worker.work, shards, 2 * workers)
        except BaseException:
            worker.stopped.set()
            raise


Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    executor: Executor,
    task: Callable[[Item], Result],
    items: Iterable[Item],
    room: int,
    take: Callable[[Item, Result], None] = lambda _item, _result: None,
    failed: Callable[[Item, Exception, int], None] | None = None,
) -> None:
    """Run ``task`` on an executor for all ``items``, with at most ``room`` submitted at once.

    Parameters
    ----------
    take
        Called with each item and its result, as they arrive.
    failed
        Called with an item, its error and how often it has failed. The item is retried unless
        ``failed`` raises. By default, the first error ends everything.

    If an error ends this early, tasks that have not started are cancelled.
    """
    queue = iter(items)
    pending: dict[Future[Result], Item] = {}
    failures: dict[Item, int] = {}
    try:
        while True:
            for item in islice(queue, room - len(pending)):
                pending[executor.submit(task, item)] = item
            if not pending:
                return
            for future in wait(pending, timeout=0.25, return_when=FIRST_COMPLETED).done:
                item = pending.pop(future)
                try:
                    result = future.result()
                except Exception as error:
                    if failed is None:
                        raise
                    failures[item] = failures.get(item, 0) + 1
                    failed(item, error, failures[item])
                    pending[executor.submit(task, item)] = item
                else:
                    take(item, result)
    except BaseException:
        for future in pending:
            future.cancel()
        raise


class _StoppedError(Exception):
    """Stop of a run, because another worker failed or the user interrupted it."""


def evaluate_rows(space: Space, arrow_schema: pa.Schema, start: int, stop: int) -> pa.Table:
    """Return the rows of a range of outer points, in memory."""
    return evaluate_counted(space, arrow_schema, start, stop)[0]


def evaluate_counted(
    space: Space, arrow_schema: pa.Schema, start: int, stop: int
) -> tuple[pa.Table, Count]:
    """Return the rows of a range of outer points, in memory, and their counts."""
    evaluator = Evaluator(space)
    shaper = Shaper(space, arrow_schema)
    buffers = Buffers(space)
    batches: list[pa.RecordBatch] = []

    def consume(rows: int) -> None:
        view = pa.Table.from_batches([shaper.batch(buffers, rows)])
        batches.extend(_copied(view).to_batches())

    count = evaluator.evaluate(start, stop, buffers, consume)
    return pa.Table.from_batches(batches, arrow_schema), count


def _copied(table: pa.Table) -> pa.Table:
    """Return a copy that does not share the kernel's buffers."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()
