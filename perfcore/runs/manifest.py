"""Manifest of a run, and a receipt for every shard.

A receipt is written after its shard, so the finished shards of a killed process count. Receipts
take precedence over the manifest, which is written at the end.
"""

import hashlib
import json
import os
import platform
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from importlib import metadata
from typing import Final, cast

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from perfcore.errors import InputError, OutputError, VanishedError, argument, show
from perfcore.kernel.sources import hash_of, source_hash
from perfcore.output import DATA, MANIFEST, RECEIPTS
from perfcore.reading.jsontext import parse
from perfcore.runs.parquet import ParquetShard
from perfcore.runs.store import Store
from perfcore.runs.workers import Count, Receipt
from perfcore.space.space import TABLES, Space

OWNER: Final = f"{RECEIPTS}/run"  # holds the fingerprint of the run that writes here
MOST_SHARDS: Final = 1_000_000  # per run, about 10^12 rows, as the manifest lists each one
READERS: Final = 16  # threads that read receipts, as object stores have a high latency
_SHOWN: Final = 3  # most differences between two specifications that a message lists
# Keys of a manifest that summing up and checking a run rely on, with their types.
_NEEDED: Final = {
    "shard_count": int,
    "name": str,
    "fingerprint": str,
    "fingerprints": dict,
    "columns": list,
    "spec": dict,
}
version = cache(metadata.version)  # cached, as it reads a file

_RECEIPT: Final = TypeAdapter(Receipt)
_RECEIPTS: Final = TypeAdapter(dict[int, Receipt])

Document = dict[str, object]


def shard_file(shard: int) -> str:
    """Return the name of a shard's data file."""
    return f"part-{shard:05d}.parquet"


def receipt_file(shard: int) -> str:
    """Return the name of a shard's receipt."""
    return f"part-{shard:05d}.json"


def fingerprints(space: Space) -> Document:
    """Return hashes of everything that determines a run's bytes, by kind.

    The catalogue and the calibration are the numbers passed to the kernel, whatever their origin,
    because an engine may be based on others that the specification does not name. The physics is
    the sources of formulas and kernel, so parts from different checkouts are not mixed in one run;
    the writer is the release of pyarrow, which encodes the files. Simulated rows also depend on the
    sources that generate requests; the specification has the hashes of traces.
    """
    tables = dict(zip(TABLES, space.tables, strict=True))
    engine = tables.pop("engine")
    catalog = hashlib.sha256()
    for table in tables.values():
        catalog.update(table.tobytes())
    return {
        "spec": space.spec.fingerprint(),
        "catalog": catalog.hexdigest(),
        "calibration": hashlib.sha256(engine.tobytes()).hexdigest(),
        "physics": source_hash(),
        **({} if space.spec.traffic is None else {"simulation": simulation_hash()}),
        "writer": version("pyarrow"),
        "version": version("perfcore"),
    }


@cache
def simulation_hash() -> str:
    """Return a hash of the sources that make requests and simulate servers."""
    return hash_of(("traffic/**/*.py", "runs/simulating.py"))


def catalog_hash(space: Space) -> str:
    """Return a hash of the catalogue entries that a space uses, of words as well as of numbers."""
    return _sha256(space.spec.to_dict()["entries"])


def fingerprint(space: Space) -> str:
    """Return a hash of everything that determines a run's bytes."""
    return _joined(fingerprints(space))


def _joined(parts: Document) -> str:
    return f"{_sha256(parts)[:32]}-{parts.get('version')}"


def _sha256(document: object) -> str:
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()


def header(space: Space) -> Document:
    """Return the manifest's content before anything is computed."""
    columns = [axis.name for axis in (*space.outer_axes, *space.inner_axes)]
    parts = fingerprints(space)
    return {
        "name": space.spec.name,
        "fingerprint": _joined(parts),
        "fingerprints": parts,
        "evaluated": space.rows,
        "shard_count": space.shards,
        "versions": {
            "perfcore": version("perfcore"),
            "numba": version("numba"),
            "numpy": version("numpy"),
            "pyarrow": version("pyarrow"),
            "python": platform.python_version(),
        },
        "catalog_hash": catalog_hash(space),
        "columns": [*columns, *(column.name for column in space.columns)],
        "spec": space.spec.to_dict(),
    }


