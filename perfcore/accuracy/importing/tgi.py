"""Text Generation Inference: tables of ``text-generation-benchmark``, JSON of its successor.

Sources: benchmark/src/table.rs of huggingface/text-generation-inference, src/writers.rs and
src/scheduler.rs of huggingface/inference-benchmarker. The latter tests any server at a fixed number
of users or at fixed rates; a report has a result for each.
"""

import re
from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing import servers
from perfcore.accuracy.importing.documents import Record
from perfcore.accuracy.importing.fields import (
    Reading,
    Run,
    Tool,
    count,
    measured,
    percentiles,
    section,
    text_of,
)
from perfcore.accuracy.importing.tables import cells_of

_KEYS: Final = {"tgi_prefill_s", "batch_size"}
_TIME: Final = re.compile(r"([\d.]+) (ns|us|µs|ms|s)")
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_STEPS: Final = {"Prefill": "tgi_prefill_s", "Decode (token)": "tgi_token_s"}
_RESULT: Final = {"executor_type", "successful_requests", "total_tokens", "duration_ms"}
_TIMES: Final = {"ttft_s": "time_to_first_token_ms", "tpot_s": "inter_token_latency_ms"}
_MS: Final = 1e-3
_COMPLETED: Final = 0.9  # least share of completed requests in a meaningful run


def matches(record: Record) -> bool:
    """Return whether a record is a batch of the benchmark, or a report of its successor."""
    results = record.get("results")
    listed = isinstance(results, list) and all(
        isinstance(one, dict) and one.keys() >= _RESULT for one in results
    )
    return record.keys() >= _KEYS or (listed and isinstance(record.get("config"), dict))


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
    """Yield the run of a batch in lockstep, or those of a report."""
    results = record.get("results")
    if isinstance(results, list):
        for index, one in enumerate(results):
            place = reading.place.at("results").item(index)
            yield from _served(one, record, reading._replace(place=place))
        return
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


def _served(one: Record, report: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of one number of users or rate, or the reason why it is left out."""
    config = section(report, "config")
    reason = _reason(one) or servers.unsuitable(section(config, "meta"))
    if reason:
        yield reason
        return
    done, sent, answered = (
        measured(one, key, reading.place)
        for key in ("successful_requests", "total_tokens_sent", "total_tokens")
    )
    if done is None or sent is None or answered is None:
        return
    users = count(section(one, "config"), "max_vus") if not _is_rate(one) else 0.0
    flight = count(one, "request_rate") * _times(one, "e2e_latency_ms").get("avg", 0.0) * _MS
    why = f" (an open loop, with {flight:.4g} requests in flight on average)" if flight else ""
    meta = section(config, "meta")
    model = text_of(config, "model_name")
    engine = text_of(meta, "engine").lower()
    yield Run(
        {
            "mode": "closed_loop",
            "date": text_of(report, "start_time")[:10],
            "engine": engine if engine in ("tgi", "vllm", "sglang") else "",
            "model": reading.names.model(model) or model,
            "concurrency": min(users, done) or None,
            "input_len": sent / done,
            "output_len": answered / done,
            **servers.configuration(meta),
        },
        {
            metric: measured(times, "avg", reading.place.at(key), _MS)
            for metric, key in _TIMES.items()
            if (times := _times(one, key))
        },
        doubts=reading.names.doubt(model) | ({} if users else {"concurrency": why}),
        in_flight=max(flight, 1.0) if flight else None,
        requests=done,
        spreads={
            metric: percentiles(
                _times(one, key), {name: name for name in ("p50", "p90", "p95", "p99")}, _MS
            )
            for metric, key in _TIMES.items()
        },
    )


def _times(one: Record, key: str) -> dict[str, float]:
    """Return mean and percentiles of a time; releases before 1.0 wrote each under a key."""
    names = ("avg", "p50", "p90", "p95", "p99")
    nested = section(one, key)
    found = {name: count(nested, name) or count(one, f"{key}_{name}") for name in names}
    return {name: value for name, value in found.items() if value}


def _is_rate(one: Record) -> bool:
    return text_of(one, "executor_type") == "ConstantArrivalRate"


def _reason(one: Record) -> str:
    """Return why a result cannot be a row, or ``""``."""
    if text_of(one, "id") == "warmup":
        return "warm-up"
    done, failed = count(one, "successful_requests"), count(one, "failed_requests")
    if failed and done < _COMPLETED * (done + failed):
        return f"{failed:,.0f} of {done + failed:,.0f} requests failed"
    return ""


TOOL: Final = Tool(
    name="TGI (text-generation-benchmark, inference-benchmarker)",
    files="printed tables; JSON of inference-benchmarker",
    rows="ttft_s, tpot_s (static; closed_loop, one pair per number of users or rate)",
    states="model, concurrency (of a rate, the mean in flight), lengths; engine in some files",
    lacks="hardware, tp, weight_format; engine",
    matches=matches,
    read=read,
    printed=printed,
)
