"""LLMPerf: ``*_summary.json`` of ``token_benchmark_ray.py``; times are seconds.

Source of the fields: token_benchmark_ray.py and src/llmperf/ray_clients of ray-project/llmperf. Its
inter-token latency is the whole time of a request over its tokens, so that it is not ``tpot_s``.
"""

from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing.documents import Record, cell_value
from perfcore.accuracy.importing.fields import (
    Reading,
    Run,
    Tool,
    count,
    measured,
    percentiles,
    text_of,
)

_WHOLE: Final = "results_end_to_end_latency_s_mean"
_KEYS: Final = {"num_concurrent_requests", "results_ttft_s_mean", _WHOLE}
_COMPLETED: Final = 0.9


def matches(record: Record) -> bool:
    """Return whether a record is a summary of LLMPerf."""
    return record.keys() >= _KEYS


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a summary."""
    started = count(record, "results_num_requests_started")
    failed = count(record, "results_number_errors")
    if started and failed > (1.0 - _COMPLETED) * started:
        yield f"{failed:,.0f} of {started:,.0f} requests failed"
        return
    lengths = {
        column: _number(record, f"results_number_{kind}_tokens_mean", f"mean_{kind}_tokens")
        for column, kind in (("input_len", "input"), ("output_len", "output"))
    }
    ttft = measured(record, "results_ttft_s_mean", reading.place)
    whole = measured(record, _WHOLE, reading.place)
    if ttft is None or whole is None:
        return
    values = {"ttft_s": ttft}
    tokens = lengths["output_len"] or 0.0
    if tokens > 1.0 and whole > ttft:
        values["tpot_s"] = (whole - ttft) / (tokens - 1.0)
    else:
        yield "answers of one token have no time per further token"
    model = text_of(record, "model")
    names = {name: f"results_ttft_s_quantiles_{name}" for name in ("p50", "p90", "p99")}
    yield Run(
        {
            "mode": "closed_loop",
            "model": reading.names.model(model) or model,
            "concurrency": record.get("num_concurrent_requests"),
            **lengths,
        },
        values,
        doubts=reading.names.doubt(model),
        spreads={"ttft_s": percentiles(record, names)},
        requests=count(record, "results_num_completed_requests") or None,
    )


def _number(record: Record, *keys: str) -> float | None:
    for key in keys:
        value = cell_value(str(record.get(key)))  # some releases write numbers as text
        if isinstance(value, float) and value > 0.0:
            return value
    return None


TOOL: Final = Tool(
    name="LLMPerf",
    files="JSON summary",
    rows="ttft_s, tpot_s from whole requests (closed_loop)",
    states="model, concurrency, lengths",
    lacks="hardware, engine, tp, weight_format",
    matches=matches,
    read=read,
)
