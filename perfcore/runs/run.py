"""Runs: Parquet shards and a manifest, in a directory or a bucket."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from perfcore.errors import InputError, PerfcoreError
from perfcore.output import DATA, MANIFEST
from perfcore.runs import manifest as manifests
from perfcore.runs.dataset import Dataset, Rows
from perfcore.runs.facts import read_facts
from perfcore.runs.kernels import kernel_of_run
from perfcore.runs.manifest import Document
from perfcore.runs.parquet import schema
from perfcore.runs.shards import ProgressDisplay, facts, part_of, worker_for
from perfcore.runs.store import Store, open_store
from perfcore.runs.tasks import sweep_on
from perfcore.runs.workers import Progress, Receipt, evaluate_rows, run_shards
from perfcore.space.space import Space


@dataclass(frozen=True, repr=False)
class Run(Dataset):
    """Finished or interrupted sweep on disk, read lazily."""

    store: Store
    manifest: Document

    @property
    def location(self) -> str:
        """Directory of the run, or its address in an object store."""
        return self.store.location

    @property
    def path(self) -> Path:
        """Directory of the run; ``InputError`` if it is in an object store."""
        return self.store.directory

    @property
    def data(self) -> Path:
        """Directory of the data, which holds only Parquet files."""
        return self.path / DATA

    @property
    def rows(self) -> int:
        """Number of rows written, from the manifest."""
        return self._whole("rows")

    @property
    def bytes(self) -> int:
        """Size of the data in bytes, from the manifest."""
        return self._whole("bytes")

    def _whole(self, key: str) -> int:
        number = self.manifest.get(key)
        if not isinstance(number, int):
            raise InputError(
                f"{self.location}/{MANIFEST}: {key} is {number!r}; run the sweep again"
            )
        return number

    def missing(self, part: tuple[int, int] = (1, 1)) -> tuple[int, ...]:
        """Return the shards of a part that are missing or truncated, in order."""
        _, shards = manifests.read_whole(self.store)
        there = manifests.present(self.store, self.manifest)
        return tuple(shard for shard in part_of(len(shards), part) if shard not in there)

    def dataset(self) -> ds.Dataset:
        """Return the rows as an Arrow data set, read lazily.

        Raises
        ------
        InputError
            A file cannot be read, or what it says about its run is damaged.
        """
        found = self.store.dataset()
        if found.files:
            read_facts(self.location, found.schema, self.manifest)
        return found

    @property
    def name(self) -> str:
        """Name of the sweep."""
        return str(self.manifest.get("name", self.location))

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        with self._reading():
            return self.dataset().schema

    @property
    def num_rows(self) -> int:
        """Number of rows in the files."""
        with self._reading():
            return int(self.dataset().count_rows())

    @property
    def evaluated(self) -> int | None:
        """Number of configurations in the whole sweep; None if unknown."""
        evaluated = self.manifest.get("evaluated")
        return evaluated if isinstance(evaluated, int) else None

    @property
    def dropped(self) -> Mapping[str, int] | None:
        """Number of configurations left out, by reason; None if unknown."""
        dropped = self.manifest.get("dropped")
        return dropped if isinstance(dropped, dict) else None

    def to_arrow(self, columns: Iterable[str] | None = None) -> pa.Table:
        """Return all rows in memory, with all columns or only ``columns``."""
        names = self._known(columns)
        with self._reading():
            return self.dataset().to_table(columns=names)

    def head(self, rows: int = 5) -> Rows:
        """Return the first rows."""
        with self._reading():
            return Rows(self.dataset().head(rows), self.name)

    def register(self, connection: Any, view: str) -> None:  # noqa: ANN401 - DuckDB's
        """Register the rows as a view of a DuckDB connection, which reads the files itself."""
        dataset = self.dataset()
        if not dataset.files:
            raise InputError(f"{self.location}: has no Parquet files; run the sweep again")
        if self.store.remote or self.duckdb_source is None:
            connection.register(view, dataset)
            return
        listed = ", ".join(map(_literal, dataset.files))
        rows = f"read_parquet([{listed}], hive_partitioning = false)"
        connection.execute(f'CREATE TEMP VIEW "{view}" AS FROM {rows}')

    @property
    def duckdb_source(self) -> str | None:
        """Source of the rows in DuckDB's SQL, e.g. ``'results/data/part-*.parquet'``.

        None if the path has a backslash, which DuckDB takes for a slash.
        """
        folder = self.location if self.store.remote else str(self.path)
        if folder.startswith("~"):  # DuckDB expands ./~, too
            folder = str(self.path.absolute())
        if "\\" in folder and os.sep != "\\":
            return None
        files = f"{_literal(f'{folder}/{DATA}/')[:-1]}part-*.parquet'"
        return f"read_parquet({files}, hive_partitioning = false)" if "=" in folder else files

    def _reading(self) -> AbstractContextManager[None]:
        """Convert errors of reading the data into ``InputError``."""
        return self.store.reading(DATA)


def _literal(path: str) -> str:
    """Return a path as a string of DuckDB's SQL in which no character is a pattern."""
    return "'" + re.sub(r"[\[*?]", r"[\g<0>]", path).replace("'", "''") + "'"


