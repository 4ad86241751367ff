"""Search through a large space: configurations per second, compared with the kernel, and memory.

    python benchmarks/bench_search.py [--configs 1e9]

The search keeps the cheapest row of each device, with the kernel that computes every column, with
the one that computes just the cost, and with the one that does so for several prices at once. The
full kernel alone evaluates a part of the same space into buffers that are not read, with the same
number of threads, before and after the searches. The last line of stdout is a JSON document.
"""

import argparse
import json
import math
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

from machine import peak_rss_bytes, warn_if_busy

from perfcore.columns import METRICS
from perfcore.runs.parquet import Buffers
from perfcore.runs.workers import Evaluator
from perfcore.searching import factoring
from perfcore.searching.objectives import Objective
from perfcore.searching.search import find_best
from perfcore.space.space import Space

BUFFER = 2048  # rows, which fit in the cache
SHARDS = 8  # per thread, for the kernel alone


def space(configs: float) -> Space:
    """Return a space of one dense model on four devices with many batches, prices and lengths."""
    lengths, answers, batches, shares = 256, 16, 128, 8
    fixed = lengths * answers * batches * shares * 4
    return Space.from_dict(
        {
            "axes": {
                "model": ["llama-3.1-8b"],
                "device": ["h100-sxm", "h200-sxm", "b200", "mi300x"],
                "engine": ["vllm"],
                "batch": {"linear": [1, batches], "n": batches},
                "input_len": {"linear": [32, 8192], "n": lengths},
                "output_len": {"linear": [32, 512], "n": answers},
            },
            "what_if": {
                "economics.utilization": {"linear": [0.2, 0.9], "n": shares},
                "device.memory_bandwidth": {
                    "scale": {"linear": [0.5, 2.0], "n": max(2, round(configs / fixed))}
                },
            },
        }
    )


def kernel_rate(whole: Space, workers: int) -> float:
    """Return the rows per second of the kernel alone with every column on the first shards."""
    every = tuple(column.name for column in METRICS)
    output = whole.spec.output.model_copy(update={"columns": every})
    evaluator = Evaluator(Space(replace(whole.spec, output=output)))

    def work(worker: int) -> None:
        buffers = Buffers(evaluator.space, BUFFER)
        for shard in range(worker * SHARDS, (worker + 1) * SHARDS):
            start, stop = whole.shard_range(shard % whole.shards)
            evaluator.evaluate(start, stop, buffers, lambda _: None)

    work(0)  # compile, or load from the cache
    rows = sum(
        (stop - start) * whole.inner_points
        for shard in range(workers * SHARDS)
        for start, stop in [whole.shard_range(shard % whole.shards)]
    )
    begun = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
    return rows / (time.perf_counter() - begun)


def search_small() -> None:
    """Compile the kernels, or load them from the cache."""
    for choice in ("full", "narrow", "together"):
        find_best(space(1e6), Objective("cost_per_mtok_output_usd"), kernel=choice)
    find_best(space(1e6), Objective("tpot_s"), kernel="narrow")


def main() -> None:
    """Measure the kernel, the search, and the kernel again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", type=float, default=1e9)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    warn_if_busy()
    large = space(given.configs)
    objective = Objective("cost_per_mtok_output_usd")
    # compiled in another process, as the compiler's memory is not the search's
    with ProcessPoolExecutor(1, get_context("spawn")) as other:
        other.submit(search_small).result()
    search_small()
    rates = [kernel_rate(large, given.workers)]
    full, found, together = (
        find_best(large, objective, by=["device"], workers=given.workers, kernel=choice)
        for choice in ("full", "narrow", "together")
    )
    fastest = Objective("tpot_s")
    idle = find_best(large, fastest, by=["device"], workers=given.workers, kernel="narrow")
    factoring.FEWEST = large.rows + 1
    every = find_best(large, fastest, by=["device"], workers=given.workers, kernel="narrow")
    rates.append(kernel_rate(large, given.workers))
    rss = peak_rss_bytes()
    alike = full.rows.equals(found.rows) and full.rows.equals(together.rows)
    if not (alike and idle.rows.equals(every.rows)):
        raise RuntimeError("the searches found different rows")
    rate = found.configs / found.seconds
    kernel = statistics.mean(rates)
    print(f"{found.configs:,} configurations on {given.workers} threads, {rss / 2**20:.0f} MiB")
    for one in (full, found, together):
        print(f"{one.seconds:.1f} s, {one.configs / one.seconds / 1e6:.1f} M/s: {one.kernel}")
    values = math.prod(len(large.spec.axis(name)) for name in idle.idle)
    print(f"fastest, whose time does not depend on {', '.join(idle.idle)} ({values} values):")
    print(f"{every.seconds:.1f} s with all of them, {idle.seconds:.1f} s with one")
    print(f"the full kernel alone {kernel / 1e6:.1f} M/s")
    print(
        json.dumps(
            {
                "configs": found.configs,
                "configs_per_s": round(rate),
                "wall_s": round(found.seconds, 3),
                "peak_rss_bytes": rss,
                "full_wall_s": round(full.seconds, 3),
                "speedup_vs_full": round(full.seconds / found.seconds, 3),
                "together_wall_s": round(together.seconds, 3),
                "together_speedup": round(found.seconds / together.seconds, 3),
                "all_values_wall_s": round(every.seconds, 3),
                "idle_wall_s": round(idle.seconds, 3),
                "idle_speedup": round(every.seconds / idle.seconds, 3),
                "ratio_vs_kernel": round(full.configs / full.seconds / kernel, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
