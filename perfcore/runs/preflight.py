"""Check of memory and disk before a run."""

import os
from contextlib import suppress
from pathlib import Path

from perfcore.errors import argument
from perfcore.runs.forecast import Forecast, forecast
from perfcore.runs.resources import disk_free, memory_free, memory_needed
from perfcore.space.space import Space
from perfcore.units import format_quantity


def shortages(
    space: Space,
    output: str | None = None,
    workers: int | None = None,
    part: tuple[int, int] = (1, 1),
    *,
    here: bool = True,
    known: Forecast | None = None,
) -> tuple[str, ...]:
    """Return the shortages of memory and disk, one line each.

    A line says how much is needed, how much is available, and how to need less.

    Parameters
    ----------
    output
        Destination of the run; the current directory by default.
    here
        Whether this machine does the work, so that its memory is checked.
    known
        Forecast, if there is one already; otherwise it is made only if the disk may be too small.
    """
    threads = workers or os.cpu_count() or 1
    found = []
    if here:
        needed, free = memory_needed(space, threads), memory_free()
        if free is not None and needed > free:
            found.append(
                f"memory: {space.spec.name} takes about {_bytes(needed)} with {threads} workers, "
                f"{_bytes(free)} are free; use fewer {argument('workers')}"
            )
    free = disk_free(output or ".")
    if free is not None and _most_bytes(space) / part[1] > free:
        known = known or forecast(space, threads)
        needed = round(known.bytes / part[1]) - (_there(output) if output else 0)
        if needed > free:
            found.append(
                f"disk: {space.spec.name} takes about {_bytes(needed)} in "
                f"{output or 'this directory'}, {_bytes(free)} are free; list fewer values, use "
                f"profile 'small' or another {argument('output')}"
            )
    return tuple(found)


def _most_bytes(space: Space) -> int:
    """Return the bytes of a run without compression, if every row is feasible."""
    width = 4 if space.spec.output.dtype == "float32" else 8
    columns = len(space.outer_axes) + len(space.inner_axes) + len(space.columns)
    return space.rows * columns * width


def _there(output: str) -> int:
    """Return the bytes of the shards that already exist."""
    with suppress(OSError):
        return sum(path.stat().st_size for path in (Path(output) / "data").iterdir())
    return 0


def _bytes(number: int) -> str:
    return format_quantity(number, "B", 3)
