"""Sections of a sweep file other than its axes: zips, conditions, sample and output.

Pydantic reads ``Sample`` and ``Output`` and generates their JSON Schema. Valid zips and conditions
depend on the axes, which a pydantic model of a table does not know, so functions parse them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from perfcore.columns import AXES, METRICS, PAIRS, SIMULATED, TRAFFIC_AXES, Column, usual
from perfcore.errors import show
from perfcore.inputs import AXIS_INPUTS, PAIR_AXES, TRAFFIC_INPUTS
from perfcore.limits import FINITE, Limits
from perfcore.reading.faults import fault_within, record_validation_error
from perfcore.reading.places import Place, number
from perfcore.reading.words import unknown
from perfcore.space.axes import Axis, Value, WhatIf
from perfcore.space.profiles import PROFILES, Compression

MAX_SAMPLE: Final = 10**12
MAX_ROWS_PER_SHARD: Final = 1 << 30
MANTISSA_BITS: Final = MappingProxyType({"float32": 24, "float64": 53})
DTYPES: Final = tuple(MANTISSA_BITS)
LEAST_BITS: Final = 4  # of a metric: the error of fewer would exceed any model's
ALL_METRICS: Final = "default"  # key of significant_bits for metrics without one of their own
ROUNDED: Final = tuple(
    dict.fromkeys(
        [
            ALL_METRICS,
            *(column.name for column in (*METRICS, *SIMULATED) if column.kind == "metric"),
        ]
    )
)
DIMENSIONS: Final = {
    "s": "time",
    "bytes": "bytes",
    "bytes/s": "bandwidth",
    "FLOP/s": "flops",
    "J": "energy",
    "W": "power",
    "USD": "money",
    "USD/h": "price",
    "1": "ratio",
    "tokens": "count",
}


@dataclass(frozen=True)
class Where:
    """A condition on rows: bounds in SI units, and the allowed values, if listed."""

    column: str
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[Value, ...] = ()


_SECTION: Final = ConfigDict(frozen=True, extra="forbid", strict=True)


class Sample(BaseModel):
    """Sample of points, drawn from the space instead of evaluating all of it."""

    model_config = _SECTION

    method: Literal["sobol", "random"] = "sobol"
    n: int = Field(ge=1, le=MAX_SAMPLE, examples=[100_000])
    seed: int = Field(0, ge=0, le=2**63 - 1)


def _columns(value: object, info: ValidationInfo) -> tuple[str, ...]:
    """Return the results among columns, in order of declaration.

    The context of the validation has the results of the sweep's rows.
    """
    results: tuple[Column, ...] = info.context or METRICS
    axes = (*AXES, *PAIRS, *(TRAFFIC_AXES if results is SIMULATED else ()))
    known = [column.name for column in (*axes, *results)]
    if value == "default":
        return tuple(column.name for column in results if column.default)
    if value == "all":
        return tuple(column.name for column in results)
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(
            f'{show(value)} is not a choice of columns; write "default", "all" or a list of names'
        )
    if len(value) > len(known):
        raise ValueError(f"{len(value)} names are more than there are columns; list each once")
    faults = []
    for index, name in enumerate(value):
        if not isinstance(name, str):
            problem = f"{show(name)} is not a name; write it in quotes"
        elif name not in known:
            problem = unknown("column", name, known)
        elif name in value[:index]:
            problem = f"{name!r} is a duplicate; list it once"
        else:
            continue
        faults.append(fault_within((index,), problem))
    if faults:
        raise ValidationError.from_exception_data("columns", faults)
    return tuple(column.name for column in results if column.name in value)


def _significant_bits(value: object, info: ValidationInfo) -> Mapping[str, int]:
    """Return bits by metric. One number sets all metrics; defaults come from the profile."""
    dtype = info.data.get("dtype", "float32")  # absent if it has a fault
    profile = PROFILES[info.data.get("profile", "fast")]
    most = MANTISSA_BITS[dtype]
    found = {ALL_METRICS: profile.significant_bits if dtype == "float32" else most}
    faults = []
    for name, bits in value.items() if isinstance(value, Mapping) else [(ALL_METRICS, value)]:
        if name not in ROUNDED:
            problem = unknown("metric", str(name), ROUNDED)
            faults.append(fault_within((), problem))
        elif isinstance(bits, bool) or not isinstance(bits, int) or not LEAST_BITS <= bits <= most:
            problem = (
                f"{show(bits)} is not a number of bits; "
                f"write an integer from {LEAST_BITS} to {most}"
            )
            faults.append(fault_within((name,) if isinstance(value, Mapping) else (), problem))
        else:
            found[name] = bits
    if faults:
        raise ValidationError.from_exception_data("significant_bits", faults)
    return found


_BITS: Final = {
    "type": "integer",
    "minimum": LEAST_BITS,
    "maximum": max(MANTISSA_BITS.values()),
}
_BITS_BY_METRIC: Final = {
    "type": "object",
    "properties": dict.fromkeys(ROUNDED, _BITS),
    "additionalProperties": False,
}
_LIST_OF_COLUMNS: Final = {
    "type": "array",
    "items": {
        "enum": list(
            dict.fromkeys(
                column.name for column in (*AXES, *PAIRS, *METRICS, *TRAFFIC_AXES, *SIMULATED)
            )
        )
    },
    "minItems": 1,
    "uniqueItems": True,
}
Columns = Annotated[
    tuple[str, ...],
    PlainValidator(_columns),
    WithJsonSchema({"anyOf": [{"enum": ["default", "all"]}, _LIST_OF_COLUMNS]}),
]
SignificantBits = Annotated[
    Mapping[str, int],
    PlainValidator(_significant_bits),
    WithJsonSchema({"anyOf": [_BITS, _BITS_BY_METRIC]}),
]


class Output(BaseModel):
    """Columns and format of the output.

    ``columns`` are in the order of ``perfcore.columns``, without the axes, which are always
    written. ``significant_bits`` are by column, with the key ``default`` for the others; mantissas
    are rounded to the nearest. ``rows_per_shard`` bounds the rows of a file, but a file has at
    least one outer point with all its batches and lengths.
    """

    model_config = _SECTION

    columns: Columns = Field(
        "default",
        validate_default=True,
        description="columns to write in addition to the axes: default, all, or names",
    )
    keep_infeasible: bool = Field(
        False, description="also write configurations that cannot run; status has the reason"
    )
    dtype: Literal["float32", "float64"] = Field("float32", description="precision of real numbers")
    profile: Literal["fast", "small", "compatible"] = Field(
        "fast",
        description="encoding of rows: "
        + "; ".join(f"{name} ({profile.meaning})" for name, profile in PROFILES.items()),
    )
    compression: Compression = Field(
        default_factory=lambda: PROFILES["fast"].compression,
        description="codec of the Parquet files; default: the profile's",
    )
    significant_bits: SignificantBits = Field(
        default_factory=dict,
        validate_default=True,
        description="bits of a metric's mantissa to keep; default: the profile's",
    )
    rows_per_shard: int = Field(
        1 << 21,
        ge=1,
        le=MAX_ROWS_PER_SHARD,
        description="maximum rows of a file, counted before conditions apply",
    )

    @model_validator(mode="before")
    @classmethod
    def _take_from_profile(cls, table: dict[str, object]) -> dict[str, object]:
        profile = table.get("profile")
        if isinstance(profile, str) and profile in PROFILES:
            return {"compression": PROFILES[profile].compression, **table}
        return table

    def dropped_bits(self, name: str) -> int:
        """Return the number of bits to round away from a metric's mantissa."""
        wanted = self.significant_bits.get(name, self.significant_bits[ALL_METRICS])
        return max(0, MANTISSA_BITS[self.dtype] - wanted)


