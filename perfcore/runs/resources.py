"""Memory and disk: what a sweep needs, and what this machine has."""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from perfcore.runs.parquet import ROW_GROUP
from perfcore.runs.store import is_address
from perfcore.space.space import Space

PROCESS_BYTES: Final = 150 << 20  # allocated by Numba and the compiled kernel; measured
BUFFER_COPIES: Final = 3  # a worker's columns: the kernel's, Arrow's pages, the encoder's
_CGROUP: Final = Path("/sys/fs/cgroup")


def buffer_bytes(space: Space) -> int:
    """Return the size of one worker's columns. [bytes]"""
    axes = len(space.varying_outer) + len(space.varying_inner)
    whole = sum(column.kind != "metric" for column in space.columns)
    real = len(space.columns) - whole
    width = 4 if space.spec.output.dtype == "float32" else 8
    return ROW_GROUP * (4 * (axes + whole) + width * real)


def memory_needed(space: Space, workers: int) -> int:
    """Return the memory that a run needs at most. [bytes]"""
    busy = min(workers, space.shards)
    points = space.points_per_shard * 8 * 60  # 60 numbers per outer point; measured
    tables = sum(table.nbytes for table in space.tables)
    return PROCESS_BYTES + 2 * tables + busy * (buffer_bytes(space) * BUFFER_COPIES + points)


def memory_free() -> int | None:
    """Return the memory that is available to a process; None if unknown. [bytes]"""
    found = []
    # a container may hide /proc/meminfo
    with suppress(OSError, ValueError, RuntimeError, psutil.Error):
        found.append(int(psutil.virtual_memory().available))
    with suppress(OSError, ValueError):  # a container's limit, if it has one
        limit, used = (
            int((_CGROUP / f"memory.{name}").read_text(encoding="ascii"))
            for name in ("max", "current")
        )
        pairs = (_CGROUP / "memory.stat").read_text(encoding="ascii").split()
        cached = int(pairs[pairs.index("inactive_file") + 1])  # page cache, which can be reclaimed
        found.append(limit - used + cached)
    return min(found, default=None)


def disk_free(output: str) -> int | None:
    """Return the free disk space for a run; None for an object store, or if unknown. [bytes]"""
    if is_address(output):
        return None
    path = Path(output).absolute()
    with suppress(OSError):
        while not path.exists() and path != path.parent:
            path = path.parent
        return shutil.disk_usage(path).free
    return None
