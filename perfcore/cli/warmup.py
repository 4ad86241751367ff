"""``perfcore warmup``: kernels compiled ahead of time."""

import time
from typing import Final

import click

from perfcore.cli.parsing import Command
from perfcore.cli.text import dump, facts, json_option
from perfcore.errors import OutputError
from perfcore.space.sections import DTYPES

_SMALLEST: Final = {
    "axes": {
        "model": ["llama-3.1-8b"],
        "device": ["h100-sxm"],
        "batch": [1],
        "input_len": [1024],
        "output_len": [256],
    }
}
_SMALLEST_PAIR: Final = {"scheduler": "disaggregated", "prefill_tp": 1}
_PAIRS: Final = "pairs"
_SIMULATION: Final = "simulation"
_SIMULATED_POOLS: Final = "simulation of two pools"  # whose requests wait for others
_SMALLEST_SERVER: Final = ("llama-3.1-8b", "h100-sxm")


@click.command(cls=Command)
@json_option
def warmup(as_json: bool) -> None:
    """Compile the kernels ahead of later runs.

    Later runs then start at once. Use warmup when you build a container image, or before you start
    many processes together. Besides kernels for every column, there is one for the columns that
    searches are about most often: TTFT, TPOT, latency, throughput and cost.

    Compiled code is cached in the user's cache directory, or in PERFCORE_CACHE if that is set. The
    cache key covers perfcore's sources, the version of Numba and the processor, so that stale code
    is never used and an update compiles again.

    \b
    perfcore warmup
    PERFCORE_CACHE=cache perfcore warmup
    """  # noqa: D301
    # Numba is imported here, so that help comes at once.
    from perfcore.kernel.jit import CACHE  # noqa: PLC0415

    if CACHE is None:
        raise OutputError("no directory to cache compiled code; set PERFCORE_CACHE to one")
    started = time.perf_counter()
    jobs = [*DTYPES, _PAIRS, _SIMULATION, _SIMULATED_POOLS]
    seconds: dict[str, float] = {}
    for job in jobs:
        seconds |= _compile(job)
    elapsed = time.perf_counter() - started
    if as_json:
        dump({"cache": str(CACHE), "seconds": seconds, "elapsed_s": elapsed})
        return
    facts(
        [
            ("cache", str(CACHE)),
            *((name, f"{value:.2f} s") for name, value in seconds.items()),
            ("elapsed", f"{elapsed:.2f} s"),
        ]
    )


def _compile(job: str) -> dict[str, float]:
    """Compile a kernel; return the seconds that it took, by its name."""
    from perfcore.api import sweep  # noqa: PLC0415
    from perfcore.configuration.simulation import simulate  # noqa: PLC0415
    from perfcore.runs.kernels import COMMON, compile_kernel  # noqa: PLC0415
    from perfcore.space.space import Space  # noqa: PLC0415

    start = time.perf_counter()
    if job == _SIMULATION:
        simulate(*_SMALLEST_SERVER, rate=1, requests=1)
        return {job: time.perf_counter() - start}
    if job == _SIMULATED_POOLS:
        simulate(*_SMALLEST_SERVER, clients=1, requests=2, prefill={"replicas": 1})
        return {job: time.perf_counter() - start}
    if job == _PAIRS:
        sweep({"axes": {**_SMALLEST["axes"], **_SMALLEST_PAIR}})
        return {job: time.perf_counter() - start}
    spec = {**_SMALLEST, "output": {"dtype": job}}
    sweep(spec)
    whole = time.perf_counter()
    compile_kernel(Space.from_dict(spec), COMMON)
    return {job: whole - start, f"{job}, common columns": time.perf_counter() - whole}
