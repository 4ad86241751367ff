"""Rows of a run for a page: evenly chosen if there are many, in columns of few bytes."""

import base64
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from perfcore.columns import METRICS, STATUS
from perfcore.reporting.run_source import RunSource
from perfcore.reporting.source import Row
from perfcore.space.axes import Value

MOST_BYTES: Final = 2_000_000  # of all rows in a page, which has at most 3 MB
_BYTES_PER_VALUE: Final = 16 / 3  # four, as letters
_METRICS: Final = tuple(
    column for column in METRICS if (column.default or column.better) and not column.text
)


def embedded(source: RunSource, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Return rows of a run for JSON, with what they have in common.

    ``axes`` are columns of places in a list of ``values``, ``metrics`` columns of numbers in 32
    bits, both as base64 with the first byte first.
    """
    metrics = [column.name for column in _METRICS if column.name in source.metrics]
    axes = [name for name in source.axes if name in source.written]
    width = _BYTES_PER_VALUE * (len(metrics) + len(axes))
    total = sum(piece.metadata.row_group(piece.group).num_rows for piece in source.pieces)
    count = min(total, max(int(most_bytes / width), 1))
    places = np.unique(np.linspace(0, total - 1, count).astype(np.int64))
    status = ["status"] if "status" in source.metrics else []
    rows = [
        row
        for row in source.rows_at(places, [*axes, *metrics, *status])
        if row.get("status", STATUS[0]) == STATUS[0]
    ]
    values = {name: _values(rows, name) for name in axes}
    constant = {name: known[0] for name, known in source.axes.items() if name not in axes}
    constant |= {name: known[0] for name, known in values.items() if len(known) == 1}
    return {
        "name": source.name,
        "given": source.given,
        "total": total,
        "count": len(rows),
        "sentence": _sentence(source, total, places.size, len(rows)),
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


def _sentence(source: RunSource, total: int, chosen: int, shown: int) -> str:
    """Return which rows of the run are shown."""
    part = "" if source.run.manifest.get("complete") else " The run is not finished."
    if chosen < total:
        told = (
            f"{chosen:,} of the run's {total:,} rows, evenly spread, so that the page stays small"
        )
    else:
        told = f"All {total:,} rows of the run"
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
