"""Rooflines: decode steps compared with the peaks of their devices."""

from perfcore.reporting.choosing import BANDWIDTH, SCALE, THROUGHPUT, configured, left_out, most_of
from perfcore.reporting.picture import Axis, Layer, Panel, Picture, Row, padded, series_of
from perfcore.reporting.settling import need_columns, nothing_runs, settle, spread
from perfcore.reporting.source import Source
from perfcore.reporting.wording import rows_as_text, value_text
from perfcore.units import format_quantity, significant


def roofline(source: Source, by: str, metric: str | None) -> Picture:  # noqa: ARG001
    """Return FLOP/s against arithmetic intensity of decode, under each device's roofline."""
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
    series = series_of(shown, source.axes["device"])
    points: list[Row] = []
    roofs: dict[tuple[str, str], tuple[float, float]] = {}
    for row in rows:
        bandwidth = _bandwidth(source, row)
        # mbu * bandwidth and mfu * peak are achieved rates, whose ratio is the intensity
        peak = bandwidth * row["arithmetic_intensity"] * row["mbu"] / row["mfu"]
        roofs.setdefault((row["device"], f"{peak:.2e}"), (bandwidth, peak))
        points.append(
            {
                "x": row["arithmetic_intensity"],
                "y": row["mfu"] * peak,
                "series": row["device"],
                "ridge": peak / bandwidth,
                "batch": value_text(row["batch"]),
                "intensity": f"{significant(row['arithmetic_intensity'], 3)} FLOP/byte",
                "achieved": format_quantity(row["mfu"] * peak, "FLOP/s", 3),
                "of the peak": f"{row['mfu']:.1%}",
                "of the bandwidth": f"{row['mbu']:.1%}",
                "bottleneck": row["bound"].replace("_", " "),
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
        f"{_all(below, len(points))} decode steps lie left of the ridge, where they are "
        f"memory-bound; {nearest['device']} at batch {nearest['batch']:,} is nearest to its roof, "
        f"at {share:.0%} of its {resource}"
    )
    tips = (
        *("batch", "intensity", "achieved", "of the peak", "of the bandwidth"),
        *("bottleneck", "configuration"),
    )
    header = ("series", *tips)
    return Picture(
        kind=kind,
        question="How close do decode steps come to the peaks of their device?",
        finding=finding,
        setting=setting.text(source),
        source=source.line,
        series=series,
        panels=(
            Panel(
                "",
                Axis("arithmetic intensity [FLOP/byte]", log=True, low=low, high=high),
                Axis("compute rate of one device [FLOP/s]", log=True, low=bottom, high=top),
                (*lines, Layer("point", points, tips)),
            ),
        ),
        legend="device",
        header=("device", *tips),
        table=rows_as_text(points, header),
        remarks=(
            "Lines are roofs: peak bandwidth, then peak compute of each weight format chosen.",
            *left_out(source, "device", shown, "those with the highest throughput"),
        ),
        claim=f"{nearest['device']} is nearest to its roof" if len(shown) > 1 else "",
        held=setting.held(source),
    )


def _bandwidth(source: Source, row: Row) -> float:
    """Return the peak memory bandwidth of a row's device, with what-ifs applied. [bytes/s]"""
    if BANDWIDTH in row:
        return float(row[BANDWIDTH])
    known: float = source.entry("device", row["device"])["memory_bandwidth"]
    return known * float(row.get(SCALE, 1.0))


def _all(part: int, whole: int) -> str:
    return f"All {whole}" if part == whole else f"{part} of {whole}"
