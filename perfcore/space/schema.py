"""The JSON Schema of a sweep file, for completion and checks in editors.

It is built from the declarations that the parser reads: axes, limits of fields, units and columns.
A schema cannot express everything that the parser checks (that a range rises, that a name is in the
user's catalogue, that zipped axes have the same length). A file that the schema accepts may
therefore have faults; a file that it rejects always has.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from perfcore import units
from perfcore.catalog import loader
from perfcore.columns import AXES, BY_NAME, METRICS, PAIRS, SIMULATED
from perfcore.inputs import (
    AXIS_INPUTS,
    LIMITS,
    PAIR_AXES,
    TRAFFIC_INPUTS,
    AxisInput,
    TrafficInput,
)
from perfcore.limits import FINITE, Limits
from perfcore.output import json_text
from perfcore.reading import ranges
from perfcore.space import sections, sizes, traffic
from perfcore.space.axes import DEGREES, HOST, POWER_LIMIT
from perfcore.space.axes import SCALE as SCALES

SHIPPED: Final = Path(__file__).parents[1] / "sweep.schema.json"
DIALECT: Final = "http://json-schema.org/draft-07/schema#"  # best supported by TOML editors
LONGEST_NAME: Final = 200

Schema = dict[str, Any]

_NUMBER: Final = r"\s*[+-]?(\d[\d_,]*\.?\d*|\.\d+)([eE][+-]?\d+)?\s*"
_SECTIONS: Final = {
    "name": "name of the sweep, on one line",
    "description": "the question that the sweep answers",
    "axes": "axes: every combination of their values is one row",
    "traffic": "requests over time, whose servers are simulated; its keys are axes, too",
    "what_if": "fields of catalogue records, set to or scaled by each of several values",
    "zip": "axes that vary together instead of being combined",
    "where": "conditions that a row must meet; all must hold",
    "sample": "points drawn from the space instead of all combinations",
    "output": "columns and format of the output",
}


def sweep_schema() -> Schema:
    """Return the schema as a document, with the names of the current catalogue."""
    made = _Schema()
    properties: dict[str, Schema] = {
        "name": {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME, "pattern": r"\S"},
        "description": {"type": "string"},
        "axes": made.axes(),
        "traffic": made.traffic(),
        "what_if": made.what_ifs(),
        "zip": _one_or_many(made.zip()),
        "where": _one_or_many(made.where()),
        "sample": _section(sections.Sample),
        "output": _section(sections.Output),
    }
    for name, description in _SECTIONS.items():
        properties[name] = {"description": description, **properties[name]}
    for record in LIMITS:
        properties[record] = {
            "description": f"short for what_if.{record}",
            "$ref": f"#/definitions/{record}",
        }
    return {
        "$schema": DIALECT,
        "title": "perfcore sweep",
        "description": "A sweep of LLM-inference configurations: axes, what-ifs, conditions",
        "type": "object",
        "required": ["axes"],
        "properties": properties,
        "additionalProperties": False,
        "definitions": made.definitions,
    }


def text() -> str:
    """Return the schema as the text of a file."""
    return json_text(sweep_schema(), 1) + "\n"


class _Schema:
    """Builder of the parts of the schema and of the definitions that they refer to."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}
        for record, bounds in LIMITS.items():
            self.definitions[record] = _object(
                {field: self.what_if(bound) for field, bound in bounds.items()}
            )

    def axes(self) -> Schema:
        """Return the schema of [axes]."""
        rules = (*AXIS_INPUTS.values(), *PAIR_AXES.values())
        properties = {rule.name: self.axis(rule) for rule in rules}
        properties["devices"] = {
            "description": f"choose {' and '.join(DEGREES)} per row: the fewest devices that fit",
            "const": "auto",
        }
        properties[POWER_LIMIT] = {
            "description": "power limit of each device, or its share of the rated power [W]",
            "anyOf": [
                self.values(LIMITS["device"]["board_power"]),
                {"type": "string", "pattern": "%\\s*$"},
                {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "%\\s*$"}},
            ],
        }
        host: Schema = {"enum": loader.names("host")}
        properties[HOST] = {
            "description": "memory and CPU of the machine",
            "anyOf": [host, {"type": "array", "minItems": 1, "items": host}],
        }
        return {
            **_object(
                properties, (rule.name for rule in AXIS_INPUTS.values() if rule.default is None)
            ),
            "allOf": [{"not": {"required": ["devices", degree]}} for degree in DEGREES],
        }

    def axis(self, rule: AxisInput) -> Schema:
        """Return the schema of one axis, with its meaning and default."""
        column = BY_NAME[rule.name]
        unit = f" [{column.unit}]" if column.unit not in ("", "1") else ""
        about: Schema = {"description": column.meaning + unit}
        if rule.default is not None:
            about["default"] = rule.default
        if rule.limits is not None:
            return {**about, **self.values(rule.limits)}
        label = {"enum": list(rule.choices)} if rule.choices else self.names(rule.entry)
        labels = {"type": "array", "minItems": 1, "maxItems": sizes.MAX_ENTRIES, "items": label}
        return {**about, "anyOf": [label, labels]}

    def traffic(self) -> Schema:
        """Return the schema of [traffic]."""
        texts = {"type": "array", "items": {"type": "string"}}
        objectives = {
            "description": "objectives on latencies, e.g. ttft_p99_s<=1s",
            "anyOf": [{"type": "string"}, texts],
        }
        properties = {rule.name: self.traffic_axis(rule) for rule in TRAFFIC_INPUTS.values()}
        sources = [{"required": [name]} for name in traffic.SOURCES]
        return {**_object({**properties, traffic.SLO: objectives}), "oneOf": sources}

    def traffic_axis(self, rule: TrafficInput) -> Schema:
        """Return the schema of one axis of traffic, with its meaning."""
        unit = f" [{rule.unit}]" if rule.unit not in {"", "1"} else ""
        about: Schema = {"description": rule.meaning + unit}
        forms = [] if rule.limits is None else [self.values(rule.limits)]
        if rule.limits is None or rule.form:
            label: Schema = {"type": "string"}
            if rule.choices:
                label = {"enum": list(rule.choices)}
                label = {"enum": [*rule.choices, True, False]} if "on" in rule.choices else label
            mixed = {"anyOf": [label, {"type": "number"}]} if rule.limits else label
            listed = {"minItems": 1, "maxItems": sizes.MAX_ENTRIES, "items": mixed}
            forms += [label, {"type": "array", **listed}]
        return {**about, "anyOf": forms}

    def names(self, kind: str) -> Schema:
        """Return the schema of a name: one of the catalogue for completion, or any other text."""
        known = [{"enum": loader.names(kind)}, {"type": "string", "pattern": r"\S"}]
        if kind != "model":
            return self._defined(f"name of {kind}", {"anyOf": known})
        family = {
            "family": {"enum": list(sizes.FAMILIES)},
            "params": self.values(sizes.PARAMS),
            "active": {"anyOf": [self.values(sizes.ACTIVE), self.text("fraction")]},
        }
        made_up = {
            "description": "hypothetical models of some sizes",
            **_object(family, ("family", "params")),
            "if": {"properties": {"family": {"const": "dense"}}, "required": ["family"]},
            "then": {"not": {"required": ["active"]}},
        }
        return self._defined("name of model", {"anyOf": [*known, made_up]})

    def number(self, bound: Limits) -> Schema:
        """Return the schema of a number in SI units, or of text with a unit."""
        plain: Schema = {"type": "integer" if bound.whole else "number"}
        if abs(bound.low) < FINITE:
            plain["minimum"] = bound.low
        if abs(bound.high) < FINITE:
            plain["maximum"] = bound.high
        return self._defined(_label(bound), {"anyOf": [plain, self.text(bound.dimension)]})

    def text(self, dimension: str) -> Schema:
        """Return the schema of a quantity as text: a number and a unit of the dimension."""
        known = units.DIMENSIONS[dimension]
        names = sorted({*known.units, *(name.replace("µ", "μ") for name in known.units)})
        listed = "|".join(map(re.escape, names))
        optional = "?" if known.bare else ""
        return self._defined(
            f"text of {dimension}",
            {
                "type": "string",
                "description": f"{known.noun}, e.g. {known.example}",
                "pattern": f"^{_NUMBER}({listed}){optional}\\s*$",
            },
        )

    def values(self, bound: Limits) -> Schema:
        """Return the schema of a number, a list of numbers, or a range."""
        number = self.number(bound)
        pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
        count = {"type": "integer", "minimum": 2, "maximum": ranges.MAX_VALUES}
        forms = [
            _object({form: pair} | ({} if form == "pow2" else {"n": count}), required=None)
            for form in ranges.FORMS
        ]
        several = {"type": "array", "items": number, "minItems": 1, "maxItems": ranges.MAX_VALUES}
        return self._defined(f"values of {_label(bound)}", {"anyOf": [number, several, *forms]})

    def what_if(self, bound: Limits) -> Schema:
        """Return the schema of the values that a field is set to or scaled by."""
        scaled = _object({"scale": self.values(SCALES)}, ("scale",))
        return self._defined(f"what-if of {_label(bound)}", {"anyOf": [self.values(bound), scaled]})

    def what_ifs(self) -> Schema:
        """Return the schema of [what_if]: dotted keys, or one table per record."""
        nested = {record: {"$ref": f"#/definitions/{record}"} for record in LIMITS}
        dotted = {
            f"{record}.{field}": {"$ref": f"#/definitions/{record}/properties/{field}"}
            for record, bounds in LIMITS.items()
            for field in bounds
        }
        return _object(nested | dotted)

    def axis_name(self) -> Schema:
        """Return the schema of the name of an axis, of a what-if, or of a what-if's column."""
        known = [
            *dict.fromkeys([*AXIS_INPUTS, *PAIR_AXES, *TRAFFIC_INPUTS]),
            *(f"{record}.{field}" for record, bounds in LIMITS.items() for field in bounds),
        ]
        column = "|".join(LIMITS)
        return self._defined(
            "name of axis", {"anyOf": [{"enum": known}, {"pattern": f"^({column})_\\w+$"}]}
        )

    def zip(self) -> Schema:
        """Return the schema of one group of zipped axes."""
        names = {"type": "array", "items": self.axis_name(), "minItems": 2, "uniqueItems": True}
        return _object({"axes": names}, ("axes",))

    def where(self) -> Schema:
        """Return the schema of one condition. The allowed limits depend on its column."""
        metrics = list(dict.fromkeys(column.name for column in (*METRICS, *SIMULATED)))
        properties = {
            "metric": {"description": "an output column", "enum": metrics},
            "axis": self.axis_name(),
            "min": {"description": "smallest value kept"},
            "max": {"description": "largest value kept"},
            "in": {"description": "values kept", "type": "array", "minItems": 1},
        }
        return {
            **_object(properties),
            "allOf": [
                {"oneOf": [{"required": ["metric"]}, {"required": ["axis"]}]},
                {"anyOf": [{"required": [key]} for key in ("min", "max", "in")]},
                *self._limits(),
            ],
        }

    def _limits(self) -> Iterable[Schema]:
        """Yield a rule for each kind of column, which restricts the limits of its conditions."""
        measured: dict[str, list[str]] = {}
        # of two columns with one name, the one of simulated rows has the most categories
        for column in {column.name: column for column in (*METRICS, *SIMULATED)}.values():
            if column.kind == "code":
                labels = {"items": {"enum": list(column.categories)}}
                yield _about("metric", [column.name], {"min": False, "max": False, "in": labels})
            else:
                dimension = sections.DIMENSIONS.get(column.unit, "ratio")
                measured.setdefault(dimension, []).append(column.name)
        for dimension, names in measured.items():
            limit = self.number(Limits(dimension, -FINITE, FINITE))
            yield _about("metric", names, {"min": limit, "max": limit, "in": False})
        known = {**AXIS_INPUTS, **PAIR_AXES}
        text = [rule.name for rule in known.values() if rule.limits is None]
        words = {"items": {"type": "string"}}
        yield _about("axis", text, {"min": False, "max": False, "in": words})
        for column in (*AXES, *PAIRS):
            bound = known[column.name].limits
            # with traffic, lengths may be distributions, which are text
            if bound is not None and column.name not in traffic.LENGTHS:
                limit = self.number(Limits(bound.dimension, -FINITE, FINITE))
                yield _about(
                    "axis", [column.name], {"min": limit, "max": limit, "in": {"items": limit}}
                )

    def _defined(self, name: str, schema: Schema) -> Schema:
        """Add a part to the definitions; return a reference to it."""
        key = re.sub(r"[^\w.+-]+", "-", name)
        self.definitions[key] = schema
        return {"$ref": f"#/definitions/{key}"}


