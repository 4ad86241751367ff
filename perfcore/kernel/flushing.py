"""Loops that finish the rows of a tile in the output. No formula and no column name.

A tile is the rows that are evaluated before they are finished, so few that they stay in the
processor's nearest cache.
"""

from typing import Annotated, NamedTuple

import numpy as np

from perfcore.kernel import jit
from perfcore.kernel.layout import VECTOR

TILE = 64  # rows
STRIDE = TILE + VECTOR  # of a field: loops over rows end at a whole vector, whatever the rows are
ANY = -1  # a mask that excludes no code

Pointer = jit.Pointer
rounded = jit.rounded
Reals = Pointer[float]
Whole = Pointer[int]
Codes = Annotated[Pointer[int], np.int32]
Results = Annotated[Pointer[float], None]  # of the output's kind


class Tile(NamedTuple):
    """Rows that are evaluated, and the points of the space that they are.

    What is written of a row is already where it belongs in the output, the rest out of the way.
    """

    values: Results  # what places count from
    places: Whole  # of each field's first row
    outer_of: Whole
    inner_of: Whole
    kept: Whole  # positions of rows in order, as long as no rule writes others there
    unmet: Whole  # one number: rows that rules left out


class Target(NamedTuple):
    """Where rows go, by which rules, and what is written of the points that they are."""

    rules: int
    rule_fields: Whole
    rule_dropped_bits: Whole
    rule_ranges: Reals
    rule_masks: Whole
    outer_points: int
    outer_axes: int
    outer_labels: Codes
    inner_points: int
    inner_axes: int
    inner_labels: Codes
    capacity: int  # rows of a column
    pitch: int  # from a column to the next
    axes: Codes
    metrics: Results
    fields: int
    places: Whole  # of each field, counted from metrics on: in its column, or out of the way
    moves: Whole  # all bits of fields that have a column, whose places move on with rows; else 0
    codes: Annotated[Pointer[float], np.int32]  # are given as reals
    metric_columns: int
    metric_fields: Whole
    metric_dropped_bits: Whole
    all_dropped_bits: int  # of all together: 0 if none is rounded
    code_columns: int
    code_fields: Whole


@jit.inlined
def select_rows(tile: Tile, filled: int, target: Target) -> int:
    """Positions of the tile's rows that meet all rules, into ``kept``; return how many do."""
    count = 0
    for row in range(filled):
        met = True
        for rule in range(target.rules):
            value = tile.values[tile.places[target.rule_fields[rule]] + row]
            value = rounded(value, target.rule_dropped_bits[rule])
            low, high = target.rule_ranges[2 * rule], target.rule_ranges[2 * rule + 1]
            met = met and low <= value <= high
            mask = target.rule_masks[rule]
            if mask != ANY:
                met = met and (mask >> int(value)) & 1 == 1
        tile.kept[count] = row
        count += met
    tile.unmet[0] += filled - count
    return count


@jit.inlined
def stretch_end(tile: Tile, start: int, count: int) -> int:
    """End of the kept rows from ``start`` on that are consecutive inner points of one outer one."""
    outer = tile.outer_of[tile.kept[start]]
    ahead = tile.inner_of[tile.kept[start]] - start
    last = count - 1
    if tile.outer_of[tile.kept[last]] == outer and tile.inner_of[tile.kept[last]] == last + ahead:
        return count
    stop = start + 1
    while (
        stop < count
        and tile.outer_of[tile.kept[stop]] == outer
        and tile.inner_of[tile.kept[stop]] == stop + ahead
    ):
        stop += 1
    return stop


@jit.inlined
def copy_axes(tile: Tile, count: int, target: Target, rows: int) -> None:
    """Append coordinates of a tile's kept rows, in stretches as long as they may be."""
    start = 0
    while start < count:
        stop = stretch_end(tile, start, count)
        outer = tile.outer_of[tile.kept[start]]
        ahead = tile.inner_of[tile.kept[start]] - start
        for axis in range(target.outer_axes):
            label = target.outer_labels[axis * target.outer_points + outer]
            place = axis * target.pitch + rows
            for row in range(start, stop):
                target.axes[place + row] = label
        for axis in range(target.inner_axes):
            source = axis * target.inner_points + ahead
            place = (target.outer_axes + axis) * target.pitch + rows
            for row in range(start, stop):
                target.axes[place + row] = target.inner_labels[source + row]
        start = stop


@jit.inlined
def settle_metrics(tile: Tile, filled: int, count: int, target: Target) -> None:
    """Move the kept rows of metrics together, rounded to the bits that are wanted of each."""
    if count == filled and target.all_dropped_bits == 0:
        return
    for column in range(target.metric_columns):
        place = tile.places[target.metric_fields[column]]
        dropped = target.metric_dropped_bits[column]
        if count < filled:
            for row in range(count):
                value = tile.values[place + tile.kept[row]]
                tile.values[place + row] = rounded(value, dropped)
        elif dropped > 0:
            for row in range(count):
                tile.values[place + row] = rounded(tile.values[place + row], dropped)


@jit.inlined
def copy_codes(tile: Tile, filled: int, count: int, target: Target, rows: int) -> None:
    """Append whole numbers of the kept rows of a tile."""
    for column in range(target.code_columns):
        source = tile.places[target.code_fields[column]]
        place = column * target.pitch + rows
        if count == filled:
            for row in range(count):
                target.codes[place + row] = tile.values[source + row]
        else:
            for row in range(count):
                target.codes[place + row] = tile.values[source + tile.kept[row]]


@jit.kernel
def flush_tile(tile: Tile, filled: int, target: Target, rows: int) -> int:
    """Finish those rows of a tile that meet all rules; return how many.

    ``rows`` stand before them in the output. The next tile's rows begin behind them.
    """
    count = filled
    if target.rules > 0:
        count = select_rows(tile, filled, target)
    settle_metrics(tile, filled, count, target)
    copy_codes(tile, filled, count, target, rows)
    copy_axes(tile, count, target, rows)
    for field in range(target.fields):
        tile.places[field] += target.moves[field] & count
    return count
