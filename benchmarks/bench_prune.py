"""Search of a design space of accelerators that skips boxes of configurations, with proof.

    python benchmarks/bench_prune.py [--configs 1e12] [--subspace 1e8]

An accelerator has more or less memory, which sets its capacity, bandwidth and price; more or less
arithmetic, and links, which cost something, too. Each costs two to three times as much at the end
as at the beginning, so that no end is the best. There are up to 100 steps of each; every device
serves two models in two formats of weights and of KV cache, in layouts of up to 8 devices, at every
batch, and at many lengths of prompts and answers. What is searched for are the cheapest output
tokens of each model, within limits on TPOT and TTFT.

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
FORMATS, LAYOUTS = 4, 4
# Batches, prompt lengths, answer lengths: of the whole space, and of a part with more devices.
WHOLE, PART = (128, 32, 8), (32, 8, 4)
OWNED = 2.0  # `economics.purchase`: the price follows from that of the device


def linear(low: float, high: float, steps: int) -> dict[str, object]:
    """Return an axis of equal steps."""
    return {"linear": [low, high], "n": steps}


def space(configs: float, served: tuple[int, int, int]) -> Space:
    """Return the design space with about so many configurations, most of them of devices."""
    batches, inputs, outputs = served
    fixed = batches * inputs * outputs * FORMATS * LAYOUTS * len(MODELS)
    steps = min(max(2, round((configs / fixed) ** (1 / 3))), 100)

    def scale(low: float, high: float) -> dict[str, object]:
        return {"scale": linear(low, high, steps)}

    memory = {
        "device.memory_bandwidth": scale(0.5, 2.0),
        "device.memory_capacity": scale(0.5, 2.0),
        "device.purchase_price": scale(0.7, 1.6),
    }
    arithmetic = {
        "device.flops_fp16": scale(0.5, 2.0),
        "device.flops_fp8": scale(0.5, 2.0),
        "economics.price_multiplier": linear(0.8, 1.4, steps),
    }
    links = {
        "device.link_bandwidth": scale(0.5, 2.0),
        "economics.server_factor": linear(1.2, 1.8, steps),
    }
    return Space.from_dict(
        {
            "name": "accelerators",
            "axes": {
                "model": list(MODELS),
                "device": ["h100-sxm"],
                "engine": ["vllm"],
                "scheduler": ["continuous"],
                "weight_format": ["bf16", "fp8"],
                "kv_format": ["bf16", "fp8"],
                "tp": [1, 2, 4, 8],
                "batch": linear(1, batches, batches),
                "input_len": linear(256, 8192, inputs),
                "output_len": linear(128, 1024, outputs),
            },
            "what_if": {**memory, **arithmetic, **links, "economics.purchase": [OWNED]},
            "zip": [{"axes": list(tied)} for tied in (memory, arithmetic, links)],
        }
    )


def searched(
    configs: float, workers: int, *, served: tuple[int, int, int] = PART, prune: bool
) -> Found:
    """Return the cheapest rows of each model that meet the objectives."""
    objective = Objective("cost_per_mtok_output_usd")
    return find_best(space(configs, served), objective, WHERE, ["model"], 3, workers, prune=prune)


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
    found = searched(given.configs, given.workers, served=WHOLE, prune=True)
    elapsed = time.perf_counter() - begun
    if found.pruned is None:
        raise RuntimeError("nothing was skipped")
    skipped = 1.0 - found.pruned.evaluated / found.configs
    print(
        f"{found.configs:,} configurations: {elapsed:.1f} s, {found.pruned.evaluated:,} evaluated, "
        f"{skipped:.7%} skipped by bounds of {found.pruned.bounded:,} boxes"
    )
    for row in found.rows.to_pylist()[::3]:
        changed = [f"{key} {value:.4g}" for key, value in row.items() if key.startswith("device.")]
        print(f"  {row['model']}: {row['cost_per_mtok_output_usd']:.3f} USD/Mtok", *changed)
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
