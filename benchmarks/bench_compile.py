"""Seconds of the first compilation: of the kernel that the first run needs, and of the others.

    python benchmarks/bench_compile.py [--repeats 2]             # six minutes
    python benchmarks/bench_compile.py --ours                    # one and a half
    python benchmarks/bench_compile.py --ours --repeats 3 --kernel one --kernel again

Each kernel is compiled in processes of their own with empty caches, in turn as perfcore does and as
Numba does by default: that gives every formula machine code and a wrapper for C, optimises it
before and after inlining, passes records by field, takes more steps and collects garbage. Times are
of the processor, as other programs lengthen all others, without the import of perfcore; the
shortest counts. Two lines are for ``perfcore/runs/kernels.py``: how long a kernel for one column
takes, alone and in a process that compiles the full kernel, too. Times are those of an idle machine
only: other programs take caches and clock speed from the compiler. The last line of stdout is a
JSON document.
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
COLUMN = "cost_per_mtok_output_usd"
ONE, AGAIN = "one", "again"  # a kernel for one column, first or after the full one
CONSTANTS = {ONE: "COMPILE_S", AGAIN: "AGAIN_S"}
EVERY = (*KERNELS, *CONSTANTS)
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
    from perfcore.runs.kernels import compile_kernel  # noqa: PLC0415
    from perfcore.space.space import Space  # noqa: PLC0415

    if not loops.FORMULAS:
        raise RuntimeError("there are no formulas")
    if name == AGAIN:
        sweep(KERNELS["float32"])
    started, begun = time.process_time(), time.perf_counter()
    if name in CONSTANTS:
        compile_kernel(Space.from_dict(KERNELS["float32"]), frozenset([COLUMN]))
    else:
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
    """Compile every kernel, in both ways unless one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--ours", action="store_true", help="not as Numba does by default")
    parser.add_argument("--way", choices=(OURS, NUMBAS), help=argparse.SUPPRESS)
    parser.add_argument("--kernel", choices=EVERY, action="append")
    given = parser.parse_args()
    if given.way:
        compile_here(given.way, *given.kernel)
        return
    warn_if_busy()
    ways = (OURS,) if given.ours else (OURS, NUMBAS)
    document: dict[str, dict[str, float]] = {}
    print(f"{'kernel':10} {'compiled, s':>12} {'by default, s':>14} {'ratio':>6}", flush=True)
    for name in given.kernel or EVERY:
        turns = [[compiled(way, name) for way in ways] for _ in range(given.repeats)]
        (ours, clock), *others = (min(way) for way in zip(*turns, strict=True))
        document[name] = {"processor_s": round(ours, 2), "wall_s": round(clock, 2)}
        compared = ""
        for default, _ in others:
            compared = f"{default:14.1f} {ours / default:6.2f}"
            document[name] |= {
                "default_processor_s": round(default, 2),
                "ratio": round(ours / default, 3),
            }
        print(f"{name:10} {ours:12.1f} {compared}", flush=True)
    for name, constant in CONSTANTS.items():
        if name in document:
            print(f"{constant}: Final = {document[name]['processor_s']:.1f}")
    print(json.dumps(document))


if __name__ == "__main__":
    main()
