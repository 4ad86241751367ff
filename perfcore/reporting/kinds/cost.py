"""Cost per token against utilisation, with break-even points."""

from typing import Final

from perfcore.errors import InputError, argument
from perfcore.reporting.choosing import COST, UTILIZATION, configured, left_out, most_of
from perfcore.reporting.picture import Axis, Layer, Panel, Picture, Row, padded, series_of
from perfcore.reporting.settling import need_axes, need_columns, nothing_runs, settle, spread
from perfcore.reporting.source import Source
from perfcore.reporting.wording import label, listing, rows_as_text, with_unit
from perfcore.space.axes import Value

_PRICE: Final = 'device.price_per_hour="2 USD/h"'


def cost(source: Source, by: str, metric: str | None) -> Picture:  # noqa: ARG001
    """Return the cost per token against utilisation, and where it equals the sale price."""
    kind = "cost"
    need_axes(source, kind, {UTILIZATION: "economics.utilization=[0.05,0.1,0.2,0.4,0.8,1]"})
    need_columns(source, kind, (COST.name, "break_even_utilization"))
    setting = settle(source, (by, UTILIZATION), "cheapest")
    columns = (COST.name, "break_even_utilization", "tpot_s")
    needed = [name for name in columns if name in source.metrics]
    drawn = {**setting.fixed, UTILIZATION: tuple(spread(source.axes[UTILIZATION], 40))}
    rows = source.best(COST, (by, UTILIZATION), drawn, needed)
    if not rows:
        raise nothing_runs(source, kind, setting.fixed)
    free = list(dict.fromkeys(str(row[by]) for row in rows if row[COST.name] == 0.0))
    rows = [row for row in rows if row[COST.name] > 0.0]
    if not rows:
        raise InputError(
            f"{source.given}: {kind}: tokens cost nothing, so there is no break-even; "
            f"give a price, e.g. {argument('overrides', [_PRICE])}"
        )
    shown = most_of(source, by, rows, COST)
    rows = [row for row in rows if row[by] in shown]
    prices = {row[by]: _token_price(row) for row in rows}
    points: list[Row] = []
    crossings: dict[Value, float] = {}
    for row in rows:
        crossings[row[by]] = row["break_even_utilization"]
        points.append(
            {
                "x": row[UTILIZATION],
                "y": row[COST.name],
                "series": str(row[by]),
                "utilisation": f"{row[UTILIZATION]:.0%}",
                "cost": with_unit(row[COST.name], COST.name),
                "breaks even at": f"{row['break_even_utilization']:.0%}",
                "configuration": configured(source, row, (by,)),
            }
        )
    low, high = min(source.axes[UTILIZATION]), max(source.axes[UTILIZATION])
    marks = [
        {
            "x": share,
            "y": prices[value],
            "series": str(value),
            "utilisation": f"{share:.1%}",
            "cost": with_unit(prices[value], COST.name),
            "breaks even at": f"{share:.1%}",
            "configuration": "break-even",
        }
        for value, share in crossings.items()
        if float(low) <= share <= float(high)
    ]
    ranked = sorted(crossings, key=lambda value: crossings[value])
    best = ranked[0]
    sold = sorted(set(prices.values()))
    price = " to ".join(f"{one:g}" for one in dict.fromkeys((sold[0], sold[-1])))
    if crossings[best] > 1.0:
        finding = (
            f"Nothing breaks even at {price} USD per million output tokens: {best}, the nearest, "
            f"would need {crossings[best]:.0%} utilisation"
        )
        claim = f"nothing breaks even, and {best} is nearest"
    else:
        claim = f"{best} breaks even first"
        paying = sum(share <= 1.0 for share in crossings.values())
        finding = (
            f"At {price} USD per million output tokens, {best} breaks even at "
            f"{crossings[best]:.0%} utilisation; {paying} of {len(crossings)} can break even"
        )
    tips = ("utilisation", "cost", "breaks even at", "configuration")
    y_low, y_high = padded([*sold, *(point["y"] for point in points)], log=True)
    x_low, x_high = padded([float(low), float(high)], log=True, share=0.03)
    drops = [
        Layer("line", [{"x": mark["x"], "y": y_low, "series": mark["series"]}, mark], dash=True)
        for mark in marks
    ]
    return Picture(
        kind=kind,
        question="Above which utilisation is running a device cheaper than buying tokens?",
        finding=finding,
        setting=setting.text(source),
        source=source.line,
        series=series_of(shown, source.axes[by]),
        panels=(
            Panel(
                "",
                Axis(
                    "utilisation [share of paid hours]",
                    log=True,
                    low=x_low,
                    high=x_high,
                    percent=True,
                ),
                Axis(label(COST.name), log=True, low=y_low, high=y_high),
                (
                    Layer("rule", [{"y": one, "text": f"sells for {one:g} USD"} for one in sold]),
                    Layer("line", points),
                    *drops,
                    Layer("point", points, tips),
                ),
            ),
        ),
        legend=by,
        header=(by, *tips),
        table=rows_as_text(points, ("series", *tips)),
        remarks=(
            *([f"Dashed lines mark where each {by} breaks even."] if marks else []),
            *left_out(source, by, shown, "the cheapest"),
            *([f"Not shown, as they cost nothing: {listing(free)}."] if free else []),
        ),
        claim=claim,
        held=setting.held(source),
    )


def _token_price(row: Row) -> float:
    """Return the sale price of a row's tokens, to the digits that prices have. [USD/Mtok]"""
    return float(f"{row[COST.name] * row[UTILIZATION] / row['break_even_utilization']:.3g}")
