"""vLLM: ``bench serve``, ``latency`` and ``throughput``; SGLang: ``bench_serving``.

Sources of the fields: vllm/benchmarks/serve.py, latency.py and throughput.py of vllm-project/vllm,
python/sglang/benchmark/serving.py of sgl-project/sglang. ``server_info`` holds an SGLang server's
arguments and version (python/sglang/srt/entrypoints/http_server.py).
"""

import math
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
    first_text,
    measured,
    percentiles,
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
_ENGINES: Final = {
    "vllm": "vllm",
    "tensorrt-llm": "trtllm",
    "trt": "trtllm",
    "lmdeploy": "lmdeploy",
    "lmdeploy-chat": "lmdeploy",
    "tgi": "tgi",
}
_DAY: Final = re.compile(r"(\d{4})(\d\d)(\d\d)-\d{6}")
_COMPLETED: Final = 0.9  # least share of completed requests in a meaningful run
_COLD: Final = 3.0  # mean over median from which a few first requests rule a mean
_SPREAD: Final = 2.0  # median over mean that no distribution of times exceeds
_ROUNDED: Final = 1.25  # ratio up to which two statements of one figure agree
_STATISTICS: Final = ("median", "p90", "p95", "p99")

# Lines of the tables that vLLM's, SGLang's and LMDeploy's clients print, and keys of their JSON.
_LINES: Final = {
    "successful requests": "completed",
    "failed requests": "failed",
    "maximum request concurrency": "max_concurrency",
    "max request concurrency": "max_concurrency",
    "max reqeuest concurrency": "max_concurrency",  # spelled like this in some releases of SGLang
    "request rate configured (rps)": "request_rate",
    "traffic request rate": "request_rate",
    "benchmark duration (s)": "duration",
    "total input tokens": "total_input_tokens",
    "total generated tokens": "total_output_tokens",
    "request throughput (req/s)": "request_throughput",
    "output token throughput (tok/s)": "output_throughput",
    "concurrency": "concurrency",
    "accept length": "accept_length",
    "acceptance length": "accept_length",
    "backend": "backend",
    "num prompts": "num_prompts",
}
_TIME_LINE: Final = re.compile(r"(mean|median|p\d+) (ttft|tpot|itl|e2el|e2e latency) \(ms\)")
_TITLE: Final = re.compile(r"=+ Serving Benchmark Result =+|(?=^[ \t|]*Backend:)", re.MULTILINE)
_OFFLINE: Final = "Offline Throughput Benchmark Result"
_LINE: Final = re.compile(r"^[ \t|]*([^:\n]+?):[ \t]+([^\n]+?)[ \t|]*$", re.MULTILINE)
_NUMBER: Final = re.compile(r"-?[\d,]*\.?\d+(?:e[-+]?\d+)?|inf|nan", re.IGNORECASE)
_THROUGHPUT_LINE: Final = re.compile(
    r"Throughput: ([\d.]+) requests/s, ([\d.]+) total tokens/s(?:, ([\d.]+) output tokens/s)?"
)
_TOTALS: Final = re.compile(r"Total num (prompt|output) tokens:\s+(\d+)")
_LATENCY_LINE: Final = re.compile(r"Avg latency: ([\d.]+) seconds")
_PERCENTILE_LINE: Final = re.compile(r"([\d.]+)% percentile latency: ([\d.]+) seconds")


def matches(record: Record) -> bool:
    """Return whether a record is a result of one of these tools."""
    return any(record.keys() >= keys for keys in (_SERVE, _LATENCY, _THROUGHPUT))


