"""Shards through worker threads into sinks, with bounded memory and a clean end."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import numpy as np
import pyarrow as pa

from perfcore.columns import STATUS
from perfcore.layout import Output
from perfcore.physics.point import Point
from perfcore.sinks.parquet import Buffers, Shaper
from perfcore.space import Space

UNMET = "excluded by where"
REASONS = (*STATUS[1:], UNMET)


@dataclass(frozen=True)
class Count:
    """Rows of a shard: written, and left out by reason."""

    rows: int
    dropped: dict[str, int]


class Shard(Protocol):
    """Where the rows of a shard go."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Take rows; they are gone when this returns."""

    def commit(self) -> None:
        """Keep what was written."""

    def discard(self) -> None:
        """Leave nothing behind."""


@dataclass
class Progress:
    """How far a run is, for whoever shows it."""

    shards: int
    points: int  # rows before infeasible ones are left out
    done_shards: int = 0
    done_points: int = 0
    rows: int = 0
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.perf_counter() - self.started


class Evaluator:
    """Evaluates ranges of outer points, one worker thread each.

    With ``objectives``, rows have these as real numbers in place of their columns, and in place of
    their axes the positions of their outer and inner point (``Buffers`` holds them).
    """

    def __init__(self, space: Space, objectives: Sequence[str] | None = None) -> None:
        # Numba is imported here, so that whoever only plans does not wait for it.
        from perfcore.kernels import fill_columns  # noqa: PLC0415

        self.space = space
        self.fill_columns = fill_columns
        self.located = objectives is not None
        real = objectives or [column.name for column in space.columns if column.kind == "metric"]
        whole = [column.name for column in space.columns if column.kind != "metric"]
        self.real = np.array([Point._fields.index(name) for name in real], np.int64)
        self.dropped_bits = np.array([space.dropped_bits(name) for name in real], np.int64)
        self.whole = np.array(
            [] if self.located else [Point._fields.index(name) for name in whole], np.int64
        )

    def output(self, buffers: Buffers) -> Output:
        """Where the kernel writes."""
        return Output(
            buffers.axes, buffers.metrics, buffers.codes, self.real, self.dropped_bits, self.whole
        )

    def evaluate(
        self,
        start: int,
        stop: int,
        buffers: Buffers,
        consume: Callable[[int], None],
    ) -> Count:
        """Evaluate outer points ``start`` … ``stop - 1``; ``consume`` is told of full buffers."""
        space = self.space
        block = space.block(start, stop)
        inner = space.inner
        if self.located:
            points = np.arange(stop - start, dtype=np.int32)
            outer_axes = np.array([points, *([points] * 2 if space.chooses_devices else [])])
            # the kernel's own choices of degrees go where nobody looks
            block = block._replace(axes=outer_axes, degrees=np.array([1, 2]))
            inner_axes = np.arange(space.inner_points, dtype=np.int32)[np.newaxis]
            inner = inner._replace(axes=inner_axes)
        output = self.output(buffers)
        dropped = np.zeros(len(STATUS) + 1, np.int64)
        cursor = np.zeros(2, np.int64)
        total = 0
        while cursor[0] < stop - start:
            rows = self.fill_columns(
                space.tables,
                block,
                inner,
                space.rules,
                space.spec.output.keep_infeasible,
                cursor,
                output,
                dropped,
            )
            if rows:
                consume(rows)
                total += rows
        counted = zip(REASONS, dropped[1:].tolist(), strict=True)
        return Count(total, {reason: count for reason, count in counted if count})


class ShardWorker:
    """Evaluates and writes whole shards; one object serves all worker threads.

    ``done`` has every shard that is on disk, and no partial one, whatever ends the work. Every
    thread fills its own buffers, encodes and writes; the kernel and the encoder run without the
    interpreter's lock.
    """

    def __init__(
        self,
        space: Space,
        arrow_schema: pa.Schema,
        open_shard: Callable[[int], Shard],
        progress: Progress,
    ) -> None:
        self.space = space
        self.open_shard = open_shard
        self.progress = progress
        self.evaluator = Evaluator(space)
        self.shaper = Shaper(space, arrow_schema)
        self.done: dict[int, Count] = {}
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.local = threading.local()

    def work(self, shard: int) -> None:
        """Write a shard, whole or not at all; nothing if the run was stopped before it began."""
        if self.stopped.is_set():
            return
        if not hasattr(self.local, "buffers"):
            self.local.buffers = Buffers(self.space)
        buffers: Buffers = self.local.buffers
        start, stop = self.space.shard_range(shard)
        sink = self.open_shard(shard)

        def consume(rows: int) -> None:
            if self.stopped.is_set():
                raise _StoppedError
            sink.write(self.shaper.batch(buffers, rows))
            with self.lock:
                self.progress.rows += rows

        try:
            count = self.evaluator.evaluate(start, stop, buffers, consume)
            sink.commit()
        except BaseException:
            sink.discard()
            raise
        with self.lock:
            self.done[shard] = count
            self.progress.done_shards += 1
            self.progress.done_points += (stop - start) * self.space.inner_points


class Worker(Protocol):
    """Works on shards, from any thread."""

    stopped: threading.Event

    def work(self, shard: int) -> None:
        """Finish a shard; do nothing if ``stopped`` is set."""


def run_shards(
    worker: Worker,
    shards: Iterable[int],
    workers: int,
) -> None:
    """Let ``workers`` threads work on ``shards``.

    Whatever ends this early (an error, Ctrl-C), ``worker.stopped`` is set, and no thread is left.
    """
    queue = iter(shards)
    pending: set[Future[None]] = set()
    with ThreadPoolExecutor(workers, thread_name_prefix="perfcore") as pool:
        try:
            while True:
                room = 2 * workers - len(pending)
                pending.update(pool.submit(worker.work, shard) for shard in islice(queue, room))
                if not pending:
                    return
                done, pending = wait(pending, timeout=0.25, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        except BaseException:
            worker.stopped.set()
            for future in pending:
                future.cancel()
            raise


class _StoppedError(Exception):
    """Another worker failed or the user stopped the run."""


def evaluate_rows(space: Space, arrow_schema: pa.Schema, start: int, stop: int) -> pa.Table:
    """Rows of a range of outer points, in memory."""
    return evaluate_counted(space, arrow_schema, start, stop)[0]


def evaluate_counted(
    space: Space, arrow_schema: pa.Schema, start: int, stop: int
) -> tuple[pa.Table, Count]:
    """Rows of a range of outer points, in memory, and how many were left out."""
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
    """A copy that does not share the kernel's buffers."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()
