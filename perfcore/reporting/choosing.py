"""Choice of the values that a picture shows, and remarks on those that it leaves out."""

import math
from collections.abc import Sequence
from typing import Final

from perfcore.reporting.picture import MOST_SERIES, Row
from perfcore.reporting.settling import CHOICES, SIMULATED_CHOICES
from perfcore.reporting.source import Source
from perfcore.searching.objectives import Objective
from perfcore.space.axes import Value

THROUGHPUT: Final = Objective("tokens_per_s_per_device", maximize=True)
COST: Final = Objective("cost_per_mtok_output_usd")
TPOT: Final = Objective("tpot_s")
TTFT_P99: Final = Objective("ttft_p99_s")
CHAMPIONS: Final = {
    "cost_per_mtok_output_usd": "cheapest",
    "tpot_s": "fastest",
    "energy_per_output_token_j": "most energy-efficient",
}
SCALE: Final = "device_memory_bandwidth_scale"
BANDWIDTH: Final = "device_memory_bandwidth_bytes_per_s"
UTILIZATION: Final = "economics_utilization"
_SHORT: Final = {"kv_format": "KV"}


def most_of(
    source: Source, name: str, rows: Sequence[Row], value: Objective, most: int = MOST_SERIES
) -> list[Value]:
    """Return the values of an axis in rows, only the best ``most`` if there are more."""
    best: dict[Value, float] = {}
    sign = -1.0 if value.maximize else 1.0
    for row in rows:
        best[row[name]] = min(best.get(row[name], math.inf), sign * row[value.name])
    leading = set(sorted(best, key=lambda label: best[label])[:most])
    return [label for label in source.axes[name] if label in leading]


def left_out(source: Source, name: str, shown: Sequence[Value], reason: str) -> tuple[str, ...]:
    """Return a remark on the values of an axis that are not shown."""
    total = len(source.axes[name])
    if len(shown) >= total:
        return ()
    return (f"{len(shown)} of {total} values of {name}: {reason}.",)


def configured(source: Source, row: Row, without: Sequence[str] = ()) -> str:
    """Return the choices of a row that vary within the source, as text for a tooltip."""
    parts = []
    for name in (*CHOICES, *SIMULATED_CHOICES):
        if (
            name in source.axes
            and name not in without
            and (len(source.axes[name]) > 1 or source.axes[name] == (0,))
        ):
            value = row[name]
            bare = name in {"device", "weight_format"}
            parts.append(str(value) if bare else f"{_SHORT.get(name, name)} {value}")
    return ", ".join(parts) or "-"
