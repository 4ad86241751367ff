"""80 % intervals from residuals of rows that were left out of the fit with their whole group.

Errors shift whole groups (a source, an engine, a model) together, so plain quantiles over all rows
cover too little of a new group. Each group therefore weighs little more if it has more rows, and
the quantiles are stretched around the median until they cover most of the groups that they
were computed without. Low and high end are separate quantiles: measurements of stacks that nobody
fitted are rather slower than faster.

The interval of a level rests on what a user brings, rows of a source that the fit has not seen. If
there are too few such sources at a level, models, devices and engines that were left out count too.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from perfcore.accuracy.left_out import GROUPS, STRANGERS, Judged, source_of
from perfcore.accuracy.prediction import Floats, Question
from perfcore.accuracy.protocols import artefact
from perfcore.catalog.engine_entry import Calibration

COVERED: Final = 0.8
# Share of rows of left-out groups, small groups weighing more, that an interval must cover. With
# 0.85, four fifths of the rows of new sources lie inside, counted without weights.
STRETCHED: Final = 0.85
WIDEST: Final = 10.0  # factor, up or down; a wider interval says nothing
FEWEST: Final = 3  # groups; from this number on, an interval is tested on unseen groups
ENOUGH: Final = 6  # left-out sources from which on they alone determine an interval
CLAIM: Final = (0.4, 2.5)  # vendors' published speeds against each other's and outsiders'
UNKNOWN: Final = (0.6, 1.7)  # with too few groups of a kind to judge a new one
_LARGEST_STRETCH: Final = 2.0  # few groups cannot tell how wide their tails are
_CROWDING: Final = 0.75  # weight of a row is the number of rows of its group to minus this power
_LEVELS: Final[Mapping[Calibration, tuple[Calibration, ...]]] = {
    # an engine that is known on other devices errs on a new one as much as an unknown engine
    "own": ("own",),
    "class": ("class", "unseen"),
    "unseen": ("class", "unseen"),
}

# Interval that applies to a metric: of a static batch on one device, on several, or of a server.
_INTERVALS: Final = {
    "tpot_s": ("tpot_single", "tpot_parallel", "tpot_served"),
    "e2e_latency_s": ("tpot_single", "tpot_parallel", "tpot_served"),
    "output_tokens_per_s_per_device": ("tpot_single", "tpot_parallel", "tpot_served"),
    "ttft_s": ("ttft_static", "ttft_static", "ttft_served"),
    "prefill_tokens_per_s": ("ttft_static", "ttft_static", "ttft_served"),
    "energy_j_per_output_token": ("energy",) * 3,
    "power_w_per_device": ("power",) * 3,
}
_RATES: Final = ("prefill_tokens_per_s", "output_tokens_per_s_per_device")
NAMES: Final = tuple(dict.fromkeys(name for names in _INTERVALS.values() for name in names))


class Interval(NamedTuple):
    """Interval of measurements, as factors on a prediction, and the data behind it."""

    low: float
    high: float
    rows: int
    groups: int
    covered: float  # share of rows of left-out groups, weighted as in the fit of the interval

    def holds(self, row: Judged) -> bool:
        """Return whether the interval of a prediction contains the measurement."""
        shift = float(np.exp(shift_of(row.question, row.residual)))
        return self.low <= shift <= self.high


def shift_of(question: Question, residual: float) -> float:
    """Return the logarithm of measured over predicted time, power or energy."""
    return residual if question.measurement.metric in _RATES else -residual


def interval_of(question: Question) -> str:
    """Return the name of the interval that applies to a question's metric."""
    row = question.measurement
    place = 2 if row.mode != "static" else int(row.devices > 1)
    return _INTERVALS[row.metric][place]


def intervals(
    asked: Sequence[Question], residuals: Floats, groups: Sequence[str]
) -> dict[str, Interval]:
    """Return intervals by name, for names with rows of more than one group.

    Parameters
    ----------
    residuals
        (rows,) logarithm of prediction over measurement, from fits without the row's group; NaN
        for rows that do not count.
    groups
        (rows,) group of each row.
    """
    names = np.array([interval_of(question) for question in asked])
    counts = np.isfinite(residuals) & ~np.array([bool(artefact(q.measurement)) for q in asked])
    sign = np.array([1.0 if q.measurement.metric in _RATES else -1.0 for q in asked])
    shifts = sign * residuals  # log of measured over predicted time
    labels = np.array(groups)
    found = {}
    for name in NAMES:
        chosen = counts & (names == name)
        if len(np.unique(labels[chosen])) > 1:
            found[name] = _interval(shifts[chosen], labels[chosen])
    return found


