"""Places in a file: their notation, faults and numbers."""

from pathlib import Path

import pytest

from perfcore.errors import FURTHER, MOST_FAULTS
from perfcore.limits import Limits
from perfcore.reading.places import Place, integer, number


@pytest.fixture
def place():
    return Place("a.toml", "", [])


def test_keys_are_dotted_and_items_counted_from_one(place):
    assert place.at("axes").at("batch").item(0).key == "axes.batch[1]"
    assert place.at("what_if").at("device.price").key == 'what_if."device.price"'


def test_a_fault_is_one_line_however_it_is_worded(place):
    place.at("axes").fault("a\nb", "mend it")
    place.relay("c")

    assert place.faults == ["a.toml: axes: a b; mend it", "a.toml: c"]


def test_places_below_share_faults_and_folder():
    place = Place("a.toml", "", [], Path("sweeps"))
    place.at("axes").fault("wrong", "mend it")

    assert place.at("axes").folder == Path("sweeps")
    assert place.faults == ["a.toml: axes: wrong; mend it"]


def test_an_unknown_word_gets_the_nearest_or_all(place):
    place.unknown("axis", "bach", ("batch", "model"))
    place.unknown("axis", "zzz", ("batch", "model"))

    assert "batch" in place.faults[0]
    assert place.faults[1].endswith("; use one of: batch, model")


def test_no_more_faults_than_people_read(place):
    for _ in range(MOST_FAULTS + 3):
        place.unknown("axis", "bach", ("batch",))
        place.relay("wrong")

    assert len(set(place.faults[MOST_FAULTS:])) == 1
    assert place.faults[-1] == FURTHER


@pytest.mark.parametrize(
    ("value", "bound", "read"),
    [
        (3, Limits("count", 1, 8, whole=True), 3),
        ("2k", Limits("count", 1, 8_000, whole=True), 2_000),
        (0.5, Limits("ratio", 0, 1), 0.5),
    ],
)
def test_numbers_within_their_bounds(place, value, bound, read):
    assert number(value, bound, place) == read
    assert place.faults == []


@pytest.mark.parametrize("value", [True, None, [], "many", 9, 2.5, float("nan")])
def test_numbers_that_are_none_are_one_fault_each(place, value):
    assert number(value, Limits("count", 1, 8, whole=True), place.at("axes")) is None
    assert len(place.faults) == 1
    assert place.faults[0].startswith("a.toml: axes: ")


@pytest.mark.parametrize("value", [True, "2", 2.0, 0, 9])
def test_integers_have_no_units(place, value):
    assert integer(value, 1, 8, place) is None
    assert place.faults == [
        f"a.toml: {value!r} is not a usable count; write an integer from 1 to 8"
    ]
    assert integer(3, 1, 8, place) == 3
