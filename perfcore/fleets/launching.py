"""Commands that start a configuration in vLLM, SGLang and TensorRT-LLM."""

import shlex
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from perfcore.catalog.native import native_format
from perfcore.configuration.configuration import Configuration
from perfcore.traffic.server import MOST, Rules
from perfcore.traffic.steps.records import Limits

Options = dict[str, str | int | bool | None]

_BLOCK: Final = 1024  # to whose multiples the longest request is rounded up [tokens]
_QUANTISED_ON_LOADING: Final = "fp8"  # by vLLM and SGLang; other formats need a checkpoint
_ANY_ENGINE: Final = ("default", "ideal")
_PUBLISHED: Final = ("bf16", "fp32")
PREFILL, DECODE = "prefill", "decode"
_KV_ROLES: Final = {PREFILL: "kv_producer", DECODE: "kv_consumer"}  # of vLLM's connectors


class Started(NamedTuple):
    """A replica to start; ``role`` is prefill or decode if prompts run on servers of their own."""

    configuration: Configuration
    rules: Rules
    limits: Limits
    role: str = ""

    @property
    def engine(self) -> str:
        """Engine, of any release."""
        return str(self.configuration.labels["engine"]).partition("-")[0]


def launch_commands(started: Started, longest: int) -> dict[str, str]:
    """Return the command that starts one replica, by engine: that of the configuration, or all.

    TensorRT-LLM runs on NVIDIA's devices only, and its attention groups have one device each.
    ``limits`` are those of all attention groups of a replica; ``longest`` are the tokens of the
    longest request. Pools send caches by NIXL, in TensorRT-LLM by what it prefers. Options follow
    vLLM 0.12, SGLang 0.5 and TensorRT-LLM 1.0.
    """
    configuration = started.configuration
    engine = started.engine
    chosen = {name: _COMMANDS[name] for name in _COMMANDS if engine in (name, *_ANY_ENGINE)}
    wide = configuration.numbers["dp"] > 1 and configuration.numbers["tp"] > 1
    if wide or configuration.entries.device.vendor != "NVIDIA":
        chosen.pop("trtllm", None)
    longest = -(-longest // _BLOCK) * _BLOCK
    context = min(longest, int(configuration.records.model.max_context))
    return {name: made(started, context) for name, made in chosen.items()}


def checkpoint_note(configuration: Configuration, commands: Collection[str]) -> str:
    """Return the checkpoint that the commands need; empty if the published one is enough."""
    name = str(configuration.labels["weight_format"])
    if name in (*_PUBLISHED, _native(configuration)) or not commands:
        return ""
    if name != _QUANTISED_ON_LOADING:
        return f"The model must be a checkpoint in {name}."
    needs = "TensorRT-LLM needs a checkpoint quantised to fp8" if "trtllm" in commands else ""
    loading = "vLLM and SGLang quantise on loading" if {"vllm", "sglang"} & set(commands) else ""
    return f"{'; '.join(filter(None, (needs, loading)))}."


def _native(configuration: Configuration) -> str:
    """Return the weight format that the model is published in, if it is a quantised one."""
    return native_format(configuration.entries.model)


def _model(configuration: Configuration) -> str:
    entry = configuration.entries.model
    return shlex.quote(entry.hf_id or entry.name)


def _degrees(configuration: Configuration) -> dict[str, int]:
    return {name: int(configuration.numbers[name]) for name in ("tp", "pp", "dp", "ep")}


def _line(program: str, options: Options) -> str:
    """Return a program with options, each with two dashes; without those that are None or False."""
    words = [
        f"--{name}" if value is True else f"--{name} {value}"
        for name, value in options.items()
        if value is not None and value is not False
    ]
    return " ".join([program, *words])


def _above_one(degree: int) -> int | None:
    return degree if degree > 1 else None


def _limit(value: int) -> int | None:
    return value if value < MOST else None


def _quantisation(configuration: Configuration) -> str | None:
    name = configuration.labels["weight_format"]
    return _QUANTISED_ON_LOADING if name == _QUANTISED_ON_LOADING else None


def _fp8_cache(configuration: Configuration) -> bool:
    return str(configuration.labels["kv_format"]) == "fp8"


def _connector(role: str) -> str:
    """Return vLLM's settings of the transfer of caches, which have no spaces."""
    return f'{{"kv_connector":"NixlConnector","kv_role":"{_KV_ROLES[role]}"}}'


def _vllm(started: Started, context: int) -> str:
    configuration, rules, limits, role = started
    degrees = _degrees(configuration)
    groups = degrees["dp"]  # each has an engine core of its own, with limits of its own
    options: Options = {
        "tensor-parallel-size": degrees["tp"],
        "pipeline-parallel-size": _above_one(degrees["pp"]),
        "data-parallel-size": _above_one(groups),
        "enable-expert-parallel": degrees["ep"] > 1,
        "quantization": _quantisation(configuration),
        "kv-cache-dtype": "fp8" if _fp8_cache(configuration) else None,
        "max-model-len": context,
        "max-num-seqs": _limit(limits.max_sequences // groups),
        "max-num-batched-tokens": _limit(limits.budget),
        "no-enable-chunked-prefill": not rules.chunked,
        "no-enable-prefix-caching": not rules.prefix_cache,
        "kv-transfer-config": f"'{_connector(role)}'" if role else None,
    }
    return _line(f"vllm serve {_model(configuration)}", options)


def _sglang(started: Started, context: int) -> str:
    configuration, rules, limits, role = started
    degrees = _degrees(configuration)
    groups = degrees["dp"]  # which share tp-size, the running requests and the chunk
    options: Options = {
        "model-path": _model(configuration),
        "tp-size": degrees["tp"] * groups,
        "pp-size": _above_one(degrees["pp"]),
        "dp-size": _above_one(groups),
        "enable-dp-attention": groups > 1,
        "ep-size": _above_one(degrees["ep"]),
        "quantization": _quantisation(configuration),
        "kv-cache-dtype": "fp8_e4m3" if _fp8_cache(configuration) else None,
        "context-length": context,
        "max-running-requests": _limit(limits.max_sequences),
        "chunked-prefill-size": _limit(limits.budget * groups) if rules.chunked else -1,
        "disable-radix-cache": not rules.prefix_cache,
        "disaggregation-mode": role or None,
        "disaggregation-transfer-backend": "nixl" if role else None,
    }
    return _line("python -m sglang.launch_server", options)


def _trtllm(started: Started, context: int) -> str:
    configuration, rules, limits, role = started
    degrees = _degrees(configuration)
    groups = degrees["dp"]
    file = f"{role or 'options'}.yaml"
    settings = [
        f"enable_chunked_prefill: {str(rules.chunked).lower()}",
        *(["enable_attention_dp: true"] if groups > 1 else []),
    ]
    if role:
        settings.append("cache_transceiver_config: {backend: DEFAULT}")
    if role == PREFILL:
        settings.append("disable_overlap_scheduler: true")
    cache = [
        *(["dtype: fp8"] if _fp8_cache(configuration) else []),
        *(["enable_block_reuse: false"] if not rules.prefix_cache else []),
    ]
    if cache:
        settings.append(f"kv_cache_config: {{{', '.join(cache)}}}")
    options: Options = {
        "tp_size": degrees["tp"] * groups,
        "pp_size": _above_one(degrees["pp"]),
        "ep_size": _above_one(degrees["ep"]),
        "max_batch_size": _limit(limits.max_sequences // groups),
        "max_num_tokens": _limit(limits.budget),
        "max_seq_len": context,
        "extra_llm_api_options": file,
    }
    written = f"echo '{{{', '.join(settings)}}}' > {file}"
    return f"{written} && {_line(f'trtllm-serve {_model(configuration)}', options)}"


_COMMANDS: Final[dict[str, Callable[[Started, int], str]]] = {
    "vllm": _vllm,
    "sglang": _sglang,
    "trtllm": _trtllm,
}
