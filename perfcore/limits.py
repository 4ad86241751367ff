"""Vocabulary for declaring fields of records: limits, labels, former names, citations."""

from typing import Final, NamedTuple, Self

POSITIVE: Final = 1e-12  # below any real share or ratio, with a finite inverse
FINITE: Final = 1e300


class Limits(NamedTuple):
    """Dimension of a quantity (see ``perfcore.units``) and the closed interval it must lie in.

    ``least`` is the smallest value other than ``low``, for quantities that are either absent (0)
    or at least of some size. ``choices`` are the names of the codes, starting at 0.
    """

    dimension: str
    low: float
    high: float
    whole: bool = False
    least: float = 0.0
    choices: tuple[str, ...] = ()

    def admits(self, value: float) -> bool:
        """Return whether a value lies in the interval and, if required, is whole."""
        inside = self.low <= value <= self.high and (value == self.low or value >= self.least)
        return inside and not (self.whole and value != int(value))

    def demand(self, value: float) -> str:
        """Return the requirement that a value breaks."""
        if value > self.high:
            return f"at most {self.high:g}"
        if value <= 0.0 < self.low:
            return "above 0"
        return f"at least {self.low:g}" if value < self.low else str(self)

    def __str__(self) -> str:
        if self.high == FINITE:
            return "finite"
        low = f"{self.low:g} or at least {self.least:g}" if self.least else f"at least {self.low:g}"
        return f"{'whole, ' if self.whole else ''}{low} and at most {self.high:g}"


def one_of(*names: str) -> Limits:
    """Return the limits of a code that stands for one of several names."""
    return Limits("ratio", 0, len(names) - 1, whole=True, choices=names)


class Label(str):
    """Shorter name of a field for the command line."""

    __slots__ = ()


class Former(tuple[str, ...]):
    """Former names of a field, still accepted."""

    __slots__ = ()

    def __new__(cls, *names: str) -> Self:
        """Take each name as an argument."""
        return super().__new__(cls, names)


class Cited(tuple[str, ...]):
    """Words that sources use for a field, most specific first."""

    __slots__ = ()

    def __new__(cls, *words: str) -> Self:
        """Take each word as an argument."""
        return super().__new__(cls, words)


class Absent(NamedTuple):
    """Value of a field that a catalogue entry leaves out; None if it follows from other fields."""

    value: float | None


# Limits cover everything that has ever been built or proposed, with a factor of a thousand to spare
# on either side if possible. No more: the product of a dozen of them must stay finite.
FLAG: Final = Limits("ratio", 0, 1, whole=True)
COUNT: Final = Limits("count", 0, 1e15)  # weights of a class of operators
PER_TOKEN: Final = Limits("count", 0, 1e11)  # elements or FLOP per token; at most 2e7 today
LAYERS: Final = Limits("count", 0, 1e6)  # and operators; 500 in the deepest model
HEADS: Final = Limits("count", 0, 1e6, whole=True)  # and experts; at most 900 today
AT_LEAST_ONE: Final = Limits("count", 1, 1e9)
DEGREE: Final = Limits("count", 1, 65_536, whole=True)  # of parallelism
TOKENS: Final = Limits("count", 1, 1e8, whole=True)
SHARE: Final = Limits("fraction", 0, 1)
EFFICIENCY: Final = Limits("fraction", 1e-6, 1)
LOWER: Final = EFFICIENCY  # factors from a prediction to the ends of its interval
UPPER: Final = Limits("ratio", 1, 1e3)
LATENCY: Final = Limits("time", 0, 3600)
MEMORY: Final = Limits("bytes", 1, 1e18)
RESERVE: Final = Limits("bytes", 0, 1e18)
BANDWIDTH: Final = Limits("bandwidth", 1e3, 1e18)  # from a modem to a million TB/s
COMPUTE: Final = Limits("flops", 0, 1e21, least=1e6)  # from the first supercomputer to 1e6 PFLOP/s
POWER: Final = Limits("power", 1e-3, 1e6)  # from a sensor to a building
PRICE: Final = Limits("price", 0, 1e6)
TOKEN_PRICE: Final = Limits("price_per_mtok", 0, 1e6, least=1e-6)
MONEY: Final = Limits("money", 0, 1e10)
ENERGY_PER_BIT: Final = Limits("energy_per_bit", 1e-17, 1e-6)  # SRAM arrays take 0.1 pJ
ENERGY_PER_FLOP: Final = Limits("energy_per_flop", 1e-17, 1e-6)
BITS: Final = Limits("ratio", 0.01, 64)
