"""Wording of pictures: columns in plain English, values with their units."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from perfcore.columns import BY_NAME
from perfcore.units import format_quantity

_PLAIN: Final = {
    "tpot_s": "time per output token",
    "ttft_s": "time to first token",
    "e2e_latency_s": "end-to-end latency",
    "ttft_p99_s": "99th percentile of the time to first token",
    "tpot_p95_s": "95th percentile of the time per output token",
    "tokens_per_s_per_device": "throughput per device",
    "energy_per_output_token_j": "energy per output token",
    "facility_energy_per_output_token_j": "facility energy per output token",
    "cost_per_mtok_output_usd": "cost of output tokens",
}
_UNITS: Final = {
    "tokens_per_s_per_device": "tokens/s",
    "tokens_per_s_per_user": "tokens/s",
    "cost_per_mtok_output_usd": "USD per million",
    "energy_per_output_token_j": "J",
}
_SCALED: Final = frozenset({"s", "J", "W", "FLOP"})


def plain(name: str) -> str:
    """Return a column's name in words."""
    return _PLAIN.get(name, name)


def unit_of(name: str) -> str:
    """Return a column's unit as commonly written, empty for a pure number."""
    unit = _UNITS.get(name) or BY_NAME[name].unit
    return "" if unit == "1" else unit


def label(name: str) -> str:
    """Return a column's name in words, with its unit."""
    unit = unit_of(name)
    return f"{plain(name)} [{unit}]" if unit else plain(name)


def with_unit(value: float, name: str) -> str:
    """Return a value of a column with its unit."""
    unit = unit_of(name)
    if unit in _SCALED:
        return format_quantity(value, unit, 3)
    return f"{value_text(value)} {unit}".rstrip()


def is_more_better(name: str) -> bool:
    """Return whether higher values of a column are better."""
    return BY_NAME[name].better == "most"


def listing(names: Sequence[str], most: int = 3, last: str = "and") -> str:
    """Return ``a, b and c``, or ``a, b and 5 more``; ``last`` replaces "and" before the last."""
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))


def rows_as_text(
    rows: Iterable[Mapping[str, Any]], names: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """Return rows as cells of text."""
    return tuple(tuple(value_text(row.get(name)) for name in names) for row in rows)


def value_text(value: object) -> str:
    """Return a value as text: integers with separators, others with four digits."""
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)
