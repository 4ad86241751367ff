"""vLLM: ``bench serve``, ``latency`` and ``throughput``; SGLang: ``bench_serving``.

Sources of the fields: vllm/benchmarks/serve.py, latency.py and throughput.py of vllm-project/vllm,
python/sglang/benchmark/serving.py of sgl-project/sglang. ``server_info`` holds an SGLang server's
arguments and version (python/sglang/srt/entrypoints/http_server.py).
"""

import math
import re
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

_SERVE: Final = {"completed", "total_input_tokens", "total_output_tokens", "request_throughput"}
_LATENCY: Final = {"avg_latency", "latencies", "percentiles"}
_THROUGHPUT: Final = {"elapsed_time", "num_requests", "total_num_tokens", "requests_per_second"}

_TIMES: Final = {"ttft_s": "mean_ttft_ms", "tpot_s": "mean_tpot_ms"}
_MS: Final = 1e-3
# `vllm bench serve --metadata tp=8` writes such keys beside the results.
_METADATA: Final = (
    "hardware",
    "engine",
    "engine_version",
    "weight_format",
    "kv_format",
    "tp",
    "pp",
    "ep",
    "dp",
    "eager",
    "runner",
    "prefill_chunk",
    "power_limit",
)
_ENGINES: Final = {"vllm": "vllm", "tensorrt-llm": "trtllm", "trt": "trtllm"}
_DAY: Final = re.compile(r"(\d{4})(\d\d)(\d\d)-\d{6}")
_COMPLETED: Final = 0.9  # least share of completed requests in a meaningful run


def matches(record: Record) -> bool:
    """Return whether a record is a result of one of these tools."""
    return any(record.keys() >= keys for keys in (_SERVE, _LATENCY, _THROUGHPUT))


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a result, or the reason why it is left out."""
    if record.keys() >= _LATENCY:
        yield Run(
            {"mode": "static", "engine": "vllm"},
            {"e2e_latency_s": measured(record, "avg_latency", reading.place)},
        )
    elif record.keys() >= _THROUGHPUT:
        yield from _throughput(record, reading)
    else:
        yield from _serve(record, reading)


def _throughput(record: Record, reading: Reading) -> Iterator[Run]:
    """Yield an offline run, which states only the tokens of prompts and answers together.

    The length of the answers must therefore be set.
    """
    requests, tokens, rate = (
        measured(record, key, reading.place)
        for key in ("num_requests", "total_num_tokens", "requests_per_second")
    )
    if requests is None or tokens is None or rate is None:
        return
    stated: dict[str, object] = {
        "mode": "saturation",
        "engine": "vllm",
        "runner": "offline",
    }
    output_len = reading.given.get("output_len")
    if not isinstance(output_len, int | float):
        # a placeholder, so that the user is not asked for input_len: output_len is enough
        yield Run(stated | {"input_len": tokens / requests}, {})
        return
    if tokens / requests > output_len:
        stated["input_len"] = tokens / requests - output_len
    yield Run(stated, {OUTPUT_TOKENS_PER_S: rate * output_len})


def _serve(record: Record, reading: Reading) -> Iterator[Run | str]:
    reason = _reason(record)
    if reason:
        yield reason
        return
    completed, tokens_in, tokens_out = (
        measured(record, key, reading.place)
        for key in ("completed", "total_input_tokens", "total_output_tokens")
    )
    if completed is None or tokens_in is None or tokens_out is None:
        return
    output_len = tokens_out / completed
    values = {}
    for metric, key in _TIMES.items():
        if key not in record:
            yield f"{key} is not in the file; the benchmark's --percentile-metrics chooses"
        elif metric == "tpot_s" and output_len <= 1.0:
            yield "answers of one token have no time per further token"
        else:
            values[metric] = measured(record, key, reading.place, _MS)
    info = section(record, "server_info")
    model = text_of(record, "model_id") or text_of(info, "model_path")
    concurrency, why = _concurrency(record, completed, output_len)
    stated = {
        "mode": "closed_loop",
        "date": _day(text_of(record, "date")),
        "engine": _engine(text_of(record, "backend")),
        "model": reading.names.model(model) or model,
        "concurrency": concurrency,
        "input_len": tokens_in / completed,
        "output_len": output_len,
        **_server(info),
        **{key: record[key] for key in _METADATA if key in record},
    }
    stated["hardware"] = _hardware(record.get("hardware"), reading)
    assumed = {"engine": "vllm"} if "endpoint_type" in record else {}
    doubts = reading.names.doubt(model) | ({} if concurrency else {"concurrency": why})
    yield Run(stated, values, assumed, doubts)


def _reason(record: Record) -> str:
    """Return why a serving run cannot be a row, or ``""``."""
    if record.get("spec_decode_acceptance_length") or record.get("accept_length"):
        return "speculative decoding has no column"
    done, failed = count(record, "completed"), count(record, "failed")
    if failed and done < _COMPLETED * (done + failed):
        return f"{failed:,.0f} of {done + failed:,.0f} requests failed"
    return ""


def _concurrency(record: Record, completed: float, output_len: float) -> tuple[float | None, str]:
    """Return the sequences in flight of a closed loop, or a remark on the mean of an open one."""
    limit = count(record, "max_concurrency")
    if limit and record.get("request_rate") in (None, "inf", math.inf):
        return min(limit, completed), ""
    ttft, tpot = count(record, "mean_ttft_ms"), count(record, "mean_tpot_ms")
    request = (ttft + tpot * max(output_len - 1.0, 0.0)) * _MS
    mean = count(record, "concurrency") or count(record, "request_throughput") * request
    return None, f" (an open loop, with {mean:.4g} requests in flight on average)"


def _day(text: str) -> str:
    found = _DAY.fullmatch(text)
    return "-".join(found.groups()) if found else ""


def _engine(backend: str) -> str:
    return "sglang" if backend.startswith("sglang") else _ENGINES.get(backend, "")


def _hardware(value: object, reading: Reading) -> object:
    return reading.names.device(value) or value if isinstance(value, str) else value


def _server(info: Record) -> dict[str, object]:
    """Return the configuration that an SGLang server reports."""
    attention = info.get("enable_dp_attention") is True  # its ranks are among those of tp
    return {
        "engine_version": text_of(info, "version"),
        "weight_format": text_of(info, "quantization"),
        "kv_format": text_of(info, "kv_cache_dtype"),
        "tp": info.get("tp_size"),
        "pp": info.get("pp_size"),
        "dp": None if attention else info.get("dp_size"),
        "eager": "true" if info.get("disable_cuda_graph") is True else "",
        "prefill_chunk": count(info, "chunked_prefill_size") or None,  # -1: prompts are not split
    }
