"""Figures by name, which a notebook shows as a table."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from perfcore.columns import BY_NAME, SIMULATED, Column
from perfcore.tables import NOTEBOOK, Table, escape_html, html, left, right
from perfcore.units import significant

KNOWN_WITHOUT_RUNNING: Final = (  # metrics
    "status",
    "weight_bytes_per_device",
    "kv_bytes_per_device",
    "total_bytes_per_device",
    "offloaded_bytes_per_device",
    "max_batch",
    "devices_needed",
)
_NONE: Final = "-"
_RUNS: Final = ("ok", "overloaded")
_OF_SIMULATIONS: Final = "makespan_s"  # a figure that no configuration has


class Figures(dict[str, float | str]):
    """Axes and metrics of a configuration, or results of a simulation, by column name.

    It is a dictionary; a notebook shows it as a table with meanings, units and intervals.
    """

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows, without scripts."""
        columns = dict(BY_NAME)
        if _OF_SIMULATIONS in self:  # some columns mean something else there
            columns |= {column.name: column for column in SIMULATED}
        known = [columns[name] for name in self if name in columns]
        runs = self.get("status") in _RUNS
        if not runs:
            known = [
                one for one in known if one.kind == "axis" or one.name in KNOWN_WITHOUT_RUNNING
            ]
        sought = [column for column in known if column.better] if runs else []
        rest = [column for column in known if column not in sought]
        rest.sort(key=lambda column: column.kind != "axis")
        names = [str(self[name]) for name in ("model", "device") if name in self]
        states = [f"{name} {self[name]}" for name in ("status", "slo") if name in self]
        return (
            f"<div><strong>{escape_html(', '.join([*names, *states]))}</strong></div>\n"
            f"{_table(self, sought)}\n"
            f"<details><summary>All other columns</summary>\n{_table(self, rest)}\n</details>"
        )


def value_of(figures: Mapping[str, object], name: str) -> str:
    """Return a figure as text; a dash if there is none."""
    value = figures.get(name)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return _NONE
    return significant(value) if isinstance(value, int | float) else str(value)


def unit_of(name: str) -> str:
    """Return the unit of a column, empty for pure numbers and text."""
    unit = BY_NAME[name].unit if name in BY_NAME else ""
    return "" if unit == "1" else unit


def _table(figures: Mapping[str, object], shown: Sequence[Column]) -> str:
    lines = [
        (
            column.name,
            value_of(figures, column.name),
            unit_of(column.name),
            _interval(figures, column.name),
            column.meaning,
        )
        for column in shown
    ]
    columns = (*left("column"), *right("value"), *left("unit", "80 % interval", "meaning"))
    return html(Table.of(columns, lines), style=NOTEBOOK) if lines else ""


def _interval(figures: Mapping[str, object], name: str) -> str:
    """Return the ends of a figure's interval, which are separate columns."""
    stem, _, unit = name.rpartition("_")
    ends = [value_of(figures, f"{stem}_{end}_{unit}") for end in ("low", "high")]
    return "" if _NONE in ends else " to ".join(ends)
