"""Text Generation Inference: tables of ``text-generation-benchmark``.

Source of the tables: benchmark/src/table.rs of huggingface/text-generation-inference.
"""

import re
from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing.documents import Record
from perfcore.accuracy.importing.fields import Reading, Run, Tool, count, measured, text_of
from perfcore.accuracy.importing.tables import cells_of

_KEYS: Final = {"tgi_prefill_s", "batch_size"}
_TIME: Final = re.compile(r"([\d.]+) (ns|us|µs|ms|s)")
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_STEPS: Final = {"Prefill": "tgi_prefill_s", "Decode (token)": "tgi_token_s"}


def matches(record: Record) -> bool:
    """Return whether a record is a batch of the benchmark."""
    return record.keys() >= _KEYS


def printed(text: str) -> list[dict[str, object]]:
    """Return a record for each batch size in the tables."""
    settings: dict[str, object] = {}
    batches: dict[object, dict[str, object]] = {}
    step = ""
    for row in cells_of(text):
        if row.keys() == {"Parameter", "Value"}:
            settings[str(row["Parameter"])] = row["Value"]
        elif {"Step", "Batch Size", "Average"} <= row.keys():
            found = _TIME.fullmatch(str(row["Average"]))
            step = str(row["Step"]) or step  # named in its first row only
            key = _STEPS.get(step)
            if found and key:
                batch = batches.setdefault(row["Batch Size"], {"batch_size": row["Batch Size"]})
                batch[key] = float(found[1]) * _UNITS[found[2]]
    return [settings | batch for batch in batches.values() if batch.keys() >= _KEYS]


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a batch in lockstep."""
    keys = {"ttft_s": "tgi_prefill_s", "tpot_s": "tgi_token_s"}
    model = text_of(record, "Model")
    yield Run(
        {
            "mode": "static",
            "engine": "tgi",
            "runner": "offline",
            "model": reading.names.model(model) or model,
            "concurrency": count(record, "batch_size"),
            "input_len": count(record, "Sequence Length") or None,
            "output_len": count(record, "Decode Length") or None,
        },
        {
            metric: measured(record, key, reading.place)
            for metric, key in keys.items()
            if key in record
        },
        doubts=reading.names.doubt(model),
    )


TOOL: Final = Tool(
    name="TGI (text-generation-benchmark)",
    files="printed tables",
    rows="ttft_s, tpot_s (static)",
    states="model, concurrency, lengths",
    lacks="hardware, tp, weight_format",
    matches=matches,
    read=read,
    printed=printed,
)
