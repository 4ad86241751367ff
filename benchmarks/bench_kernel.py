"""Rows per second of the compiled physics, compared with C, NumPy, Python and other tools.

    python benchmarks/bench_kernel.py              # four shapes, one thread and all processors
    python benchmarks/bench_kernel.py --compilers  # and a line per compiler and flags

All sides fill every column of the same rows in turn, so that a slow minute of the machine affects
all of them. C is the same formulas in the same loops (``benchmarks/c``): the fastest of the
installed compilers and flags, and ("same") the fastest with the arithmetic of the kernel, without
fast-math or fused products. Other tools (``pip install ridgepoint servcalc``) run on what they can
express. The fastest turn of each side counts, because other load on the machine only slows it down.
The last line of stdout is a JSON document.
"""

import argparse
import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from c.baseline import FLAGS, Baseline, compiled, compilers, cpus
from machine import warn_if_busy
from vectorised import evaluator as vectorised

from perfcore import records
from perfcore.columns import STATUS
from perfcore.kernel.layout import Block
from perfcore.physics.stages.point import evaluate
from perfcore.physics.stages.replica import prepare
from perfcore.runs.parquet import Buffers
from perfcore.runs.workers import Evaluator
from perfcore.space.space import Space

ROWS = 3_200_000  # per measurement and thread: starting and ending threads hardly matters
PARTS = 32  # of a measurement: a thread takes the next part when it has finished one
CAPACITY = 4096  # rows of a buffer: its columns fit in the second-level cache
RECORDS = (
    records.Model,
    records.Device,
    records.Engine,
    records.WeightFormat,
    records.KVFormat,
    records.Economics,
)
SHAPES = {
    "dense_static_long": ("llama-3.1-8b", 1024, "static"),
    "dense_static_short": ("llama-3.1-8b", 4, "static"),
    "moe_continuous_long": ("qwen3-30b-a3b", 1024, "continuous"),
    "moe_continuous_short": ("qwen3-30b-a3b", 4, "continuous"),
}
SAME = [name for name, flags in FLAGS.items() if "-ffp-contract=off" in flags]

Side = Callable[[int], int]  # evaluates with a number of threads, returns the number of rows


def space(model: str, lengths: int, scheduler: str) -> Space:
    """Return a space without infeasible rows: many batches and utilisations, some lengths."""
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
                "economics.utilization": {"linear": [0.2, 0.9], "n": max(1, 16_384 // lengths)}
            },
            "output": {"columns": "all", "significant_bits": 24},
        }
    )


