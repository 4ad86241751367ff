"""Pictures as Vega-Lite, drawn to PNG and SVG."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

from perfcore.errors import InputError, one_line
from perfcore.reporting.picture import (
    Axis,
    Layer,
    Panel,
    Picture,
    Row,
    apart,
    described,
    doublings,
    ends_of_lines,
    ticks,
)

Json = dict[str, Any]

FONT: Final = "Liberation Sans, Arial, Helvetica, sans-serif"
_INK: Final = "#222222"
_FAINT: Final = "#666666"
_SIZES: Final = {1: (700, 400), 2: (430, 330), 3: (330, 300)}  # of a panel, by their number
_PANEL_TITLE: Final = {"fontSize": 12, "anchor": "start", "frame": "group", "offset": 8}
_LETTER_PX: Final = 7.4  # average width of a character in the title's font
_LABELS: Final = "datum.value >= 1000 ? format(datum.value, '~s') : format(datum.value, '.3~g')"
_BINARY: Final = (
    "datum.value >= 1048576 ? format(datum.value / 1048576, '.3~g') + 'Mi' : "
    "datum.value >= 1024 ? format(datum.value / 1024, '.3~g') + 'Ki' : format(datum.value, '.3~g')"
)
_LABEL_PX: Final = 14  # between names of lines
_MOST_CATEGORIES: Final = 8  # most labels on a horizontal axis of categories
_DARK: Final = frozenset({"#0072B2", "#009E73", "#D55E00", "#000000"})
_DRAWN: Final = ("x", "y", "x2", "y2", "series")  # entries for a row's place and colour


def converter() -> Any:  # noqa: ANN401 - an untyped module
    """Return the library that renders Vega-Lite without a browser.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        import vl_convert  # noqa: PLC0415 - an optional dependency
    except ImportError:
        raise InputError("pictures need vl-convert-python; pip install vl-convert-python") from None
    return vl_convert


def png(picture: Picture) -> bytes:
    """Return a picture as PNG, at double resolution."""
    found: bytes = converter().vegalite_to_png(printable(whole(picture)), scale=2)
    return found


def svg(picture: Picture) -> str:
    """Return a picture as SVG."""
    found: str = converter().vegalite_to_svg(printable(whole(picture)))
    return found


