"""``perfcore warmup``: kernels compiled ahead of time."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from typing import Any, Final

import click

from perfcore.cli.parsing import Command
from perfcore.cli.text import dump, facts, json_option, say
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
_DRAFT: Final[dict[str, object]] = {
    "draft_model": "llama-3.2-1b",
    "draft_device": "h100-sxm",
    "draft_len": 1,
    "acceptance": 0.5,
}
_EXPERTS: Final[dict[str, object]] = {"model": "gpt-oss-20b", "expert_device": "h100-sxm"}
_PAIRS: Final[dict[str, dict[str, object]]] = {  # axes
    "pairs": {"scheduler": "disaggregated", "prefill_tp": 1},
    "drafts apart": _DRAFT,
    "experts apart": _EXPERTS,
}
_ONE: Final[dict[str, object]] = {"rate": 1, "requests": 1}
_TWO: Final[dict[str, object]] = {"clients": 1, "requests": 2}  # one of which waits for the other
_SIMULATIONS: Final[dict[str, dict[str, object]]] = {  # share little with the other kernels
    "simulation": _ONE,
    "simulation of two pools": {**_TWO, "prefill": {"replicas": 1}},
    "simulation with drafts apart": {**_ONE, **_DRAFT},
    "simulation with experts apart": {**_ONE, **_EXPERTS},
}
PROCESS_BYTES: Final = 1 << 30  # of a process that compiles, with room to spare; measured: 520 MB
_SMALLEST_SERVER: Final[dict[str, object]] = {"model": "llama-3.1-8b", "device": "h100-sxm"}


@click.command(cls=Command)
@json_option
def warmup(as_json: bool) -> None:
    """Compile the kernels ahead of later runs.

    Later runs then start at once. Use warmup when you build a container image, or before you start
    many processes together. Besides kernels for every column, warmup compiles one for the columns
    that searches use most often: TTFT, TPOT, latency, throughput and cost. Kernels for prefill
    pools, drafts and experts on separate devices are compiled in single precision. On two
    processors, the simulations' kernels are compiled in a second process.

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
    seconds = compile_all([*DTYPES, *_PAIRS], [*_SIMULATIONS])
    elapsed = time.perf_counter() - started
    if as_json:
        dump({"cache": str(CACHE), "seconds": seconds, "elapsed_s": elapsed})
        return
    say(f"cached in {CACHE}")  # in one line, to copy
    facts(
        [
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
    compiled = (*compiled_signatures(run_compiled), *compiled_signatures(run_pools_compiled))
    return len(compiled) < len(_SIMULATIONS)


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
    if job in _SIMULATIONS:
        given: Any = {**_SMALLEST_SERVER, **_SIMULATIONS[job]}
        simulate(**given)
        return {job: time.perf_counter() - start}
    if job in _PAIRS:
        sweep({"axes": {**_SMALLEST["axes"], **_PAIRS[job]}})
        return {job: time.perf_counter() - start}
    spec = {**_SMALLEST, "output": {"dtype": job}}
    sweep(spec)
    whole = time.perf_counter()
    compile_kernel(Space.from_dict(spec), COMMON)
    return {job: whole - start, f"{job}, common columns": time.perf_counter() - whole}
