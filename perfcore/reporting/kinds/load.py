"""Latency of servers, or another figure, against their traffic."""

from typing import Final

from perfcore.errors import InputError, argument
from perfcore.reporting.choosing import configured, left_out, most_of
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

LOADS: Final = ("request_rate", "clients", "speed")
LATENCY: Final = "ttft_p99_s"


def load(source: Source, by: str, metric: str | None) -> Picture:
    """Return a figure of simulated servers against the load that the traffic puts on them."""
    kind = "load"
    name = metric or LATENCY
    against = _load_of(source, kind, by)
    need_columns(source, kind, (name,))
    objective = Objective(name, is_more_better(name))
    setting = settle(source, (by, against), "best")
    rows = source.best(objective, (by, against), setting.fixed, (name,))
    rows = [row for row in rows if row[name] == row[name]]
    if not rows:
        raise nothing_runs(source, kind, setting.fixed)
    shown = most_of(source, by, rows, objective)
    points: list[Row] = [
        {
            "x": row[against],
            "y": row[name],
            "series": str(row[by]),
            against: value_text(row[against]),
            name: with_unit(row[name], name),
            "configuration": configured(source, row, (by,)),
        }
        for row in rows
        if row[by] in shown
    ]
    points.sort(key=lambda point: (point["series"], point["x"]))
    most = max(point["x"] for point in points)
    sign = -1.0 if objective.maximize else 1.0
    best = min((p for p in points if p["x"] == most), key=lambda point: sign * point["y"])
    tips = (against, name, "configuration")
    log = all(point["y"] > 0.0 for point in points)
    x_low, x_high = padded([point["x"] for point in points], log=True)
    y_low, y_high = padded([point["y"] for point in points], log=log)
    return Picture(
        kind=kind,
        question=f"How does {plain(name)} grow with the load?",
        finding=(
            f"At {against} {value_text(most)}, {best['series']} has the "
            f"{'highest' if objective.maximize else 'lowest'} {plain(name)}: {best[name]}"
        ),
        setting=setting.text(source),
        source=source.line,
        series=series_of(shown, source.axes[by]),
        panels=(
            Panel(
                "",
                Axis(label(against), log=True, low=x_low, high=x_high),
                Axis(label(name), log=log, low=y_low, high=y_high),
                (Layer("line", points), Layer("point", points, tips)),
            ),
        ),
        legend=by,
        header=(by, *tips),
        table=rows_as_text(points, ("series", *tips)),
        remarks=left_out(source, by, shown, "the best"),
        claim=f"{best['series']} is best at the highest load" if len(shown) > 1 else "",
        held=setting.held(source),
    )


def _load_of(source: Source, kind: str, by: str) -> str:
    """Return the axis of the load: one with several numbers."""
    for name in LOADS:
        values = source.axes.get(name, ())
        if len(values) > 1 and name != by and not isinstance(values[0], str):
            return name
    option = argument("overrides", ["traffic.request_rate=[1,2,4,8]"])
    raise InputError(
        f"{source.given}: {kind} needs several values of request_rate, clients or speed; {option}"
    )
