"""NVIDIA's clients: AIPerf and its predecessor genai-perf, which has the same summary format.

Sources of the fields: docs/reference/json-export-schema.md, src/aiperf/common/models and
src/aiperf/config (models.py, phases.py) of ai-dynamo/aiperf; genai-perf/genai_perf/export_data/
json_exporter.py, its tests and genai_perf/config/input of triton-inference-server/perf_analyzer.
"""

from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing.documents import Record
from perfcore.accuracy.importing.fields import Reading, Run, count, measured, section, text_of
from perfcore.errors import show

_KEYS: Final = {"input_config", "request_latency", "request_throughput"}
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0}
_TIMES: Final = {"ttft_s": "time_to_first_token", "tpot_s": "inter_token_latency"}
_ENGINES: Final = {"tensorrtllm": "trtllm", "vllm": "vllm"}  # behind Triton
_COMPLETED: Final = 0.9  # least share of completed requests in a meaningful run


def matches(record: Record) -> bool:
    """Return whether a record is a summary of one of these clients."""
    return record.keys() >= _KEYS


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a summary, or the reason why it is left out."""
    config = section(record, "input_config")
    reason = _reason(record, config)
    if reason:
        yield reason
        return
    lengths = {
        column: measured(section(record, key), "avg", reading.place.at(key))
        for column, key in (
            ("input_len", "input_sequence_length"),
            ("output_len", "output_sequence_length"),
        )
    }
    if None in lengths.values():
        return
    values = {}
    for metric, key in _TIMES.items():
        if key in record:
            values[metric] = _seconds(record, key, reading)
        else:
            yield f"{key} is not in the file; --streaming measures it"
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
    doubts = reading.names.doubt(model)
    if not concurrency:
        doubts["concurrency"] = _in_flight(record)
    yield Run(stated, values, doubts=doubts)


def _reason(record: Record, config: Record) -> str:
    """Return why a run cannot be a row, or ``""``."""
    if record.get("was_cancelled"):
        return "the run was cancelled"
    if False in (config.get("streaming"), section(config, "endpoint").get("streaming")):
        return "answers were not streamed, so that tokens have no times; use --streaming"
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


def _in_flight(record: Record) -> str:
    """Return a remark on the mean number of requests in flight, by Little's law."""
    rate = count(section(record, "request_throughput"), "avg")
    latency = section(record, "request_latency")
    mean = rate * count(latency, "avg") * _SECONDS.get(text_of(latency, "unit"), 0.0)
    return f" (an open loop, with {mean:.4g} requests in flight on average)" if mean else ""


def _gpu(record: Record) -> str:
    """Return the name of the GPUs in the telemetry, if all have the same name."""
    names = {
        text_of(section(gpus, gpu), "gpu_name")
        for endpoint in section(record, "telemetry_data", "endpoints").values()
        if isinstance(endpoint, dict)
        for gpus in (section(endpoint, "gpus"),)
        for gpu in gpus
    }
    return names.pop() if len(names) == 1 else ""
