"""MLX-LM: text of ``mlx_lm.benchmark`` and ``mlx_lm.generate``.

Source of the lines: mlx_lm/benchmark.py and generate.py of ml-explore/mlx-lm.
"""

import re
from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing.documents import Record
from perfcore.accuracy.importing.fields import SHORT_PROMPT, Reading, Run, Tool, count, measured

_KEYS: Final = {"mlx_prompt_tps", "mlx_generation_tps"}
_TIMING: Final = re.compile(
    r"Timing with prompt_tokens=(\d+), generation_tokens=(\d+), batch_size=(\d+)"
)
_AVERAGES: Final = re.compile(r"Averages:\s+prompt_tps=([\d.]+), generation_tps=([\d.]+)")
_PROMPT: Final = re.compile(r"Prompt: (\d+) tokens, ([\d.]+) tokens-per-sec")
_ANSWER: Final = re.compile(r"Generation: (\d+) tokens, ([\d.]+) tokens-per-sec")


def matches(record: Record) -> bool:
    """Return whether a record is a result of MLX-LM."""
    return record.keys() >= _KEYS


def printed(text: str) -> list[dict[str, object]]:
    """Return the results that the tools print."""
    found: list[dict[str, object]] = []
    for timing, averages in zip(_TIMING.findall(text), _AVERAGES.findall(text), strict=False):
        found.append(_record(*timing, *averages))
    for prompt, answer in zip(_PROMPT.findall(text), _ANSWER.findall(text), strict=False):
        found.append(_record(prompt[0], answer[0], "1", prompt[1], answer[1]))
    return found


def _record(prompt: str, answer: str, batch: str, prefill: str, decode: str) -> dict[str, object]:
    return {
        "prompt_tokens": float(prompt),
        "generation_tokens": float(answer),
        "batch_size": float(batch),
        "mlx_prompt_tps": float(prefill),
        "mlx_generation_tps": float(decode),
    }


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the runs of a result; its rates are those of the whole batch."""
    prefill, decode = (measured(record, key, reading.place) for key in sorted(_KEYS, reverse=True))
    if prefill is None or decode is None:
        return
    prompt, batch = count(record, "prompt_tokens"), count(record, "batch_size")
    stated = {"mode": "static", "engine": "mlx", "concurrency": batch, "input_len": prompt}
    doubts = {"weight_format": ", and MLX mostly runs quantised models"}
    answer = {"output_len": count(record, "generation_tokens")}
    yield Run(stated | answer, {"tpot_s": batch / decode}, doubts=doubts)
    if prompt < SHORT_PROMPT:
        yield f"a prompt of {prompt:g} tokens is too short to measure a rate"
    else:
        yield Run(stated | {"output_len": 1.0}, {"prefill_tokens_per_s": prefill}, doubts=doubts)


TOOL: Final = Tool(
    name="MLX-LM",
    files="text of mlx_lm.benchmark and mlx_lm.generate",
    rows="tpot_s, prefill_tokens_per_s (static)",
    states="engine, concurrency, lengths",
    lacks="model, hardware, weight_format",
    matches=matches,
    read=read,
    printed=printed,
)
