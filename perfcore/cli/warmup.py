"""``perfcore warmup``: kernels compiled ahead of time."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
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
_SIMULATIONS: Final = (_SIMULATION, _SIMULATED_POOLS)  # which share little with the other kernels
PROCESS_BYTES: Final = 1 << 30  # of a process that compiles, with room to spare; measured: 520 MB
_SMALLEST_SERVER: Final = ("llama-3.1-8b", "h100-sxm")


@click.command(cls=Command)
@json_option
def warmup(as_json: bool) -> None:
    """Compile the kernels ahead of later runs.

    Later runs then start at once. Use warmup when you build a container image, or before you start
    many processes together. Besides kernels for every column, warmup compiles one for the columns
    that searches use most often: TTFT, TPOT, latency, throughput and cost. On two processors, the
    simulations' kernels are compiled in a second process.

    Compiled code is cached in the user's cache directory, or in PERFCORE_CACHE if that is set. The
    cache key covers perfcore's sources, the version of Numba and the processor, so stale code is
    never used and an update compiles again.

    \b
    perfcore warmup
    PERFCORE_CACHE=cache perfcore warmup
    """  # noqa: D301
    # Numba is imported here, so that help comes at once.
    from perfcore.kernel.jit import CACHE  # noqa: PLC0415

    if CACHE is None:
        raise OutputError("no directory to cache compiled code; set PERFCORE_CACHE to one")
    started = time.perf_counter()
    seconds = compile_all([*DTYPES, _PAIRS], _SIMULATIONS)
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


def compile_all(jobs: Sequence[str], others: Sequence[str]) -> dict[str, float]:
    """Compile kernels, some in another process if that is faster; return the seconds of each."""
    if not _is_worth_a_process():
        return _all((*jobs, *others))
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(others, sender), daemon=True)
    process.start()
    sender.close()
    try:
        seconds = _all(jobs)
        try:
            seconds |= receiver.recv()
        except EOFError:  # it was killed, probably for its memory
            seconds |= _all(others)
    finally:
        process.kill()
        process.join()
    return seconds


def _is_worth_a_process() -> bool:
    """Return whether there are a processor and memory for it, and no compiled simulation yet."""
    from perfcore.kernel.jit import compiled_signatures  # noqa: PLC0415
    from perfcore.runs.resources import memory_free  # noqa: PLC0415
    from perfcore.traffic.steps.loop import run_compiled, run_pools_compiled  # noqa: PLC0415

    free = memory_free()
    if (os.cpu_count() or 1) < 2 or (free is not None and free < 2 * PROCESS_BYTES):
        return False
    return not (compiled_signatures(run_compiled) and compiled_signatures(run_pools_compiled))


def _send(jobs: Sequence[str], sender: Connection) -> None:
    """Compile kernels in this process, which ends with the one that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to both
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sender.send(_all(jobs))


def _end_with_parent() -> None:
    """End this process with the one that started it, however that ends."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _all(jobs: Sequence[str]) -> dict[str, float]:
    """Compile kernels one after the other; return the seconds of each."""
    seconds: dict[str, float] = {}
    for job in jobs:
        seconds |= _compile(job)
    return seconds


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
