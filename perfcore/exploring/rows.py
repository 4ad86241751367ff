"""Rows of a run or a sweep for a page: evenly chosen if there are many, in columns of few bytes."""

import base64
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from perfcore.columns import METRICS, SIMULATED
from perfcore.reporting.run_source import RunSource
from perfcore.reporting.source import Row, Source
from perfcore.space.axes import Value

MOST_BYTES: Final = 2_000_000  # of all rows in a page, which has at most 3 MB
_BYTES_PER_VALUE: Final = 16 / 3  # four, as letters
_RUNNING: Final = frozenset({"ok", "overloaded"})  # statuses of rows with metrics


def embedded(source: Source, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Return rows of a run or configurations of a sweep for JSON, with what they have in common.

    ``axes`` are columns of places in a list of ``values``, ``metrics`` columns of numbers in 32
    bits, both as base64 with the first byte first.
    """
    shown = SIMULATED if source.simulated else METRICS
    metrics = [
        column.name
        for column in shown
        if (column.default or column.better) and not column.text and column.name in source.metrics
    ]
    axes = list(source.axes)
    width = _BYTES_PER_VALUE * (len(metrics) + len(axes))
    most = max(int(most_bytes / width), 1)
    found, total = source.sample(most, [*axes, *metrics, "status"])
    rows = [row for row in found if row.get("status", "ok") in _RUNNING]
    axes = [name for name in axes if not found or name in found[0]]
    values = {name: _values(rows, name) for name in axes}
    constant = {name: known[0] for name, known in source.axes.items() if name not in axes}
    constant |= {name: known[0] for name, known in values.items() if len(known) == 1}
    return {
        "name": source.name,
        "given": source.given,
        "kind": "run" if isinstance(source, RunSource) else "spec",
        "where": source.where,
        "overrides": source.overrides,
        "checked": "status" in source.metrics,
        "total": total,
        "count": len(rows),
        "sentence": _sentence(source, total, len(found), len(rows)),
        "constant": constant,
        "what_ifs": {
            how["column"]: {"key": key, "mode": how["mode"]}
            for key, how in source.facts["spec"]["what_if"].items()
        },
        "axes": {
            name: {"values": known, "places": _places(rows, name, known)}
            for name, known in values.items()
            if len(known) > 1
        },
        "metrics": {name: _numbers(rows, name) for name in metrics},
    }


def _sentence(source: Source, total: int, chosen: int, shown: int) -> str:
    """Return which rows of the run, or configurations of the sweep, are shown."""
    if isinstance(source, RunSource):
        part = "" if source.run.manifest.get("complete") else " The run is not finished."
        whose, kind = "of the run's ", "rows"
    else:
        part, whose, kind = "", "of ", "configurations"
    where = f" with {', '.join(source.where)}" if source.where else ""
    if chosen < total:
        spread = "evenly spread to keep the page small"
        told = f"{chosen:,} {whose}{total:,} {kind}{where}, {spread}"
    else:
        told = f"All {total:,} {kind}{' of the run' if kind == 'rows' else ''}{where}"
    left = f"; {chosen - shown:,} of them cannot run and are left out" if shown < chosen else ""
    return f"{told}{left}.{part}"


def _values(rows: Sequence[Row], name: str) -> list[Value]:
    """Return the values of an axis in these rows; numbers in order."""
    found: list[Value] = list(dict.fromkeys(row[name] for row in rows))
    return found if any(isinstance(value, str) for value in found) else sorted(found)


def _places(rows: Sequence[Row], name: str, values: Sequence[Value]) -> str:
    place = {value: number for number, value in enumerate(values)}
    return _text(np.array([place[row[name]] for row in rows], "<u4"))


def _numbers(rows: Sequence[Row], name: str) -> str:
    return _text(np.array([row[name] for row in rows], "<f4"))


def _text(column: npt.NDArray[np.generic]) -> str:
    return base64.b64encode(column.tobytes()).decode("ascii")
