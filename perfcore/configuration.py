"""One configuration: names in, checked entries and records, a point or a flat dictionary out."""

import contextlib
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, NamedTuple, cast

from perfcore import records
from perfcore.axes import OUTER, RULES, WhatIf, parse_what_ifs
from perfcore.bounds import BOUNDS
from perfcore.catalog import loader
from perfcore.catalog.architecture import ModelEntry
from perfcore.catalog.entry import Entry
from perfcore.catalog.schema import (
    Constant,
    DeviceEntry,
    EconomicsEntry,
    EngineEntry,
    KVFormatEntry,
    WeightFormatEntry,
)
from perfcore.columns import AXES, METRICS
from perfcore.errors import InputError
from perfcore.physics.point import Point
from perfcore.physics.point import evaluate as evaluate_point
from perfcore.physics.roofline import peak_flops
from perfcore.ranges import Place, number, show

NUMBERS: Final = tuple(rule.name for rule in RULES.values() if rule.bound is not None)
KINDS: Final = (*(rule.name for rule in OUTER if rule.bound is None), "economics")
_BOUND_ENGINE: Final = "ideal"
_RECORD_FIELD: Final = {"memory_capacity": "memory_bytes"}  # where an entry's name differs
_ARITHMETIC_FIELD: Final = {
    records.MATH_FP32: "flops_fp32",
    records.MATH_FP16: "flops_fp16",
    records.MATH_FP8: "flops_fp8",
    records.MATH_INT8: "flops_int8",
    records.MATH_FP4: "flops_fp4",
}


class Estimate(NamedTuple):
    """A value that no vendor publishes, and what stands for it."""

    kind: str
    entry: str
    field: str
    derivation: str


class Entries(NamedTuple):
    """What the names of a configuration stand for."""

    model: ModelEntry
    device: DeviceEntry
    engine: EngineEntry
    weight_format: WeightFormatEntry
    kv_format: KVFormatEntry
    economics: EconomicsEntry


class Records(NamedTuple):
    """What physics takes, in its order."""

    model: records.Model
    device: records.Device
    engine: records.Engine
    weight_format: records.WeightFormat
    kv_format: records.KVFormat
    parallelism: records.Parallelism
    workload: records.Workload
    economics: records.Economics


def estimates(kind: str, entry: Entry) -> tuple[Estimate, ...]:
    """Return the estimated facts of an entry that physics reads; a device's list price is none."""
    return tuple(
        Estimate(kind, entry.name, name, derivation)
        for name, derivation in entry.estimated.items()
        if kind != "device" or _RECORD_FIELD.get(name, name) in records.Device._fields
    )


