"""Comparison of all ways in which perfcore computes the same rows, on random sweeps.

``python tests/fuzz/differential.py 0 2000`` checks the sweeps of seeds 0 to 1999,
``differential.py 7`` only that of seed 7, and ``differential.py sweep.toml`` that of a file. The
report of a failure has the sweep as a file: save it, remove what the failure does not need, and
check it again.

Rows are compared bit for bit. What the rows are compared with shares as little as possible with
perfcore: conditions are SQL, fronts are found by comparing every row with every other, and rounding
is arithmetic on whole numbers.
"""

import hashlib
import random
import sys
import tempfile
import tomllib
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))
import specs

import perfcore
from perfcore.catalog import loader
from perfcore.columns import BY_NAME, METRICS
from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError
from perfcore.runs import manifest
from perfcore.runs import workers as runs_workers
from perfcore.runs.dataset import Rows
from perfcore.runs.parquet import Buffers
from perfcore.searching import workers as searching_workers
from perfcore.space import space as spaces
from perfcore.space.sections import MANTISSA_BITS, Where
from perfcore.space.space import Space

Column = npt.NDArray[Any]
SINGLE_ROWS: Final = 3  # of a sweep, evaluated by interpreted formulas


@dataclass(frozen=True)
class Case:
    """A sweep, and a folder for its runs."""

    spec: specs.Document
    folder: Path

    @cached_property
    def rng(self) -> random.Random:
        """Choices of a check, the same whenever the sweep is checked."""
        return random.Random(specs.toml(self.spec))  # noqa: S311 - not for security

    @cached_property
    def file(self) -> Path:
        """The sweep file."""
        path = self.folder / "sweep.toml"
        path.write_text(specs.toml(self.spec), encoding="utf-8")
        return path

    @cached_property
    def space(self) -> Space:
        """The sweep as it is written."""
        return Space.from_toml(self.file)

    @cached_property
    def unconditioned(self) -> Space:
        """The sweep with all columns and rows. A sample's conditions on axes stay: they choose it.

        Conditions are queries of these rows.
        """
        spec = self.space.spec
        names = {axis.name for axis in spec.axes}
        where = [one for one in spec.where if spec.sample and one.column in names]
        every = tuple(column.name for column in METRICS)
        output = spec.output.model_copy(update={"columns": every, "keep_infeasible": True})
        return Space(replace(spec, where=tuple(where), output=output))

    @cached_property
    def every_row(self) -> pa.Table:
        """Rows of the sweep without conditions, evaluated in memory, with all columns."""
        return perfcore.sweep(self.unconditioned).to_arrow()

    @cached_property
    def exact(self) -> pa.Table:
        """``every_row`` in float64, without rounding."""
        spec = self.unconditioned.spec
        output = {"dtype": "float64", "significant_bits": {"default": MANTISSA_BITS["float64"]}}
        output = spec.output.model_copy(update=output)
        return perfcore.sweep(Space(replace(spec, output=output))).to_arrow()

    def asked(self, *, keep_infeasible: bool) -> pa.Table:
        """Return the rows that meet the conditions, found by SQL."""
        conditions = list(self.space.spec.where)
        if not keep_infeasible:
            conditions.append(Where("status", allowed=("ok",)))
        return self.every_row.take(np.flatnonzero(meeting(self.every_row, conditions)))

    @cached_property
    def rows(self) -> pa.Table:
        """Expected rows of the sweep, with its columns."""
        found = self.asked(keep_infeasible=self.space.spec.output.keep_infeasible)
        return found.select(self.memory.columns)

    @cached_property
    def memory(self) -> Rows:
        """The sweep in memory."""
        return perfcore.sweep(self.space)

    @cached_property
    def runnable(self) -> pa.Table:
        """Expected rows among which searches find the best, with all columns."""
        return self.asked(keep_infeasible=False)

    @cached_property
    def run(self) -> perfcore.Run:
        """The sweep on disk, computed by one thread."""
        return perfcore.sweep(self.space, self.folder / "run", 1)

    def grouped(self) -> list[str]:
        """Return up to two axes to group by."""
        chosen = ("tp", "pp") if self.space.chooses_devices else ()
        names = [axis.name for axis in self.space.axes if axis.name not in chosen]
        varying = [axis.name for axis in self.space.axes if len(axis) > 1 and axis.name in names]
        pool = varying if varying and self.rng.random() < 0.8 else names
        return self.rng.sample(pool, min(self.rng.randint(0, 2), len(pool)))

    def metric(self) -> str:
        """Return a column that is a number."""
        return self.rng.choice([column.name for column in METRICS if column.kind != "code"])

    def searched(self) -> dict[str, Any]:
        """Return the sweep as arguments of a search, with some conditions as text."""
        spec = self.space.spec
        texts = [(one, list(_texts(one))) for one in spec.where]
        moved = [one for one, text in texts if text and self.rng.random() < 0.7]
        kept = tuple(one for one in spec.where if one not in moved)
        where = [line for one, text in texts if one in moved for line in text]
        return {"spec": Space(replace(spec, where=kept)), "where": where}

    @contextmanager
    def workers(self) -> Iterator[dict[str, Any]]:
        """Yield the arguments of a search for 1 to 3 threads, or for an executor."""
        with (
            ThreadPoolExecutor(2) as executor,
            patch.object(searching_workers, "BLOCK", self.rng.choice((128, 1_024, 1 << 14))),
        ):
            yield self.rng.choice(({"executor": executor}, *({"workers": n} for n in (1, 2, 3))))


