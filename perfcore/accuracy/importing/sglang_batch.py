"""SGLang: JSON lines and printed lines of ``bench_one_batch`` and ``bench_one_batch_server``.

Source of the fields: python/sglang/bench_one_batch.py and bench_one_batch_server.py of
sgl-project/sglang.
"""

import re
from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing import servers
from perfcore.accuracy.importing.documents import Record, cell_value
from perfcore.accuracy.importing.fields import (
    Reading,
    Run,
    Tool,
    count,
    first_text,
    measured,
    section,
)

_LOCAL: Final = {"batch_size", "input_len", "output_len", "prefill_latency", "total_latency"}
_SERVER: Final = {"batch_size", "input_len", "output_len", "latency", "overall_throughput"}
_LINE: Final = re.compile(
    r"^(Prefill|Decode|Total)\.\s+(median latency|latency):\s+([\d.]+) s", re.MULTILINE
)
_OPTION: Final = re.compile(r"--([\w-]+)[ =]([\w./-]+)")
_KEYS: Final = {
    ("Prefill", "latency"): "prefill_latency",
    ("Decode", "median latency"): "median_decode_latency",
    ("Total", "latency"): "total_latency",
}


def matches(record: Record) -> bool:
    """Return whether a record is a result of these tools."""
    return record.keys() >= _LOCAL or record.keys() >= _SERVER


def printed(text: str) -> list[dict[str, object]]:
    """Return the results that ``bench_one_batch`` prints, with options that the log repeats.

    The first result is of the warm-up if there are several.
    """
    options = servers.arguments(text) | {
        name.replace("-", "_"): cell_value(value) for name, value in _OPTION.findall(text)
    }
    lengths = {key: options.get(key) for key in ("batch_size", "input_len", "output_len")}
    records: list[dict[str, object]] = []
    record: dict[str, object] = {}
    for stage, what, seconds in _LINE.findall(text):
        key = _KEYS.get((stage, what))
        if key:
            record[key] = float(seconds)
        if key == "total_latency" and "prefill_latency" in record:
            records.append({**options, **lengths, **record})
            record = {}
    return records[1:] or records


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a result: times of a batch in lockstep."""
    info = section(record, "server_info")
    reason = servers.unsuitable(record) or servers.unsuitable(info)
    if reason:
        yield reason
        return
    if record.keys() >= _LOCAL:
        keys = {
            "ttft_s": "prefill_latency",
            "tpot_s": "median_decode_latency",
            "e2e_latency_s": "total_latency",
        }
    else:
        first = next((key for key in ("ttft", "last_ttft") if count(record, key)), "")
        keys = {"ttft_s": first, "e2e_latency_s": "latency"}
    values = {
        metric: measured(record, key, reading.place)
        for metric, key in keys.items()
        if key in record
    }
    model = first_text(record, "model_path", "model") or first_text(info, "model_path")
    yield Run(
        {
            "mode": "static",
            "engine": "sglang",
            "model": reading.names.model(model) or model,
            "concurrency": record.get("batch_size"),
            "input_len": record.get("input_len"),
            "output_len": record.get("output_len"),
            **servers.configuration({**record, **info}),
        },
        values,
        doubts=reading.names.doubt(model),
        note="tpot_s is a median of steps" if "tpot_s" in values else "",
    )


TOOL: Final = Tool(
    name="SGLang bench_one_batch, bench_one_batch_server",
    files="JSON lines, printed lines",
    rows="ttft_s, tpot_s (median of steps), e2e_latency_s (static)",
    states="concurrency, lengths",
    lacks="model, hardware, tp, weight_format",
    matches=matches,
    read=read,
    printed=printed,
)
