"""Seconds of the first compilation: of the kernel that the first run needs, and of the others.

    python benchmarks/bench_compile.py [--repeats 2]

Each kernel is compiled in processes of their own with empty caches, in turn as perfcore does and as
Numba does by default: that gives every formula machine code and a wrapper for C, optimises it
before and after inlining, passes records by field, takes more steps and collects garbage. Times are
of the processor, as other programs lengthen all others, without the import of perfcore; the
shortest counts. The last line of stdout is a JSON document.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

from machine import warn_if_busy

AXES = {
    "model": ["llama-3.1-8b"],
    "device": ["h100-sxm"],
    "batch": [1],
    "input_len": [1024],
    "output_len": [256],
}
KERNELS = {
    "float32": {"axes": AXES, "output": {"dtype": "float32"}},
    "float64": {"axes": AXES, "output": {"dtype": "float64"}},
    "pairs": {"axes": {**AXES, "scheduler": "disaggregated", "prefill_tp": 1}},
}
OURS, NUMBAS = "perfcore", "numba"


def as_numba_does() -> None:
    """Switch off how perfcore compiles, before a kernel is defined."""
    from numba import types  # noqa: PLC0415 - in processes that compile
    from numba.core import codegen  # noqa: PLC0415
    from numba.core.datamodel import models  # noqa: PLC0415
    from numba.core.datamodel.registry import default_manager  # noqa: PLC0415

    from perfcore.kernel import jit  # noqa: PLC0415

    del jit.INLINED["no_cfunc_wrapper"]
    jit.FORMULA.clear()
    jit.FORMULA.update(jit.INLINED)
    jit.gc.disable = lambda: None
    jit._Codegen._library_class = codegen.JITCodeLibrary  # noqa: SLF001
    default_manager.register(types.NamedTuple, models.TupleModel)
    default_manager.register(types.NamedUniTuple, models.UniTupleModel)


def compile_here(way: str, name: str) -> None:
    """Compile a kernel, and print the seconds."""
    if way == NUMBAS:
        as_numba_does()
    from perfcore.api import sweep  # noqa: PLC0415
    from perfcore.kernel import loops  # noqa: PLC0415

    if not loops.FORMULAS:
        raise RuntimeError("there are no formulas")
    started, begun = time.process_time(), time.perf_counter()
    sweep(KERNELS[name])
    print(time.process_time() - started, time.perf_counter() - begun)


def compiled(way: str, name: str) -> tuple[float, float]:
    """Return the seconds of the processor, and of the clock, in a process with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, __file__, "--way", way, "--kernel", name],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PERFCORE_CACHE": cache},
        )
    processor, clock = map(float, done.stdout.split())
    return processor, clock


def main() -> None:
    """Compile every kernel in both ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--way", choices=(OURS, NUMBAS), help=argparse.SUPPRESS)
    parser.add_argument("--kernel", choices=KERNELS, action="append")
    given = parser.parse_args()
    if given.way:
        compile_here(given.way, *given.kernel)
        return
    warn_if_busy()
    document: dict[str, object] = {}
    print(f"{'kernel':10} {'compiled, s':>12} {'by default, s':>14} {'ratio':>6}")
    for name in given.kernel or KERNELS:
        turns = [[compiled(way, name) for way in (OURS, NUMBAS)] for _ in range(given.repeats)]
        (ours, clock), (default, _) = (min(way) for way in zip(*turns, strict=True))
        print(f"{name:10} {ours:12.1f} {default:14.1f} {ours / default:6.2f}")
        document[name] = {
            "processor_s": round(ours, 2),
            "wall_s": round(clock, 2),
            "default_processor_s": round(default, 2),
            "ratio": round(ours / default, 3),
        }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
