"""Figures by name, which a notebook shows as a table."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from perfcore.columns import BY_NAME, SIMULATED, Column
from perfcore.configuration.frames import Frames
from perfcore.tables import NOTEBOOK, Table, escape_html, html, left, plain_text, right
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


class Figures(dict[str, float | str], Frames):
    """Axes and metrics of a configuration, or results of a simulation, by column name.

    It is a dictionary; printed, and in a notebook, it is a table with units and intervals.
    """

    def __str__(self) -> str:
        title, sought, rest = self._shown()
        return f"{title}\n{plain_text(_of(self, sought or rest, brief=True))}"

    def _lines(self) -> list[dict[str, float | str]]:
        return [self]

    def _shown(self) -> tuple[str, list[Column], list[Column]]:
        """Return a title, the columns that are sought, and the others."""
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
        return ", ".join([*names, *states]), sought, rest

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows, without scripts."""
        title, sought, rest = self._shown()
        return (
            f"<div><strong>{escape_html(title)}</strong></div>\n"
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
    return html(_of(figures, shown), style=NOTEBOOK) if shown else ""


def _of(figures: Mapping[str, object], shown: Sequence[Column], *, brief: bool = False) -> Table:
    """Return a table of columns, without their meanings if it is to be brief."""
    lines = [
        (
            column.name,
            value_of(figures, column.name),
            unit_of(column.name),
            _interval(figures, column.name),
            *(() if brief else (column.meaning,)),
        )
        for column in shown
    ]
    names = ("unit", "80 % interval", *(() if brief else ("meaning",)))
    return Table.of((*left("column"), *right("value"), *left(*names)), lines)


def _interval(figures: Mapping[str, object], name: str) -> str:
    """Return the ends of a figure's interval, which are separate columns."""
    stem, _, unit = name.rpartition("_")
    ends = [value_of(figures, f"{stem}_{end}_{unit}") for end in ("low", "high")]
    return "" if _NONE in ends else " to ".join(ends)