def _label(bound: Limits) -> str:
    kind = "whole" if bound.whole else "real"
    limits = "" if bound.high == FINITE else f" {bound.low:g} to {bound.high:g}"
    return f"{kind} {bound.dimension}{limits}"


def _object(properties: Mapping[str, Schema], required: Iterable[str] | None = ()) -> Schema:
    """Return the schema of an object without other keys; all required if ``required`` is None."""
    needed = list(properties if required is None else required)
    schema: Schema = {"type": "object", "properties": dict(properties)}
    if needed:
        schema["required"] = needed
    return {**schema, "additionalProperties": False}


def _one_or_many(item: Schema) -> Schema:
    """Return the schema of a table or a list of tables."""
    return {"if": {"type": "array"}, "then": {"items": item}, "else": item}


def _about(key: str, names: list[str], properties: Mapping[str, object]) -> Schema:
    return {
        "if": {"properties": {key: {"enum": names}}, "required": [key]},
        "then": {"properties": dict(properties)},
    }


class _WithoutTitles(GenerateJsonSchema):
    """Generator of JSON Schema without the titles that pydantic derives from field names."""

    def field_title_should_be_set(self, schema: object) -> bool:
        del schema
        return False


def _section(model: type[BaseModel]) -> Schema:
    """Return the schema of a section read by pydantic; ``_SECTIONS`` describes it."""
    schema = model.model_json_schema(schema_generator=_WithoutTitles)
    return {key: schema[key] for key in schema if key not in ("title", "description")}
