"""The sections of a sweep file besides its axes: zips, conditions, sample and output."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from perfcore.columns import BY_NAME, DEFAULT_METRICS, METRICS
from perfcore.errors import show
from perfcore.inputs import AXIS_INPUTS
from perfcore.limits import FINITE, Limits
from perfcore.reading.places import Place, integer, number
from perfcore.reading.words import suggest
from perfcore.space.axes import Axis, Value, WhatIf
from perfcore.space.profiles import PROFILES, Compression

MAX_SAMPLE: Final = 10**12
METHODS: Final = ("sobol", "random")
DTYPES: Final = ("float32", "float64")
COMPRESSIONS: Final = ("zstd", "lz4", "snappy", "none")
MANTISSA_BITS: Final = MappingProxyType({"float32": 24, "float64": 53})
LEAST_BITS: Final = 4  # of a metric: fewer would be worse than any model
ALL_METRICS: Final = "default"  # the key of significant_bits that means those without their own
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
    """A condition that a row must meet: bounds in SI units, and the values allowed (if any)."""

    column: str
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Sample:
    """Points drawn from the space instead of all of it."""

    method: Literal["sobol", "random"]
    n: int
    seed: int = 0


@dataclass(frozen=True)
class Output:
    """What is written of each row.

    ``columns`` are in the order of ``perfcore.columns``, without the axes: they are always written.
    ``significant_bits`` of metrics, by column and ``default``; the rest of a mantissa is rounded
    away, to the nearest.
    """

    columns: tuple[str, ...] = DEFAULT_METRICS
    keep_infeasible: bool = False
    dtype: Literal["float32", "float64"] = "float32"
    profile: Literal["fast", "small", "compatible"] = "fast"
    compression: Compression = PROFILES["fast"].compression
    significant_bits: Mapping[str, int] = field(
        default_factory=lambda: {ALL_METRICS: PROFILES["fast"].significant_bits}
    )

    def dropped_bits(self, name: str) -> int:
        """Bits of a metric's mantissa that are rounded away."""
        wanted = self.significant_bits.get(name, self.significant_bits[ALL_METRICS])
        return max(0, MANTISSA_BITS[self.dtype] - wanted)


def _tables(value: object, place: Place) -> Iterable[tuple[Mapping[str, object], Place]]:
    """Yield the tables of a ``[[list of tables]]``; a single ``[table]`` will do."""
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
    """Return the axes that some zip names, before anything is checked."""
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
    """Return the axes that move together, as columns, in canonical order."""
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
            spot.at("axes").fault(f"{show(given)} is no pair", "name at least two axes")
        for name in names:
            if name not in sizes and name not in AXIS_INPUTS:
                spot.at("axes").unknown("axis", name, [*AXIS_INPUTS, *what_ifs])
            elif name in taken:
                spot.at("axes").fault(
                    f"{name!r} is already in {taken[name].key}", "name it in one zip only, once"
                )
            taken[name] = spot
        lengths = {sizes[name] for name in names if name in sizes}
        if len(spot.faults) == before and len(lengths) > 1:
            shown = ", ".join(f"{name} has {sizes[name]}" for name in names if name in sizes)
            spot.at("axes").fault(
                f"{show(given)} differ in length ({shown})", "give them equally many values"
            )
        elif len(spot.faults) == before and all(name in sizes for name in names):
            zips.append(tuple(sorted(names, key=order.index)))
    return tuple(sorted(zips, key=lambda names: order.index(names[0])))


def parse_where(
    value: object, axes: tuple[Axis, ...], what_ifs: Mapping[str, WhatIf], place: Place
) -> tuple[Where, ...]:
    """Return the conditions, in an order of their own: all must hold."""
    found = [parse_condition(table, axes, what_ifs, spot) for table, spot in _tables(value, place)]
    return tuple(sorted((where for where in found if where is not None), key=repr))


def parse_condition(
    table: Mapping[str, object],
    axes: tuple[Axis, ...],
    what_ifs: Mapping[str, WhatIf],
    place: Place,
) -> Where | None:
    """Return one condition; None if it has a fault."""
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
            place.at("axis").unknown("axis", subject, [*AXIS_INPUTS, *what_ifs])
    else:
        where = _where_metric(subject, table, place)
    return where if len(place.faults) == before else None


def _where_axis(
    axis: Axis, what_ifs: Mapping[str, WhatIf], table: Mapping[str, object], place: Place
) -> Where | None:
    if axis.kind == "categorical":
        return _where_label(axis.name, map(str, axis.values), table, place)
    if axis.name in AXIS_INPUTS:
        bound = AXIS_INPUTS[axis.name].limits
    else:
        what_if = next(wi for wi in what_ifs.values() if wi.column_name == axis.name)
        bound = what_if.limits if what_if.mode == "set" else None
    dimension = bound.dimension if bound else "ratio"
    return _where_number(axis.name, dimension, table, place)


