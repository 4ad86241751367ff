"""Runs as strangers may send them: a small run, damaged in many ways, from a seed."""

import hashlib
import json
import os
import random
import shutil
import socket
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from perfcore.runs import manifest as manifests

TEXTS = (
    "",
    "\x1b[2J\x1b]0;x\x07",
    "\u202eabc",
    "\x9b31m",
    "../../etc/passwd",
    "a" * 100_000,
    "\ud800",
    "'; DROP TABLE run; --",
    "<script>alert(1)</script>",
    "nan",
    "=1+1",
)
NUMBERS = (0, -1, 1, 10**6, 10**18, 10**400, 1e308, float("nan"), float("inf"), True)
OTHERS = (None, [], {}, [[]], {"a": 1}, [None], ["x", 1])


def value(rng):
    """Return a value that nobody expects."""
    return rng.choice(rng.choice((TEXTS, NUMBERS, OTHERS)))


def damage_json(rng, document, times):
    """Change, remove, rename or nest values anywhere in a document."""
    for _ in range(times):
        places = []
        todo = [document]
        while todo:
            here = todo.pop()
            keys = list(here) if isinstance(here, dict) else range(len(here))
            places += [(here, key) for key in keys]
            todo += [here[key] for key in keys if isinstance(here[key], dict | list)]
        if not places:
            return
        # the same chance for every depth, as most places are in the list of shards
        keys = sorted({str(key) for _, key in places})
        wanted = rng.choice(keys)
        holder, key = rng.choice([place for place in places if str(place[1]) == wanted])
        match rng.randrange(5):
            case 0 if isinstance(holder, dict):
                holder.pop(key)
            case 1 if isinstance(holder, dict):
                holder[rng.choice(TEXTS)] = holder.pop(key)
            case 2:
                deep = holder[key]
                for _ in range(rng.choice((1, 50))):
                    deep = [deep]
                holder[key] = deep
            case 3 if isinstance(holder[key], str):
                holder[key] = rng.choice(TEXTS)
            case _:
                holder[key] = value(rng)


def damage_manifest(rng, run):
    """Damage the manifest as a document, and sign it again half of the time."""
    document = json.loads((run / "manifest.json").read_text())
    damage_json(rng, document, rng.randint(1, 3))
    if rng.random() < 0.5 and isinstance(document.get("fingerprints"), dict):
        with suppress(TypeError, ValueError):
            document["fingerprints"]["spec"] = manifests._sha256(document.get("spec"))  # noqa: SLF001
            document["fingerprint"] = manifests._joined(document["fingerprints"])  # noqa: SLF001
    (run / "manifest.json").write_text(json.dumps(document), errors="replace")


def damage_bytes(rng, run):
    """Cut, empty, overwrite or lengthen a file."""
    path = rng.choice([path for path in run.rglob("*") if path.is_file()])
    content = bytearray(path.read_bytes())
    match rng.randrange(6):
        case 0:
            content = content[: rng.randrange(len(content) + 1)]
        case 1:
            content.clear()
        case 2:
            content = bytearray(rng.randbytes(rng.choice((1, 4, 1000))))
        case 3:
            content += rng.randbytes(1000)
        case 4:  # the end of a Parquet file is its footer
            for _ in range(20):
                if content:
                    content[-rng.randint(1, min(len(content), 4000))] = rng.randrange(256)
        case _:
            for _ in range(20):
                if content:
                    content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content)


def replace_file(rng, run):
    """Put something else in the place of a file or folder."""
    path = rng.choice([path for path in run.rglob("*") if path.name != run.name])
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    match rng.randrange(7):
        case 0:
            os.mkfifo(path)
        case 1:
            path.mkdir()
        case 2:
            path.symlink_to(path)
        case 3:
            path.symlink_to("/dev/zero")
        case 4:
            path.symlink_to("nowhere")
        case 5:
            with socket.socket(socket.AF_UNIX) as made:
                here = Path.cwd()
                os.chdir(path.parent)  # addresses of sockets are short
                try:
                    made.bind(path.name)
                finally:
                    os.chdir(here)
        case _:
            with path.open("wb") as file:
                file.truncate(rng.choice((10**6, 10**12)))


