"""Options of servers that results state, under the names of vLLM, SGLang and TensorRT-LLM."""

import re
from typing import Final

from perfcore.accuracy.importing.documents import Record, cell_value
from perfcore.accuracy.importing.fields import count, first_text, text_of

_DEGREES: Final = {
    "tp": ("tensor_parallel_size", "tp_size", "tensor_parallel", "tp"),
    "pp": ("pipeline_parallel_size", "pp_size", "pipeline_parallel", "pp"),
    "ep": ("expert_parallel_size", "ep_size", "expert_parallel", "ep"),
    "dp": ("data_parallel_size", "dp_size", "data_parallel", "dp"),
}
_SHARED_RANKS: Final = ("enable_dp_attention", "dp_attention", "enable_attention_dp")
_LIMITS: Final = ("max_num_seqs", "max_running_requests", "max_batch_size")
_BUDGETS: Final = ("max_num_batched_tokens", "chunked_prefill_size")
_DRAFTS: Final = (
    "speculative_config",
    "speculative_algorithm",
    "speculative_model",
    "speculative_draft_model_path",
    "speculative_num_steps",
    "num_speculative_tokens",
    "spec_decode_acceptance_length",
    "accept_length",
)
_WITHOUT_COLUMN: Final = {
    ("cpu_offload_gb",): "weights on the host",
    ("kv_transfer_config",): "caches on other servers",
    ("enable_lora", "lora_modules", "lora_paths"): "LoRA adapters",
}
_NOTHING: Final = ("", "none", "null", "false", "off", "0", "{}")
_FORMATS: Final = {  # names of quantisations that the catalogue spells differently
    "awq": "int4-g128-awq",
    "awq_marlin": "int4-g128-awq",
    "gptq": "int4-g128-gptq",
    "gptq_marlin": "int4-g128-gptq",
    "modelopt": "fp8",
    "modelopt_fp4": "nvfp4",
    "modelopt_fp8": "fp8",
    "w8a8_int8": "int8-w8a8",
    "w8a8_fp8": "fp8",
    "bfloat16": "bf16",
    "float16": "fp16",
}
_KV_FORMATS: Final = {"fp8_e5m2": "fp8", "fp8_e4m3": "fp8_e4m3", "bfloat16": "bf16"}
_ARGUMENTS: Final = re.compile(
    r"\b(\w+)=(?:'([^']*)'|\"([^\"]*)\"|([-+.\w]+))(?=[,)\s]|$)", re.MULTILINE
)


def arguments(text: str) -> dict[str, object]:
    """Return the arguments in text such as ``Namespace(model='...', tensor_parallel_size=2)``."""
    found: dict[str, object] = {}
    for name, *values in _ARGUMENTS.findall(text):
        value = next(filter(None, values), "")
        if value not in ("", "None"):
            found.setdefault(name, cell_value(value))
    return found


def renamed(record: Record) -> Record:
    """Return a record whose keys have underscores, as sweeps may write them with dashes."""
    return {name.strip("-").replace("-", "_"): value for name, value in record.items()}


def configuration(record: Record) -> dict[str, object]:
    """Return the columns that a server's options fill."""
    info = renamed(record)
    given: dict[str, object] = {}
    for column, names in _DEGREES.items():
        value = next((info[name] for name in names if info.get(name) not in (None, "", 0)), None)
        if value is not None and value != -1:
            given[column] = value
    if any(truth(info.get(name)) for name in _SHARED_RANKS):
        given |= attention_groups(count(given, "tp"), count(given, "dp"))
    if truth(info.get("enable_expert_parallel")) and "ep" not in given:
        given["ep"] = int((count(given, "tp") or 1) * (count(given, "dp") or 1))
    quantised = first_text(info, "quantization")
    cache = first_text(info, "kv_cache_dtype")
    return {
        **given,
        "engine_version": first_text(info, "version", "engine_version", "vllm_version"),
        "weight_format": _FORMATS.get(quantised.lower(), quantised)
        if quantised.lower() not in _NOTHING
        else "",
        "kv_format": _KV_FORMATS.get(cache, cache),
        "eager": "true"
        if truth(info.get("enforce_eager")) or truth(info.get("disable_cuda_graph"))
        else "",
        "prefill_chunk": next((count(info, name) for name in _BUDGETS if count(info, name)), None),
    }


def attention_groups(tp: float, dp: float) -> dict[str, object]:
    """Return the degrees of a server whose data-parallel attention has its ranks among those of tp.

    Eight ranks with ``dp`` 8 are eight groups of one device, with ``dp`` 2 two groups of four.
    """
    if not tp or not dp or tp % dp:
        return {"tp": tp or 1.0, "dp": 1.0}
    return {"tp": tp / dp, "dp": dp}


def most_sequences(record: Record) -> float:
    """Return the sequences that all replicas of a server run at once, 0 if not stated."""
    info = renamed(record)
    limit = next((count(info, name) for name in _LIMITS if count(info, name)), 0.0)
    dp = 1.0 if truth(info.get("enable_dp_attention")) else count(info, "data_parallel_size")
    return limit * max(dp, 1.0)


def unsuitable(record: Record) -> str:
    """Return why no column can express what a server did, or ``""``."""
    info = renamed(record)
    for name in _DRAFTS:
        value = info.get(name)
        if value is not None and str(value).strip().lower() not in _NOTHING:
            return f"speculative decoding has no column ({name} {str(value)[:40]})"
    if ("prefill" in info and "decode" in info) or (
        str(info.get("disaggregation_mode", "null")).lower() not in _NOTHING
    ):
        return "prefill and decode on different servers have no column"
    for names, what in _WITHOUT_COLUMN.items():
        if any(
            str(info.get(name) or "").strip().lower() not in (*_NOTHING, "[]") for name in names
        ):
            return f"{what} have no column ({next(name for name in names if info.get(name))})"
    if text_of(info, "ramp_up_strategy"):
        return "a rate that rises during the run has no steady mean"
    kind = f"{text_of(info, 'endpoint_type')} {text_of(info, 'backend')}"
    if any(word in kind for word in ("pooling", "embed", "rerank", "audio")):
        return f"{kind.split(maxsplit=1)[0]} generates no text"
    return ""


def unusual_prompts(record: Record) -> str:
    """Return why the time of prompts is not that of their tokens, or ``""``."""
    name = text_of(record, "dataset_name").replace("-", "_")
    if name in ("generated_shared_prefix", "prefix_repetition", "mooncake", "multi_turn"):
        return f"prompts of {name} share prefixes, which may be cached"
    if name in ("image", "random_mm", "mmmu", "vision_arena", "lmms_eval"):
        return f"prompts of {name} have images, whose time is not modelled"
    return ""


def notes(record: Record) -> str:
    """Return options that change the speed and have no column, as text."""
    info = renamed(record)
    names = (
        *("max_num_seqs", "max_running_requests", "attention_backend", "gpu_memory_utilization"),
        "num_scheduler_steps",
    )
    shown = (
        f"{name} {text_of(info, name) or format(count(info, name), 'g')}"
        for name in names
        if text_of(info, name) or count(info, name)
    )
    burstiness = count(info, "burstiness")
    uneven = [f"burstiness {burstiness:g}"] if burstiness not in (0.0, 1.0) else []
    return ", ".join([*shown, *uneven])


def truth(value: object) -> bool:
    """Return whether an option is on, given as JSON, a number or text."""
    return value is True or value == 1 or str(value).strip().lower() == "true"
