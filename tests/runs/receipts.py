"""Runs whose manifest or receipts say something else."""

import json
from dataclasses import replace

import pyarrow.parquet as pq

from perfcore.runs import manifest
from perfcore.runs.check import verify
from perfcore.space.space import Space


def edit(path, **changes):
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, **changes}))


def scaled(made, kind, name, **values):
    """A space of which one entry has other values."""
    axes = []
    for axis in made.spec.axes:
        entries = tuple(
            entry.model_copy(update=values) if axis.name == kind and entry.name == name else entry
            for entry in axis.entries
        )
        axes.append(replace(axis, entries=entries))
    return Space(replace(made.spec, axes=tuple(axes)))


def problems(run):
    return {fault.file: fault.problem for fault in verify(run).faults}


def rewritten(run, table, shard=7):
    """Another shard, with a receipt that says it is what was written."""
    name = manifest.shard_file(shard)
    pq.write_table(table, run / "data" / name)
    content = (run / "data" / name).read_bytes()
    receipt = json.loads((run / "shards" / manifest.receipt_file(shard)).read_text())
    digest = manifest.hashlib.sha256(content).hexdigest()
    edit(run / "shards" / manifest.receipt_file(shard), bytes=len(content), sha256=digest)
    return receipt
