"""Card of ``perfcore point``: one configuration explained, as blocks of a document."""

from collections import Counter
from collections.abc import Iterator
from math import inf
from typing import Final

from perfcore.catalog.estimates import PRICES
from perfcore.catalog.model_entry import ModelEntry
from perfcore.cli.document import Block, Facts, Heading, Panel, Paragraph, Tile, Title
from perfcore.cli.text import duration, part_bar, width
from perfcore.columns import BOUND, STATUS
from perfcore.configuration.alternatives import Alternative, alternatives, fitting, gains
from perfcore.configuration.configuration import Configuration
from perfcore.configuration.provenance import VERDICT, Figure, figures
from perfcore.physics.cost import YEAR, payback_s, sale_price
from perfcore.physics.hybrid import tables_here
from perfcore.physics.memory import activation_bytes, second_tier_bytes
from perfcore.physics.parallelism import lay_out
from perfcore.physics.speculation import accepted_tokens
from perfcore.physics.stages.capacity import HostShares
from perfcore.physics.stages.point import Point
from perfcore.physics.stages.replica import OK
from perfcore.physics.weights import table_bytes
from perfcore.tables import Column, Row, Table, left, right
from perfcore.units import format_quantity, plural, significant

TERMS: Final = (
    ("weights_s", "weights", "read from memory"),
    ("kv_s", "KV cache", "read from memory"),
    ("activations_s", "activations", "moved through memory"),
    ("compute_s", "compute", "arithmetic"),
    ("network_s", "network", "traffic between devices"),
    ("latency_s", "latency", "kernel launches, host"),
    ("prefill_s", "prefill", "other requests' prompts"),
    ("offload_s", "offload", "second memory tier, CPU"),
)
BINDS: Final = dict(zip(BOUND, (name for _, name, _ in TERMS), strict=True))
_OFFLOADED: Final = {
    "weights": "weights may be offloaded",
    "kv": "KV cache may be offloaded",
    "experts": "experts computed by the CPU",
}
_RESTS_ON: Final = {
    "own": "{engine} was fitted to measurements on {device}",
    "class": "{engine} was fitted to measurements on the class of {device}, but not on {device} "
    "itself or not with the kernel of {weight_format}",
    "unseen": "{engine} was not measured on the class and vendor of {device}, or neither on "
    "{device} nor with the kernel of {weight_format}; data sheet and class defaults are used",
    "claim": "only the vendor's own figures are known for {device}",
}
_MATTERS: Final = 0.1  # least effect that the card shows: % of the verdict per % of a figure
_MOST_SHOWN: Final = 12
_DOUBTFUL: Final = ("estimated", "vendor claim", "assumed")
_TEXT: Final = 62  # columns of a line of terms, without its bar
_BARS: Final = (10, 40)  # smallest and largest size of a bar, in columns
_BAR: Final = Column(picture=True)
_NOTHING: Final = 5e-5  # changes that round to 0.00%


def card(configuration: Configuration, *, sources: bool = False) -> list[Block]:
    """Return the card; with ``sources``, also every figure used and its source.

    The card of a configuration that cannot run gives the reason, and what would run instead.
    """
    point = configuration.evaluate()
    if point.status != OK:
        blocks = [*_opening(configuration), *_refusal(configuration, point)]
    else:
        bound = configuration.bound()
        blocks = [
            *_opening(configuration),
            *_verdict(configuration, point, bound),
            *_time(configuration, point, bound),
            *_memory(configuration, point),
            *_physics(point, bound),
            *_help(configuration),
            *_alternatives(configuration, point),
            *_provenance(configuration),
        ]
    if sources:
        blocks += _sources(configuration)
    return blocks


