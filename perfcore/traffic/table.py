"""Table of the requests of a simulation, as Arrow and as a Parquet file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from perfcore.output import json_text, replacing
from perfcore.traffic.results import Simulation

MEANINGS: Final = {
    "arrival_s": ("s", "arrival, from the start of the traffic"),
    "queued_s": ("s", "time until it first ran"),
    "first_token_s": ("s", "first token, from the start of the traffic; NaN if it never fits"),
    "finished_s": ("s", "last token, from the start of the traffic; NaN if it never fits"),
    "replica": ("", "replica that served it, -1 for none"),
    "cached_tokens": ("tokens", "prompt tokens found in the prefix cache when it first ran"),
    "preemptions": ("", "number of times that it lost its KV cache"),
    "input_len": ("tokens", "prompt, including cached tokens"),
    "output_len": ("tokens", "answer"),
    "session": ("", "index of its session, -1 for none"),
}


def request_table(simulation: Simulation, metadata: Mapping[str, str] | None = None) -> pa.Table:
    """Return one row per request, with the unit and meaning of each column as its metadata."""
    columns, fields = [], []
    for name, (unit, meaning) in MEANINGS.items():
        column = pa.array(simulation.requests[name])
        columns.append(column)
        told = {"unit": unit, "meaning": meaning}
        fields.append(pa.field(name, column.type, nullable=False, metadata=told))
    texts = {f"perfcore.{key}": value for key, value in (metadata or {}).items()}
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=texts))


def write_requests(
    path: str | Path, simulation: Simulation, figures: Mapping[str, float | str]
) -> None:
    """Write one row per request to a Parquet file, whole or not at all.

    ``figures`` of all requests are kept as JSON in its metadata.
    """
    table = request_table(simulation, {"summary": json_text(figures, 2)})
    with replacing(Path(path)) as part:
        pq.write_table(table, part, compression="zstd")
