"""Forecast of a run from a sample: rows, bytes, seconds and memory."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import psutil
import pyarrow as pa

from perfcore.kernel.layout import Block
from perfcore.runs.parquet import Buffers, ParquetShard, Shaper, schema, writer_options
from perfcore.runs.resources import BUFFER_COPIES
from perfcore.runs.shards import facts as run_facts
from perfcore.runs.workers import Count, Evaluator
from perfcore.space.axes import Value
from perfcore.space.space import Space

RUNS: Final = 256  # contiguous stretches drawn from the space
POINTS: Final = 2048  # outer points in all stretches together, unless they have too many rows
ROWS: Final = 1 << 19  # approximate number of rows to evaluate
MOST_ROWS: Final = 1 << 21
MOST_SIMULATIONS: Final = 16  # outer points, if they are simulated
SIMULATED_S: Final = 2.0  # approximate time for them
START: Final = 0.4  # s, to load the compiled kernel; measured
_SEED: Final = 0


class Drawn(Space):
    """Contiguous stretches of another space, one after another.

    Unlike single points, stretches compress like the whole space.
    """

    def __init__(self, space: Space, simulations: int = MOST_SIMULATIONS) -> None:
        self.__dict__.update(vars(space))
        inner = space.inner_points
        runs = max(1, min(RUNS, MOST_ROWS // inner))
        each = min(POINTS // RUNS, MOST_ROWS // (runs * inner))
        length = max(each, ROWS // (runs * inner), 1)
        if space.spec.traffic is not None:
            runs, length = simulations, 1
        self.exact = space.outer_points <= runs * length
        if self.exact:
            self.starts = np.zeros(1, np.int64)
            self.length = space.outer_points
        else:
            last = space.outer_points - length
            self.starts = np.sort(
                np.random.default_rng(_SEED).integers(0, last + 1, runs, np.int64)
            )
            self.length = length
        if space.spec.sample is not None:  # its points are already in random order
            self.starts = self.starts[:1] * 0
            self.length = min(space.outer_points, runs * length)
        self.points = len(self.starts) * self.length

    def block(self, start: int, stop: int) -> Block:
        """Return the sampled points; ``start`` and ``stop`` must cover all of them."""
        if (start, stop) != (0, self.points):
            raise ValueError("drawn points are evaluated together")
        return self._drawn

    def traffic(self, start: int, stop: int) -> list[dict[str, Value]]:
        """Return the values of traffic at the sampled points, or at the first of them."""
        values = [
            point
            for first in map(int, self.starts)
            for point in super(Drawn, self).traffic(first, first + self.length)
        ]
        return values[start:stop]

    @cached_property
    def _drawn(self) -> Block:
        blocks = [super(Drawn, self).block(int(s), int(s) + self.length) for s in self.starts]
        return Block(
            records=np.concatenate([block.records for block in blocks], axis=1),
            deployments=np.concatenate([block.deployments for block in blocks]),
            lengths=np.concatenate([block.lengths for block in blocks], axis=1),
            axes=np.concatenate([block.axes for block in blocks], axis=1),
            degrees=blocks[0].degrees,
        )


@dataclass(frozen=True)
class Forecast:
    """Forecast of a run: rows, bytes, seconds and memory.

    ``left_out`` is the share of rows left out, by reason. ``seconds`` is the time that ``workers``
    threads of this machine take, ``memory_bytes`` their peak memory. ``exact`` says that the sample
    covered the whole space.
    """

    sampled_rows: int
    exact: bool
    written_share: float
    left_out: Mapping[str, float]
    rows_written: int
    bytes: int
    bytes_per_row: float
    workers: int
    seconds: float
    memory_bytes: int


def forecast(space: Space, workers: int) -> Forecast:
    """Return the forecast of a run from a sample of its space.

    Compiled code is called once before anything is timed; the compiler's work is kept on disk.
    """
    drawn = Drawn(space, _simulations(space))
    evaluated = drawn.points * space.inner_points
    arrow_schema = schema(space, run_facts(space))
    evaluator = Evaluator(drawn)
    buffers = Buffers(space)
    if space.spec.traffic is None:
        evaluator.evaluate(0, drawn.points, buffers, lambda _: None)
    empty = _written(space, arrow_schema)
    started = time.perf_counter()
    count, written, memory = _write(evaluator, arrow_schema, buffers, drawn.points)
    seconds = time.perf_counter() - started
    size = max(written - empty.size, 0)
    row_seconds = max(seconds - empty.seconds, 1e-9) / evaluated
    written_share = count.rows / evaluated
    rows_written = round(space.rows * written_share)
    bytes_per_row = size / count.rows if count.rows else 0.0
    busy = min(workers, space.shards)
    own = buffers.metrics.nbytes + buffers.codes.nbytes + buffers.axes.nbytes
    return Forecast(
        sampled_rows=evaluated,
        exact=drawn.exact,
        written_share=written_share,
        left_out={reason: rows / evaluated for reason, rows in count.dropped.items()},
        rows_written=rows_written,
        bytes=round(rows_written * bytes_per_row) + space.shards * empty.size,
        bytes_per_row=bytes_per_row,
        workers=workers,
        seconds=START + (space.rows * row_seconds + space.shards * empty.seconds) / busy,
        memory_bytes=memory + (busy - 1) * own * BUFFER_COPIES,
    )


def _simulations(space: Space) -> int:
    """Return how many points of a sweep with traffic are simulated in a short time."""
    if space.spec.traffic is None:
        return MOST_SIMULATIONS
    evaluator, buffers = Evaluator(space), Buffers(space, 1)
    seconds = 0.0
    for _ in range(2):  # the first also loads compiled code
        started = time.perf_counter()
        evaluator.evaluate(0, 1, buffers, lambda _: None)
        seconds = time.perf_counter() - started
    return min(max(int(SIMULATED_S / seconds), 1), MOST_SIMULATIONS)


class _Written:
    def __init__(self, size: int, seconds: float) -> None:
        self.size = size
        self.seconds = seconds


def _written(space: Space, arrow_schema: pa.Schema) -> _Written:
    """Return the cost of a file without rows (schema and facts), in bytes and seconds."""
    with tempfile.TemporaryDirectory(prefix="perfcore-plan-") as directory:
        path = Path(directory) / "empty.parquet"
        started = time.perf_counter()
        ParquetShard(path, arrow_schema, writer_options(arrow_schema, space.spec.output)).commit()
        return _Written(path.stat().st_size, time.perf_counter() - started)


def _write(
    evaluator: Evaluator, arrow_schema: pa.Schema, buffers: Buffers, points: int
) -> tuple[Count, int, int]:
    """Return the sample's row counts, its bytes on disk, and the memory of this process. [bytes]

    The sample is written like a run and then deleted. Memory is largest before the file is closed.
    """
    space = evaluator.space
    shaper = Shaper(space, arrow_schema)
    with tempfile.TemporaryDirectory(prefix="perfcore-plan-") as directory:
        path = Path(directory) / "sample.parquet"
        shard = ParquetShard(path, arrow_schema, writer_options(arrow_schema, space.spec.output))
        try:
            count = evaluator.evaluate(
                0, points, buffers, lambda rows: shard.write(shaper.batch(buffers, rows))
            )
        except BaseException:
            shard.discard()
            raise
        memory: int = psutil.Process().memory_info().rss
        shard.commit()
        return count, path.stat().st_size, memory