def _where_metric(name: str, table: Mapping[str, object], place: Place) -> Where | None:
    column = BY_NAME.get(name)
    if column is None or column.kind == "axis":
        if name in AXIS_INPUTS:
            place.at("metric").fault(f"{name!r} is an axis", f"write axis = '{name}'")
        else:
            place.at("metric").unknown("metric", name, [column.name for column in METRICS])
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


def parse_sample(value: object, place: Place) -> Sample | None:
    """Return how points are drawn; None if all are wanted."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        place.fault(f"{show(value)} is not a table", "write [sample] and below it n = 100000")
        return None
    _known_keys(value, ("method", "n", "seed"), place)
    method = _choice(value, "method", METHODS, place)
    if "n" not in value:
        place.fault("key 'n' is missing", "add n = 100000")
        return None
    n = integer(value["n"], 1, MAX_SAMPLE, place.at("n"))
    seed = integer(value.get("seed", 0), 0, 2**63 - 1, place.at("seed"))
    if n is None or seed is None:
        return None
    return Sample("random" if method == "random" else "sobol", n, seed)


def _choice(table: Mapping[str, object], key: str, choices: tuple[str, ...], place: Place) -> str:
    """Return one of the choices, the first if the key is absent or has a fault."""
    given = table.get(key, choices[0])
    if not isinstance(given, str) or given not in choices:
        hint = suggest(given, choices) if isinstance(given, str) else ""
        place.at(key).fault(
            f"{show(given)} is not a {key}{hint}", f"use one of: {', '.join(choices)}"
        )
        return choices[0]
    return given


def parse_output(value: object, place: Place) -> Output:
    """Return what is written, defaults included."""
    if not isinstance(value, Mapping):
        place.fault(f"{show(value)} is not a table", 'write [output] and below it columns = "all"')
        return Output()
    known = ("columns", "keep_infeasible", "dtype", "profile", "compression", "significant_bits")
    _known_keys(value, known, place)
    keep = value.get("keep_infeasible", False)
    if not isinstance(keep, bool):
        place.at("keep_infeasible").fault(f"{show(keep)} is no switch", "write true or false")
    dtype = _choice(value, "dtype", DTYPES, place)
    profile = _choice(value, "profile", tuple(PROFILES), place)
    compression: str = PROFILES[profile].compression
    if "compression" in value:
        compression = _choice(value, "compression", COMPRESSIONS, place)
    rounded = PROFILES[profile].significant_bits if dtype == "float32" else MANTISSA_BITS[dtype]
    return Output(
        columns=_parse_columns(value.get("columns", "default"), place.at("columns")),
        keep_infeasible=keep is True,
        dtype=dtype,  # type: ignore[arg-type]
        profile=profile,  # type: ignore[arg-type]
        compression=compression,  # type: ignore[arg-type]
        significant_bits=_parse_bits(
            value.get("significant_bits", rounded), rounded, MANTISSA_BITS[dtype], place
        ),
    )


def _parse_bits(value: object, otherwise: int, most: int, place: Place) -> dict[str, int]:
    """Return significant bits by column, and ``default``: of a number those of all metrics."""
    place = place.at("significant_bits")
    if not isinstance(value, Mapping):
        bits = integer(value, LEAST_BITS, most, place)
        return {ALL_METRICS: otherwise if bits is None else bits}
    found = {ALL_METRICS: otherwise}
    metrics = [column.name for column in METRICS if column.kind == "metric"]
    for name, given in value.items():
        if name not in (*metrics, ALL_METRICS):
            place.unknown("metric", str(name), (*metrics, ALL_METRICS))
            continue
        bits = integer(given, LEAST_BITS, most, place.at(name))
        if bits is not None:
            found[name] = bits
    return found


def _parse_columns(value: object, place: Place) -> tuple[str, ...]:
    if value == "default":
        return DEFAULT_METRICS
    if value == "all":
        return tuple(column.name for column in METRICS)
    if not isinstance(value, list | tuple) or not value:
        place.fault(f"{show(value)} is no choice", 'write "default", "all" or a list of names')
        return ()
    if len(value) > len(BY_NAME):
        place.fault(f"{len(value)} names are more than columns", "list each once")
        return ()
    for index, name in enumerate(value):
        if not isinstance(name, str):
            place.item(index).fault(f"{show(name)} is not a name", "write it in quotes")
        elif name not in BY_NAME:
            place.item(index).unknown("column", name, BY_NAME)
        elif name in value[:index]:
            place.item(index).fault(f"{name!r} is a duplicate", "list it once")
    return tuple(column.name for column in METRICS if column.name in value)
