"""llama.cpp: ``llama-bench`` with ``-o json``, ``-o jsonl`` or ``-o csv``.

Sources of the fields: tools/llama-bench/llama-bench.cpp and README.md of ggml-org/llama.cpp. Source
of the names of file types: src/llama-model-loader.cpp.
"""

import re
from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing.documents import Record
from perfcore.accuracy.importing.fields import Reading, Run, count, measured, text_of
from perfcore.catalog import loader
from perfcore.errors import InputError, show

_KEYS: Final = {"model_filename", "model_type", "n_prompt", "n_gen", "avg_ts"}
_FILE_TYPE: Final = re.compile(
    r"(all F32|BF16|F16|MXFP4 MoE|NVFP4|I?Q\d_\w+|TQ\d_\d)(?: - (Small|Medium|Large)\b| (mix)\b)?"
)
_FLOATS: Final = {"all F32": "fp32", "F16": "fp16", "BF16": "bf16", "MXFP4 MoE": "mxfp4"}
_SIZES: Final = {"Small": "_s", "Medium": "_m", "Large": "_l", None: ""}
_SEPARATOR: Final = re.compile(r", *|/(?! )")  # between devices; older releases write a slash


def matches(record: Record) -> bool:
    """Return whether a record is a test of llama-bench."""
    return record.keys() >= _KEYS


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a test, or the reason why it is left out."""
    size, parameters, rate = (
        measured(record, key, reading.place) for key in ("model_size", "model_n_params", "avg_ts")
    )
    if size is None or parameters is None or rate is None:
        return
    file = text_of(record, "model_filename")
    model = reading.names.model(file, parameters)
    reason = _reason(record) or _partial(record, str(reading.given.get("model", model)))
    if reason:
        yield reason
        return
    hardware, devices = _hardware(record, reading)
    split = text_of(record, "split_mode")
    build = count(record, "build_number")
    stated: dict[str, object] = {
        "mode": "static",
        "date": text_of(record, "test_time")[:10],
        "engine": "llamacpp",
        "engine_version": f"b{build:.0f}" if build else "",
        "backend": "vulkan" if text_of(record, "backends") == "Vulkan" else "",  # else the vendor's
        "hardware": hardware,
        "model": model or file,
        "weight_format": weight_format(text_of(record, "model_type")),
        "weight_bits": round(8.0 * size / parameters, 4),
        "kv_format": text_of(record, "type_k"),
        "tp": devices if split in ("row", "tensor") else 1,
        "pp": devices if split in ("layer", "") else 1,
        "concurrency": 1.0,
    }
    if count(record, "n_gen"):
        lengths = {"input_len": count(record, "n_depth"), "output_len": count(record, "n_gen")}
        yield Run(stated | lengths, {"tpot_s": 1.0 / rate})
    else:
        lengths = {"input_len": count(record, "n_prompt"), "output_len": 1.0}
        yield Run(stated | lengths, {"prefill_tokens_per_s": rate})


def weight_format(model_type: str) -> str:
    """Return the weight format at the end of a description like ``llama 8B Q4_K - Medium``.

    Unknown formats are returned unchanged.
    """
    found = _FILE_TYPE.search(model_type)
    if found is None:
        return model_type
    kind, size, mix = found.groups()
    if mix:
        return "iq3_m"  # "IQ3_S mix", the only one
    if kind == "Q2_K" and size == "Medium":
        return "q2_k"
    return _FLOATS.get(kind, kind.lower()) + _SIZES[size]


def _reason(record: Record) -> str:
    """Return why a test cannot be a row, or ``""``."""
    prompt, answer = count(record, "n_prompt"), count(record, "n_gen")
    keys, values = text_of(record, "type_k"), text_of(record, "type_v")
    shares = set(text_of(record, "tensor_split").split("/"))
    reasons = {
        "one rate for prompt and answer together (pg)": prompt and answer,
        "neither a prompt nor an answer": not prompt and not answer,
        "a prompt after a filled context": prompt and count(record, "n_depth"),
        f"keys in {show(keys)} and values in {show(values)}": keys != values,
        "experts on the CPU": count(record, "n_cpu_moe"),
        "tensors placed by hand": text_of(record, "tensor_buft_overrides") not in ("", "none"),
        "the KV cache on the host": count(record, "no_kv_offload"),
        "an uneven tensor split": len(shares) > 1,
        "devices of other machines (RPC)": "RPC" in text_of(record, "backends"),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _partial(record: Record, model: str) -> str:
    """Return the split of layers between GPU and CPU, or ``""``; -1 layers means all."""
    layers = record.get("n_gpu_layers")
    if not _gpus(record) or not isinstance(layers, int | float) or layers < 0:
        return ""
    try:
        of = loader.load_model(model).num_hidden_layers
    except InputError:
        return ""  # the user must name the model anyway
    return "" if layers > of else f"{layers:.0f} of {of + 1} layers on the GPU"


def _gpus(record: Record) -> list[str]:
    """Return the GPUs that may have run; none if a build with GPU support was run without them."""
    if text_of(record, "devices") == "none":
        return []
    return [name for name in _SEPARATOR.split(text_of(record, "gpu_info")) if name]


def _hardware(record: Record, reading: Reading) -> tuple[str, int]:
    """Return the device, under the file's name if unknown, and the number of devices that ran."""
    gpus = _gpus(record)
    if not gpus:
        names = _SEPARATOR.split(text_of(record, "cpu_info"))
        known = next(filter(None, map(reading.names.device, names)), "")
        return known or ", ".join(names), 1
    chosen = text_of(record, "devices")
    devices = len(gpus) if chosen in ("", "auto") else len(chosen.split("/"))
    kinds = {reading.names.device(name) or name for name in gpus}
    return ", ".join(sorted(kinds)), devices