Section = TypeVar("Section", Sample, Output)


def _tables(value: object, place: Place) -> Iterable[tuple[Mapping[str, object], Place]]:
    """Yield the tables of a ``[[list of tables]]``, or a single ``[table]``."""
    items = [value] if isinstance(value, Mapping) else value
    if not isinstance(items, list | tuple):
        place.fault(f"{show(value)} is not a list of tables", f"write [[{place.key}]]")
        return
    for index, item in enumerate(items):
        if isinstance(item, Mapping):
            yield item, place.item(index)
        else:
            place.item(index).fault(f"{show(item)} is not a table", f"write [[{place.key}]]")


def _known_keys(table: Mapping[str, object], known: Iterable[str], place: Place) -> None:
    for key in table:
        if key not in known:
            place.unknown("key", str(key), known)


def zipped_names(value: object) -> frozenset[str]:
    """Return the axes named in any zip, before zips are checked."""
    tables = value if isinstance(value, list | tuple) else [value]
    names: set[str] = set()
    for table in tables:
        given = table.get("axes") if isinstance(table, Mapping) else None
        if isinstance(given, list | tuple):
            names.update(name for name in given if isinstance(name, str))
    return frozenset(names)


def parse_zips(
    value: object, axes: tuple[Axis, ...], what_ifs: Mapping[str, WhatIf], place: Place
) -> tuple[tuple[str, ...], ...]:
    """Return the groups of axes that vary together, as column names, in canonical order."""
    sizes = {axis.name: len(axis) for axis in axes}
    order = list(sizes)
    zips: list[tuple[str, ...]] = []
    taken: dict[str, Place] = {}
    for table, spot in _tables(value, place):
        _known_keys(table, ("axes",), spot)
        given = table.get("axes")
        if not isinstance(given, list | tuple) or not all(isinstance(name, str) for name in given):
            spot.at("axes").fault(f"{show(given)} is not a list of names", 'write ["device", "tp"]')
            continue
        names = [what_ifs[name].column_name if name in what_ifs else name for name in given]
        before = len(spot.faults)
        if len(names) < 2:
            spot.at("axes").fault(f"{show(given)} is not a group", "name at least two axes")
        for name in names:
            if name not in sizes and name not in AXIS_INPUTS:
                known = [*AXIS_INPUTS, *PAIR_AXES, *what_ifs]
                spot.at("axes").unknown("axis", name, known)
            elif name in taken:
                spot.at("axes").fault(
                    f"{name!r} is already in {taken[name].key}", "name it only once"
                )
            taken[name] = spot
        lengths = {sizes[name] for name in names if name in sizes}
        if len(spot.faults) == before and len(lengths) > 1:
            shown = ", ".join(f"{name} has {sizes[name]}" for name in names if name in sizes)
            spot.at("axes").fault(
                f"{show(given)} differ in length ({shown})", "give them the same number of values"
            )
        elif len(spot.faults) == before and all(name in sizes for name in names):
            zips.append(tuple(sorted(names, key=order.index)))
    return tuple(sorted(zips, key=lambda names: order.index(names[0])))


