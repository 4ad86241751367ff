"""The space of a sweep as the kernel traverses it: tables of records, outer and inner points."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Final, Self, cast

import numpy as np
import numpy.typing as npt

from perfcore import records
from perfcore.catalog.engine_entry import EngineEntry
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.native import native_format
from perfcore.catalog.schema import DeviceEntry, WeightFormatEntry
from perfcore.columns import BY_NAME, Column, results_of
from perfcore.errors import InputError
from perfcore.inputs import (
    AXIS_INPUTS,
    DRAFT,
    DRAFT_AXES,
    EXPERT,
    EXPERT_AXES,
    LIMITS,
    PREFILL,
    PREFILL_AXES,
    TIES,
    TRAFFIC_INPUTS,
    broken_ties,
)
from perfcore.kernel.layout import Block, Inner, Integers, Reals, Rules
from perfcore.space.axes import POOL_DEGREES, Axis, Value, WhatIf
from perfcore.space.sections import Where
from perfcore.space.spec import Spec

LENGTHS: Final = ("input_len", "output_len")
INNER: Final = ("batch", *LENGTHS)
POOL_RECORDS: Final = ("device", "engine")  # of a prefill pool, where they are its own
OTHERS: Final = {  # what may run on other machines, with the first part of names of their axes
    "prompts": (PREFILL, PREFILL_AXES),
    "draft": (DRAFT, DRAFT_AXES),
    "experts": (EXPERT, EXPERT_AXES),
}
DEVICES_OF: Final = {  # numbers of another machine's devices, 1 if they are not given
    "prefill_device": POOL_DEGREES,
    "draft_device": ("draft_devices",),
    "expert_device": ("expert_devices",),
}
TABLES: Final = ("model", "device", "engine", "weight_format", "kv_format", "economics")
ENGINE_AXES: Final = ("engine", "device", "weight_format")  # that an engine's record depends on
CHOSEN: Final = ("tp", "pp")  # degrees chosen for each row by `devices = "auto"`
LINK: Final = "prefill_link"  # which pools of equal servers have, too
LARGEST_INNER: Final = 65_536  # combinations of batch and lengths of one outer point
LARGEST_TABLE: Final = 1_000_000  # records of one kind
SAMPLE_BLOCK: Final = 65_536  # points drawn with one seed

Record = (
    records.Model
    | records.Device
    | records.Engine
    | records.WeightFormat
    | records.KVFormat
    | records.Economics
)


@dataclass(frozen=True)
class Dimension:
    """Axes that vary together: a single axis, or those of a zip."""

    axes: tuple[Axis, ...]

    def __len__(self) -> int:
        return len(self.axes[0])


def distinct(axis: Axis) -> tuple[Value, ...]:
    """Return the values of an axis in order, without the repetitions that zips allow."""
    return tuple(dict.fromkeys(axis.values))


class Space:
    """All combinations of a specification's axes, in canonical order.

    Inner points are the combinations of batch, input length and output length, as far as these
    axes come last. Each outer point is combined with all inner points. With traffic, each outer
    point is simulated, and has one inner point without axes.

    Parameters
    ----------
    spec
        A checked specification.

    Raises
    ------
    InputError
        If conditions on axes exclude all values, or a what-if scales a field out of its limits.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.axes = _filtered(spec)
        by_name = {axis.name: axis for axis in self.axes}
        grouped = {name: group for group in spec.zips for name in group}
        dimensions: list[Dimension] = []
        for axis in self.axes:
            group = grouped.get(axis.name, (axis.name,))
            if group[0] == axis.name:
                dimensions.append(Dimension(tuple(by_name[name] for name in group)))
        self.chooses_devices = by_name["tp"].values == (0,)
        self.other = next(
            (
                other
                for other, (_, axes) in OTHERS.items()
                if any(name in by_name for name in axes if name != LINK)
            ),
            "",
        )
        self.pairs = self.other == "prompts"
        inner: list[Dimension] = []
        self.results = results_of(simulated=spec.traffic is not None)
        if spec.sample is None and spec.traffic is None and not self.chooses_devices:
            size = 1
            while dimensions and all(axis.name in INNER for axis in dimensions[-1].axes):
                size *= len(dimensions[-1])
                if size > LARGEST_INNER and inner:
                    break
                inner.insert(0, dimensions.pop())
        self.outer_dimensions = tuple(dimensions)
        self.inner_dimensions = tuple(inner)
        self.outer_axes = tuple(axis for dim in self.outer_dimensions for axis in dim.axes)
        self.inner_axes = tuple(axis for dim in self.inner_dimensions for axis in dim.axes)
        self.varying_outer = tuple(axis for axis in self.outer_axes if self.varies(axis))
        self.varying_inner = tuple(axis for axis in self.inner_axes if self.varies(axis))
        # conditions may have excluded values of a what-if's axis
        self.what_ifs = {
            what_if.column_name: replace(
                what_if, values=tuple(map(float, by_name[what_if.column_name].values))
            )
            for what_if in spec.what_ifs
        }

    def varies(self, axis: Axis) -> bool:
        """Return whether rows may differ in an axis. The kernel writes only such axes."""
        return len(axis) > 1 or (self.chooses_devices and axis.name in CHOSEN)

    @classmethod
    def from_toml(cls, path: str | Path, overrides: Iterable[str] = ()) -> Self:
        """Return the space of a sweep file, with overrides ``key=value`` applied."""
        return cls(Spec.from_toml(path, overrides))

    @classmethod
    def from_dict(cls, mapping: Mapping[str, object]) -> Self:
        """Return the space of a mapping laid out like a sweep file."""
        return cls(Spec.from_dict(mapping))

    @cached_property
    def grid_points(self) -> int:
        """Outer points of the whole grid."""
        return math.prod(len(dimension) for dimension in self.outer_dimensions)

    @cached_property
    def outer_points(self) -> int:
        """Outer points to evaluate: the whole grid, or the sample."""
        return self.grid_points if self.spec.sample is None else self.spec.sample.n

    @cached_property
    def inner_points(self) -> int:
        """Combinations of batch and lengths at each outer point."""
        return math.prod(len(dimension) for dimension in self.inner_dimensions)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on models whose checkpoints differ from the weight formats of the sweep."""
        forms = self.spec.axis("weight_format").values
        models = [
            entry for entry in self.spec.axis("model").entries if isinstance(entry, ModelEntry)
        ]
        narrow = {entry.name: native_format(entry) for entry in models}
        notes = [
            f"{name} is published in {form}, which is not among axes.weight_format"
            for name, form in narrow.items()
            if form and form not in forms
        ]
        notes += [
            f"{entry.name}: all matrices are counted in the bits of the format; `perfcore point` "
            "counts those of its file"
            for entry in models
            if entry.own_bits or entry.wide_attention or entry.wide_ffn or entry.wide_experts
        ]
        return tuple(notes)

    @property
    def rows(self) -> int:
        """Rows before infeasible ones are left out."""
        return self.outer_points * self.inner_points

    @property
    def points_per_shard(self) -> int:
        """Outer points of one output file."""
        return max(1, self.spec.output.rows_per_shard // self.inner_points)

    @property
    def shards(self) -> int:
        """Output files. Their number and content depend only on the specification."""
        return -(-self.outer_points // self.points_per_shard)

    def shard_range(self, shard: int) -> tuple[int, int]:
        """Return the first outer point of a shard, and the one after its last."""
        start = shard * self.points_per_shard
        return start, min(start + self.points_per_shard, self.outer_points)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Metrics to write, in canonical order."""
        wanted = self.spec.output.columns
        return tuple(column for column in self.results if column.name in wanted)

    def fields(self, names: Iterable[str]) -> Integers:
        """Return the positions of results among all that the space's rows have."""
        order = [column.name for column in self.results]
        return np.array([order.index(name) for name in names], np.int64)

    def dropped_bits(self, name: str) -> int:
        """Return the bits to round away from a column's mantissa; 0 for whole numbers."""
        if BY_NAME[name].kind != "metric":
            return 0
        return self.spec.output.dropped_bits(name)

    @cached_property
    def rules(self) -> Rules:
        """Conditions on metrics."""
        conditions = [where for where in self.spec.where if where.column in BY_NAME]
        conditions = [where for where in conditions if BY_NAME[where.column].kind != "axis"]
        ranges = [
            (
                -math.inf if where.minimum is None else where.minimum,
                math.inf if where.maximum is None else where.maximum,
            )
            for where in conditions
        ]
        return Rules(
            self.fields(where.column for where in conditions),
            np.array([self.dropped_bits(where.column) for where in conditions], np.int64),
            np.array(ranges, np.float64).reshape(-1, 2),
            np.array([_mask(where, self.results) for where in conditions], np.int64),
        )

    @cached_property
    def inner(self) -> Inner:
        """Inner points, the same for each outer point."""
        sizes = [len(dimension) for dimension in self.inner_dimensions]
        values = np.zeros((len(INNER), self.inner_points))
        positions = np.unravel_index(np.arange(self.inner_points), sizes) if sizes else ()
        for dimension, position in zip(self.inner_dimensions, positions, strict=True):
            for axis in dimension.axes:
                values[INNER.index(axis.name)] = np.array(axis.values, np.float64)[position]
        rows = [values[INNER.index(axis.name)] for axis in self.varying_inner]
        codes = np.array(rows, np.int32).reshape(len(rows), self.inner_points)
        return Inner(batches=values[0], lengths=values[1:], axes=codes)

    @cached_property
    def tables(self) -> tuple[Reals, Reals, Reals, Reals, Reals, Reals]:
        """Records as rows, one table per kind, with what-ifs applied.

        The row is ``base * variants + variant``. ``base`` is the index of the entry on its axis
        (for engines, ``(engine * devices + device) * kernels + kernel``), ``variant`` that of the
        combination of the record's what-ifs. Entries of other machines, such as a prefill pool,
        follow those of decode.
        """
        model, device, engine, weight_format, kv_format, economics = (
            self._table(kind, self.base_records[kind]) for kind in TABLES
        )
        return model, device, engine, weight_format, kv_format, economics

    @cached_property
    def base_records(self) -> dict[str, list[Record]]:
        """Records of each kind without what-ifs, in the order of ``tables``."""
        base: dict[str, list[Record]] = {
            kind: [entry.record() for entry in self._axis(kind).entries]  # type: ignore[attr-defined]
            for kind in ("weight_format", "kv_format", "economics")
        }
        for kind in ("model", "device"):
            base[kind] = [
                entry.record()  # type: ignore[attr-defined]
                for axis in (self._axis(kind), *self._others_own(kind))
                for entry in axis.entries
            ]
        base["engine"] = self._engines(self._axis("engine"), self._axis("device"))
        if self.other:
            base["engine"] += self._engines(self._others("engine"), self._others("device"))
        return base

    @property
    def unmeasured(self) -> dict[str, str]:
        """Weight formats of whose loss of quality there is no open measurement, in words."""
        formats = cast("tuple[WeightFormatEntry, ...]", self._axis("weight_format").entries)
        return {
            entry.name: entry.loss
            for entry in formats
            if entry.record().perplexity_increase == records.UNMEASURED
        }

    @cached_property
    def _kernels(self) -> dict[str, WeightFormatEntry]:
        """Weight formats by kernel, which is all that an engine's record takes from a format."""
        formats = cast("tuple[WeightFormatEntry, ...]", self._axis("weight_format").entries)
        return {entry.kernel: entry for entry in formats}

    def _others_own(self, kind: str) -> tuple[Axis, ...]:
        """Return the axis of another machine's own entries, if there is one."""
        if not self.other:
            return ()
        prefix, _ = OTHERS[self.other]
        return tuple(axis for axis in self.axes if axis.name == prefix + kind)

    def _others(self, kind: str) -> Axis:
        """Return the axis of another machine's entries: its own, or that of decode."""
        return (*self._others_own(kind), self._axis(kind))[0]

    def _engines(self, engines: Axis, devices: Axis) -> list[Record]:
        """Return the record of every engine on every device with every kernel."""
        made: list[Record] = []
        for engine in cast("tuple[EngineEntry, ...]", engines.entries):
            for device in cast("tuple[DeviceEntry, ...]", devices.entries):
                found: dict[str, Record] = {}  # by the level of the intervals, all that differs
                for weight_format in self._kernels.values():
                    level = engine.calibration(device, weight_format)
                    if level not in found:
                        found[level] = engine.record(device, weight_format)
                    made.append(found[level])
        return made

    def block(self, start: int, stop: int) -> Block:
        """Return the outer points ``start`` … ``stop - 1``."""
        return self.block_at(self._positions(start, stop))

    def block_at(self, positions: Sequence[Integers]) -> Block:
        """Return the outer points at some positions on each outer dimension. (points,)"""
        places = {
            axis.name: positions[number]
            for number, dimension in enumerate(self.outer_dimensions)
            for axis in dimension.axes
        }
        points = len(positions[0])
        bases = {kind: places.get(kind, np.zeros(points, np.int64)) for kind in TABLES}
        bases["engine"] = self.engine_row(*(places[name] for name in ENGINE_AXES))
        kinds = [(kind, bases[kind]) for kind in TABLES]
        if self.other:
            kinds += self._other_rows(places)
        rows = []
        for kind, base in kinds:
            row = base
            for together in self._what_ifs(kind):
                row = row * len(together[0].values) + places[together[0].column_name]
            rows.append(row)
        fields = records.Deployment._fields
        deployments = np.zeros((points, len(fields)))
        lengths = np.zeros((len(LENGTHS), points))
        for name, place in places.items():
            if name in fields:
                deployments[:, fields.index(name)] = self.axis_values[name][place]
            elif name in LENGTHS and name in self.axis_values:
                lengths[LENGTHS.index(name)] = self.axis_values[name][place]
        for name, codes in self.engine_rules(places["engine"], places["weight_format"]).items():
            deployments[:, fields.index(name)] = codes
        for device, numbers in DEVICES_OF.items():
            missing = [one for one in numbers if device in places and one not in places]
            deployments[:, [fields.index(one) for one in missing]] = 1.0
        axes = np.empty((len(self.varying_outer), points), np.int32)
        for number, axis in enumerate(self.varying_outer):
            place = places[axis.name]
            axes[number] = self._codes[axis.name][place]
        names = [axis.name for axis in self.varying_outer]
        chosen = [names.index(name) if self.chooses_devices else 0 for name in CHOSEN]
        degrees = np.array(chosen, np.int64)
        return Block(np.array(rows, np.int64), deployments, lengths, axes, degrees)

    def engine_rules(self, engine: Integers, weight_format: Integers) -> dict[str, Reals]:
        """Return what engines can run of formats, by field of a deployment.

        Both are positions on the axes of their names.
        """
        engines = cast("tuple[EngineEntry, ...]", self._axis("engine").entries)
        formats = cast("tuple[WeightFormatEntry, ...]", self._axis("weight_format").entries)
        layouts = np.array([float(one.layouts) for one in engines])
        barred = np.array(
            [[float(not one.multiplies(form)) for form in formats] for one in engines]
        )
        return {"layouts": layouts[engine], "barred": barred[engine, weight_format]}

    def engine_row(
        self,
        engine: Integers,
        device: Integers,
        weight_format: Integers,
        *,
        devices: Axis | None = None,
    ) -> Integers:
        """Return the rows of engines' base records, by positions on the axes of their names.

        Those of decode, whose devices are on the axis ``device``, come first.
        """
        order = list(self._kernels)
        formats = cast("tuple[WeightFormatEntry, ...]", self._axis("weight_format").entries)
        kernels = np.array([order.index(entry.kernel) for entry in formats])
        row = engine * len(self._axis("device") if devices is None else devices) + device
        rows: Integers = row * len(order) + kernels[weight_format]
        return rows

    def _other_rows(self, places: Mapping[str, Integers]) -> list[tuple[str, Integers]]:
        """Return the rows of another machine's records by kind, without what-ifs."""
        engines, devices = self._others("engine"), self._others("device")
        own = len(self._axis("device")) if devices.name != "device" else 0
        before = len(self._axis("engine")) * len(self._axis("device")) * len(self._kernels)
        engine = self.engine_row(
            places[engines.name], places[devices.name], places["weight_format"], devices=devices
        )
        rows = [("device", places[devices.name] + own), ("engine", engine + before)]
        models = [("model", places[axis.name]) for axis in self._others_own("model")]
        return [(kind, row + len(self._axis("model"))) for kind, row in models] + rows

    def traffic(self, start: int, stop: int) -> list[dict[str, Value]]:
        """Return the values on the axes of traffic at outer points ``start`` … ``stop - 1``."""
        positions = self._positions(start, stop)
        found: list[dict[str, Value]] = [{} for _ in range(stop - start)]
        for number, dimension in enumerate(self.outer_dimensions):
            for axis in dimension.axes:
                if axis.name in TRAFFIC_INPUTS:
                    for values, place in zip(found, positions[number].tolist(), strict=True):
                        values[axis.name] = axis.values[place]
        return found

    @cached_property
    def axis_values(self) -> dict[str, Reals]:
        """Values of numeric axes, and codes of axes with choices."""
        values = {}
        for axis in self.axes:
            rule = AXIS_INPUTS.get(axis.name)  # those of prefill pools have no choices
            if axis.kind != "categorical":
                values[axis.name] = np.array(axis.values, np.float64)
            elif rule and rule.choices:
                codes = [rule.choices.index(str(value)) for value in axis.values]
                values[axis.name] = np.array(codes, np.float64)
        return values

    @cached_property
    def _codes(self) -> dict[str, npt.NDArray[np.int32]]:
        """Output of each position of an outer axis: the value if integer, else its code."""
        codes = {}
        for axis in self.outer_axes:
            if axis.kind == "integer":
                codes[axis.name] = self.axis_values[axis.name].astype(np.int32)
            else:
                place = {value: code for code, value in enumerate(distinct(axis))}
                codes[axis.name] = np.array([place[value] for value in axis.values], np.int32)
        return codes

    def _axis(self, name: str) -> Axis:
        return next(axis for axis in self.axes if axis.name == name)

    def _what_ifs(self, kind: str) -> list[list[WhatIf]]:
        """Return the what-ifs of a kind of record; those of one zip vary together."""
        names = [[axis.name for axis in dimension.axes] for dimension in self.outer_dimensions]
        listed = [
            [self.what_ifs[name] for name in group if name in self.what_ifs] for group in names
        ]
        of_kind = [[one for one in together if one.record == kind] for together in listed]
        return [together for together in of_kind if together]

    def _positions(self, start: int, stop: int) -> list[Integers]:
        """Return the positions of points ``start`` … ``stop - 1`` on each outer dimension."""
        sizes = [len(dimension) for dimension in self.outer_dimensions]
        if self.spec.sample is not None:
            return self._sampled(start, stop, sizes)
        rest = np.arange(start, stop, dtype=np.int64)
        positions: list[Integers] = []
        for size in reversed(sizes):
            rest, position = np.divmod(rest, size)
            positions.insert(0, position)
        return positions

    def _sampled(self, start: int, stop: int, sizes: list[int]) -> list[Integers]:
        """Return the positions of sampled points. Each block of points has its own seed."""
        sample = self.spec.sample
        if sample is None:
            raise ValueError("the space is not sampled")
        shares = []
        for block in range(start // SAMPLE_BLOCK, -(-stop // SAMPLE_BLOCK)):
            first = block * SAMPLE_BLOCK
            if sample.method == "sobol":
                drawn = _sobol(len(sizes), sample.seed, first, SAMPLE_BLOCK)
            else:
                drawn = np.random.default_rng([sample.seed, block]).random(
                    (SAMPLE_BLOCK, len(sizes))
                )
            shares.append(drawn[max(start - first, 0) : stop - first])
        drawn = np.concatenate(shares)
        return [
            np.minimum((drawn[:, number] * size).astype(np.int64), size - 1)
            for number, size in enumerate(sizes)
        ]

    def _table(self, kind: str, base: list[Record]) -> Reals:
        groups = self._what_ifs(kind)
        sizes = [len(together[0].values) for together in groups]
        variants = math.prod(sizes)
        if len(base) * variants > LARGEST_TABLE:
            raise InputError(
                f"what_if: {len(base) * variants:,} variants of {kind} records are too many; "
                f"use at most {LARGEST_TABLE:,}, fewer values or fewer what-ifs"
            )
        rows = np.repeat(np.array(base, np.float64), variants, axis=0)
        chosen = np.unravel_index(np.arange(variants), sizes) if sizes else ()
        fields = type(base[0])._fields
        faults: set[str] = set()
        for together, positions in zip(groups, chosen, strict=True):
            for what_if in together:
                column = rows[:, fields.index(what_if.field)]
                values = np.tile(np.array(what_if.values)[positions], len(base))
                column[:] = column * values if what_if.mode == "scale" else values
                faults |= _outside(what_if, values, column)
        if groups:
            ties = _broken(kind, fields, rows)
            faults.update(f"what_if: {tie}; change both, or zip them" for tie in ties)
        if faults:
            raise InputError(sorted(faults))
        return rows


def _outside(what_if: WhatIf, values: Reals, results: Reals) -> set[str]:
    """Return faults of a what-if whose values give a field results outside its limits."""
    limits = LIMITS[what_if.record][what_if.field]
    wrong = [result for result in np.unique(results).tolist() if not limits.admits(result)]
    places = np.flatnonzero(np.isin(results, wrong)) if wrong else ()
    pairs = zip(values[places].tolist(), results[places].tolist(), strict=True) if wrong else ()
    return {
        f"what_if.{what_if.key}: scale {value:g} makes it {result:g}; keep it {limits}"
        for value, result in set(pairs)
    }


def _broken(kind: str, fields: Sequence[str], rows: Reals) -> set[str]:
    """Return the contradictions in rows of records."""
    tied = sorted({name for pair in TIES.get(kind, ()) for name in pair})
    columns = [rows[:, fields.index(name)].tolist() for name in tied]
    return {
        tie
        for values in set(zip(*columns, strict=True))
        for tie in broken_ties(kind, SimpleNamespace(**dict(zip(tied, values, strict=True))))
    }


def _filtered(spec: Spec) -> tuple[Axis, ...]:
    """Return the axes without values excluded by conditions, and zipped axes likewise."""
    keep: dict[str, list[bool]] = {axis.name: [True] * len(axis) for axis in spec.axes}
    groups: dict[str, tuple[str, ...]] = {axis.name: (axis.name,) for axis in spec.axes}
    groups.update({name: group for group in spec.zips for name in group})
    by_name = {axis.name: axis for axis in spec.axes}
    for where in spec.where:
        if where.column not in by_name:
            continue
        listed = frozenset(where.allowed)
        allowed = [admits(where, listed, value) for value in by_name[where.column].values]
        for name in groups[where.column]:
            keep[name] = [old and new for old, new in zip(keep[name], allowed, strict=True)]
    empty = [name for name, kept in keep.items() if not any(kept)]
    if empty:
        raise InputError(
            f"where: no value of {name} meets the conditions; widen them" for name in empty
        )
    return tuple(
        Axis(
            axis.name,
            tuple(v for v, kept in zip(axis.values, keep[axis.name], strict=True) if kept),
            axis.kind,
            tuple(
                e
                for e, kept in zip(axis.entries, keep[axis.name], strict=bool(axis.entries))
                if kept
            ),
        )
        for axis in spec.axes
    )


def admits(where: Where, listed: frozenset[Value], value: Value) -> bool:
    """Return whether a condition on an axis admits a value; ``listed`` are its allowed values."""
    if listed and value not in listed:
        return False
    if isinstance(value, str):
        return True
    return (where.minimum is None or value >= where.minimum) and (
        where.maximum is None or value <= where.maximum
    )


def _mask(where: Where, results: tuple[Column, ...]) -> int:
    """Return the allowed codes as bits, all set if the condition lists no values."""
    if not where.allowed:
        return -1
    categories = next(column for column in results if column.name == where.column).categories
    if not categories:
        raise InputError(
            f"where: {where.column} is a real number, and 'in' would compare exactly; "
            "use min and max"
        )
    return sum(1 << categories.index(str(label)) for label in where.allowed)


def _sobol(dimensions: int, seed: int, first: int, count: int) -> Reals:
    try:
        from scipy.stats import qmc  # noqa: PLC0415
    except ImportError:
        raise InputError(
            "sample.method: 'sobol' needs scipy; pip install scipy, or use 'random'"
        ) from None
    engine = qmc.Sobol(dimensions, scramble=True, rng=seed)
    if first:  # SciPy refuses to skip 0 points
        engine.fast_forward(first)
    return np.asarray(engine.random(count), np.float64)


Sweep = str | Path | Mapping[str, object] | Space


def as_space(spec: Sweep, overrides: Iterable[str] = ()) -> Space:
    """Return the space of a file or mapping; a space is returned unchanged."""
    overrides = tuple(overrides)
    if isinstance(spec, Space):
        if overrides:
            raise InputError(
                f"{overrides[0]}: a Space takes no overrides; give the file or mapping instead"
            )
        return spec
    if isinstance(spec, Mapping):
        return Space(Spec.from_dict(spec, overrides=overrides))
    return Space.from_toml(spec, overrides)
