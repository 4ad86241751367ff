"""Pareto fronts of latency against throughput or another metric."""

import math
from collections.abc import Sequence
from typing import Final

from perfcore.errors import InputError, argument
from perfcore.reporting.choosing import (
    COST,
    THROUGHPUT,
    TPOT,
    TTFT_P99,
    configured,
    left_out,
    most_of,
)
from perfcore.reporting.picture import Axis, Layer, Panel, Picture, Row, padded, series_of
from perfcore.reporting.settling import need_columns, nothing_runs, settle
from perfcore.reporting.source import Source
from perfcore.reporting.wording import (
    is_more_better,
    label,
    plain,
    rows_as_text,
    value_text,
    with_unit,
)
from perfcore.searching.objectives import Objective
from perfcore.units import format_quantity

_Latency = tuple[Objective, Objective, str, str]  # latency, other axis, in short, per what
_IN_CLOSED_FORM: Final[_Latency] = (TPOT, THROUGHPUT, "TPOT", " per token")
_SIMULATED: Final[_Latency] = (TTFT_P99, COST, "p99 TTFT", "")


def pareto(source: Source, by: str, metric: str | None) -> Picture:
    """Return the Pareto fronts of latency against throughput, or another metric.

    Simulated rows have a percentile of TTFT against cost: their traffic sets the throughput.
    """
    kind = "pareto"
    latency, usual, short, per = _SIMULATED if source.simulated else _IN_CLOSED_FORM
    second = usual if metric is None else Objective(metric, is_more_better(metric))
    if second.name == latency.name:
        raise InputError(
            f"{argument('metric')}: pareto has {latency.name} on its other axis; name another "
            "metric"
        )
    need_columns(source, kind, (latency.name, second.name))
    setting = settle(source, (by, "batch"), "any")
    if len(source.axes.get("batch", ())) > 1:
        setting = setting._replace(free=("batch", *setting.free))
    rows = source.front((latency, second), (by,), setting.fixed, (latency.name, second.name))
    if not rows:
        raise nothing_runs(source, kind, setting.fixed)
    shown = most_of(source, by, rows, second)
    rows = [row for row in rows if row[by] in shown]
    points = [
        {
            "x": row[latency.name] * 1e3,
            "y": row[second.name],
            "series": str(row[by]),
            short: format_quantity(row[latency.name], "s", 3),
            second.name: with_unit(row[second.name], second.name),
            **({} if source.simulated else {"batch": value_text(row["batch"])}),
            "configuration": configured(source, row, (by,)),
        }
        for row in rows
    ]
    points.sort(key=lambda point: (point["series"], point["x"]))
    sign = -1.0 if second.maximize else 1.0
    winners = _joint_front(points, sign)
    leader = max(winners, key=lambda name: winners[name])
    fastest = min(points, key=lambda point: point["x"])
    best = min(points, key=lambda point: sign * point["y"])
    share = winners[leader] / sum(winners.values())
    most = f"the {'highest' if second.maximize else 'lowest'} {plain(second.name)}"
    claim = f"{fastest['series']} is fastest and {best['series']} has {most}"
    if len(shown) == 1:
        claim = ""
        finding = (
            f"{leader} ranges from {fastest[short]}{per} ({fastest[second.name]}) "
            f"to {best[short]} ({best[second.name]})"
        )
    elif share == 1.0:
        claim = f"{leader} is unbeaten at every speed"
        finding = (
            f"{leader} is unbeaten at every speed, from {fastest[short]}{per} to {most} "
            f"({best[second.name]})"
        )
    else:
        finding = (
            f"{leader} has {share:.0%} of the joint front; {fastest['series']} is fastest "
            f"({fastest[short]}{per}), {best['series']} has {most} ({best[second.name]})"
        )
    tips = (short, second.name, *(() if source.simulated else ("batch",)), "configuration")
    x_low, x_high = padded([point["x"] for point in points], log=True)
    log = all(point["y"] > 0.0 for point in points)
    y_low, y_high = padded([point["y"] for point in points], log=log)
    return Picture(
        kind=kind,
        question=f"What does speed for one user cost in {plain(second.name)}, by {by}?",
        finding=finding,
        setting=setting.text(source),
        source=source.line,
        series=series_of(shown, source.axes[by]),
        panels=(
            Panel(
                "",
                Axis(f"{plain(latency.name)} [ms]", log=True, low=x_low, high=x_high),
                Axis(label(second.name), log=log, low=y_low, high=y_high),
                (
                    Layer("step", _thinned(points, 400)),
                    Layer("point", _thinned(points), tips),
                ),
            ),
        ),
        legend=by,
        header=(by, *tips),
        table=rows_as_text(_thinned(points), ("series", *tips)),
        remarks=(
            "Each line is the Pareto front of its series.",
            *left_out(source, by, shown, f"the best in {plain(second.name)}"),
        ),
        claim=claim,
        held=setting.held(source),
    )


def _thinned(points: Sequence[Row], each: int = 24) -> list[Row]:
    """Return at most ``each`` points of each series, including its ends."""
    found: dict[str, list[Row]] = {}
    for point in points:
        found.setdefault(point["series"], []).append(point)
    kept: list[Row] = []
    for mine in found.values():
        count = min(len(mine), each)
        places = {round(i * (len(mine) - 1) / max(count - 1, 1)) for i in range(count)}
        kept += [mine[place] for place in sorted(places)]
    return kept


def _joint_front(points: Sequence[Row], sign: float) -> dict[str, int]:
    """Return the number of points of each series on the joint front of all series."""
    counts: dict[str, int] = {}
    best = math.inf
    for point in sorted(points, key=lambda point: (point["x"], sign * point["y"])):
        if sign * point["y"] < best:
            best = sign * point["y"]
            counts[point["series"]] = counts.get(point["series"], 0) + 1
    return counts
