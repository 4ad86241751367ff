"""The command ``warmup``."""

import time
from typing import Final

import click

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


@click.command
@json_option
def warmup(as_json: bool) -> None:
    """Compile the kernels now, for later runs.

    They begin at once then. Compiled code is kept under a key of perfcore's sources, Numba's
    version and the processor, in the user's cache directory, or in PERFCORE_CACHE if that is set:
    an update compiles again, and nothing stale is ever run. Use it when building a container
    image, or before many processes start together.

    \b
    perfcore warmup
    PERFCORE_CACHE=cache perfcore warmup
    """  # noqa: D301
    # Numba is imported here, so that help comes at once.
    from perfcore.api import sweep  # noqa: PLC0415
    from perfcore.kernel.jit import CACHE  # noqa: PLC0415

    if CACHE is None:
        raise OutputError("no place to keep compiled code; set PERFCORE_CACHE to a directory")
    seconds = {}
    for dtype in DTYPES:
        start = time.perf_counter()
        sweep({**_SMALLEST, "output": {"dtype": dtype}})
        seconds[dtype] = time.perf_counter() - start
    if as_json:
        dump({"cache": str(CACHE), "seconds": seconds})
        return
    facts([("cache", str(CACHE)), *((dtype, f"{value:.2f} s") for dtype, value in seconds.items())])
