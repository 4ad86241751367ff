"""TensorRT-LLM: reports of ``trtllm-bench throughput`` and ``latency`` (``--report_json``).

Sources of the fields: tensorrt_llm/bench/dataclasses/reporting.py and statistics.py of
NVIDIA/TensorRT-LLM. Source of the names of quantisations: tensorrt_llm/quantization/mode.py.
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
    measured,
    section,
    text_of,
)
from perfcore.accuracy.importing.tables import labels_of

_KEYS: Final = {"engine", "world_info", "request_info", "performance"}
_MS: Final = 1e-3
_ONE: Final = 1.05  # mean sequences in flight, up to which they ran one at a time
_FORMATS: Final = {  # formats with another name in the catalogue
    "W4A16_AWQ": "int4-g128-awq",
    "W4A16_GPTQ": "int4-g128-gptq",
    "FP8_BLOCK_SCALES": "fp8-block128",
    "FP8_PER_CHANNEL_PER_TOKEN": "fp8",
    "W4A16_MXFP4": "mxfp4",
    "W4A8_MXFP4_MXFP8": "mxfp4",
    "W4A8_MXFP4_FP8": "mxfp4",
}


# Lines that trtllm-bench prints, and the places of their values in a report.
_LINES: Final = {
    "Model": ("engine", "model"),
    "TensorRT-LLM Version": ("engine", "version"),
    "Dtype": ("engine", "dtype"),
    "KV Cache Dtype": ("engine", "kv_cache_dtype"),
    "Quantization": ("engine", "quantization"),
    "TP Size": ("world_info", "tp_size"),
    "PP Size": ("world_info", "pp_size"),
    "EP Size": ("world_info", "ep_size"),
    "Max Runtime Batch Size": ("world_info", "max_batch_size"),
    "Number of requests": ("request_info", "num_requests"),
    "Number of concurrent requests": ("request_info", "avg_num_concurrent_requests"),
    "Average Input Length (tokens)": ("request_info", "avg_input_length"),
    "Average Output Length (tokens)": ("request_info", "avg_output_length"),
    "Total Output Throughput (tokens/sec)": ("performance", "system_output_throughput_tok_s"),
    "Average request latency (ms)": ("performance", "avg_request_latency_ms"),
    "Average time-to-first-token [TTFT] (ms)": ("streaming_metrics", "avg_ttft_ms"),
    "Average time-per-output-token [TPOT] (ms)": ("streaming_metrics", "avg_tpot_ms"),
}
_LOG: Final = re.compile(r"^(?:\[[^\]\n]*\] ?)+", re.MULTILINE)


def printed(text: str) -> list[dict[str, object]]:
    """Return the report that trtllm-bench prints."""
    report: dict[str, dict[str, object]] = {}
    found = labels_of(_LOG.sub("", text))
    for label, (part, key) in _LINES.items():
        value = found.get(label, "None")
        if value not in ("None", "N/A"):
            report.setdefault(part, {})[key] = cell_value(value.replace(",", ""))
    if not {"request_info", "performance"} <= report.keys():
        return []
    return [{"engine": {}, "world_info": {}, **report}]


def matches(record: Record) -> bool:
    """Return whether a record is a report of trtllm-bench."""
    return record.keys() >= _KEYS


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a report, or the reason why it is left out.

    Requests in flight include requests that wait. If there are more than the engine runs at once,
    the server is saturated and latencies depend on the queue, so only the throughput becomes a row.
    """
    if "decoding_stats" in record:
        yield "speculative decoding has no column"
        return
    reason = servers.unsuitable(section(record, "engine"))
    if reason:
        yield reason
        return
    performance = section(record, "performance")
    requests = section(record, "request_info")
    place = reading.place.at("request_info")
    lengths = {
        "input_len": measured(requests, "avg_input_length", place),
        "output_len": measured(requests, "avg_output_length", place),
    }
    flight = measured(requests, "avg_num_concurrent_requests", place)
    if flight is None or None in lengths.values():
        return
    stated = lengths | _configuration(record, reading)
    place = reading.place.at("performance")
    total = measured(performance, "system_output_throughput_tok_s", place)
    most = count(section(record, "world_info"), "max_batch_size")
    if flight <= _ONE:
        latency = measured(performance, "avg_request_latency_ms", place, _MS)
        values = {"e2e_latency_s": latency} | _times(record, reading)
        yield Run(stated | {"mode": "static", "concurrency": 1.0}, values)
    elif most and flight > most:
        yield Run(stated | {"mode": "saturation"}, {OUTPUT_TOKENS_PER_S: total})
    else:
        values = {OUTPUT_TOKENS_PER_S: total} | _times(record, reading)
        yield Run(stated | {"mode": "closed_loop", "concurrency": flight}, values)


def _times(record: Record, reading: Reading) -> dict[str, float | None]:
    """Return times per token, which exist if answers were streamed."""
    streaming = section(record, "streaming_metrics")
    place = reading.place.at("streaming_metrics")
    return {
        metric: measured(streaming, key, place, _MS)
        for metric, key in (("ttft_s", "avg_ttft_ms"), ("tpot_s", "avg_tpot_ms"))
        if streaming
    }


def _configuration(record: Record, reading: Reading) -> dict[str, object]:
    engine, world = section(record, "engine"), section(record, "world_info")
    model = text_of(engine, "model") or text_of(engine, "model_path")
    gpu = text_of(section(record, "machine"), "name")
    degrees: dict[str, object] = {"tp": world.get("tp_size")}
    if servers.truth(world.get("enable_attention_dp")):
        degrees = servers.attention_groups(count(world, "tp_size"), count(world, "tp_size"))
    quantised = text_of(engine, "quantization").replace("NO_QUANT", "")
    weights = _FORMATS.get(quantised, quantised)
    if quantised.startswith("W8A8_SQ"):
        weights = "int8-w8a8"
    return {
        "engine": "trtllm",
        "engine_version": text_of(engine, "version"),
        "runner": "offline",
        "model": reading.names.model(model) or model,
        "hardware": reading.names.device(gpu) or gpu,
        "weight_format": weights or text_of(engine, "dtype"),
        "kv_format": text_of(engine, "kv_cache_dtype") or "auto",
        **degrees,
        "pp": world.get("pp_size"),
        "ep": count(world, "ep_size") or None,  # -1 for a model without experts
    }


TOOL: Final = Tool(
    name="TensorRT-LLM (trtllm-bench)",
    files="JSON reports, printed tables",
    rows="e2e_latency_s, ttft_s, tpot_s, throughput (static, closed_loop or saturation)",
    states="model, hardware (JSON), engine, formats, tp, pp, ep, concurrency, lengths",
    lacks="hardware of a printed table",
    matches=matches,
    read=read,
    printed=printed,
)