def printable(value: Any) -> Any:  # noqa: ANN401 - any part of a specification
    """Return a specification with every text in one line, without control codes."""
    if isinstance(value, dict):
        return {printable(key): printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [printable(item) for item in value]
    return one_line(value) if isinstance(value, str) else value


def whole(picture: Picture) -> Json:
    """Return a picture of fixed size with its title, legend and source."""
    width, height = _SIZES.get(len(picture.panels), _SIZES[3])
    last = len(picture.panels) - 1
    panels = [
        _panel(picture, panel, (width, height), legend=place == last)
        | {"width": width, "height": height}
        for place, panel in enumerate(picture.panels)
    ]
    for panel, json in zip(picture.panels, panels, strict=True):
        if panel.y.categories and len(picture.panels) == 1:
            json["height"] = max(120, 22 * len(panel.y.categories))
        if panel.title:
            json["title"] = {"text": panel.title, **_PANEL_TITLE}
    room = (width + 60) * len(panels)
    letters = int(room / _LETTER_PX)
    small = int(room / 5.6)
    notes = [*picture.remarks, picture.source]
    return {
        "description": described(picture, picture.panels),
        "background": "white",
        "padding": 14,
        "config": _config(),
        "title": {
            "text": [line for note in notes for line in textwrap.wrap(note, small)],
            "orient": "bottom",
            "anchor": "start",
            "fontSize": 10,
            "fontWeight": "normal",
            "color": _FAINT,
            "offset": 12,
        },
        "vconcat": [
            {
                "title": {
                    "text": textwrap.wrap(picture.finding, letters),
                    "subtitle": textwrap.wrap(picture.setting, small),
                    "anchor": "start",
                    "fontSize": 15,
                    "subtitleFontSize": 11.5,
                    "subtitleColor": _FAINT,
                    "subtitlePadding": 5,
                    "offset": 14,
                },
                "hconcat": panels,
                "spacing": 26,
                "resolve": {"scale": {"color": "independent", "shape": "independent"}},
            }
        ],
    }


def _config() -> Json:
    return {
        "font": FONT,
        "view": {"stroke": "#BBBBBB"},
        "axis": {
            "labelFontSize": 11,
            "titleFontSize": 11.5,
            "titleFontWeight": "normal",
            "gridColor": "#E6E6E6",
            "labelColor": _INK,
            "titleColor": _INK,
            "tickColor": "#BBBBBB",
            "domainColor": "#BBBBBB",
        },
        "legend": {
            "labelFontSize": 11.5,
            "titleFontSize": 11.5,
            "titleFontWeight": "normal",
            "titleColor": _FAINT,
            "labelLimit": 220,
            "symbolSize": 90,
        },
        "title": {"color": _INK},
        "text": {"font": FONT, "fontSize": 11, "color": _INK},
    }


def _panel(picture: Picture, panel: Panel, size: tuple[int, int], *, legend: bool) -> Json:
    layers = [drawn for layer in panel.layers for drawn in _layer(picture, panel, layer)]
    ends = ends_of_lines(panel)
    if legend and ends:
        layers += _labels(picture, panel, ends, size)
    elif legend:
        for drawn in [inner for layer in layers for inner in layer.get("layer", [layer])]:
            color = drawn["encoding"].get("color", {})
            if "scale" in color:
                color["legend"] = {"title": picture.legend}
            if "shape" in drawn["encoding"]:
                drawn["encoding"]["shape"]["legend"] = {"title": picture.legend}
    return {"layer": layers}


def _labels(
    picture: Picture, panel: Panel, ends: Mapping[str, Row], size: tuple[int, int]
) -> list[Json]:
    """Return the names of lines beside the panel, each with a thin line to the end of its own."""
    width, height = size
    places = {name: (1.0 - panel.y.share(row["y"])) * height for name, row in ends.items()}
    looks = {one.name: one.colour for one in picture.series}
    drawn = []
    for name, place in apart(places, height, _LABEL_PX).items():
        at = {"x": {"value": panel.x.share(ends[name]["x"]) * width}, "y": {"value": places[name]}}
        beside = {"x2": {"value": width + 6}, "y2": {"value": place}}
        values: Json = {"data": {"values": [{}]}}
        drawn += [
            values
            | {
                "mark": {"type": "rule", "strokeWidth": 0.75, "color": looks.get(name, _INK)},
                "encoding": {**at, **beside},
            },
            values
            | {
                "mark": {
                    "type": "text",
                    "text": name,
                    "align": "left",
                    "baseline": "middle",
                    "limit": 220,
                    "color": looks.get(name, _INK),
                },
                "encoding": {"x": {"value": width + 9}, "y": {"value": place}},
            },
        ]
    return drawn


def _layer(picture: Picture, panel: Panel, layer: Layer) -> list[Json]:
    x, y = _position(panel.x, "x"), _position(panel.y, "y")
    several = any("series" in row for row in layer.rows)
    encoding: Json = {"x": x, "y": y}
    if several:
        names = [one.name for one in picture.series]
        colour = {
            "field": "series",
            "type": "nominal",
            "scale": {"domain": names, "range": [one.colour for one in picture.series]},
            "legend": None,
        }
        encoding["color"] = colour
    if layer.tips:
        head = [{"field": "series", "title": picture.legend}] if several else []
        if {"term", "winner", "part"} & set(layer.tips):
            head = []  # the tips name the series already
        encoding["tooltip"] = [
            {**tip, "type": "nominal"}
            for tip in (*head, *({"field": name, "title": name} for name in layer.tips))
        ]
    keys = {*_DRAWN, *layer.tips}
    rows = [{key: value for key, value in row.items() if key in keys} for row in layer.rows]
    base: Json = {"data": {"values": rows}, "encoding": encoding}
    return _MARKS[layer.mark](base, picture, panel, layer)


def _line(base: Json, picture: Picture, panel: Panel, layer: Layer) -> list[Json]:  # noqa: ARG001
    mark: Json = {"type": "line", "strokeWidth": 2, "clip": True}
    if layer.mark == "step":
        mark["interpolate"] = "step-after"
    if layer.dash:
        mark |= {"strokeDash": [5, 4], "strokeWidth": 1.4}
    if "color" not in base["encoding"]:
        mark["color"] = _FAINT
    return [base | {"mark": mark}]


def _point(base: Json, picture: Picture, panel: Panel, layer: Layer) -> list[Json]:  # noqa: ARG001
    names = [one.name for one in picture.series]
    base["encoding"]["shape"] = {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": names, "range": [one.shape for one in picture.series]},
        "legend": None,
    }
    mark = {"type": "point", "filled": True, "size": 55, "opacity": 0.95}
    return [base | {"mark": mark}]


def _area(base: Json, picture: Picture, panel: Panel, layer: Layer) -> list[Json]:  # noqa: ARG001
    encoding = {**base.pop("encoding"), "y2": {"field": "y2"}}
    tip = encoding.pop("tooltip")
    area = {
        "mark": {"type": "area", "stroke": "white", "strokeWidth": 0.7, "line": False},
        "encoding": encoding,
    }
    # an area has a single tooltip; transparent lines above it give one for each place
    tips = {
        "mark": {"type": "rule", "strokeWidth": 7},
        "encoding": {**encoding, "color": {"value": "transparent"}, "tooltip": tip},
    }
    if len({row["x"] for row in layer.rows}) == 1:  # an area of no width
        area["mark"] = {"type": "bar", "orient": "vertical", "width": 12, "xOffset": 6}
    return [base | {"layer": [area, tips]}]


def _bar(base: Json, picture: Picture, panel: Panel, layer: Layer) -> list[Json]:  # noqa: ARG001
    base["encoding"]["x2"] = {"field": "x2"}
    return [base | {"mark": {"type": "bar", "stroke": "white", "strokeWidth": 0.7}}]


def _cell(base: Json, picture: Picture, panel: Panel, layer: Layer) -> list[Json]:  # noqa: ARG001
    dark = [one.name for one in picture.series if one.colour in _DARK]
    rows = [
        {
            "x": row["x"],
            "y": row["y"],
            "series": row["series"],
            "text": row["text"],
            "ink": "white" if row["series"] in dark else "black",
        }
        for row in layer.rows
        if row["text"]
    ]
    letters = {
        "data": {"values": rows},
        "mark": {"type": "text", "fontSize": 10, "fontWeight": "bold", "tooltip": None},
        "encoding": {
            "x": base["encoding"]["x"],
            "y": base["encoding"]["y"],
            "text": {"field": "text"},
            "color": {"field": "ink", "type": "nominal", "scale": None, "legend": None},
        },
    }
    return [base | {"mark": {"type": "rect"}}, letters]


def _rule(base: Json, picture: Picture, panel: Panel, layer: Layer) -> list[Json]:  # noqa: ARG001
    y = base["encoding"]["y"]
    rule = {
        "data": base["data"],
        "mark": {"type": "rule", "strokeDash": [2, 2], "color": _INK},
        "encoding": {"y": y},
    }
    rows = [{"y": row["y"], "text": row["text"], "x": panel.x.low} for row in layer.rows]
    text = {
        "data": {"values": rows},
        "mark": {"type": "text", "align": "left", "dx": 5, "dy": -7},
        "encoding": {"x": base["encoding"]["x"], "y": y, "text": {"field": "text"}},
    }
    return [rule, text]


def _note(base: Json, picture: Picture, panel: Panel, layer: Layer) -> list[Json]:  # noqa: ARG001
    base |= {"data": {"values": list(layer.rows)}}
    base["encoding"]["text"] = {"field": "text"}
    mark: Json = {"type": "text", "align": "left", "dx": 5}
    if not panel.y.categories:
        mark |= {"angle": 270, "dy": 11, "dx": 6, "color": _FAINT, "fontSize": 10.5}
    return [base | {"mark": mark}]


_MARKS: Final = {
    "line": _line,
    "step": _line,
    "point": _point,
    "area": _area,
    "bar": _bar,
    "cell": _cell,
    "rule": _rule,
    "note": _note,
}


def _position(axis: Axis, channel: str) -> Json:
    if axis.categories:
        shown: Sequence[str] = axis.labelled or axis.categories
        if channel == "x":
            every = max(1, math.ceil(len(shown) / _MOST_CATEGORIES))
            shown = shown[::every]
        return {
            "field": channel,
            "type": "ordinal",
            "sort": list(axis.categories),
            "scale": {"domain": list(axis.categories)},
            "axis": {
                "title": axis.label,
                "values": list(shown),
                "labelAngle": 0,
                "labelOverlap": True,
                "grid": False,
                "labelLimit": 150,
            },
        }
    scale: Json = {"domain": [axis.low, axis.high], "nice": False}
    labels: Json = {"title": axis.label, "labelOverlap": True}
    if axis.log and axis.low and axis.high:
        scale["type"] = "log"
        found = doublings if axis.doubling else ticks
        labels["values"] = found(axis.low, axis.high)
    else:
        labels["tickCount"] = 6
        scale["zero"] = False
    if axis.percent:
        labels["format"] = ".0%"
    else:
        labels["labelExpr"] = _BINARY if axis.doubling else _LABELS
    return {"field": channel, "type": "quantitative", "scale": scale, "axis": labels}