def _texts(where: Where) -> Iterator[str]:
    """Yield a condition as the texts of a search; nothing if it lists several values."""
    if where.minimum is not None:
        yield f"{where.column}>={where.minimum!r}"
    if where.maximum is not None:
        yield f"{where.column}<={where.maximum!r}"
    if len(where.allowed) == 1:
        yield f"{where.column}={where.allowed[0]}"


# --------------------------------------------------------------------------- what is independent


def meeting(rows: pa.Table, conditions: Iterable[Where]) -> Column:
    """Return whether each row meets the conditions, asked in SQL."""
    texts, values = ["true"], []
    for where in conditions:
        name = f'"{where.column}"'
        for sign, bound in ((">=", where.minimum), ("<=", where.maximum)):
            if bound is not None:  # in SQL, NaN is the largest number
                texts.append(f"{name}::DOUBLE {sign} ?::DOUBLE AND NOT isnan({name}::DOUBLE)")
                values.append(bound)
        if where.allowed:
            texts.append(f"{name} IN ({', '.join('?' * len(where.allowed))})")
            values += where.allowed
    with duckdb.connect(config={"threads": 1}) as connection:
        places = pa.array(np.arange(rows.num_rows))
        connection.register("rows", rows.append_column("place", places))
        query = f"SELECT place FROM rows WHERE {' AND '.join(texts)}"  # noqa: S608
        met = connection.execute(query, values).fetchnumpy()["place"]
    return np.isin(places, met)


def is_undominated(values: Column) -> Column:
    """Return whether no other row is as good in all columns, or is equal and earlier.

    Values are (rows, objectives), smaller is better; a row with NaN is dominated.
    """
    found = np.zeros(len(values), bool)
    candidates = np.flatnonzero(~np.isnan(values).any(axis=1))
    distinct, first = np.unique(values[candidates] + 0.0, axis=0, return_index=True)
    columns = np.ascontiguousarray(distinct.T)
    for place, row in enumerate(distinct):
        # distinct rows are sorted, so that only earlier ones can be as good in all columns
        as_good = [column[:place] <= value for column, value in zip(columns, row, strict=True)]
        found[candidates[first[place]]] = not np.logical_and.reduce(as_good).any()
    return found


def rounded(values: Column, bits: int) -> Column:
    """Return numbers with mantissas of some bits: nearest, ties away from zero."""
    mantissas, exponents = np.frexp(np.abs(values).astype(np.float64))
    scaled = np.ldexp(mantissas, bits)
    whole = np.floor(scaled)
    whole += scaled - whole >= 0.5
    return np.copysign(np.ldexp(whole, exponents - bits), values).astype(values.dtype)


def numbers(table: pa.Table, name: str) -> Column:
    """Return a column as an array; text as objects."""
    column = table[name].combine_chunks()
    if not pa.types.is_floating(column.type) and not pa.types.is_integer(column.type):
        return np.array(column.cast(pa.string()).to_pylist(), object)
    return column.to_numpy(zero_copy_only=False)


def bits(values: Column) -> Column:
    """Return real numbers as their bits, in which NaN equals itself and -0.0 is not 0.0."""
    whole = {"float32": np.int32, "float64": np.int64}.get(values.dtype.name)
    return values if whole is None else values.view(whole)