def printed(text: str) -> list[dict[str, object]]:
    """Return the results in tables and lines that the clients print."""
    if _OFFLINE in text:  # read with SGLang's other tools
        return []
    options = servers.arguments(text)
    found = [
        {"table": "printed", **_options(options), **record}
        for part in re.split(
            r"=+ Serving Benchmark Result =+|(?=^[ \t|]*Backend:)", text, flags=re.MULTILINE
        )
        if (record := _table(part)).keys() >= _SERVE
    ]
    for match in _THROUGHPUT_LINE.finditer(text):
        totals = {name: float(number) for name, number in _TOTALS.findall(text[match.end() :])}
        rate, tokens = float(match[1]), float(match[2])
        answers = float(match[3] or 0.0)
        requests = totals.get("output", 0.0) * rate / answers if answers else 0.0
        requests = requests or count(options, "num_prompts")
        found.append(
            {
                **_options(options),
                "elapsed_time": requests / rate if rate else 0.0,
                "num_requests": round(requests) or None,
                "total_num_tokens": tokens / rate * requests if rate else 0.0,
                "requests_per_second": rate,
                "output_tokens_per_second": answers or None,
                "tokens_per_request": tokens / rate if rate else None,
            }
        )
    for match in _LATENCY_LINE.finditer(text):
        rest = dict(_PERCENTILE_LINE.findall(text[match.end() :]))
        values = {"avg_latency": float(match[1]), "latencies": [], "percentiles": rest}
        found.append({**_options(options), **values})
    return found


def _table(text: str) -> dict[str, object]:
    record: dict[str, object] = {}
    for label, value in _LINE.findall(text):
        name = " ".join(label.lower().split())
        time = _TIME_LINE.fullmatch(name)
        key = _LINES.get(name)
        if time:
            what = {"e2e latency": "e2e_latency", "e2el": "e2e_latency"}.get(time[2], time[2])
            key = f"{time[1]}_{what}_ms"
        if key is None:
            continue
        word, *_ = value.split() or [""]
        number = _NUMBER.fullmatch(word)
        record[key] = cell_value(word.replace(",", "")) if number else value.strip()
    return record


def _options(options: Record) -> dict[str, object]:
    """Return the arguments of a client or engine that its log prints, under the keys of JSON."""
    kept = dict(options)
    model = kept.pop("model", None)
    return {"model_id": model, **kept} if isinstance(model, str) else kept


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a result, or the reason why it is left out."""
    if record.keys() >= _LATENCY:
        reason = servers.unsuitable(record)
        if reason:
            yield reason
            return
        shares = section(record, "percentiles")
        spread = percentiles(
            {name: float(str(value)) for name, value in shares.items() if _is_number(value)},
            {f"p{name}": name for name in shares},
        )
        yield Run(
            {
                "mode": "static",
                "engine": "vllm",
                **_named(record, reading),
                **servers.configuration(record),
                "concurrency": count(record, "batch_size") or None,
                "input_len": count(record, "input_len") or None,
                "output_len": count(record, "output_len") or None,
                **_metadata(record),
            },
            {"e2e_latency_s": measured(record, "avg_latency", reading.place)},
            spreads={"e2e_latency_s": spread},
        )
    elif record.keys() >= _THROUGHPUT:
        yield from _throughput(record, reading)
    else:
        yield from _serve(record, reading)


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) or isinstance(cell_value(str(value)), float)


def _named(record: Record, reading: Reading) -> dict[str, object]:
    model = first_text(record, "model_id", "model", "model_path")
    return {
        "model": reading.names.model(model) or model,
        "hardware": _hardware(record.get("hardware"), reading),
    }


def _metadata(record: Record) -> dict[str, object]:
    return {key: record[key] for key in _METADATA if key in record}


def _throughput(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield an offline run, which states only the tokens of prompts and answers together.

    The length of the answers must therefore be set, unless the tool printed their rate.
    """
    reason = servers.unsuitable(record)
    if reason:
        yield reason
        return
    if record.get("num_requests") is None:  # printed by a release that does not say
        requests: float | None = 0.0
        per_request = measured(record, "tokens_per_request", reading.place)
    else:
        requests, tokens = (
            measured(record, key, reading.place) for key in ("num_requests", "total_num_tokens")
        )
        per_request = tokens / requests if requests and tokens else None
    rate = measured(record, "requests_per_second", reading.place)
    if requests is None or per_request is None or rate is None:
        return
    stated: dict[str, object] = {
        "mode": "saturation",
        "engine": "vllm",
        "runner": "offline",
        **_named(record, reading),
        **servers.configuration(record),
        **_metadata(record),
    }
    answers = count(record, "output_tokens_per_second")
    if answers:
        stated |= {"output_len": answers / rate, "input_len": per_request - answers / rate}
        yield Run(stated, {OUTPUT_TOKENS_PER_S: answers}, requests=requests or None)
        return
    output_len = reading.given.get("output_len")
    if not isinstance(output_len, int | float):
        # a placeholder, so that the user is not asked for input_len: output_len is enough
        yield Run(stated | {"input_len": per_request}, {})
        return
    if per_request > output_len:
        stated["input_len"] = per_request - output_len
    yield Run(stated, {OUTPUT_TOKENS_PER_S: rate * output_len}, requests=requests or None)


