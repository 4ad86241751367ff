"""Ranges of numbers as a sweep file writes them, and the place that an error in one names."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from perfcore import units
from perfcore.bounds import Bound
from perfcore.errors import FURTHER, MOST_FAULTS
from perfcore.errors import show as show  # noqa: PLC0414 - said to be public here, too
from perfcore.validation import suggest

MAX_VALUES: Final = 1_000_000
FORMS: Final = ("linear", "log", "pow2")
RANGE_HELP: Final = (
    "write a number, a list, { linear = [a, b], n = 8 }, { log = [a, b], n = 8 } "
    "or { pow2 = [a, b] }"
)


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
        listed = list(known)
        self.relay(
            f"unknown {noun} {show(word)}"
            + (suggest(word, listed) or f"; use one of: {', '.join(listed)}")
        )

    def relay(self, fault: str) -> None:
        """Record a fault that another module has worded."""
        if len(self.faults) >= MOST_FAULTS:
            self.faults.append(FURTHER)  # one object: a million of them take 8 MB
            return
        where = f"{self.file}: {self.key}: " if self.key else f"{self.file}: "
        self.faults.append(" ".join((where + fault).splitlines()))


def number(value: object, bound: Bound, place: Place) -> float | None:
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


def expand(
    value: object, bound: Bound, place: Place, *, repeats: bool = False
) -> tuple[float, ...] | None:
    """Return the values of a scalar, list or range table in the order written; None after a fault.

    A list may have a value twice only if ``repeats`` says so: beside other axes of a zip.

    ``linear`` and ``log`` ranges rise from their first to their last value, both exact; what lies
    between is rounded to 12 digits (to whole numbers, without repetitions, where the bound says
    whole), so that every machine finds the same values. ``pow2`` is every power of two in [a, b].
    """
    if isinstance(value, Mapping):
        return _range(value, bound, place)
    if isinstance(value, list | tuple):
        return _list(value, bound, place, repeats=repeats)
    single = number(value, bound, place)
    return None if single is None else (single,)


def _list(
    items: list[object] | tuple[object, ...], bound: Bound, place: Place, *, repeats: bool
) -> tuple[float, ...] | None:
    if not items:
        place.fault("[] is empty", "list at least one value, or leave the key out")
        return None
    if len(items) > MAX_VALUES:
        place.fault(f"{len(items)} values are too many", f"list at most {MAX_VALUES}")
        return None
    values: list[float] = []
    first_of: dict[float, object] = {}
    sound = True
    for index, item in enumerate(items):
        parsed = number(item, bound, place.item(index))
        if parsed is None:
            sound = False
        elif parsed in first_of and not repeats:
            place.item(index).fault(
                f"{show(item)} is a duplicate of {show(first_of[parsed])}", "list it once"
            )
            sound = False
        else:
            first_of[parsed] = item
            values.append(parsed)
    return tuple(values) if sound else None


def _range(table: Mapping[str, object], bound: Bound, place: Place) -> tuple[float, ...] | None:
    before = len(place.faults)
    forms = [form for form in FORMS if form in table]
    if "scale" in table:
        place.fault(
            f"{show(dict(table))}: 'scale' needs something to scale",
            "use it in [what_if] only, or list the values",
        )
        return None
    if len(forms) != 1 or set(table) - {forms[0], "n"}:
        place.fault(f"{show(dict(table))} is not a range", RANGE_HELP)
        return None
    form = forms[0]
    ends = _ends(table[form], bound, place.at(form))
    if ends and form != "linear" and ends[0] == 0:
        place.at(form).fault(
            f"{show(table[form])}: a {form} range cannot start at 0",
            "start above 0, or use 'linear'",
        )
    count = _count(form, table, place)
    if ends is None or len(place.faults) > before:
        return None
    if form == "pow2":
        return _powers_of_two(*ends, bound, place.at(form))
    return _spread(*ends, count, logarithmic=form == "log", whole=bound.whole)


def _count(form: str, table: Mapping[str, object], place: Place) -> int:
    """Return a range's number of values, or 0 where there is none."""
    if form == "pow2":
        if "n" in table:
            place.fault(f"n = {show(table['n'])} with 'pow2'", "leave n out, or use 'log'")
        return 0
    if "n" not in table:
        place.fault(f"{show(dict(table))} lacks n", f"add n, e.g. {{ {form} = [a, b], n = 8 }}")
        return 0
    return integer(table["n"], 2, MAX_VALUES, place.at("n")) or 0


def _ends(value: object, bound: Bound, place: Place) -> tuple[float, float] | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        place.fault(f"{show(value)} is not a pair", "write the first and last value, [a, b]")
        return None
    low = number(value[0], bound, place.item(0))
    high = number(value[1], bound, place.item(1))
    if low is None or high is None:
        return None
    if low >= high:
        place.fault(
            f"{show(value)} does not rise", "put the smaller value first, or write a single number"
        )
        return None
    return low, high


def _powers_of_two(low: float, high: float, bound: Bound, place: Place) -> tuple[float, ...] | None:
    first = math.frexp(low)[1] - 1
    powers = (math.ldexp(1.0, exponent) for exponent in range(first, math.frexp(high)[1]))
    inside = tuple(int(p) if bound.whole else p for p in powers if low <= p <= high)
    if not inside:
        place.fault(
            f"no power of two lies in [{low:g}, {high:g}]", "widen the range, or list the values"
        )
        return None
    return inside


def _spread(
    low: float, high: float, count: int, *, logarithmic: bool, whole: bool
) -> tuple[float, ...]:
    start, stop = (math.log(low), math.log(high)) if logarithmic else (low, high)
    values = [low]
    for index in range(1, count - 1):
        share = index / (count - 1)
        point = start * (1 - share) + stop * share
        if logarithmic:
            point = math.exp(point)
        rounded = math.floor(point + 0.5) if whole else float(f"{point:.12g}")
        if values[-1] < rounded < high:
            values.append(rounded)
    return (*values, high)
