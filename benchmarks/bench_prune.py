"""Search of a design space of accelerators that skips boxes of configurations, with proof.

    python benchmarks/bench_prune.py [--configs 1e12] [--subspace 1e8]

Bandwidth, arithmetic and price of a device scale from half to twice an H100's, in steps so small
that there are as many configurations as asked for. Each device serves two models in two formats, in
layouts of up to 8 devices, at every batch, prompt and answer length. What is searched for are the
cheapest output tokens of each model, within limits on TPOT and TTFT.

On a subspace, the same search evaluates every configuration, and must find the same rows. The last
line of stdout is a JSON document.
"""

import argparse
import json
import os
import time

from machine import peak_rss_bytes, warn_if_busy

from perfcore.searching.objectives import Objective
from perfcore.searching.search import Found, find_best
from perfcore.space.space import Space

MODELS = ("llama-3.3-70b", "qwen3-235b-a22b")
WHERE = ("tpot_s<=20ms", "ttft_s<=1s")
LENGTHS, ANSWERS, BATCHES, LAYOUTS, FORMATS = 16, 4, 64, 4, 2


def space(configs: float) -> Space:
    """Return the design space with about so many configurations, most of them of devices."""
    fixed = LENGTHS * ANSWERS * BATCHES * LAYOUTS * FORMATS * len(MODELS)
    steps = max(2, round((configs / fixed) ** (1 / 3)))
    scales = {"scale": {"linear": [0.5, 2.0], "n": steps}}
    return Space.from_dict(
        {
            "name": "accelerators",
            "axes": {
                "model": list(MODELS),
                "device": ["h100-sxm"],
                "engine": ["vllm"],
                "scheduler": ["continuous"],
                "weight_format": ["bf16", "fp8"],
                "tp": [1, 2, 4, 8],
                "batch": {"linear": [1, BATCHES], "n": BATCHES},
                "input_len": {"linear": [256, 8192], "n": LENGTHS},
                "output_len": [128, 256, 512, 1024],
            },
            "what_if": {
                "device.memory_bandwidth": scales,
                "device.flops_fp16": scales,
                "economics.price_multiplier": {"linear": [0.5, 2.0], "n": steps},
            },
        }
    )


def searched(configs: float, workers: int, *, prune: bool) -> Found:
    """Return the cheapest rows of each model that meet the objectives."""
    objective = Objective("cost_per_mtok_output_usd")
    return find_best(space(configs), objective, WHERE, ["model"], 3, workers, prune=prune)


def main() -> None:
    """Search a subspace in both ways, then the whole space."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", type=float, default=1e12)
    parser.add_argument("--subspace", type=float, default=1e8)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    warn_if_busy()
    searched(1e6, given.workers, prune=False)  # compile, or load from the cache
    some = searched(given.subspace, given.workers, prune=True)
    every = searched(given.subspace, given.workers, prune=False)
    if not some.rows.equals(every.rows):
        raise RuntimeError("the searches found different rows")
    print(f"{every.configs:,} configurations, every one evaluated: {every.seconds:.1f} s")
    print(f"the same rows with boxes skipped: {some.seconds:.1f} s")
    begun = time.perf_counter()
    found = searched(given.configs, given.workers, prune=True)
    elapsed = time.perf_counter() - begun
    if found.pruned is None:
        raise RuntimeError("nothing was skipped")
    skipped = 1.0 - found.pruned.evaluated / found.configs
    print(
        f"{found.configs:,} configurations: {elapsed:.1f} s, {found.pruned.evaluated:,} evaluated, "
        f"{skipped:.7%} skipped by bounds of {found.pruned.bounded:,} boxes"
    )
    for row in found.rows.to_pylist()[::3]:
        print(f"  {row['model']}: {row['cost_per_mtok_output_usd']:.3f} USD/Mtok")
    print(
        json.dumps(
            {
                "configs": found.configs,
                "wall_s": round(elapsed, 3),
                "evaluated": found.pruned.evaluated,
                "boxes": found.pruned.bounded,
                "skipped_share": skipped,
                "subspace_configs": every.configs,
                "subspace_wall_s": round(some.seconds, 3),
                "subspace_exhaustive_wall_s": round(every.seconds, 3),
                "peak_rss_bytes": peak_rss_bytes(),
            }
        )
    )


if __name__ == "__main__":
    main()