def parse_where(
    value: object,
    axes: tuple[Axis, ...],
    what_ifs: Mapping[str, WhatIf],
    place: Place,
    results: tuple[Column, ...],
) -> tuple[Where, ...]:
    """Return the conditions, sorted, as their order does not matter."""
    found = [
        parse_condition(table, axes, what_ifs, spot, results)
        for table, spot in _tables(value, place)
    ]
    return tuple(sorted((where for where in found if where is not None), key=repr))


def parse_condition(
    table: Mapping[str, object],
    axes: tuple[Axis, ...],
    what_ifs: Mapping[str, WhatIf],
    place: Place,
    results: tuple[Column, ...],
) -> Where | None:
    """Return one condition on an axis or one of ``results``; None if it has a fault."""
    by_name = {axis.name: axis for axis in axes}
    before = len(place.faults)
    _known_keys(table, ("metric", "axis", "min", "max", "in"), place)
    subjects = [key for key in ("metric", "axis") if key in table]
    if len(subjects) != 1:
        place.fault(f"{show(dict(table))} has {len(subjects)} of 'metric' and 'axis'", "give one")
        return None
    subject = table[subjects[0]]
    if not isinstance(subject, str):
        place.at(subjects[0]).fault(f"{show(subject)} is not a name", "write it in quotes")
        return None
    if not {"min", "max", "in"} & set(table):
        place.fault(f"no condition on {show(subject)}", "add min, max or in")
        return None
    where = None
    if subjects[0] == "axis":
        name = what_ifs[subject].column_name if subject in what_ifs else subject
        if name in by_name:
            where = _where_axis(by_name[name], what_ifs, table, place)
        elif name not in AXIS_INPUTS:  # else the axis itself has a fault
            place.at("axis").unknown("axis", subject, [*AXIS_INPUTS, *PAIR_AXES, *what_ifs])
    else:
        where = _where_metric(subject, table, place, results)
    return where if len(place.faults) == before else None


