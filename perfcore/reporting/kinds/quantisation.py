"""Gain from quantised weights, by batch."""

from collections.abc import Sequence

from perfcore.reporting.choosing import COST, THROUGHPUT, TPOT
from perfcore.reporting.picture import (
    MOST_SERIES,
    Axis,
    Layer,
    Panel,
    Picture,
    Row,
    padded,
    series_of,
)
from perfcore.reporting.settling import (
    need_axes,
    need_columns,
    nothing_runs,
    pinned,
    settle,
    spread,
)
from perfcore.reporting.source import Source
from perfcore.reporting.wording import is_more_better, plain, rows_as_text, value_text, with_unit
from perfcore.searching.objectives import Objective
from perfcore.space.axes import Value


def quantisation(source: Source, by: str, metric: str | None) -> Picture:  # noqa: ARG001
    """Return the gain from quantised weights, by batch."""
    kind = "quantisation"
    need_axes(
        source,
        kind,
        {
            "weight_format": 'axes.weight_format=["bf16","fp8","int4-g128"]',
            "batch": "axes.batch={pow2=[1,256]}",
        },
    )
    served = source.axes["scheduler"][0] != "static"  # their TPOT depends on the requests that wait
    objective = Objective(metric or (THROUGHPUT if served else TPOT).name)
    need_columns(source, kind, (objective.name,))
    formats = source.axes["weight_format"]
    base = "bf16" if "bf16" in formats else formats[0]
    setting = settle(source, ("weight_format", "batch", "device"))
    setting.fixed["device"] = source.axes["device"][0]
    if setting.free:
        need_columns(source, kind, (COST.name,))
    batches = spread(source.axes["batch"], 40)
    at = {"weight_format": base, "batch": batches[len(batches) // 2]}
    setting = pinned(source, kind, setting._replace(by="cheapest"), COST, at)
    drawn = {**setting.fixed, "batch": tuple(batches)}
    rows = source.best(objective, ("weight_format", "batch"), drawn, (objective.name,))
    values = {(row["weight_format"], row["batch"]): row[objective.name] for row in rows}
    maximize = is_more_better(objective.name)
    points: list[Row] = []
    for name in formats:
        for batch in batches:
            here, there = values.get((name, batch)), values.get((base, batch))
            if here and there and name != base:
                gain = here / there if maximize else there / here
                points.append(
                    {
                        "x": batch,
                        "y": gain,
                        "series": str(name),
                        "batch": value_text(batch),
                        "gain": f"{gain:.2f} x",
                        objective.name: with_unit(here, objective.name),
                    }
                )
    if not points:
        raise nothing_runs(source, kind, setting.fixed)
    points = _merged(points)
    names = list(dict.fromkeys(point["series"] for point in points))
    ranked = sorted(names, key=lambda name: -_gain_at_first(points, name))
    shown = [name for name in names if name in ranked[:MOST_SERIES]]
    points = [point for point in points if point["series"] in shown]
    finding, claim = _finding(points, base, objective)
    x_low, x_high = padded([point["x"] for point in points], log=True, share=0.03)
    y_low, y_high = padded([1.0, *(point["y"] for point in points)], log=False)
    tips = ("batch", "gain", objective.name)
    return Picture(
        kind=kind,
        question="What do fewer bits gain, and at which batch does the gain fade?",
        finding=finding,
        setting=setting.text(source),
        source=source.line,
        series=series_of(shown),
        panels=(
            Panel(
                "",
                Axis("batch [sequences]", log=True, low=x_low, high=x_high, doubling=True),
                Axis(f"{plain(objective.name)}: gain over {base} [times]", low=y_low, high=y_high),
                (
                    Layer("rule", [{"y": 1.0, "text": f"{base}"}]),
                    Layer("line", points),
                    Layer("point", points, tips),
                ),
            ),
        ),
        legend="weight_format",
        header=("weight_format", *tips),
        table=rows_as_text(points, ("series", *tips)),
        remarks=(f"Shown are the {len(shown)} of {len(names)} lines with the largest gain.",)
        if len(shown) < len(names)
        else (),
        claim=claim,
        held=setting.held(source),
    )


def _finding(points: Sequence[Row], base: Value, objective: Objective) -> tuple[str, str]:
    """Return the finding and the claim: which format gains most, and whether the gain lasts."""
    top = max(points, key=lambda point: point["y"])
    last = [p for p in points if p["series"] == top["series"]][-1]
    best_last = max((p for p in points if p["x"] == last["x"]), key=lambda p: p["y"])
    than = f"faster than {base}"
    if objective.name != TPOT.name:
        than = f"better than {base} in {plain(objective.name)}"
    finding = f"{top['series']} is {top['y']:.1f} times {than} at batch {top['batch']}"
    if best_last["y"] < 1.0:
        finding += f"; at batch {last['batch']} it is {last['y']:.1f} times, and {base} is best"
    elif best_last["series"] == top["series"]:
        finding += f", and still best with {last['y']:.1f} times at batch {last['batch']}"
        finding += _losses([p for p in points if p["series"] == top["series"]], objective)
    else:
        finding += (
            f"; at batch {last['batch']} it is {last['y']:.1f} times, "
            f"and {best_last['series']} is best with {best_last['y']:.1f} times"
        )
    winner = base if best_last["y"] < 1.0 else best_last["series"]
    claim = f"{top['series']} gains most and {f'{winner} ' * (winner != top['series'])}"
    claim += "is best at the largest batch"
    return finding, claim


def _losses(points: Sequence[Row], objective: Objective) -> str:
    """Return at how many batches a format gains nothing but loses; empty at none."""
    lost = sum(point["y"] < 0.995 for point in points)
    if not lost:
        return ""
    word = "slower" if objective.name == TPOT.name else "worse"
    return f", but {word} at {lost} of {len(points)} batches"


def _merged(points: Sequence[Row]) -> list[Row]:
    """Return points with series of equal gains merged into one, which has all their names."""
    lines: dict[str, list[Row]] = {}
    for point in points:
        lines.setdefault(point["series"], []).append(point)
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, mine in lines.items():
        alike.setdefault(tuple(f"{p['x']}: {p['y']:.2f}" for p in mine), []).append(name)
    return [
        {**point, "series": " = ".join(names)}
        for names in alike.values()
        for point in lines[names[0]]
    ]


def _gain_at_first(points: Sequence[Row], name: str) -> float:
    return float(next(point["y"] for point in points if point["series"] == name))
