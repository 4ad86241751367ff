"""The card of ``perfcore point``: a configuration for people, in 80 columns of plain text."""

from collections import Counter
from typing import Final

import click

from perfcore.cli.text import bar, facts, heading, paragraph, plural, quantity, width
from perfcore.columns import BOUND, STATUS
from perfcore.configuration import Configuration
from perfcore.physics.memory import usable_bytes
from perfcore.physics.point import Point
from perfcore.units import format_quantity

_TERMS: Final = (
    ("weights_s", "weights", "read from memory"),
    ("kv_s", "KV cache", "read from memory"),
    ("activations_s", "activations", "moved through memory"),
    ("compute_s", "compute", "arithmetic"),
    ("network_s", "network", "exchange between devices"),
    ("latency_s", "latency", "operator start-up, host"),
)
_BINDS: Final = dict(zip(BOUND, (name for _, name, _ in _TERMS), strict=True))
_MORE: Final = 0.10
_MOST_DIVISORS: Final = 8


def show(configuration: Configuration) -> None:
    """Print the card."""
    point = configuration.evaluate()
    bound = configuration.bound()
    _verdict(configuration, point)
    _time(point, bound)
    _memory(configuration, point)
    _physics(point, bound)
    _sensitivity(point)
    _provenance(configuration)


def _verdict(configuration: Configuration, point: Point) -> None:
    labels = configuration.labels
    devices = configuration.numbers["tp"] * configuration.numbers["pp"]
    click.secho(f"{labels['model']} on {devices} x {labels['device']}", bold=True)
    paragraph(
        f"engine {labels['engine']}, weights {labels['weight_format']}, KV cache "
        f"{labels['kv_format']}, tp {labels['tp']}, pp {labels['pp']}, batch {labels['batch']}, "
        f"{labels['input_len']} tokens in, {labels['output_len']} out",
        "",
    )
    for what_if in configuration.what_ifs:
        sign = " x" if what_if.mode == "scale" else " ="
        click.echo(f"what if {what_if.key}{sign} {what_if.values[0]:g}")
    click.echo()
    status = STATUS[int(point.status)]
    if status != STATUS[0]:
        click.secho(f"DOES NOT RUN: {status}", bold=True, fg="red")
        paragraph(remedy(configuration, point), "")
        click.echo("The figures below are what it would do if it could.\n")
    facts(
        (
            (
                "time per token",
                (
                    f"{format_quantity(point.tpot_s, 's')} (TPOT), after "
                    f"{format_quantity(point.ttft_s, 's')} to the first (TTFT)"
                ),
            ),
            (
                "speed",
                (
                    f"{point.tokens_per_s_per_user:.4g} tokens/s per user, "
                    f"{point.tokens_per_s_per_device:.4g} per device"
                ),
            ),
            (
                "request",
                (
                    f"{format_quantity(point.e2e_latency_s, 's')}, "
                    f"{format_quantity(point.energy_per_request_j, 'J')}"
                ),
            ),
            (
                "energy",
                f"{format_quantity(point.energy_per_output_token_j, 'J')} per output token, "
                f"{format_quantity(point.energy_per_input_token_j, 'J')} per input token"
                + _mark(configuration, "board_power", "idle_power"),
            ),
            (
                "cost",
                f"${point.cost_per_mtok_output_usd:.4g} per Mtok out, "
                f"${point.cost_per_mtok_input_usd:.4g} per Mtok in"
                + _mark(configuration, "price_per_hour"),
            ),
            ("waits for", f"{_BINDS[BOUND[int(point.bound)]]} most"),
        )
    )


def _mark(configuration: Configuration, *fields: str) -> str:
    """Return a remark if a figure of the device on which a line depends is estimated."""
    estimated = any(
        estimate.kind == "device" and estimate.field in fields
        for estimate in configuration.estimated
    )
    return " (estimated)" if estimated else ""


def _time(point: Point, bound: Point) -> None:
    heading("Where the time of a token goes")
    for column, name, meaning in _TERMS:
        seconds = getattr(point, column)
        share = seconds / point.tpot_s
        line = f"  {name:<12}{seconds * 1e3:>10.4f} ms {share:>6.1%}  {bar(share, 16):<16}"
        click.echo(f"{line}  {meaning}".rstrip() if width() >= 76 else line.rstrip())
    click.echo(f"  {'TPOT':<12}{point.tpot_s * 1e3:>10.4f} ms {1:>6.1%}")
    click.echo(
        f"  {'bound':<12}{bound.tpot_s * 1e3:>10.4f} ms {bound.tpot_s / point.tpot_s:>6.1%}"
        f"  {bar(bound.tpot_s / point.tpot_s, 16):<16}  ideal engine, same machine"
    )


