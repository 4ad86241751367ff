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
_SMALLEST_SERVER: Final = ("llama-3.1-8b", "h100-sxm")


@click.command(cls=Command)
@json_option
def warmup(as_json: bool) -> None:
    """Compile the kernels ahead of later runs.

    Later runs then start at once. Use warmup when you build a container image, or before you start
    many processes together.

    Compiled code is cached in the user's cache directory, or in PERFCORE_CACHE if that is set. The
    cache key covers perfcore's sources, the version of Numba and the processor, so that stale code
    is never used and an update compiles again.

    \b
    perfcore warmup
    PERFCORE_CACHE=cache perfcore warmup
    """  # noqa: D301
    # Numba is imported here, so that help comes at once.
    from perfcore.api import sweep  # noqa: PLC0415
    from perfcore.configuration.simulation import simulate  # noqa: PLC0415
    from perfcore.kernel.jit import CACHE  # noqa: PLC0415

    if CACHE is None:
        raise OutputError("no directory to cache compiled code; set PERFCORE_CACHE to one")
    seconds = {}
    for dtype in DTYPES:
        start = time.perf_counter()
        sweep({**_SMALLEST, "output": {"dtype": dtype}})
        seconds[dtype] = time.perf_counter() - start
    start = time.perf_counter()
    sweep({"axes": {**_SMALLEST["axes"], **_SMALLEST_PAIR}})
    seconds["pairs"] = time.perf_counter() - start
    start = time.perf_counter()
    simulate(*_SMALLEST_SERVER, rate=1, requests=1)
    seconds["simulation"] = time.perf_counter() - start
    if as_json:
        dump({"cache": str(CACHE), "seconds": seconds})
        return
    facts([("cache", str(CACHE)), *((dtype, f"{value:.2f} s") for dtype, value in seconds.items())])
