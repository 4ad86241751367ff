"""Times of arrival under rates that change."""

import math

import numpy as np
import pytest

from perfcore.reading.places import Place
from perfcore.traffic.arrivals import Stage, arrival_times, daily, parse_stages

STEADY = (Stage(5.0, math.inf),)


@pytest.mark.parametrize("cv", [0.0, 0.5, 1.0, 3.0])
def test_rate_and_burstiness_are_those_given(cv):
    gaps = np.diff(arrival_times(STEADY, cv, 3, 200_000))

    assert gaps.mean() == pytest.approx(0.2, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, abs=0.03 * max(cv, 1.0))
    assert (gaps >= 0.0).all()


def test_constant_arrivals():
    assert arrival_times(STEADY, 0.0, 0, 3).tolist() == [0.2, 0.4, 0.6]


def test_stages_hold_their_rates_and_end():
    stages = (Stage(5.0, 600.0), Stage(0.0, 100.0), Stage(50.0, 60.0))
    times = arrival_times(stages, 1.0, 0, 100_000)
    first, silent, burst = (
        int(((low <= times) & (times < high)).sum())
        for low, high in ((0.0, 600.0), (600.0, 700.0), (700.0, 760.0))
    )

    assert first == pytest.approx(3000, rel=0.05)
    assert silent == 0
    assert burst == pytest.approx(3000, rel=0.05)
    assert first + burst == len(times)


def test_a_day_repeats_with_its_mean_and_its_peak():
    times = arrival_times(daily(1.0, 1.8), 1.0, 0, 10**6, 2 * 86_400.0, repeat=True)
    hours = np.bincount((times / 3600.0).astype(int), minlength=48)

    assert len(times) == pytest.approx(2 * 86_400, rel=0.01)
    assert hours[14] == pytest.approx(1.8 * 3600, rel=0.05)
    assert hours[24 + 2] == pytest.approx(0.2 * 3600, rel=0.1)


def test_fewer_requests_are_the_first_of_more():
    many = arrival_times(STEADY, 3.0, 9, 1000)

    assert (arrival_times(STEADY, 3.0, 9, 10) == many[:10]).all()
    assert (arrival_times(STEADY, 3.0, 9, 1000, 50.0) == many[many < 50.0]).all()


def test_stages_as_text():
    def parsed(text):
        faults = []
        return parse_stages(text, Place("rate", "", faults)), faults

    assert parsed(5)[0] == STEADY
    assert parsed("5@10min, 50@1min, 5")[0] == (Stage(5.0, 600.0), Stage(50.0, 60.0), *STEADY)
    assert parsed("5,50@1min") == ((), ["rate: '5' has no time; write a stage like 5@10min"])
    assert parsed("0") == ((), ["rate: nothing arrives at a rate of 0; give a rate above 0"])
    assert parsed("1@1s,0")[1] == ["rate: nothing arrives at a rate of 0; give a rate above 0"]
    assert "is out of bounds" in parsed("-1")[1][0]
    assert "'10' has no unit" in parsed("5@10")[1][0]
    assert parsed(",".join(["1@1s"] * 2000))[1] == ["rate: 2,000 stages; give at most 1,000"]
