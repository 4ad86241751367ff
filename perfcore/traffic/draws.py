"""Random numbers by position: a number depends only on the seed, its use and the request's index.

The bits are those of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) at a position of its sequence,
one sequence per seed and use. They are therefore the same on any machine, in any library's version,
and with any number of threads; distributions are inverses of these numbers.
"""

import math
from enum import IntEnum
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from perfcore.kernel.layout import Integers, Reals

_STEP: Final = 0x9E3779B97F4A7C15
_BITS: Final = 2**64 - 1
_MANTISSA: Final = 2.0**-53
_QUANTUM: Final = 2.0**-30  # sums of multiples of it are exact, whatever their order

_PLACES: Final = 1 << 12  # of the table of gamma quantiles
_NEWTON: Final = 5
_TERMS: Final = 10_000

# coefficients of Wichura, algorithm AS 241 (1988): centre, middle and tail, highest power first
_CENTRE: Final = (
    (
        2509.0809287301227,
        33430.575583588128,
        67265.770927008700,
        45921.953931549871,
        13731.693765509461,
        1971.5909503065514,
        133.14166789178438,
        3.3871328727963666,
    ),
    (
        5226.4952788528546,
        28729.085735721943,
        39307.895800092710,
        21213.794301586596,
        5394.1960214247511,
        687.18700749205790,
        42.313330701600911,
        1.0,
    ),
)
_MIDDLE: Final = (
    (
        7.7454501427834140e-4,
        0.022723844989269184,
        0.24178072517745061,
        1.2704582524523684,
        3.6478483247632046,
        5.7694972214606914,
        4.6303378461565453,
        1.4234371107496836,
    ),
    (
        1.0507500716444169e-9,
        5.4759380849953446e-4,
        0.015198666563616457,
        0.14810397642748007,
        0.68976733498510000,
        1.6763848301838039,
        2.0531916266377588,
        1.0,
    ),
)
_TAIL: Final = (
    (
        2.0103343992922881e-7,
        2.7115555687434876e-5,
        0.0012426609473880784,
        0.026532189526576124,
        0.29656057182850489,
        1.7848265399172913,
        5.4637849111641144,
        6.6579046435011037,
    ),
    (
        2.0442631033899397e-15,
        1.4215117583164459e-7,
        1.8463183175100547e-5,
        7.8686913114561326e-4,
        0.014875361290850615,
        0.13692988092273581,
        0.59983220655588793,
        1.0,
    ),
)


class Use(IntEnum):
    """Purpose of a random number, one sequence each."""

    ARRIVAL = 1
    INPUT = 2
    OUTPUT = 3
    TURNS = 4
    PAUSE = 5
    TOOL = 6
    PROMPT = 7
    ROW = 8


def uniform(seed: int, use: Use, count: int) -> Reals:
    """Return ``count`` numbers in the open interval from 0 to 1."""
    start = _mixed(_mixed(seed & _BITS) + use)
    positions = np.arange(1, count + 1, dtype=np.uint64)
    bits = positions * np.uint64(_STEP) + np.uint64(start)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    numbers: Reals = ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * (2.0 * _MANTISSA)
    return numbers


def _mixed(value: int) -> int:
    value = (value + _STEP) & _BITS
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _BITS
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _BITS
    return value ^ (value >> 31)


def quantised(values: Reals) -> Reals:
    """Return values rounded to multiples of 2^-30, so that the last bit of a logarithm is gone."""
    return np.rint(values / _QUANTUM) * _QUANTUM


def exponential(numbers: Reals) -> Reals:
    """Return quantiles of the exponential distribution with mean 1."""
    return quantised(-np.log1p(-numbers))


