"""Kinds of pictures: the function that gathers the data of each, and its options."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from perfcore.columns import METRICS, SIMULATED, usual
from perfcore.errors import InputError, argument
from perfcore.reading.places import Place
from perfcore.reporting.choosing import BANDWIDTH, SCALE, UTILIZATION
from perfcore.reporting.completing import completed
from perfcore.reporting.kinds.bandwidth import bandwidth
from perfcore.reporting.kinds.cost import cost
from perfcore.reporting.kinds.energy import energy
from perfcore.reporting.kinds.load import load
from perfcore.reporting.kinds.memory_wall import memory_wall
from perfcore.reporting.kinds.pareto import pareto
from perfcore.reporting.kinds.quantisation import quantisation
from perfcore.reporting.kinds.roofline import roofline
from perfcore.reporting.kinds.winners import winners
from perfcore.reporting.names import FORMER, KINDS, SIMULATED_KINDS
from perfcore.reporting.picture import Picture
from perfcore.reporting.ranges import ranged
from perfcore.reporting.remarks import remarks_on_devices
from perfcore.reporting.settling import LackError
from perfcore.reporting.source import Source
from perfcore.space.axes import DEGREES

_NUMBERS: Final = tuple(column.name for column in (*METRICS, *SIMULATED) if column.kind != "code")
_SHOWN: Final = frozenset({"batch", "input_len", UTILIZATION, SCALE, BANDWIDTH})


class Kind(NamedTuple):
    """Kind of picture: the function that gathers its data, and the options it accepts."""

    gather: Callable[[Source, str, str | None], Picture]
    by: str = ""  # default axis of the series; empty: it cannot be chosen
    metric: bool = False  # whether a metric may be chosen


_KINDS: Final = {
    "roofline": Kind(roofline),
    "pareto": Kind(pareto, by="device", metric=True),
    "winners": Kind(winners, by="device", metric=True),
    "memory_wall": Kind(memory_wall),
    "cost": Kind(cost, by="device"),
    "energy": Kind(energy, by="device"),
    "quantisation": Kind(quantisation, metric=True),
    "bandwidth": Kind(bandwidth, by="device", metric=True),
    "load": Kind(load, by="device", metric=True),
}


def gather(source: Source, name: str, by: str | None = None, metric: str | None = None) -> Picture:
    """Return a picture of a source.

    Parameters
    ----------
    name
        Key of ``KINDS`` or of ``FORMER``.
    by
        Axis with one series per value; the default depends on the kind.
    metric
        Column to plot, for kinds that plot one metric.

    Raises
    ------
    InputError
        If the source lacks an axis or a column that the kind needs, nothing runs, or the kind
        does not accept an option.
    """
    faults: list[str] = []
    name = name.replace("-", "_")
    name = FORMER.get(name, name)
    if name not in _KINDS:
        Place(argument("kind"), "", faults).unknown("kind", name, _KINDS)
        raise InputError(faults)
    kind = _KINDS[name]
    if name not in kinds_of(source):
        with_or_without = "without" if source.simulated else "with"
        raise InputError(
            f"{source.given}: {name} shows rows {with_or_without} traffic; "
            f"draw {', '.join(kinds_of(source))}"
        )
    if by is not None:
        _check_axis(source, name, kind, by, Place(argument("by"), "", faults))
    if metric is not None and not kind.metric:
        faults.append(f"{argument('metric')}: {name} plots fixed columns; leave it out")
    elif metric is not None and metric not in _NUMBERS:
        Place(argument("metric"), "", faults).unknown(
            "metric", metric, _NUMBERS, usual(metric, _NUMBERS)
        )
    if faults:
        raise InputError(faults)

    def drawn(one: Source) -> Picture:
        return kind.gather(one, by or kind.by, metric)

    source, picture = _with_what_it_lacks(source, drawn)
    return ranged(source, picture, drawn)


def _with_what_it_lacks(
    source: Source, drawn: Callable[[Source], Picture]
) -> tuple[Source, Picture]:
    """Return a picture and its source, which has what-ifs or columns that the given one lacks."""
    told: list[str] = []
    while True:
        try:
            picture = drawn(source)
        except LackError as lack:
            found = completed(source, lack) if len(told) < 2 else None  # once for axes and columns
            if found is None:
                raise
            source = found[0]
            told.append(found[1])
        else:
            remarks = (*picture.remarks, *remarks_on_devices(source, picture), *told)
            return source, replace(picture, remarks=remarks)


def kinds_of(source: Source) -> tuple[str, ...]:
    """Return the kinds of pictures that show rows of a source: with traffic, or without."""
    return tuple(SIMULATED_KINDS if source.simulated else KINDS)


def _check_axis(source: Source, name: str, kind: Kind, by: str, place: Place) -> None:
    """Refuse an axis that cannot be that of the series."""
    if not kind.by:
        place.fault(f"{name} has fixed series", "leave it out")
    elif by not in source.axes:
        place.unknown("axis", by, source.axes)
    elif by in _SHOWN:
        place.fault(f"{by} is already an axis of the picture", "name another, e.g. device")
    elif source.axes[by] == (0,) and by in DEGREES:
        place.fault(f"{by} is chosen for each row", "list its values to group by it")
