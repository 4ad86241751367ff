"""Machine of a benchmark, load by other programs, and peak memory."""

import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from c.baseline import cpus


class Machine(NamedTuple):
    """Processor, number of processors that this process may use, and versions."""

    processor: str
    cores: int
    versions: dict[str, str]


def machine() -> Machine:
    """Return the machine that this process runs on."""
    versions = {name: version(name) for name in ("perfcore", "numba", "numpy", "pyarrow")}
    return Machine(processor(), cpus(), {"python": platform.python_version(), **versions})


def processor() -> str:
    """Return the name of the processor, or its architecture if it has no name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


class Others:
    """Processor time taken by other programs, or by the host, since this was created."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.taken = _taken()

    def share(self) -> float:
        """Return their share of the time of all processors."""
        seconds = time.perf_counter() - self.started
        share = (_taken() - self.taken) / (seconds * (os.cpu_count() or 1))
        return min(1.0, max(0.0, share))  # the kernel counts ticks of 10 ms


LOOK_SECONDS = 1.0
BUSY = 0.03  # share of the processors above which other programs distort the results


def warn_if_busy() -> float:
    """Look at the machine for a second; say on standard error if other programs use it.

    Returns the share of the processors that they use.
    """
    others = Others()
    time.sleep(LOOK_SECONDS)
    share = others.share()
    if share > BUSY:
        print(
            f"warning: other programs use {share:.0%} of the processors: only ratios within one "
            "run mean something; measure again on an idle machine",
            file=sys.stderr,
            flush=True,
        )
    return share


def _taken() -> float:
    """Return the processor time of everything except this process and its children. [s]"""
    first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    user, nice, system, _, _, *interrupts = map(int, first.split()[1:9])
    busy = (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
    return busy - sum(os.times()[:4])


def peak_rss_bytes() -> int:
    """Return this process's peak resident memory.

    ``ru_maxrss`` is not used, because a process inherits it from its parent.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) * 1024
