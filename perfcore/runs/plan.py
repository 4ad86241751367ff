"""Size of a sweep, before it runs."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from perfcore.catalog.estimates import EstimatedFact, estimates
from perfcore.catalog.schema import EconomicsEntry
from perfcore.inputs import PURCHASES
from perfcore.runs.forecast import Forecast, forecast
from perfcore.runs.influences import idle_axes
from perfcore.runs.kernels import Kernel, kernel_of_run
from perfcore.runs.preflight import shortages
from perfcore.runs.resources import disk_free, memory_free
from perfcore.space.space import Space, Sweep, as_space


@dataclass(frozen=True)
class Plan:
    """Size of a sweep, and whether it fits on this machine.

    ``space`` has ``rows``, ``shards`` and axes; ``forecast`` has bytes, seconds and memory, from a
    sample; ``kernel`` the columns that the run would compute; ``idle`` the axes that change none of
    the columns that it writes. ``memory_free`` and ``disk_free`` are in bytes, None if unknown.
    ``faults`` has a line with a remedy for a shortage of memory or disk; ``estimated`` the facts of
    its entries that no vendor publishes, and ``hypothetical`` the names of those that do not exist
    as products.
    """

    space: Space
    forecast: Forecast
    kernel: Kernel
    idle: tuple[str, ...]
    memory_free: int | None
    disk_free: int | None
    faults: tuple[str, ...]
    estimated: tuple[EstimatedFact, ...]
    hypothetical: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether this machine has enough memory and disk."""
        return not self.faults


def plan(
    spec: Sweep,
    output: str | Path | None = None,
    workers: int | None = None,
    overrides: Iterable[str] = (),
) -> Plan:
    """Return the size of a sweep from a sample: rows, bytes, seconds and memory.

    Nothing is written. ``perfcore.plan("sweep.toml").forecast.seconds``

    Parameters
    ----------
    spec
        A sweep file, a mapping laid out like one, or a ``Space``.
    output
        Destination of the run, whose free disk space counts; the current directory by default.
    workers
        Threads, all processors by default.
    overrides
        ``key=value`` each, e.g. ``axes.batch=[1,2,4]``; they take precedence over the file.

    Raises
    ------
    InputError
        The specification has faults; all of them are listed.
    """
    space = as_space(spec, overrides)
    place = None if output is None else str(output)
    threads = workers or os.cpu_count() or 1
    kernel = kernel_of_run(space, threads)  # before the forecast compiles the full one
    known = forecast(space, threads)
    asked = [column.name for column in space.columns]
    asked += [space.results[field].name for field in space.rules.fields]
    purchases = _purchases(space)
    offloads = any(axis.name == "offload" and set(axis.values) != {"none"} for axis in space.axes)
    entries = [(entry.kind, entry) for axis in space.axes for entry in axis.entries]
    return Plan(
        space=space,
        forecast=known,
        kernel=kernel,
        idle=idle_axes(space, asked),
        memory_free=memory_free(),
        disk_free=disk_free(place or "."),
        faults=shortages(space, place, workers, known=known),
        estimated=tuple(
            fact
            for kind, entry in entries
            for fact in estimates(kind, entry, purchases, offloads=offloads)
        ),
        hypothetical=tuple(entry.name for _, entry in entries if entry.hypothetical),
    )


def _purchases(space: Space) -> set[str]:
    """Return the ways in which a sweep pays for devices."""
    for what_if in space.spec.what_ifs:
        if what_if.key == "economics.purchase":
            return {PURCHASES[int(value)] for value in what_if.values}
    return {
        entry.purchase
        for axis in space.axes
        for entry in axis.entries
        if isinstance(entry, EconomicsEntry)
    }