def _opening(configuration: Configuration) -> Iterator[Block]:
    labels = configuration.labels
    ahead = configuration.ahead
    prompts = f", prompts on {ahead.device_count} x {ahead.labels['device']}" if ahead else ""
    name = f"{labels['model']} on {configuration.device_count} x {labels['device']}"
    yield Title(f"{name}{prompts}{beside_of(configuration)}")
    yield Paragraph(", ".join(setting(configuration)), "dim")
    if configuration.chosen:
        yield Paragraph(configuration.chosen, "dim")
    without_effect = configuration.without_effect
    for what_if in configuration.what_ifs:
        sign = " x" if what_if.mode == "scale" else " ="
        idle = ", which changes nothing here" if what_if in without_effect else ""
        yield Paragraph(f"what if {what_if.key}{sign} {what_if.values[0]:g}{idle}", "doubt")
    if configuration.in_the_rent:
        yield Paragraph(configuration.in_the_rent, "doubt")
    for remark in configuration.remarks:
        yield Paragraph(remark, "doubt")
    for remark in configuration.unreal:
        yield Paragraph(remark, "doubt")


def beside_of(configuration: Configuration) -> str:
    """Return the devices of a draft or of experts, if they are others."""
    beside = configuration.beside
    if beside is None:
        return ""
    devices = f"{configuration.devices_beside} x {beside.labels['device']}"
    if configuration.draft_model:
        return f", draft {beside.labels['model']} on {devices}"
    return f", experts on {devices}"


def _counted_beside(configuration: Configuration) -> str:
    """Return how many more devices are paid for, if any are."""
    if configuration.beside is None:
        return ""
    whose = "the draft" if configuration.draft_model else "experts"
    return f" and {configuration.devices_beside} for {whose}"


def _terms(configuration: Configuration) -> tuple[tuple[str, str, str], ...]:
    """Return the parts of a token's time by column: name and meaning."""
    if configuration.beside is None:
        return TERMS
    name, meaning = "experts", "on their devices, links"
    if configuration.draft_model:
        name, meaning = "draft", "on its devices, links"
    return (*TERMS[:-1], ("offload_s", name, meaning))


def _refusal(configuration: Configuration, point: Point) -> Iterator[Block]:
    yield Panel(
        [],
        [f"DOES NOT RUN: {STATUS[int(point.status)]}", configuration.remedy],
        "bad",
    )
    yield from _memory(configuration, point)
    found = fitting(configuration)
    yield Heading("What would run")
    if found:
        yield _side_by_side(found)
    else:
        yield Paragraph("no single change is enough; fix this first, then try again")


def _verdict(configuration: Configuration, point: Point, bound: Point) -> Iterator[Block]:
    column, binds, meaning = _terms(configuration)[int(point.bound)]
    request = configuration.per_request()
    share = getattr(point, column) / point.tpot_s
    yield Panel(
        (
            Tile(
                format_quantity(point.tpot_s, "s"),
                "per token",
                interval(point.tpot_low_s, point.tpot_high_s, "s"),
            ),
            Tile(significant(point.tokens_per_s_per_user), "tokens/s", "per user"),
            Tile(significant(point.tokens_per_s_per_device), "tokens/s", "per device"),
            Tile(
                format_quantity(point.energy_per_output_token_j, "J"),
                "per token",
                interval(
                    point.energy_per_output_token_low_j, point.energy_per_output_token_high_j, "J"
                ),
            ),
            Tile(
                f"${significant(point.cost_per_mtok_output_usd)}",
                "per Mtok out",
                configuration.purchase,
            ),
        ),
        (
            f"Bottleneck: {binds}, {share:.1%} of the time per token ({meaning}).",
            (
                f"{point.tpot_s / bound.tpot_s:.2f} x the physical bound of "
                f"{format_quantity(bound.tpot_s, 's')}. Ranges are 80 % intervals."
            ),
        ),
    )
    yield Facts(
        (
            (
                "first token",
                (
                    f"after {format_quantity(point.ttft_s, 's')} (TTFT), "
                    f"{interval(point.ttft_low_s, point.ttft_high_s, 's')}"
                ),
            ),
            *_serving(configuration, point),
            *_speculation(configuration, point),
            (
                "request",
                (
                    f"{format_quantity(point.e2e_latency_s, 's')}, "
                    f"{format_quantity(point.energy_per_request_j, 'J')}, "
                    f"${significant(request.usd, 3)}, {significant(request.co2e_g, 3)} g CO2e"
                ),
            ),
            (
                "throughput",
                (
                    f"{significant(point.requests_per_s * configuration.records.output_len)} "
                    f"tokens/s, {significant(point.requests_per_s, 3)} requests/s on "
                    f"{plural(configuration.device_count, 'device')}"
                    + _counted_beside(configuration)
                ),
            ),
            (
                "energy",
                f"{format_quantity(point.energy_per_output_token_j, 'J')} per output token, "
                f"{format_quantity(point.energy_per_input_token_j, 'J')} per input token"
                + _mark(configuration, "board_power", "idle_power"),
            ),
            *_money(configuration, point),
            ("quality", configuration.entries.weight_format.loss),
        )
    )