def _serve(record: Record, reading: Reading) -> Iterator[Run | str]:
    info = section(record, "server_info")
    reason = _reason(record, info)
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
    options = {**record, **info}
    values: dict[str, float | None] = {}
    for metric, key in _TIMES.items():
        doubt = _doubt(record, metric, options, output_len, keep=reading.keep_suspect)
        if doubt:
            yield doubt
        elif key in record:
            values[metric] = measured(record, key, reading.place, _MS)
        else:
            values[metric] = _from_requests(record, output_len)
    model = first_text(record, "model_id", "model") or text_of(info, "model_path")
    concurrency, in_flight, why = _concurrency(record, completed, output_len)
    if concurrency:
        concurrency = min(concurrency, servers.most_sequences(options) or concurrency)
    stated = {
        "mode": "closed_loop",
        "date": _day(text_of(record, "date")),
        "engine": _engine(text_of(record, "backend")),
        "model": reading.names.model(model) or model,
        "concurrency": concurrency,
        "input_len": tokens_in / completed,
        "output_len": output_len,
        **servers.configuration(options),
        **_metadata(record),
    }
    for metric in _TIMES:
        _contradiction(record, metric, reading)
    for contradiction in _of_totals(record, completed, tokens_out):
        reading.notes[f"{reading.place.file}: {contradiction}"] = None
    stated["hardware"] = _hardware(record.get("hardware"), reading)
    assumed = {"engine": "vllm"} if "endpoint_type" in record or "table" in record else {}
    doubts = reading.names.doubt(model) | ({} if concurrency else {"concurrency": why})
    spreads = {
        metric: percentiles(
            record, {name: _TIMES[metric].replace("mean", name) for name in _STATISTICS}, _MS
        )
        for metric in _TIMES
    }
    yield Run(
        stated,
        values,
        assumed,
        doubts,
        in_flight=in_flight,
        note=servers.notes(options),
        spreads=spreads,
        requests=completed,
    )


def _from_requests(record: Record, output_len: float) -> float:
    """Return the time per further token in whole requests, 0 if the file does not state it."""
    whole, first = (count(record, f"mean_{name}_ms") for name in ("e2e_latency", "ttft"))
    return max(whole - first, 0.0) * _MS / (output_len - 1.0) if first and output_len > 1.0 else 0.0


def _doubt(record: Record, metric: str, options: Record, output_len: float, *, keep: bool) -> str:
    """Return why a mean time is left out, or ``""``."""
    key = _TIMES[metric]
    if metric == "tpot_s" and output_len <= 1.0:
        return "answers of one token have no time per further token"
    if key not in record and not (metric == "tpot_s" and _from_requests(record, output_len)):
        return f"{key} is not in the file; the benchmark's --percentile-metrics chooses"
    if metric != "ttft_s" or keep:
        return ""
    doubt = _waiting(record, options) or servers.unusual_prompts(record) or _cold(record)
    return f"{key}: {doubt}" if doubt else ""


def _cold(record: Record) -> str:
    """Return that a few first requests rule the mean time to the first token, or ``""``."""
    mean, median = count(record, "mean_ttft_ms"), count(record, "median_ttft_ms")
    if not median or mean <= _COLD * median:
        return ""
    return (
        f"the mean of {mean:g} ms is {mean / median:.0f} times the median of {median:g} ms, "
        "a cold start; warm up and measure again"
    )


