"""LMDeploy: CSV of ``profile_generation.py``; times are seconds.

Source of the columns: benchmark/profile_generation.py of InternLM/lmdeploy. Its server's client
prints the table of vLLM's, which is read there.
"""

from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing.documents import Record
from perfcore.accuracy.importing.fields import Reading, Run, Tool, count, measured, text_of

_KEYS: Final = {"batch", "prompt_tokens", "completion_tokens"}
_FIRST: Final = ("1st_token_latency(ave)(s)", "FTL(ave)(s)")
_STEP: Final = ("percentile50(s)", "50%(s)")


def matches(record: Record) -> bool:
    """Return whether a record is a line of the profiler."""
    return record.keys() >= _KEYS and any(key in record for key in _FIRST)


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a batch in lockstep."""
    places = {
        metric: next((key for key in keys if key in record), "")
        for metric, keys in (("ttft_s", _FIRST), ("tpot_s", _STEP))
    }
    model = text_of(record, "model")
    yield Run(
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


TOOL: Final = Tool(
    name="LMDeploy profile_generation",
    files="CSV",
    rows="ttft_s, tpot_s (median of steps; static)",
    states="concurrency, lengths",
    lacks="model, hardware, tp, weight_format",
    matches=matches,
    read=read,
)