def interval(low: float, high: float, unit: str) -> str:
    """Return two quantities as an interval in the unit of the higher one."""
    first, last = format_quantity(low, unit, 3), format_quantity(high, unit, 3)
    (start, its_unit), (end, last_unit) = first.split(" "), last.split(" ")
    if its_unit != last_unit and float(end):
        return (
            f"{significant(low * float(end) / high, 2)} to {significant(float(end), 2)} {last_unit}"
        )
    return f"{start} to {last}"


def setting(configuration: Configuration) -> list[str]:
    """Return the settings of a configuration; optional ones only if they are used."""
    labels, numbers = configuration.labels, configuration.numbers
    served = labels["scheduler"] != "static"
    degrees = [f"{name} {labels[name]}" for name in ("pp", "dp", "ep") if numbers[name] > 1]
    cached = f" ({numbers['prefix_hit']:.1%} cached)" if numbers["prefix_hit"] else ""
    told = [
        f"engine {labels['engine']}",
        f"weights {labels['weight_format']}",
        f"KV {labels['kv_format']}",
        f"tp {labels['tp']}",
        *degrees,
        f"{labels['batch']} requests in flight" if served else f"batch {labels['batch']}",
        f"{labels['input_len']} tokens in{cached}",
        f"{labels['output_len']} out",
    ]
    if served:
        told.append(
            {"continuous": "continuous batching"}.get(
                str(labels["scheduler"]), "disaggregated prefill"
            )
        )
    if numbers["draft_len"]:
        told.append(f"{labels['draft_len']} draft tokens at acceptance {numbers['acceptance']:g}")
    if labels["offload"] != "none":
        told.append(_OFFLOADED[str(labels["offload"])])
    layers = configuration.records.model.layers
    if labels["offload"] == "experts" and numbers["cpu_moe_layers"] < layers:
        told[-1] += f" in {labels['cpu_moe_layers']} of {layers:.0f} layers"
    if numbers["gpu_layers"] < layers:
        told.append(f"{labels['gpu_layers']} of {layers:.0f} layers on the GPU")
    return told + stated_of(configuration)


def stated_of(configuration: Configuration) -> list[str]:
    """Return the settings of the engine's stack and the power limit, in words."""
    told = []
    for name, value in configuration.stated.items():
        text = value if isinstance(value, str) else f"{value:g}"
        unit = {"prefill_chunk": " tokens", "power_limit": " W"}.get(name, "")
        told.append(name if value == "true" else f"{name.replace('_', ' ')} {text}{unit}")
    return told


