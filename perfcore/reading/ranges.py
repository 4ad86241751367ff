"""Ranges of numbers in a sweep file."""

import math
from collections.abc import Mapping
from typing import Final

from perfcore.errors import show
from perfcore.limits import Limits
from perfcore.reading.places import Place, integer, number

MAX_VALUES: Final = 1_000_000
FORMS: Final = ("linear", "log", "pow2")
RANGE_HELP: Final = (
    "write a number, a list, { linear = [a, b], n = 8 }, { log = [a, b], n = 8 } "
    "or { pow2 = [a, b] }"
)


def expand(
    value: object, bound: Limits, place: Place, *, repeats: bool = False
) -> tuple[float, ...] | None:
    """Return the values of a scalar, list or range table in the order written; None after a fault.

    Lists may repeat values only if ``repeats`` is set, which is the case for zipped axes.

    ``linear`` and ``log`` ranges rise from their first to their last value, both exact. Values in
    between are rounded to 12 digits (to distinct whole numbers if the limits require it), so that
    every machine gets the same values. ``pow2`` is every power of two in [a, b].
    """
    if isinstance(value, Mapping):
        return _range(value, bound, place)
    if isinstance(value, list | tuple):
        return _list(value, bound, place, repeats=repeats)
    single = number(value, bound, place)
    return None if single is None else (single,)


def _list(
    items: list[object] | tuple[object, ...], bound: Limits, place: Place, *, repeats: bool
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


def _range(table: Mapping[str, object], bound: Limits, place: Place) -> tuple[float, ...] | None:
    before = len(place.faults)
    forms = [form for form in FORMS if form in table]
    if "scale" in table:
        place.fault(
            f"{show(dict(table))}: 'scale' has no value to scale",
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
    """Return the number of values of a range, or 0 if it has none."""
    if form == "pow2":
        if "n" in table:
            place.fault(f"n = {show(table['n'])} with 'pow2'", "leave n out, or use 'log'")
        return 0
    if "n" not in table:
        place.fault(f"{show(dict(table))} lacks n", f"add n, e.g. {{ {form} = [a, b], n = 8 }}")
        return 0
    return integer(table["n"], 2, MAX_VALUES, place.at("n")) or 0


def _ends(value: object, bound: Limits, place: Place) -> tuple[float, float] | None:
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


def _powers_of_two(
    low: float, high: float, bound: Limits, place: Place
) -> tuple[float, ...] | None:
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
