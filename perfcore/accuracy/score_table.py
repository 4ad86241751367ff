"""Table of scores, shared by the command line, documents and reports."""

import math
from collections.abc import Sequence
from typing import Final

from perfcore.accuracy.baselines import BASELINES
from perfcore.accuracy.scores import Group
from perfcore.tables import Table, left, right

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


def score_table(groups: Sequence[Group], keys: Sequence[str], caption: str = "") -> Table:
    """Return a table with one line per group of some keys; errors in %."""
    columns = (
        *left(*keys, "metric"),
        *right("rows", "median", "p90", "bias", "inside", "roofline", "60 %", "80 %+70us"),
    )
    return Table.of(columns, map(_cells, groups), caption)


def _cells(group: Group) -> list[str]:
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


def percent(value: float, sign: str = "") -> str:
    """Return a share in %, without the % sign; a dash if there is none."""
    return _NONE if not math.isfinite(value) else f"{value * 100:{sign}.0f}"