@dataclass(frozen=True)
class Configuration:
    """One model on one machine with one workload, resolved and checked.

    Parameters
    ----------
    model, device, engine, weight_format, kv_format, economics
        Names, aliases or files of the catalogue, or entries.
    tp, pp
        Tensor- and pipeline-parallel degree.
    batch
        Sequences that start together.
    input_len, output_len
        [tokens] Numbers may be text: ``"128Ki"``.
    overrides
        Fields of records: ``{"device.memory_bandwidth": "4 TB/s"}``, or a factor on the
        catalogue's value: ``{"device.memory_bandwidth": {"scale": 2}}``.

    Raises
    ------
    InputError
        With every fault found.
    """

    model: str | ModelEntry
    device: str | DeviceEntry
    engine: str | EngineEntry = "default"
    weight_format: str | WeightFormatEntry = "bf16"
    kv_format: str | KVFormatEntry = "bf16"
    tp: int | str = 1
    pp: int | str = 1
    batch: int | str = 1
    input_len: int | str = 1024
    output_len: int | str = 256
    economics: str | EconomicsEntry = "default"
    overrides: Mapping[str, object] = field(default_factory=dict)

    entries: Entries = field(init=False, repr=False, compare=False)
    numbers: Mapping[str, int] = field(init=False, repr=False, compare=False)
    what_ifs: tuple[WhatIf, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        faults: list[str] = []
        found = {kind: _entry(kind, getattr(self, kind), faults) for kind in KINDS}
        numbers = {name: _number(name, getattr(self, name), faults) for name in NUMBERS}
        what_ifs = _what_ifs(self.overrides, faults)
        if faults:
            raise InputError(dict.fromkeys(faults))
        entries = Entries(**found)  # type: ignore[arg-type]  # no fault: the right entries
        object.__setattr__(self, "entries", entries)
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "what_ifs", what_ifs)
        _check_overridden(self.records, what_ifs, entries)

    @cached_property
    def records(self) -> Records:
        """What physics needs, overrides applied."""
        entries, numbers = self.entries, self.numbers
        base = Records(
            model=entries.model.record(),
            device=entries.device.record(),
            engine=entries.engine.record(entries.device),
            weight_format=entries.weight_format.record(),
            kv_format=entries.kv_format.record(),
            parallelism=records.Parallelism(float(numbers["tp"]), float(numbers["pp"])),
            workload=records.Workload(*(float(numbers[name]) for name in records.Workload._fields)),
            economics=entries.economics.record(),
        )
        changed = {kind: getattr(base, kind) for kind in KINDS}
        for what_if in self.what_ifs:
            record, (value,) = changed[what_if.record], what_if.values
            if what_if.mode == "scale":
                value *= getattr(record, what_if.field)
            changed[what_if.record] = record._replace(**{what_if.field: value})
        return base._replace(**changed)

    def evaluate(self) -> Point:
        """Return every metric, computed in plain Python."""
        try:
            return evaluate_point(*self.records)
        except ArithmeticError as error:
            keys = ", ".join(what_if.key for what_if in self.what_ifs) or "these entries"
            raise InputError(f"{keys}: no result ({error}); use other values") from error

    def bound(self) -> Point:
        """Return the same with an ideal engine: what physics allows on this machine."""
        return self._ideal().evaluate()

    def _ideal(self) -> "Configuration":
        kept = {key: v for key, v in self.overrides.items() if not key.startswith("engine.")}
        return replace(self, engine=_BOUND_ENGINE, overrides=kept)

    @property
    def labels(self) -> dict[str, str | int]:
        """Value of every axis, by column name."""
        labels: dict[str, str | int] = {}
        for axis in AXES:
            name = axis.name
            labels[name] = self.numbers[name] if name in NUMBERS else self._name(name)
        return labels

    def _name(self, kind: str) -> str:
        return cast("Entry", getattr(self.entries, kind)).name

    @property
    def constants(self) -> dict[str, Constant]:
        """The engine's constants that hold on this device, with their provenance."""
        return self.entries.engine.constants_for(self.entries.device)

    @property
    def estimated(self) -> tuple[Estimate, ...]:
        """The estimated facts that this configuration depends on and that no override replaces."""
        replaced = {(w.record, w.field) for w in self.what_ifs if w.mode == "set"}
        untouched = self._untouched()
        return tuple(
            estimate
            for kind in KINDS
            for estimate in estimates(kind, getattr(self.entries, kind))
            for name in [_RECORD_FIELD.get(estimate.field, estimate.field)]
            if (kind, name) not in replaced and not (kind == "device" and name in untouched)
        )

    @property
    def hypothetical(self) -> tuple[str, ...]:
        """Names of entries that do not exist as products."""
        return tuple(self._name(kind) for kind in KINDS if getattr(self.entries, kind).hypothetical)

    def _untouched(self) -> set[str]:
        """Fields of the device that have no part in the result."""
        device, arithmetic = self.records.device, self.records.weight_format.arithmetic
        chosen = _ARITHMETIC_FIELD[arithmetic]
        if getattr(device, chosen) == 0.0 or arithmetic == records.MATH_FP32:
            chosen = "flops_fp16" if device.flops_fp16 > 0.0 else "flops_fp32"
        fields = {*_ARITHMETIC_FIELD.values()} - {chosen, "flops_fp16"}
        if device.spatial == 1.0:
            return fields | {"link_bandwidth", "scale_up_domain", "network_bandwidth"}
        fields.add("layer_latency")
        if self.numbers["tp"] * self.numbers["pp"] == 1:
            fields |= {"link_bandwidth", "scale_up_domain"}
        if self.numbers["tp"] <= device.scale_up_domain:
            fields.add("network_bandwidth")
        return fields

    def to_dict(self) -> dict[str, float | str | int]:
        """Return axes, overridden fields and all metrics, by column name."""
        row: dict[str, float | str | int] = dict(self.labels)
        row |= {what_if.column_name: what_if.values[0] for what_if in self.what_ifs}
        point = self.evaluate()
        for column in METRICS:
            value = getattr(point, column.name)
            if column.kind == "code":
                row[column.name] = column.categories[int(value)]
            else:
                row[column.name] = int(value) if column.kind == "count" else value
        return row


