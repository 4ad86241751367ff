"""Fronts that outgrow their arrays."""

import numpy as np
import pytest

from perfcore.errors import InputError
from perfcore.searching import reductions
from perfcore.searching.reductions import Candidates, Front


def test_a_front_that_outgrows_its_room():
    count = 100
    values = np.array([np.arange(count), -np.arange(count)], np.float64)
    front = Front(1, 2, np.float64)
    front.take(Candidates(values, np.zeros(count, np.int64), np.arange(count)))

    assert sorted(front.entries().places.tolist()) == list(range(count))


def test_a_front_that_no_memory_should_hold(monkeypatch):
    monkeypatch.setattr(reductions, "LARGEST_FRONT", 16)
    values = np.array([np.arange(100.0), -np.arange(100.0)])
    front = Front(1, 2, np.float64)

    with pytest.raises(InputError, match="more than 16 rows are undominated"):
        front.take(Candidates(values, np.zeros(100, np.int64), np.arange(100)))