def assert_same(found: pa.Table, expected: pa.Table, label: str) -> None:
    """Check that two tables have the same columns and rows in the same order, bit for bit."""
    assert found.column_names == expected.column_names, label
    assert found.num_rows == expected.num_rows, (label, found.num_rows, expected.num_rows)
    for name in expected.column_names:
        one, other = numbers(found, name), numbers(expected, name)
        assert one.dtype == other.dtype, (label, name, one.dtype, other.dtype)
        wrong = np.flatnonzero(bits(one) != bits(other))
        where = wrong[:3]
        assert not wrong.size, (label, name, f"{wrong.size} rows", where, one[where], other[where])


def group_of(case: Case, rows: pa.Table, by: Sequence[str]) -> Column:
    """Return the number of each row's group: in the order of the axes and of their values."""
    found = np.zeros(rows.num_rows, np.int64)
    for name in [name for name in rows.column_names if name in by]:
        values = list(dict.fromkeys(case.space.spec.axis(name).values))
        places = [values.index(value) for value in rows[name].to_pylist()]
        found = found * len(values) + np.array(places, np.int64)
    return found


# -------------------------------------------------------------------------------- what must agree


def file_equals_mapping(case: Case) -> None:
    """A sweep file and a mapping are the same sweep."""
    assert case.space.spec.to_dict() == Space.from_dict(case.spec).spec.to_dict()


def memory_equals_query(case: Case) -> None:
    """A sweep has the rows that SQL selects from those of the sweep without conditions."""
    assert_same(case.memory.to_arrow(), case.rows, "memory")


def run_equals_memory(case: Case) -> None:
    """The files of a run have the same rows for every reader."""
    files = sorted(case.run.data.iterdir())
    assert_same(case.run.to_arrow(), case.rows, "Run.to_arrow")
    assert_same(pa.concat_tables(map(pq.read_table, files)), case.rows, "pyarrow")
    assert_same(case.run.sql("FROM run").to_arrow(), case.rows, "DuckDB")
    assert_same(pl.read_parquet(files).to_arrow(), case.rows, "Polars")


def counts_add_up(case: Case) -> None:
    """A run states how many rows it has and how many it left out, by reason."""
    spec = case.space.spec
    axes = {axis.name for axis in spec.axes}
    rows = case.every_row
    rows = rows.filter(meeting(rows, [where for where in spec.where if where.column in axes]))
    status = numbers(rows, "status")
    left_out = {} if spec.output.keep_infeasible else dict.fromkeys(status[status != "ok"], 0)
    for reason in left_out:
        left_out[reason] = int((status == reason).sum())
    excluded = rows.num_rows - sum(left_out.values()) - case.rows.num_rows
    if excluded:
        left_out[runs_workers.UNMET] = excluded
    for found in (case.run, case.memory):
        assert (found.num_rows, found.evaluated) == (case.rows.num_rows, rows.num_rows)
        assert found.dropped == left_out, (found.dropped, left_out)
    assert case.run.rows == case.rows.num_rows
    assert case.run.manifest["complete"] is True


def bytes_are_the_same(case: Case) -> None:
    """Threads, an executor and parts write the same files; two of these ways are tried."""
    expected = _hashes(case.run)
    assert len(expected) == case.space.shards
    ways = {"2 threads": _on_threads(2), "3 threads": _on_threads(3)}
    ways |= {"executor": _on_an_executor, "parts": _in_parts}
    for name in case.rng.sample(list(ways), 2):
        run = ways[name](case, case.folder / name)
        assert _hashes(run) == expected, name
        for key in ("complete", "rows", "bytes", "dropped", "shards"):
            assert run.manifest[key] == case.run.manifest[key], (name, key)


def _hashes(run: perfcore.Run) -> dict[str, str]:
    """Return the hash of each file of a run."""
    paths = sorted(run.data.iterdir())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _on_threads(threads: int) -> Callable[[Case, Path], perfcore.Run]:
    return lambda case, folder: perfcore.sweep(case.space, folder, threads)


def _on_an_executor(case: Case, folder: Path) -> perfcore.Run:
    with ThreadPoolExecutor(2) as executor:
        return perfcore.sweep(case.space, folder, executor=executor)


def _in_parts(case: Case, folder: Path) -> perfcore.Run:
    """Return a run computed by 2 to 4 parts in random order."""
    parts = case.rng.randint(2, 4)
    for number in case.rng.sample(range(1, parts + 1), parts):
        run = perfcore.sweep(case.space, folder, 1, part=(number, parts))
    manifest.finalize(run.store)
    return perfcore.open_run(folder)


