"""Random sweeps: valid, small, and different in everything that a sweep file may say.

Axes, their limits, choices and defaults come from ``perfcore.inputs``, what-ifs from the fields of
the records, names from the catalogue, and formats from ``perfcore.space``. A new axis, field or
entry is therefore drawn without a change here.
"""

import random
from collections.abc import Iterable
from typing import Any, Final, get_args

import tomlkit

from perfcore.catalog import loader
from perfcore.columns import COLUMNS, METRICS
from perfcore.errors import InputError
from perfcore.inputs import AXIS_INPUTS, LIMITS, AxisInput
from perfcore.limits import Limits
from perfcore.runs.parquet import schema
from perfcore.runs.workers import evaluate_rows
from perfcore.space import sections
from perfcore.space.axes import DEGREES
from perfcore.space.profiles import PROFILES, Compression
from perfcore.space.sizes import FAMILIES
from perfcore.space.space import INNER, Space

MOST_ROWS: Final = 5_000
MOST_POINTS: Final = 200_000  # of a grid that is sampled
SCALES: Final = (0.25, 0.5, 0.8, 0.9, 1.0, 1.1, 1.5, 2.0, 3.0, 8.0)

Document = dict[str, Any]


def toml(spec: Document) -> str:
    """Return a sweep as the text of its file."""
    return tomlkit.dumps(spec)


def random_spec(seed: int) -> Document:
    """Return a valid sweep as a mapping laid out like a sweep file. A seed always gives the same.

    It has 1 to ``MOST_ROWS`` configurations, of which none may run.
    """
    rng = random.Random(f"sweep {seed}")  # noqa: S311 - not for security
    spec: Document = {"name": f"fuzz-{seed}", "axes": {}}
    sampled = rng.random() < 0.25
    budget = round(50 * (MOST_ROWS / 50) ** rng.random())
    room = MOST_POINTS if sampled else budget
    what_ifs = [_what_if_key(rng) for _ in range(rng.choice((0, 0, 1, 1, 2)))]
    what_ifs = list(dict.fromkeys(what_ifs))
    chosen_devices = rng.random() < 0.15
    names = [name for name in AXIS_INPUTS if not (chosen_devices and name in DEGREES)]
    if chosen_devices:
        spec["axes"]["devices"] = "auto"

    zipped: list[str] = []
    size = 0
    if rng.random() < 0.35:
        zipped = rng.sample(names, rng.choice((2, 2, 3)))
        size = rng.randint(2, 5)
        for name in zipped:
            spec["axes"][name] = [_value(rng, AXIS_INPUTS[name]) for _ in range(size)]
        room //= size
        spec["zip"] = [{"axes": zipped}]

    for name in rng.sample(names, len(names)):
        rule = AXIS_INPUTS[name]
        required = rule.default is None
        if name in zipped or not (required or rng.random() < 0.6):
            continue
        most = min(150 if name in INNER and rng.random() < 0.15 else 4, room)
        given, count = _values(rng, rule, 1 if rng.random() < 0.4 else max(most, 1))
        spec["axes"][name] = given
        room //= count
    _accept(rng, spec["axes"])

    for key in what_ifs:
        joins = bool(zipped) and rng.random() < 0.5
        wanted = size if joins else rng.randint(1, max(min(3, room), 1))
        given, count = _what_if_values(rng, key, wanted)
        if (joins and count != size) or not _is_valid(
            {**spec, "what_if": {**spec.get("what_if", {}), key: given}}
        ):
            continue
        spec.setdefault("what_if", {})[key] = given
        if joins:
            zipped.append(key)
        else:
            room //= count

    if sampled:
        spec["sample"] = _sample(rng, budget)
    output = _output(rng, Space.from_dict(spec).rows)
    if output:
        spec["output"] = output
    where = list(_conditions(rng, spec, rng.choice((0, 0, 1, 2, 3))))
    if where:
        spec["where"] = where
    return spec


