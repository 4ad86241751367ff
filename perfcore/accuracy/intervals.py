"""80 % intervals from residuals of rows that were left out of the fit with their whole group.

Errors shift whole groups (a model, a device) together, so plain quantiles over all rows cover too
little of a new group. Each group is therefore weighted by the square root of its number of rows,
and the quantiles are stretched around the median until they cover four fifths of the groups that
they were computed without.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from perfcore.accuracy.prediction import Floats, Question
from perfcore.accuracy.protocols import artefact

COVERED: Final = 0.8
FEWEST: Final = 3  # groups; from this number on, an interval is tested on unseen groups

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


def _interval(shifts: Floats, labels: npt.NDArray[np.str_]) -> Interval:
    unique, inverse, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    weights = 1.0 / np.sqrt(sizes)[inverse]
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

    stretch = next(s for s in np.geomspace(1.0, 10.0, 200) if covered(s) >= COVERED or s >= 10.0)
    least, centre, most = _quantiles(shifts, weights)
    return Interval(
        low=float(np.exp(min(centre + (least - centre) * stretch, 0.0))),
        high=float(np.exp(max(centre + (most - centre) * stretch, 0.0))),
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
