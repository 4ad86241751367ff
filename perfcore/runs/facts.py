"""Facts that a run states about itself, in its manifest and in the footers of its files.

This is the only place that reads them. They are validated, as a run may come from an untrusted
source.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from perfcore.errors import InputError
from perfcore.inputs import AXIS_INPUTS, PAIR_AXES, TRAFFIC_INPUTS
from perfcore.reading.jsontext import parse

_PREFIX: Final = "perfcore."
_TEXTS: Final = ("version", "fingerprint", "catalog_hash")  # the others are JSON


class _WhatIf(BaseModel):
    mode: str
    column: str


class _LongAxis(BaseModel):
    """A long axis as files state it; a manifest has its values."""

    count: int
    first: str | int | float
    last: str | int | float


class _Spec(BaseModel):
    """The shape of a specification in its canonical form, as ``Spec.to_dict`` writes it."""

    model_config = ConfigDict(extra="allow")

    name: str
    description: str = ""
    axes: dict[str, Annotated[list[str | int | float], Field(min_length=1)] | _LongAxis]
    what_if: dict[str, _WhatIf] = Field(default_factory=dict)
    zip: list[list[str]] = Field(default_factory=list)
    sample: dict[str, Any] | None = None
    traffic: dict[str, Any] | None = None
    output: dict[str, Any]


def _takes_texts(name: str, *, traffic: bool) -> bool:
    """Return whether an axis may have values that are texts."""
    if traffic and name in TRAFFIC_INPUTS:
        rule = TRAFFIC_INPUTS[name]
        return rule.kind == "categorical" or bool(rule.form)
    known = {**AXIS_INPUTS, **PAIR_AXES}
    return name not in known or known[name].kind == "categorical"


def _check_values(spec: _Spec) -> None:
    """Raise an error if an axis of numbers has texts, or any axis has both."""
    for name, values in spec.axes.items():
        if isinstance(values, _LongAxis):
            continue
        texts = sum(isinstance(value, str) for value in values)
        allowed = _takes_texts(name, traffic=spec.traffic is not None)
        if texts and (texts < len(values) or not allowed):
            raise ValueError(f"axis {name} has values that are not numbers")
    for what_if in spec.what_if.values():
        values = spec.axes.get(what_if.column, [])
        if isinstance(values, list) and any(isinstance(value, str) for value in values):
            raise ValueError(f"axis {what_if.column} has values that are not numbers")


class RunFacts(BaseModel):
    """Facts of a run, which ``perfcore.runs.shards.facts`` writes into every file.

    Attributes
    ----------
    spec
        Specification in its canonical form. It comes from the manifest if there is one, as files
        shorten long axes to their count, first and last value.
    entries, bases
        Catalogue entries by axis and label, and the engines that other engines are based on.
    versions
        Versions of the programs that wrote the run, if it states them.
    columns
        Names of the columns, if there is a manifest.
    """

    model_config = ConfigDict(frozen=True)

    spec: dict[str, Any]
    entries: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)
    bases: dict[str, dict[str, Any]] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    version: str = ""
    fingerprint: str = ""
    catalog_hash: str = ""
    complete: bool = True
    columns: list[str] = Field(default_factory=list)


def read_facts(
    label: str, schema: pa.Schema | None, manifest: Mapping[str, Any] | None = None
) -> RunFacts:
    """Return the facts that a run states about itself.

    Parameters
    ----------
    label
        Name of the run in error messages.
    schema
        Arrow schema of one of its files, or of rows in memory.
    manifest
        Manifest of the run, if it has one.

    Raises
    ------
    InputError
        The facts are missing or damaged.
    """
    manifest = manifest or {}
    metadata = (schema.metadata or {}) if schema is not None else {}
    try:
        texts = {
            key.decode().removeprefix(_PREFIX): value.decode()
            for key, value in metadata.items()
            if key.startswith(_PREFIX.encode())
        }
        for field in schema or ():
            for text in (field.metadata or {}).values():
                text.decode()
        if "spec" not in texts and (schema is not None or "spec" not in manifest):
            raise InputError(f"{label}: has no data that perfcore wrote; run the sweep again")
        told = {key: text if key in _TEXTS else parse(text) for key, text in texts.items()}
        for key in ("spec", "versions", "complete", "columns"):
            if key in manifest:
                told[key] = manifest[key]
        told.setdefault("versions", {"perfcore": told.get("version", "")})
        found = RunFacts.model_validate(told, strict=True)
        _check_values(_Spec.model_validate(found.spec, strict=True))
    except (ValidationError, RecursionError, ValueError) as error:
        where = ""
        if isinstance(error, ValidationError):
            where = f" ({'.'.join(map(str, error.errors()[0]['loc'][:3]))})"
        raise InputError(
            f"{label}: its facts about the sweep are damaged{where}; "
            "run the sweep again, which keeps whole shards"
        ) from error
    return found


def fingerprint_of(schema: pa.Schema) -> str:
    """Return the fingerprint of the run that a file belongs to; empty if it has none."""
    text: bytes = (schema.metadata or {}).get(f"{_PREFIX}fingerprint".encode(), b"")
    return text.decode(errors="replace")