def levels(found: Sequence[Judged]) -> dict[Calibration, dict[str, Interval]]:
    """Return the intervals of each level; none is narrower than with more evidence.

    A name with residuals of fewer than ``FEWEST`` groups has a stated width. That of a stack which
    is not known, with rows of fewer sources, is at least as wide: the rows of one source, many as
    they may be, do not tell how far others are from them.
    """
    made: dict[Calibration, dict[str, Interval]] = {}
    narrower: dict[str, Interval] = {}
    for level, bases in _LEVELS.items():
        widened = {}
        for name in NAMES:
            rows = [
                row for row in found if row.level in bases and interval_of(row.question) == name
            ]
            width = _of_level(rows)
            if level != "own" and len({source_of(row.question) for row in rows}) < FEWEST:
                width = _wider(width, Interval(*UNKNOWN, 0, 0, 0.0))
            inner = narrower.get(name, Interval(1.0, 1.0, 0, 0, 0.0))
            widened[name] = _wider(width, inner)
        made[level] = narrower = widened
    return made


def inside_without(judged: Sequence[Judged], rows: Sequence[Judged]) -> list[bool]:
    """Return whether each judged row lies inside the interval that ``rows`` without it give.

    Without a row means without all rows of its source or, if its engine was left out, its engine.
    """
    made: dict[tuple[str, str], dict[Calibration, dict[str, Interval]]] = {}
    inside = []
    for row in judged:
        key = GROUPS["sources" if row.kind in STRANGERS else row.kind]
        group = (row.kind, key(row.question))
        if group not in made:
            made[group] = levels([one for one in rows if key(one.question) != group[1]])
        inside.append(made[group][row.level][interval_of(row.question)].holds(row))
    return inside


def _of_level(rows: Sequence[Judged]) -> Interval:
    """Return the interval of rows of one level and name."""
    strangers = [row for row in rows if row.kind in STRANGERS]
    engines = [row for row in rows if row.kind == "engines"]
    enough = _groups(strangers) >= ENOUGH
    used = strangers if enough else rows
    found = Interval(*UNKNOWN, 0, 0, 0.0)
    if _groups(used) >= FEWEST:
        found = _interval(*_shifts(used))
    # too few to tell how wide their tails are, but nothing narrower than they are
    if not enough and _groups(strangers) >= FEWEST:
        found = _wider(found, _plain(*_shifts(strangers)))
    return _wider(found, _plain(*_shifts(engines))) if engines else found


def _groups(rows: Sequence[Judged]) -> int:
    return len({row.group for row in rows})


def _shifts(rows: Sequence[Judged]) -> tuple[Floats, npt.NDArray[np.str_]]:
    shifts = [shift_of(row.question, row.residual) for row in rows]
    return np.array(shifts), np.array([row.group for row in rows])


def _wider(interval: Interval, other: Interval) -> Interval:
    return interval._replace(low=min(interval.low, other.low), high=max(interval.high, other.high))


def _plain(shifts: Floats, labels: npt.NDArray[np.str_]) -> Interval:
    """Return the interval between two quantiles, which is not tested on left-out groups."""
    least, _, most = _quantiles(shifts, _weights(labels))
    low = min(max(float(np.exp(least)), 1.0 / WIDEST), 1.0)
    high = max(min(float(np.exp(most)), WIDEST), 1.0)
    return Interval(low, high, len(shifts), len(np.unique(labels)), COVERED)


def _weights(labels: npt.NDArray[np.str_]) -> Floats:
    """Return the weights of rows, by the number of rows in their group."""
    _, inverse, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    weights: Floats = np.power(sizes.astype(np.float64), -_CROWDING)[inverse]
    return weights


def _interval(shifts: Floats, labels: npt.NDArray[np.str_]) -> Interval:
    unique, inverse = np.unique(labels, return_inverse=True)
    weights = _weights(labels)
    edges = []
    for group in range(len(unique)):
        # with two groups, one alone has no spread to test the other against: no stretch
        others = inverse != group if len(unique) >= FEWEST else inverse >= 0
        edges.append(_quantiles(shifts[others], weights[others]))
    low, middle, high = (np.array(edge)[inverse] for edge in zip(*edges, strict=True))

    def covered(stretch: float) -> float:
        inside = (shifts >= middle + (low - middle) * stretch) & (
            shifts <= middle + (high - middle) * stretch
        )
        return float((inside * weights).sum() / weights.sum())

    tried = np.geomspace(1.0, _LARGEST_STRETCH, 100)
    stretch = next((one for one in tried if covered(one) >= STRETCHED), tried[-1])
    least, centre, most = _quantiles(shifts, weights)
    return Interval(
        low=max(float(np.exp(min(centre + (least - centre) * stretch, 0.0))), 1.0 / WIDEST),
        high=min(float(np.exp(max(centre + (most - centre) * stretch, 0.0))), WIDEST),
        rows=len(shifts),
        groups=len(unique),
        covered=covered(stretch),
    )


def _quantiles(values: Floats, weights: Floats) -> tuple[float, float, float]:
    order = np.argsort(values)
    position = np.cumsum(weights[order]) - 0.5 * weights[order]
    position /= weights.sum()
    edge = 0.5 * (1.0 - COVERED)
    low, middle, high = np.interp((edge, 0.5, 1.0 - edge), position, values[order])
    return float(low), float(middle), float(high)