def _serving(configuration: Configuration, point: Point) -> list[tuple[str, str]]:
    """Return running and waiting requests, and the prefill pool of a disaggregated server."""
    if configuration.scheduler == "static":
        return []
    waiting = configuration.numbers["batch"] - point.running_batch
    load = f"{plural(int(point.running_batch), 'request')} running"
    load += f", {waiting:,.0f} waiting" if waiting > 0 else ""
    lines = [("serving", f"{load}; {significant(point.requests_per_s, 3)} finished per second")]
    if point.prefill_pool > 0.0:
        pool = f"{significant(point.prefill_pool, 3)} prefill replicas per decode replica"
        each = configuration.ahead or configuration
        devices = significant(point.prefill_pool * each.device_count, 3)
        lines.append(("prefill pool", f"{pool}, {devices} devices"))
        link = configuration.link()
        over = ": more than it carries, so caches would queue" if link.busy > 1.0 else ""
        sent = f"{format_quantity(link.size, 'B')} a prompt in {format_quantity(link.seconds, 's')}"
        lines.append(("link", f"{sent}, busy {link.busy:.1%} of the time{over}"))
    return lines


def _speculation(configuration: Configuration, point: Point) -> list[tuple[str, str]]:
    """Return the expected tokens per step of speculative decoding, and its speed-up."""
    numbers = configuration.numbers
    if not numbers["draft_len"]:
        return []
    gain = configuration.without_speculation().tpot_s / point.tpot_s
    expected = accepted_tokens(
        numbers["draft_len"], numbers["acceptance"], numbers["acceptance_decay"]
    )
    return [
        (
            "speculation",
            f"{expected:.3g} tokens expected per step; {gain:.2f} x the speed without it",
        )
    ]


def _money(configuration: Configuration, point: Point) -> list[tuple[str, str]]:
    """Return costs, and the utilisation at which they equal the price of bought tokens."""
    cached = f", ${significant(point.cost_per_mtok_cached_input_usd, 3)} cached"
    prices = (
        f"${significant(point.cost_per_mtok_output_usd)} per Mtok out, "
        f"${significant(point.cost_per_mtok_input_usd)} in"
        + (cached if configuration.numbers["prefix_hit"] else "")
        + f", {configuration.purchase}"
        + _mark(configuration, PRICES[configuration.purchase])
    )
    made = configuration.records
    facility = made.economics
    share = point.break_even_utilization
    token = f"${significant(sale_price(made.model, facility), 3)} per Mtok out"
    use = (
        f"cheaper than buying tokens at {token} above {share:.1%} utilisation"
        if share <= 1.0
        else f"never cheaper than buying tokens at {token}: "
        f"{significant(share, 3)} x that price even at full utilisation"
    )
    return [
        ("cost", prices),
        *_payback(configuration),
        ("break-even", f"{use}; {facility.utilization:.0%} assumed"),
        ("token price", _token_price(configuration)),
    ]


def _payback(configuration: Configuration) -> list[tuple[str, str]]:
    """Return when an owned device has cost no more than a rented one, if there is a rent."""
    made, entry = configuration.records, configuration.entries.device
    if configuration.purchase != "owned" or entry.price_per_hour_basis.startswith("owned"):
        return []
    said = []
    for share, when in ((1.0, "around the clock"), (made.economics.utilization, "when busy")):
        seconds = payback_s(made.device, made.economics, share)
        months = f"after {seconds / YEAR * 12:.0f} months" if seconds < inf else "never"
        said.append(f"{months} of rent {when}")
    rent = made.device.price_per_hour * made.economics.price_multiplier
    return [("payback", f"{', '.join(said)}, at ${significant(rent, 3)} per hour")]


def _token_price(configuration: Configuration) -> str:
    """Return the source of the token price of the break-even."""
    entry = configuration.entries.model
    if configuration.records.economics.token_price > 0.0:
        return "as stated in economics.token_price"
    if entry.token_price is None:
        return f"no list price of {entry.name} is known: that of a 70B; state economics.token_price"
    return entry.token_price_source


def _mark(configuration: Configuration, *fields: str) -> str:
    """Return a remark if any of these figures of the device is estimated."""
    estimated = any(
        estimate.kind == "device" and estimate.field in fields
        for estimate in configuration.estimated
    )
    return " (estimated)" if estimated else ""


def _bar_size() -> int:
    return min(max(width() - _TEXT, _BARS[0]), _BARS[1])


