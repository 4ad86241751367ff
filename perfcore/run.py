"""A run: a directory of Parquet shards and a manifest that says what they are."""

import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.dataset as ds
from pydantic import TypeAdapter, ValidationError

from perfcore.catalog import catalog_hash
from perfcore.catalog.engine_entry import EngineEntry
from perfcore.columns import Column
from perfcore.dataset import Dataset, Rows
from perfcore.engine import Count, Progress, ShardWorker, evaluate_rows, run_shards
from perfcore.errors import InputError, OutputError
from perfcore.sinks.parquet import ParquetShard, schema, writer_options
from perfcore.space import Space

MANIFEST = "manifest.json"
LONG_AXIS = 1000  # values; more are not repeated in every data file, but in the manifest


@dataclass(frozen=True, repr=False)
class Run(Dataset):
    """A finished or interrupted sweep on disk: a data set that is read when it is asked."""

    path: Path
    manifest: dict[str, object]

    @property
    def data(self) -> Path:
        """Directory that holds nothing but Parquet."""
        return self.path / "data"

    @property
    def rows(self) -> int:
        """Rows written."""
        rows = self.manifest["rows"]
        if not isinstance(rows, int):
            raise InputError(f"{self.path / MANIFEST}: rows is {rows!r}; run the sweep again")
        return rows

    def dataset(self) -> ds.Dataset:
        """The rows as an Arrow data set, read lazily."""
        return ds.dataset(self.data, format="parquet")

    @property
    def name(self) -> str:
        """What the sweep is called."""
        return str(self.manifest.get("name", self.path.name))

    @property
    def schema(self) -> pa.Schema:
        """Names and types."""
        return self.dataset().schema

    @property
    def num_rows(self) -> int:
        """How many rows the files hold."""
        return int(self.dataset().count_rows())

    @property
    def evaluated(self) -> int | None:
        """Configurations of the whole sweep."""
        evaluated = self.manifest.get("evaluated")
        return evaluated if isinstance(evaluated, int) else None

    @property
    def dropped(self) -> Mapping[str, int] | None:
        """Configurations that were left out, by reason."""
        dropped = self.manifest.get("dropped")
        return dropped if isinstance(dropped, dict) else None

    def to_arrow(self, columns: Iterable[str] | None = None) -> pa.Table:
        """Return all rows in memory, or some columns of them."""
        return self.dataset().to_table(columns=self._known(columns))

    def head(self, rows: int = 5) -> Rows:
        """Return the first rows."""
        return Rows(self.dataset().head(rows), self.name)

    def register(self, connection: Any, view: str) -> None:  # noqa: ANN401 - DuckDB's
        """Make the rows a view of a DuckDB connection, which reads the files itself."""
        files = sorted(self.dataset().files)
        if not files:
            raise InputError(f"{self.data}: has no Parquet files; run the sweep again")
        listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
        connection.execute(f'CREATE TEMP VIEW "{view}" AS FROM read_parquet([{listed}])')


def facts(space: Space) -> dict[str, object]:
    """What a file says about itself: specification, entries with sources, version.

    ``bases`` are what the engines stand on.
    """
    entries = {
        axis.name: {
            str(label): entry.model_dump(mode="json", exclude_defaults=True)
            for label, entry in zip(axis.values, axis.entries, strict=True)
        }
        for axis in space.axes
        if axis.entries
    }
    return {
        "version": version("perfcore"),
        "spec": _shortened(space.spec.to_dict()),
        "fingerprint": fingerprint(space),
        "catalog_hash": catalog_hash(),
        "entries": entries,
        "bases": {
            base.name: base.model_dump(mode="json", exclude_defaults=True)
            for entry in space.spec.axis("engine").entries
            if isinstance(entry, EngineEntry)
            for base in entry.bases
        },
    }


def _shortened(spec: dict[str, object]) -> dict[str, object]:
    """The specification with long axes as count, first and last: every shard carries it."""
    axes = spec["axes"]
    if not isinstance(axes, dict):
        return spec
    short = {
        name: values
        if len(values) <= LONG_AXIS
        else {"count": len(values), "first": values[0], "last": values[-1]}
        for name, values in axes.items()
    }
    return {**spec, "axes": short}


def fingerprint(space: Space) -> str:
    """Hash of all that decides a run's bytes: specification, facts, and perfcore's version."""
    return f"{space.spec.fingerprint()[:32]}-{version('perfcore')}"


def shard_path(data: Path, shard: int) -> Path:
    """Name of a shard's file."""
    return data / f"part-{shard:05d}.parquet"


