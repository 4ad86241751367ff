"""The page: one HTML file with the physics, the catalogue and the scripts that draw it."""

from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from perfcore.columns import BOUND, METRICS, SIMULATED, STATUS, Column
from perfcore.exploring.catalogue import catalogue
from perfcore.exploring.javascript import translate
from perfcore.exploring.start import Start
from perfcore.inputs import AXIS_INPUTS, LIMITS, PAIR_AXES, RECORDS, TIES, TRAFFIC_INPUTS
from perfcore.limits import Limits
from perfcore.physics.sizing import fewest_devices
from perfcore.physics.stages.point import evaluate
from perfcore.physics.stages.replica import prepare
from perfcore.records import Deployment
from perfcore.reporting.page import TIP, json_of, shell, text_of

_ROOM: Final = "perfcore.exploring"
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


def today() -> str:
    """Return the date that a page bears."""
    return datetime.now(UTC).date().isoformat()


@cache
def physics() -> str:
    """Return the physics as JavaScript."""
    return translate([evaluate, fewest_devices, prepare, *RECORDS.values(), Deployment])


def embedded(start: Start, again: str) -> dict[str, Any]:
    """Return the data of a page, for JSON."""
    return {
        "version": version("perfcore"),
        "date": today(),
        "again": again,
        "computes": start.computes,
        "offered": start.offered,
        "beyond": sorted({*PAIR_AXES, *TRAFFIC_INPUTS} - {*AXIS_INPUTS}),
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
        "columns": [_told(column) for column in METRICS],
        "others": [_told(column) for column in SIMULATED if column not in METRICS],
        "statuses": STATUS,
        "bounds": BOUND,
    }


def script(start: Start, again: str) -> str:
    """Return the script that computes: the physics, its data, and points from choices."""
    told = json_of(embedded(start, again))
    return f"const physics = {physics()};\nconst data = {told};\n{text_of(_ROOM, 'engine.js')}"


def explorer(start: Start) -> str:
    """Return the part of a page in which readers choose, as HTML."""
    plain = "" if start.computes else ' class="plain"'
    computed = text_of(_ROOM, "computed.html") if start.computes else ""
    controls = text_of(_ROOM, "controls.html") if start.computes else ""
    return (
        f'<div id="explorer"{plain}>\n{controls}<div id="pictures" tabindex="-1">\n'
        f"{computed}{text_of(_ROOM, 'rows.html')}</div>\n</div>\n"
    )


def style() -> str:
    """Return the style of an explorer."""
    return text_of(_ROOM, "explorer.css")


def acting(start: Start, again: str) -> str:
    """Return all scripts of an explorer, which follow those that draw."""
    acts = "".join(text_of(_ROOM, name) for name in ("zstd.js", "reading.js", "rows.js", "page.js"))
    return script(start, again) + acts


def page(start: Start, again: str) -> str:
    """Return the page; ``again`` is the command that makes it."""
    code = text_of("perfcore.reporting", "drawing.js") + acting(start, again)
    return shell(
        _title(start),
        style(),
        '<a class="skip" href="#pictures">Skip to the pictures</a>\n'
        '<header>\n<p class="name">perfcore explore</p>\n'
        '<h1 id="finding" aria-live="polite"></h1>\n<p id="setting"></p>\n'
        '<ul id="notes"></ul>\n</header>\n'
        f'<main>\n{explorer(start)}</main>\n<footer><p id="source"></p></footer>\n{TIP}'
        "<noscript><p>This page computes in the browser and needs JavaScript.</p></noscript>\n"
        f"<script>\n{code}</script>\n",
    )


def _told(column: Column) -> dict[str, str | None]:
    return {
        "name": column.name,
        "unit": column.unit,
        "kind": column.kind,
        "meaning": column.meaning,
        "better": column.better,
    }


def _limits(limits: Limits) -> dict[str, float]:
    return {"low": limits.low, "high": limits.high, "whole": limits.whole}


def _title(start: Start) -> str:
    models = ", ".join(map(str, start.state["model"]))
    return f"{models}: what limits it, and what it costs"
