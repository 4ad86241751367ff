"""SGLang: JSON lines and printed lines of ``bench_one_batch``, its server variant and offline runs.

Source of the fields: python/sglang/bench_one_batch.py, bench_one_batch_server.py and
bench_offline_throughput.py of sgl-project/sglang.
"""

import re
from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing import servers
from perfcore.accuracy.importing.documents import Record, cell_value
from perfcore.accuracy.importing.fields import (
    OUTPUT_TOKENS_PER_S,
    Reading,
    Run,
    Tool,
    count,
    first_text,
    measured,
    section,
)
from perfcore.accuracy.importing.tables import labels_of

_LOCAL: Final = {"batch_size", "input_len", "output_len", "prefill_latency", "total_latency"}
_SERVER: Final = {"batch_size", "input_len", "output_len", "latency", "overall_throughput"}
_OFFLINE: Final = {
    "successful_requests",
    "total_latency",
    "total_input_tokens",
    "last_gen_throughput",
}
_OFFLINE_TITLE: Final = re.compile(r"=+ Offline Throughput Benchmark Result =+")
_OFFLINE_LINES: Final = {
    "Successful requests": "successful_requests",
    "Benchmark duration (s)": "total_latency",
    "Total input tokens": "total_input_tokens",
    "Total generated tokens": "total_output_tokens",
    "Last generation throughput (tok/s)": "last_gen_throughput",
    "Output token throughput (tok/s)": "output_throughput",
}
_SERVER_LINES: Final = re.compile(
    r"^batch size: (?P<batch_size>\d+)\ninput_len: (?P<input_len>\d+)"
    r"\noutput_len: (?P<output_len>\d+)"
    r"\nlatency: (?P<latency>[\d.]+) s(?:\nttft: (?P<ttft>[\d.]+) s)?"
    r"(?:\n[a-z ]+: .*)*?\noutput throughput: (?P<overall_throughput>[\d.]+)",
    re.MULTILINE,
)
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
    return any(record.keys() >= keys for keys in (_LOCAL, _SERVER, _OFFLINE))


def printed(text: str) -> list[dict[str, object]]:
    """Return the results that ``bench_one_batch`` prints, with options that the log repeats.

    The first result is of the warm-up if there are several.
    """
    options = servers.arguments(text) | {
        name.replace("-", "_"): cell_value(value) for name, value in _OPTION.findall(text)
    }
    served = [
        options | {key: float(value) for key, value in found.groupdict().items() if value}
        for found in _SERVER_LINES.finditer(text)
    ]
    offline = [
        options
        | {key: cell_value(found[label]) for label, key in _OFFLINE_LINES.items() if label in found}
        for part in _OFFLINE_TITLE.split(text)[1:]
        if (found := labels_of(part))
    ]
    if served or offline:
        return [*served, *offline]
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
    if record.keys() >= _OFFLINE:
        yield from _offline(record, reading)
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


def _offline(record: Record, reading: Reading) -> Iterator[Run]:
    """Yield an offline run, whose requests are all sent at once."""
    done, sent, answered = (
        measured(record, key, reading.place)
        for key in ("successful_requests", "total_input_tokens", "total_output_tokens")
    )
    if done is None or sent is None or answered is None:
        return
    model = first_text(record, "model_path", "model")
    yield Run(
        {
            "mode": "saturation",
            "engine": "sglang",
            "runner": "offline",
            "model": reading.names.model(model) or model,
            "input_len": sent / done,
            "output_len": answered / done,
            **servers.configuration(record),
        },
        {OUTPUT_TOKENS_PER_S: measured(record, "output_throughput", reading.place)},
        doubts=reading.names.doubt(model),
        requests=done,
    )


TOOL: Final = Tool(
    name="SGLang bench_one_batch, bench_one_batch_server, bench_offline_throughput",
    files="JSON lines, printed lines",
    rows="ttft_s, tpot_s (median of steps), e2e_latency_s (static); throughput (saturation)",
    states="concurrency, lengths",
    lacks="model, hardware, tp, weight_format",
    matches=matches,
    read=read,
    printed=printed,
)