class Archive:
    """Archive of one run: its stored shards, and the place for new ones."""

    def __init__(
        self,
        store: Store,
        run: str,
        arrow_schema: pa.Schema,
        options: Mapping[str, object],
        known: Mapping[int, Receipt],
    ) -> None:
        self.store = store
        self.run = run
        self.schema = arrow_schema
        self.options = options
        self.known = known

    def intact(self, shard: int) -> Receipt | None:
        """Return the receipt of a shard if its file is undamaged, else None."""
        receipt = read_receipt(self.store, self.run, shard) or self.known.get(shard)
        if receipt is None:
            return None
        return None if damage(self.store, shard, receipt) else receipt

    def open(self, shard: int) -> "StoredShard":
        """Start writing a shard."""
        return StoredShard(self, shard)

    def check_owner(self) -> None:
        """Refuse to write if another run has started here, e.g. while this one was paused."""
        owner = read_owner(self.store)
        if owner != self.run:
            raise OutputError(
                f"{self.store.location}: another run writes here now (fingerprint "
                f"{show(owner) if owner else 'missing'}); this one, {self.run}, stops; choose "
                f"another {argument('output')}"
            )


class StoredShard:
    """Shard that is being written."""

    def __init__(self, archive: Archive, shard: int) -> None:
        self.archive = archive
        self.shard = shard
        self.name = f"{DATA}/{shard_file(shard)}"
        self.draft = archive.store.draft(self.name)
        try:
            self.file = ParquetShard(
                self.draft.path,
                archive.schema,
                archive.options,
                f"{archive.store.location}/{self.name}",
            )
        except BaseException:
            self.draft.discard()
            raise
        self.write = self.file.write

    def commit(self, count: Count) -> Receipt:
        """Publish the file, then its receipt."""
        self.file.commit()
        with self.archive.store.writing(self.name):
            try:
                with self.draft.path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                    size = file.tell()
            except FileNotFoundError as error:
                raise VanishedError(
                    f"{self.archive.store.location}: the draft of {self.name} was removed while "
                    "it was written; run again, which keeps complete shards"
                ) from error
        receipt = Receipt(count.rows, count.dropped, size, digest)
        self.archive.check_owner()
        self.archive.store.publish(self.draft, self.name)
        document = {"run": self.archive.run, **asdict(receipt)}
        self.archive.check_owner()
        self.archive.store.write(f"{RECEIPTS}/{receipt_file(self.shard)}", _json(document))
        return receipt

    def discard(self) -> None:
        """Remove the unfinished file."""
        self.file.discard()
        self.draft.discard()


def read_owner(store: Store) -> str:
    """Return the fingerprint of the run that owns a store; empty if none does."""
    try:
        return store.read(OWNER).decode(errors="replace").strip()
    except FileNotFoundError:
        return ""


def damage(store: Store, shard: int, receipt: Receipt) -> str:
    """Return the damage of a shard's file; empty if it is intact."""
    name = f"{DATA}/{shard_file(shard)}"
    try:
        with store.reading(name), store.opened(name) as file:
            size = file.seek(0, os.SEEK_END)
            if size != receipt.bytes:  # a sparse file of a terabyte is not read through
                return f"{size:,} bytes long, {receipt.bytes:,} were written"
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "missing"
    if digest != receipt.sha256:
        return f"its bytes have changed (SHA-256 {digest[:12]}…, was {receipt.sha256[:12]}…)"
    return ""


def read_receipt(store: Store, run: str, shard: int) -> Receipt | None:
    """Return a shard's receipt; None if it is missing, invalid or of another run.

    Raises
    ------
    InputError
        The receipt exists but cannot be read.
    """
    try:
        content = store.read(f"{RECEIPTS}/{receipt_file(shard)}")
    except FileNotFoundError:
        return None
    try:
        document = parse(content)
        if not isinstance(document, dict) or document.pop("run", None) != run:
            return None
        return _RECEIPT.validate_python(document)
    except (ValueError, RecursionError):  # neither valid JSON nor a valid receipt
        return None


def read_receipts(store: Store, run: str, shards: Iterable[int]) -> dict[int, Receipt]:
    """Return the receipts that exist."""
    names = _receipts(store)
    there = [shard for shard in shards if receipt_file(shard) in names]
    with ThreadPoolExecutor(READERS) as pool:
        found = pool.map(lambda shard: read_receipt(store, run, shard), there)
        return {shard: receipt for shard, receipt in zip(there, found, strict=True) if receipt}


def _receipts(store: Store) -> set[str]:
    """Return the names of the receipts, without drafts."""
    return {name for name in store.sizes(RECEIPTS) if name.endswith(".json")}


