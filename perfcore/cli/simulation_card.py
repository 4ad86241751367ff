"""Card of ``perfcore simulate``: servers under traffic, as blocks of a document."""

from collections.abc import Iterator, Mapping
from typing import Final

from perfcore.cli.card import beside_of, interval, stated_of
from perfcore.cli.document import Block, Facts, Heading, Panel, Paragraph, Tile, Title
from perfcore.cli.text import bar, quantity
from perfcore.configuration.configuration import Configuration
from perfcore.tables import Column, Row, Table, left, right
from perfcore.traffic.server import Rules
from perfcore.traffic.synthetic import Traffic
from perfcore.traffic.tiers import NONE, TIERS
from perfcore.units import format_quantity, plural, significant

Figures = Mapping[str, float | str]
Pool = tuple[Configuration, Rules]

_LATENCIES: Final = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "e2e": "end to end"}
_STATISTICS: Final = ("mean", "p50", "p90", "p95", "p99")
_BAR: Final = 16  # columns of a bar of the longest percentile
_VERDICTS: Final = {
    "ok": "The servers keep up: {completed} of {requests} requests served.",
    "overloaded": "OVERLOADED: the queue grows by {growth} requests per second; "
    "latencies grow with the length of the traffic.",
    "rejected": "NOTHING RUNS: no request ever fits the KV cache.",
}


def card(
    pool: Pool,
    ahead: Pool | None,
    traffic: Traffic,
    found: Figures,
    slos: Mapping[str, float],
) -> list[Block]:
    """Return the card of a simulation; ``ahead`` are servers for prompts, if they are others."""
    return [
        *_opening(pool, ahead, traffic),
        *_verdict(found),
        *_percentiles(found),
        *_objectives(found, slos),
        *_service(found),
        *_money(pool[0], found),
    ]


def told(traffic: Traffic) -> str:
    """Return a description of traffic in words."""
    if traffic.trace:
        parts = [f"trace {traffic.trace}"]
        parts += [f"{traffic.repeat} times"] if traffic.numbers["repeat"] > 1 else []
        parts += [f"at {traffic.numbers['speed']:g} x its rate"] * (traffic.numbers["speed"] != 1)
        return ", ".join(parts)
    if traffic.numbers["clients"]:
        parts = [plural(int(traffic.numbers["clients"]), "client")]
    else:
        parts = [f"{traffic.rate} per second"]
        cv = traffic.numbers["cv"]
        parts += ["constant"] * (cv == 0.0) + [f"gaps of cv {cv:g}"] * (cv not in (0.0, 1.0))
    parts += [f"{traffic.input_len} tokens in", f"{traffic.output_len} out"]
    if str(traffic.turns) != "1":
        parts.append(f"{traffic.turns} turns")
    if traffic.numbers["think_time"]:
        parts.append(f"pauses of {format_quantity(traffic.numbers['think_time'], 's', 3)}")
    if traffic.numbers["system_prompt"]:
        parts.append(f"system prompt of {traffic.numbers['system_prompt']:,.0f} tokens")
    return ", ".join([*parts, f"seed {traffic.numbers['seed']:.0f}"])


def subject(configuration: Configuration, rules: Rules, ahead: Pool | None) -> str:
    """Return the name of the simulated system."""
    name = f"{configuration.labels['model']} on {_servers_of(configuration, rules)}"
    return f"{name}, prompts on {_servers_of(*ahead)}" if ahead else name


def _servers_of(configuration: Configuration, rules: Rules) -> str:
    servers = f"{rules.replicas} x " if rules.replicas > 1 else ""
    return f"{servers}{machines(configuration)}"


def machines(configuration: Configuration) -> str:
    """Return the devices of a server, those of a draft or of experts after the others."""
    own = f"{configuration.device_count} x {configuration.labels['device']}"
    return f"{own}{beside_of(configuration)}"


def _opening(pool: Pool, ahead: Pool | None, traffic: Traffic) -> Iterator[Block]:
    yield Title(subject(*pool, ahead))
    yield Paragraph(_setting(*pool), "dim")
    if ahead:
        yield Paragraph(f"prompts: {_setting(*ahead)}", "dim")
    yield Paragraph(f"traffic: {told(traffic)}", "dim")
    if pool[0].in_the_rent:
        yield Paragraph(pool[0].in_the_rent, "doubt")
    for remark in dict.fromkeys((*pool[0].unreal, *(ahead[0].unreal if ahead else ()))):
        yield Paragraph(remark, "doubt")


def _setting(configuration: Configuration, rules: Rules) -> str:
    labels, numbers = configuration.labels, configuration.numbers
    parts = [
        f"engine {labels['engine']}",
        f"weights {labels['weight_format']}",
        f"KV {labels['kv_format']}",
    ]
    parts += [f"{name} {labels[name]}" for name in ("tp", "pp", "dp", "ep") if numbers[name] > 1]
    parts += [
        f"{name.replace('_', ' ')} {value}"
        for name, value in configuration.of_pool.items()
        if name == "expert_parts"
    ]
    parts += stated_of(configuration)
    parts += [f"KV tiers {rules.kv_tiers}"] if rules.kv_tiers != NONE else []
    parts += [f"routing {rules.routing}"] if rules.replicas > 1 else []
    return ", ".join(parts)


