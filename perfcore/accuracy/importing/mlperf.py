"""MLPerf inference: ``mlperf_log_summary.txt`` of LoadGen, for language models.

Source of the lines: loadgen/results.cc of mlcommons/inference.
"""

from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing.documents import Record, cell_value
from perfcore.accuracy.importing.fields import (
    OUTPUT_TOKENS_PER_S,
    Reading,
    Run,
    Tool,
    count,
    text_of,
)
from perfcore.accuracy.importing.tables import labels_of

_KEYS: Final = {"Scenario", "SUT name", "Result is"}
_NS: Final = 1e-9
_TTFT: Final = "Mean First Token latency (ns)"
_TPOT: Final = ("Mean Time per Output Token (ns)", "Mean Time to Output Token (ns)")


def matches(record: Record) -> bool:
    """Return whether a record is a summary of LoadGen."""
    return record.keys() >= _KEYS


def printed(text: str) -> list[dict[str, object]]:
    """Return the lines of a summary by their label."""
    found = labels_of(text)
    if not found.keys() >= _KEYS:
        return []
    return [{label: cell_value(value) for label, value in found.items()}]


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a summary: saturation offline, an open loop for a server."""
    if text_of(record, "Result is") != "VALID":
        yield "the result is not valid"
        return
    if "Accuracy" in text_of(record, "Mode"):
        yield "a run for accuracy measures no speed"
        return
    scenario = text_of(record, "Scenario")
    offline = scenario == "Offline"
    prefix = "" if offline else "Completed "
    samples = count(record, f"{prefix}samples per second".capitalize())
    tokens = count(record, f"{prefix}tokens per second".capitalize())
    if not tokens or not samples:
        yield f"{scenario}: no rate of tokens"
        return
    length = tokens / samples
    stated: dict[str, object] = {"output_len": length, "date": ""}
    if offline:
        note = f"MLPerf Offline, {text_of(record, 'SUT name')}"
        values: dict[str, float | None] = {OUTPUT_TOKENS_PER_S: tokens}
        yield Run(stated | {"mode": "saturation", "runner": "offline"}, values, note=note)
        return
    first = count(record, _TTFT) * _NS
    step = next((count(record, key) for key in _TPOT if count(record, key)), 0.0) * _NS
    flight = samples * (first + step * max(length - 1.0, 0.0))
    values = {metric: time for metric, time in (("ttft_s", first), ("tpot_s", step)) if time}
    if not values:
        yield f"{scenario}: no mean times of tokens"
        return
    reading.notes[
        f"{reading.place.file}: an open loop; concurrency is the mean in flight, {flight:.4g}"
    ] = None
    yield Run(
        stated | {"mode": "closed_loop", "concurrency": max(flight, 1.0)},
        dict(values),
        in_flight=flight,
        note=f"MLPerf {scenario}, {text_of(record, 'SUT name')}",
    )


TOOL: Final = Tool(
    name="MLPerf inference (LoadGen)",
    files="mlperf_log_summary.txt",
    rows="throughput (saturation) of Offline; ttft_s, tpot_s of Server",
    states="output_len, mode",
    lacks="model, hardware, engine, tp (or dp), weight_format, input_len",
    matches=matches,
    read=read,
    printed=printed,
)