def points_of(space: Space) -> int:
    """Return the number of outer points of one measurement."""
    return max(1, min(space.outer_points, ROWS // space.inner_points))


def size_of_part(space: Space) -> int:
    """Return the number of outer points of a part."""
    return -(-points_of(space) // PARTS)


def kernel(evaluator: Evaluator) -> Side:
    """Return the kernel of perfcore, each thread with its own buffers."""
    space = evaluator.space
    points, size = points_of(space), size_of_part(space)
    ranges = [(start, min(start + size, points)) for start in range(0, points, size)]
    blocks = [space.block(*part) for part in ranges]
    local = threading.local()

    def fill(block: Block) -> int:
        if not hasattr(local, "output"):
            local.output = evaluator.output(Buffers(space, CAPACITY))
        output = local.output
        filling = evaluator.filling(space.tables, block, space.inner, space.rules, output)
        cursor, dropped = np.zeros(2, np.int64), np.zeros(len(STATUS) + 1, np.int64)
        rows = 0
        while cursor[0] < len(block.deployments):
            rows += filling.fill(cursor, dropped, keep_infeasible=False)
        if dropped.any():
            raise SystemExit("the space has infeasible rows, so rows/s would be misleading")
        return rows

    pool = ThreadPoolExecutor(cpus())

    def run(threads: int) -> int:
        parts = iter(blocks * threads)  # shared: each thread takes the next part

        def work(_: int) -> int:
            return sum(map(fill, parts))

        return work(0) if threads == 1 else sum(pool.map(work, range(threads)))

    return run


def first_replica(space: Space) -> tuple[list[object], records.Deployment]:
    """Return the records and deployment of the first outer point of a space."""
    made = [
        kind._make(table[0].tolist()) for kind, table in zip(RECORDS, space.tables, strict=True)
    ]
    return made, records.Deployment._make(space.block(0, 1).deployments[0].tolist())


def numpy_side(space: Space) -> Side:
    """Return the same formulas over NumPy arrays, in blocks that fit in the cache."""
    made, deployment = first_replica(space)
    compute = vectorised()
    repeats = -(-CAPACITY // space.inner_points)
    output_len = space.block(0, 1).lengths[1, 0]
    batch, input_len, output_lens = (
        np.tile(row, repeats)[:CAPACITY]
        for row in (space.inner.batches, space.inner.lengths[0], space.inner.lengths[1])
    )

    def run(_: int) -> int:
        with np.errstate(all="ignore"):
            replica = prepare(*made[:5], deployment, made[5])  # type: ignore[arg-type]
            point = compute(replica, batch, input_len, output_lens + output_len)
            for value in point:
                np.broadcast_to(np.asarray(value, np.float32), batch.shape)
        return len(batch)

    return run


def python_side(space: Space) -> Side:
    """Return the same formulas in plain Python, row by row."""
    made, deployment = first_replica(space)
    output_len = space.block(0, 1).lengths[1, 0]
    rows = 200

    def run(_: int) -> int:
        for row in range(rows):
            evaluate(
                *made[:5],  # type: ignore[arg-type]
                deployment._replace(batch=float(space.inner.batches[row])),
                made[5],  # type: ignore[arg-type]
                float(space.inner.lengths[0, row]),
                float(space.inner.lengths[1, row] + output_len),
            )
        return rows

    return run


def peers() -> dict[str, Side]:
    """Return the functions of other installed tools that estimate a configuration."""
    sides: dict[str, Side] = {}
    try:
        import ridgepoint  # noqa: PLC0415

        def ridge(_: int) -> int:
            for context in range(1024, 1224):
                ridgepoint.fit("llama-3-8b", "h100-80gb", ctx=context, as_json=True)
            return 200

        sides["ridgepoint"] = ridge
    except ImportError:
        pass
    try:
        import servcalc  # noqa: PLC0415

        config = {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": 4096,
            "intermediate_size": 14_336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 128_256,
            "max_position_embeddings": 8192,
            "torch_dtype": "bfloat16",
        }

        def serv(_: int) -> int:
            for prompt in range(1024, 1074):
                work = servcalc.Workload(prompt_len=prompt, gen_len=64, concurrency=(1,))
                servcalc.estimate(config, "H100 80GB", workload=work)
            return 50

        sides["servcalc"] = serv
    except ImportError:
        pass
    return sides


def rate(side: Side, threads: int) -> float:
    """Return the rows per second of all threads together."""
    start = time.perf_counter()
    rows = side(threads)
    return rows / (time.perf_counter() - start)


def baseline(space: Space, evaluator: Evaluator, threads: int) -> dict[tuple[str, int], Side]:
    """Return the C baseline by compiler, flags and threads: one, and all if there is OpenMP."""
    sides: dict[tuple[str, int], Side] = {}
    for name in compilers():
        for flags, options in FLAGS.items():
            library = compiled(name, options)
            points, size = points_of(space), size_of_part(space)
            made = Baseline(library, space, points, size, evaluator.real, evaluator.whole)
            for count in {1, threads if library.openmp else 1}:
                sides[f"{name} {flags}", count] = _threaded(made)
    return sides


def _threaded(made: Baseline) -> Side:
    return lambda threads: made.run(threads, threads, CAPACITY)


def measure(sides: dict[tuple[str, int], Side], repeats: int) -> dict[tuple[str, int], float]:
    """Return the fastest rate of each side, by name and threads; the sides run in turn."""
    rates: dict[tuple[str, int], float] = dict.fromkeys(sides, 0.0)
    for (_, threads), side in sides.items():
        side(threads)
    for _ in range(repeats):
        for key, side in sides.items():
            rates[key] = max(rates[key], rate(side, key[1]))
    return rates


def main() -> None:
    """Measure every shape."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--compilers", action="store_true")
    options = parser.parse_args()
    warn_if_busy()
    # Read when OpenMP is loaded; otherwise its threads spin for 0.2 s of the next side's turn.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    repeats, threads = options.repeats, cpus()
    document: dict[str, object] = {}
    print(
        f"{'shape':22} {'M rows/s':>9} {'x C':>6} {'same':>6} "
        f"{'x NumPy':>8} {'x Python':>9} {'speed-up':>8}"
    )
    for shape, given in SHAPES.items():
        asked = space(*given)
        evaluator = Evaluator(asked)
        own = kernel(evaluator)
        in_c = baseline(asked, evaluator, threads)
        others = {"NumPy": numpy_side(asked), "Python": python_side(asked)}
        if shape == "dense_static_long":
            others |= peers()
        sides = {("perfcore", count): own for count in {1, threads}} | in_c
        found = measure(sides | {(name, 1): side for name, side in others.items()}, repeats)
        mine, together = found["perfcore", 1], found["perfcore", threads]
        best = max((key for key in in_c if key[1] == 1), key=found.get, default=None)
        kept = [found[key] for key in in_c if key[1] == 1 and key[0].split(" ", 1)[1] in SAME]
        most = max((found[key] for key in in_c if key[1] == threads), default=None)
        entry: dict[str, object] = {
            "rows_per_s_per_core": round(mine),
            "ratio_vs_c": round(mine / found[best], 3) if best else None,
            "best_c": best[0] if best else None,
            "ratio_vs_c_same_arithmetic": round(mine / max(kept), 3) if kept else None,
            "ratio_vs_c_all_cores": round(together / most, 3) if most else None,
            "threads": threads,
            "speed_up": round(together / mine, 2),
        }
        for name in others:
            entry[f"ratio_vs_{name.lower()}"] = round(mine / found[name, 1], 1)
        document[shape] = entry
        print(
            f"{shape:22} {mine / 1e6:9.1f} {entry['ratio_vs_c']!s:>6} "
            f"{entry['ratio_vs_c_same_arithmetic']!s:>6} "
            f"{entry['ratio_vs_numpy']!s:>8} {entry['ratio_vs_python']!s:>9} "
            f"{together / mine:8.2f}"
        )
        for name in others:
            if name not in {"NumPy", "Python"}:
                print(f"    {name:36} 1/{entry[f'ratio_vs_{name}']}")
        if options.compilers:
            for name, count in in_c:
                print(f"    {name:36} {count} threads {found[name, count] / 1e6:6.1f}")
    print(json.dumps({"columns": "all", **document}))


if __name__ == "__main__":
    main()
