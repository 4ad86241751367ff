"""Remedies for configurations that cannot run."""

from collections.abc import Mapping
from typing import Final

from perfcore import records
from perfcore.catalog.engine_entry import EngineEntry
from perfcore.errors import argument
from perfcore.physics.stages.point import Point
from perfcore.units import format_quantity, plural

_MOST_DIVISORS: Final = 8
_OF_LAYOUTS: Final = (  # by code: what an engine lacks, and what it has
    ("", ""),
    ("has no attention groups and no expert parallelism", "dp 1 and ep 1"),
    ("has attention groups of one device each", "tp 1 with dp, or dp 1"),
    ("spreads experts over all devices or none", "ep 1 or ep {joined}"),
)


def remedy(
    model: records.Model,
    device: records.Device,
    usable_bytes: float,
    point: Point,
    labels: Mapping[str, str | float],
) -> str:
    """Return why a point does not run, and the remedy; empty if it runs.

    Parameters
    ----------
    usable_bytes
        Bytes of a device for weights and KV cache.
    labels
        Value of every axis of the point, by name.
    """
    heads, layers, experts = int(model.heads), int(model.layers), int(model.experts)
    tp, pp, dp, ep = (int(labels[name]) for name in ("tp", "pp", "dp", "ep"))
    joined = tp * dp
    usable = format_quantity(usable_bytes, "B")
    away_bytes = point.offloaded_bytes_per_device
    hybrid = labels["offload"] == "experts" or float(labels["gpu_layers"]) < model.layers
    weights = f"{format_quantity(point.weight_bytes_per_device, 'B')} of weights"
    if hybrid and away_bytes > 0.0:
        weights += f" and cache, {format_quantity(away_bytes, 'B')} of them in host memory"
    cache = f"{format_quantity(point.kv_bytes_per_device, 'B')} of KV cache"
    host = format_quantity(joined * pp * away_bytes, "B")
    room = format_quantity(device.host_memory_capacity, "B")
    needed = f"it takes at least {plural(int(point.devices_needed), 'device')}"
    tokens = f"{labels['input_len']} + {labels['output_len']} tokens"
    largest = int(point.max_batch)
    fewer = f"use {argument('batch', largest)} or less" if largest else f"raise {argument('tp')}"
    away = {
        what: f", or {argument('offload', what)}" if labels["offload"] == "none" else ""
        for what in ("weights", "kv")
    }
    if hybrid:
        lower = (
            f", or leave more to the CPU ({argument('gpu_layers')}, {argument('cpu_moe_layers')})"
        )
        away = dict.fromkeys(away, lower)
    status = int(point.status)
    problem = (
        "",
        f"{plural(heads, 'query head')} cannot be split over tp = {tp}",
        f"{plural(layers, 'layer')} cannot be split over pp = {pp}",
        f"{plural(experts, 'expert')} on tp x dp = {joined} cannot be spread over ep = {ep}",
        f"{labels['device']} has no arithmetic for {labels['weight_format']}",
        f"{weights}, {usable} usable; {needed}",
        f"{tokens} exceed the model's maximum of {model.max_context:,.0f}",
        f"{cache} besides {weights}, {usable} usable; {needed}",
        f"{host} of layers, experts and tables, {room} of host memory",
    )
    advice = (
        "",
        f"use {argument('tp')} {_divisors(heads)}",
        f"use {argument('pp', layers)} or less",
        f"use {argument('ep')} {_divisors(joined if experts else 1)}",
        f"use another {argument('weight_format')}",
        (
            f"raise {argument('tp')} or {argument('pp')}, "
            f"or use fewer bits ({argument('weight_format')}){away['weights']}"
        ),
        f"shorten {argument('input_len')} or {argument('output_len')}",
        (
            f"{fewer}, or shorten {argument('input_len')}, "
            f"or use a smaller {argument('kv_format')}{away['kv']}"
        ),
        (
            f"use fewer bits ({argument('weight_format')}), another {argument('host')}, or keep "
            f"more on the device ({argument('gpu_layers')}, {argument('cpu_moe_layers')})"
        ),
    )
    return f"{problem[status]}: {advice[status]}" if status else ""


def remedy_of_engine(
    engine: EngineEntry, deployment: records.Deployment, labels: Mapping[str, str | float]
) -> str:
    """Return the part of a deployment that the engine cannot run, and the remedy."""
    name = labels["engine"]
    if deployment.barred and engine.can:
        kernels = ", ".join(engine.can.kernels)
        return (
            f"{name} has no kernel for {labels['weight_format']}: use a "
            f"{argument('weight_format')} with one of the kernels {kernels} (perfcore formats "
            f"lists them), or another {argument('engine')}"
        )
    problem, advice = _OF_LAYOUTS[int(deployment.layouts)]
    joined = int(deployment.tp * deployment.dp)
    return f"{name} {problem}: use {advice.format(joined=joined)}, or another {argument('engine')}"


def _divisors(number: int) -> str:
    divisors = [n for n in range(1, number + 1) if number % n == 0]
    return ", ".join(map(str, divisors[:_MOST_DIVISORS]))
