"""Rows per second of the compiled physics with every column, nothing written.

    python benchmarks/bench_kernel.py

The last line of stdout is one JSON document.
"""

import argparse
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from perfcore.engine import Evaluator
from perfcore.sinks.parquet import ROW_GROUP, Buffers
from perfcore.space import Space

ROWS = 2_000_000  # of one measurement and thread
CACHE_RESIDENT = 2048  # rows of a buffer, as a sink would use that reduces and does not write

SHAPES = {
    "dense long": ("llama-3.1-8b", 1024, "static"),
    "dense short": ("llama-3.1-8b", 4, "static"),
    "dense continuous": ("llama-3.1-8b", 1024, "continuous"),
    "moe long": ("qwen3-30b-a3b", 1024, "static"),
    "moe short": ("qwen3-30b-a3b", 4, "static"),
    "moe continuous long": ("qwen3-30b-a3b", 1024, "continuous"),
    "moe continuous short": ("qwen3-30b-a3b", 4, "continuous"),
}


def space(model: str, lengths: int, scheduler: str) -> Space:
    """A space without infeasible rows: many batches and utilisations, some lengths."""
    return Space.from_dict(
        {
            "axes": {
                "model": [model],
                "device": ["h200-sxm", "mi325x"],
                "scheduler": [scheduler],
                "tp": [1, 2, 4],
                "batch": {"linear": [1, 50], "n": 50},
                "input_len": {"linear": [1, lengths], "n": lengths},
            },
            "what_if": {
                "economics.utilization": {"linear": [0.2, 0.9], "n": max(1, 8192 // lengths)}
            },
            "output": {"columns": "all"},
        }
    )


def rows_per_s(evaluator: Evaluator, capacity: int, threads: int) -> float:
    """Rows per second of all threads together."""
    points = min(evaluator.space.outer_points, ROWS // evaluator.space.inner_points)
    passes = max(1, ROWS // (points * evaluator.space.inner_points))
    buffers = [Buffers(evaluator.space, capacity) for _ in range(threads)]

    def work(own: Buffers) -> int:
        return sum(evaluator.evaluate(0, points, own, lambda _: None).rows for _ in range(passes))

    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        rows = sum(pool.map(work, buffers))
        return rows / (time.perf_counter() - start)


def main() -> None:
    """Measure every case in turn, several times over, and report medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    evaluators = {name: Evaluator(space(*shape)) for name, shape in SHAPES.items()}
    cases = [
        (name, capacity, threads)
        for name in SHAPES
        for capacity in (CACHE_RESIDENT, ROW_GROUP)
        for threads in (1, 2)
    ]
    figures: dict[tuple[str, int, int], list[float]] = {case: [] for case in cases}
    for name, evaluator in evaluators.items():
        if evaluator.evaluate(0, 1, Buffers(evaluator.space), lambda _: None).dropped:
            raise SystemExit(f"{name}: has infeasible rows, so that rows/s would mean less")
    for _ in range(repeats):  # interleaved, so that a slow minute of the machine hits all
        for name, capacity, threads in cases:
            figures[name, capacity, threads].append(rows_per_s(evaluators[name], capacity, threads))
    document = {}
    print(f"{'shape':20} {'buffer':>8} {'threads':>7} {'M rows/s':>9}")
    for (name, capacity, threads), values in figures.items():
        median = statistics.median(values)
        print(f"{name:20} {capacity:8} {threads:7} {median / 1e6:9.1f}")
        document[f"{name.replace(' ', '_')}_{capacity}_rows_{threads}_threads"] = round(median)
    print(json.dumps({"unit": "rows/s", "columns": "all", **document}))


if __name__ == "__main__":
    main()
