"""Sweep of 10,000 simulations of 1,000 requests, to Parquet.

    python benchmarks/bench_traffic_sweep.py

The last line of stdout is a JSON document.
"""

import json
import os
import resource
import tempfile
import time

from machine import warn_if_busy

from perfcore.runs.run import sweep
from perfcore.space.space import Space

SPEC = {
    "axes": {
        "model": "llama-3.1-8b",
        "device": ["h100-sxm", "a100-80gb-sxm", "h200-sxm", "l40s", "b200-sxm"],
        "engine": "vllm",
        "tp": [1, 2],
    },
    "traffic": {
        "request_rate": {"linear": [1, 50], "n": 100},
        "seed": {"linear": [0, 9], "n": 10},
        "input_len": "lognormal:1024,cv=1",
        "output_len": 128,
        "requests": 1000,
    },
}


def main() -> None:
    """Measure and print."""
    warn_if_busy()
    space = Space.from_dict(SPEC)
    with tempfile.TemporaryDirectory() as folder:
        small = {**SPEC, "traffic": {"request_rate": 1, "requests": 1}}
        sweep(Space.from_dict(small), f"{folder}/small")  # loads compiled code
        started, used = time.perf_counter(), time.process_time()
        run = sweep(space, f"{folder}/run")
        found = {
            "simulations": space.rows,
            "rows": run.rows,
            "processors": os.cpu_count(),
            "seconds": round(time.perf_counter() - started, 1),
            "cpu_seconds": round(time.process_time() - used, 1),
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
