"""Energy per token, from decode to the facility."""

from perfcore.reporting.choosing import configured
from perfcore.reporting.picture import Axis, Layer, Panel, Picture, Row, Series
from perfcore.reporting.settling import need_columns, nothing_runs, settle
from perfcore.reporting.source import Source
from perfcore.reporting.wording import rows_as_text
from perfcore.searching.objectives import Objective
from perfcore.units import format_quantity, significant


def energy(source: Source, by: str, metric: str | None) -> Picture:  # noqa: ARG001
    """Return the energy per output token: decode, its share of prefill, and the facility."""
    kind = "energy"
    columns = (
        "energy_per_output_token_j",
        "energy_per_input_token_j",
        "facility_energy_per_output_token_j",
    )
    need_columns(source, kind, columns)
    objective = Objective("energy_per_output_token_j")
    setting = settle(source, (by,), "most energy-efficient")
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
                    by: name,
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
                **{
                    parts[part].name: f"{significant(value, 3)} J" for part, value in joules.items()
                },
                "total": f"{significant(sums[name], 3)} J",
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
        f"{best} needs {'least, ' * (len(order) > 1)}{significant(sums[best], 3)} J per output "
        "token at the meter: "
        f"{shares['decode']:.0%} decode, {shares['prefill']:.0%} prefill, "
        f"{shares['facility']:.0%} facility"
    )
    claim = ""
    if len(order) > 1:
        claim = f"{best} needs least and {order[-1]} most"
        finding += f"; {order[-1]} needs {sums[order[-1]] / sums[best]:.1f} times as much"
    names = tuple(part.name for part in parts.values())
    notes = [{"x": sums[name], "y": name, "text": significant(sums[name], 3)} for name in listed]
    table.sort(key=lambda row: order.index(row[by]))
    header = (by, *names, "total", "configuration")
    return Picture(
        kind=kind,
        question="How much energy does a token take, and where does it go?",
        finding=finding,
        setting=setting.text(source),
        source=source.line,
        series=tuple(parts.values()),
        panels=(
            Panel(
                "",
                Axis(
                    "energy per output token at the meter [J]",
                    low=0.0,
                    high=max(sums[name] for name in listed) * 1.14,
                ),
                Axis(by, categories=tuple(listed)),
                (
                    Layer("bar", bars, (by, "part", "energy", "share", "configuration")),
                    Layer("note", notes),
                ),
            ),
        ),
        legend="used by",
        header=header,
        table=rows_as_text(table, header),
        remarks=(f"The {len(listed)} of {len(order)} that need least.",)
        if len(listed) < len(order)
        else (),
        claim=claim,
        held=setting.held(source),
    )


def _joules(row: Row) -> dict[str, float]:
    """Return the energy per output token by part, including its share of the prompt. [J]"""
    decode = float(row["energy_per_output_token_j"])
    prompt = float(row["energy_per_input_token_j"]) * row["input_len"] / row["output_len"]
    factor = float(row["facility_energy_per_output_token_j"]) / decode
    return {
        "decode": decode,
        "prefill": prompt,
        "facility": (factor - 1.0) * (decode + prompt),
    }
