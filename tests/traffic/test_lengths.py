"""Distributions of lengths as text."""

import numpy as np
import pytest

from perfcore.reading.places import Place
from perfcore.traffic.draws import Use, uniform
from perfcore.traffic.lengths import of_rows, parse_lengths

NUMBERS = uniform(1, Use.INPUT, 100_000)


def drawn(text):
    faults = []
    lengths = parse_lengths(text, Place("input_len", "", faults))
    assert faults == []
    return lengths, lengths.draw(NUMBERS)


@pytest.mark.parametrize(
    "text", ["2Ki", "uniform:1..9", "lognormal:2048,cv=0.5", "histogram:1=3,9"]
)
def test_means_are_those_of_what_is_drawn(text):
    lengths, values = drawn(text)

    assert values.mean() == pytest.approx(lengths.mean, rel=0.01)
    assert values.min() >= 1
    assert values.max() <= lengths.most


def test_bounds():
    assert set(drawn("uniform:3..5")[1]) == {3, 4, 5}
    assert drawn("lognormal:2048,cv=3,max=4000")[1].max() == 4000
    assert np.bincount(drawn("histogram:1=3,2=1")[1])[1] == pytest.approx(75_000, rel=0.02)
    assert np.std(drawn("lognormal:2048,cv=0.5")[1]) == pytest.approx(1024, rel=0.02)


def test_rows_of_a_trace():
    lengths = of_rows(np.array([5, 7, 7, 1]))

    assert lengths.mean == 5.0
    assert np.bincount(lengths.draw(NUMBERS))[7] == pytest.approx(50_000, rel=0.02)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("0", "input_len: '0' is out of bounds"),
        ("nan", "input_len: 'nan' is not a count"),
        ("uniform:9..1", "input_len: '9..1' is an empty range; write it like 100..4000"),
        ("uniform:9", "input_len: '' is not a count"),
        ("logormal:9", "unknown distribution 'logormal'; did you mean 'lognormal'?"),
        ("lognormal:9,vc=1", "input_len: unknown parameter 'vc'"),
        ("lognormal:9,cv=-1", "input_len: '-1' is out of bounds"),
        ("histogram:9=0", "input_len: all weights are 0; give one above 0"),
    ],
)
def test_faults(text, fault):
    faults = []

    assert parse_lengths(text, Place("input_len", "", faults)) is None
    assert len(faults) == 1
    assert fault in faults[0]
