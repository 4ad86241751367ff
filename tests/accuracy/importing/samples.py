"""Results of every tool, as it writes them, and the rows that they become."""

import pytest

from perfcore.accuracy.importing import read_results
from perfcore.errors import InputError

SERVE = {
    "date": "20260331-101500",
    "endpoint_type": "vllm",
    "backend": "vllm",
    "label": None,
    "model_id": "meta-llama/Llama-3.1-8B-Instruct",
    "tokenizer_id": "meta-llama/Llama-3.1-8B-Instruct",
    "num_prompts": 640,
    "request_rate": "inf",
    "burstiness": 1.0,
    "max_concurrency": 64,
    "duration": 100.0,
    "completed": 640,
    "failed": 0,
    "total_input_tokens": 655360,
    "total_output_tokens": 163840,
    "request_throughput": 6.4,
    "request_goodput": None,
    "output_throughput": 1638.4,
    "mean_ttft_ms": 210.5,
    "mean_tpot_ms": 12.5,
    "mean_itl_ms": 12.4,
}
SGLANG = {
    "tag": None,
    "backend": "sglang",
    "dataset_name": "random",
    "request_rate": float("inf"),
    "max_concurrency": 16,
    "server_info": {
        "model_path": "/models/Qwen3-32B",
        "version": "0.5.9",
        "tp_size": 4,
        "pp_size": 1,
        "dp_size": 1,
        "kv_cache_dtype": "fp8_e4m3",
        "quantization": "fp8",
    },
    "duration": 60.0,
    "completed": 160,
    "total_input_tokens": 163840,
    "total_output_tokens": 40960,
    "request_throughput": 2.7,
    "output_throughput": 683.0,
    "mean_ttft_ms": 95.0,
    "mean_tpot_ms": 21.0,
    "concurrency": 15.4,
    "accept_length": None,
}
LATENCY = {
    "avg_latency": 1.25,
    "std_latency": 0.01,
    "latencies": [1.24, 1.26],
    "percentiles": {"10": 1.24, "50": 1.25, "99": 1.26},
}
THROUGHPUT = {
    "elapsed_time": 100.0,
    "num_requests": 1000,
    "total_num_tokens": 1_152_000,
    "requests_per_second": 10.0,
    "tokens_per_second": 11_520.0,
}
LLAMA = {
    "build_commit": "8cf427ff",
    "build_number": 5163,
    "cpu_info": "AMD Ryzen 7 7800X3D 8-Core Processor",
    "gpu_info": "NVIDIA GeForce RTX 4090",
    "backends": "CUDA",
    "model_filename": "models/Qwen2.5-7B-Instruct-Q4_K_M.gguf",
    "model_type": "qwen2 7B Q4_K - Medium",
    "model_size": 4677120000,
    "model_n_params": 7615616512,
    "n_batch": 2048,
    "n_ubatch": 512,
    "n_threads": 8,
    "type_k": "f16",
    "type_v": "f16",
    "n_gpu_layers": 99,
    "n_cpu_moe": 0,
    "split_mode": "layer",
    "main_gpu": 0,
    "no_kv_offload": False,
    "flash_attn": 1,
    "devices": "auto",
    "tensor_split": "0.00",
    "tensor_buft_overrides": "none",
    "n_prompt": 0,
    "n_gen": 128,
    "n_depth": 4096,
    "test_time": "2026-04-24T11:58:51Z",
    "avg_ns": 1000000000,
    "stddev_ns": 1000000,
    "avg_ts": 128.0,
    "stddev_ts": 1.0,
}
PROMPT = LLAMA | {"n_prompt": 512, "n_gen": 0, "n_depth": 0, "avg_ts": 7100.0}
TRTLLM = {
    "engine": {
        "model": "meta-llama/Llama-3.1-70B-Instruct",
        "model_path": "None",
        "engine_dir": "None",
        "version": "1.2.0",
        "backend": "Pytorch",
        "dtype": "bfloat16",
        "kv_cache_dtype": "FP8",
        "quantization": "FP8",
    },
    "machine": {"name": "NVIDIA H100 80GB HBM3", "memory.total": 79.1, "clocks.mem": 2.619},
    "world_info": {
        "tp_size": 4,
        "pp_size": 1,
        "ep_size": None,
        "world_size": 4,
        "max_batch_size": 256,
        "max_num_tokens": 8192,
    },
    "request_info": {
        "num_requests": 512,
        "avg_num_concurrent_requests": 63.2,
        "avg_input_length": 1024.0,
        "avg_output_length": 512.0,
    },
    "performance": {
        "total_latency_ms": 60000.0,
        "avg_request_latency_ms": 7000.0,
        "request_throughput_req_s": 8.0,
        "system_output_throughput_tok_s": 4096.0,
    },
    "streaming_metrics": {"avg_ttft_ms": 300.0, "avg_tpot_ms": 13.0},
    "dataset": {},
}


