"""NVIDIA's clients: AIPerf and its predecessor genai-perf, which has the same summary format.

Sources of the fields: docs/reference/json-export-schema.md, src/aiperf/common/models and
src/aiperf/config (models.py, phases.py) of ai-dynamo/aiperf; genai-perf/genai_perf/export_data/
json_exporter.py, its tests and genai_perf/config/input of triton-inference-server/perf_analyzer.
"""

import csv
import io
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
    section,
    text_of,
)
from perfcore.accuracy.importing.names import format_in
from perfcore.accuracy.importing.tables import cells_of
from perfcore.errors import argument, show

_KEYS: Final = {"input_config", "request_latency", "request_throughput"}
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0}
_TIMES: Final = {"ttft_s": "time_to_first_token", "tpot_s": "inter_token_latency"}
_ENGINES: Final = {"tensorrtllm": "trtllm", "vllm": "vllm"}  # behind Triton
_COMPLETED: Final = 0.9  # least share of completed requests in a meaningful run
_PREFIXES: Final = (
    "length",
    "prefix_prompt_length",
    "shared_system_prompt_length",
    "user_context_prompt_length",
)
_SWEEP: Final = "per_combination_metrics"
_LENGTHS: Final = {"input_len": "input_sequence_length", "output_len": "output_sequence_length"}
_STATISTICS: Final = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99"}
_LONGER: Final = 1.5  # tokens of an answer over those asked for, from which they were miscounted
_COLD: Final = 3.0  # mean over median from which a few first requests rule a mean


def matches(record: Record) -> bool:
    """Return whether a record is a summary of one of these clients, or of a sweep of them."""
    return record.keys() >= _KEYS or _SWEEP in record


def printed(text: str) -> list[dict[str, object]]:
    """Return the summary in a CSV file of these clients, or in the table that they print."""
    lines = text.strip().split("\n")
    if lines[0].lstrip('"').startswith("Metric,"):
        cells = _csv_cells(lines)
    else:
        cells = (
            (str(row[head]), {name: str(cell) for name, cell in row.items() if name != head})
            for row in cells_of(text)
            for head in ("Metric", "Statistic")
            if head in row
        )
    record: dict[str, object] = {"input_config": {}, "request_throughput": {}}
    for label, values in cells:
        name, _, unit = label.partition(" (")
        found = {
            "avg" if key == "Value" else key: cell_value(cell.replace(",", ""))
            for key, cell in values.items()
            if cell
        }
        record[name.strip().lower().replace(" ", "_")] = {"unit": unit.rstrip(")"), **found}
    return [record] if record.keys() >= _KEYS else []