def blocks_change_no_row(case: Case) -> None:
    """Rows do not depend on the sizes of buffers, shards and inner points."""
    small = partial(Buffers, capacity=case.rng.choice((128, 256, 4_096)))
    with (
        patch.object(runs_workers, "Buffers", small),
        patch.object(spaces, "LARGEST_INNER", case.rng.choice((1, 10, 100))),
    ):
        assert_same(perfcore.sweep(Space(case.space.spec)).to_arrow(), case.rows, "small blocks")
    fewer = f"output.rows_per_shard={-(-case.space.rows // case.rng.randint(1, 9))}"
    run = perfcore.sweep(case.file, case.folder / "shards", 2, overrides=[fewer])
    assert_same(run.to_arrow(), case.rows, fewer)


def formats_round(case: Case) -> None:
    """Columns are those of the same sweep in float64, rounded to the dtype and its bits."""
    exact = case.exact
    output = case.space.spec.output
    for column in METRICS:
        name = column.name
        expected = numbers(exact, name)
        if column.kind == "metric":
            wanted = MANTISSA_BITS[output.dtype] - output.dropped_bits(name)
            with np.errstate(over="ignore"):
                expected = rounded(expected.astype(output.dtype), wanted)
        assert (bits(numbers(case.every_row, name)) == bits(expected)).all(), name


def rows_equal_single_evaluations(case: Case) -> None:
    """The compiled loops compute what the interpreted formulas do, bit for bit."""
    exact = case.exact
    space = case.unconditioned
    entries = {
        axis.name: dict(zip(axis.values, axis.entries, strict=True))
        for axis in space.axes
        if axis.entries
    }
    for place in case.rng.sample(range(exact.num_rows), min(SINGLE_ROWS, exact.num_rows)):
        (row,) = exact.slice(place, 1).to_pylist()
        options = {
            name: entries[name][value] if name in entries else value
            for name, value in row.items()
            if name in BY_NAME and BY_NAME[name].kind == "axis"
        }
        overrides = {
            what_if.key: {"scale": row[name]} if what_if.mode == "scale" else row[name]
            for name, what_if in space.what_ifs.items()
        }
        try:
            found = _single(options, overrides)
        except InputError as error:  # one configuration is refused if its device cannot compute
            assert row["status"] == "no compute path", (options, overrides, error)
            continue
        for name in row:
            assert _is_same(found[name], row[name]), (place, name, found[name], row[name])


def _single(options: dict[str, Any], overrides: dict[str, Any]) -> dict[str, float | str]:
    """Return a row evaluated by itself.

    Sweeps whose acceptances include 0 have rows that reject all drafts. One such configuration is
    refused, so that it gets its acceptance after it was checked.
    """
    in_vain = options.get("draft_len", 0) > 0 and options.get("acceptance", 0) == 0
    if not in_vain:
        return Configuration(**options, overrides=overrides).to_dict()
    try:
        Configuration(**options, overrides=overrides)
    except InputError as error:
        assert "all drafts are rejected" in str(error), error
    else:
        raise AssertionError(("drafts in vain are admitted", options))
    found = Configuration(**{**options, "acceptance": 0.5}, overrides=overrides)
    object.__setattr__(found, "numbers", {**found.numbers, "acceptance": options["acceptance"]})
    del found.__dict__["records"]  # cached with the other acceptance
    return found.to_dict()


def _is_same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return np.float64(one).tobytes() == np.float64(other).tobytes()
    return one == other


def search_equals_sorted_rows(case: Case) -> None:
    """The best rows of a search are those of the sorted table; of equal rows, the first."""
    name, by, top = case.metric(), case.grouped(), case.rng.choice((1, 3, 50))
    sense = case.rng.choice(("minimize", "maximize"))
    with case.workers() as workers:
        found = perfcore.search(**case.searched(), **{sense: name}, by=by, top=top, **workers)
    rows = case.runnable
    values = numbers(rows, name) * (-1 if sense == "maximize" else 1)
    groups = group_of(case, rows, by)
    order = np.lexsort((values, groups))
    order = order[~np.isnan(values[order].astype(float))]
    _, first, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    ranks = np.arange(len(order)) - np.repeat(first, sizes)
    expected = rows.take(order[ranks < top])
    assert_same(found.to_arrow(), expected, f"{sense} {name}, top {top}, by {by}, {workers}")


