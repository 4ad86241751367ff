"""Scores as a table of text: the same lines on the screen, in documents and in reports."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from perfcore.accuracy.baselines import BASELINES
from perfcore.accuracy.scores import Group

_NONE: Final = "-"
METRIC_TITLES: Final = {  # short enough for a column
    "e2e_latency_s": "end to end",
    "tpot_s": "TPOT",
    "ttft_s": "TTFT",
    "prefill_tokens_per_s": "prefill rate",
    "output_tokens_per_s_per_device": "saturation",
    "energy_j_per_output_token": "J/token",
    "power_w_per_device": "board power",
}


def cells(group: Group) -> list[str]:
    """Return a group's line of the table; errors in %."""
    return [
        *group.keys.values(),
        METRIC_TITLES[group.metric],
        f"{group.rows:,}",
        percent(group.errors.median_ape),
        percent(group.errors.p90_ape),
        percent(group.errors.bias, "+"),
        percent(group.coverage),
        *(percent(group.baselines[name].median_ape) for name in BASELINES),
    ]


def header_of(keys: Sequence[str]) -> list[str]:
    """Return the table's first line, of groups by some keys."""
    measures = ("rows", "median", "p90", "bias", "inside", "roofline", "60 %", "80 %+70us")
    return [*keys, "metric", *measures]


def markdown_table(groups: Sequence[Group]) -> str:
    """Return the groups as a table in Markdown."""
    return "\n".join(_markdown(groups))


def _markdown(groups: Sequence[Group]) -> Iterator[str]:
    keys = list(groups[0].keys) if groups else []
    header = header_of(keys)
    yield f"| {' | '.join(header)} |"
    yield f"| {' | '.join(['---'] * (len(keys) + 1) + ['---:'] * (len(header) - len(keys) - 1))} |"
    for group in groups:
        yield f"| {' | '.join(cells(group))} |"


def percent(value: float, sign: str = "") -> str:
    """Return a share in % without the sign, a dash for none."""
    return _NONE if not math.isfinite(value) else f"{value * 100:{sign}.0f}"
