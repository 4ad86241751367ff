"""LMDeploy: CSV and printed text of its profilers; times are seconds, and milliseconds in new CSV.

Sources of the names: benchmark/profile_generation.py, profile_restful_api.py (until 0.6) and
lmdeploy/profiler.py of InternLM/lmdeploy, which profile_throughput.py and profile_pipeline_api.py
print and save with. Its server's client of today prints the table of vLLM's, which is read there.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from perfcore.accuracy.importing.documents import Record
from perfcore.accuracy.importing.fields import (
    OUTPUT_TOKENS_PER_S,
    Reading,
    Run,
    Tool,
    count,
    measured,
    text_of,
)

_KEYS: Final = {"batch", "prompt_tokens", "completion_tokens"}
_FIRST: Final = ("1st_token_latency(ave)(s)", "FTL(ave)(s)")
_STEP: Final = ("percentile50(s)", "50%(s)")
_LEGACY: Final = {"RPS", "RPM", "throughput(out tok/s)"}
_PROFILER: Final = {"bs", "completed", "total_input_tokens", "output_throughput"}
_MS: Final = 1e-3
_TITLE: Final = re.compile(r"^=+ Profile (?:Throughput|Pipeline API|\w+) =+$", re.MULTILINE)
_TABLE: Final = {  # lines of the profiler's table, and keys of its CSV
    "Successful requests": "completed",
    "Concurrency": "bs",
    "Total input tokens": "total_input_tokens",
    "Total generated tokens": "total_output_tokens",
    "Output throughput (tok/s)": "output_throughput",
    "Time to First Token (TTFT)": "mean_ttft_ms",
    "Time per Output Token (TPOT)": "mean_tpot_ms",
}
_CELL: Final = re.compile(r"^([A-Z][\w ()/-]*?(?:\([^)\n]*\))?) +(-?[\d.]+)(?= |$)", re.MULTILINE)
_OLD: Final = re.compile(r"^concurrency: (\d+)\s+elapsed_time: ([\d.]+)s$", re.MULTILINE)
_OLD_LINES: Final = {
    "ftl": re.compile(r"first_token latency\(min, max, ave\): [\d.]+s, [\d.]+s, ([\d.]+)s"),
    "total_input_tokens": re.compile(r"number of prompt tokens: (\d+)"),
    "total_output_tokens": re.compile(r"number of completion tokens: (\d+)"),
    "output_throughput": re.compile(r"token throughput \(completion token\): ([\d.]+) token/s"),
    "RPS": re.compile(r"RPS \(request per second\): ([\d.]+) req/s"),
}


def matches(record: Record) -> bool:
    """Return whether a record is a line of a profiler."""
    generation = record.keys() >= _KEYS and any(key in record for key in _FIRST)
    return generation or record.keys() >= _LEGACY or record.keys() >= _PROFILER


def printed(text: str) -> list[dict[str, object]]:
    """Return the results that the profilers print, under the keys of their CSV."""
    found: list[dict[str, object]] = []
    for part in _TITLE.split(text)[1:]:
        cells = {" ".join(name.split()): float(value) for name, value in _CELL.findall(part)}
        record: dict[str, object] = {
            key: cells[name] * (1e3 if key.endswith("_ms") else 1.0)
            for name, key in _TABLE.items()
            if name in cells
        }
        if record.keys() >= _PROFILER:
            found.append(record)
    for start in _OLD.finditer(text):
        after = _OLD.search(text, start.end())
        part = text[start.end() : after.start() if after else len(text)]
        lines = {key: pattern.search(part) for key, pattern in _OLD_LINES.items()}
        values = {key: float(line[1]) for key, line in lines.items() if line}
        if values.keys() >= {"total_input_tokens", "output_throughput", "RPS"}:
            requests = round(values["RPS"] * float(start[2]))
            first = {"mean_ttft_ms": values.pop("ftl") * 1e3} if "ftl" in values else {}
            found.append({"bs": float(start[1]), "completed": requests, **values, **first})
    return found


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a batch in lockstep, or of threads that send one request after another."""
    if record.keys() >= _PROFILER:
        yield from _profiled(record, reading)
    elif record.keys() >= _LEGACY:
        yield from _legacy(record, reading)
    else:
        yield _generated(record, reading)


def _generated(record: Record, reading: Reading) -> Run:
    places = {
        metric: next((key for key in keys if key in record), "")
        for metric, keys in (("ttft_s", _FIRST), ("tpot_s", _STEP))
    }
    model = text_of(record, "model")
    return Run(
        {
            "mode": "static",
            "engine": "lmdeploy",
            "runner": "offline",
            "model": reading.names.model(model) or model,
            "concurrency": count(record, "batch") or None,
            "input_len": count(record, "prompt_tokens"),
            "output_len": count(record, "completion_tokens") or None,
        },
        {metric: measured(record, key, reading.place) for metric, key in places.items() if key},
        doubts=reading.names.doubt(model),
        note="tpot_s is a median of steps",
    )


def _profiled(record: Record, reading: Reading) -> Iterator[Run]:
    """Yield a run of the profiler that all tools share."""
    done, sent, answered = (
        measured(record, key, reading.place)
        for key in ("completed", "total_input_tokens", "total_output_tokens")
    )
    if done is None or sent is None or answered is None:
        return
    values = {
        metric: measured(record, key, reading.place, _MS)
        for metric, key in (("ttft_s", "mean_ttft_ms"), ("tpot_s", "mean_tpot_ms"))
        if record.get(key) not in (None, "-", "")
    }
    if not values.keys() >= {"ttft_s"}:  # not streamed: a time per token has the prompt in it
        values = {}
    lengths = {"input_len": sent / done, "output_len": answered / done}
    yield _loaded(record, "bs", lengths, values, "output_throughput", reading, done)


def _legacy(record: Record, reading: Reading) -> Iterator[Run]:
    """Yield a run of the CSV before 0.7, which does not state lengths."""
    first = record.get("FTL(ave)(s)")
    values = (
        {"ttft_s": measured(record, "FTL(ave)(s)", reading.place)}
        if first not in (None, "-")
        else {}
    )
    users = "batch" if "batch" in record else "bs"
    done = count(record, "num_prompts") or None
    yield _loaded(record, users, {}, values, "throughput(out tok/s)", reading, done)


def _loaded(
    record: Record,
    users: str,
    lengths: Mapping[str, object],
    values: Mapping[str, float | None],
    rate: str,
    reading: Reading,
    requests: float | None,
) -> Run:
    return Run(
        {
            "mode": "closed_loop",
            "engine": "lmdeploy",
            "concurrency": count(record, users) or None,
            **lengths,
        },
        {**values, OUTPUT_TOKENS_PER_S: measured(record, rate, reading.place)},
        requests=requests,
    )


TOOL: Final = Tool(
    name="LMDeploy (profile_generation, _throughput, _pipeline_api, _restful_api)",
    files="CSV, printed text",
    rows="ttft_s, tpot_s (median of steps; static); ttft_s, tpot_s, throughput (closed_loop)",
    states="concurrency, lengths (not CSV before 0.7)",
    lacks="model, hardware, tp, weight_format",
    matches=matches,
    read=read,
    printed=printed,
)
