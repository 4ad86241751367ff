"""ML.ENERGY: data of the leaderboard (v2, v3) and ``results.json`` of the benchmark.

Sources of the fields: the data of ml-energy/leaderboard, mlenergy/llm/benchmark.py of
ml-energy/benchmark and its data set card.
"""

from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing.documents import Record
from perfcore.accuracy.importing.fields import (
    OUTPUT_TOKENS_PER_S,
    Reading,
    Run,
    Tool,
    count,
    first_text,
)

_V2: Final = {"Model", "GPU", "Avg TPOT (s)", "Avg BS (reqs)"}
_V3: Final = {"gpu_model", "num_gpus", "output_throughput_tokens_per_sec"}
_RESULTS: Final = {"gpu_model", "num_gpus", "steady_state_energy_per_token"}
_PRECISIONS: Final = {"bfloat16": "bf16", "float16": "fp16", "fp8": "fp8", "mxfp4": "mxfp4"}


def matches(record: Record) -> bool:
    """Return whether a record is a result of ML.ENERGY."""
    return any(record.keys() >= keys for keys in (_V2, _V3, _RESULTS)) or _listed(record)


def _listed(record: Record) -> bool:
    found = record.get("configurations")
    return isinstance(found, list) and all(
        isinstance(one, dict) and one.keys() >= _V3 for one in found
    )


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the runs of a result, or of every configuration of a task."""
    if _listed(record):
        listed = record["configurations"]
        for one in listed if isinstance(listed, list) else []:
            yield from read(one, reading)
        return
    old = record.keys() >= _V2
    model = first_text(record, "Model", "model_id", "model")
    gpu = first_text(record, "GPU", "gpu_model")
    devices = count(record, "num_gpus")
    tp = count(record, "TP") or count(record, "tensor_parallel") or devices or 1.0
    batch = count(record, "Avg BS (reqs)") or count(record, "avg_batch_size")
    rate = count(record, "output_throughput_tokens_per_sec") or count(record, "output_throughput")
    length = count(record, "Avg Output Tokens") or count(record, "avg_output_len")
    if not length and count(record, "completed"):
        length = count(record, "total_output_tokens") / count(record, "completed")
    energy = count(record, "energy_per_token_joules") or count(
        record, "steady_state_energy_per_token"
    )
    if old and length:
        energy = count(record, "Energy/req (J)") / length
    values: dict[str, float | None] = {}
    if old:
        values["tpot_s"] = count(record, "Avg TPOT (s)") or None
    elif batch and rate:
        values["tpot_s"] = batch / rate
    elif rate:
        values[OUTPUT_TOKENS_PER_S] = rate
    if energy:
        values["energy_j_per_output_token"] = energy
    precision = first_text(record, "weight_precision").lower()
    yield Run(
        {
            "mode": "closed_loop",
            "engine": "vllm",
            "date": "2024-09-01" if old else "2025-12-01",
            "model": reading.names.model(model) or model,
            "hardware": reading.names.device(gpu) or gpu,
            "weight_format": _PRECISIONS.get(precision, precision),
            "tp": tp,
            "pp": count(record, "PP") or None,
            "ep": count(record, "expert_parallel") or None,
            "dp": count(record, "data_parallel") or None,
            "concurrency": batch or count(record, "max_num_seqs") or None,
            "input_len": count(record, "avg_input_len") or None,
            "output_len": length or None,
        },
        values,
        doubts=reading.names.doubt(model),
        note="tpot_s is the mean batch over the rate" if not old and batch else "",
    )


TOOL: Final = Tool(
    name="ML.ENERGY",
    files="JSON of the leaderboard or the benchmark",
    rows="tpot_s, energy_j_per_output_token (closed_loop)",
    states="model, hardware, engine, weight_format, tp, concurrency, output_len",
    lacks="input_len",
    matches=matches,
    read=read,
)
