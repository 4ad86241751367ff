"""Sweep on Dask workers, one of them killed, compared with threads: seconds and equal bytes.

    python benchmarks/bench_dask.py [--rows 1e8] [--workers 2]

A scheduler and single-threaded workers run as processes on loopback. There are three runs: with as
many threads of this process as there are workers; with Dask undisturbed; with Dask and one worker
killed (SIGKILL) after a quarter of the shards, which its nanny replaces (the default of Dask). The
last line of stdout is a JSON document.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import psutil

from perfcore.runs.check import verify
from perfcore.runs.executors import dask_executor
from perfcore.runs.run import Run, sweep
from perfcore.space.space import Space


def space(rows: float) -> Space:
    """Return a space of one dense model on four devices; every row is feasible."""
    lengths, answers, batches = 256, 16, 64
    return Space.from_dict(
        {
            "axes": {
                "model": ["llama-3.1-8b"],
                "device": ["h100-sxm", "h200-sxm", "b200", "mi300x"],
                "batch": {"linear": [1, batches], "n": batches},
                "input_len": {"linear": [32, 8192], "n": lengths},
                "output_len": {"linear": [32, 512], "n": answers},
            },
            "what_if": {
                "device.memory_bandwidth": {
                    "scale": {
                        "linear": [0.5, 2.0],
                        "n": max(2, round(rows / (lengths * answers * batches * 4))),
                    }
                }
            },
            "output": {"keep_infeasible": True},
        }
    )


def content(run: Run) -> dict[str, str]:
    """Return the checksum of every data file."""
    found = {}
    for path in run.data.iterdir():
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a cluster; yield the scheduler file and the worker processes."""
    folder.mkdir()
    file = folder / "scheduler.json"
    where = ["--host", "127.0.0.1", "--no-dashboard"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", *where, "--port", "0", "--scheduler-file", str(file)]
    worker = [*dask, "worker", *where, "--scheduler-file", str(file), "--nthreads", "1"]
    processes = [subprocess.Popen(scheduler, **quiet)]
    try:
        while not file.exists():
            time.sleep(0.05)
        started = [subprocess.Popen(worker, **quiet) for _ in range(workers)]
        processes += started
        yield str(file), started
    finally:
        for process in processes:
            process.terminate()  # a nanny also ends its worker
            process.wait()


def worker_of(nanny: subprocess.Popen[bytes]) -> psutil.Process:
    """Return the worker process among the children of a nanny."""
    found = psutil.Process(nanny.pid).children(recursive=True)
    return max(found, key=lambda process: process.memory_info().rss)


def on_dask(what: Space, folder: Path, workers: int, *, kill: bool) -> tuple[Run, float]:
    """Return a run on a cluster and its seconds, measured once all workers have compiled."""
    output = folder / "run"
    with cluster(folder, workers) as (file, processes), dask_executor(file) as executor:
        executor._client.wait_for_workers(workers)  # noqa: SLF001 - no public way to wait
        sweep(space(1e6), folder / "warm", executor=executor)

        def kill_one() -> None:
            while len(list((output / "data").glob("*.parquet"))) < what.shards / 4:
                time.sleep(0.01)
            worker_of(processes[0]).kill()

        begun = time.perf_counter()
        if kill:
            Thread(target=kill_one, daemon=True).start()
        run = sweep(what, output, executor=executor)
        return run, time.perf_counter() - begun


def main() -> None:
    """Measure and compare; fail if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=float, default=1e8)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    what = space(given.rows)
    with tempfile.TemporaryDirectory(prefix="perfcore-dask-") as name:
        folder = Path(name)
        sweep(space(1e6), folder / "warm", given.workers)
        begun = time.perf_counter()
        threads = sweep(what, folder / "threads", given.workers)
        threads_s = time.perf_counter() - begun
        expected = content(threads)
        undisturbed, dask_s = on_dask(what, folder / "dask", given.workers, kill=False)
        same = content(undisturbed) == expected
        killed, killed_s = on_dask(what, folder / "killed", given.workers, kill=True)
        same_killed = content(killed) == expected
        faults = len(verify(killed.location).faults)
        print(f"{threads.rows:,} rows in {what.shards} shards, {given.workers} workers")
        print(f"threads {threads_s:.1f} s, Dask {dask_s:.1f} s, one killed {killed_s:.1f} s")
        print(
            json.dumps(
                {
                    "rows": threads.rows,
                    "shards": what.shards,
                    "workers": given.workers,
                    "threads_s": round(threads_s, 3),
                    "dask_s": round(dask_s, 3),
                    "overhead": round(dask_s / threads_s - 1.0, 3),
                    "killed_s": round(killed_s, 3),
                    "overhead_killed": round(killed_s / threads_s - 1.0, 3),
                    "complete": killed.manifest["complete"],
                    "rows_killed": killed.rows,
                    "same_bytes": same and same_killed,
                    "faults": faults,
                }
            )
        )
    if not (same and same_killed and not faults):
        sys.exit("error: the runs differ")


if __name__ == "__main__":
    main()
