"""Times and bars as plain text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfcore.cli import text as text_of
from perfcore.cli.text import part_bar


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8),
    st.integers(4, 40),
)
def test_parts_of_a_bar_follow_each_other(sizes, columns):
    total = sum(sizes) or 1.0
    before = 0.0
    edge = 0.0
    for size in sizes:
        bar = part_bar(before / total, (before + size) / total, columns)
        blanks = len(bar) - len(bar.lstrip(" "))

        assert len(bar) <= columns
        assert bar.strip(" ")
        assert abs(blanks - before / total * columns) <= 1.0
        assert abs(len(bar) - (before + size) / total * columns) <= 1.5
        assert blanks >= edge - 1.0
        edge = blanks
        before += size


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.25, "250 ms"),
        (9.44, "9.4 s"),
        (119, "119 s"),
        (600, "10 min"),
        (1e5, "28 h"),
        (3e6, "35 days"),
    ],
)
def test_times_are_told_in_the_unit_that_people_use(seconds, expected):
    assert text_of.duration(seconds) == expected