def _time(configuration: Configuration, point: Point, bound: Point) -> Iterator[Block]:
    size = _bar_size()
    rows = []
    before = 0.0
    for column, name, meaning in _terms(configuration):
        seconds = getattr(point, column)
        if seconds == 0.0:
            continue
        picture = part_bar(before / point.tpot_s, (before + seconds) / point.tpot_s, size)
        rows.append(Row((*_term(name, seconds, point), picture, meaning)))
        before += seconds
    whole = part_bar(0.0, bound.tpot_s / point.tpot_s, size)
    rows += [
        Row((*_term("TPOT", point.tpot_s, point), part_bar(0.0, 1.0, size), ""), "bold"),
        Row((*_term("bound", bound.tpot_s, point), whole, "ideal engine"), "dim"),
    ]
    binding = _terms(configuration)[int(point.bound)][1]
    styles = {
        (number, 3): "bad" if row.cells[0] == binding else "cyan"
        for number, row in enumerate(rows[:-2])
    }
    yield Heading("Where the time per token goes")
    yield Table((*left(""), *right("", ""), _BAR, *left("")), rows, styles=styles)


def _term(name: str, seconds: float, point: Point) -> tuple[str, str, str]:
    return name, f"{seconds * 1e3:.4f} ms", f"{seconds / point.tpot_s:.1%}"


def _memory(configuration: Configuration, point: Point) -> Iterator[Block]:
    made = configuration.records
    capacity = made.device.memory_capacity
    usable = made.usable_bytes
    layout = lay_out(made.model, made.device, made.deployment)
    activations = activation_bytes(made.model, made.engine, layout)
    together = point.total_bytes_per_device
    here = together - point.offloaded_bytes_per_device
    moved = _moved(configuration, point)
    held = [
        ("weights", point.weight_bytes_per_device - moved.weights, "cyan"),
        ("KV cache", point.kv_bytes_per_device - moved.cache, "cyan"),
    ]
    if configuration.computes_on_cpu:
        held = [("its part", here, "cyan")]
    parts = [
        *held,
        ("free", max(usable - here, 0.0), "dim"),
        ("activations", activations, "dim"),
        ("engine reserve", max(capacity - max(usable, here) - activations, 0.0), "dim"),
    ]
    scale = max(capacity, sum(size for _, size, _ in parts))
    rows: list[Row] = []
    styles: dict[tuple[int, int], str] = {}
    before = 0.0
    for name, size, style in parts:
        if size > 0.0:
            picture = part_bar(before / scale, (before + size) / scale, _bar_size())
            row = (name, format_quantity(size, "B"), f"{size / capacity:.1%}", picture)
            styles[len(rows), 3] = style
            rows.append(Row(row))
        before += size
    if here > usable:
        lacking = (here - usable, "bad")
        picture = part_bar(usable / scale, here / scale, _bar_size())
        row = (
            "excess",
            format_quantity(lacking[0], "B"),
            f"{lacking[0] / capacity:.1%}",
            picture,
        )
        rows.append(Row(row, "bad"))
    yield Heading(
        f"Memory per device: {format_quantity(capacity, 'B')}, "
        f"{format_quantity(usable, 'B')} usable"
    )
    yield Table((*left(""), *right("", ""), _BAR), rows, styles=styles)
    pairs = []
    in_host = configuration.computes_on_cpu or (
        made.model.table_elements > 0.0 and made.device.host_memory_capacity > 0.0
    )
    if in_host:
        pairs.append(("host", _host_memory(configuration, point)))
    elif point.offloaded_bytes_per_device > 0.0:
        tier = format_quantity(second_tier_bytes(made.device, made.engine), "B")
        away = format_quantity(point.offloaded_bytes_per_device, "B")
        entry = configuration.entries.device
        own = entry.memory2_kind if made.device.memory2_capacity > 0.0 else "host memory"
        pairs.append(("offloaded", f"{away} moved into {tier} of {own}"))
    if point.max_batch > 0.0:
        pairs.append(("max batch", f"{point.max_batch:,.0f} at these lengths"))
    yield Facts(pairs)


