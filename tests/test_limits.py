"""Limits of the fields of records."""

from types import SimpleNamespace

import pytest

from perfcore import catalog, records
from perfcore.catalog import loader
from perfcore.errors import InputError
from perfcore.inputs import LIMITS, TIES, broken_limits, check_limits
from perfcore.limits import Limits
from perfcore.space.space import Space


@pytest.mark.parametrize(
    ("record", "field"), [(record, field) for record, fields in LIMITS.items() for field in fields]
)
def test_every_field_of_every_record_has_bounds(record, field):
    bound = LIMITS[record][field]

    least = records.UNMEASURED if field == "perplexity_increase" else 0
    assert least <= bound.low < bound.high


@pytest.mark.parametrize("kind", ["model", "device", "weight_format", "kv_format"])
def test_the_catalogue_lies_within_the_bounds(kind):
    broken = {
        name: broken_limits(kind, loader.load(kind, name).record()) for name in loader.names(kind)
    }

    assert {name: fields for name, fields in broken.items() if fields} == {}


def test_broken_bounds_name_the_fields():
    values = SimpleNamespace(**dict.fromkeys(LIMITS["kv_format"], 1.0), bits_per_element=0)

    assert broken_limits("kv_format", values) == ()
    values.bits = 0.0
    values.quantised = 0.5
    assert broken_limits("kv_format", values) == ("bits", "quantised")


CLASSES = {
    "model": records.Model,
    "device": records.Device,
    "engine": records.Engine,
    "weight_format": records.WeightFormat,
    "kv_format": records.KVFormat,
    "economics": records.Economics,
}


@pytest.mark.parametrize("kind", sorted(CLASSES))
def test_bounds_hold_the_catalogue_with_room_on_either_side(kind):
    for name in catalog.names(kind):
        entry = catalog.loader.load(kind, name)
        if kind == "engine":
            record = entry.record(catalog.load_device("h100-sxm"))
        else:
            record = entry.record()
        check_limits(kind, record)


def test_a_bound_may_leave_a_gap_above_nothing():
    bound = Limits("flops", 0, 1e21, least=1e6)

    assert bound.admits(0)
    assert not bound.admits(1e-30)
    assert bound.admits(1e6)
    assert str(bound) == "0 or at least 1e+06 and at most 1e+21"


@pytest.mark.parametrize(("kind", "pair"), [(kind, pair) for kind in TIES for pair in TIES[kind]])
def test_fields_that_are_tied_are_checked_after_what_ifs(kind, pair):
    """Fields valid individually but a negative time together: the sweep is refused."""
    less, _ = pair
    high = LIMITS[kind][less].high
    sweep = {
        "axes": {"model": "mixtral-8x7b", "device": "h100-sxm"},
        "what_if": {f"{kind}.{less}": high},
    }

    with pytest.raises(InputError, match=f"{kind}.{less} = .* exceeds .*; change both"):
        _ = Space.from_dict(sweep).tables


def test_experts_of_which_none_works_are_refused():
    sweep = {
        "axes": {"model": "mixtral-8x7b", "device": "h100-sxm"},
        "what_if": {"model.experts_per_token": 0},
    }

    with pytest.raises(InputError, match="but experts_per_token is 0"):
        _ = Space.from_dict(sweep).tables
