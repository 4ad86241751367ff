"""Card of ``perfcore size``: ranked fleets, as blocks of a document."""

import textwrap
from collections.abc import Iterator
from itertools import accumulate
from math import inf
from typing import Final

from perfcore.cli.card import stated_of
from perfcore.cli.document import Block, Facts, Heading, Panel, Paragraph, Tile, Title
from perfcore.cli.simulation_card import machines, told
from perfcore.cli.text import duration
from perfcore.configuration.configuration import Configuration
from perfcore.fleets.fleets import Fleet, Sizing
from perfcore.tables import Row, Table, left, right
from perfcore.traffic.synthetic import Traffic
from perfcore.units import format_quantity, plural, significant

_ENGINES: Final = {"vllm": "vLLM", "sglang": "SGLang", "trtllm": "TensorRT-LLM"}
_TITLES: Final = {  # of axes of devices beside those of a server, whose numbers stand elsewhere
    "draft_model": "draft",
    "draft_device": "draft on",
    "expert_device": "experts on",
    "expert_parts": "parts",
}
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
    yield from _winner(first, sizing, traffic)
    yield from _ranking(sizing, traffic)
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


def _winner(fleet: Fleet, sizing: Sizing, traffic: Traffic) -> Iterator[Block]:
    tiles = [
        Tile(
            _machines(fleet),
            "devices",
            "two pools" if fleet.prefill else _layout(fleet.configuration),
        ),
        Tile(f"${_value(fleet, 'cost_per_month_usd'):,.0f}", "per month", _hourly(fleet)),
        *(
            _latency_tile(fleet, name, limit)
            for name, limit in list(sizing.slos.items())[:2]
            if name in fleet.intervals
        ),
        Tile(_headroom(fleet), "headroom", f"more {_growing(traffic)}"),
    ]
    lines = [f"The cheapest: {_name(fleet)}."]
    if sizing.job:
        cost, energy = _value(fleet, "job_cost_usd"), _value(fleet, "job_energy_kwh")
        lines.append(
            f"The job of {sizing.job.tokens:,.0f} tokens in {duration(sizing.job.deadline_s)} "
            f"costs ${cost:,.2f} and takes {energy:,.1f} kWh."
        )
    if not fleet.sure:
        lines.append("The upper end of an interval misses an objective.")
    yield Panel(tiles, lines)


def _ranking(sizing: Sizing, traffic: Traffic) -> Iterator[Block]:
    apart = sizing.fleets[0].prefill is not None
    rows = [
        Row(
            (
                str(place),
                *_devices(fleet),
                str(fleet.configuration.labels["weight_format"]),
                *_others(fleet, sizing),
                *((_machines(fleet), _layout(fleet.configuration)) if not apart else ()),
                _headroom(fleet),
                format_quantity(_value(fleet, "facility_power_w"), "W", 3),
                f"{_value(fleet, 'cost_per_month_usd'):,.0f}",
                "yes" if fleet.sure else "no",
            )
        )
        for place, fleet in enumerate(sizing.fleets, 1)
    ]
    pairs = apart or sizing.fleets[0].configuration.beside is not None
    kind = "pair of devices" if pairs else "device"
    yield Heading(f"Fleets by price, one per {kind} and format")
    yield Table(
        (
            *right(""),
            *left(*(("prompts on", "answers on") if apart else ("device",))),
            *left("weights", *(_TITLES.get(name, name) for name in _other_names(sizing))),
            *(() if apart else (*right("devices"), *left("layout"))),
            *right("headroom", "power", "$/month"),
            *left("sure"),
        ),
        rows,
    )
    yield Paragraph(
        f"{'' if apart else 'devices: replicas x devices of each; '}headroom: more "
        f"{_growing(traffic)} within the objectives; power: with hosts and cooling; sure: "
        "objectives are met at the upper ends of intervals, too.",
        "dim",
    )
    yield from (Paragraph(remark, "doubt") for remark in dict.fromkeys(_remarks(sizing)))
    if apart:
        yield from _pools(sizing)
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


def _remarks(sizing: Sizing) -> Iterator[str]:
    """Yield how devices are paid, and which of them do not exist or cannot be had."""
    yield f"devices paid: {sizing.fleets[0].configuration.purchase}"
    yield from filter(None, [sizing.fleets[0].configuration.in_the_rent])
    for fleet in sizing.fleets:
        yield from fleet.configuration.unreal
        if fleet.prefill:
            yield from fleet.prefill.configuration.unreal


def _pools(sizing: Sizing) -> Iterator[Block]:
    """Yield the machines, power and price of both pools of each fleet."""
    rows = []
    for place, fleet in enumerate(sizing.fleets, 1):
        ahead = fleet.prefill
        if ahead is None:
            continue
        watts, price = ahead.figures["facility_power_w"], ahead.figures["cost_per_month_usd"]
        rest_w = _value(fleet, "facility_power_w") - watts
        rest = _value(fleet, "cost_per_month_usd") - price
        for role, pool, power, usd in (
            ("prefill", (ahead.configuration, ahead.rules.replicas), watts, price),
            ("decode", (fleet.configuration, fleet.rules.replicas), rest_w, rest),
        ):
            configuration, replicas = pool
            rows.append(
                Row(
                    (
                        str(place) if role == "prefill" else "",
                        role,
                        str(configuration.labels["device"]),
                        f"{replicas} x {configuration.device_count}",
                        _layout(configuration),
                        format_quantity(power, "W", 3),
                        f"{usd:,.0f}",
                    )
                )
            )
    yield Heading("Pools")
    yield Table(
        (
            *right(""),
            *left("pool", "device"),
            *right("devices"),
            *left("layout"),
            *right("power", "$/month"),
        ),
        rows,
    )
    yield Paragraph("devices: replicas x devices of each.", "dim")


