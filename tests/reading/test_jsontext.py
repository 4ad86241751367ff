"""JSON from outside."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfcore.reading.jsontext import parse

WHOLE = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.none() | st.booleans() | WHOLE | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
DOCUMENTS = st.recursive(
    SCALARS | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)


@given(DOCUMENTS)
def test_what_json_may_hold_is_kept(document):
    assert parse(json.dumps(document)) == document
    assert parse(json.dumps(document).encode()) == document


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        str(2**63),
        "1" * 5000,
        '"\\ud800"',
        '{"\\udfff": 1}',
        "{",
        "",
    ],
)
def test_everything_else_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_bytes_that_are_no_text_are_a_value_error():
    with pytest.raises(ValueError, match=r"."):
        parse(b'"\xff"')