def _moved(configuration: Configuration, point: Point) -> HostShares:
    """Return the parts of weights and cache that are not in device memory."""
    made = configuration.records
    away = point.offloaded_bytes_per_device
    if configuration.offload != "kv":
        return HostShares(weights=away, cache=0.0)
    tables = 0.0
    if tables_here(made.device) == 0.0:
        tables = table_bytes(made.model, made.weight_format) / configuration.device_count
    return HostShares(weights=tables, cache=away - tables)


def _host_memory(configuration: Configuration, point: Point) -> str:
    """Return the contents of host memory, and the speed of the host."""
    device = configuration.records.device
    away = point.offloaded_bytes_per_device * configuration.device_count
    return (
        f"{format_quantity(away, 'B')} of {format_quantity(device.host_memory_capacity, 'B')} at "
        f"{format_quantity(device.host_memory_bandwidth, 'B/s')}, "
        f"{format_quantity(device.host_flops, 'FLOP/s')}; link "
        f"{format_quantity(device.memory2_bandwidth, 'B/s')}"
    )


def _physics(point: Point, bound: Point) -> Iterator[Block]:
    rows = [
        Row(
            (
                name,
                format_quantity(this, "s"),
                format_quantity(least, "s"),
                f"{this / least:.2f} x",
                part_bar(0.0, least / this, _bar_size()),
            )
        )
        for name, this, least in (
            ("TPOT", point.tpot_s, bound.tpot_s),
            ("TTFT", point.ttft_s, bound.ttft_s),
        )
    ]
    used = [
        Row((name, f"{share:.2%}", "100%", "", part_bar(0.0, share, _bar_size())))
        for name, share in (("bandwidth (MBU)", point.mbu), ("FLOP/s (MFU)", point.mfu))
    ]
    yield Heading("Distance from the physical bound in decode")
    bar = Column("share of the bound", picture=True, style="cyan")
    yield Table((*left(""), *right("this", "bound", ""), bar), rows + used)
    yield Paragraph(
        f"{significant(point.arithmetic_intensity, 3)} FLOP/byte; weights are compute-bound from "
        f"{point.ridge_batch:,.0f} tokens per step.",
        "dim",
    )


def _help(configuration: Configuration) -> Iterator[Block]:
    rows = []
    for gain in gains(configuration):
        tpot, ttft = gain.tpot_s / gain.before.tpot_s, gain.ttft_s / gain.before.ttft_s
        if max(abs(tpot), abs(ttft)) < _NOTHING:
            continue
        rows.append(
            Row(
                (
                    gain.lever,
                    *_change(gain.tpot_s, tpot),
                    *_change(gain.ttft_s, ttft),
                )
            )
        )
    yield Heading("What would help, one change at a time")
    yield Table((*left(""), *right("TPOT", "", "TTFT", "")), rows)


def _change(seconds: float, share: float) -> tuple[str, str]:
    if abs(share) < _NOTHING:
        return "0", "0"
    return f"{seconds * 1e3:+.3f} ms", f"{share:+.2%}"


def _alternatives(configuration: Configuration, point: Point) -> Iterator[Block]:
    found = alternatives(configuration)
    yield Heading("Nearest alternatives")
    yield _side_by_side((Alternative("this", configuration, point), *found))


def _side_by_side(found: tuple[Alternative, ...]) -> Table:
    """Return configurations as rows, compared with the first if it is the one of the card."""
    first = found[0].point if found[0].difference == "this" else None
    rows = []
    for alternative in found:
        point = alternative.point
        if point.status != OK:
            note = f"does not run: {STATUS[int(point.status)]}"
            rows.append(Row((alternative.difference, *["-"] * 5), note=note, note_style="doubt"))
            continue
        change = ""
        if first is not None and point is not first:
            change = f"{point.tpot_s / first.tpot_s - 1.0:+.1%}"
        rows.append(
            Row(
                (
                    alternative.difference,
                    format_quantity(point.tpot_s, "s"),
                    change,
                    significant(point.tokens_per_s_per_device),
                    format_quantity(point.energy_per_output_token_j, "J"),
                    significant(point.cost_per_mtok_output_usd),
                ),
                "bold" if point is first else "",
            )
        )
    return Table(
        (*left(""), *right("TPOT", "", "tok/s/device", "J/token", "$/Mtok")),
        rows,
        notes_title="status",
    )


