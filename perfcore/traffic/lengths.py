"""Distributions of lengths: fixed, uniform, lognormal, a histogram, or the rows of a trace."""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from perfcore.kernel.layout import Integers, Reals
from perfcore.limits import Limits
from perfcore.reading.places import Place, number
from perfcore.traffic.draws import chosen, normal

LENGTH: Final = Limits("count", 1, 1e8, whole=True)
_CV: Final = Limits("ratio", 0.0, 100.0)
_WEIGHT: Final = Limits("ratio", 0.0, 1e15)
FORMS: Final = "2048, uniform:100..4000, lognormal:2048,cv=1.5,max=8000, histogram:128=3,1024=1"


class Lengths(NamedTuple):
    """Distribution of whole numbers of at least 1, as its inverse."""

    mean: float
    most: int
    draw: Callable[[Reals], Integers]  # quantiles of uniform numbers


def parse_lengths(value: str | float, place: Place) -> Lengths | None:
    """Return the distribution that a text like those of ``FORMS`` describes; None after a fault."""
    kind, colon, rest = str(value).partition(":")
    if not colon:
        length = number(value, LENGTH, place)
        return None if length is None else fixed(int(length))
    readers = {"uniform": _uniform, "lognormal": _lognormal, "histogram": _histogram}
    reader = readers.get(kind.strip())
    if reader is None:
        place.unknown("distribution", kind.strip(), [*readers, "trace"])
        return None
    return reader(rest, place)


def fixed(length: int) -> Lengths:
    """Return the distribution of a constant."""
    return Lengths(float(length), length, lambda numbers: np.full(len(numbers), length, np.int64))


def _uniform(text: str, place: Place) -> Lengths | None:
    low, _, high = text.partition("..")
    first, last = number(low.strip(), LENGTH, place), number(high.strip(), LENGTH, place)
    if first is None or last is None:
        return None
    if last < first:
        place.fault(f"{text!r} is an empty range", "write it like 100..4000")
        return None

    def draw(numbers: Reals) -> Integers:
        return np.floor(first + numbers * (last - first + 1.0)).astype(np.int64)

    return Lengths(0.5 * (first + last), int(last), draw)


def _lognormal(text: str, place: Place) -> Lengths | None:
    mean_text, *named = (part.strip() for part in text.split(","))
    given = {"cv": "1", "max": "1e8"}
    for part in named:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in given:
            place.unknown("parameter", key, given)
            return None
        given[key] = value
    mean = number(mean_text, LENGTH, place)
    cv, most = number(given["cv"], _CV, place), number(given["max"], LENGTH, place)
    if mean is None or cv is None or most is None:
        return None
    spread = math.sqrt(math.log1p(cv * cv))
    middle = math.log(mean) - 0.5 * spread * spread

    def draw(numbers: Reals) -> Integers:
        drawn = np.rint(np.exp(middle + spread * normal(numbers)))
        return np.clip(drawn, 1.0, most).astype(np.int64)

    return Lengths(float(mean), int(most), draw)


def _histogram(text: str, place: Place) -> Lengths | None:
    lengths, weights = [], []
    for part in text.split(","):
        length_text, _, weight_text = (piece.strip() for piece in part.partition("="))
        length = number(length_text, LENGTH, place)
        weight = number(weight_text or "1", _WEIGHT, place)
        if length is None or weight is None:
            return None
        lengths.append(int(length))
        weights.append(float(weight))
    if sum(weights) == 0.0:
        place.fault("all weights are 0", "give one above 0")
        return None
    values, shares = np.array(lengths, np.int64), np.array(weights) / math.fsum(weights)
    running = np.cumsum(shares)
    return Lengths(
        float(values @ shares), int(values.max()), lambda numbers: values[chosen(numbers, running)]
    )


def of_rows(values: Integers) -> Lengths:
    """Return the distribution of a trace's rows: its values in order, all equally probable."""
    rows = len(values)

    def draw(numbers: Reals) -> Integers:
        return values[np.minimum(np.floor(numbers * rows), rows - 1.0).astype(np.int64)]

    return Lengths(float(values.mean()), int(values.max()), draw)