def sweep(
    space: Space,
    path: str | Path,
    workers: int | None = None,
    show: Callable[[Progress], "ProgressDisplay"] | None = None,
    *,
    part: tuple[int, int] = (1, 1),
    executor: Executor | None = None,
    kernel: str = "auto",
) -> Run:
    """Evaluate ``space`` into ``path``, or resume a run that was interrupted.

    Existing shards of the same run are kept if their bytes are unchanged; the others are computed.

    Parameters
    ----------
    path
        Directory, created if missing, or an address like ``s3://bucket/run``.
    workers
        Threads; all processors by default. Their number does not affect the result.
    show
        Function that returns a context manager to display the progress.
    part
        Part ``i`` of ``n`` of the shards, so that several machines can share a run.
    executor
        Executor that replaces the threads of this process, e.g. of a Dask client. Its workers must
        have access to ``path``.
    kernel
        Columns that the kernel computes, as in ``kernel_for``. The rows do not depend on them.

    Raises
    ------
    InputError
        ``path`` holds a run of another specification, or data without a manifest.
    OutputError
        A file cannot be written.
    """
    shards = part_of(space.shards, part)
    store = open_store(path)
    head = manifests.header(space)
    known = manifests.begin(store, head)
    threads = workers or os.cpu_count() or 1
    computed = kernel_of_run(space, threads, kernel, elsewhere=executor is not None).computed
    progress = Progress(shards=len(shards), points=_points(space, shards))
    done: dict[int, Receipt] = {}
    try:
        with show(progress) if show else ProgressDisplay():
            if executor is None:
                worker = worker_for(space, store, known, progress, computed)
                done = worker.done
                run_shards(worker, shards, threads)
            else:
                sweep_on(executor, space, store, shards, done, progress, computed)
    except BaseException:
        # complete shards have receipts already; an error here must not hide the first one
        with suppress(PerfcoreError):
            manifests.settle(store, head, done, progress.seconds)
        raise
    return Run(store, manifests.settle(store, head, done, progress.seconds))


def _points(space: Space, shards: Iterable[int]) -> int:
    """Return the rows of some shards, including infeasible ones."""
    ranges = map(space.shard_range, shards)
    return sum(stop - start for start, stop in ranges) * space.inner_points


def open_run(path: str | Path) -> Run:
    """Open a run by its directory or its address in an object store."""
    store = open_store(path)
    return Run(store, manifests.read_manifest(store))


def preview(space: Space, points: int) -> pa.Table:
    """Return the rows of the first outer points, in memory."""
    return evaluate_rows(space, schema(space, facts(space)), 0, min(points, space.outer_points))
