"""Places of values in a file, and checked numbers: a value, or a recorded fault."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from perfcore import units
from perfcore.errors import FURTHER, MOST_FAULTS, show
from perfcore.limits import FINITE, Limits
from perfcore.reading.words import unknown


class Place(NamedTuple):
    """Location of a value in a file, which collects the faults found there."""

    file: str
    key: str
    faults: list[str]
    folder: Path = Path()

    def at(self, key: str) -> "Place":
        """Return the place of a key below this one."""
        dotted = f'"{key}"' if not key.replace("_", "").replace("-", "").isalnum() else key
        if not dotted.isprintable():
            dotted = show(key)
        return self._replace(key=f"{self.key}.{dotted}" if self.key else dotted)

    def item(self, index: int) -> "Place":
        """Return the place of an item of the list at this place, shown counted from 1."""
        return self._replace(key=f"{self.key}[{index + 1}]")

    def fault(self, problem: str, remedy: str) -> None:
        """Record one fault."""
        self.relay(f"{problem}; {remedy}")

    def unknown(self, noun: str, word: str, known: Iterable[str], meant: str = "") -> None:
        """Record an unknown name, with the nearest known name, that which it means, or a list."""
        if len(self.faults) >= MOST_FAULTS:  # searching for the nearest name is slow
            self.faults.append(FURTHER)
            return
        self.relay(unknown(noun, word, known, meant))

    def relay(self, fault: str) -> None:
        """Record a fault that is a complete message already."""
        if len(self.faults) >= MOST_FAULTS:
            self.faults.append(FURTHER)  # the same object: a million references take 8 MB
            return
        where = f"{self.file}: {self.key}: " if self.key else f"{self.file}: "
        self.faults.append(" ".join((where + fault).splitlines()))


def wanted(bound: Limits) -> str:
    """Return a remedy for a value that is not a number or is out of bounds."""
    kind = "a whole number" if bound.whole else "a number"
    if bound.high == FINITE:
        return "write a finite number"
    least = f"{bound.low:g}, or from {bound.least:g}" if bound.least else f"from {bound.low:g}"
    known = units.DIMENSIONS[bound.dimension]
    told = f"write {kind} {least} to {bound.high:g}"
    return f"{told} {known.unit}, or text such as {show(known.example)}" if known.unit else told


def number(value: object, bound: Limits, place: Place) -> float | None:
    """Return a number in SI units, an int if the limits require it; None after a fault."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        place.fault(f"{show(value)} is not a number", wanted(bound))
        return None
    try:
        parsed = units.parse(value, bound.dimension) if isinstance(value, str) else value
    except ValueError as error:
        place.relay(str(error))
        return None
    except ArithmeticError:  # exponent beyond the range of Decimal
        place.fault(f"{show(value)} is out of bounds", wanted(bound))
        return None
    if isinstance(parsed, float) and not math.isfinite(parsed):
        place.fault(f"{show(value)} is not finite", wanted(bound))
        return None
    if not bound.admits(parsed):
        place.fault(f"{show(value)} is out of bounds", wanted(bound))
        return None
    return int(parsed) if bound.whole else float(parsed)


def integer(value: object, low: int, high: int, place: Place) -> int | None:
    """Return a plain integer; None after a fault."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        place.fault(
            f"{show(value)} is not a usable count", f"write an integer from {low} to {high}"
        )
        return None
    return value