def evaluate(
    model: str | ModelEntry, device: str | DeviceEntry, **options: object
) -> dict[str, float | str | int]:
    """Return one configuration's axes and metrics, by column name.

    ``perfcore.evaluate("llama-3-70b", "h100-sxm", tp=8, batch=32)["tpot_s"]``

    Parameters
    ----------
    options
        As those of ``Configuration``.

    Raises
    ------
    InputError
        With every fault found.
    """
    known = (*list(RULES)[2:], "economics", "overrides")
    faults: list[str] = []
    for name in options:
        if name not in known:
            Place("evaluate", "", faults).unknown("option", name, known)
    if faults:
        raise InputError(faults)
    return Configuration(model, device, **options).to_dict()  # type: ignore[arg-type]  # it checks


def _entry(kind: str, given: object, faults: list[str]) -> Entry | None:
    if isinstance(given, Entry):
        if given.kind == kind:
            return given
        faults.append(f"{kind}: {given.name!r} is a {given.kind}; give a {kind}")
        return None
    if not isinstance(given, str):
        faults.append(f"{kind}: {show(given)} is not a name; write it in quotes")
        return None
    try:
        return loader.load(kind, given)
    except InputError as error:
        faults += error.faults
        return None


def _number(name: str, given: object, faults: list[str]) -> int:
    bound = RULES[name].bound
    if bound is None:
        raise KeyError(name)
    if not isinstance(given, bool | str | float):
        with contextlib.suppress(TypeError):
            given = operator.index(given)  # type: ignore[arg-type]  # NumPy's integers too
    return int(number(given, bound, Place(name, "", faults)) or 0)


def _what_ifs(overrides: Mapping[str, object], faults: list[str]) -> tuple[WhatIf, ...]:
    place = Place("overrides", "", faults)
    for key in overrides:
        if key in RULES:
            place.fault(f"{key!r} is an axis", "give it as an option of its own")
    what_ifs = parse_what_ifs({k: v for k, v in overrides.items() if k not in RULES}, place)
    for what_if in what_ifs.values():
        if len(what_if.values) != 1:
            place.at(what_if.key).fault(
                f"{len(what_if.values)} values", "give one; a sweep takes several"
            )
    return tuple(what_ifs.values())


def _check_overridden(made: Records, what_ifs: tuple[WhatIf, ...], entries: Entries) -> None:
    """Find scaled fields that leave their bounds, and a device left without arithmetic."""
    faults = [
        f"overrides: {what_if.key}: scale {what_if.values[0]:g} makes it {value:g}; "
        f"it must be {what_if.bound}"
        for what_if in what_ifs
        for value in [getattr(getattr(made, what_if.record), what_if.field)]
        if not BOUNDS[what_if.record][what_if.field].admits(value)
    ]
    if not peak_flops(made.device, made.weight_format.arithmetic):
        faults.append(
            f"{entries.device.name}: no arithmetic rate is left to compute with; "
            "set device.flops_fp16 above 0"
        )
    if faults:
        raise InputError(faults)