def _waiting(record: Record, options: Record) -> str:
    limit, most = count(record, "max_concurrency"), servers.most_sequences(options)
    if not most or limit <= most:
        return ""
    return f"{limit:g} requests for {most:g} places (max_num_seqs): it is the wait in a queue"


def _contradiction(record: Record, metric: str, reading: Reading) -> None:
    """Note a median that no set of times with this mean can have."""
    key = _TIMES[metric]
    mean, median = count(record, key), count(record, key.replace("mean", "median"))
    if mean and median > _SPREAD * mean:
        reading.notes[
            f"{reading.place.file}: {key} {mean:g} and a median of {median:g} contradict each "
            "other: no more than half of the times can exceed twice their mean"
        ] = None


def _of_totals(record: Record, completed: float, tokens_out: float) -> Iterator[str]:
    """Yield contradictions between times, throughput, tokens and the duration of a run."""
    duration, stated = count(record, "duration"), count(record, "output_throughput")
    rate = tokens_out / duration if duration else 0.0
    if rate and stated and not 1.0 / _ROUNDED < stated / rate < _ROUNDED:
        yield (
            f"output_throughput {stated:g} contradicts {tokens_out:,.0f} tokens in {duration:g} s, "
            f"which are {rate:.4g} a second"
        )
    limit = count(record, "max_concurrency")
    first, further = count(record, "mean_ttft_ms"), count(record, "mean_tpot_ms")
    request = (first + further * max(tokens_out / completed - 1.0, 0.0)) * _MS
    flying = completed * request / duration if duration else 0.0
    if limit and flying > _ROUNDED * limit:
        yield (
            f"{completed:,.0f} requests of {request:.4g} s in {duration:g} s are {flying:.4g} in "
            f"flight, which contradicts max_concurrency {limit:g}"
        )


def _reason(record: Record, info: Record) -> str:
    """Return why a serving run cannot be a row, or ``""``."""
    reason = servers.unsuitable(record) or servers.unsuitable(info)
    if reason:
        return reason
    done, failed = count(record, "completed"), count(record, "failed")
    if failed and done < _COMPLETED * (done + failed):
        return f"{failed:,.0f} of {done + failed:,.0f} requests failed"
    return ""


def _concurrency(
    record: Record, completed: float, output_len: float
) -> tuple[float | None, float | None, str]:
    """Return the sequences in flight of a closed loop, or the mean of an open one and a remark."""
    limit = count(record, "max_concurrency")
    if limit and record.get("request_rate") in (None, "inf", math.inf):
        return min(limit, completed), None, ""
    ttft, tpot = count(record, "mean_ttft_ms"), count(record, "mean_tpot_ms")
    request = (ttft + tpot * max(output_len - 1.0, 0.0)) * _MS
    mean = count(record, "concurrency") or count(record, "request_throughput") * request
    why = f" (an open loop, with {mean:.4g} requests in flight on average)"
    return None, max(mean, 1.0), why


def _day(text: str) -> str:
    found = _DAY.fullmatch(text)
    return "-".join(found.groups()) if found else ""


def _engine(backend: str) -> str:
    return "sglang" if backend.startswith("sglang") else _ENGINES.get(backend, "")


def _hardware(value: object, reading: Reading) -> object:
    return reading.names.device(value) or value if isinstance(value, str) else value


TOOL: Final = Tool(
    name="vLLM, SGLang, LMDeploy (bench serve, bench_serving, latency, throughput)",
    files="JSON, JSON lines, CSV of a sweep, printed tables",
    rows="ttft_s, tpot_s (closed_loop); e2e_latency_s (static); throughput (saturation)",
    states="model, engine, concurrency, lengths; server options if they are in the file",
    lacks="hardware; tp and weight_format unless stated",
    matches=matches,
    read=read,
    printed=printed,
)
