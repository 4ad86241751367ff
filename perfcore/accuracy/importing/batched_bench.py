"""llama.cpp: the table and the JSON lines of ``llama-batched-bench``.

Source of the fields: tools/batched-bench/batched-bench.cpp and README.md of ggml-org/llama.cpp.
"""

import re
from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing.documents import Record
from perfcore.accuracy.importing.fields import Reading, Run, Tool, count, measured
from perfcore.accuracy.importing.tables import cells_of

_KEYS: Final = {"pp", "tg", "pl", "t_pp", "t_tg"}
_COLUMNS: Final = {"PP": "pp", "TG": "tg", "B": "pl", "T_PP s": "t_pp", "T_TG s": "t_tg"}
_OPTION: Final = re.compile(r"\b(is_pp_shared|n_ubatch|n_batch|flash_attn|n_threads)\s*=\s*(\d+)")


def matches(record: Record) -> bool:
    """Return whether a record is a line of llama-batched-bench."""
    return record.keys() >= _KEYS


def printed(text: str) -> list[dict[str, object]]:
    """Return the rows of the table that the tool prints."""
    options: dict[str, object] = {name: float(value) for name, value in _OPTION.findall(text)}
    return [
        {**options, **{key: row[column] for column, key in _COLUMNS.items()}}
        for row in cells_of(text)
        if row.keys() >= _COLUMNS.keys()
    ]


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a line: times of a batch in lockstep."""
    prompt, tokens, batch = (measured(record, key, reading.place) for key in ("pp", "tg", "pl"))
    if prompt is None or tokens is None or batch is None:
        return
    first = measured(record, "t_pp", reading.place)
    whole = measured(record, "t_tg", reading.place)
    values = {"ttft_s": first, "tpot_s": None if whole is None else whole / tokens}
    if count(record, "is_pp_shared"):
        del values["ttft_s"]
        yield "t_pp: the prompt is shared, so it was processed once for all sequences"
    options = ("n_batch", "n_ubatch", "flash_attn", "n_threads")
    shown = (f"{name} {count(record, name):g}" for name in options if name in record)
    yield Run(
        {
            "mode": "static",
            "engine": "llamacpp",
            "concurrency": batch,
            "input_len": prompt,
            "output_len": tokens,
        },
        values,
        note=", ".join(shown),
        doubts={"weight_format": ", and llama.cpp rarely runs bf16"},
    )


TOOL: Final = Tool(
    name="llama-batched-bench",
    files="printed table, JSON lines",
    rows="ttft_s, tpot_s (static)",
    states="concurrency, lengths",
    lacks="model, hardware, weight_format",
    matches=matches,
    read=read,
    printed=printed,
)
