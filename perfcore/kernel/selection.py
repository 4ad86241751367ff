"""Loops that keep best rows and Pareto fronts, or count rows. No formulas and no column names.

Rows are given as values (smaller is better), group numbers and places in the whole space. The
result does not depend on the order of rows, so threads may divide the work in any way: among equal
rows, the first in the space is kept.
"""

import numpy as np
import numpy.typing as npt

from perfcore.kernel import jit

STRETCH = 64  # rows, as many as in a tile

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]


@jit.kernel
def locate(
    outer_of: Integers,
    inner_of: Integers,
    outers: Integers,
    inner_points: int,
    outer_groups: Integers,
    inner_groups: Integers,
    groups: Integers,
    places: Integers,
) -> None:
    """Write each row's group and place in the space; ``outers`` are the block's outer points."""
    for row in range(outer_of.size):
        outer, inner = outer_of[row], inner_of[row]
        groups[row] = outer_groups[outer] + inner_groups[inner]
        places[row] = outers[outer] * inner_points + inner


@jit.inlined
def insert(
    value: float, place: int, best: Floats, best_places: Integers, group: int, last: int
) -> None:
    """Insert a row that is no worse than the last of its group, unless it comes later."""
    if value == best[group, last] and place > best_places[group, last]:
        return
    rank = last
    while rank > 0 and (
        value < best[group, rank - 1]
        or (value == best[group, rank - 1] and place < best_places[group, rank - 1])
    ):
        best[group, rank] = best[group, rank - 1]
        best_places[group, rank] = best_places[group, rank - 1]
        rank -= 1
    best[group, rank] = value
    best_places[group, rank] = place


@jit.kernel
def keep_best(
    values: Floats,
    groups: Integers,
    places: Integers,
    best: Floats,
    best_places: Integers,
) -> None:
    """Insert rows into the sorted (groups, K) best values so far. NaN is never inserted."""
    last = best.shape[1] - 1
    for row in range(values.size):
        if values[row] <= best[groups[row], last]:
            insert(values[row], places[row], best, best_places, groups[row], last)


@jit.kernel
def keep_best_of_block(
    values: Floats,
    maximize: bool,
    outer_of: Integers,
    inner_of: Integers,
    outers: Integers,
    inner_points: int,
    outer_groups: Integers,
    inner_groups: Integers,
    best: Floats,
    best_places: Integers,
) -> None:
    """Insert a block's rows, as ``locate`` and ``keep_best`` do, but locate few of them.

    Most rows are in stretches of one group that are all worse than its last.
    """
    last = best.shape[1] - 1
    grouped = inner_groups.max() > inner_groups.min()
    start = 0
    while start < values.size:
        stop = min(start + STRETCH, values.size)
        group = outer_groups[outer_of[start]] + inner_groups[inner_of[start]]
        limit = best[group, last]
        better = 0
        if maximize:
            for row in range(start, stop):
                better += -values[row] <= limit
        else:
            for row in range(start, stop):
                better += values[row] <= limit
        # rows are in the order of their outer points
        if better > 0 or grouped or outer_of[stop - 1] != outer_of[start]:
            for row in range(start, stop):
                outer, inner = outer_of[row], inner_of[row]
                value = -values[row] if maximize else values[row]
                group = outer_groups[outer] + inner_groups[inner]
                if value <= best[group, last]:
                    place = outers[outer] * inner_points + inner
                    insert(value, place, best, best_places, group, last)
        start = stop


@jit.kernel
def is_beaten(values: Floats, row: int, place: int, front: Floats, places: Integers) -> bool:
    """Return whether a member of a front is at least as good as a row in every objective.

    Such a member moves one step forward, so that members that beat many rows are compared first.
    If it equals the row, it takes the earlier of the two places. A row with NaN is always beaten.
    """
    objectives = values.shape[0]
    for objective in range(objectives):
        if np.isnan(values[objective, row]):
            return True
    for member in range(places.size):
        no_worse, same = True, True
        for objective in range(objectives):
            held = front[member, objective]
            no_worse = no_worse and held <= values[objective, row]
            same = same and held == values[objective, row]
        if no_worse:
            if same:
                places[member] = min(places[member], place)
            if member > 0:
                for objective in range(objectives):
                    held = front[member, objective]
                    front[member, objective] = front[member - 1, objective]
                    front[member - 1, objective] = held
                held_place = places[member]
                places[member] = places[member - 1]
                places[member - 1] = held_place
            return True
    return False


@jit.kernel
def drop_beaten(values: Floats, row: int, front: Floats, places: Integers) -> int:
    """Remove the members of a front that a row beats; return the number of members left."""
    objectives = values.shape[0]
    kept = 0
    for member in range(places.size):
        beaten = True
        for objective in range(objectives):
            beaten = beaten and values[objective, row] <= front[member, objective]
        if not beaten:
            for objective in range(objectives):
                front[kept, objective] = front[member, objective]
            places[kept] = places[member]
            kept += 1
    return kept


@jit.kernel
def keep_front(
    values: Floats,
    groups: Integers,
    places: Integers,
    start: int,
    front: Floats,
    front_places: Integers,
    sizes: Integers,
) -> int:
    """Insert rows from ``start`` on into the fronts; return the first row without room, or the end.

    Parameters
    ----------
    values
        (objectives, rows).
    front, front_places
        (groups, room, objectives) and (groups, room); the first ``sizes`` are members.
    sizes
        (groups,) number of members of each front; updated.
    """
    objectives, rows = values.shape
    room = front.shape[1]
    for row in range(start, rows):
        group, place, size = groups[row], places[row], sizes[groups[row]]
        members, member_places = front[group, :size], front_places[group, :size]
        if is_beaten(values, row, place, members, member_places):
            continue
        size = drop_beaten(values, row, members, member_places)
        sizes[group] = size
        if size == room:
            return row
        for objective in range(objectives):
            front[group, size, objective] = values[objective, row]
        front_places[group, size] = place
        sizes[group] = size + 1
    return int(rows)


@jit.kernel
def count_bins(values: Floats, groups: Integers, edges: Floats, counts: Integers) -> None:
    """Count rows into (groups, edges + 1) bins: bin b has edges[b - 1] <= value < edges[b].

    NaN is not counted.
    """
    for row in range(values.size):
        value = values[row]
        if np.isnan(value):
            continue
        low, high = 0, edges.size
        while low < high:
            middle = (low + high) // 2
            if value < edges[middle]:
                high = middle
            else:
                low = middle + 1
        counts[groups[row], low] += 1
