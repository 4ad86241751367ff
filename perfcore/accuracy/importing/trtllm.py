"""TensorRT-LLM: reports of ``trtllm-bench throughput`` and ``latency`` (``--report_json``).

Sources of the fields: tensorrt_llm/bench/dataclasses/reporting.py and statistics.py of
NVIDIA/TensorRT-LLM. Source of the names of quantisations: tensorrt_llm/quantization/mode.py.
"""

from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing.documents import Record
from perfcore.accuracy.importing.fields import (
    OUTPUT_TOKENS_PER_S,
    Reading,
    Run,
    count,
    measured,
    section,
    text_of,
)

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
        "tp": world.get("tp_size"),
        "pp": world.get("pp_size"),
        "ep": count(world, "ep_size") or None,  # -1 for a model without experts
    }
