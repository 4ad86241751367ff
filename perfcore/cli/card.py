"""The card of ``perfcore point``: a configuration for people, in 80 columns of plain text."""

from collections import Counter
from typing import Final

import click

from perfcore.cli.remedy import remedy
from perfcore.cli.text import bar, facts, heading, paragraph, plural, width
from perfcore.columns import BOUND, STATUS
from perfcore.configuration import PRICES, Configuration
from perfcore.physics.memory import second_tier_bytes, usable_bytes
from perfcore.physics.point import Point
from perfcore.physics.speculation import accepted_tokens
from perfcore.units import format_quantity

_TERMS: Final = (
    ("weights_s", "weights", "read from memory"),
    ("kv_s", "KV cache", "read from memory"),
    ("activations_s", "activations", "moved through memory"),
    ("compute_s", "compute", "arithmetic"),
    ("network_s", "network", "exchange between devices"),
    ("latency_s", "latency", "operator start-up, host"),
    ("prefill_s", "prefill", "other requests' prompts"),
    ("offload_s", "offload", "second memory tier"),
)
_BINDS: Final = dict(zip(BOUND, (name for _, name, _ in _TERMS), strict=True))
_OFFLOADED: Final = {"weights": "weights", "kv": "KV cache"}
_MORE: Final = 0.10
_RESTS_ON: Final = {
    "own": "{engine} was fitted to measurements on {device}",
    "class": "{engine} was fitted to measurements on other devices of the class of {device}",
    "unseen": "{engine} has no measurement on the class of {device}: data sheet and class default",
    "claim": "of {device} only the vendor's own figures are known",
}


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
    click.secho(
        f"{labels['model']} on {configuration.device_count} x {labels['device']}", bold=True
    )
    paragraph(", ".join(_setting(configuration)), "")
    for what_if in configuration.what_ifs:
        sign = " x" if what_if.mode == "scale" else " ="
        click.echo(f"what if {what_if.key}{sign} {what_if.values[0]:g}")
    click.echo()
    energy = (point.energy_per_output_token_low_j, point.energy_per_output_token_high_j)
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
                    f"{format_quantity(point.tpot_s, 's')} (TPOT), "
                    f"{_range(point.tpot_low_s, point.tpot_high_s, 's')} in four cases of five"
                ),
            ),
            (
                "first token",
                (
                    f"after {format_quantity(point.ttft_s, 's')} (TTFT), "
                    f"{_range(point.ttft_low_s, point.ttft_high_s, 's')}"
                ),
            ),
            (
                "speed",
                (
                    f"{point.tokens_per_s_per_user:.4g} tokens/s per user, "
                    f"{point.tokens_per_s_per_device:.4g} per device"
                ),
            ),
            *_serving(configuration, point),
            *_speculation(configuration, point),
            (
                "request",
                (
                    f"{format_quantity(point.e2e_latency_s, 's')}, "
                    f"{format_quantity(point.energy_per_request_j, 'J')}"
                ),
            ),
            (
                "energy",
                f"{format_quantity(point.energy_per_output_token_j, 'J')} per output token ("
                f"{_range(*energy, 'J')}), "
                f"{format_quantity(point.energy_per_input_token_j, 'J')} per input token"
                + _mark(configuration, "board_power", "idle_power"),
            ),
            *_money(configuration, point),
            ("waits for", f"{_BINDS[BOUND[int(point.bound)]]} most"),
        )
    )


def _range(low: float, high: float, unit: str) -> str:
    """Two quantities as an interval."""
    return f"{format_quantity(low, unit)} to {format_quantity(high, unit)}"


def _setting(configuration: Configuration) -> list[str]:
    """What was asked; parallelism and the rest only where they are used."""
    labels, numbers = configuration.labels, configuration.numbers
    served = labels["scheduler"] != "static"
    degrees = [f"{name} {labels[name]}" for name in ("dp", "ep") if numbers[name] > 1]
    cached = f" ({numbers['prefix_hit']:.1%} cached)" if numbers["prefix_hit"] else ""
    told = [
        f"engine {labels['engine']}",
        f"weights {labels['weight_format']}",
        f"KV cache {labels['kv_format']}",
        f"tp {labels['tp']}",
        f"pp {labels['pp']}",
        *degrees,
        f"{labels['batch']} requests in flight" if served else f"batch {labels['batch']}",
        f"{labels['input_len']} tokens in{cached}",
        f"{labels['output_len']} out",
    ]
    if served:
        told.append(
            {"continuous": "continuous batching"}.get(str(labels["scheduler"]), "prefill apart")
        )
    if numbers["draft_len"]:
        told.append(f"{labels['draft_len']} drafted at acceptance {numbers['acceptance']:g}")
    if labels["offload"] != "none":
        told.append(f"{_OFFLOADED[str(labels['offload'])]} may be offloaded")
    return told