def read_manifest(store: Store) -> Document:
    """Return a run's manifest.

    Raises
    ------
    InputError
        The manifest is missing or cannot be read.
    """
    place = f"{store.location}/{MANIFEST}"
    try:
        document = parse(store.read(MANIFEST))
    except FileNotFoundError:
        raise InputError(
            f"{store.location}: no {MANIFEST} here; name a directory that `run` wrote"
        ) from None
    except InputError:
        raise
    except (
        ValueError,
        RecursionError,
    ) as error:  # not UTF-8, not JSON, or too deep or long to parse
        raise InputError(
            f"{place}: cannot be read ({error}); delete it and run again, which keeps the shards"
        ) from error
    if not isinstance(document, dict):
        raise InputError(f"{place}: is not a JSON object; delete it and run again")
    return document


def read_whole(store: Store) -> tuple[Document, range]:
    """Return a run's complete manifest and the range of its shards.

    Raises
    ------
    InputError
        The manifest is missing, cannot be read, or was changed.
    """
    manifest = read_manifest(store)
    remedy = "delete it and run again, which keeps the shards"
    for key, kind in _NEEDED.items():
        if not isinstance(manifest.get(key), kind):
            raise InputError(
                f"{store.location}/{MANIFEST}: {key} is {show(manifest.get(key))}; {remedy}"
            )
    parts = cast("Document", manifest["fingerprints"])
    if (parts.get("spec"), _joined(parts)) != (
        _sha256(manifest["spec"]),
        manifest["fingerprint"],
    ):
        raise InputError(
            f"{store.location}/{MANIFEST}: its specification is not the one of its fingerprint; "
            f"{remedy}"
        )
    return manifest, _shards(store, manifest)


def _shards(store: Store, manifest: Document) -> range:
    """Return the range of a run's shards."""
    count = cast("int", manifest["shard_count"])
    if not 0 < count <= MOST_SHARDS:
        raise InputError(
            f"{store.location}: {count:,} shards are not from 1 to {MOST_SHARDS:,}, as many as a "
            "run has at most; list fewer values, raise output.rows_per_shard, or search the sweep, "
            "which writes none"
        )
    return range(count)


def listed(store: Store, manifest: Document) -> dict[int, Receipt]:
    """Return the receipts that a manifest lists."""
    try:
        return _RECEIPTS.validate_python(manifest.get("shards"))
    except ValidationError as error:
        raise InputError(
            f"{store.location}/{MANIFEST}: its list of shards is damaged "
            f"({error.error_count()} faults); delete it and run again, which keeps the shards"
        ) from error


def present(store: Store, manifest: Document) -> frozenset[int]:
    """Return the shards that a manifest lists and whose files have the recorded length."""
    receipts, sizes = listed(store, manifest), store.sizes(DATA)
    return frozenset(shard for shard in receipts if _fits(shard, receipts, sizes))


def begin(store: Store, head: Document) -> dict[int, Receipt]:
    """Begin or resume a run; return the receipts that its manifest lists.

    ``head`` is the run's ``header``.

    Raises
    ------
    InputError
        The store holds another run, or data without a manifest.
    """
    shards = _shards(store, head)
    store.prepare()
    run = str(head["fingerprint"])
    strangers = sorted(store.sizes(DATA))
    if strangers and not _continues(store, run, shards):
        raise InputError(
            f"{store.location}: has data but no {MANIFEST} ({strangers[0]} …); choose another "
            "-o or empty it"
        )
    store.create(MANIFEST, _json(_summed(head, {}, 0.0)))
    known = read_manifest(store)
    if known.get("fingerprint") != run:
        raise InputError(
            f"{store.location}: holds a run of another specification ({known.get('name')!r}; "
            f"{changes(known, head)}); choose another {argument('output')} or delete it"
        )
    if read_owner(store) != run:
        store.write(OWNER, f"{run}\n".encode())
    return listed(store, known)


def _continues(store: Store, run: str, shards: range) -> bool:
    """Return whether there is a manifest, or a receipt of this run if the manifest was lost."""
    try:
        store.read(MANIFEST)
    except FileNotFoundError:
        return bool(read_receipts(store, run, shards))
    return True


