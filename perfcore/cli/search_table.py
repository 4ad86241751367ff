"""Table of a search's rows: differing axes, requested results, and what all rows share."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from perfcore.catalog.schema import UNSOLD, DeviceEntry, EconomicsEntry
from perfcore.cli.text import facts, paragraph, print_table, say
from perfcore.columns import BY_NAME
from perfcore.inputs import AXIS_INPUTS, PAIR_AXES
from perfcore.searching.objectives import Objective
from perfcore.space.space import Space
from perfcore.tables import Table, left
from perfcore.units import significant

_MOST: Final = 20  # rows of the table, unless there are more groups
_TOLD: Final = ("model", "device", "engine", "weight_format", "kv_format", "economics")
_WORK: Final = ("scheduler", "batch", "input_len", "output_len")
_NOTES: Final = 3  # on models, at most
_MARK: Final = " *"  # of what does not exist
_PER_DEVICE: Final = "per_device"


def print_rows(
    rows: pa.Table,
    space: Space,
    objectives: Sequence[Objective],
    limited: Sequence[str],
    by: Sequence[str],
) -> None:
    """Print the rows of a search; with one objective, the best group first.

    Parameters
    ----------
    rows
        Rows with every axis and result.
    limited
        Columns that conditions are about.
    by
        Axes that define groups.
    """
    if len(objectives) == 1 and by:
        rows = _best_group_first(rows, objectives[0], by)
    axes = [
        name for name in rows.column_names if name not in BY_NAME or BY_NAME[name].kind == "axis"
    ]
    differing = [name for name in axes if len(rows[name].unique()) > 1]
    shown = [name for name in axes if name in by or name in differing]
    results = list(
        dict.fromkeys([*(o.name for o in objectives), *(n for n in limited if n not in axes)])
    )
    groups = len(rows.select(list(by)).group_by(list(by)).aggregate([])) if by else 1
    most = max(_MOST, groups)
    unreal = {name for axis in space.axes for name in _hypothetical(axis.entries)}
    sheets = _sheets(rows, space, results)
    lines = []
    for row in rows.slice(0, most).to_pylist():
        names = [f"{row[name]}{_MARK if row[name] in unreal else ''}" for name in shown]
        figures = [text for name in results for text in _figures(row, name)]
        lines.append([*names, *figures, *_of_device(sheets.get(row["device"]))])
    header = [*shown, *(text for name in results for text in _header(rows, name))]
    header += ["W/device", "$/h per device"] if sheets else []
    if len(lines) > 1:
        print_table(Table.of(left(*header), lines))
    else:
        facts(zip(header, lines[0], strict=True))
    if rows.num_rows > most:
        say(f"... {rows.num_rows - most:,} more; write them with -o FILE.csv")
    say()
    for line in _captions(rows.slice(0, most), space, shown, unreal):
        paragraph(line, indent="")


def _best_group_first(rows: pa.Table, objective: Objective, by: Sequence[str]) -> pa.Table:
    """Return rows sorted by the best value of their group; rows of a group keep their order."""
    values = np.asarray(rows[objective.name], np.float64)
    values = -values if objective.maximize else values
    firsts: dict[tuple[object, ...], int] = {}
    keys = zip(*(rows[name].to_pylist() for name in by), strict=True)
    groups = np.array([firsts.setdefault(key, place) for place, key in enumerate(keys)])
    return rows.take(np.lexsort((groups, values[groups])))


def _hypothetical(entries: Sequence[Any]) -> list[str]:
    return [entry.name for entry in entries if entry.hypothetical]


def _figures(row: dict[str, Any], name: str) -> Iterator[str]:
    value = row[name]
    yield significant(value) if isinstance(value, int | float) else str(value)
    ends = _ends(name, row)
    if ends:
        yield " to ".join(significant(row[end], 3) for end in ends)


def _header(rows: pa.Table, name: str) -> Iterator[str]:
    yield name
    if _ends(name, rows.column_names):
        yield "80 % interval"


def _ends(name: str, known: Any) -> tuple[str, str] | None:  # noqa: ANN401 - a row or names
    """Return the columns of an interval's ends, e.g. ``tpot_low_s``; None without an interval."""
    parts = name.split("_")
    for place in range(len(parts), 0, -1):
        low, high = ("_".join([*parts[:place], end, *parts[place:]]) for end in ("low", "high"))
        if low in known and high in known:
            return low, high
    return None


def _sheets(rows: pa.Table, space: Space, results: Sequence[str]) -> dict[str, DeviceEntry]:
    """Return the devices if results are per device and devices differ: a wafer is not a card."""
    per_device = any(_PER_DEVICE in name for name in results)
    if not per_device or len(rows["device"].unique()) == 1:
        return {}
    entries = space.spec.axis("device").entries
    return {entry.name: entry for entry in entries if isinstance(entry, DeviceEntry)}


def _of_device(entry: DeviceEntry | None) -> list[str]:
    if entry is None:
        return []
    return [f"{entry.board_power:,.0f}", f"{entry.price_per_hour:,.2f}"]


def _captions(
    rows: pa.Table, space: Space, shown: Sequence[str], unreal: set[str]
) -> Iterator[str]:
    """Yield common settings, the way devices are paid for, and hypothetical entries."""
    first = rows.slice(0, 1).to_pylist()[0]
    shared = [
        f"{name} {first[name]}"
        for name in rows.column_names
        if name in (*AXIS_INPUTS, *PAIR_AXES)
        and name not in shown
        and _is_worth_telling(name, first[name])
    ]
    if shared:
        yield f"all rows: {', '.join(shared)}"
    entries = space.spec.axis("economics").entries
    ways = {entry.name: entry.purchase for entry in entries if isinstance(entry, EconomicsEntry)}
    paid = sorted(set(ways.values()))
    if len(paid) > 1:
        paid = [f"{way} ({name})" for name, way in ways.items()]
    yield f"devices paid: {', '.join(paid)}"
    yield from space.notes[:_NOTES]
    marked = {row for name in shown for row in rows[name].to_pylist()} & unreal
    if marked:
        yield f"* hypothetical: {', '.join(sorted(marked))}"
    devices = space.spec.axis("device").entries
    unsold = {e.name for e in devices if isinstance(e, DeviceEntry) and e.status in UNSOLD}
    unsold &= {str(name) for name in rows["device"].to_pylist()}
    if unsold:
        yield f"not on the market: {', '.join(sorted(unsold))}"


def _is_worth_telling(name: str, value: object) -> bool:
    told = (*_TOLD, *_WORK, *PAIR_AXES)
    return name in told or value != AXIS_INPUTS[name].default
