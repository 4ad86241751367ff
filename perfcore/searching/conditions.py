"""Conditions of a search as text, and the space of the rows that meet them."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from perfcore.columns import METRICS, Column
from perfcore.errors import InputError, argument
from perfcore.reading.places import Place
from perfcore.space.axes import Axis, WhatIf
from perfcore.space.sections import Where, parse_condition
from perfcore.space.space import Space

_CONDITION: Final = re.compile(r"\s*([\w.]+)\s*(<=|>=|=<|=>|==|<|>|=)\s*([^\s=<>].*?)\s*")

_KEYS: Final = {
    "<=": "max",
    "=<": "max",
    "<": "max",
    ">=": "min",
    "=>": "min",
    ">": "min",
    "=": "in",
    "==": "in",
}
_PLACES: Final = re.compile(r"(?:in\[1\]|max|min|metric|axis): ")  # in a table, which a text is not


def narrowed(space: Space, where: Sequence[str]) -> Space:
    """Return the space with added conditions, without rows that cannot run."""
    return kept(space, conditions(where, space.spec.axes, space.spec.what_ifs, space.results))


def kept(space: Space, added: Sequence[Where]) -> Space:
    """Return the space with added parsed conditions, without rows that cannot run."""
    spec = space.spec
    output = spec.output.model_copy(update={"keep_infeasible": False})
    return Space(replace(spec, where=(*spec.where, *added), output=output))


def conditions(
    texts: Sequence[str],
    axes: tuple[Axis, ...],
    listed: Iterable[WhatIf],
    results: tuple[Column, ...] = METRICS,
) -> tuple[Where, ...]:
    """Return the parsed conditions of texts such as ``tpot_s<=50ms`` or ``device=h100-sxm``.

    Raises
    ------
    InputError
        With every fault of the conditions.
    """
    names = [axis.name for axis in axes]
    what_ifs = {what_if.key: what_if for what_if in listed}
    real = {column.name for column in results if not column.categories}
    faults: list[str] = []
    found = []
    for text in texts:
        told = f"{argument('where')} {text}: "
        own: list[str] = []
        place = Place(told.removesuffix(": "), "", own)
        matched = _CONDITION.fullmatch(text)
        if matched is None:
            place.fault("not a condition", "write COLUMN<=VALUE, >=, <, > or =")
            faults += own
            continue
        name, sign, value = matched.groups()
        if _KEYS[sign] == "in" and name in real:
            place.fault(f"{name} is a real number, equal to few others", "write <= and >=")
        subject = "axis" if name in names or name in what_ifs else "metric"
        given: object = [_number_or_text(value)] if _KEYS[sign] == "in" else _number_or_text(value)
        table = {subject: name, _KEYS[sign]: given}
        parsed = parse_condition(table, axes, what_ifs, place, results)
        found.append(_strict(parsed) if parsed and sign in ("<", ">") else parsed)
        faults += [told + _PLACES.sub("", fault.removeprefix(told), count=1) for fault in own]
    if faults:
        raise InputError(faults)
    return tuple(condition for condition in found if condition is not None)


def _strict(where: Where) -> Where:
    """Return a condition without its bound: the next number is the first, or last, allowed."""
    if where.maximum is not None:
        return replace(where, maximum=math.nextafter(where.maximum, -math.inf))
    if where.minimum is not None:
        return replace(where, minimum=math.nextafter(where.minimum, math.inf))
    return where


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
