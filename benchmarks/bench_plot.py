"""Plots of runs of two sizes: seconds and peak memory, which must not grow with the run.

    python benchmarks/bench_plot.py [--rows 5e6 5e7]

Each plot of each run is gathered in a separate process, which loads compiled code before the clock
starts. The last line of stdout is a JSON document.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from perfcore.reporting.kinds import gather
from perfcore.reporting.names import KINDS
from perfcore.reporting.opening import open_source
from perfcore.runs.run import sweep
from perfcore.space.space import Space


def space(rows: float) -> Space:
    """Return a space with every axis that a plot needs, and enough prompt lengths for the rows."""
    others = 2 * 3 * 3 * 2 * 3 * 3 * 9
    return Space.from_dict(
        {
            "name": "bench-plot",
            "axes": {
                "model": ["llama-3.1-8b", "mistral-7b-v0.3"],
                "device": ["h100-sxm", "b200", "mi300x"],
                "weight_format": ["bf16", "fp8", "int4-g128"],
                "tp": [1, 2],
                "batch": {"pow2": [1, 256]},
                "input_len": {"linear": [128, 8192], "n": max(2, round(rows / others))},
                "output_len": [256],
            },
            "what_if": {
                "device.memory_bandwidth": {"scale": [1, 2, 4]},
                "economics.utilization": [0.1, 0.5, 1.0],
            },
            "output": {"columns": "all"},
        }
    )


def one(run: str, kind: str) -> None:
    """Print the seconds and peak memory of one plot."""
    small = space(1e4)
    gather(open_source(small), kind)
    started = time.perf_counter()
    gather(open_source(run), kind)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": round(seconds, 2), "peak_bytes": peak}))


def main() -> None:
    """Make the runs and gather every plot of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", type=float, default=[5e6, 5e7])
    parser.add_argument("--one", nargs=2, metavar=("RUN", "KIND"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(*arguments.one)
        return
    results = []
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory() as folder:
            run = sweep(space(rows), Path(folder) / "run")
            for kind in KINDS:
                command = [sys.executable, __file__, "--one", str(run.path), kind]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found = {"rows": run.rows, "kind": kind, **json.loads(done.stdout)}
                print(
                    f"{kind:14}{run.rows:>14,} rows{found['seconds']:8.2f} s"
                    f"{found['peak_bytes'] / 1e6:8.0f} MB"
                )
                results.append(found)
    print(json.dumps({"pictures": results}))


if __name__ == "__main__":
    main()
