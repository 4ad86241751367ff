"""Gain from more memory bandwidth alone."""

from perfcore.reporting.choosing import BANDWIDTH, COST, SCALE, TPOT, configured, left_out, most_of
from perfcore.reporting.picture import Axis, Layer, Panel, Picture, Row, series_of
from perfcore.reporting.settling import (
    middle,
    need_axes,
    need_columns,
    nothing_runs,
    settle,
    spread,
)
from perfcore.reporting.source import Source
from perfcore.reporting.wording import is_more_better, plain, rows_as_text, value_text, with_unit
from perfcore.searching.objectives import Objective


def bandwidth(source: Source, by: str, metric: str | None) -> Picture:
    """Return the gain from more memory bandwidth alone, by batch."""
    kind = "bandwidth"
    scaled = BANDWIDTH not in source.axes
    name = SCALE if scaled else BANDWIDTH
    need_axes(source, kind, {name: "device.memory_bandwidth={scale={linear=[1,4],n=13}}"})
    objective = Objective(metric or TPOT.name)
    need_columns(source, kind, (objective.name, COST.name))
    setting = settle(source, (by, name, "batch"))
    scales = spread(source.axes[name], 40)
    today = scaled and 1.0 in source.axes[name]
    base = 1.0 if today else scales[0]
    scales = sorted({*scales, base})
    every = tuple(spread(source.axes["batch"], 40))
    at = {name: base, "batch": middle(source.axes["batch"])}
    anchors = source.best(COST, (by,), {**setting.fixed, **at}, (COST.name,))
    if not anchors:
        raise nothing_runs(source, kind, {**setting.fixed, **at})
    shown = most_of(source, by, anchors, COST)
    maximize = is_more_better(objective.name)
    points: list[Row] = []
    for anchor in anchors:
        if anchor[by] not in shown:
            continue
        chosen = {free: anchor[free] for free in setting.free}
        fixed = {**setting.fixed, **chosen, by: anchor[by], name: tuple(scales), "batch": every}
        rows = source.best(objective, (name, "batch"), fixed, (objective.name,))
        values = {(row[name], row["batch"]): row[objective.name] for row in rows}
        for batch in every:
            for scale in scales:
                here, there = values.get((scale, batch)), values.get((base, batch))
                if here and there:
                    gain = here / there if maximize else there / here
                    points.append(
                        {
                            "x": float(scale) / float(base),
                            "y": gain,
                            "panel": batch,
                            "series": str(anchor[by]),
                            "batch": value_text(batch),
                            "bandwidth": f"{float(scale) / float(base):.3g} x",
                            "gain": f"{gain:.2f} x",
                            objective.name: (with_unit(here, objective.name)),
                            "configuration": configured(source, anchor, (by,)),
                        }
                    )
    if not points:
        raise nothing_runs(source, kind, setting.fixed)
    batches = spread(sorted({point["panel"] for point in points}))
    points = [point for point in points if point["panel"] in batches]
    tips = ("batch", "bandwidth", "gain", objective.name, "configuration")
    top = max(point["x"] for point in points)
    first = min(point["x"] for point in points)
    ends = [point for point in points if point["x"] == top]
    high = max(ends, key=lambda point: point["y"])
    low = min(ends, key=lambda point: point["y"])
    unit = "today's" if today else "the least"
    verb = "faster" if objective.name == TPOT.name else f"better in {plain(objective.name)}"
    finding = (
        f"{top:.3g} times the bandwidth makes {high['series']} {high['y']:.1f} times {verb} at "
        f"batch {high['batch']}, {low['series']} at batch {low['batch']} only {low['y']:.1f} times"
    )
    if len(shown) == 1:
        finding = finding.replace(f", {low['series']} at", ", and at")
    claim = f"{high['series']} gains most" if len(shown) > 1 else ""
    if low["series"] != high["series"]:
        claim += f" and {low['series']} least"
    limit = max(top, *(point["y"] for point in points)) * 1.05
    panels = tuple(
        Panel(
            f"batch {batch:,}",
            Axis(f"memory bandwidth [times {unit}]", low=first, high=top),
            Axis(f"{plain(objective.name)}: gain [times]", low=min(1.0, first), high=limit),
            (
                Layer("line", [{"x": first, "y": first}, {"x": top, "y": top}], dash=True),
                Layer("line", [p for p in points if p["panel"] == batch]),
                Layer("point", [p for p in points if p["panel"] == batch], tips),
            ),
        )
        for batch in batches
    )
    return Picture(
        kind=kind,
        question="What does more memory bandwidth gain, and when is it no longer the bottleneck?",
        finding=finding,
        setting=setting._replace(by=f"at {unit} bandwidth cheapest").text(source),
        source=source.line,
        series=series_of(shown, source.axes[by]),
        panels=panels,
        legend=by,
        header=(by, *tips),
        table=rows_as_text(points, ("series", *tips)),
        remarks=(
            "Dashed: if only bandwidth mattered. A device has no points where it cannot run.",
            *left_out(source, by, shown, "the cheapest"),
        ),
        claim=claim,
        held=setting.held(source),
    )
