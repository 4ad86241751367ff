"""Service-level objectives as text: bounds on the latency of each request or on a percentile."""

import re
from collections.abc import Iterable
from typing import Final

from perfcore.errors import InputError, argument
from perfcore.limits import Limits
from perfcore.reading.places import Place, number

LATENCIES: Final = ("ttft", "tpot", "itl", "e2e")
STATISTICS: Final = ("", "_mean", "_p50", "_p90", "_p95", "_p99")  # empty: of each request
NAMES: Final = tuple(f"{latency}{each}_s" for latency in LATENCIES for each in STATISTICS)
_OBJECTIVE: Final = re.compile(r"\s*([\w.]+)\s*<=?\s*([^\s=].*?)\s*")
_BOUND: Final = Limits("time", 0.0, 1e9, least=1e-9)


def objectives(texts: Iterable[str]) -> dict[str, float]:
    """Return the bounds in texts like ``ttft_p99_s<=1s`` or ``tpot_s<=50ms``, by name. [s]

    Raises
    ------
    InputError
        With every fault of the texts.
    """
    faults: list[str] = []
    found: dict[str, float] = {}
    for text in texts:
        place = Place(f"{argument('slo')} {text}", "", faults)
        matched = _OBJECTIVE.fullmatch(text)
        if matched is None:
            place.fault("not an objective", "write it like ttft_p99_s<=1s")
            continue
        name, value = matched.groups()
        if name not in NAMES:
            place.unknown("latency", name, NAMES)
            continue
        if name in found:
            place.fault(f"{name} has two bounds", "leave out one")
        bound = number(_number_or_text(value), _BOUND, place)
        if bound is not None:
            found[name] = bound
    if faults:
        raise InputError(faults)
    return found


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
