"""llama.cpp: ``timings`` in answers of ``llama-server``, and the lines that it and others log.

Sources of the fields: tools/server/README.md and server-context.cpp of ggml-org/llama.cpp.
"""

import re
from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing.documents import Record
from perfcore.accuracy.importing.fields import (
    SHORT_PROMPT,
    Reading,
    Run,
    Tool,
    count,
    section,
    text_of,
)
from perfcore.accuracy.importing.names import format_in

_KEYS: Final = {"predicted_n", "predicted_ms"}
_MS: Final = 1e-3
_LINE: Final = re.compile(
    r"(prompt eval|(?<!prompt )eval) time\s*=\s*([\d.]+) ms /\s*(\d+) (?:tokens|runs)"
    r"(?:\s*\(\s*([\d.]+) ms per token)?"
)
_DOUBT: Final = {"weight_format": ", and llama.cpp rarely runs bf16"}


def matches(record: Record) -> bool:
    """Return whether a record is an answer with timings, or timings alone."""
    return section(record, "timings").keys() >= _KEYS or record.keys() >= _KEYS


def printed(text: str) -> list[dict[str, object]]:
    """Return the timings in a log: of llama-server, llama-cli and llama-completion."""
    records: list[dict[str, object]] = []
    prompt: dict[str, object] = {}
    for kind, milliseconds, tokens, per_token in _LINE.findall(text):
        if kind == "prompt eval":
            prompt = {"prompt_n": int(tokens), "prompt_ms": float(milliseconds)}
            continue
        timings: dict[str, object] = {
            **prompt,
            "predicted_n": int(tokens),
            "predicted_ms": float(milliseconds),
        }
        if per_token:
            timings["predicted_per_token_ms"] = float(milliseconds) / max(int(tokens), 1)
        records.append({"timings": timings})
        prompt = {}
    return records


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the runs of an answer: decoding, and the prompt unless some of it was cached."""
    timings = section(record, "timings") or record
    if count(timings, "draft_n"):
        yield "speculative decoding has no column (draft_n)"
        return
    tokens, prompt, cached = (count(timings, key) for key in ("predicted_n", "prompt_n", "cache_n"))
    per_token = count(timings, "predicted_per_token_ms")
    if not per_token and tokens:
        per_token = count(timings, "predicted_ms") / tokens
    model = text_of(record, "model")
    stated = {
        "mode": "static",
        "engine": "llamacpp",
        "model": reading.names.model(model.replace(":", "-")),
        "weight_format": format_in(model),
        "concurrency": 1.0,
        "input_len": prompt + cached,
    }
    doubts = {} if stated["weight_format"] else _DOUBT
    if per_token and tokens > 1.0:
        yield Run(stated | {"output_len": tokens}, {"tpot_s": per_token * _MS}, doubts=doubts)
    else:
        yield "an answer of one token has no time per further token"
    took = count(timings, "prompt_ms")
    if cached:
        yield f"{cached:g} tokens of the prompt came from the cache"
    elif prompt < SHORT_PROMPT or not took:
        yield f"a prompt of {prompt:g} tokens is too short to measure a rate"
    else:
        rate = {"prefill_tokens_per_s": prompt / (took * _MS)}
        yield Run(stated | {"output_len": 1.0}, rate, doubts=doubts)


TOOL: Final = Tool(
    name="llama-server, llama-cli",
    files="JSON with timings, lines of the log",
    rows="tpot_s, prefill_tokens_per_s of prompts from 64 tokens (static, 1)",
    states="lengths, model if the answer names it",
    lacks="model, hardware, weight_format",
    matches=matches,
    read=read,
    printed=printed,
)