def _rests_on(configuration: Configuration) -> str:
    """Return the evidence for a prediction."""
    entries = configuration.entries
    level = entries.engine.calibration(entries.device, entries.weight_format)
    return _RESTS_ON[level].format(
        engine=configuration.labels["engine"],
        device=entries.device.name,
        weight_format=entries.weight_format.name,
    )


def _provenance(configuration: Configuration) -> Iterator[Block]:
    found = figures(configuration)
    shown = sorted(
        (figure for figure in found if figure.effect >= _MATTERS), key=lambda f: -f.effect
    )[:_MOST_SHOWN]
    yield Heading("What the prediction rests on")
    yield Paragraph(
        f"Intervals (80 %): {_rests_on(configuration)}; "
        f"{configuration.constants['low_tpot_served'].source}."
    )
    bases = Counter(figure.basis for figure in found)
    counted = ", ".join(f"{count} {basis}" for basis, count in bases.most_common())
    yield Paragraph(
        f"{plural(len(found), 'figure')} used: {counted}. Those with the largest effect, in % "
        "change of TPOT, J and $ per % change of the figure (--sources shows all):"
    )
    yield _figures(shown, short=True)
    hidden = {(figure.kind, figure.field) for figure in found if figure.basis == "estimated"}
    hidden -= {(figure.kind, figure.field) for figure in shown}
    if hidden:
        names = ", ".join(f"{kind}.{field}" for kind, field in sorted(hidden))
        yield Paragraph(f"Also estimated, with less effect: {names}.", "dim")
    for field, why in configuration.entries.model.estimated.items():
        yield Paragraph(f"The model's {field}: estimated, {why}.", "doubt")


def _figures(found: list[Figure], *, short: bool = False) -> Table:
    """Return figures with their values, effects and sources."""
    return Table(
        (*left("figure"), *right("value", *VERDICT.values())),
        [
            Row(
                (
                    f"{figure.kind}.{figure.field}",
                    _value(figure),
                    *(_effect(figure.effects.get(metric, 0.0)) for metric in VERDICT),
                ),
                note=_rest(figure),
                note_style="doubt" if figure.basis in _DOUBTFUL else "dim",
            )
            for figure in found
        ],
        notes_title="rests on",
        short_notes=short,
    )


def _effect(change: float) -> str:
    return f"{change:+.2f}" if abs(change) >= 0.005 else "0"


def _value(figure: Figure) -> str:
    if figure.unit == "s" and figure.value >= 3600.0:
        return duration(figure.value)
    if not figure.unit:
        return significant(figure.value)
    return format_quantity(figure.value, figure.unit)


def _rest(figure: Figure) -> str:
    return f"{figure.basis}: {figure.source}" if figure.source else figure.basis


def _sources(configuration: Configuration) -> Iterator[Block]:
    found = figures(configuration)
    model = configuration.entries.model
    yield Heading(f"Sources: model {model.name}")
    yield Paragraph(
        model.source or "a family of models, with dimensions from perfcore's shape rule"
    )
    yield Facts(_dimensions(model))
    for kind in dict.fromkeys(figure.kind for figure in found):
        own = [figure for figure in found if figure.kind == kind]
        yield Heading(f"Sources: {kind.replace('_', ' ')} {own[0].entry}")
        yield _figures(own)


def _dimensions(model: ModelEntry) -> list[tuple[str, str]]:
    """Return the numeric dimensions of a model's entry."""
    return [
        (name, f"{value:,}")
        for name in ModelEntry.model_fields
        for value in [getattr(model, name)]
        if isinstance(value, int | float) and not isinstance(value, bool) and value
    ]
