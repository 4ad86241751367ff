"""Kept and counted rows do not depend on the division into blocks."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from perfcore.searching.reductions import Best, Candidates, Counts, Front

small = st.sampled_from([0.0, 1.0, 2.0, 3.0, np.inf, np.nan])


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), small, small), max_size=60),
    top=st.integers(1, 4),
    split=st.integers(0, 60),
    order=st.randoms(use_true_random=False),
)
def test_kept_rows_depend_on_rows_only(rows, top, split, order):
    """Compared with a sort and with all pairs; rows are in any order, in two parts."""
    listed = [(group, place, a, b) for place, (group, a, b) in enumerate(rows)]
    shuffled = order.sample(listed, len(listed))

    def kept(make):
        parts = []
        for part in (shuffled[:split], shuffled[split:]):
            state = make()
            state.take(entries(part))
            parts.append(state)
        parts[0].take(parts[1].entries())
        values, groups, places = parts[0].entries()
        return set(
            zip(groups.tolist(), places.tolist(), map(tuple, values.T.tolist()), strict=True)
        )

    best = set()
    front = set()
    for group in range(3):
        members = [(a, b, place) for g, place, a, b in listed if g == group]
        ranked = sorted((a, place) for a, _, place in members if not np.isnan(a))
        best |= {(group, place, (a,)) for a, place in ranked[:top]}
        real = [member for member in members if not np.isnan(member[:2]).any()]
        front |= {
            (group, place, (a, b))
            for a, b, place in real
            if not any(
                c <= a and d <= b and ((c, d) != (a, b) or other < place) for c, d, other in real
            )
        }

    assert kept(lambda: Front(3, 2, np.float64)) == front
    assert {row[:2] for row in kept(lambda: Best(3, top, np.float64))} == {row[:2] for row in best}


def entries(rows):
    groups, places = (np.array([row[k] for row in rows], np.int64) for k in (0, 1))
    values = np.array([[row[k] for row in rows] for k in (2, 3)]).reshape(2, len(rows))
    return Candidates(values, groups, places)


def test_bins_without_an_end():
    values = np.array([[-1.0, 0.0, 1.0, 1.5, 10.0, np.inf, np.nan]])
    counts = Counts(2, np.array([1.0, 10.0]))
    groups = np.array([0, 0, 0, 1, 1, 1, 1])
    counts.take(Candidates(values, groups, np.arange(7)))

    assert counts.counts.tolist() == [[2, 1, 0], [0, 1, 2]]
