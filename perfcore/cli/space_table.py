"""Space of a sweep as ``perfcore plan`` shows it: axes, their combinations, conditions."""

import math
from typing import Final

from perfcore.cli.text import facts, print_table, quantity, say
from perfcore.columns import BY_NAME
from perfcore.space.axes import DEGREES, Axis, WhatIf
from perfcore.space.sections import Where
from perfcore.space.space import Space
from perfcore.tables import Table, left, right
from perfcore.units import DIMENSIONS

_NOTES: Final = 3  # that are shown
_SHORT: Final = 2  # most values that are all shown


def show(space: Space) -> None:
    """Print a line for each axis with several values, and below them the number of rows."""
    several = [axis for axis in space.axes if len(axis) > 1]
    if several:
        columns = (*left("axis"), *right("values"), *left("first … last", "unit", "loop"))
        lines = [
            (axis.name, f"{len(axis):,}", _ends(axis), _unit(space, axis), _loop(space, axis))
            for axis in several
        ]
        print_table(Table.of(columns, lines))
        say()
    pairs = [("space", _product(space))]
    single = ", ".join(f"{axis.name} {_only(space, axis)}" for axis in space.axes if len(axis) == 1)
    if single:
        pairs.append(("one value", single))
    pairs += [("what-if", _what_if(what_if)) for what_if in space.spec.what_ifs]
    pairs += [("where", _condition(where)) for where in space.spec.where]
    pairs += [("note", note) for note in space.notes[:_NOTES]]
    if len(space.notes) > _NOTES:
        pairs.append(("", f"and {len(space.notes) - _NOTES} more like these"))
    facts(pairs)


def axes(space: Space) -> dict[str, dict[str, object]]:
    """Return every axis by name, as data for JSON."""
    return {
        axis.name: {
            "values": len(axis),
            "first": axis.values[0],
            "last": axis.values[-1],
            "unit": _unit(space, axis),
            "loop": "inner" if axis in space.inner_axes else "outer",
            "zipped_with": _companions(space, axis),
            "what_if": space.what_ifs[axis.name].key if axis.name in space.what_ifs else None,
        }
        for axis in space.axes
    }


def conditions(space: Space) -> list[dict[str, object]]:
    """Return the conditions as data for JSON, with limits in SI units."""
    return [
        {
            "column": where.column,
            "min": where.minimum,
            "max": where.maximum,
            "in": list(where.allowed),
        }
        for where in space.spec.where
    ]


def _product(space: Space) -> str:
    dimensions = (*space.outer_dimensions, *space.inner_dimensions)
    sizes = [len(dimension) for dimension in dimensions if len(dimension) > 1]
    combinations = math.prod(sizes)
    factors = " x ".join(f"{size:,}" for size in sizes)
    product = f"{factors} = {combinations:,}" if len(sizes) > 1 else f"{combinations:,}"
    if space.spec.sample is not None:
        return f"{space.rows:,} points drawn from {product} combinations"
    parts = f": {space.outer_points:,} outer x {space.inner_points:,} inner"
    return f"{product} combinations{parts if space.inner_points > 1 else ''}"


def _companions(space: Space, axis: Axis) -> list[str]:
    group = next((names for names in space.spec.zips if axis.name in names), ())
    return [name for name in group if name != axis.name]


def _loop(space: Space, axis: Axis) -> str:
    loop = "inner" if axis in space.inner_axes else "outer"
    companions = _companions(space, axis)
    return f"{loop}, with {', '.join(companions)}" if companions else loop


def _unit(space: Space, axis: Axis) -> str:
    """Return the unit of an axis; for a what-if that of its field, or "x" if it scales."""
    if axis.name in BY_NAME:
        unit = BY_NAME[axis.name].unit
        return "" if unit == "1" else unit
    what_if = space.what_ifs[axis.name]
    return "x" if what_if.mode == "scale" else DIMENSIONS[what_if.limits.dimension].unit


def _ends(axis: Axis) -> str:
    shown = [_value(value) for value in axis.values]
    return ", ".join(shown) if len(shown) <= _SHORT else f"{shown[0]} … {shown[-1]}"


def _only(space: Space, axis: Axis) -> str:
    if space.chooses_devices and axis.name in DEGREES:
        return "chosen for each row"
    unit = _unit(space, axis)
    return f"{_value(axis.values[0])} {unit}".rstrip()


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _what_if(what_if: WhatIf) -> str:
    verb = "scaled" if what_if.mode == "scale" else "set"
    return f"{what_if.key} is {verb}; its column is {what_if.column_name}"


def _condition(where: Where) -> str:
    column = BY_NAME.get(where.column)
    unit = {"bytes": "B", "1": ""}.get(column.unit, column.unit) if column else ""

    def shown(limit: float) -> str:
        if unit in ("", "tokens"):
            return f"{limit:,g} {unit}".rstrip()
        return quantity(limit, unit)

    limits = []
    if where.minimum is not None:
        limits.append(f"at least {shown(where.minimum)}")
    if where.maximum is not None:
        limits.append(f"at most {shown(where.maximum)}")
    if where.allowed:
        limits.append(f"one of {', '.join(map(_value, where.allowed))}")
    return f"{where.column} is {' and '.join(limits)}"
