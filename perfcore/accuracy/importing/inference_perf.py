"""inference-perf: ``stage_N_lifecycle_metrics.json`` and ``summary_lifecycle_metrics.json``.

Source of the fields: docs/metrics.md of kubernetes-sigs/inference-perf; times are seconds.
"""

from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing.documents import Record
from perfcore.accuracy.importing.fields import (
    Reading,
    Run,
    Tool,
    count,
    measured,
    percentiles,
    section,
)

_COMPLETED: Final = 0.9


def matches(record: Record) -> bool:
    """Return whether a record is a summary of a stage."""
    return "load_summary" in record and "successes" in record


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a stage: an open loop, unless it states a concurrency."""
    load, done = section(record, "load_summary"), section(record, "successes")
    failed, completed = count(section(record, "failures"), "count"), count(done, "count")
    if failed and completed < _COMPLETED * (completed + failed):
        yield f"{failed:,.0f} of {completed + failed:,.0f} requests failed"
        return
    place = reading.place.at("successes")
    times = section(done, "latency")
    lengths = {
        column: measured(section(done, key), "mean", place.at(key))
        for column, key in (("input_len", "prompt_len"), ("output_len", "output_len"))
    }
    key = "time_per_output_token" if "time_per_output_token" in times else "inter_token_latency"
    values, spreads = {}, {}
    for metric, name in (("ttft_s", "time_to_first_token"), ("tpot_s", key)):
        if name not in times:
            yield f"{name} is not in the file; streaming measures it"
            continue
        found = section(times, name)
        values[metric] = measured(found, "mean", place.at(name))
        spreads[metric] = percentiles(found, {"median": "median", "p90": "p90", "p99": "p99"})
    flight = count(section(done, "throughput"), "requests_per_sec") * count(
        section(times, "request_latency"), "mean"
    )
    streams = count(load, "concurrency")
    note = ""
    if not streams and flight:
        note = f"open loop at {count(load, 'requested_rate'):g} requests/s"
        reading.notes[
            f"{reading.place.file}: {note}; concurrency is the mean in flight, {flight:.4g}"
        ] = None
    yield Run(
        {
            "mode": "closed_loop",
            "concurrency": streams or (max(flight, 1.0) if flight else None),
            **lengths,
        },
        values,
        in_flight=flight or None,
        note=note,
        spreads=spreads,
    )


TOOL: Final = Tool(
    name="inference-perf",
    files="JSON of a stage or a summary",
    rows="ttft_s, tpot_s (closed_loop at the mean in flight)",
    states="concurrency, lengths",
    lacks="model, hardware, engine, tp, weight_format",
    matches=matches,
    read=read,
)
