"""Service-level objectives as text: bounds on a latency of each request, or of a percentile."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from perfcore.errors import InputError, argument
from perfcore.limits import Limits
from perfcore.reading.places import Place, number

LATENCIES: Final = ("ttft", "tpot", "itl", "e2e")
STATISTICS: Final = ("mean", "p50", "p90", "p95", "p99")
NAMES: Final = tuple(
    f"{latency}{f'_{statistic}' if statistic else ''}_s"
    for latency in LATENCIES
    for statistic in ("", *STATISTICS)
    if statistic or latency != "itl"  # a request has many
)
_OBJECTIVE: Final = re.compile(r"\s*([\w.]+)\s*<=\s*(\S.*?)\s*")
_BOUND: Final = Limits("time", 0.0, 1e9, least=1e-9)


class Objective(NamedTuple):
    """Upper bound on a latency."""

    latency: str  # of ``LATENCIES``
    statistic: str  # of ``STATISTICS``; empty: the latency of each request
    bound_s: float

    @property
    def name(self) -> str:
        """Name of what is bounded, as in results."""
        return f"{self.latency}{f'_{self.statistic}' if self.statistic else ''}_s"


def objectives(texts: Iterable[str]) -> tuple[Objective, ...]:
    """Return the objectives of texts like ``ttft_p99_s<=1s`` or ``tpot_s<=50ms``.

    Raises
    ------
    InputError
        With every fault of the texts.
    """
    faults: list[str] = []
    found = []
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
        bound = number(_number_or_text(value), _BOUND, place)
        if bound is not None:
            latency, *statistic = name.removesuffix("_s").split("_")
            found.append(Objective(latency, "".join(statistic), bound))
    if faults:
        raise InputError(faults)
    return tuple(found)


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