def _sample(rng: random.Random, most: int) -> Document:
    """Return [sample] of up to ``most`` points."""
    given: Document = {"n": rng.randint(1, most), "seed": rng.randrange(100)}
    if rng.random() < 0.5:
        given["method"] = rng.choice(("sobol", "random"))
    return given


def _is_valid(spec: Document) -> bool:
    """Return whether the records stay in their limits; few what-ifs leave them."""
    try:
        space = Space.from_dict(spec)
        _ = space.tables
    except InputError:
        return False
    return True


# ---------------------------------------------------------------------------------------- axes


def _value(rng: random.Random, rule: AxisInput) -> object:
    """Return one value of an axis."""
    if rule.limits is not None:
        return _number(rng, rule.limits, float(rule.default or 0))
    if rule.choices:
        return rng.choice(rule.choices)
    if rule.name == "model" and rng.random() < 0.15:
        family = rng.choice(FAMILIES)
        model: Document = {"family": family, "params": f"{round(10 ** rng.uniform(0, 2), 2)}B"}
        if family == "moe" and rng.random() < 0.5:
            model["active"] = round(rng.uniform(0.05, 0.5), 3)
        return model
    return rng.choice(loader.names(rule.name))


def _number(rng: random.Random, limits: Limits, default: float) -> int | float:
    """Return a value of a numeric axis: mostly near the default, rarely an end of the limits."""
    if rng.random() < 0.03:
        value = rng.choice((limits.low, limits.high))
    elif not limits.whole:
        value = rng.choice((limits.low, round(rng.uniform(limits.low, limits.high), 3)))
    else:
        value = max(default, 1.0) * 2.0 ** rng.uniform(-3.0, 6.0)
        value = (
            2.0 ** round(rng.uniform(0.0, 6.0)) if default <= 1 and rng.random() < 0.6 else value
        )
        value = rng.choice((value, default))
    value = min(max(value, limits.low), limits.high)
    return int(value) if limits.whole else value


def _values(rng: random.Random, rule: AxisInput, most: int) -> tuple[object, int]:
    """Return up to ``most`` distinct values of an axis as they are written, and a bound on them."""
    if rule.limits is not None and most > 2 and rng.random() < 0.5:
        written = _range(rng, rule.limits, float(rule.default or 0), most)
        if written is not None:
            return written, most
    values: dict[object, object] = {}
    for _ in range(rng.randint(1, most)):
        value = _value(rng, rule)
        values[repr(value) if isinstance(value, dict) else value] = value  # 0 and 0.0 are one
    listed = list(values.values())
    return (listed[0] if len(listed) == 1 and rng.random() < 0.5 else listed), len(listed)


def _range(rng: random.Random, limits: Limits, default: float, most: int) -> Document | None:
    """Return a range of at most ``most`` values; None if two random ends make none."""
    low, high = sorted((_number(rng, limits, default), _number(rng, limits, default)))
    form = rng.choice(("linear", "log", "pow2"))
    if low == high or (low <= 0 and form != "linear"):
        return None
    if form != "pow2":
        return {form: [low, high], "n": most}
    if not limits.whole or low * 2 ** (most - 1) > limits.high:
        return None
    return {form: [low, low * 2 ** (most - 1)]}


def _accept(rng: random.Random, axes: Document) -> None:
    """Accept some drafts at one acceptance at least; a sweep without any is refused."""
    drafted, accepted = (_listed(axes.get(name, 0)) for name in ("draft_len", "acceptance"))
    if any(drafted) and not any(accepted):
        axes["acceptance"] = [*accepted[:-1], round(rng.uniform(0.1, 1.0), 3)]


def _listed(given: object) -> list[object]:
    """Return the values of an axis as a list; a range, whose ends differ, is one of them."""
    return given if isinstance(given, list) else [given]


# ------------------------------------------------------------------------------------ what-ifs


