"""Pictures of what things cost: winner map, cost against utilisation, energy."""

import math
from collections import Counter
from typing import Final

from perfcore.axes import Value
from perfcore.report.picture import (
    LETTERS,
    MOST_SERIES,
    Axis,
    Layer,
    Panel,
    Picture,
    Row,
    Series,
    padded,
    series_of,
)
from perfcore.report.settling import need_axes, need_columns, nothing_runs, settle, spread
from perfcore.report.source import Source
from perfcore.report.speed import COST, configured, left_out, most_of
from perfcore.report.wording import (
    is_more_better,
    label,
    plain,
    rows_as_text,
    value_text,
    with_unit,
)
from perfcore.searching import Objective
from perfcore.units import format_quantity

_CHAMPIONS: Final = {
    "cost_per_mtok_output_usd": "cheapest",
    "tpot_s": "fastest",
    "energy_per_output_token_j": "most frugal",
}
_UTILIZATION: Final = "economics_utilization"
_OTHERS: Final = "others"
_COLUMNS_OF_LETTERS: Final = 14
_MOST_ROWS: Final = 16  # of a map
_MOST_COLUMNS: Final = 48


def winners(source: Source, by: str, metric: str | None) -> Picture:
    """Which device or format is best at each batch and context."""
    kind = "winners"
    need_axes(
        source,
        kind,
        {
            "batch": "axes.batch={pow2=[1,256]}",
            "input_len": 'axes.input_len={log=[128,"128Ki"],n=21}',
        },
    )
    metrics = [metric] if metric else [name for name in _CHAMPIONS if name in source.metrics]
    need_columns(source, kind, metrics or list(_CHAMPIONS))
    setting = settle(source, ("batch", "input_len", by), "best")
    batch_axis = spread(source.axes["batch"], _MOST_ROWS)
    length_axis = spread(source.axes["input_len"], _MOST_COLUMNS)
    drawn = {**setting.fixed, "batch": tuple(batch_axis), "input_len": tuple(length_axis)}
    found: dict[str, list[Row]] = {}
    for name in metrics:
        objective = Objective(name, maximize=is_more_better(name))
        found[name] = source.best(objective, ("batch", "input_len"), drawn, (name,))
    counts = Counter(row[by] for rows in found.values() for row in rows)
    if not counts:
        raise nothing_runs(source, kind, setting.fixed)
    room = MOST_SERIES if len(counts) <= MOST_SERIES else MOST_SERIES - 1
    leading = [value for value, _ in counts.most_common(room)]
    letters = dict(zip(leading, LETTERS, strict=False))
    series = [
        Series(f"{letters[value]}  {value}", one.colour)
        for value, one in zip(leading, series_of(map(str, leading)), strict=True)
    ]
    if len(counts) > room:
        series.append(Series(_OTHERS, "#8A8A8A"))
    batches = tuple(value_text(value) for value in reversed(batch_axis))
    lengths = tuple(value_text(value) for value in length_axis)
    every = max(1, math.ceil(len(lengths) / _COLUMNS_OF_LETTERS))
    lettered = set(lengths[every // 2 :: every])
    tips = ("winner", "batch", "prompt", "value", "configuration")
    panels, table, verdicts = [], [], []
    for name, rows in found.items():
        cells: list[Row] = []
        for row in rows:
            value = row[by]
            cells.append(
                {
                    "x": value_text(row["input_len"]),
                    "y": value_text(row["batch"]),
                    "series": f"{letters[value]}  {value}" if value in letters else _OTHERS,
                    "text": letters.get(value, "·")
                    if value_text(row["input_len"]) in lettered
                    else "",
                    "metric": plain(name),
                    "winner": str(value),
                    "batch": value_text(row["batch"]),
                    "prompt": f"{row['input_len']:,} tokens",
                    "value": with_unit(row[name], name),
                    "configuration": configured(source, row, (by,)),
                }
            )
        wins = Counter(row[by] for row in rows)
        first, number = wins.most_common(1)[0] if wins else ("-", 0)
        word = _CHAMPIONS.get(name, f"best in {plain(name)}")
        verdicts.append(f"{first} is {word} ({number / max(len(rows), 1):.0%} of the map)")
        panels.append(
            Panel(
                f"{word}, by {plain(name)}",
                Axis("prompt length [tokens]", categories=lengths),
                Axis("batch [sequences]", categories=batches),
                (Layer("cell", cells, tips),),
            )
        )
        table += cells
    finding = f"Mostly {', '.join(verdicts)}"
    header = ("metric", *tips)
    return Picture(
        kind=kind,
        question=f"Which {by} is cheapest, fastest or most frugal at which batch and context?",
        finding=finding,
        setting=setting.text(source),
        source=source.line,
        series=tuple(series),
        panels=tuple(panels),
        legend=by,
        header=header,
        table=rows_as_text(table, header),
        remarks=("Blank: nothing runs there.",)
        if any(len(rows) < len(batches) * len(lengths) for rows in found.values())
        else (),
    )


def cost(source: Source, by: str, metric: str | None) -> Picture:  # noqa: ARG001
    """Price of a token against utilisation, and where it meets the price that it sells for."""
    kind = "cost"
    need_axes(source, kind, {_UTILIZATION: "economics.utilization=[0.05,0.1,0.2,0.4,0.8,1]"})
    need_columns(source, kind, (COST.name, "break_even_utilization"))
    setting = settle(source, (by, _UTILIZATION), "cheapest")
    columns = (COST.name, "break_even_utilization", "tpot_s")
    needed = [name for name in columns if name in source.metrics]
    drawn = {**setting.fixed, _UTILIZATION: tuple(spread(source.axes[_UTILIZATION], 40))}
    rows = source.best(COST, (by, _UTILIZATION), drawn, needed)
    if not rows:
        raise nothing_runs(source, kind, setting.fixed)
    shown = most_of(source, by, rows, COST)
    rows = [row for row in rows if row[by] in shown]
    price = rows[0].get("economics_token_price_usd")
    if price is None:
        entry = source.entry("economics", str(rows[0]["economics"]))
        price = entry["token_price"]
    points: list[Row] = []
    crossings: dict[Value, float] = {}
    for row in rows:
        crossings[row[by]] = row["break_even_utilization"]
        points.append(
            {
                "x": row[_UTILIZATION],
                "y": row[COST.name],
                "series": str(row[by]),
                "utilisation": f"{row[_UTILIZATION]:.0%}",
                "cost": with_unit(row[COST.name], COST.name),
                "breaks even at": f"{row['break_even_utilization']:.0%}",
                "configuration": configured(source, row, (by,)),
            }
        )
    low, high = min(source.axes[_UTILIZATION]), max(source.axes[_UTILIZATION])
    marks = [
        {
            "x": share,
            "y": price,
            "series": str(value),
            "utilisation": f"{share:.1%}",
            "cost": f"{price:g} USD",
            "breaks even at": f"{share:.1%}",
            "configuration": "break-even",
        }
        for value, share in crossings.items()
        if float(low) <= share <= float(high)
    ]
    ranked = sorted(crossings, key=lambda value: crossings[value])
    best = ranked[0]
    if crossings[best] > 1.0:
        finding = (
            f"Nothing breaks even at {price:g} USD per million output tokens: {best}, the nearest, "
            f"would have to be busy {crossings[best]:.0%} of the time"
        )
    else:
        paying = sum(share <= 1.0 for share in crossings.values())
        finding = (
            f"At {price:g} USD per million output tokens {best} pays from {crossings[best]:.0%} "
            f"utilisation; {paying} of {len(crossings)} can pay at all"
        )
    tips = ("utilisation", "cost", "breaks even at", "configuration")
    y_low, y_high = padded([price, *(point["y"] for point in points)], log=True)
    x_low, x_high = padded([float(low), float(high)], log=True, share=0.03)
    drops = [
        Layer("line", [{"x": mark["x"], "y": y_low, "series": mark["series"]}, mark], dash=True)
        for mark in marks
    ]
    return Picture(
        kind=kind,
        question="From which utilisation on is running a device cheaper than buying tokens?",
        finding=finding,
        setting=setting.text(source),
        source=source.line,
        series=series_of(map(str, shown)),
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
                    Layer("rule", [{"y": price, "text": f"sells for {price:g} USD"}]),
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
            "Dashed lines fall from where a device breaks even.",
            *left_out(source, by, shown, "the cheapest"),
        ),
    )


def energy(source: Source, by: str, metric: str | None) -> Picture:  # noqa: ARG001
    """Energy of an output token: decode, its share of prefill, and the facility."""
    kind = "energy"
    columns = (
        "energy_per_output_token_j",
        "energy_per_input_token_j",
        "facility_energy_per_output_token_j",
    )
    need_columns(source, kind, columns)
    objective = Objective("energy_per_output_token_j")
    setting = settle(source, (by,), "most frugal")
    rows = source.best(objective, (by,), setting.fixed, columns)
    if not rows:
        raise nothing_runs(source, kind, setting.fixed)
    parts = {
        "decode": Series("decode, boards", "#0072B2"),
        "prefill": Series("prefill of its prompt, boards", "#E69F00"),
        "facility": Series("hosts, fans and cooling", "#8A8A8A"),
    }
    bars: list[Row] = []
    sums: dict[str, float] = {}
    table: list[Row] = []
    for row in rows:
        joules = _joules(row)
        name = str(row[by])
        sums[name] = sum(joules.values())
        bottom = 0.0
        for part, value in joules.items():
            bars.append(
                {
                    "x": bottom,
                    "x2": bottom + value,
                    "y": name,
                    "series": parts[part].name,
                    "part": parts[part].name,
                    "energy": format_quantity(value, "J", 3),
                    "share": f"{value / sums[name]:.0%}",
                    "configuration": configured(source, row, (by,)),
                }
            )
            bottom += value
        table.append(
            {
                by: name,
                **{parts[part].name: f"{value:.3g} J" for part, value in joules.items()},
                "in all": f"{sums[name]:.3g} J",
                "configuration": configured(source, row, (by,)),
            }
        )
    order = sorted(sums, key=lambda name: sums[name])
    listed = order[:24]
    bars = [bar for bar in bars if bar["y"] in listed]
    best = order[0]
    mine = next(row for row in rows if str(row[by]) == best)
    shares = {part: value / sums[best] for part, value in _joules(mine).items()}
    finding = (
        f"{best} needs least, {sums[best]:.3g} J per output token at the grid: "
        f"{shares['decode']:.0%} decode, {shares['prefill']:.0%} prefill, "
        f"{shares['facility']:.0%} facility"
    )
    if len(order) > 1:
        finding += f"; {order[-1]} needs {sums[order[-1]] / sums[best]:.1f} times as much"
    names = tuple(part.name for part in parts.values())
    notes = [{"x": sums[name], "y": name, "text": f"{sums[name]:.3g}"} for name in listed]
    table.sort(key=lambda row: order.index(row[by]))
    header = (by, *names, "in all", "configuration")
    return Picture(
        kind=kind,
        question="What does a token cost in energy, and where does it go?",
        finding=finding,
        setting=setting.text(source),
        source=source.line,
        series=tuple(parts.values()),
        panels=(
            Panel(
                "",
                Axis(
                    "energy per output token at the grid [J]",
                    low=0.0,
                    high=max(sums[name] for name in listed) * 1.14,
                ),
                Axis(by, categories=tuple(listed)),
                (
                    Layer("bar", bars, ("part", "energy", "share", "configuration")),
                    Layer("note", notes),
                ),
            ),
        ),
        legend="spent on",
        header=header,
        table=rows_as_text(table, header),
        remarks=(f"The {len(listed)} of {len(order)} that need least.",)
        if len(listed) < len(order)
        else (),
    )


def _joules(row: Row) -> dict[str, float]:
    """Return what an output token takes, its share of the prompt included. [J]"""
    decode = float(row["energy_per_output_token_j"])
    prompt = float(row["energy_per_input_token_j"]) * row["input_len"] / row["output_len"]
    factor = float(row["facility_energy_per_output_token_j"]) / decode
    return {
        "decode": decode,
        "prefill": prompt,
        "facility": (factor - 1.0) * (decode + prompt),
    }
