"""The place in a file where a value stands, and numbers read there: a value, or a fault."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from perfcore import units
from perfcore.errors import FURTHER, MOST_FAULTS, show
from perfcore.limits import Limits
from perfcore.reading.words import unknown


class Place(NamedTuple):
    """Where in which file a value stands; collects the faults that are found there."""

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
        """Return the place of an item, counted from 1, of the list that stands here."""
        return self._replace(key=f"{self.key}[{index + 1}]")

    def fault(self, problem: str, remedy: str) -> None:
        """Record one fault."""
        self.relay(f"{problem}; {remedy}")

    def unknown(self, noun: str, word: str, known: Iterable[str]) -> None:
        """Record a name that is none of those known, with the nearest or all of them."""
        if len(self.faults) >= MOST_FAULTS:  # looking for the nearest takes time
            self.faults.append(FURTHER)
            return
        self.relay(unknown(noun, word, known))

    def relay(self, fault: str) -> None:
        """Record a fault that another module has worded."""
        if len(self.faults) >= MOST_FAULTS:
            self.faults.append(FURTHER)  # one object: a million of them take 8 MB
            return
        where = f"{self.file}: {self.key}: " if self.key else f"{self.file}: "
        self.faults.append(" ".join((where + fault).splitlines()))


def number(value: object, bound: Limits, place: Place) -> float | None:
    """Return a number in SI units, an int if its bound says whole; None after a fault."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        place.fault(f"{show(value)} is not a number", f"write a number, {bound}")
        return None
    try:
        parsed = units.parse(value, bound.dimension) if isinstance(value, str) else value
    except ValueError as error:
        place.relay(str(error))
        return None
    except ArithmeticError:  # an exponent beyond what decimals hold
        place.fault(f"{show(value)} is out of bounds", f"write a number, {bound}")
        return None
    if isinstance(parsed, float) and not math.isfinite(parsed):
        place.fault(f"{show(value)} is not finite", f"write a number, {bound}")
        return None
    if not bound.admits(parsed):
        place.fault(f"{show(value)} is out of bounds", f"write a number, {bound}")
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