def _is_small(path):
    """Return whether a copy does not fill the disk: a sparse file or /dev/zero would."""
    return path.is_file() and path.stat().st_size < 10**7


def add_file(rng, run):
    """Add a file that does not belong there."""
    name = rng.choice(
        (
            "data/part-99999.parquet",
            "data/part-000000001.parquet",
            "data/x.parquet",
            "data/\x1b[2J.parquet",
            "data/model=x/part-00000.parquet",
            "shards/part-99999.json",
            "data/.DS_Store",
        )
    )
    path = run / name
    path.parent.mkdir(exist_ok=True)
    if rng.random() < 0.3:
        os.mkfifo(path)
    elif rng.random() < 0.5 and _is_small(run / "data" / "part-00000.parquet"):
        shutil.copy(run / "data" / "part-00000.parquet", path)
    else:
        path.write_bytes(rng.randbytes(100))


def strange_columns(rng, table, name):
    """Return a table with a column removed, renamed, or of other values."""
    place = table.column_names.index(name)
    count = len(table)
    renamed = rng.choice(TEXTS).encode("utf-8", "replace").decode()
    values = (
        pa.nulls(count),
        pa.nulls(count, table.schema.field(place).type),
        pa.array([["x"]] * count),
        pa.array(["x\x1b[2J"] * count),
        pa.array(np.full(count, np.nan)),
        pa.array([2**62] * count),
    )
    return rng.choice(
        (
            lambda: table.drop_columns([name]),
            lambda: table.rename_columns({name: renamed}),
            lambda: table.slice(0, 0),
            lambda: table.select([]),
            *(lambda one=one: table.set_column(place, name, one) for one in values),
        )
    )()


def strange_facts(rng, metadata):
    """Return the facts of a file with one of them damaged, or none."""
    key = rng.choice(list(metadata))
    try:
        document = [json.loads(metadata[key])]
        damage_json(rng, document, rng.randint(1, 3))
        damaged = json.dumps(document[0]).encode()
    except (ValueError, IndexError):
        damaged = rng.choice((b"", b"\xff\xfe", b"[" * 10_000, rng.randbytes(100)))
    return rng.choice(({}, {**metadata, key: damaged}, {**metadata, key: damaged}))


def rewrite_shard(rng, run):
    """Write a shard with other rows, columns, types or facts, and its receipt to match."""
    path = rng.choice(sorted((run / "data").glob("*.parquet")))
    table = pq.read_table(path)
    metadata = table.schema.metadata
    if rng.random() < 0.6:
        table = strange_columns(rng, table, rng.choice(table.column_names))
    else:
        metadata = strange_facts(rng, metadata)
    pq.write_table(table.replace_schema_metadata(metadata), path)
    content = path.read_bytes()
    receipt = run / "shards" / path.with_suffix(".json").name
    document = json.loads(receipt.read_text())
    document |= {
        "rows": len(table),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    receipt.write_text(json.dumps(document))


def damage_receipt(rng, run):
    """Damage a receipt as a document."""
    path = rng.choice(sorted((run / "shards").glob("*.json")))
    document = json.loads(path.read_text())
    damage_json(rng, document, rng.randint(1, 2))
    path.write_text(json.dumps(document), errors="replace")


DAMAGES = (
    damage_manifest,
    damage_manifest,
    damage_bytes,
    replace_file,
    add_file,
    rewrite_shard,
    rewrite_shard,
    damage_receipt,
)


def hostile(seed, whole, run):
    """Make a damaged copy of a run; return the names of the damages."""
    rng = random.Random(seed)  # noqa: S311 - nothing secret
    shutil.copytree(whole, run)
    done = []
    for damage in rng.sample(DAMAGES, rng.choice((1, 1, 2))):
        try:
            damage(rng, run)
        except (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
            done.append(f"{damage.__name__} ({type(error).__name__})")  # damaged too much already
        else:
            done.append(damage.__name__)
    return done