def _where_axis(
    axis: Axis, what_ifs: Mapping[str, WhatIf], table: Mapping[str, object], place: Place
) -> Where | None:
    if axis.kind == "categorical":
        return _where_label(axis.name, map(str, axis.values), table, place)
    if axis.name in AXIS_INPUTS or axis.name in PAIR_AXES:
        bound = {**AXIS_INPUTS, **PAIR_AXES}[axis.name].limits
    elif axis.name in TRAFFIC_INPUTS:
        bound = TRAFFIC_INPUTS[axis.name].limits
    else:
        what_if = next(wi for wi in what_ifs.values() if wi.column_name == axis.name)
        bound = what_if.limits if what_if.mode == "set" else None
    dimension = bound.dimension if bound else "ratio"
    return _where_number(axis.name, dimension, table, place)


def _where_metric(
    name: str, table: Mapping[str, object], place: Place, results: tuple[Column, ...]
) -> Where | None:
    column = next((column for column in results if column.name == name), None)
    if column is None:
        if name in AXIS_INPUTS:
            place.at("metric").fault(f"{name!r} is an axis", f"write axis = '{name}'")
        else:
            known = [column.name for column in results]
            place.at("metric").unknown("metric", name, known, usual(name, known))
        return None
    if column.kind == "code":
        return _where_label(name, column.categories, table, place)
    return _where_number(name, DIMENSIONS.get(column.unit, "ratio"), table, place)


def _where_number(
    name: str, dimension: str, table: Mapping[str, object], place: Place
) -> Where | None:
    bound = Limits(dimension, -FINITE, FINITE)
    limits = {
        key: number(table[key], bound, place.at(key)) for key in ("min", "max") if key in table
    }
    low, high = limits.get("min"), limits.get("max")
    if low is not None and high is not None and low > high:
        place.fault(
            f"min {show(table['min'])} exceeds max {show(table['max'])}", "swap or widen them"
        )
        return None
    allowed = [
        number(item, bound, place.at("in").item(index))
        for index, item in enumerate(_listed(table, place))
    ]
    return Where(name, low, high, tuple(sorted({item for item in allowed if item is not None})))


def _where_label(
    name: str, labels: Iterable[str], table: Mapping[str, object], place: Place
) -> Where | None:
    known = dict.fromkeys(labels)
    for key in ("min", "max"):
        if key in table:
            place.at(key).fault(
                f"{show(table[key])}: {name} has names, not numbers", 'write in = ["..."]'
            )
    allowed: list[str] = []
    for index, item in enumerate(_listed(table, place)):
        if isinstance(item, str) and item in known:
            allowed.append(item)
        else:
            place.at("in").item(index).unknown(
                f"value of {name}", item if isinstance(item, str) else show(item), known
            )
    return Where(name, allowed=tuple(sorted(set(allowed))))


def _listed(table: Mapping[str, object], place: Place) -> list[object]:
    if "in" not in table:
        return []
    items = table["in"]
    if not isinstance(items, list | tuple) or not items:
        place.at("in").fault(f"{show(items)} is not a list of values", "write in = [1, 2]")
        return []
    return list(items)


def parse_section(
    kind: type[Section], value: object, place: Place, example: str, context: object = None
) -> Section | None:
    """Return a section that consists of one table; None if it has a fault."""
    if not isinstance(value, Mapping):
        place.fault(f"{show(value)} is not a table", f"write [{place.key}] and below it {example}")
        return None
    try:
        return kind.model_validate({str(key): item for key, item in value.items()}, context=context)
    except ValidationError as error:
        record_validation_error(error, place, kind)
        return None