def _launch(first: Fleet, sizing: Sizing, columns: int | None) -> Iterator[Block]:
    if not sizing.launch and sizing.note:
        yield Paragraph(sizing.note, "dim")
    if not sizing.launch:
        return
    pools = [(first.rules, sizing.launch, "replica")]
    if first.prefill:
        pools = [
            (first.prefill.rules, sizing.prefill_launch, "prefill server"),
            (first.rules, sizing.launch, "decode server"),
        ]
    for rules, launch, name in pools:
        router = f", behind a {rules.routing} router" if rules.replicas > 1 else ""
        yield Heading(f"Start {plural(rules.replicas, name)} of the cheapest{router}")
        for engine, command in launch.items():
            yield Paragraph(f"{_ENGINES[engine]}:", "dim")
            yield from (Paragraph(line) for line in _continued(command, columns))
    if sizing.note:
        yield Paragraph(sizing.note, "dim")


def _continued(command: str, columns: int | None) -> list[str]:
    """Return a command as lines of a shell, at most as long as a terminal is wide.

    Lines end with a backslash, but for those that end inside quotes: YAML may be broken there.
    """
    if columns is None:
        return [command]
    lines = textwrap.wrap(command, columns - 2, break_long_words=False, break_on_hyphens=False)
    quotes = accumulate(line.count("'") for line in lines[:-1])
    return [
        *(f"{line} \\" if n % 2 == 0 else line for line, n in zip(lines, quotes, strict=False)),
        lines[-1],
    ]


def _search(sizing: Sizing) -> Iterator[Block]:
    counts = sizing.counts
    yield Heading("Search")
    yield Facts(
        (
            ("layouts", f"{counts.layouts:,}, of which {counts.do_not_run:,} do not fit"),
            (
                "by a bound",
                f"{counts.too_slow:,} too slow, {counts.too_dear:,} dearer than the best found",
            ),
            ("by a guess", f"{counts.guessed:,} far dearer by the steady state"),
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
        for name in ("kv_format", "engine", *_TITLES)
        if len({_labels(fleet).get(name) for fleet in sizing.fleets}) > 1
    ]


def _labels(fleet: Fleet) -> dict[str, str]:
    """Return the axes of a fleet as text, those of devices beside it included."""
    axes = {**fleet.configuration.labels, **fleet.configuration.of_pool}
    return {
        name: f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in axes.items()
    }


def _others(fleet: Fleet, sizing: Sizing) -> list[str]:
    return [_labels(fleet)[name] for name in _other_names(sizing)]


def _devices(fleet: Fleet) -> list[str]:
    """Return the devices of a fleet, those for prompts first."""
    pools = [fleet.prefill.configuration] if fleet.prefill else []
    return [str(one.labels["device"]) for one in (*pools, fleet.configuration)]


def _name(fleet: Fleet) -> str:
    labels = fleet.configuration.labels
    words = f"{plural(fleet.rules.replicas, 'replica')} on {_of_each(fleet.configuration)}"
    if fleet.prefill:
        ahead = fleet.prefill
        first = f"{plural(ahead.rules.replicas, 'server')} on {_of_each(ahead.configuration)}"
        second = f"{plural(fleet.rules.replicas, 'server')} on {_of_each(fleet.configuration)}"
        words = f"prompts on {first}, answers on {second}"
    said = [f"weights {labels['weight_format']}", f"KV {labels['kv_format']}"]
    said += [f"engine {labels['engine']}", *stated_of(fleet.configuration)]
    return ", ".join([words, *said])


def _of_each(configuration: Configuration) -> str:
    return machines(configuration)


def _count(configuration: Configuration) -> str:
    """Return the number of devices of a server, with those beside it."""
    beside = configuration.devices_beside
    own = configuration.device_count
    return f"({own}+{beside})" if beside else str(own)


def _machines(fleet: Fleet) -> str:
    own = f"{fleet.rules.replicas} x {_count(fleet.configuration)}"
    if fleet.prefill is None:
        return own
    return f"{fleet.prefill.rules.replicas} x {fleet.prefill.configuration.device_count} + {own}"


def _layout(configuration: Configuration) -> str:
    numbers = configuration.numbers
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


def _growing(traffic: Traffic) -> str:
    """Return the quantity that the headroom refers to."""
    return "clients" if traffic.numbers["clients"] else "rate"


def _headroom(fleet: Fleet) -> str:
    return f"{fleet.headroom:.0%}" if fleet.headroom < inf else "300% or more"


def _value(fleet: Fleet, name: str) -> float:
    value = fleet.figures[name]
    return value if isinstance(value, int | float) else float("nan")
