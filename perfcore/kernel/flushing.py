"""Loops that write the rows of a tile to the output. No formulas and no column names.

A tile is a batch of evaluated rows, small enough to stay in the processor's L1 cache.
"""

from typing import Annotated, NamedTuple

import numpy as np

from perfcore.kernel import jit
from perfcore.kernel.layout import VECTOR

TILE = 64  # rows
STRIDE = TILE + VECTOR  # distance between fields, as loops over rows run to the end of a vector
ANY = -1  # a mask that excludes no code

Pointer = jit.Pointer
rounded = jit.rounded
Reals = Pointer[float]
Whole = Pointer[int]
Codes = Annotated[Pointer[int], np.int32]
Results = Annotated[Pointer[float], None]  # of the output's dtype


class Tile(NamedTuple):
    """Evaluated rows, and their points in the space.

    Metrics to write are already at their place in the output; others are in scratch memory.
    """

    values: Results  # origin of places
    places: Whole  # first row of each field
    outer_of: Whole
    inner_of: Whole
    kept: Whole  # positions of rows to keep; all rows if there are no rules
    unmet: Whole  # (1,) rows excluded by rules


class Target(NamedTuple):
    """Destination of rows: rules, labels of axes, and output columns."""

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
    pitch: int  # from one column to the next
    axes: Codes
    metrics: Results
    fields: int
    places: Whole  # of each field, relative to metrics: in its column, or in scratch memory
    moves: (
        Whole  # mask by field: all bits if its place advances with rows (it has a column), else 0
    )
    codes: Annotated[Pointer[float], np.int32]  # converted from reals
    metric_columns: int
    metric_fields: Whole
    metric_dropped_bits: Whole
    all_dropped_bits: int  # sum over metrics: 0 if none is rounded
    code_columns: int
    code_fields: Whole


@jit.inlined
def select_rows(tile: Tile, filled: int, target: Target) -> int:
    """Write the positions of rows that meet all rules into ``kept``; return their number."""
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
    """Return the end of the run of kept rows from ``start`` with consecutive inner points."""
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
    """Append the coordinates of a tile's kept rows, in the longest possible stretches."""
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
    """Compact the metrics of kept rows, and round each metric to its number of bits."""
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
    """Append the whole-number columns of a tile's kept rows."""
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
    """Write the rows of a tile that meet all rules to the output; return their number.

    The output already has ``rows`` rows. The next tile begins after the new ones.
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