def _memory(configuration: Configuration, point: Point) -> None:
    made = configuration.records
    capacity = made.device.memory_bytes
    usable = usable_bytes(made.device, made.engine)
    heading("Memory of a device")
    for name, size in (
        ("weights", point.weight_bytes_per_device),
        ("KV cache", point.kv_bytes_per_device),
        ("together", point.total_bytes_per_device),
    ):
        share = size / capacity
        click.echo(
            f"  {name:<12}{format_quantity(size, 'B'):>10}    {share:>6.1%}  {bar(share, 16)}"
        )
    facts(
        (
            (
                "  of",
                (
                    f"{format_quantity(capacity, 'B')}, of which the engine may use "
                    f"{format_quantity(usable, 'B')}"
                ),
            ),
            ("  room for", f"batch {point.max_batch:,.0f} at these lengths"),
        )
    )


def _physics(point: Point, bound: Point) -> None:
    heading("Against the physical bound")
    facts(
        (
            (
                "TPOT",
                (
                    f"{point.tpot_s / bound.tpot_s:.2f} x the bound of "
                    f"{format_quantity(bound.tpot_s, 's')}"
                ),
            ),
            (
                "TTFT",
                (
                    f"{point.ttft_s / bound.ttft_s:.2f} x the bound of "
                    f"{format_quantity(bound.ttft_s, 's')}"
                ),
            ),
            ("bandwidth", f"{point.mbu:.1%} of the data sheet's used in decode (MBU)"),
            (
                "arithmetic",
                f"{point.mfu:.2%} used in decode (MFU); {point.arithmetic_intensity:.3g} FLOP/byte",
            ),
            ("ridge", f"compute binds weights from {point.ridge_batch:,.0f} tokens a step on"),
        ),
        "  ",
    )


def _sensitivity(point: Point) -> None:
    heading("What it would buy, in tokens/s")
    gains = (
        ("+10 % memory bandwidth", point.elasticity_bandwidth, 1.0 - 1.0 / (1.0 + _MORE)),
        ("+10 % FLOP/s", point.elasticity_compute, 1.0 - 1.0 / (1.0 + _MORE)),
        ("+10 % link bandwidth", point.elasticity_link, 1.0 - 1.0 / (1.0 + _MORE)),
        ("-10 % fixed latencies", point.elasticity_latency, _MORE),
    )
    for name, elasticity, saved in gains:
        click.echo(f"  {name:<24}{1.0 / (1.0 - elasticity * saved) - 1.0:>+7.2%}")


def _provenance(configuration: Configuration) -> None:
    heading("What it rests on")
    bases = Counter(constant.basis for constant in configuration.constants.values())
    words = {"fit": "fitted", "assumption": "assumed", "definition": "by definition"}
    counted = ", ".join(f"{count} {words[basis]}" for basis, count in bases.most_common())
    name = configuration.labels["engine"]
    paragraph(f"engine {name}: constants {counted} (`perfcore engines show {name}`)")
    for entry in configuration.hypothetical:
        paragraph(f"{entry} is hypothetical")
    found = configuration.estimated
    if found:
        click.echo(f"  {plural(len(found), 'figure')} estimated, as nobody publishes them:")
    for estimate in found:
        owner = estimate.entry if estimate.kind != "economics" else "economics"
        paragraph(f"{owner}: {estimate.field}: {estimate.derivation}", "    ")


def remedy(configuration: Configuration, point: Point) -> str:
    """Return what to change so that a configuration runs; empty if it does."""
    made, numbers, labels = configuration.records, configuration.numbers, configuration.labels
    heads, layers = int(made.model.heads), int(made.model.layers)
    divisors = [n for n in range(1, heads + 1) if heads % n == 0][:_MOST_DIVISORS]
    usable = quantity(usable_bytes(made.device, made.engine), "B")
    weights = f"{quantity(point.weight_bytes_per_device, 'B')} of weights"
    cache = f"{quantity(point.kv_bytes_per_device, 'B')} of KV cache"
    needed = f"it takes at least {plural(int(point.devices_needed), 'device')}"
    tokens = f"{numbers['input_len']} + {numbers['output_len']} tokens"
    fewer = f"use --batch {point.max_batch:.0f} or less" if point.max_batch else "raise --tp"
    status = int(point.status)
    problem = (
        "",
        f"{plural(heads, 'query head')} cannot be split over tp = {numbers['tp']}",
        f"{plural(layers, 'layer')} cannot be split over pp = {numbers['pp']}",
        f"{labels['device']} has no arithmetic for {labels['weight_format']}",
        f"{weights}, of {usable} that may be used; {needed}",
        f"{tokens} are more than the model's {made.model.max_context:,.0f}",
        f"{cache} besides {weights}, of {usable} that may be used; {needed}",
    )
    advice = (
        "",
        f"use --tp {', '.join(map(str, divisors))}",
        f"use --pp {layers} or less",
        "use another --weight-format",
        "raise --tp or --pp, or use fewer bits (--weight-format)",
        "shorten --input-len or --output-len",
        f"{fewer}, or shorten --input-len, or use a smaller --kv-format",
    )
    return f"{problem[status]}: {advice[status]}" if status else ""
