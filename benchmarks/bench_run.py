"""Sweep end to end, compared with Arrow writing the same table from memory; peak memory.

    python benchmarks/bench_run.py               # with the peak memory of 100 million rows
    python benchmarks/bench_run.py --memory 7    # of 7 million: three times as fast

Both sides of the ratio write the same bytes with the same number of threads and the same settings.
A ratio of 1 would mean that the physics costs nothing. The last line of stdout is a JSON document.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
from machine import peak_rss_bytes, warn_if_busy

from perfcore.runs.manifest import shard_file
from perfcore.runs.parquet import ParquetShard, schema, writer_options
from perfcore.runs.run import sweep
from perfcore.runs.shards import facts
from perfcore.runs.workers import evaluate_rows
from perfcore.space.space import Space

SPEC = Path(__file__).parent.parent / "sweeps" / "memory_wall.toml"
ROWS_PER_LENGTH = 161_622  # approximate rows that the main sweep writes per input length
MILLION = 1_000_000


def size(folder: Path) -> int:
    """Return the bytes of all data files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def timed_sweep(space: Space, workers: int) -> tuple[float, int, int]:
    """Return the seconds, rows and bytes of a run into a fresh directory."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run = sweep(space, Path(folder) / "run", workers)
        seconds = time.perf_counter() - start
        return seconds, run.rows, size(Path(folder))


def timed_write(tables: list[pa.Table], space: Space, workers: int) -> tuple[float, int]:
    """Return the seconds and bytes of the writer alone, one shard per table in memory."""
    options = writer_options(tables[0].schema, space.spec.output)
    with tempfile.TemporaryDirectory() as folder:

        def write(number: int) -> None:
            table = tables[number]
            shard = ParquetShard(Path(folder) / shard_file(number), table.schema, options)
            for batch in table.to_batches():
                shard.write(batch)
            shard.commit()

        start = time.perf_counter()
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(write, range(len(tables))))
        return time.perf_counter() - start, size(Path(folder))


def peak(spec: str, overrides: list[str], workers: int) -> dict[str, int]:
    """Return the peak resident memory and rows of a sweep in a separate process."""
    command = [sys.executable, __file__, "--child", spec, "--workers", str(workers)]
    command += [part for override in overrides for part in ("--set", override)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def child(spec: str, overrides: list[str], workers: int) -> None:
    """Run the sweep in the process that ``peak`` starts."""
    seconds, rows, written = timed_sweep(Space.from_toml(spec, overrides), workers)
    print(
        json.dumps(
            {"rows": rows, "bytes": written, "peak_rss_bytes": peak_rss_bytes(), "seconds": seconds}
        )
    )


def compare(spec: str, overrides: list[str], workers: int, repeats: int) -> dict[str, float]:
    """Return medians of the run and of the writer alone, measured in turn."""
    space = Space.from_toml(spec, overrides)
    arrow_schema = schema(space, facts(space))
    tables = [
        evaluate_rows(space, arrow_schema, *space.shard_range(shard))
        for shard in range(space.shards)
    ]
    runs, writes = [], []
    for _ in range(repeats):
        seconds, rows, written = timed_sweep(space, workers)
        runs.append(seconds)
        floor, same = timed_write(tables, space, workers)
        writes.append(floor)
        if same != written:
            raise SystemExit(f"the run wrote {written} bytes, the writer alone {same}")
    run, write = statistics.median(runs), statistics.median(writes)
    return {
        "workers": workers,
        "rows": rows,
        "evaluated": space.rows,
        "seconds": round(run, 3),
        "write_seconds": round(write, 3),
        "rows_per_s": round(rows / run),
        "evaluated_per_s": round(space.rows / run),
        "ratio_vs_write_floor": round(write / run, 3),
        "bytes_per_row": round(written / rows, 2),
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--spec", default=str(SPEC))
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", type=float, default=100, metavar="MILLIONS")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.overrides, options.workers)
        return
    warn_if_busy()
    results = {}
    for workers in sorted({1, options.workers}):
        found = compare(options.spec, options.overrides, workers, options.repeats)
        results[workers] = found
        print(
            f"{workers} workers: {found['rows_per_s'] / 1e6:.2f} M rows/s written, "
            f"{found['evaluated_per_s'] / 1e6:.2f} M/s evaluated, "
            f"{found['ratio_vs_write_floor']:.2f} of the writer alone, "
            f"{found['bytes_per_row']:.1f} B/row"
        )
    lengths = max(2, round(options.memory * MILLION / ROWS_PER_LENGTH))
    length = f'axes.input_len={{ log = ["128", "128Ki"], n = {lengths} }}'
    large = peak(options.spec, [*options.overrides, length], options.workers)
    print(
        f"{large['rows']:,} rows: peak RSS {large['peak_rss_bytes'] / 2**20:.0f} MiB, "
        f"{large['rows'] / large['seconds'] / 1e6:.2f} M rows/s"
    )
    document = {
        **results[options.workers],
        "peak_rss_bytes": large["peak_rss_bytes"],
        "peak_rss_rows": large["rows"],
        "peak_rss_rows_per_s": round(large["rows"] / large["seconds"]),
        "one_worker": results[1],
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
