"""Provenance of the figures behind a result, and the sensitivity of the result to each."""

import re
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from perfcore.catalog import loader
from perfcore.catalog.entry import Entry
from perfcore.catalog.estimates import HOST
from perfcore.catalog.schema import DeviceEntry
from perfcore.configuration.configuration import Configuration
from perfcore.inputs import INPUTS, LIMITS
from perfcore.physics.stages.point import Point
from perfcore.physics.stages.point import evaluate as evaluate_point
from perfcore.space.axes import WhatIf
from perfcore.units import DIMENSIONS

Basis = Literal[
    "published",  # by the vendor or a standard
    "second-hand",  # published, but read in a copy
    "vendor claim",  # a vendor's result without independent measurements
    "estimated",  # not published
    "fitted",
    "assumed",
    "definition",
    "what-if",  # set by the user
]

_BASES: Final[dict[str, Basis]] = {
    "fit": "fitted",
    "assumption": "assumed",
    "definition": "definition",
}
VERDICT: Final = {
    "tpot_s": "TPOT",
    "energy_per_output_token_j": "J",
    "cost_per_mtok_output_usd": "$",
}
_LESS: Final = 0.99  # factor on a figure to find the metrics that depend on it
_ALL: Final = "all"
_SECOND_HAND: Final = "second-hand: "
_SEGMENT: Final = re.compile(r";\s+(?![^(]*\))")  # semicolons outside brackets


class Figure(NamedTuple):
    """A number that affects a result."""

    kind: str  # of the catalogue
    entry: str
    field: str  # of the record
    value: float
    unit: str  # SI; empty for a share, a ratio or a count
    basis: Basis
    source: str
    effects: dict[str, float]  # % change of each metric of ``VERDICT`` per % of the figure

    @property
    def effect(self) -> float:
        """Magnitude of the largest effect."""
        return max(map(abs, self.effects.values()), default=0.0)


def figures(configuration: Configuration) -> tuple[Figure, ...]:
    """Return every figure of data sheets, formats, engine and economics that affects the result.

    A figure affects the result if some metric changes when the figure is 1 % smaller. Codes,
    switches and the model's dimensions (all of which matter) are left out. Counts have no effects,
    since 1 % of a device is meaningless.
    """
    before = configuration.evaluate()
    what_ifs = {(what_if.record, what_if.field): what_if for what_if in configuration.what_ifs}
    found = []
    for kind, fields in LIMITS.items():
        if kind == "model":
            continue
        record = getattr(configuration.records, kind)
        for field, limits in fields.items():
            value = getattr(record, field)
            if limits.whole or value == 0.0:
                continue
            less = record._replace(**{field: value * _LESS})
            after = evaluate_point(*configuration.records._replace(**{kind: less}))
            if after == before:
                continue
            basis, source = _provenance(configuration, kind, field, what_ifs.get((kind, field)))
            found.append(
                Figure(
                    kind=kind,
                    entry=getattr(configuration.entries, kind).name,
                    field=field,
                    value=value,
                    unit=DIMENSIONS[limits.dimension].unit,
                    basis=basis,
                    source=source,
                    effects={} if limits.dimension == "count" else _effects(before, after),
                )
            )
    return tuple(found)


def _effects(before: Point, after: Point) -> dict[str, float]:
    return {
        metric: (1.0 - getattr(after, metric) / getattr(before, metric)) / (1.0 - _LESS)
        for metric in VERDICT
        if getattr(before, metric) > 0.0
    }


def _provenance(
    configuration: Configuration, kind: str, field: str, what_if: WhatIf | None
) -> tuple[Basis, str]:
    """Return the basis and the source of a figure."""
    if kind == "engine":
        constant = configuration.constants[field]
        basis, source = _BASES[constant.basis], constant.source
    else:
        basis, source = _of_entry(getattr(configuration.entries, kind), field)
    if what_if is None and (kind, field) == ("device", "board_power"):
        limit = configuration.resolved.stack.power_limit
        return (basis, source) if limit is None else ("what-if", "power_limit of this question")
    host = configuration.resolved.stack.host
    if what_if is None and host and kind == "device" and field in HOST:
        return "published", f"host {host} of this question: {loader.load('host', host).source}"
    if what_if is None:
        return basis, source
    if what_if.mode == "set":
        return "what-if", "set for this question"
    return "what-if", f"x {what_if.values[0]:g} for this question; {source}"


def _of_entry(entry: Entry, field: str) -> tuple[Basis, str]:
    estimated = dict(entry.estimated)
    if isinstance(entry, DeviceEntry):
        estimated |= entry.fallbacks
        estimated |= {name: joules.why for name, joules in entry.energies.items()}
        if field == "rated_power" and entry.rated_power is None:
            field = "board_power"
    if field in estimated:
        why = estimated[field]
        return ("vendor claim" if "vendor-claimed" in why else "estimated"), why
    source = _about(entry.source, INPUTS[entry.kind][field].cited_as)
    basis: Basis = "second-hand" if source.startswith(_SECOND_HAND) else "published"
    place = getattr(entry, f"{field}_basis", "")
    if place:
        source = f"{place}; {source}"
    return basis, source.removeprefix(_SECOND_HAND)


def _about(source: str, topics: Iterable[str]) -> str:
    """Return the part of a source about one of the topics; the whole source if there is none.

    A part has the form ``memory, FLOPS: where``; semicolons separate parts.
    """
    parts = []
    for segment in _SEGMENT.split(source):
        head, colon, where = segment.partition(": ")
        words = re.split(r",\s+(?![^(]*\))", head.casefold()) if colon else []
        parts.append((words, where))
    for topic in (*topics, _ALL):
        for words, where in parts:
            if any(word == topic or word.startswith(f"{topic} ") for word in words):
                return where
    return source
