"""Memory wall: terms of the time per token as the context grows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from perfcore.reporting.choosing import COST, TPOT
from perfcore.reporting.picture import Axis, Layer, Panel, Picture, Row, Series
from perfcore.reporting.settling import (
    middle,
    need_axes,
    need_columns,
    nothing_runs,
    pinned,
    settle,
    spread,
)
from perfcore.reporting.source import Source
from perfcore.reporting.wording import listing, rows_as_text
from perfcore.space.axes import Value
from perfcore.units import format_quantity

MOST_PLACES: Final = 64  # along an axis
# Terms of TPOT from the bottom of the stack up.
TERMS: Final = {
    "weights_s": Series("weights", "#0072B2"),
    "kv_s": Series("KV cache", "#E69F00"),
    "activations_s": Series("activations", "#8A8A8A"),
    "compute_s": Series("compute", "#D55E00"),
    "network_s": Series("network", "#009E73"),
    "latency_s": Series("launches and host", "#56B4E9"),
    "prefill_s": Series("other prompts", "#CC79A7"),
    "offload_s": Series("second memory tier", "#000000"),
}


def memory_wall(source: Source, by: str, metric: str | None) -> Picture:  # noqa: ARG001
    """Return the terms of TPOT against context length, which show the memory wall."""
    kind = "memory_wall"
    need_axes(source, kind, {"input_len": 'axes.input_len={log=[128,"128Ki"],n=41}'})
    known = [name for name in TERMS if name in source.metrics]
    need_columns(
        source, kind, ("tpot_s", "weights_s", "kv_s", "compute_s", "network_s", "latency_s")
    )
    setting = settle(source, ("input_len", "batch", "device"))
    setting.fixed["device"] = source.axes["device"][0]
    batches = spread(source.axes["batch"])
    lengths = spread(source.axes["input_len"], MOST_PLACES)
    at = {"batch": middle(batches), "input_len": middle(lengths)}
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
    stack = {name: TERMS[name] for name in known}
    others = [term for name, term in TERMS.items() if name not in known]
    if others:  # no columns of their own
        stack["rest"] = replace(others[0], name=", ".join(term.name for term in others))
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
        longest = max(row["input_len"] for row in mine)
        title = f"batch {batch:,}"
        if len(mine) == 1 < len(lengths):  # no room for a note beside it
            title += f": fits at {longest:,} tokens only"
        elif longest < high:
            note = {"x": float(longest), "y": 0.0, "text": "does not fit →"}
            layers.append(Layer("note", [note]))
        top = max(row["tpot_s"] * 1e3 for row in mine)
        panels.append(
            Panel(
                title,
                Axis("prompt length [tokens]", log=True, low=low, high=high, doubling=True),
                Axis("time per output token [ms]", low=0.0, high=top * 1.12),
                tuple(layers),
            )
        )
    names = tuple(term.name for term in used.values())
    return Picture(
        kind=kind,
        question="Where does the time per token go as the context grows?",
        finding=_wall(rows, batches),
        claim=_crossed(rows, batches),
        held=setting.held(source),
        setting=setting.text(source),
        source=source.line,
        series=tuple(used.values())[::-1],  # so that the legend has the order of the stack
        panels=tuple(panels),
        legend="time spent on",
        header=("batch", "prompt [tokens]", "TPOT", "bound", *names),
        table=rows_as_text(table, ("batch", "input_len", "tpot", "bound", *names)),
    )


def _term(row: Row, name: str, known: Sequence[str]) -> float:
    """Return a term of TPOT; the rest is the time that the known terms leave."""
    if name == "rest":
        return float(row["tpot_s"]) - sum(float(row[term]) for term in known)
    return float(row[name])


def _crossed(rows: Sequence[Row], batches: Sequence[Value]) -> str:
    """Return at which batches the KV cache takes longer than the weights, at some length."""
    found = [
        f"{batch:,}"
        for batch in batches
        if any(row["kv_s"] > row["weights_s"] for row in rows if row["batch"] == batch)
    ]
    where = f"only at batch {listing(found)}"
    if not found or len(found) == len(batches):
        where = "at every batch shown" if found else "at no batch shown"
    return f"the KV cache takes longer than the weights {where}"


def _wall(rows: Sequence[Row], batches: Sequence[Value]) -> str:
    """Return a finding on the lengths at which the KV cache takes longer than the weights."""
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