def settle(
    store: Store, head: Document, own: Mapping[int, Receipt], seconds: float | None = None
) -> Document:
    """Write the manifest of all stored shards, including those of other processes.

    Parameters
    ----------
    own
        Receipts that this process knows to be valid.
    seconds
        Wall-clock time of the run, in s; by default the time in the manifest is kept.

    Other processes may do the same concurrently: the last one to finish has seen all receipts.
    """
    run = str(head["fingerprint"])
    shards = _shards(store, head)
    while True:
        current = read_manifest(store)
        if current.get("fingerprint") != run:
            raise InputError(
                f"{store.location}: another process has begun another run here "
                f"({current.get('name')!r}); choose another {argument('output')}"
            )
        names = _receipts(store)  # before the data: a shard is stored before its receipt
        sizes = store.sizes(DATA)
        known = {n: r for n, r in {**listed(store, current), **own}.items() if n in shards}
        known |= read_receipts(store, run, [n for n in shards if not _fits(n, known, sizes)])
        stored = {n: known[n] for n in known if _fits(n, known, sizes)}
        taken = current.get("wall_s", 0.0) if seconds is None else round(seconds, 3)
        document = _summed(head, stored, taken)
        store.write(MANIFEST, _json(document))
        if _receipts(store) <= names:
            store.tidy()
            return document


def _fits(shard: int, known: Mapping[int, Receipt], sizes: Mapping[str, int]) -> bool:
    """Return whether a shard has a receipt and a file of the recorded length."""
    return shard in known and sizes.get(shard_file(shard)) == known[shard].bytes


def finalize(store: Store) -> tuple[Document, range, dict[int, Receipt]]:
    """Write the manifest of all parts of a run; return it, all shards, and the receipts."""
    manifest, shards = read_whole(store)
    receipts = read_receipts(store, str(manifest["fingerprint"]), shards)
    settled = settle(store, manifest, receipts)
    return settled, shards, listed(store, settled)


def sums(receipts: Mapping[int, Receipt], shards: object) -> Document:
    """Return the totals of a run's shards."""
    dropped: dict[str, int] = {}
    for _, receipt in sorted(receipts.items()):
        for reason, rows in receipt.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + rows
    return {
        "complete": len(receipts) == shards,
        "rows": sum(receipt.rows for receipt in receipts.values()),
        "bytes": sum(receipt.bytes for receipt in receipts.values()),
        "dropped": dropped,
    }


def _summed(head: Document, receipts: Mapping[int, Receipt], seconds: object) -> Document:
    told = {
        **sums(receipts, head["shard_count"]),
        "wall_s": seconds,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "shards": {str(shard): asdict(receipt) for shard, receipt in sorted(receipts.items())},
    }
    rest = {key: value for key, value in head.items() if key not in told and key != "spec"}
    return {**rest, **told, "spec": head["spec"]}


def changes(there: Document, here: Document) -> str:
    """Return the differences between two manifests: ``axes.batch: [1, 2], was [1]``.

    Facts are named by their entries. Constants of base engines, formulas and versions do not belong
    to entries.
    """
    found = list(_differences("", there.get("spec"), json.loads(json.dumps(here["spec"]))))
    parts, now = there.get("fingerprints"), here["fingerprints"]
    before = parts if isinstance(parts, dict) else {}
    if isinstance(now, dict):
        for key, meaning in (
            ("catalog", "numbers of the catalogue"),
            ("calibration", "constants of the engines"),
        ):
            if before.get(key) != now[key] and not found:
                found.append(f"{meaning} have changed")
        if before.get("physics") != now["physics"]:
            was = before.get("physics", "unknown")
            found.append(f"formulas or kernel have changed (sources {now['physics']}, were {was})")
        for key, program in (("version", "perfcore"), ("writer", "pyarrow")):
            if before.get(key) != now[key]:
                found.append(f"{program} {now[key]}, was {before.get(key, 'unknown')}")
    shown = "; ".join(found[:_SHOWN])
    more = len(found) - _SHOWN
    return shown + (f"; and {more} more" if more > 0 else "")


def _differences(place: str, there: object, here: object) -> Iterable[str]:
    if there == here:
        return
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*here, *(key for key in there if key not in here)]:
            inner = f"{place}.{key}" if place else str(key)
            yield from _differences(inner, there.get(key), here.get(key))
    elif place.startswith("entries."):
        # entries that were added or removed show up in the axes
        if there is not None and here is not None:
            yield f"{place.removeprefix('entries.')} has changed"
    else:
        yield f"{place}: {_short(here)}, was {_short(there)}"


def _short(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list) and len(value) > _SHOWN + 1:
        return f"[{value[0]!r}, {value[1]!r}, … {value[-1]!r}] ({len(value):,})"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _json(document: Document) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()