def sweep(
    space: Space,
    path: str | Path,
    workers: int | None = None,
    show: Callable[[Progress], "ProgressDisplay"] | None = None,
) -> Run:
    """Evaluate ``space`` into ``path``; a run that was interrupted goes on.

    Parameters
    ----------
    path
        Directory, made if it is missing. Shards of the same specification are kept.
    workers
        Threads; all processors by default. They change no byte of the result.
    show
        Makes a context manager that displays the progress.

    Raises
    ------
    InputError
        If ``path`` holds a run of another specification.
    OutputError
        If something cannot be written.
    """
    root = Path(path)
    data = root / "data"
    shards_done = _open(root, data, space)
    todo = [shard for shard in range(space.shards) if shard not in shards_done]
    progress = Progress(
        shards=space.shards,
        points=space.rows,
        done_shards=len(shards_done),
        done_points=sum(
            (end - start) * space.inner_points
            for start, end in (space.shard_range(shard) for shard in shards_done)
        ),
    )
    arrow_schema = schema(space, facts(space))
    options = writer_options(arrow_schema, space.spec.output)

    def open_shard(shard: int) -> ParquetShard:
        return ParquetShard(shard_path(data, shard), arrow_schema, options)

    worker: ShardWorker | None = None
    try:
        with show(progress) if show else ProgressDisplay():
            if todo:
                worker = ShardWorker(space, arrow_schema, open_shard, progress)
                run_shards(worker, todo, workers or os.cpu_count() or 1)
    finally:
        if worker:
            shards_done.update(worker.done)
        manifest = _manifest(space, shards_done, progress)
        _write_json(root / MANIFEST, manifest)
    return Run(root, manifest)


class ProgressDisplay:
    """What shows a run's progress: a context manager. The base shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""


def open_run(path: str | Path) -> Run:
    """Open a run by its directory."""
    root = Path(path)
    try:
        manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{root}: no {MANIFEST} here; name a directory that `run` wrote") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{root / MANIFEST}: cannot be read ({error}); run again") from error
    return Run(root, manifest)


def preview(space: Space, points: int) -> pa.Table:
    """The rows of the first outer points, in memory."""
    return evaluate_rows(space, schema(space, facts(space)), 0, min(points, space.outer_points))


def _open(root: Path, data: Path, space: Space) -> dict[int, Count]:
    """Make or check the run's directory; return the shards that are complete."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        probe = data / f".write-test-{os.getpid()}"
        probe.touch()
        probe.unlink()
        for partial in data.glob(".*.partial"):
            partial.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{root}: cannot be written ({reason}); choose another -o") from error
    if not (root / MANIFEST).exists():
        strangers = [entry.name for entry in data.iterdir()]
        if strangers:
            raise InputError(
                f"{root}: has data but no {MANIFEST} ({strangers[0]} …); choose another -o or "
                "empty it"
            )
        _write_json(root / MANIFEST, _manifest(space, {}, Progress(space.shards, space.rows)))
    known = open_run(root).manifest
    if known.get("fingerprint") != fingerprint(space):
        raise InputError(
            f"{root}: holds a run of another specification ({known.get('name')!r}, "
            f"{known.get('fingerprint')}); choose another -o or delete it"
        )
    return _complete_shards(root, data, known.get("shards"))


def _complete_shards(root: Path, data: Path, listed: object) -> dict[int, Count]:
    """Shards that the manifest lists and that are on disk."""
    try:
        counts = TypeAdapter(dict[int, Count]).validate_python(listed)
    except ValidationError as error:
        raise InputError(
            f"{root / MANIFEST}: its list of shards is damaged ({error.error_count()} faults); "
            "delete it and the data, and run again"
        ) from error
    return {shard: count for shard, count in counts.items() if shard_path(data, shard).exists()}


def _manifest(space: Space, shards: dict[int, Count], progress: Progress) -> dict[str, object]:
    dropped: dict[str, int] = {}
    for _, count in sorted(shards.items()):
        for reason, rows in count.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + rows
    columns: tuple[Column, ...] = space.columns
    return {
        "name": space.spec.name,
        "fingerprint": fingerprint(space),
        "complete": len(shards) == space.shards,
        "rows": sum(count.rows for count in shards.values()),
        "evaluated": space.rows,
        "dropped": dropped,
        "wall_s": round(progress.seconds, 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": {
            "perfcore": version("perfcore"),
            "numba": version("numba"),
            "numpy": version("numpy"),
            "pyarrow": version("pyarrow"),
            "python": platform.python_version(),
        },
        "catalog_hash": catalog_hash(),
        "columns": [axis.name for axis in (*space.outer_axes, *space.inner_axes)]
        + [column.name for column in columns],
        "shards": {
            str(shard): {"rows": count.rows, "dropped": count.dropped}
            for shard, count in sorted(shards.items())
        },
        "spec": space.spec.to_dict(),
    }


def _write_json(path: Path, document: dict[str, object]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path}: cannot be written ({reason}); free space") from error
