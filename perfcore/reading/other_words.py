"""Terms of other tools, and perfcore's names for them."""

from collections.abc import Collection
from typing import Final

# Options of vLLM, SGLang, TensorRT-LLM, llama.cpp and benchmarks, and what perfcore calls them: the
# first that a command has. Arguments are in capitals, values behind "=".
OTHER_WORDS: Final = {
    ("isl", "input-length", "prompt-len", "prompt-tokens", "n-prompt"): ("input-len",),
    ("random-input-len", "random-input", "input-tokens"): ("input-len",),
    ("osl", "output-length", "gen-len", "n-gen", "max-tokens"): ("output-len",),
    ("random-output-len", "random-output", "output-tokens"): ("output-len",),
    ("max-new-tokens", "n-predict"): ("output-len",),
    ("gpus", "num-gpus", "gpu-count", "n-gpus", "num-devices", "device-count"): (
        "devices",
        "max-devices",
        "tp",
    ),
    ("gpu", "accelerator", "hardware", "chip"): ("device", "DEVICE"),
    ("device",): ("DEVICE",),
    ("model", "model-path", "hf-model"): ("MODEL",),
    ("concurrency", "max-concurrency", "users", "parallel"): (
        "clients",
        "batch scheduler=continuous",
    ),
    ("batch-size", "bs", "max-batch-size"): ("batch", "max-sequences"),
    ("max-num-seqs", "max-running-requests"): (  # the sampler keeps room for as many
        "max-sequences",
        "set=engine.max_sequences=N set=engine.sampled_sequences=N",
    ),
    ("dtype", "precision", "quant", "quantization", "quantize", "weights"): ("weight-format",),
    ("weight-dtype", "load-format"): ("weight-format",),
    ("kv-cache-dtype", "kv-dtype", "kv-quant", "cache-type-k"): ("kv-format",),
    ("tensor-parallel-size", "tensor-parallel", "tp-size"): ("tp",),
    ("pipeline-parallel-size", "pipeline-parallel", "pp-size"): ("pp",),
    ("data-parallel-size", "data-parallel", "dp-size"): ("dp",),
    ("expert-parallel-size", "enable-expert-parallel", "ep-size"): ("ep",),
    ("num-speculative-tokens", "draft-tokens", "speculative-num-steps"): ("draft-len",),
    ("acceptance-rate", "accept-rate"): ("acceptance",),
    ("request-rate", "qps", "rps", "arrival-rate"): ("rate",),
    ("num-prompts", "num-requests"): ("requests",),
    ("max-num-batched-tokens", "chunked-prefill-size"): ("budget", "prefill-chunk"),
    ("enforce-eager",): ("eager",),
    ("gpu-memory-utilization", "mem-fraction-static"): ("set=engine.memory_fraction=SHARE",),
    ("cpu-offload-gb",): ("offload",),
    ("cpu-moe", "cmoe"): ("offload=experts",),
    ("ngl", "n-gpu-layers"): ("gpu-layers",),
    ("power-cap", "tdp"): ("power-limit",),
    ("out", "output-file", "out-file"): ("output",),
}


def meant_by(word: str, known: Collection[str]) -> str:
    """Return the parameter that another tool's word stands for, empty if nothing is known.

    Parameters
    ----------
    known
        Names of parameters, of which it must be one.
    """
    option = word.strip().lower().replace("_", "-")
    names = [name for words, meant in OTHER_WORDS.items() if option in words for name in meant]
    spelled = (name.split()[0].partition("=")[0].replace("-", "_") for name in names)
    return next((name for name in spelled if name in known), "")
