"""The page: one HTML file with the physics, the catalogue, and what draws both."""

import json
from functools import cache
from importlib import resources
from importlib.metadata import version
from typing import Any, Final

from perfcore.columns import BOUND, METRICS, STATUS
from perfcore.exploring.catalogue import catalogue
from perfcore.exploring.javascript import translate
from perfcore.exploring.start import Start
from perfcore.inputs import AXIS_INPUTS, LIMITS, RECORDS, TIES
from perfcore.limits import Limits
from perfcore.physics.sizing import fewest_devices
from perfcore.physics.stages.point import evaluate
from perfcore.physics.stages.replica import prepare
from perfcore.records import Deployment
from perfcore.reporting import vega
from perfcore.tables import escape_html

_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; script-src 'unsafe-inline'"
)
_SCALES: Final = {
    "bandwidth": ("device.memory_bandwidth",),
    "flops": tuple(f"device.{field}" for field in LIMITS["device"] if field.startswith("flops_")),
    "capacity": ("device.memory_capacity",),
    "power": ("device.board_power",),
    "price": ("economics.price_multiplier",),
}
# Axes that a command always states, as its result depends on them most.
_TOLD: Final = ("weight_format", "tp", "pp", "batch", "input_len", "output_len")
_UNSET: Final = {"weight_format": ""}  # `perfcore point` has another default than sweeps


@cache
def physics() -> str:
    """Return the physics as JavaScript."""
    return translate([evaluate, fewest_devices, prepare, *RECORDS.values(), Deployment])


def embedded(start: Start, again: str) -> dict[str, Any]:
    """Return the data of a page, for JSON."""
    return {
        "version": version("perfcore"),
        "again": again,
        "state": start.state,
        "notes": start.notes,
        "rows": start.rows,
        "catalogue": catalogue(start.own),
        "axes": {
            name: {
                "meaning": axis.meaning,
                "default": _UNSET.get(name, axis.default),
                "choices": axis.choices,
                "entries": name in RECORDS,
                **(_limits(axis.limits) if axis.limits else {}),
            }
            for name, axis in AXIS_INPUTS.items()
        },
        "deployment": Deployment._field_defaults,
        "told": _TOLD,
        "scales": [
            {
                "name": name,
                "record": record,
                "field": field,
            }
            for name, keys in _SCALES.items()
            for record, _, field in (key.partition(".") for key in keys)
        ],
        "limits": {
            record: {
                field: [limits.low, limits.high, limits.least, limits.whole]
                for field, limits in fields.items()
            }
            for record, fields in LIMITS.items()
        },
        "ties": TIES,
        "columns": [
            {
                "name": column.name,
                "unit": column.unit,
                "kind": column.kind,
                "meaning": column.meaning,
                "better": column.better,
            }
            for column in METRICS
        ],
        "statuses": STATUS,
        "bounds": BOUND,
    }


def script(start: Start, again: str) -> str:
    """Return what computes in a page: the physics, its data, and points from choices."""
    told = _json(embedded(start, again))
    return f"const physics = {physics()};\nconst data = {told};\n{_text('engine.js')}"


def page(start: Start, again: str) -> str:
    """Return the page; ``again`` is the command that makes it."""
    drawing = "".join(map(_text, ("drawing.js", "rows.js", "page.js")))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escape_html(_title(start))}</title>\n"
        f"<style>\n{_text('page.css')}</style>\n</head>\n"
        f"<body>\n{_text('page.html')}"
        f"<script>\n{script(start, again)}{drawing}</script>\n"
        "</body>\n</html>\n"
    )


def _limits(limits: Limits) -> dict[str, float]:
    return {"low": limits.low, "high": limits.high, "whole": limits.whole}


def _title(start: Start) -> str:
    models = ", ".join(map(str, start.state["model"]))
    return f"{models}: what limits it, and what it costs"


def _json(value: object) -> str:
    """Return JSON of printable text that cannot close its enclosing script element."""
    text = json.dumps(vega.printable(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _text(name: str) -> str:
    return (resources.files("perfcore.exploring") / name).read_text(encoding="utf-8")
