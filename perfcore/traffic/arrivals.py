"""Arrival times: a renewal process of any burstiness under a rate that changes by stages."""

import math
from typing import Final, NamedTuple

import numpy as np

from perfcore.kernel.layout import Reals
from perfcore.limits import Limits
from perfcore.reading.places import Place, number
from perfcore.traffic.draws import Use, gamma, uniform

RATE: Final = Limits("ratio", 0.0, 1e6)  # requests per second
TIME: Final = Limits("time", 0.0, 1e9)
HOURS: Final = 24
_HOUR: Final = 3600.0
_BUSIEST: Final = 14  # o'clock
_MOST_STAGES: Final = 1000


class Stage(NamedTuple):
    """Rate that holds for some time."""

    rate: float  # arrivals per second
    duration_s: float  # infinite: until the last request


def parse_stages(value: str | float, place: Place) -> tuple[Stage, ...]:
    """Return the stages of ``5`` or ``5@10min,50@1min,5``; none after a fault."""
    stages = []
    parts = value.split(",") if isinstance(value, str) else [value]
    if len(parts) > _MOST_STAGES:
        place.fault(f"{len(parts):,} stages", f"give at most {_MOST_STAGES:,}")
        return ()
    for count, part in enumerate(parts, start=1):
        text, _, time = str(part).partition("@")
        rate = number(text.strip(), RATE, place)
        duration = number(time.strip(), TIME, place) if time else math.inf
        if rate is None or duration is None:
            return ()
        if duration == math.inf and count < len(parts):
            place.fault(f"{str(part).strip()!r} has no time", "write a stage like 5@10min")
            return ()
        stages.append(Stage(rate, duration))
    endless_silence = stages[-1] == Stage(0.0, math.inf)
    if endless_silence or not any(stage.rate * stage.duration_s > 0.0 for stage in stages):
        place.fault("nothing arrives at a rate of 0", "give a rate above 0")
        return ()
    return tuple(stages)


def daily(rate: float, peak: float) -> tuple[Stage, ...]:
    """Return the hourly rates of a day from midnight, with a mean and at most ``peak`` times it.

    The profile is a cosine with its maximum between 14 and 15 o'clock.
    """
    swing = [round(math.cos(2.0 * math.pi * (hour - _BUSIEST) / HOURS), 9) for hour in range(HOURS)]
    return tuple(Stage(rate * (1.0 + (peak - 1.0) * part), _HOUR) for part in swing)


def arrival_times(
    stages: tuple[Stage, ...],
    cv: float,
    seed: int,
    requests: int,
    duration_s: float = math.inf,
    *,
    repeat: bool = False,
) -> Reals:
    """Return at most ``requests`` times of arrival, ascending, before ``duration_s``.

    Gaps of mean 1 and coefficient of variation ``cv`` are drawn and mapped through the inverse of
    the expected number of arrivals: where the rate doubles, gaps halve.

    Parameters
    ----------
    stages
        Rates in sequence. After the last, nothing arrives, or all begins again with ``repeat``.
    """
    spans = np.array([stage.duration_s for stage in stages])
    rates = np.array([stage.rate for stage in stages])
    expected = rates * np.where(rates > 0.0, spans, 0.0)
    turn, turn_s = (float(expected.sum()), float(spans.sum())) if repeat else (math.inf, math.inf)
    arrived = np.concatenate([[0.0], np.cumsum(expected)])
    begun = np.concatenate([[0.0], np.cumsum(spans)])
    found: Reals = np.cumsum(gamma(uniform(seed, Use.ARRIVAL, requests), cv))
    turns = np.floor(found / turn)
    rest = found - turns * turn if repeat else found
    stage = np.searchsorted(arrived, rest, side="right") - 1
    inside = stage < len(stages)
    stage = np.minimum(stage, len(stages) - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        times = begun[stage] + (rest - arrived[stage]) / rates[stage]
    if repeat:
        times += turns * turn_s
    kept: Reals = times[inside & (times < duration_s)]
    return kept
