"""Words in which the fields of records are declared: limits, labels, former names, citations."""

from typing import Final, NamedTuple, Self

POSITIVE: Final = 1e-12  # small enough for any share or ratio, and its inverse is finite
FINITE: Final = 1e300


class Limits(NamedTuple):
    """The dimension of a quantity, of ``perfcore.units``, and the closed interval it must lie in.

    ``least`` is the smallest value besides ``low``: 0 means that a thing is not there, and what is
    there is not smaller than some amount. ``choices`` are the names of codes, from 0 on.
    """

    dimension: str
    low: float
    high: float
    whole: bool = False
    least: float = 0.0
    choices: tuple[str, ...] = ()

    def admits(self, value: float) -> bool:
        """Whether a value lies in the interval and is whole if it must be."""
        inside = self.low <= value <= self.high and (value == self.low or value >= self.least)
        return inside and not (self.whole and value != int(value))

    def demand(self, value: float) -> str:
        """Return what a value that is not admitted must be, as far as it is not."""
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
    """Return the limits of a code that stands for one of some names."""
    return Limits("ratio", 0, len(names) - 1, whole=True, choices=names)


class Label(str):
    """A shorter word for a field, on the command line."""

    __slots__ = ()


class Former(tuple[str, ...]):
    """Former names of a field, which are still understood."""

    __slots__ = ()

    def __new__(cls, *names: str) -> Self:
        """Take the names one by one."""
        return super().__new__(cls, names)


class Cited(tuple[str, ...]):
    """Words under which a source tells of a field, the most exact first."""

    __slots__ = ()

    def __new__(cls, *words: str) -> Self:
        """Take the words one by one."""
        return super().__new__(cls, words)


class Absent(NamedTuple):
    """What a catalogue entry that leaves a field out means; None: it follows from other fields."""

    value: float | None


# Limits hold everything that was ever built or asked for, with a factor of a thousand on either
# side where that is possible, and not more: the product of a dozen of them must be a number.
FLAG: Final = Limits("ratio", 0, 1, whole=True)
COUNT: Final = Limits("count", 0, 1e15)  # weights of a class of operators
PER_TOKEN: Final = Limits("count", 0, 1e11)  # elements or FLOP that one token adds; 2e7 at most
LAYERS: Final = Limits("count", 0, 1e6)  # and operators; 500 in the deepest
HEADS: Final = Limits("count", 0, 1e6, whole=True)  # and experts; 900 at most
AT_LEAST_ONE: Final = Limits("count", 1, 1e9)
DEGREE: Final = Limits("count", 1, 65_536, whole=True)  # of parallelism
TOKENS: Final = Limits("count", 1, 1e8, whole=True)
SHARE: Final = Limits("fraction", 0, 1)
EFFICIENCY: Final = Limits("fraction", 1e-6, 1)
LOWER: Final = EFFICIENCY  # factors on a prediction, to the ends of its interval
UPPER: Final = Limits("ratio", 1, 1e3)
LATENCY: Final = Limits("time", 0, 3600)
MEMORY: Final = Limits("bytes", 1, 1e18)
RESERVE: Final = Limits("bytes", 0, 1e18)
BANDWIDTH: Final = Limits("bandwidth", 1e3, 1e18)  # a modem; a million TB/s
COMPUTE: Final = Limits("flops", 0, 1e21, least=1e6)  # as the first supercomputer; 1e6 PFLOP/s
POWER: Final = Limits("power", 1e-3, 1e6)  # a sensor; a building
PRICE: Final = Limits("price", 0, 1e6)
MONEY: Final = Limits("money", 0, 1e10)
BITS: Final = Limits("ratio", 0.01, 64)