def _csv_cells(lines: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the label and the values by heading of each line, below one heading or several."""
    header: list[str] = []
    for cells in csv.reader(io.StringIO("\n".join(lines))):
        if cells and cells[0] == "Metric":
            header = cells[1:]
        elif cells:
            yield cells[0], dict(zip(header, cells[1:], strict=False))


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a summary or the runs of a sweep, or the reason why it is left out."""
    if _SWEEP in record:
        for one in _combinations(record):
            yield from read(one, reading)
        return
    config = section(record, "input_config")
    reason = _reason(record, config)
    if reason:
        yield reason
        return
    lengths = {  # a data set of ready inputs has none; the user sets them
        column: measured(section(record, key), "avg", reading.place.at(key))
        for column, key in _LENGTHS.items()
        if key in record
    }
    if None in lengths.values():
        return
    asked, turns = _asked(config), _turns(config)
    _note_miscounted(lengths.get("output_len") or 0.0, asked, reading)
    values: dict[str, float | None] = {}
    for metric, key in _TIMES.items():
        doubt = _doubt(record, metric, key, config, keep=reading.keep_suspect)
        if doubt:
            yield doubt
        else:
            values[metric] = _seconds(record, key, reading)
    model, gpu = _model(config), _gpu(record)
    concurrency = _concurrency(config)
    stated = {
        "mode": "closed_loop",
        "date": text_of(record, "start_time")[:10],
        "model": reading.names.model(model) or model,
        "hardware": reading.names.device(gpu) or gpu,
        "concurrency": concurrency,
        **lengths,
    }
    if config.get("service_kind") == "triton":  # other services have its default there
        stated["engine"] = _ENGINES.get(text_of(config, "backend"), "")
    tokenizer = text_of(section(config, "tokenizer"), "name") or text_of(config, "tokenizer")
    doubts = reading.names.doubt(model)
    narrow = format_in(tokenizer)
    if narrow and "weight_format" not in reading.given:
        stated["weight_format"] = narrow
        reading.notes[
            f"{reading.place.file}: weight_format {narrow}, by the name of the tokenizer"
        ] = None
    _note_devices(record, reading)
    flight = _in_flight(record)
    if not concurrency:
        doubts["concurrency"] = (
            f" (an open loop, with {flight:.4g} requests in flight on average)" if flight else ""
        )
    yield Run(
        stated,
        values,
        doubts=doubts,
        in_flight=flight or None,
        note=f"{turns:g} turns a session" if turns > 1.0 else "",
        requests=count(section(record, "request_count"), "avg") or None,
        spreads={
            metric: percentiles(section(record, key), _STATISTICS, _scale(record, key))
            for metric, key in _TIMES.items()
        },
    )


def _combinations(record: Record) -> Iterator[Record]:
    """Yield the combinations of a sweep as summaries; only the parameters differ."""
    listed = record[_SWEEP]
    for one in listed if isinstance(listed, list) else []:
        if not isinstance(one, dict):
            continue
        found: dict[str, dict[str, object]] = {}
        for name, value in section(one, "metrics").items():
            metric, _, statistic = name.rpartition("_")
            if isinstance(value, dict) and metric:
                unit = text_of(value, "unit") or ("ms" if metric in _TIMES.values() else "")
                found.setdefault(metric, {"unit": unit})[statistic] = value.get("mean")
        config = dict(section(record, "input_config"))
        for name, value in section(one, "parameters").items():
            key = name.rpartition(".")[2].replace("-", "_")
            if key in ("concurrency", "request_rate"):
                config[key] = value
        yield {"request_latency": {}, "request_throughput": {}, **found, "input_config": config}


def _asked(config: Record) -> float:
    """Return the tokens that each answer was asked to have, 0 if not stated."""
    places = (
        (config, "output_tokens_mean"),
        (section(config, "input", "output_tokens"), "mean"),
        (section(config, "input", "prompt", "output_tokens"), "mean"),
        (section(config, "output"), "tokens_mean"),
    )
    return next((found for place, key in places if (found := count(place, key))), 0.0)


def _turns(config: Record) -> float:
    """Return the mean number of turns of a session, 0 if not stated."""
    places: tuple[tuple[Record, str], ...] = (
        (config, "session_turns_mean"),
        (section(config, "input", "conversation", "turn"), "mean"),
        (section(config, "input", "sessions", "turns"), "mean"),
        (section(config, "input", "turns"), "mean"),
    )
    datasets = config.get("datasets")
    sets = [one for one in datasets if isinstance(one, dict)] if isinstance(datasets, list) else []
    places += tuple((section(one, "turns"), "mean") for one in sets)
    places += tuple((section(one, "conversation", "turns"), "mean") for one in sets)
    places += tuple((one, "turns") for one in sets)
    return next((found for place, key in places if (found := count(place, key))), 0.0)


def _unusual_prompts(config: Record) -> str:
    """Return why the time of prompts is not that of their tokens, or ``""``."""
    turns = _turns(config)
    if turns > 1.0:
        return f"{turns:g} turns of a session share their prompts, which may be cached"
    inner = section(config, "input")
    prompt = section(inner, "prompt")
    shared = (
        *(count(section(prompt, "prefix_prompt"), key) for key in _PREFIXES),
        *(count(place, key) for place in (config, prompt) for key in _PREFIXES),
    )
    if any(shared):
        return "prompts share a prefix, which may be cached"
    kind = text_of(inner, "custom_dataset_type") or text_of(config, "custom_dataset_type")
    if kind in ("mooncake_trace", "multi_turn"):
        return f"prompts of a {kind} share prefixes, which may be cached"
    image = section(inner, "image")
    if count(section(image, "width"), "mean") or count(config, "image_width_mean"):
        return "prompts have images, whose time is not modelled"
    return ""


def _note_miscounted(length: float, asked: float, reading: Reading) -> None:
    if not asked or length <= _LONGER * asked:
        return
    reading.notes[
        f"{reading.place.file}: the answers have {length / asked:.1f} x the {asked:g} tokens that "
        "were asked for: the client miscounts them, and times per token are as much too short"
    ] = None


def _doubt(record: Record, metric: str, key: str, config: Record, *, keep: bool) -> str:
    """Return why a mean time is left out, or ``""``."""
    if key not in record:
        return f"{key} is not in the file; --streaming measures it"
    if metric != "ttft_s" or keep:
        return ""
    unusual = _unusual_prompts(config)
    if unusual:
        return f"{key}: {unusual}"
    cold = _cold(record, key)
    return f"{key}: {cold}" if cold else ""


def _cold(record: Record, key: str) -> str:
    """Return that a few first requests rule a mean, or ``""``."""
    metric = section(record, key)
    mean, median = count(metric, "avg"), count(metric, "p50")
    if not median or mean <= _COLD * median:
        return ""
    unit = text_of(metric, "unit")
    return (
        f"the mean of {mean:g} {unit} is {mean / median:.0f} times the median of {median:g} "
        f"{unit}, a cold start; warm up and measure again"
    )


def _scale(record: Record, key: str) -> float:
    return _SECONDS.get(text_of(section(record, key), "unit"), 0.0)


def _reason(record: Record, config: Record) -> str:
    """Return why a run cannot be a row, or ``""``."""
    if record.get("was_cancelled"):
        return "the run was cancelled"
    if False in (config.get("streaming"), section(config, "endpoint").get("streaming")):
        return "answers were not streamed, so tokens have no times; use --streaming"
    done = count(section(record, "request_count"), "avg")
    failed = count(section(record, "error_request_count"), "avg")
    if failed and done < _COMPLETED * (done + failed):
        return f"{failed:,.0f} of {done + failed:,.0f} requests failed"
    return ""


def _seconds(record: Record, key: str, reading: Reading) -> float | None:
    metric = section(record, key)
    place = reading.place.at(key)
    scale = _SECONDS.get(text_of(metric, "unit"))
    if scale is None:
        unit = show(metric.get("unit"))
        place.at("unit").fault(f"{unit} is not a unit of time", f"use {', '.join(_SECONDS)}")
        return None
    return measured(metric, "avg", place, scale)


def _model(config: Record) -> str:
    """Return the only model of a run, or ``""``; its place depends on the release."""
    items = section(config, "models").get("items")
    for found in (
        config.get("model"),
        config.get("model_names"),
        section(config, "endpoint").get("model_names"),
        [item.get("name") for item in items if isinstance(item, dict)]
        if isinstance(items, list)
        else None,
    ):
        names = found if isinstance(found, list) else [found]
        if len(names) == 1 and isinstance(names[0], str):
            return names[0].strip()
    return ""


def _concurrency(config: Record) -> float | None:
    """Return the requests kept in flight, or None if they arrive at a rate."""
    phases = config.get("phases")
    profiled = [
        phase
        for phase in (phases if isinstance(phases, list) else [])
        if isinstance(phase, dict) and "warmup" not in (phase.get("kind"), phase.get("name"))
    ]
    loads = [
        config,
        section(config, "loadgen"),
        section(config, "perf_analyzer", "stimulus"),
        *(profiled if len(profiled) == 1 else []),
    ]
    for load in loads:
        if load.get("request_rate") or load.get("type", "concurrency") != "concurrency":
            return None
    return next((found for load in loads if (found := count(load, "concurrency"))), None)


def _in_flight(record: Record) -> float:
    """Return the mean number of requests in flight, by Little's law; 0 if it is not known."""
    rate = count(section(record, "request_throughput"), "avg")
    latency = section(record, "request_latency")
    return rate * count(latency, "avg") * _SECONDS.get(text_of(latency, "unit"), 0.0)


def _gpus(record: Record) -> list[str]:
    """Return the names of the GPUs in the telemetry."""
    return [
        text_of(section(gpus, gpu), "gpu_name")
        for endpoint in section(record, "telemetry_data", "endpoints").values()
        if isinstance(endpoint, dict)
        for gpus in (section(endpoint, "gpus"),)
        for gpu in gpus
    ]


def _gpu(record: Record) -> str:
    """Return the name of the GPUs in the telemetry, if all have the same name."""
    names = set(_gpus(record))
    return names.pop() if len(names) == 1 else ""


def _note_devices(record: Record, reading: Reading) -> None:
    """Note that the telemetry has more GPUs than the one that is assumed."""
    found = len(_gpus(record))
    if found > 1 and not {"tp", "pp", "dp"} & reading.given.keys():
        reading.notes[
            f"{reading.place.file}: the telemetry has {found} GPUs, and one is assumed: add "
            f"{argument('given', {'tp': found})} if the server used them"
        ] = None


TOOL: Final = Tool(
    name="genai-perf, AIPerf",
    files="JSON, CSV and printed table of a profile, JSON of a sweep",
    rows="ttft_s (not of sessions of several turns), tpot_s (closed_loop)",
    states="model, hardware (AIPerf's telemetry), concurrency, lengths; CSV only lengths",
    lacks="engine, tp, weight_format; hardware",
    matches=matches,
    read=read,
    printed=printed,
)