def front_equals_brute_force(case: Case) -> None:
    """A Pareto front has the rows that no other row dominates."""
    columns = [column.name for column in METRICS if column.kind != "code"]
    names = case.rng.sample(columns, case.rng.choice((2, 3)))
    senses = [case.rng.choice(("", ":min", ":max")) for _ in names]
    by = case.grouped()
    objectives = [name + sense for name, sense in zip(names, senses, strict=True)]
    with case.workers() as workers:
        found = perfcore.pareto(**case.searched(), objectives=objectives, by=by, **workers)
    rows = case.runnable
    signs = np.array([-1.0 if sense == ":max" else 1.0 for sense in senses])
    values = np.array([numbers(rows, name) for name in names], np.float64).T * signs
    groups = group_of(case, rows, by)
    kept = np.zeros(rows.num_rows, bool)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        kept[members] = is_undominated(values[members])
    order = np.lexsort((*values.T[::-1], groups))
    expected = rows.take(order[kept[order]])
    assert_same(found.to_arrow(), expected, f"front {objectives}, by {by}, {workers}")


def histogram_equals_counts(case: Case) -> None:
    """Every row is in the one bin that encloses it, and bins have equal ratios."""
    name, by, per_decade = case.metric(), case.grouped(), case.rng.choice((1, 3, 10))
    with case.workers() as workers:
        found = perfcore.histogram(
            **case.searched(), metric=name, by=by, per_decade=per_decade, **workers
        ).to_pylist()
    rows = case.runnable
    values = numbers(rows, name).astype(np.float64)
    groups = group_of(case, rows, by)
    of_group = {
        number: values[(groups == number) & ~np.isnan(values)] for number in np.unique(groups)
    }
    counted = dict.fromkeys(of_group, 0)
    for one in found:
        labels = pa.table({axis: [one[axis]] for axis in rows.column_names if axis in by})
        number = int(group_of(case, labels, by)[0]) if by else 0
        low = -np.inf if one["low"] is None else one["low"]
        high = np.inf if one["high"] is None else one["high"]
        inside = (low <= of_group[number]) & ((of_group[number] < high) | (one["high"] is None))
        assert one["rows"] == inside.sum() > 0, (name, one, inside.sum())
        assert one["share"] == one["rows"] / len(of_group[number])
        if np.isfinite(low) and np.isfinite(high):
            assert np.isclose(high / low, 10 ** (1 / per_decade), rtol=1e-12), (low, high)
        counted[number] += one["rows"]
    assert counted == {number: len(inside) for number, inside in of_group.items()}, name


CHECKS: Final[tuple[Callable[[Case], None], ...]] = (
    file_equals_mapping,
    memory_equals_query,
    run_equals_memory,
    counts_add_up,
    bytes_are_the_same,
    blocks_change_no_row,
    formats_round,
    rows_equal_single_evaluations,
    search_equals_sorted_rows,
    front_equals_brute_force,
    histogram_equals_counts,
)


def failures(spec: specs.Document) -> list[str]:
    """Return what disagrees about a sweep: each failed check with its traceback."""
    found = []
    with (
        tempfile.TemporaryDirectory(prefix="perfcore-fuzz-") as folder,
        # the catalogue does not change meanwhile, and reading it takes a third of the time
        patch.object(loader, "_index", cache(loader._index)),  # noqa: SLF001
    ):
        case = Case(spec, Path(folder))
        for check in CHECKS:
            case.rng.seed(f"{check.__name__} {specs.toml(spec)}")  # each check by itself
            try:
                check(case)
            except Exception:  # noqa: BLE001 - whatever is raised is a failure
                found.append(f"{check.__name__}\n{traceback.format_exc()}")
    return found


def report(label: str, spec: specs.Document) -> str:
    """Return a report of a sweep's failures with its file; empty if there are none."""
    found = failures(spec)
    return "\n".join([f"==== {label}", specs.toml(spec), *found]) if found else ""


def main(arguments: list[str]) -> None:
    """Check the sweeps that the arguments name; print those that fail."""
    if len(arguments) == 1 and arguments[0].endswith(".toml"):
        text = Path(arguments[0]).read_text("utf-8")
        named = {arguments[0]: tomllib.loads(text)}.items()
    elif arguments and all(text.isdecimal() for text in arguments[:2]) and len(arguments) <= 2:
        first, *rest = map(int, arguments)
        seeds = range(first, rest[0] if rest else first + 1)
        named = ((f"seed {seed}", specs.random_spec(seed)) for seed in seeds)
    else:
        sys.exit("usage: differential.py FIRST_SEED [END] | differential.py SWEEP.toml")
    failed = checked = 0
    for label, spec in named:
        text = report(label, spec)
        failed += bool(text)
        checked += 1
        if text or checked % 50 == 0:
            sys.stdout.write(f"{text}\n{checked} sweeps checked, {failed} failed: {label}\n")
            sys.stdout.flush()
    sys.exit(f"{failed} of {checked} sweeps failed" if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
