"""Card of ``perfcore size``: ranked fleets, as blocks of a document."""

import textwrap
from collections.abc import Iterator
from math import inf
from typing import Final

from perfcore.cli.document import Block, Facts, Heading, Panel, Paragraph, Tile, Title
from perfcore.cli.simulation_card import told
from perfcore.fleets.fleets import Fleet, Sizing
from perfcore.tables import Row, Table, left, right
from perfcore.traffic.synthetic import Traffic
from perfcore.units import format_quantity, plural, significant

_ENGINES: Final = {"vllm": "vLLM", "sglang": "SGLang", "trtllm": "TensorRT-LLM"}
_LEAST_SPAN: Final = 10.0  # times of a request, in which traffic reaches its steady state


def card(model: str, traffic: Traffic, sizing: Sizing, columns: int | None) -> Iterator[Block]:
    """Yield the card of a sizing; commands are broken into lines of ``columns``, if any."""
    limits = [f"{name} <= {format_quantity(limit, 's')}" for name, limit in sizing.slos.items()]
    yield Title(f"Fleets for {model}")
    requests = traffic.numbers["requests"]
    several = "" if traffic.trace or requests == inf else f", {requests:,.0f} requests"
    yield Paragraph(f"traffic: {told(traffic)}{several}", "dim")
    yield Paragraph(f"objectives: {', '.join(limits)}", "dim")
    if not sizing.fleets:
        yield Panel((), [f"NO FLEET: {sizing.reason}."], "bad")
        yield from _search(sizing)
        return
    first = sizing.fleets[0]
    yield from _winner(first, sizing)
    yield from _ranking(sizing)
    yield from _launch(first, sizing, columns)
    yield from _search(sizing)
    seconds = _value(first, "makespan_s")
    if seconds < _LEAST_SPAN * _value(first, "e2e_p50_s"):
        yield Paragraph(
            f"The traffic lasts {format_quantity(seconds, 's', 2)}, a request "
            f"{format_quantity(_value(first, 'e2e_p50_s'), 's', 2)}: too short to reach a steady "
            "state. Simulate more requests.",
            "doubt",
        )


def _winner(fleet: Fleet, sizing: Sizing) -> Iterator[Block]:
    tiles = [
        Tile(_machines(fleet), "devices", _layout(fleet)),
        Tile(f"${_value(fleet, 'cost_per_month_usd'):,.0f}", "per month", _hourly(fleet)),
        *(
            _latency_tile(fleet, name, limit)
            for name, limit in list(sizing.slos.items())[:2]
            if name in fleet.intervals
        ),
        Tile(_headroom(fleet), "headroom", "more rate"),
    ]
    lines = [f"The cheapest: {_name(fleet)}."]
    if not fleet.sure:
        lines.append("The upper end of an interval misses an objective.")
    yield Panel(tiles, lines)


def _ranking(sizing: Sizing) -> Iterator[Block]:
    rows = [
        Row(
            (
                str(place),
                str(fleet.configuration.labels["device"]),
                str(fleet.configuration.labels["weight_format"]),
                *_others(fleet, sizing),
                _machines(fleet),
                _layout(fleet),
                _headroom(fleet),
                format_quantity(_value(fleet, "facility_power_w"), "W", 3),
                f"{_value(fleet, 'cost_per_month_usd'):,.0f}",
                "yes" if fleet.sure else "no",
            )
        )
        for place, fleet in enumerate(sizing.fleets, 1)
    ]
    yield Heading("Fleets by price, one per device and format")
    yield Table(
        (
            *right(""),
            *left("device", "weights", *_other_names(sizing)),
            *right("devices"),
            *left("layout"),
            *right("headroom", "power", "$/month"),
            *left("sure"),
        ),
        rows,
    )
    yield Paragraph(
        "devices: replicas x devices of each; headroom: more rate within the objectives; power: "
        "with hosts and cooling; sure: objectives are met at the upper ends of intervals, too.",
        "dim",
    )
    names = [name for name in sizing.slos if name in sizing.fleets[0].intervals]
    if not names:
        return
    lines = [
        Row((str(place), *(text for name in names for text in _latency(fleet, name))))
        for place, fleet in enumerate(sizing.fleets, 1)
    ]
    titles = (text for name in names for text in (name.removesuffix("_s"), "80 % interval"))
    yield Heading("Latencies")
    yield Table((*right(""), *right(*titles)), lines)
    yield Paragraph("80 %: interval of the engine's error, around the values of all seeds.", "dim")