def metric(avg, unit="ms"):
    return {"unit": unit, "avg": avg, "p50": avg, "p99": 2 * avg}


TIMES = {
    "request_throughput": {"unit": "requests/sec", "avg": 2.0},
    "request_latency": metric(4000.0),
    "request_count": {"unit": "requests", "avg": 100.0},
    "time_to_first_token": metric(180.0),
    "inter_token_latency": metric(9.5),
    "output_sequence_length": metric(400.0, "tokens"),
    "input_sequence_length": metric(550.0, "tokens"),
}
GENAI = TIMES | {
    "input_config": {
        "model": ["meta-llama/Llama-3.1-8B-Instruct"],
        "backend": "tensorrtllm",
        "service_kind": "openai",
        "endpoint_type": "chat",
        "streaming": True,
        "concurrency": 8,
        "request_rate": None,
    },
}
AIPERF = TIMES | {
    "aiperf_version": "0.5.0",
    "start_time": "2026-06-17T16:08:57.327203",
    "was_cancelled": False,
    "input_config": {
        "endpoint": {"model_names": ["Qwen/Qwen3-32B"], "type": "chat", "streaming": True},
        "loadgen": {"concurrency": 32},
    },
    "telemetry_data": {
        "endpoints": {
            "localhost:9400": {
                "gpus": {
                    "gpu_0": {"gpu_index": 0, "gpu_name": "NVIDIA H200"},
                    "gpu_1": {"gpu_index": 1, "gpu_name": "NVIDIA H200"},
                }
            }
        }
    },
}
AIPERF_PHASES = AIPERF | {
    "input_config": {
        "models": {"items": [{"name": "Qwen/Qwen3-32B"}]},
        "endpoint": {"streaming": True},
        "phases": [
            {"name": "warmup", "kind": "warmup", "type": "concurrency", "concurrency": 2},
            {"name": "profiling", "kind": "profiling", "type": "concurrency", "concurrency": 32},
        ],
    },
}
WHERE = {"hardware": "h100-sxm"}
STATIC = {
    "model": "llama-3.1-8b",
    "hardware": "l40s",
    "concurrency": 8.0,
    "input_len": 32.0,
    "output_len": 128.0,
}
SAMPLES = {
    "serve": SERVE,
    "sglang": SGLANG,
    "latency": LATENCY,
    "throughput": THROUGHPUT,
    "llama": LLAMA,
    "prompt": PROMPT,
    "trtllm": TRTLLM,
    "genai": GENAI,
    "aiperf": AIPERF,
    "phases": AIPERF_PHASES,
}


def rows_of(path, **given):
    return {row.metric: row for row in read_results([path], given).rows}


def faults_of(path, **given):
    with pytest.raises(InputError) as caught:
        read_results([path], given)
    assert all(line.startswith(path) for line in caught.value.faults)
    return [line.removeprefix(f"{path}: ") for line in caught.value.faults]
