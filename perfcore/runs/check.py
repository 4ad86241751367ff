"""Check of a run: every shard is compared with its receipt."""

import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from perfcore.errors import show
from perfcore.output import DATA, MANIFEST
from perfcore.runs.facts import fingerprint_of
from perfcore.runs.manifest import (
    Document,
    damage,
    listed,
    read_receipts,
    read_whole,
    shard_file,
    sums,
)
from perfcore.runs.store import Store, open_store
from perfcore.runs.workers import Receipt

UNREADABLE = "its footer cannot be read"


class Fault(NamedTuple):
    """Fault of a file of a run, with its shard if the file is one."""

    file: str
    problem: str
    shard: int | None = None


@dataclass(frozen=True)
class CheckResult:
    """Result of a check of a run."""

    location: str
    name: str
    shards: int
    rows: int
    bytes: int
    faults: tuple[Fault, ...]

    @property
    def rerun(self) -> tuple[int, ...]:
        """Shards to compute again, in order."""
        return tuple(fault.shard for fault in self.faults if fault.shard is not None)


def verify(location: str | Path, workers: int | None = None) -> CheckResult:
    """Check that every shard of a run exists and is unchanged.

    Of each, presence, length, checksum, footer, number of rows, columns and their types, and the
    fingerprint; of the manifest, its sums. Nothing is changed.

    Parameters
    ----------
    workers
        Threads; all processors by default.

    Raises
    ------
    InputError
        The run has no usable manifest, or a file cannot be read.
    """
    store = open_store(location)
    manifest, shards = read_whole(store)
    summed = listed(store, manifest)
    receipts = {shard: receipt for shard, receipt in summed.items() if shard in shards}
    receipts |= read_receipts(store, str(manifest["fingerprint"]), shards)
    there = store.sizes(DATA)

    def check(shard: int) -> tuple[str, pa.Schema | None]:
        if shard in receipts:
            return _check(store, manifest, shard, receipts[shard])
        return "not known to be complete", None

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        found = [shard for shard in shards if shard in receipts or shard_file(shard) in there]
        checks = dict(zip(found, pool.map(check, found), strict=True))
    types = Counter(schema for _, schema in checks.values() if schema is not None)
    usual = types.most_common(1)[0][0] if types else None
    faults = [
        Fault(
            f"{DATA}/{shard_file(shard)}",
            problem or "its columns have other types than those of the other shards",
            shard,
        )
        for shard in shards
        for problem, schema in [checks.get(shard, ("missing", None))]
        if problem or schema != usual
    ]
    ours = {shard_file(shard) for shard in shards}
    faults += [
        Fault(f"{DATA}/{name}", "no shard of this run; move it away, as readers take it for data")
        for name in sorted(there.keys() - ours)
    ]
    damaged = {fault.shard for fault in faults}
    good = {shard: receipt for shard, receipt in receipts.items() if shard not in damaged}
    if not damaged & set(shards):
        faults += _sums(manifest, summed, good)
    return CheckResult(
        store.location,
        str(manifest["name"]),
        len(shards),
        sum(receipt.rows for receipt in good.values()),
        sum(receipt.bytes for receipt in good.values()),
        tuple(faults),
    )


def _check(
    store: Store, manifest: Document, shard: int, receipt: Receipt
) -> tuple[str, pa.Schema | None]:
    """Return the fault of a shard, and the types of its columns if they can be read."""
    name = f"{DATA}/{shard_file(shard)}"
    problem = damage(store, shard, receipt)
    if problem:
        return problem, None
    try:
        with store.reading(name), store.opened(name) as file:
            footer = pq.read_metadata(file)
            schema = footer.schema.to_arrow_schema()
    except (FileNotFoundError, ValueError) as error:
        return f"{UNREADABLE} ({error})", None
    problem = _difference(footer, schema, manifest, receipt)
    return problem, None if problem else schema.remove_metadata()


def _difference(
    footer: pq.FileMetaData, schema: pa.Schema, manifest: Document, receipt: Receipt
) -> str:
    fingerprint = fingerprint_of(schema)
    if footer.num_rows != receipt.rows:
        return f"has {footer.num_rows:,} rows, {receipt.rows:,} were written"
    if schema.names != manifest.get("columns"):
        return f"its columns are not those of {MANIFEST}"
    if fingerprint != manifest.get("fingerprint"):
        return f"belongs to another run (fingerprint {fingerprint or 'missing'})"
    return ""


def _sums(
    manifest: Document, summed: dict[int, Receipt], good: dict[int, Receipt]
) -> Iterable[Fault]:
    if summed.keys() != good.keys():
        yield Fault(MANIFEST, f"lists {len(summed):,} shards, {len(good):,} are there")
        return
    if summed != good:
        yield Fault(MANIFEST, "disagrees with the receipts of its shards")
        return
    expected = sums(good, len(good))
    dropped = sum(sum(receipt.dropped.values()) for receipt in good.values())
    expected["evaluated"] = sum(receipt.rows for receipt in good.values()) + dropped
    for key, value in expected.items():
        if manifest.get(key) != value:
            yield Fault(MANIFEST, f"{key} is {show(manifest.get(key))}, of its shards {value}")


def spans(numbers: Iterable[int]) -> str:
    """Return ascending numbers as spans: ``3, 7-9``."""
    texts = []
    for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        texts.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return ", ".join(texts)