def normal(numbers: Reals) -> Reals:
    """Return quantiles of the standard normal distribution (Wichura, AS 241)."""
    centred = numbers - 0.5
    tail = np.sqrt(-np.log(np.minimum(numbers, 1.0 - numbers)))
    square = 0.180625 - centred * centred
    centre = centred * np.polyval(_CENTRE[0], square) / np.polyval(_CENTRE[1], square)
    middle = np.polyval(_MIDDLE[0], tail - 1.6) / np.polyval(_MIDDLE[1], tail - 1.6)
    far = np.polyval(_TAIL[0], tail - 5.0) / np.polyval(_TAIL[1], tail - 5.0)
    outside = np.copysign(np.where(tail <= 5.0, middle, far), centred)
    return np.asarray(np.where(np.abs(centred) <= 0.425, centre, outside))


def gamma(numbers: Reals, cv: float) -> Reals:
    """Return quantiles of the gamma distribution with mean 1.

    Parameters
    ----------
    cv
        Coefficient of variation: standard deviation over mean. 0 is a constant, 1 exponential.
    """
    if cv == 0.0:
        return np.ones_like(numbers)
    if cv == 1.0:
        return exponential(numbers)
    shape = 1.0 / (cv * cv)
    return quantised(_gamma_quantiles(numbers, shape) / shape)


def _gamma_quantiles(numbers: Reals, shape: float) -> Reals:
    """Return quantiles of the gamma distribution of scale 1, by Newton's method from a table.

    Newton's method runs in the logarithm of the quantile, within the interval of the table. Values
    below 2^-40 of the mean are returned as 2^-40.
    """
    places, below = _gamma_table(shape)
    first = np.clip(np.searchsorted(below, numbers) - 1, 0, _PLACES - 2)
    low, high = places[first], places[first + 1]
    place = 0.5 * (low + high)
    for _ in range(_NEWTON):
        x = np.exp(place)
        excess = _gamma_below(x, shape) - numbers
        slope = np.exp(shape * place - x - math.lgamma(shape))  # of P by the logarithm of x
        place = np.clip(place - excess / slope, low, high)
    return np.asarray(np.exp(place))


@lru_cache(maxsize=16)
def _gamma_table(shape: float) -> tuple[Reals, Reals]:
    """Return logarithms of quantiles, and the distribution function there."""
    highest = shape + 40.0 * np.sqrt(shape) + 50.0
    places = np.linspace(np.log(shape * 2.0**-40), np.log(highest), _PLACES)
    return places, _gamma_below(np.exp(places), shape)


def _gamma_below(x: Reals, shape: float) -> Reals:
    """Return the regularised incomplete gamma function P(shape, x).

    It is a power series below ``shape + 1`` and a continued fraction above (Press et al., Numerical
    Recipes, 3rd edition, section 6.2).
    """
    found = np.empty_like(x)
    small = x < shape + 1.0
    found[small] = _gamma_series(x[small], shape)
    found[~small] = 1.0 - _gamma_fraction(x[~small], shape)
    return found


def _gamma_series(x: Reals, shape: float) -> Reals:
    term = np.full_like(x, 1.0 / shape)
    total = term.copy()
    place = shape
    while (term > total * 1e-17).any():
        place += 1.0
        term *= x / place
        total += term
    return np.asarray(total * _gamma_factor(x, shape))


def _gamma_fraction(x: Reals, shape: float) -> Reals:
    """Return 1 - P(shape, x), by Lentz's method."""
    base = x + 1.0 - shape
    last = np.full_like(x, 1e300)
    inverse = 1.0 / base
    total = inverse.copy()
    for number in range(1, _TERMS):
        weight = number * (shape - number)
        base += 2.0
        inverse = 1.0 / (weight * inverse + base)
        last = base + weight / last
        change = last * inverse
        total *= change
        if (np.abs(change - 1.0) < 1e-15).all():
            break
    return np.asarray(total * _gamma_factor(x, shape))


def _gamma_factor(x: Reals, shape: float) -> Reals:
    return np.asarray(np.exp(shape * np.log(x) - x - math.lgamma(shape)))


def chosen(numbers: Reals, cumulative: npt.NDArray[np.float64]) -> Integers:
    """Return indices with the probabilities whose running sums, ending at 1, are given."""
    found = np.searchsorted(cumulative, numbers, side="right")
    return np.minimum(found, len(cumulative) - 1).astype(np.int64)
