"""GuideLLM: ``benchmarks.json``, one benchmark per rate or number of streams.

Source of the fields: src/guidellm/benchmark/schemas of vllm-project/guidellm.
``time_per_output_token_ms`` has the first token in it, so that it is not read.
"""

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

_TIMES: Final = {"ttft_s": "time_to_first_token_ms", "tpot_s": "inter_token_latency_ms"}
_MS: Final = 1e-3
_COMPLETED: Final = 0.9
_PLACES: Final = (  # of the model, by release
    ("worker", "backend_model"),
    ("config", "backend", "model"),
    ("config", "backend", "model_name"),
    ("benchmarker", "backend", "model"),
    ("args", "model"),
)


def matches(record: Record) -> bool:
    """Return whether a record is a report of GuideLLM."""
    found = record.get("benchmarks")
    return isinstance(found, list) and all(
        isinstance(one, dict) and "metrics" in one for one in found
    )


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of each benchmark of a report."""
    listed = record.get("benchmarks")
    for index, one in enumerate(listed if isinstance(listed, list) else []):
        place = reading.place.at("benchmarks").item(index)
        yield from _benchmark(one, record, reading._replace(place=place))


def _benchmark(one: Record, report: Record, reading: Reading) -> Iterator[Run | str]:
    metrics = section(one, "metrics")
    totals = section(metrics, "request_totals") or section(one, "request_totals")
    done, failed = count(totals, "successful"), count(totals, "errored")
    if failed and done < _COMPLETED * (done + failed):
        yield f"{failed:,.0f} of {done + failed:,.0f} requests failed"
        return
    strategy = section(one, "config", "strategy") or section(one, "args", "strategy")
    kind = text_of(strategy, "type_") or text_of(strategy, "type")
    flight = count(section(metrics, "request_concurrency", "successful"), "mean")
    lengths = {
        column: measured(section(metrics, key, "successful"), "mean", reading.place.at(key))
        for column, key in (
            ("input_len", "prompt_token_count"),
            ("output_len", "output_token_count"),
        )
    }
    values, spreads = {}, {}
    for metric, key in _TIMES.items():
        times = section(metrics, key, "successful")
        values[metric] = measured(times, "mean", reading.place.at(key), _MS)
        shares = {"median": count(times, "median"), **section(times, "percentiles")}
        names = {"median": "median", "p90": "p90", "p95": "p95", "p99": "p99"}
        spreads[metric] = percentiles(shares, names, _MS)
    streams = count(strategy, "streams") or (1.0 if kind == "synchronous" else 0.0)
    if kind == "throughput":
        yield "a throughput benchmark sends all requests at once, and its times are waits"
        return
    note = ""
    if not streams:
        note = f"open loop ({kind}), concurrency is the mean in flight"
        reading.notes[f"{reading.place.file}: {note}"] = None
    model = _model(one) or _model(report)
    yield Run(
        {
            "mode": "closed_loop",
            "model": reading.names.model(model) or model,
            "concurrency": streams or max(flight, 1.0) if streams or flight else None,
            **lengths,
            **servers.configuration(section(report, "metadata", "server")),
        },
        values,
        doubts=reading.names.doubt(model),
        in_flight=flight or None,
        note=note,
        requests=done or None,
        spreads=spreads,
    )


def _model(record: Record) -> str:
    found = (text_of(section(record, *keys[:-1]), keys[-1]) for keys in _PLACES)
    return next(filter(None, found), "")


TOOL: Final = Tool(
    name="GuideLLM",
    files="JSON (benchmarks.json)",
    rows="ttft_s, tpot_s (closed_loop), one pair per rate or number of streams",
    states="concurrency (of a rate, the mean in flight), lengths, model in some releases",
    lacks="hardware, engine, tp, weight_format; model",
    matches=matches,
    read=read,
)
