"""Ollama: answers of its API (``/api/generate``, ``/api/chat``) and ``ollama run --verbose``.

Source of the fields: docs/api.md and api/types.go of ollama/ollama; durations are nanoseconds.
"""

import re
from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing.documents import Record, cell_value
from perfcore.accuracy.importing.fields import SHORT_PROMPT, Reading, Run, Tool, count, text_of

_KEYS: Final = {"eval_count", "eval_duration"}
_NS: Final = 1e-9
_LINE: Final = re.compile(
    r"^[ \t]*(prompt eval count|prompt eval duration|eval count|eval duration):[ \t]+(\S+)",
    re.MULTILINE,
)
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|μs|ms|h|m|s)")
_UNITS: Final = {"ns": 1e0, "us": 1e3, "ms": 1e6, "s": 1e9, "m": 6e10, "h": 3.6e12}
_FORMAT: Final = re.compile(r"-((?:iq|q)\d\w*|fp16|bf16|f16|mxfp4)$", re.IGNORECASE)
_FLOATS: Final = {"fp16": "gguf-f16", "f16": "gguf-f16", "bf16": "bf16"}
_VERSION: Final = re.compile(r"^([a-z]+)(?=\d)")


def matches(record: Record) -> bool:
    """Return whether a record is an answer of ollama."""
    return record.keys() >= _KEYS or (record.get("done") is False and "model" in record)


def printed(text: str) -> list[dict[str, object]]:
    """Return the statistics that ``--verbose`` prints, one record per answer."""
    records: list[dict[str, object]] = []
    record: dict[str, object] = {}
    for name, value in _LINE.findall(text):
        key = name.replace(" ", "_")
        if key in record or (key == "prompt_eval_count" and record.keys() >= _KEYS):
            records.append(record)
            record = {}
        record[key] = _nanoseconds(value) if "duration" in key else cell_value(value)
    records.append(record)
    return [one for one in records if one.keys() >= _KEYS]


def _nanoseconds(text: str) -> float:
    return sum(
        float(number) * _UNITS[unit.replace("µ", "u").replace("μ", "u")]
        for number, unit in _DURATION.findall(text)
    )


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the runs of an answer: decoding, and the prompt if it is long enough to tell."""
    if record.get("done") is False:
        yield "a part of a streamed answer"
        return
    tokens, nanoseconds = count(record, "eval_count"), count(record, "eval_duration")
    if not tokens or not nanoseconds:
        yield "an answer without tokens"
        return
    tag = text_of(record, "model")
    model, weights = _model(tag, reading)
    prompt, took = count(record, "prompt_eval_count"), count(record, "prompt_eval_duration")
    stated: dict[str, object] = {
        "mode": "static",
        "engine": "llamacpp",
        "date": text_of(record, "created_at")[:10],
        "model": model or tag,
        "weight_format": weights,
        "concurrency": 1.0,
        "input_len": prompt,
    }
    doubts = {} if weights else {"weight_format": "; `ollama show` says it"}
    yield Run(
        stated | {"output_len": tokens},
        {"tpot_s": nanoseconds * _NS / tokens},
        doubts=doubts,
        note="ollama",
    )
    if prompt < SHORT_PROMPT or not took:
        yield f"a prompt of {prompt:g} tokens is too short to measure a rate"
        return
    yield Run(
        stated | {"output_len": 1.0},
        {"prefill_tokens_per_s": prompt / (took * _NS)},
        doubts=doubts,
        note="ollama",
    )


def _model(tag: str, reading: Reading) -> tuple[str, str]:
    """Return the model and weight format of a tag like ``gemma2:9b-instruct-q4_0``."""
    found = _FORMAT.search(tag)
    weights = found[1].lower() if found else ""
    name = tag.rpartition("/")[2].replace(":latest", "").replace(":", "-")
    for candidate in (name, _VERSION.sub(r"\1-", name)):
        model = reading.names.model(candidate)
        if model:
            return model, _FLOATS.get(weights, weights)
    return "", _FLOATS.get(weights, weights)


TOOL: Final = Tool(
    name="ollama",
    files="JSON of the API, text of --verbose",
    rows="tpot_s, prefill_tokens_per_s of prompts from 64 tokens (static, 1)",
    states="model and weight_format if the tag names them, lengths",
    lacks="hardware",
    matches=matches,
    read=read,
    printed=printed,
)
