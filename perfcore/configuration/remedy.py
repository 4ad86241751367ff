"""What to change so that a configuration runs."""

import math
from typing import Final

from perfcore.configuration.configuration import Configuration
from perfcore.errors import argument
from perfcore.physics.memory import usable_bytes
from perfcore.physics.stages.point import Point
from perfcore.units import format_quantity, plural

_MOST_DIVISORS: Final = 8


def remedy(configuration: Configuration, point: Point) -> str:
    """Return what to change so that a configuration runs; empty if it does."""
    made, numbers, labels = configuration.records, configuration.numbers, configuration.labels
    heads, layers, experts = (
        int(made.model.heads),
        int(made.model.layers),
        int(made.model.experts),
    )
    joined, split = int(numbers["tp"] * numbers["dp"]), numbers["ep"]
    usable = format_quantity(usable_bytes(made.device, made.engine), "B")
    weights = f"{format_quantity(point.weight_bytes_per_device, 'B')} of weights"
    cache = f"{format_quantity(point.kv_bytes_per_device, 'B')} of KV cache"
    needed = f"it takes at least {plural(int(point.devices_needed), 'device')}"
    tokens = f"{numbers['input_len']} + {numbers['output_len']} tokens"
    tp, pp, ep = argument("tp"), argument("pp"), argument("ep")
    largest = int(point.max_batch)
    fewer = f"use {argument('batch', largest)} or less" if largest else f"raise {tp}"
    away = {
        what: f", or {argument('offload', what)}" if labels["offload"] == "none" else ""
        for what in ("weights", "kv")
    }
    status = int(point.status)
    problem = (
        "",
        f"{plural(heads, 'query head')} cannot be split over tp = {numbers['tp']}",
        f"{plural(layers, 'layer')} cannot be split over pp = {numbers['pp']}",
        f"{plural(experts, 'expert')} on tp x dp = {joined} cannot be split over ep = {split}",
        f"{labels['device']} has no arithmetic for {labels['weight_format']}",
        f"{weights}, of {usable} that may be used; {needed}",
        f"{tokens} are more than the model's {made.model.max_context:,.0f}",
        f"{cache} besides {weights}, of {usable} that may be used; {needed}",
    )
    advice = (
        "",
        f"use {tp} {_divisors(heads)}",
        f"use {argument('pp', layers)} or less",
        f"use {ep} {_divisors(math.gcd(experts, joined) if experts else 1)}",
        f"use another {argument('weight_format')}",
        f"raise {tp} or {pp}, or use fewer bits ({argument('weight_format')}){away['weights']}",
        f"shorten {argument('input_len')} or {argument('output_len')}",
        (
            f"{fewer}, or shorten {argument('input_len')}, "
            f"or use a smaller {argument('kv_format')}{away['kv']}"
        ),
    )
    return f"{problem[status]}: {advice[status]}" if status else ""


def _divisors(number: int) -> str:
    divisors = [n for n in range(1, number + 1) if number % n == 0]
    return ", ".join(map(str, divisors[:_MOST_DIVISORS]))
