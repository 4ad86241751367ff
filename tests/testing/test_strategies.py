"""Strategies draw what the declarations of fields admit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfcore import testing
from perfcore.inputs import INPUTS, LIMITS
from perfcore.testing.strategies import within

FIELDS = [(record, name) for record, fields in LIMITS.items() for name in fields]
STRATEGIES = {
    "device": testing.devices,
    "engine": testing.engines,
    "weight_format": testing.weight_formats,
    "kv_format": testing.kv_formats,
    "economics": testing.economics,
}


@given(st.data(), st.sampled_from(FIELDS))
def test_any_field_is_drawn_within_its_limits(data, field):
    """So that a new field has values without a line of its own."""
    record, name = field
    limits = LIMITS[record][name]

    assert limits.admits(data.draw(within(limits)))


@pytest.mark.parametrize("record", STRATEGIES)
@given(data=st.data())
def test_records_have_every_declared_field(record, data):
    drawn = data.draw(STRATEGIES[record]())

    assert drawn._fields == tuple(INPUTS[record])
    assert all(isinstance(value, float) for value in drawn)