def _what_if_key(rng: random.Random) -> str:
    record = rng.choice(list(LIMITS))
    return f"{record}.{rng.choice(list(LIMITS[record]))}"


def _what_if_values(rng: random.Random, key: str, count: int) -> tuple[object, int]:
    """Return factors on a field, or values that entries of the catalogue have; and their number.

    They are ``count``, or as many as the entries have.
    """
    record, field = key.split(".")
    if rng.random() < 0.5:
        scales = rng.sample(SCALES, count)
        return {"scale": scales}, count
    limits = LIMITS[record][field]
    device = loader.load_device("h100-sxm")
    arguments = (device,) if record == "engine" else ()
    pool = {
        getattr(loader.load(record, name).record(*arguments), field)
        for name in rng.sample(loader.names(record), min(8, len(loader.names(record))))
    }
    if rng.random() < 0.2:
        pool |= {limits.low, limits.high}
    values = rng.sample(sorted(pool), min(count, len(pool)))
    return [int(value) if limits.whole else value for value in values], len(values)


# -------------------------------------------------------------------------- output and conditions


def _output(rng: random.Random, rows: int) -> Document:
    """Return [output], of which each key is left out at times."""
    dtype = rng.choice(sections.DTYPES)
    bits = range(sections.LEAST_BITS, sections.MANTISSA_BITS[dtype] + 1)
    some = rng.sample([column.name for column in COLUMNS], rng.randint(1, 12))
    rounded = {name: rng.choice(bits) for name in rng.sample(sections.ROUNDED, 5)}
    given: Document = {
        "columns": rng.choice(("default", "all", some)),
        "keep_infeasible": rng.random() < 0.5,
        "dtype": dtype,
        "profile": rng.choice(list(PROFILES)),
        "compression": rng.choice(get_args(Compression)),
        "significant_bits": rng.choice((rng.choice(bits), rounded)),
        "rows_per_shard": max(1, rows // rng.randint(1, 12)),
    }
    kept = {key for key in given if rng.random() < 0.6}
    if "significant_bits" in kept:
        kept.add("dtype")  # which bounds them
    return {key: value for key, value in given.items() if key in kept}


def _conditions(rng: random.Random, spec: Document, count: int) -> Iterable[Document]:
    """Yield conditions that some values of the axes meet, at limits that rows just reach."""
    output = {**spec.get("output", {}), "columns": "all"}
    space = Space.from_dict({**spec, "output": output})
    rows = evaluate_rows(space, schema(space, {}), 0, space.outer_points)
    keys = {what_if.column_name: what_if.key for what_if in space.spec.what_ifs}
    taken: set[str] = set()
    for _ in range(count):
        if rng.random() < 0.5 and rows.num_rows:
            column = rng.choice(METRICS)
            found = rows[column.name].to_pylist()
            if column.kind == "code":
                labels = sorted(set(rng.sample(found, min(2, len(found)))))
                yield {"metric": column.name, "in": labels}
                continue
            finite = [value for value in found if abs(value) < 1e300]
            if finite:
                yield {"metric": column.name, **_bounds(rng, finite)}
            continue
        axis = rng.choice([axis for axis in space.axes if axis.name not in taken])
        if space.chooses_devices and axis.name in DEGREES:
            continue  # their values are not known before
        group = next((names for names in space.spec.zips if axis.name in names), (axis.name,))
        taken.update(group)
        values = list(dict.fromkeys(axis.values))
        name = rng.choice((axis.name, keys.get(axis.name, axis.name)))
        if axis.kind == "categorical" or rng.random() < 0.4:
            yield {"axis": name, "in": rng.sample(values, rng.randint(1, len(values)))}
        else:
            yield {"axis": name, **_bounds(rng, values)}


def _bounds(rng: random.Random, values: list[Any]) -> Document:
    low, high = sorted((rng.choice(values), rng.choice(values)))
    return rng.choice(({"min": low}, {"max": high}, {"min": low, "max": high}))
