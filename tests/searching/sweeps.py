"""The sweep of the tests of searches."""

SPEC = {
    "axes": {
        "model": ["llama-3.1-8b", "mixtral-8x7b", "llama-3.1-70b"],
        "device": ["h100-sxm", "l40s", "groq-lpu"],
        "engine": ["vllm"],
        "scheduler": ["static", "continuous"],
        "tp": [1, 4],
        "batch": [64, 1, 8],
        "input_len": [2048, 128, 512],
        "output_len": [64, 256],
    },
    "output": {"columns": ["tpot_s", "ttft_s", "tokens_per_s_per_device", "max_batch", "status"]},
}
