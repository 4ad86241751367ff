"""Picture as data: panels, axes, series and rows, independent of how it is drawn."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from perfcore.space.axes import Value

Mark = Literal["line", "step", "point", "area", "bar", "cell", "rule", "note"]
Row = dict[str, Any]

# Palette of Okabe and Ito, Color Universal Design (2008), distinguishable with any kind of colour
# vision. Grey replaces their yellow, which is too faint on white. Shapes differ as well.
COLOURS: Final = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#000000",
    "#8A8A8A",
)
SHAPES: Final = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-right",
    "triangle-left",
)
MOST_SERIES: Final = len(COLOURS)
LETTERS: Final = "ABCDEFGH"


@dataclass(frozen=True)
class Series:
    """Series of points with one colour, one shape, and a name in the legend."""

    name: str
    colour: str
    shape: str = "square"


@dataclass(frozen=True)
class Axis:
    """Axis of a panel: a label with its unit, and either a range or categories."""

    label: str
    log: bool = False
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()
    labelled: tuple[str, ...] = ()  # categories with a label; empty: all
    percent: bool = False
    doubling: bool = False  # whether labels of a logarithmic axis are powers of two

    def share(self, value: float) -> float:
        """Return the place of a number between the ends of the axis' range, from 0 to 1."""
        low, high = self.low or 0.0, self.high or 0.0
        if high == low:
            return 0.5
        if self.log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)


@dataclass(frozen=True)
class Layer:
    """Rows drawn with one mark: each has ``x``, ``y`` and optionally ``series``, ``y2``, ``text``.

    ``tips`` are the names of further entries of the rows, shown in tooltips.
    """

    mark: Mark
    rows: Sequence[Row]
    tips: tuple[str, ...] = ()
    dash: bool = False


@dataclass(frozen=True)
class Panel:
    """Panel with one pair of axes."""

    title: str
    x: Axis
    y: Axis
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Picture:
    """Picture with its question, its finding, and all data needed to draw it.

    ``finding`` is the title, ``setting`` says what was held fixed, and ``table`` has the numbers
    as text, for readers who cannot see the picture. ``claim`` is what the finding says without
    numbers, so that it can be true or false elsewhere, too; empty if it compares nothing. ``held``
    has the axes that are held at one of several values.
    """

    kind: str
    question: str
    finding: str
    setting: str
    source: str
    series: tuple[Series, ...]
    panels: tuple[Panel, ...]
    legend: str = ""
    header: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    remarks: tuple[str, ...] = field(default=())
    claim: str = ""
    held: Mapping[str, Value] = field(default_factory=dict)


def series_of(names: Iterable[object], values: Sequence[object] = ()) -> tuple[Series, ...]:
    """Return series with colours and shapes of the palette, in order.

    A series has the colour of its place among all ``values`` of its axis, if the palette suffices
    for them, so that it is the same in every picture.
    """
    listed = [str(name) for name in names]
    every = list(dict.fromkeys(str(value) for value in values))
    known = len(every) <= MOST_SERIES and set(listed) <= set(every)
    looks = dict(zip(every if known else listed, zip(COLOURS, SHAPES, strict=True), strict=False))
    return tuple(Series(name, *looks[name]) for name in listed[:MOST_SERIES])


def ends_of_lines(panel: Panel) -> dict[str, Row]:
    """Return the right end of the line of each series; empty for panels without such lines."""
    found: dict[str, Row] = {}
    for layer in panel.layers:
        if layer.mark not in {"line", "step"} or layer.dash:
            continue
        for row in layer.rows:
            name = row.get("series")
            if name is not None and (name not in found or row["x"] >= found[name]["x"]):
                found[name] = row
    return found


def apart(places: Mapping[str, float], most: float, least: float) -> dict[str, float]:
    """Return places from 0 to ``most`` that are ``least`` apart, in the same order."""
    names = sorted(places, key=lambda name: places[name])
    found: dict[str, float] = {}
    floor = 0.0
    for name in names:
        found[name] = max(places[name], floor)
        floor = found[name] + least
    ceiling = most
    for name in reversed(names):
        found[name] = min(found[name], ceiling)
        ceiling = found[name] - least
    return found


def described(picture: Picture, panels: Iterable[Panel]) -> str:
    """Return panels of a picture in words, for readers who cannot see them."""
    axes = " ".join(
        f"{one.title + ': ' if one.title else ''}{one.y.label} against {one.x.label}."
        for one in panels
    )
    names = ", ".join(one.name for one in picture.series)
    return f"{picture.finding}. {axes} {picture.legend}: {names}."


def ticks(low: float, high: float, *, most: int = 7) -> list[float]:
    """Return ticks of a logarithmic axis: powers of ten, with steps between them if they fit."""
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = [
            step * 10.0**power
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for step in steps
            if low * 0.999 <= step * 10.0**power <= high * 1.001
        ]
        if len(found) <= most:
            break
    return found if len(found) >= 2 else [low, high]


def doublings(low: float, high: float, *, most: int = 6) -> list[float]:
    """Return ticks of a logarithmic axis of counts: powers of two."""
    first, last = math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9)
    step = max(1, math.ceil((last - first + 1) / most))
    return [2.0**power for power in range(first, last + 1, step)] or [low, high]


def round_numbers(values: Sequence[int], *, least: int = 3) -> list[int]:
    """Return the powers of two among values, or all values if those are fewer than ``least``."""
    found = [value for value in values if value > 0 and math.log2(value).is_integer()]
    return found if len(found) >= least else list(values)


def padded(values: Iterable[float], *, log: bool, share: float = 0.05) -> tuple[float, float]:
    """Return limits of an axis with a margin around its values."""
    listed = list(values)
    low, high = min(listed), max(listed)
    if log:
        room = max((math.log10(high) - math.log10(low)) * share, 0.02)
        return low / 10**room, high * 10**room
    room = max((high - low) * share, abs(high) * 0.02, 1e-12)
    return low - room, high + room