def _launch(first: Fleet, sizing: Sizing, columns: int | None) -> Iterator[Block]:
    if not sizing.launch:
        return
    replicas = first.rules.replicas
    router = f", behind a {first.rules.routing} router" if replicas > 1 else ""
    yield Heading(f"Start {plural(replicas, 'replica')} of the cheapest{router}")
    for engine, command in sizing.launch.items():
        yield Paragraph(f"{_ENGINES[engine]}:", "dim")
        yield from (Paragraph(line) for line in _continued(command, columns))
    if sizing.note:
        yield Paragraph(sizing.note, "dim")


def _continued(command: str, columns: int | None) -> list[str]:
    """Return a command as lines of a shell, at most as long as a terminal is wide."""
    if columns is None:
        return [command]
    lines = textwrap.wrap(command, columns - 2, break_long_words=False, break_on_hyphens=False)
    return [*(f"{line} \\" for line in lines[:-1]), lines[-1]]


def _search(sizing: Sizing) -> Iterator[Block]:
    counts = sizing.counts
    yield Heading("Search")
    yield Facts(
        (
            ("layouts", f"{counts.layouts:,}, of which {counts.do_not_run:,} do not fit"),
            (
                "by a bound",
                f"{counts.too_slow:,} too slow, {counts.too_dear:,} dearer than what was found",
            ),
            ("by a guess", f"{counts.guessed:,} far dearer in the steady state"),
            (
                "simulated",
                f"{counts.simulated:,}, {plural(counts.simulations, 'simulation')}",
            ),
        )
    )


def _other_names(sizing: Sizing) -> list[str]:
    """Return the names of further axes in which fleets differ."""
    return [
        name
        for name in ("kv_format", "engine")
        if len({str(fleet.configuration.labels[name]) for fleet in sizing.fleets}) > 1
    ]


def _others(fleet: Fleet, sizing: Sizing) -> list[str]:
    return [str(fleet.configuration.labels[name]) for name in _other_names(sizing)]


def _name(fleet: Fleet) -> str:
    labels = fleet.configuration.labels
    return (
        f"{plural(fleet.rules.replicas, 'replica')} on {fleet.configuration.device_count} x "
        f"{labels['device']}, weights {labels['weight_format']}, KV {labels['kv_format']}, "
        f"engine {labels['engine']}"
    )


def _machines(fleet: Fleet) -> str:
    return f"{fleet.rules.replicas} x {fleet.configuration.device_count}"


def _layout(fleet: Fleet) -> str:
    numbers = fleet.configuration.numbers
    degrees = [f"{n} {numbers[n]:.0f}" for n in ("tp", "pp", "dp", "ep") if numbers[n] > 1]
    return " ".join(degrees) or "tp 1"


def _hourly(fleet: Fleet) -> str:
    return f"${significant(_value(fleet, 'cost_per_hour_usd'), 3)} per hour"


def _latency_tile(fleet: Fleet, name: str, limit: float) -> Tile:
    latency, statistic = name.removesuffix("_s").split("_")
    value = format_quantity(_value(fleet, name), "s", 3)
    return Tile(value, f"{latency.upper()} {statistic}", f"of {format_quantity(limit, 's', 3)}")


def _latency(fleet: Fleet, name: str) -> tuple[str, str]:
    """Return a latency and its interval as text."""
    low, high = (format_quantity(value, "s", 2) for value in fleet.intervals[name])
    return format_quantity(_value(fleet, name), "s", 3), f"{low} to {high}"


def _headroom(fleet: Fleet) -> str:
    return f"{fleet.headroom:.0%}" if fleet.headroom < inf else "300% or more"


def _value(fleet: Fleet, name: str) -> float:
    value = fleet.figures[name]
    return value if isinstance(value, int | float) else float("nan")
