"""Timeline of a simulation: waiting and running requests, KV cache in use, time to first token."""

from typing import Final

import numpy as np

from perfcore.kernel.layout import Reals
from perfcore.reporting.picture import Axis, Layer, Panel, Picture, Row, series_of
from perfcore.traffic.results import Simulation, summary
from perfcore.units import format_quantity, plural

_POINTS: Final = 400  # of a line
_WINDOWS: Final = 60  # of latencies, at most
_FEWEST: Final = 20  # requests in a window
_LINES: Final = 12  # of the table
_UNITS: Final = {"s": 1.0, "min": 60.0, "h": 3600.0, "days": 86_400.0}
_NAMES: Final = ("waiting", "running", "KV cache", "TTFT, median", "TTFT, p99")


def timeline(simulation: Simulation, subject: str) -> Picture:
    """Return the timeline of a simulation; ``subject`` names what was simulated."""
    found = summary(simulation)
    unit = max(
        (name for name, size in _UNITS.items() if simulation.makespan_s >= 2.0 * size),
        key=_UNITS.__getitem__,
        default="s",
    )
    scale = 1.0 / _UNITS[unit]
    course = simulation.timeline
    times = course["time_s"] * scale
    last = float(times[-1]) if len(times) else 1.0
    panels = [
        _panel("Waiting requests", "requests", unit, last, [(_NAMES[0], times, course["queue"])]),
        _panel("Running requests", "requests", unit, last, [(_NAMES[1], times, course["batch"])]),
        _panel("KV cache in use", "", unit, last, [(_NAMES[2], times, course["kv_use"])]),
    ]
    arrivals, middle, high = _latencies(simulation)
    latencies = [(_NAMES[3], arrivals * scale, middle), (_NAMES[4], arrivals * scale, high)]
    panels.append(_panel("TTFT by arrival", "s", unit, last, latencies))
    ends = f"{plural(int(found['completed']), 'request')} in "
    ends += format_quantity(simulation.makespan_s, "s", 3)
    status = "" if simulation.status == "ok" else f", {simulation.status}"
    return Picture(
        kind="timeline",
        question="How do the queue, the batch and latency develop?",
        finding=f"{ends}{status}: TTFT p99 {format_quantity(float(found['ttft_p99_s']), 's', 3)}, "
        f"TPOT p95 {format_quantity(float(found['tpot_p95_s']), 's', 3)}",
        setting=subject,
        source="simulated by perfcore",
        series=series_of(_NAMES),
        panels=tuple(panels),
        legend="line",
        header=("time", "waiting", "running", "KV cache"),
        table=_table(simulation, unit, scale),
    )


def _panel(
    title: str, label: str, unit: str, last: float, lines: list[tuple[str, Reals, Reals]]
) -> Panel:
    rows: list[Row] = []
    for name, times, values in lines:
        every = max(1, -(-len(times) // _POINTS))
        rows += [
            {"x": float(time), "y": float(value), "series": name}
            for time, value in zip(times[::every], values[::every], strict=True)
        ]
    highest = max((row["y"] for row in rows), default=0.0) or 1.0
    return Panel(
        title,
        Axis(f"time, {unit}", low=0.0, high=last or 1.0),
        Axis(label or "share", low=0.0, high=highest * 1.05, percent=not label),
        (Layer("line", rows),),
    )


def _latencies(simulation: Simulation) -> tuple[Reals, Reals, Reals]:
    """Return the middle of each window of arrivals, and median and p99 of TTFT there. [s]"""
    table = simulation.requests
    ttft = table["first_token_s"] - table["arrival_s"]
    ended = ~np.isnan(ttft)
    order = np.argsort(table["arrival_s"][ended], kind="stable")
    windows = max(1, min(_WINDOWS, len(order) // _FEWEST))
    found = [
        (
            float(arrivals.mean()),
            float(np.median(values)),
            float(np.percentile(values, 99)),
        )
        for arrivals, values in zip(
            np.array_split(table["arrival_s"][ended][order], windows),
            np.array_split(ttft[ended][order], windows),
            strict=True,
        )
        if len(values)
    ]
    columns = np.array(found, np.float64).reshape(-1, 3).T
    return columns[0], columns[1], columns[2]


def _table(simulation: Simulation, unit: str, scale: float) -> tuple[tuple[str, ...], ...]:
    course = simulation.timeline
    count = len(course["time_s"])
    places = np.unique(np.linspace(0, count - 1, min(count, _LINES)).astype(int)) if count else ()
    return tuple(
        (
            f"{course['time_s'][place] * scale:.3g} {unit}",
            f"{course['queue'][place]:.1f}",
            f"{course['batch'][place]:.1f}",
            f"{course['kv_use'][place]:.1%}",
        )
        for place in places
    )
