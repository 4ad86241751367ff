"""Where the figures behind a result come from, and how much the result depends on each."""

import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from perfcore.catalog.entry import Entry
from perfcore.catalog.estimates import RECORD_FIELD
from perfcore.catalog.schema import DeviceEntry
from perfcore.configuration.configuration import Configuration
from perfcore.limits import BOUNDS
from perfcore.physics.stages.point import Point
from perfcore.physics.stages.point import evaluate as evaluate_point
from perfcore.space.axes import WhatIf

Basis = Literal[
    "published",  # by the vendor or a standard, as the source says
    "second-hand",  # published, read in a copy
    "vendor claim",  # a vendor's result, which nobody else has measured
    "estimated",  # nobody publishes it
    "fitted",
    "assumed",
    "definition",
    "what-if",  # set by whoever asks
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
_LESS: Final = 0.99  # of a figure, to see what depends on it
# The words under which a source tells of a record's field, the most exact first.
_TOPICS: Final[Mapping[str, tuple[str, ...]]] = {
    "memory_bytes": ("memory",),
    "memory_bandwidth": ("bw", "bandwidth", "memory"),
    "flops_fp32": ("fp32", "flops"),
    "flops_fp16": ("fp16", "flops"),
    "flops_fp16_narrow": ("fp16", "flops"),
    "flops_fp8": ("fp8", "flops"),
    "flops_int8": ("int8", "npu tops", "flops"),
    "flops_fp4": ("fp4", "flops"),
    "board_power": ("tdp", "power"),
    "idle_power": ("idle", "power"),
    "link_bandwidth": ("link", "ici"),
    "scale_up_domain": ("domain", "link", "ici"),
    "network_bandwidth": ("nic", "network", "link"),
    "memory2_bytes": ("mem2",),
    "memory2_bandwidth": ("c2c", "mem2"),
    "price_per_hour": ("price", "cloud"),
    "spot_price_per_hour": ("price", "cloud"),
    "purchase_price": ("price",),
    "pue": ("pue",),
    "carbon_intensity": ("carbon",),
    "electricity_price": ("electricity",),
    "token_price": ("token price",),
}
_ALL: Final = "all"
_SECOND_HAND: Final = "second-hand: "
_SEGMENT: Final = re.compile(r";\s+(?![^(]*\))")  # semicolons outside of brackets
_ENTRY_FIELD: Final = {record: entry for entry, record in RECORD_FIELD.items()}
_UNITS: Final = {
    "bytes": "B",
    "bandwidth": "B/s",
    "flops": "FLOP/s",
    "time": "s",
    "power": "W",
    "price": "USD/h",
    "money": "USD",
    "price_per_energy": "USD/kWh",
    "price_per_mtok": "USD/Mtok",
    "carbon_intensity": "g/kWh",
}


class Figure(NamedTuple):
    """A number that entered a result."""

    kind: str  # of the catalogue
    entry: str
    field: str  # of the record
    value: float
    unit: str  # SI; empty for a share, a ratio or a count
    basis: Basis
    source: str
    effects: dict[str, float]  # % that a metric of ``VERDICT`` changes per % of the figure

    @property
    def effect(self) -> float:
        """The largest effect, without its sign."""
        return max(map(abs, self.effects.values()), default=0.0)


def figures(configuration: Configuration) -> tuple[Figure, ...]:
    """Return every figure of data sheets, formats, engine and economics that entered the result.

    A figure entered if some metric changes when it is 1 % smaller; codes and switches, and the
    model's dimensions (all of which enter), are not among them. Counts have no effects: what 1 %
    of a device does is no answer.
    """
    before = configuration.evaluate()
    what_ifs = {(what_if.record, what_if.field): what_if for what_if in configuration.what_ifs}
    found = []
    for kind, bounds in BOUNDS.items():
        if kind == "model":
            continue
        record = getattr(configuration.records, kind)
        for field, bound in bounds.items():
            value = getattr(record, field)
            if bound.whole or value == 0.0:
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
                    unit=_UNITS.get(bound.dimension, ""),
                    basis=basis,
                    source=source,
                    effects={} if bound.dimension == "count" else _effects(before, after),
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
    """What a figure rests on, and where it was read."""
    if kind == "engine":
        constant = configuration.constants[field]
        basis, source = _BASES[constant.basis], constant.source
    else:
        basis, source = _of_entry(getattr(configuration.entries, kind), field)
    if what_if is None:
        return basis, source
    if what_if.mode == "set":
        return "what-if", "set for this question"
    return "what-if", f"x {what_if.values[0]:g} for this question; {source}"


def _of_entry(entry: Entry, field: str) -> tuple[Basis, str]:
    name = _ENTRY_FIELD.get(field, field)
    estimated = dict(entry.estimated)
    if isinstance(entry, DeviceEntry):
        estimated |= entry.fallbacks
    if name in estimated:
        why = estimated[name]
        return ("vendor claim" if "vendor-claimed" in why else "estimated"), why
    source = _about(entry.source, field)
    basis: Basis = "second-hand" if source.startswith(_SECOND_HAND) else "published"
    place = getattr(entry, f"{name.removesuffix('_per_hour')}_basis", "")
    if place:
        source = f"{place}; {source}"
    return basis, source.removeprefix(_SECOND_HAND)


def _about(source: str, field: str) -> str:
    """Return the part of a source that tells of a field; all of it if no part does.

    A part is ``memory, FLOPS: where``; parts stand between semicolons.
    """
    parts = []
    for segment in _SEGMENT.split(source):
        head, colon, where = segment.partition(": ")
        words = re.split(r",\s+(?![^(]*\))", head.casefold()) if colon else []
        parts.append((words, where))
    for topic in (*_TOPICS.get(field, ()), _ALL):
        for words, where in parts:
            if any(word == topic or word.startswith(f"{topic} ") for word in words):
                return where
    return source
