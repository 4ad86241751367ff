"""Shards of a run: their worker, and the facts that each file states."""

from typing import Self

from perfcore.catalog.engine_entry import EngineEntry
from perfcore.errors import InputError, argument
from perfcore.runs import manifest as manifests
from perfcore.runs.manifest import Archive, fingerprint
from perfcore.runs.parquet import schema, writer_options
from perfcore.runs.store import Store
from perfcore.runs.workers import Progress, Receipt, ShardWorker
from perfcore.space.space import Space

LONG_AXIS = 1000  # values; longer axes are listed in the manifest only, not in every data file


def facts(space: Space) -> dict[str, object]:
    """Return the facts that a file states: specification, entries with sources, version.

    ``bases`` are the engines on which those of the space are based.
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
        "version": manifests.version("perfcore"),
        "spec": _shortened(space.spec.to_dict()),
        "fingerprint": fingerprint(space),
        "catalog_hash": manifests.catalog_hash(space),
        "entries": entries,
        "bases": {
            base.name: base.model_dump(mode="json", exclude_defaults=True)
            for entry in space.spec.axis("engine").entries
            if isinstance(entry, EngineEntry)
            for base in entry.bases
        },
    }


def _shortened(spec: dict[str, object]) -> dict[str, object]:
    """Return the specification with long axes shortened to count, first and last value."""
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


def worker_for(
    space: Space,
    store: Store,
    known: dict[int, Receipt],
    progress: Progress,
    computed: frozenset[str] | None = None,
) -> ShardWorker:
    """Return the worker that evaluates a space's shards into a store, by a kernel of columns."""
    arrow_schema = schema(space, facts(space))
    options = writer_options(arrow_schema, space.spec.output)
    archive = Archive(store, fingerprint(space), arrow_schema, options, known)
    return ShardWorker(space, arrow_schema, archive, progress, computed)


def part_of(shards: int, part: tuple[int, int]) -> range:
    """Return the shards of part ``i`` of ``n``; parts are numbered from 1.

    Raises
    ------
    InputError
        There is no such part.
    """
    number, parts = part
    if not 1 <= number <= parts:
        raise InputError(
            f"{argument('part')}: no part {number} of {parts}; "
            f"parts are 1/{parts} to {parts}/{parts}"
        )
    return range(number - 1, shards, parts)


class ProgressDisplay:
    """Display of a run's progress, as a context manager; this base shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the terminal."""
