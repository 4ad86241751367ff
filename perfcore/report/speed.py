"""Pictures of time: roofline, Pareto front, memory-wall timeline."""

import math
from collections.abc import Sequence
from typing import Final

from perfcore.axes import Value
from perfcore.errors import InputError
from perfcore.report.picture import (
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
from perfcore.report.settling import (
    CHOICES,
    need_axes,
    need_columns,
    nothing_runs,
    pinned,
    settle,
    spread,
)
from perfcore.report.source import Source
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

THROUGHPUT: Final = Objective("tokens_per_s_per_device", maximize=True)
COST: Final = Objective("cost_per_mtok_output_usd")
TPOT: Final = Objective("tpot_s")
_SHORT: Final = {"kv_format": "KV"}
MOST_PLACES: Final = 64  # along an axis
SCALE: Final = "device_memory_bandwidth_scale"
BANDWIDTH: Final = "device_memory_bandwidth_bytes_per_s"
# Terms of TPOT from the bottom of the stack up, each in a colour of its own.
TERMS: Final = {
    "weights_s": Series("weights", "#0072B2"),
    "kv_s": Series("KV cache", "#E69F00"),
    "activations_s": Series("activations", "#8A8A8A"),
    "compute_s": Series("compute", "#D55E00"),
    "network_s": Series("network", "#009E73"),
    "latency_s": Series("start-up and host", "#56B4E9"),
    "prefill_s": Series("other prompts", "#CC79A7"),
    "offload_s": Series("second memory tier", "#000000"),
}
_REST: Final = Series("activations, second tier", "#8A8A8A")


def most_of(
    source: Source, name: str, rows: Sequence[Row], value: Objective, most: int = MOST_SERIES
) -> list[Value]:
    """Return the values of an axis that rows have, the best few if colours do not reach."""
    best: dict[Value, float] = {}
    sign = -1.0 if value.maximize else 1.0
    for row in rows:
        best[row[name]] = min(best.get(row[name], math.inf), sign * row[value.name])
    leading = set(sorted(best, key=lambda label: best[label])[:most])
    return [label for label in source.axes[name] if label in leading]


def left_out(source: Source, name: str, shown: Sequence[Value], reason: str) -> tuple[str, ...]:
    """Return a remark on the values of an axis that are not shown."""
    total = len(source.axes[name])
    if len(shown) >= total:
        return ()
    return (f"{len(shown)} of {total} values of {name}: {reason}.",)


def configured(source: Source, row: Row, without: Sequence[str] = ()) -> str:
    """Return the choices of a row that differ within the source, for whoever points at it."""
    parts = []
    for name in CHOICES:
        if name not in without and (len(source.axes[name]) > 1 or source.axes[name] == (0,)):
            value = row[name]
            bare = name in {"device", "weight_format"}
            parts.append(str(value) if bare else f"{_SHORT.get(name, name)} {value}")
    return ", ".join(parts) or "-"


def _bandwidth(source: Source, row: Row) -> float:
    """Peak memory bandwidth of a row's device, what-ifs applied. [bytes/s]"""
    if BANDWIDTH in row:
        return float(row[BANDWIDTH])
    known: float = source.entry("device", row["device"])["memory_bandwidth"]
    return known * float(row.get(SCALE, 1.0))


def roofline(source: Source, by: str, metric: str | None) -> Picture:  # noqa: ARG001
    """Arithmetic intensity and FLOP/s of decode steps under their devices' roofs."""
    kind = "roofline"
    columns = ("arithmetic_intensity", "mfu", "mbu", "tokens_per_s_per_device", "tpot_s", "bound")
    need_columns(source, kind, columns)
    setting = settle(source, ("device", "batch"), "highest-throughput")
    drawn = {**setting.fixed, "batch": tuple(spread(source.axes["batch"], 20))}
    rows = source.best(THROUGHPUT, ("device", "batch"), drawn, columns)
    rows = [row for row in rows if row["mfu"] > 0.0 and row["mbu"] > 0.0]
    if not rows:
        raise nothing_runs(source, kind, setting.fixed)
    shown = most_of(source, "device", rows, THROUGHPUT, 6)
    rows = [row for row in rows if row["device"] in shown]
    series = series_of(map(str, shown))
    points: list[Row] = []
    roofs: dict[tuple[str, str], tuple[float, float]] = {}
    for row in rows:
        bandwidth = _bandwidth(source, row)
        # mbu B and mfu F are the bytes/s and FLOP/s achieved, whose ratio is the intensity
        peak = bandwidth * row["arithmetic_intensity"] * row["mbu"] / row["mfu"]
        roofs.setdefault((row["device"], f"{peak:.2e}"), (bandwidth, peak))
        points.append(
            {
                "x": row["arithmetic_intensity"],
                "y": row["mfu"] * peak,
                "series": row["device"],
                "ridge": peak / bandwidth,
                "batch": value_text(row["batch"]),
                "intensity": f"{row['arithmetic_intensity']:.3g} FLOP/byte",
                "achieved": format_quantity(row["mfu"] * peak, "FLOP/s", 3),
                "of the peak": f"{row['mfu']:.1%}",
                "of the bandwidth": f"{row['mbu']:.1%}",
                "waits for": row["bound"].replace("_", " "),
                "configuration": configured(source, row, ("device",)),
            }
        )
    low, high = padded([point["x"] for point in points], log=True, share=0.15)
    high = max(high, 2.0 * max(peak / bandwidth for bandwidth, peak in roofs.values()))
    lines: list[Layer] = []
    for (device, _), (bandwidth, peak) in roofs.items():
        corners = sorted({low, min(max(peak / bandwidth, low), high), high})
        lines.append(
            Layer(
                "line",
                [{"x": x, "y": min(peak, bandwidth * x), "series": device} for x in corners],
            )
        )
    bottom = min(point["y"] for point in points) / 2.0
    top = 1.6 * max(peak for _, peak in roofs.values())
    below = sum(point["x"] < point["ridge"] for point in points)
    nearest = max(rows, key=lambda row: max(row["mfu"], row["mbu"]))
    resource = "bandwidth" if nearest["mbu"] >= nearest["mfu"] else "arithmetic peak"
    share = max(nearest["mfu"], nearest["mbu"])
    finding = (
        f"{_all(below, len(points))} decode steps lie left of the ridge, where memory binds; "
        f"nearest to its roof is {nearest['device']} at batch {nearest['batch']:,}, "
        f"{share:.0%} of its {resource}"
    )
    tips = (
        *("batch", "intensity", "achieved", "of the peak", "of the bandwidth"),
        *("waits for", "configuration"),
    )
    header = ("series", *tips)
    return Picture(
        kind=kind,
        question="How near do decode steps come to what their device could do?",
        finding=finding,
        setting=setting.text(source),
        source=source.line,
        series=series,
        panels=(
            Panel(
                "",
                Axis("arithmetic intensity [FLOP/byte]", log=True, low=low, high=high),
                Axis("arithmetic of one device [FLOP/s]", log=True, low=bottom, high=top),
                (*lines, Layer("point", points, tips)),
            ),
        ),
        legend="device",
        header=("device", *tips),
        table=rows_as_text(points, header),
        remarks=(
            "Lines are roofs: peak bandwidth, then peak arithmetic of each weight format chosen.",
            *left_out(source, "device", shown, "those with the highest throughput"),
        ),
    )


def _all(part: int, whole: int) -> str:
    return f"All {whole}" if part == whole else f"{part} of {whole}"


def pareto(source: Source, by: str, metric: str | None) -> Picture:
    """Latency against throughput (or another metric): what no configuration beats."""
    kind = "pareto"
    second = THROUGHPUT if metric is None else Objective(metric, is_more_better(metric))
    if second.name == TPOT.name:
        raise InputError("--metric: pareto has tpot_s on its other axis; name another metric")
    need_columns(source, kind, (TPOT.name, second.name))
    setting = settle(source, (by, "batch"), "any")
    if len(source.axes["batch"]) > 1:
        setting = setting._replace(free=("batch", *setting.free))
    rows = source.front((TPOT, second), (by,), setting.fixed, (TPOT.name, second.name))
    if not rows:
        raise nothing_runs(source, kind, setting.fixed)
    shown = most_of(source, by, rows, second)
    rows = [row for row in rows if row[by] in shown]
    points = [
        {
            "x": row["tpot_s"] * 1e3,
            "y": row[second.name],
            "series": str(row[by]),
            "TPOT": format_quantity(row["tpot_s"], "s", 3),
            second.name: with_unit(row[second.name], second.name),
            "batch": value_text(row["batch"]),
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
    most = f"{'most' if second.maximize else 'least'} {plain(second.name)}"
    if share == 1.0:
        finding = (
            f"{leader} is unbeaten at every speed, from {fastest['TPOT']} a token to "
            f"{best[second.name]}"
        )
    else:
        finding = (
            f"{leader} holds {share:.0%} of the joint front; fastest is {fastest['series']} "
            f"({fastest['TPOT']} a token), {most} has {best['series']} ({best[second.name]})"
        )
    tips = ("TPOT", second.name, "batch", "configuration")
    x_low, x_high = padded([point["x"] for point in points], log=True)
    log = all(point["y"] > 0.0 for point in points)
    y_low, y_high = padded([point["y"] for point in points], log=log)
    return Picture(
        kind=kind,
        question="What does speed for one user cost in throughput, on which device?"
        if second is THROUGHPUT
        else f"What does speed for one user cost in {plain(second.name)}?",
        finding=finding,
        setting=setting.text(source),
        source=source.line,
        series=series_of(map(str, shown)),
        panels=(
            Panel(
                "",
                Axis("time per output token [ms]", log=True, low=x_low, high=x_high),
                Axis(label(second.name), log=log, low=y_low, high=y_high),
                (
                    Layer("step" if second.maximize else "line", thinned(points, 400)),
                    Layer("point", thinned(points), tips),
                ),
            ),
        ),
        legend=by,
        header=(by, *tips),
        table=rows_as_text(thinned(points), ("series", *tips)),
        remarks=(
            "No configuration of a series is at least as good in both as one on its line.",
            *left_out(source, by, shown, f"the best in {plain(second.name)}"),
        ),
    )


def thinned(points: Sequence[Row], each: int = 24) -> list[Row]:
    """Return at most so many points of each series, its ends among them."""
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
    """Return how many members of the front of all series together each series has."""
    counts: dict[str, int] = {}
    best = math.inf
    for point in sorted(points, key=lambda point: (point["x"], sign * point["y"])):
        if sign * point["y"] < best:
            best = sign * point["y"]
            counts[point["series"]] = counts.get(point["series"], 0) + 1
    return counts


def timeline(source: Source, by: str, metric: str | None) -> Picture:  # noqa: ARG001
    """The terms of TPOT against context: where the memory wall stands."""
    kind = "timeline"
    need_axes(source, kind, {"input_len": 'axes.input_len={log=[128,"128Ki"],n=41}'})
    known = [name for name in TERMS if name in source.metrics]
    need_columns(
        source, kind, ("tpot_s", "weights_s", "kv_s", "compute_s", "network_s", "latency_s")
    )
    setting = settle(source, ("input_len", "batch", "device"))
    setting.fixed["device"] = source.axes["device"][0]
    batches = spread(source.axes["batch"])
    lengths = spread(source.axes["input_len"], MOST_PLACES)
    at = {"batch": batches[len(batches) // 2], "input_len": lengths[len(lengths) // 2]}
    if "device" in source.zipped:
        setting = setting._replace(free=tuple(n for n in setting.free if n != "device"))
    need_columns(source, kind, (COST.name,) if setting.free else ())
    setting = pinned(source, kind, setting._replace(by="cheapest"), COST, at)
    drawn = {**setting.fixed, "input_len": tuple(lengths)}
    rows = source.best(TPOT, ("batch", "input_len"), drawn, (*known, "tpot_s", "bound"))
    if not rows:
        raise nothing_runs(source, kind, setting.fixed)
    batches = spread(sorted({row["batch"] for row in rows}))
    rows = [row for row in rows if row["batch"] in batches]
    whole = len(known) == len(TERMS)
    stack = {name: TERMS[name] for name in known}
    if not whole:
        stack["rest"] = _REST
    used = {
        name: term
        for name, term in stack.items()
        if any(_term(row, name, known) > 0.002 * row["tpot_s"] for row in rows)
    }
    tips = ("prompt", "term", "time", "share")
    low, high = float(lengths[0]), float(lengths[-1])
    panels = []
    table: list[Row] = []
    for batch in batches:
        mine = [row for row in rows if row["batch"] == batch]
        layer: list[Row] = []
        for row in mine:
            bottom = 0.0
            for name, term in used.items():
                seconds = max(_term(row, name, known), 0.0)
                layer.append(
                    {
                        "x": row["input_len"],
                        "y": bottom * 1e3,
                        "y2": (bottom + seconds) * 1e3,
                        "series": term.name,
                        "prompt": f"{row['input_len']:,} tokens",
                        "term": term.name,
                        "time": format_quantity(seconds, "s", 3),
                        "share": f"{seconds / row['tpot_s']:.0%}",
                    }
                )
                bottom += seconds
            table.append(
                {
                    "batch": row["batch"],
                    "input_len": row["input_len"],
                    "tpot": format_quantity(row["tpot_s"], "s", 3),
                    "bound": row["bound"].replace("_", " ") if "bound" in row else "-",
                    **{
                        term.name: f"{_term(row, name, known) / row['tpot_s']:.0%}"
                        for name, term in used.items()
                    },
                }
            )
        layers = [Layer("area", layer, tips)]
        longest = max((row["input_len"] for row in mine), default=0)
        if longest < high:
            text = "more cannot run →" if mine else "cannot run"
            place = float(longest) if mine else math.sqrt(low * high)
            layers.append(Layer("note", [{"x": place, "y": 0.0, "text": text}]))
        top = max((row["tpot_s"] * 1e3 for row in mine), default=1.0)
        panels.append(
            Panel(
                f"batch {batch:,}",
                Axis("prompt length [tokens]", log=True, low=low, high=high, doubling=True),
                Axis("time per output token [ms]", low=0.0, high=top * 1.12),
                tuple(layers),
            )
        )
    names = tuple(term.name for term in used.values())
    return Picture(
        kind=kind,
        question="Where does the time of a token go as the context grows?",
        finding=_wall(rows, batches),
        setting=setting.text(source),
        source=source.line,
        series=tuple(used.values())[::-1],  # the legend stands as the stack does
        panels=tuple(panels),
        legend="waits for",
        header=("batch", "prompt [tokens]", "TPOT", "bound", *names),
        table=rows_as_text(table, ("batch", "input_len", "tpot", "bound", *names)),
    )


def _term(row: Row, name: str, known: Sequence[str]) -> float:
    """Return a term of TPOT; of the rest, what the known ones leave."""
    if name == "rest":
        return float(row["tpot_s"]) - sum(float(row[term]) for term in known)
    return float(row[name])


def _wall(rows: Sequence[Row], batches: Sequence[Value]) -> str:
    """Say from which length on the KV cache takes longer than the weights."""
    crossed, never = [], []
    for batch in batches:
        mine = sorted((row for row in rows if row["batch"] == batch), key=lambda r: r["input_len"])
        first = next((row for row in mine if row["kv_s"] > row["weights_s"]), None)
        last = mine[-1]
        if first is None:
            share = last["kv_s"] / last["tpot_s"]
            never.append(
                f"at batch {batch:,} ({share:.0%} of the time at {last['input_len']:,} tokens)"
            )
        else:
            crossed.append(f"from {first['input_len']:,} tokens at batch {batch:,}")
    if not crossed:
        return f"The KV cache never takes longer than the weights, {', '.join(never)}"
    told = f"The KV cache takes longer than the weights {', '.join(crossed)}"
    return f"{told}; never {', '.join(never)}" if never else told
