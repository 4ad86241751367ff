"""Faults found by pydantic, as one readable line each."""

import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from perfcore.errors import MOST_FAULTS, show
from perfcore.reading.files import first_lower
from perfcore.reading.places import Place
from perfcore.reading.words import nearest, suggest, unknown

Location = tuple[str | int, ...]


def faults_from_validation_error(
    error: ValidationError, place: str, model: type[BaseModel] | None = None
) -> list[str]:
    """Return one line for each fault found by pydantic, without its jargon.

    Parameters
    ----------
    error
        The error raised by ``model_validate``.
    place
        Location of the input, e.g. ``"devices.toml: [h100-sxm]"``.
    model
        The validated class. Misspelled keys are compared with its keys.
    """
    return [f"{_join(place, location)}: {problem}" for location, problem in _faults(error, model)]


def record_validation_error(error: ValidationError, place: Place, model: type[BaseModel]) -> None:
    """Record each fault found by pydantic in the table at a place."""
    for location, problem in _faults(error, model):
        spot = place
        for part in location:
            spot = spot.item(part) if isinstance(part, int) else spot.at(part)
        spot.relay(problem)


def fault_within(location: Location, problem: str) -> InitErrorDetails:
    """Return a fault at an item or key of the value passed to a validator.

    Validators raise such faults with ``ValidationError.from_exception_data(title, faults)``.
    """
    kind = PydanticCustomError("value_error", "{error}", {"error": problem})
    return InitErrorDetails(type=kind, loc=location, input=None)


def _faults(error: ValidationError, model: type[BaseModel] | None) -> list[tuple[Location, str]]:
    """Return the location and message of each fault."""
    details = error.errors(include_url=False)[: MOST_FAULTS + 1]  # one more triggers FURTHER
    meant = {
        (*where, nearest(str(key), _keys(_inner_model(model, where))))
        for *where, key in (detail["loc"] for detail in details if _is(detail, "extra_forbidden"))
    }
    # a misspelled key is one fault: do not also report the right key as missing
    found = (
        _fault(detail, model)
        for detail in details
        if not (_is(detail, "missing") and detail["loc"] in meant)
    )
    return list(dict.fromkeys(found))  # a union reports a fault for each member


def _is(detail: ErrorDetails, kind: str) -> bool:
    return detail["type"] == kind and bool(detail["loc"])


def _fault(detail: ErrorDetails, model: type[BaseModel] | None) -> tuple[Location, str]:
    if not (_is(detail, "missing") or _is(detail, "extra_forbidden")):
        return _without_tags(detail["loc"]), _message(detail)
    location, key = _without_tags(detail["loc"][:-1]), str(detail["loc"][-1])
    table = _inner_model(model, location)
    if detail["type"] == "missing":
        field = table.model_fields.get(key) if table else None
        example = "it"
        if field and field.examples:
            example = f"{key} = {_written(str(field.examples[0]))}, for example"
        return location, f"key {key!r} is missing; add {example}"
    keys = _keys(table)
    return location, unknown("key", key, keys) if keys else f"unknown key {show(key)}; remove it"


def _written(example: str) -> str:
    """Return an example as TOML: numbers and booleans bare, all else in quotes."""
    bare = example in {"true", "false"} or example.replace(".", "", 1).isdigit()
    return example if bare or example.startswith(("[", "{", '"')) else f'"{example}"'


def _without_tags(location: Location) -> Location:
    return tuple(part for part in location if not _is_tag(part))


def _is_tag(part: str | int) -> bool:
    """Return whether a part of pydantic's location is a type rather than a key of the input."""
    return isinstance(part, str) and (
        "[" in part or "(" in part or part in {"str", "int", "float", "bool", "list", "dict"}
    )


def _join(place: str, location: Iterable[str | int]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return f"{place}: {path}" if path and place else path or place


def _inner_model(
    model: type[BaseModel] | None, location: Iterable[str | int]
) -> type[BaseModel] | None:
    for part in location:
        if model is None:
            return None
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part) or next(
            (known for known in model.model_fields.values() if known.alias == part), None
        )
        # a part that is not a field is a key of a dict of models: the model stays the same
        if field is not None:
            model = _model_in(field.annotation)
    return model


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    origin = get_origin(annotation)
    if origin is None:
        return None
    members = get_args(annotation)
    if origin in {Union, UnionType} or (isinstance(origin, type)):
        for member in members:
            found = _model_in(member)
            if found is not None:
                return found
    return None


def _keys(model: type[BaseModel] | None) -> list[str]:
    if model is None:
        return []
    return [field.alias or name for name, field in model.model_fields.items() if name != "name"]


_TYPES = {
    "string_type": "text in quotes",
    "int_type": "a whole number, without quotes or a decimal point",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list in [ ]",
    "list_type": "a list in [ ]",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


def _message(detail: ErrorDetails) -> str:
    kind = detail["type"]
    given = detail["input"]
    context: Mapping[str, object] = detail.get("ctx", {})
    if kind in {"value_error", "assertion_error"}:
        return str(context.get("error", detail["msg"]))
    if kind in _TYPES:
        return f"{show(given)} must be {_TYPES[kind]}"
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"{show(given)} must be {words} {context.get(bound)}"
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        hint = suggest(given, choices) if isinstance(given, str) else ""
        return f"{show(given)} must be one of {', '.join(choices)}{hint}"
    return (
        "must not be empty"
        if kind in {"string_too_short", "too_short"}
        else f"{show(given)}: {first_lower(detail['msg'])}"
    )