def _serving(configuration: Configuration, point: Point) -> list[tuple[str, str]]:
    """Who runs and who waits, and how much prefill a disaggregated server needs."""
    if configuration.scheduler == "static":
        return []
    waiting = configuration.numbers["batch"] - point.running_batch
    told = f"{plural(int(point.running_batch), 'request')} at once"
    told += f", {waiting:,.0f} waiting" if waiting > 0 else ""
    lines = [("runs", f"{told}; {point.requests_per_s:.3g} finished per second")]
    if point.prefill_pool > 0.0:
        pool = f"{point.prefill_pool:.3g} prefill replicas per decode replica"
        lines.append(
            (
                "prefill pool",
                f"{pool}, {point.prefill_pool * configuration.device_count:.3g} devices",
            )
        )
    return lines


def _speculation(configuration: Configuration, point: Point) -> list[tuple[str, str]]:
    """What drafting makes of a step, and what it gains."""
    draft_len, acceptance = configuration.numbers["draft_len"], configuration.numbers["acceptance"]
    if not draft_len:
        return []
    gain = configuration.without_speculation().tpot_s / point.tpot_s
    expected = accepted_tokens(draft_len, acceptance)
    return [
        ("speculation", f"{expected:.3g} tokens per step expected; {gain:.2f} x the speed without")
    ]


def _money(configuration: Configuration, point: Point) -> list[tuple[str, str]]:
    """Prices, and the use of the devices at which they equal that of tokens."""
    cached = f", ${point.cost_per_mtok_cached_input_usd:.3g} cached"
    prices = (
        f"${point.cost_per_mtok_output_usd:.4g} per Mtok out, "
        f"${point.cost_per_mtok_input_usd:.4g} in"
        + (cached if configuration.numbers["prefix_hit"] else "")
        + f", {configuration.purchase}"
        + _mark(configuration, PRICES[configuration.purchase])
    )
    money = configuration.records.economics
    share = point.break_even_utilization
    token = f"${money.token_price:.3g} per Mtok out"
    use = (
        f"pays against buying at {token} from {share:.1%} utilisation on"
        if share <= 1.0
        else f"never pays against buying at {token}: {share:.3g} x that even at full use"
    )
    return [("cost", prices), ("break-even", f"{use}; {money.utilization:.0%} reckoned with")]


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
        if seconds == 0.0:
            continue
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
    pairs = [
        (
            "  of",
            (
                f"{format_quantity(capacity, 'B')}, of which the engine may use "
                f"{format_quantity(usable, 'B')}"
            ),
        )
    ]
    if point.offloaded_bytes_per_device > 0.0:
        tier = format_quantity(second_tier_bytes(made.device, made.engine), "B")
        away = format_quantity(point.offloaded_bytes_per_device, "B")
        entry = configuration.entries.device
        own = entry.memory2_kind if made.device.memory2_bytes > 0.0 else "host memory"
        pairs.append(("  offloaded", f"{away} of them, into {tier} of {own}"))
    pairs.append(("  room for", f"batch {point.max_batch:,.0f} at these lengths"))
    facts(pairs)


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
        if elasticity == 0.0:
            continue
        click.echo(f"  {name:<24}{1.0 / (1.0 - elasticity * saved) - 1.0:>+7.2%}")


def _provenance(configuration: Configuration) -> None:
    heading("What it rests on")
    bases = Counter(constant.basis for constant in configuration.constants.values())
    words = {"fit": "fitted", "assumption": "assumed", "definition": "by definition"}
    counted = ", ".join(f"{count} {words[basis]}" for basis, count in bases.most_common())
    name = configuration.labels["engine"]
    paragraph(f"engine {name}: constants {counted} (`perfcore engines show {name}`)")
    device = configuration.entries.device
    level = configuration.entries.engine.calibration(device)
    paragraph(
        f"intervals (80 %): {_RESTS_ON[level].format(engine=name, device=device.name)}; "
        f"{configuration.constants['low_tpot_served'].source}"
    )
    for entry in configuration.hypothetical:
        paragraph(f"{entry} is hypothetical")
    found = configuration.estimated
    if found:
        click.echo(f"  {plural(len(found), 'figure')} estimated, as nobody publishes them:")
    for estimate in found:
        owner = estimate.entry if estimate.kind != "economics" else "economics"
        paragraph(f"{owner}: {estimate.field}: {estimate.derivation}", "    ")