def _verdict(found: Figures) -> Iterator[Block]:
    status = str(found["status"])
    verdict = _VERDICTS[status].format(
        completed=f"{found['completed']:,}",
        requests=f"{found['requests']:,}",
        growth=significant(_value(found, "queue_growth_per_s"), 3),
    )
    lines = [verdict]
    if found["rejected"] and status != "rejected":
        lines.append(f"{found['rejected']:,} never fit the KV cache and were rejected.")
    tiles = (
        Tile(_seconds(found, "ttft_p99_s"), "TTFT p99", _range(found, "ttft_p99", "s")),
        Tile(_seconds(found, "tpot_p95_s"), "TPOT p95", _range(found, "tpot_p95", "s")),
        Tile(significant(_value(found, "output_tokens_per_s")), "tokens/s", "all replicas"),
        Tile(
            quantity(_value(found, "energy_per_output_token_j"), "J"),
            "per token",
            _range(found, "energy_per_output_token", "J"),
        ),
        Tile(
            f"${significant(_value(found, 'cost_per_mtok_output_usd'))}",
            "per Mtok out",
            "idle paid",
        ),
    )
    yield Panel(tiles, lines, "" if status == "ok" else "bad")


def _percentiles(found: Figures) -> Iterator[Block]:
    rows = []
    for latency, name in _LATENCIES.items():
        cells = [_seconds(found, f"{latency}_{statistic}_s") for statistic in _STATISTICS]
        tail = _value(found, f"{latency}_p99_s")
        middle = _value(found, f"{latency}_p50_s")
        picture = bar(middle / tail, _BAR) if tail > 0.0 else ""
        rows.append(Row((name, *cells, picture)))
    yield Heading("Latency")
    yield Table(
        (*left(""), *right(*_STATISTICS), Column("p50 of p99", picture=True, style="cyan")), rows
    )
    yield Paragraph(
        "TTFT: time to first token; TPOT: a request's mean time per output token after the "
        "first; ITL: time between two tokens, of all requests together. Ranges above are "
        "80 % intervals.",
        "dim",
    )


def _objectives(found: Figures, slos: Mapping[str, float]) -> Iterator[Block]:
    if not slos:
        return
    rows, styles = [], {}
    for place, (name, bound) in enumerate(slos.items()):
        limit = f"<= {format_quantity(bound, 's')}"
        if name in found:
            met = _value(found, name) <= bound
            rows.append(Row((name, limit, _seconds(found, name), "met" if met else "MISSED")))
            styles[place, 3] = "good" if met else "bad"
        else:
            rows.append(Row((name, limit, "", "of each request")))
    yield Heading(f"Objectives: {found['slo']}")
    yield Table((*left("latency"), *right("limit", "this"), *left("")), rows, styles=styles)
    goodput = (
        f"{_value(found, 'good_share'):.1%} of the requests meet all objectives individually, "
    )
    goodput += f"{significant(_value(found, 'goodput_requests_per_s'), 3)} per second"
    yield Facts((("goodput", goodput),))


def _service(found: Figures) -> Iterator[Block]:
    def three(name: str) -> str:
        return significant(_value(found, name), 3)

    def share(name: str) -> str:
        return f"{_value(found, name):.1%}"

    throughput = f"{three('requests_per_s')} requests/s, {three('output_tokens_per_s')} tokens/s "
    throughput += f"out, {three('input_tokens_per_s')} in, over {_seconds(found, 'makespan_s')}"
    requests = f"{three('batch_mean')} running and {three('queue_mean')} waiting on average; "
    requests += f"a request waits {_seconds(found, 'queued_mean_s')}"
    cache = f"{_value(found, 'kv_tokens'):,.0f} tokens per replica, {share('kv_use_mean')} in use "
    cache += f"on average, {share('kv_use_max')} at most; "
    cache += plural(int(_value(found, "preemptions")), "preemption")
    yield Heading("Servers")
    yield Facts(
        (
            ("throughput", throughput),
            ("busy", f"{share('busy_share')} of the time, {found['steps']:,} steps"),
            ("requests", requests),
            ("KV cache", cache),
            ("prefix cache", _hits(found)),
        )
    )


def _hits(found: Figures) -> str:
    """Return the hit rate of the prefix cache, by tier if several were hit."""
    text = f"{_value(found, 'prefix_hit_rate'):.1%} of the prompts' tokens hit"
    rates = {tier: _value(found, f"prefix_hit_rate_{tier}") for tier in ("hbm", *TIERS)}
    if sum(rate > 0.0 for rate in rates.values()) < 2:
        return text
    parts = ", ".join(f"{rate:.1%} in {tier.upper()}" for tier, rate in rates.items() if rate > 0.0)
    return f"{text}: {parts}; loads: {_value(found, 'kv_load_share'):.1%} of the time"


def _money(configuration: Configuration, found: Figures) -> Iterator[Block]:
    yield Heading("Energy and cost, including idle time")
    rows = [
        Row(
            (
                name,
                quantity(_value(found, f"energy_per_{key}_j"), "J"),
                f"${significant(_value(found, f'cost_per_{key}_usd'), 3)}",
            )
        )
        for key, name in (("request", "per request"), ("session", "per session"))
        if f"cost_per_{key}_usd" in found
    ]
    yield Table((*left(""), *right("energy", "cost")), rows)
    devices = f"{plural(int(_value(found, 'devices')), 'device')}, {configuration.purchase}"
    yield Facts(
        (
            ("power", f"{format_quantity(_value(found, 'power_w'), 'W')} per device"),
            ("month", f"${_value(found, 'cost_per_month_usd'):,.0f} for {devices}"),
        )
    )


def _value(found: Figures, name: str) -> float:
    value = found[name]
    return value if isinstance(value, int | float) else float("nan")


def _range(found: Figures, name: str, unit: str) -> str:
    low, high = (_value(found, f"{name}_{end}_{unit.lower()}") for end in ("low", "high"))
    return "" if low != low else interval(low, high, unit)  # noqa: PLR0124 - NaN


def _seconds(found: Figures, name: str) -> str:
    value = _value(found, name)
    return "-" if value != value else format_quantity(value, "s", 3)  # noqa: PLR0124 - NaN
