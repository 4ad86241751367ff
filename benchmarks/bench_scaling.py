"""Cost per row by rows, axes, columns and threads, compared with physical limits.

    python benchmarks/bench_scaling.py                      # writes docs/performance.md, 8 minutes
    python benchmarks/bench_scaling.py --quick -o FILE.md   # small sizes, for a test

Needs about 2 GB for temporary files, which are deleted. ``scaling_page.py`` writes the page and
extrapolates to larger machines. Searches by question, blocks that are skipped, simulations and
compilation are measured by the benchmarks of those, one after another. The machine must be idle:
other programs on its processors, a laptop on battery or another tenant of the host make every
figure worse, and those of memory and disk most. The last line of stdout is a JSON document.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import bench_kernel
import bench_run
import numpy as np
import pyarrow as pa
from machine import Others, machine, peak_rss_bytes, warn_if_busy
from scaling_page import (
    TASKS,
    Answers,
    Bytes,
    Columns,
    Compiled,
    Cost,
    Figures,
    MainSweep,
    Pruned,
    Question,
    Rates,
    Simulated,
    Size,
    document,
    page,
)

from perfcore.output import replacing
from perfcore.runs.parquet import Buffers, schema
from perfcore.runs.shards import facts
from perfcore.runs.workers import Evaluator, evaluate_rows
from perfcore.searching.objectives import Objective
from perfcore.searching.search import find_best
from perfcore.searching.workers import BLOCK
from perfcore.space.sections import Output
from perfcore.space.space import Space

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
OBJECTIVE = Objective("cost_per_mtok_output_usd")
ONE_COLUMN = [OBJECTIVE.name]
COLUMNS: dict[str, str | list[str]] = {"1": ONE_COLUMN, "default": "default", "all": "all"}
DEVICES = ["h100-sxm", "h200-sxm", "b200", "mi300x"]
GRID_ROWS = 100_000  # rows of the smallest grid, with one combination of what-ifs
SHAPE_ROWS = 1 << 18  # rows of every space that varies axes or inner points
INNER_POINTS = (4, 16, 64, 256, 1024)
KERNEL_REPEATS = 5  # per measurement; a repeat takes some milliseconds
DISTINCT_TABLES = 8  # for the encoder; together larger than a cache
SMALL_REPEATS = 5  # for sizes that take little time

K = TypeVar("K")


class Plan(NamedTuple):
    """Sizes and repeats of the measurements."""

    search_rows: tuple[int, ...]
    run_rows: tuple[int, ...]
    search_threads_rows: int
    run_threads_rows: int
    column_rows: int
    copy_bytes: int
    disk_bytes: int
    rows_per_thread: int  # at least, when threads are compared
    repeats: int
    main_sweep: tuple[str, ...]  # overrides of the main sweep
    others: bool  # whether other benchmarks measure, too


FULL = Plan(
    search_rows=(10**5, 10**6, 10**7, 10**8, 10**9),
    run_rows=(10**5, 10**6, 10**7, 10**8),
    search_threads_rows=10**8,
    run_threads_rows=10**7,
    column_rows=4 * 10**6,
    copy_bytes=1 << 29,
    disk_bytes=1 << 30,
    rows_per_thread=4 * Output().rows_per_shard,
    repeats=3,
    main_sweep=(),
    others=True,
)
QUICK = Plan(
    search_rows=(10**5, 10**6),
    run_rows=(10**5,),
    search_threads_rows=10**6,
    run_threads_rows=10**5,
    column_rows=10**5,
    copy_bytes=1 << 25,
    disk_bytes=1 << 25,
    rows_per_thread=0,
    repeats=1,
    main_sweep=("axes.batch=[1]", "axes.input_len=[1024]"),
    others=False,
)


def spread(low: float, high: float, count: int) -> object:
    """Return a range of ``count`` values for a specification; ``count`` may be one."""
    return {"linear": [low, high], "n": count} if count > 1 else [low]


def grid(rows: int, columns: str | list[str] = "default") -> Space:
    """Return a space of ``rows`` rows; only the number of outer points depends on ``rows``."""
    shares = min(10, rows // GRID_ROWS)
    bandwidths = rows // (GRID_ROWS * shares)
    made = Space.from_dict(
        {
            "name": "scaling",
            "axes": {
                "model": ["llama-3.1-8b"],
                "device": DEVICES,
                "engine": ["vllm"],
                "batch": spread(1, 25, 25),
                "input_len": spread(32, 4000, 125),
                "output_len": spread(64, 512, 8),
            },
            "what_if": {
                "device.memory_bandwidth": {"scale": spread(0.5, 2.0, bandwidths)},
                "economics.utilization": spread(0.2, 0.9, shares),
            },
            **({} if columns == "default" else {"output": {"columns": columns}}),
        }
    )
    if made.rows != rows:
        raise ValueError(f"{rows:,} rows are not a multiple of {GRID_ROWS:,}, or of a million")
    return made


def shape(lengths: int, axes: Mapping[str, object], shares: int, bandwidths: int) -> Space:
    """Return a space of ``lengths`` prompt lengths and other axes, with every column."""
    made = Space.from_dict(
        {
            "name": "shape",
            "axes": {
                "model": ["llama-3.1-8b"],
                "device": ["h200-sxm"],
                "engine": ["vllm"],
                "batch": [8],
                "input_len": spread(32, 8192, lengths),
                "output_len": [256],
                **axes,
            },
            "what_if": {
                "device.memory_bandwidth": {"scale": spread(0.5, 2.0, bandwidths)},
                "economics.utilization": spread(0.2, 0.9, shares),
            },
            "output": {"columns": "all"},
        }
    )
    if made.rows != SHAPE_ROWS:
        raise ValueError(f"a shape has {made.rows:,} rows, not {SHAPE_ROWS:,}")
    return made


def shapes_by_axes() -> dict[int, Space]:
    """Return spaces by the number of axes with more than one value."""
    pairs = {"tp": [1, 2], "kv_format": ["bf16", "fp8"]}
    more = {"weight_format": ["bf16", "fp8"], "prefix_hit": [0.0, 0.5]}
    return {
        2: shape(256, {}, 1024, 1),
        3: shape(256, {}, 32, 32),
        4: shape(256, {"device": DEVICES}, 16, 16),
        6: shape(256, {"device": DEVICES, **pairs}, 8, 8),
        8: shape(256, {"device": DEVICES, **pairs, **more}, 4, 4),
    }


def shapes_by_inner() -> dict[int, Space]:
    """Return spaces by the number of inner points."""
    return {
        points: shape(points, {"device": DEVICES}, 64, SHAPE_ROWS // (points * 64 * len(DEVICES)))
        for points in INNER_POINTS
    }


def kernel_rate(space: Space, threads: int) -> Callable[[], float]:
    """Return a function that measures the kernel alone. [rows/s]"""
    side = bench_kernel.kernel(Evaluator(space))
    side(threads)

    def measured() -> float:
        return max(bench_kernel.rate(side, threads) for _ in range(KERNEL_REPEATS))

    return measured


def search_rate(space: Space, threads: int) -> Callable[[], float]:
    """Return a function that measures a search. [rows/s]"""

    def measured() -> float:
        start = time.perf_counter()
        found = find_best(space, OBJECTIVE, by=["device"], workers=threads, kernel="full")
        return found.feasible / (time.perf_counter() - start)

    return measured


def run_rate(space: Space, threads: int) -> Callable[[], float]:
    """Return a function that measures a run. [rows/s]"""

    def measured() -> float:
        seconds, rows, _ = bench_run.timed_sweep(space, threads)
        return rows / seconds

    return measured


def encoder_rate(tables: list[pa.Table], space: Space, threads: int) -> Callable[[], float]:
    """Return a function that measures the Parquet writer alone. [rows/s]"""
    rows = sum(table.num_rows for table in tables)
    return lambda: rows / bench_run.timed_write(tables, space, threads)[0]


def copy_rate(size: int, pool: ThreadPoolExecutor, threads: int) -> Callable[[], float]:
    """Return a function that measures memory by a copy, counting reads and writes. [B/s]"""

    def measured() -> float:
        source, target = np.ones((2, size // 8))
        parts = list(
            zip(np.array_split(source, threads), np.array_split(target, threads), strict=True)
        )
        start = time.perf_counter()
        list(pool.map(lambda part: np.copyto(part[1], part[0]), parts))
        return 2 * size / (time.perf_counter() - start)

    return measured


def disk_rate(size: int) -> Callable[[], float]:
    """Return a function that measures the disk by one flushed file of noise. [B/s]"""
    noise = np.random.default_rng(1).bytes(min(size, 1 << 26))

    def measured() -> float:
        os.sync()  # empty the page cache of other measurements
        with tempfile.TemporaryFile(buffering=0) as file:
            start = time.perf_counter()
            written = 0
            while written < size:
                written += file.write(noise)
            os.fsync(file.fileno())
            return written / (time.perf_counter() - start)

    return measured


def fastest(measured: Mapping[K, Callable[[], float]], repeats: int) -> dict[K, float]:
    """Return the highest rates, measured in turn so that a slow minute affects all of them."""
    rates = dict.fromkeys(measured, 0.0)
    for _ in range(repeats):
        for key, measure in measured.items():
            rates[key] = max(rates[key], measure())
    return rates


def sizes(task: str, rows: tuple[int, ...], threads: int) -> list[Size]:
    """Measure searches or runs of growing size in a separate process with its own peak memory."""
    command = [sys.executable, __file__, "--child", task, "--workers", str(threads)]
    done = subprocess.run(
        [*command, "--rows", *map(str, rows)], check=True, stdout=subprocess.PIPE, text=True
    )
    return [Size(*size) for size in json.loads(done.stdout.splitlines()[-1])]


def child(task: str, rows: list[int], threads: int) -> None:
    """Measure the sizes in the process that ``sizes`` starts."""
    timed = timed_search if task == "search" else bench_run.timed_sweep
    timed(grid(min(rows)), threads)  # compile, or load from the cache
    found = []
    for count in rows:
        space = grid(count)
        repeats = SMALL_REPEATS if space.shards == 1 else 1
        taken = [timed(space, threads) for _ in range(repeats)]
        seconds = min(one[0] for one in taken)
        _, written, size = taken[-1]
        busy = min(threads, space.shards)
        found.append(Size(written, space.shards, busy, seconds, peak_rss_bytes(), size))
    print(json.dumps(found))


def timed_search(space: Space, threads: int) -> tuple[float, int, int]:
    """Return seconds, rows and 0 bytes of a search, like ``bench_run.timed_sweep``."""
    start = time.perf_counter()
    found = find_best(space, OBJECTIVE, by=["device"], workers=threads, kernel="full")
    return time.perf_counter() - start, found.feasible, 0


def costs(spaces: Mapping[int, Space], repeats: int) -> list[Cost]:
    """Return the cost per row of each space in the kernel on one thread."""
    rates = fastest({count: kernel_rate(space, 1) for count, space in spaces.items()}, repeats)
    return [Cost(count, 1e9 / rate) for count, rate in rates.items()]


def columns(plan: Plan) -> list[Columns]:
    """Return the cost per row by number of columns in the kernel and a run on one thread."""
    spaces = {label: grid(plan.column_rows, asked) for label, asked in COLUMNS.items()}
    measured = {
        (label, kind): rate
        for label, space in spaces.items()
        for kind, rate in (
            ("kernel", kernel_rate(space, 1)),
            ("run", run_rate(space, 1)),
        )
    }
    rates = fastest(measured, plan.repeats)
    return [
        Columns(
            label,
            len(space.columns),
            1e9 / rates[label, "kernel"],
            1e9 / rates[label, "run"],
            bytes_of_file(space),
        )
        for label, space in spaces.items()
    ]


def bytes_of_file(space: Space) -> float:
    """Return the bytes per row on disk."""
    _, rows, size = bench_run.timed_sweep(space, machine().cores)
    return size / rows


def tables_of(space: Space, count: int) -> list[pa.Table]:
    """Return ``count`` shards in memory, some of which are the same."""
    arrow_schema = schema(space, facts(space))
    made = [
        evaluate_rows(space, arrow_schema, *space.shard_range(shard))
        for shard in range(min(count, space.shards, DISTINCT_TABLES))
    ]
    return [made[number % len(made)] for number in range(count)]


def rates(plan: Plan, pool: ThreadPoolExecutor, cores: int) -> tuple[list[Rates], float, int]:
    """Return the rates by threads, the rate of the disk, and the bytes per row in Arrow."""
    searched = grid(_for_threads(plan, plan.search_threads_rows, cores))
    written = grid(_for_threads(plan, plan.run_threads_rows, cores))
    alone = grid(plan.run_threads_rows, ONE_COLUMN)
    tables = tables_of(written, 2 * cores)
    counts = [2**power for power in range(cores.bit_length()) if 2**power < cores] + [cores]
    measured: dict[tuple[str, int], Callable[[], float]] = {("disk", 1): disk_rate(plan.disk_bytes)}
    for threads in counts:
        of_one = (
            kernel_rate(alone, threads),
            kernel_rate(written, threads),
            search_rate(searched, threads),
            encoder_rate(tables, written, threads),
            run_rate(written, threads),
            copy_rate(plan.copy_bytes, pool, threads),
        )
        measured |= {
            (name, threads): rate for name, rate in zip(Rates._fields[1:], of_one, strict=True)
        }
    found = fastest(measured, plan.repeats)
    by_threads = [
        Rates(threads, *(found[name, threads] for name in Rates._fields[1:])) for threads in counts
    ]
    raw = tables[0].get_total_buffer_size() / tables[0].num_rows
    return by_threads, found["disk", 1], round(raw)


def _for_threads(plan: Plan, rows: int, cores: int) -> int:
    """Return ``rows``, or more tens of millions if these do not keep all threads busy."""
    least = plan.rows_per_thread * cores
    return rows if rows >= least else -(-least // 10**7) * 10**7


def bytes_of_search() -> int:
    """Return the bytes per row from kernel to selection: columns, group and position."""
    buffers = Buffers(grid(GRID_ROWS), BLOCK, 1)
    columns = buffers.axes.nbytes + buffers.metrics.nbytes + buffers.codes.nbytes
    return columns // BLOCK + 2 * np.dtype(np.int64).itemsize


def by_script(name: str, *arguments: str) -> dict[str, Any]:
    """Return the JSON document that another benchmark prints last."""
    script = Path(__file__).with_name(name)
    done = subprocess.run(
        [sys.executable, str(script), *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def answers() -> Answers:
    """Measure with other benchmarks."""
    search = by_script("bench_search.py")
    prune = by_script("bench_prune.py")
    traffic = by_script("bench_traffic.py")
    compiled = by_script("bench_compile.py", "--ours", "--repeats", "1")
    return Answers(
        Question(
            search["configs"],
            search["full_wall_s"],
            search["wall_s"],
            search["all_values_wall_s"],
            search["idle_wall_s"],
            search["peak_rss_bytes"],
        ),
        Pruned(
            prune["configs"],
            prune["wall_s"],
            prune["evaluated"],
            prune["boxes"],
            prune["subspace_configs"],
            prune["subspace_exhaustive_wall_s"],
            prune["subspace_wall_s"],
        ),
        [
            Simulated(name, one["batch"], one["steps"], one["steps_per_s"])
            for name, one in traffic.items()
            if isinstance(one, dict)
        ],
        [Compiled(name, one["processor_s"], one["wall_s"]) for name, one in compiled.items()],
    )


def measure(plan: Plan, command: str) -> Figures:
    """Measure all figures of the page."""
    made = machine()
    cores = made.cores
    others = Others()

    def say(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    say(f"{made.processor}, {cores} cores")
    timed_search(grid(GRID_ROWS), cores)  # compile, unless the kernel is cached
    by_task = {}
    for task, rows in zip(TASKS, (plan.search_rows, plan.run_rows), strict=True):
        by_task[task] = sizes(task, rows, cores)
        for size in by_task[task]:
            say(f"{task} of {size.rows:,} rows: {size.ns_per_row_core:.1f} ns/row and core")
    with ThreadPoolExecutor(cores) as pool:
        by_axes = costs(shapes_by_axes(), plan.repeats)
        by_inner = costs(shapes_by_inner(), plan.repeats)
        say("shapes measured")
        by_columns = columns(plan)
        say("columns measured")
        by_threads, disk, raw = rates(plan, pool, cores)
        say("threads and limits measured")
    main = Space.from_toml(bench_run.SPEC, plan.main_sweep)
    seconds, rows_of_main, size_of_main = bench_run.timed_sweep(main, cores)
    by_others = answers() if plan.others else None
    largest = by_task["run"][-1]
    return Figures(
        command,
        time.strftime("%Y-%m-%d", time.gmtime()),
        made,
        others.share(),
        by_task["search"],
        by_task["run"],
        MainSweep(main.rows, rows_of_main, seconds, size_of_main),
        by_axes,
        by_inner,
        by_columns,
        by_threads,
        disk,
        Bytes(bytes_of_search(), raw, largest.file_bytes / largest.rows),
        by_others,
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes; writes a page only with -o"
    )
    parser.add_argument("-o", "--output", type=Path, help="the page [docs/performance.md]")
    parser.add_argument("--child", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        child(given.child, given.rows, given.workers)
        return
    output = given.output or (None if given.quick else PAGE)
    if output and not output.parent.is_dir():
        parser.error(f"--output: {str(output.parent)!r} is not a directory; create it first")
    warn_if_busy()
    command = "python benchmarks/bench_scaling.py" + (" --quick" if given.quick else "")
    figures = measure(QUICK if given.quick else FULL, command)
    if output:
        with replacing(output) as part:
            part.write_text(page(figures), encoding="utf-8")
        print(f"written: {output}")
    print(json.dumps(document(figures)))


if __name__ == "__main__":
    main()
