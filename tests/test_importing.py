"""Results of other people's tools become rows; whatever is wrong with a file is one line."""

import json
from collections import defaultdict
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from perfcore.accuracy.importing import SETTABLE, read_results, settings
from perfcore.accuracy.importing.documents import LARGEST
from perfcore.accuracy.importing.llamacpp import weight_format
from perfcore.accuracy.importing.names import Names, _words
from perfcore.accuracy.table import COLUMNS, METRICS, MODES, read_measurements
from perfcore.catalog import loader
from perfcore.cli import program
from perfcore.cli.measurements import MEANINGS
from perfcore.errors import InputError

DOCS = (Path(__file__).parent.parent / "docs" / "measurements.md").read_text("utf-8")

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


@pytest.fixture
def save(tmp_path):
    def write(*documents, name="results.json"):
        path = tmp_path / name
        path.write_text("\n".join(json.dumps(document) for document in documents))
        return str(path)

    return write


def rows_of(path, **given):
    return {row.metric: row for row in read_results([path], given).rows}


def faults_of(path, **given):
    with pytest.raises(InputError) as caught:
        read_results([path], given)
    assert all(line.startswith(path) for line in caught.value.faults)
    return [line.removeprefix(f"{path}: ") for line in caught.value.faults]


def run(*arguments):
    return CliRunner().invoke(program, ["measurements", *map(str, arguments)])


def refused(*arguments):
    result = run(*arguments)
    lines = result.stderr.splitlines()
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert lines
    assert all(line.startswith("error: ") for line in lines)
    return [line.removeprefix("error: ") for line in lines]


# what each tool's file becomes


def test_vllm_serve(save):
    rows = rows_of(save(SERVE), **WHERE, tp=2)

    assert list(rows) == ["ttft_s", "tpot_s"]
    assert (rows["ttft_s"].value, rows["tpot_s"].value) == (0.2105, 0.0125)
    row = rows["tpot_s"]
    assert (row.mode, row.engine, row.date) == ("closed_loop", "vllm", "2026-03-31")
    assert (row.model, row.hardware, row.weight_format) == ("llama-3.1-8b", "h100-sxm", "bf16")
    assert (row.concurrency, row.input_len, row.output_len) == (64.0, 1024.0, 256.0)
    assert (row.tp, row.devices, row.unit) == (2, 2, "s")
    assert (row.source, row.source_ref) == ("own", "results.json")


def test_vllm_serve_metadata_is_read(save):
    path = save(SERVE | {"hardware": "NVIDIA H200", "tp": "8", "weight_format": "fp8"})
    row = rows_of(path)["tpot_s"]

    assert (row.hardware, row.tp, row.weight_format) == ("h200-sxm", 8, "fp8")


def test_vllm_serve_of_an_openai_endpoint_is_taken_for_vllm_and_says_so(save):
    found = read_results([save(SERVE | {"backend": "openai"})], WHERE)

    assert found.rows[0].engine == "vllm"
    assert found.assumed == ["engine=vllm", "weight_format=bf16", "tp=1"]


def test_appended_results_are_read_apart(save):
    found = read_results([save(SERVE, SERVE | {"max_concurrency": 8})], WHERE)

    assert [row.concurrency for row in found.rows] == [64.0, 64.0, 8.0, 8.0]


def test_no_more_requests_are_in_flight_than_there_were(save):
    assert rows_of(save(SERVE | {"max_concurrency": 4096}), **WHERE)["tpot_s"].concurrency == 640.0


@pytest.mark.parametrize("load", [{"request_rate": 4.0}, {"max_concurrency": None}])
def test_open_loop_needs_a_concurrency_and_is_told_the_mean(save, load):
    (line,) = faults_of(save(SERVE | load), **WHERE)

    # 6.4 requests/s of 0.2105 s + 255 x 0.0125 s
    assert line == (
        "concurrency is not stated (an open loop, with 21.75 requests in flight on average); "
        "add given={'concurrency': '64'}"
    )
    assert rows_of(save(SERVE | load), **WHERE, concurrency=22.0)["tpot_s"].concurrency == 22.0


def test_sglang(save):
    row = rows_of(save(SGLANG), **WHERE)["tpot_s"]

    assert (row.engine, row.engine_version, row.model) == ("sglang", "0.5.9", "qwen3-32b")
    assert (row.tp, row.dp, row.weight_format, row.kv_format) == (4, 1, "fp8", "fp8_e4m3")
    assert (row.concurrency, row.value) == (16.0, 0.021)


def test_vllm_latency(save):
    (row,) = rows_of(save(LATENCY), **STATIC).values()

    assert (row.metric, row.value, row.mode) == ("e2e_latency_s", 1.25, "static")
    assert (row.concurrency, row.engine) == (8.0, "vllm")


def test_vllm_latency_asks_for_all_that_it_lacks(save):
    assert faults_of(save(LATENCY)) == [
        "model is not stated; add given={'model': 'llama-3.1-8b'}",
        "hardware is not stated; add given={'hardware': 'h100-sxm'}",
        "concurrency is not stated; add given={'concurrency': '64'}",
        "input_len is not stated; add given={'input_len': '1024'}",
        "output_len is not stated; add given={'output_len': '256'}",
    ]


def test_vllm_throughput(save):
    given = {"model": "llama-3.1-8b", "hardware": "l40s", "output_len": 128.0, "tp": 2}
    (row,) = rows_of(save(THROUGHPUT), **given).values()

    assert (row.metric, row.value) == ("output_tokens_per_s_per_device", 640.0)
    assert (row.mode, row.concurrency, row.input_len) == ("saturation", None, 1024.0)
    assert faults_of(save(THROUGHPUT), model="llama-3.1-8b", hardware="l40s") == [
        "output_len is not stated; add given={'output_len': '256'}"
    ]


def test_llama_bench(save):
    found = read_results([save([LLAMA, PROMPT])])
    answer, prompt = found.rows

    assert (answer.metric, answer.value) == ("tpot_s", 1 / 128)
    assert (answer.input_len, answer.output_len, answer.concurrency) == (4096.0, 128.0, 1.0)
    assert (prompt.metric, prompt.value) == ("prefill_tokens_per_s", 7100.0)
    assert (prompt.input_len, prompt.output_len) == (512.0, 1.0)
    assert (answer.engine, answer.engine_version) == ("llamacpp", "b5163")
    assert (answer.model, answer.hardware) == ("qwen2.5-7b", "rtx-4090")
    assert (answer.weight_format, answer.weight_bits) == ("q4_k_m", 4.9132)
    assert (answer.kv_format, answer.date, answer.mode) == ("f16", "2026-04-24", "static")
    assert found.assumed == []


def test_llama_bench_writes_the_same_in_three_forms(save, tmp_path):
    table = tmp_path / "csv" / "results.json"
    table.parent.mkdir()
    lines = [",".join(LLAMA)]
    for test in (LLAMA, PROMPT):
        cells = [int(cell) if isinstance(cell, bool) else cell for cell in test.values()]
        lines.append(",".join(f'"{cell}"' for cell in cells))
    table.write_text("\n".join(lines) + "\n")

    expected = read_results([save([LLAMA, PROMPT])]).rows
    assert read_results([save(LLAMA, PROMPT)]).rows == expected
    assert read_results([str(table)]).rows == expected


@pytest.mark.parametrize(
    ("gpus", "more", "tp", "pp"),
    [
        (1, {}, 1, 1),
        (2, {}, 1, 2),
        (2, {"split_mode": "row"}, 2, 1),
        (2, {"split_mode": "none"}, 1, 1),
        (4, {"devices": "CUDA0/CUDA1"}, 1, 2),
    ],
)
def test_llama_bench_splits(save, gpus, more, tp, pp):
    many = {"gpu_info": ", ".join(["NVIDIA GeForce RTX 4090"] * gpus)}
    row = rows_of(save(LLAMA | many | more))["tpot_s"]

    assert (row.tp, row.pp, row.devices) == (tp, pp, tp * pp)


@pytest.mark.parametrize("more", [{"gpu_info": "", "backends": "CPU"}, {"devices": "none"}])
def test_llama_bench_on_a_cpu(save, more):
    cpu = {"cpu_info": "AMD EPYC 9654 96-Core Processor", "n_gpu_layers": 0}

    assert rows_of(save(LLAMA | cpu | more))["tpot_s"].hardware == "epyc-9654"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"n_prompt": 512}, "one rate for prompt and answer together (pg)"),
        ({"n_gen": 0}, "neither a prompt nor an answer"),
        ({"n_gen": 0, "n_prompt": 512}, "a prompt after a filled context"),
        ({"n_gpu_layers": 20}, "20 of 29 layers on the GPU"),
        ({"n_gpu_layers": 0}, "0 of 29 layers on the GPU"),
        ({"n_cpu_moe": 8}, "experts on the CPU"),
        ({"no_kv_offload": True}, "the KV cache on the host"),
        ({"type_v": "q8_0"}, "keys in 'f16' and values in 'q8_0'"),
        ({"tensor_split": "3.00/1.00"}, "an uneven tensor split"),
        ({"tensor_buft_overrides": "exps=CPU"}, "tensors placed by hand"),
        ({"backends": "CUDA,RPC"}, "devices of other machines (RPC)"),
    ],
)
def test_llama_bench_that_the_table_cannot_express(save, more, reason):
    found = read_results([save([LLAMA, LLAMA | more])])

    assert [skip.reason for skip in found.skipped] == [reason]
    assert len(found.rows) == 1
    assert faults_of(save(LLAMA | more)) == [f"nothing to import: {reason}"]


@pytest.mark.parametrize(
    ("model_type", "name"),
    [
        ("llama 8B Q4_K - Medium", "q4_k_m"),
        ("llama 7B mostly Q4_0", "q4_0"),
        ("llama 8B F16", "fp16"),
        ("llama 8B BF16", "bf16"),
        ("llama 7B all F32", "fp32"),
        ("qwen3moe 30B.A3B Q8_0", "q8_0"),
        ("gpt-oss 20B MXFP4 MoE", "mxfp4"),
        ("llama 70B IQ4_XS - 4.25 bpw", "iq4_xs"),
        ("llama 8B IQ3_S mix - 3.66 bpw", "iq3_m"),
        ("llama 8B Q2_K - Medium", "q2_k"),
        ("llama 8B Q2_K - Small", "q2_k_s"),
        ("llama 8B (guessed) Q5_K - Small", "q5_k_s"),
        ("llama 8B TQ1_0 - 1.69 bpw ternary", "tq1_0"),
        ("llama 8B NVFP4", "nvfp4"),
    ],
)
def test_llama_bench_weight_formats_are_in_the_catalogue(model_type, name):
    assert weight_format(model_type) == name
    assert loader.load_weight_format(name)


def test_trtllm_closed_loop(save):
    rows = rows_of(save(TRTLLM))

    assert {name: row.value for name, row in rows.items()} == {
        "output_tokens_per_s_per_device": 1024.0,
        "ttft_s": 0.3,
        "tpot_s": 0.013,
    }
    row = rows["tpot_s"]
    assert (row.mode, row.concurrency, row.tp) == ("closed_loop", 63.2, 4)
    assert (row.model, row.hardware) == ("llama-3.1-70b", "h100-sxm")
    assert (row.engine, row.engine_version) == ("trtllm", "1.2.0")
    assert (row.weight_format, row.kv_format) == ("FP8", "FP8")


def test_trtllm_with_a_queue_is_saturated(save):
    queue = {"request_info": TRTLLM["request_info"] | {"avg_num_concurrent_requests": 300.0}}
    (row,) = rows_of(save(TRTLLM | queue)).values()

    assert (row.mode, row.concurrency) == ("saturation", None)
    assert row.metric == "output_tokens_per_s_per_device"


def test_trtllm_latency(save):
    one = {"request_info": TRTLLM["request_info"] | {"avg_num_concurrent_requests": 0.998}}
    rows = rows_of(save(TRTLLM | one))

    assert set(rows) == {"e2e_latency_s", "ttft_s", "tpot_s"}
    assert rows["e2e_latency_s"].value == 7.0
    assert (rows["tpot_s"].mode, rows["tpot_s"].concurrency) == ("static", 1.0)


@pytest.mark.parametrize(
    ("quantisation", "name"),
    [
        (None, "bfloat16"),
        ("NVFP4", "NVFP4"),
        ("FP8_BLOCK_SCALES", "fp8-block128"),
        ("W4A16_AWQ", "int4-g128-awq"),
        ("W8A8_SQ_PER_CHANNEL", "int8-w8a8"),
    ],
)
def test_trtllm_quantisations_are_in_the_catalogue(save, quantisation, name):
    engine = TRTLLM["engine"] | {"quantization": quantisation, "kv_cache_dtype": None}
    row = rows_of(save(TRTLLM | {"engine": engine}))["tpot_s"]

    assert (row.weight_format, row.kv_format) == (name, "auto")
    assert loader.load_weight_format(name)


def test_genai_perf(save):
    rows = rows_of(save(GENAI), **WHERE)

    assert {name: row.value for name, row in rows.items()} == {"ttft_s": 0.18, "tpot_s": 0.0095}
    row = rows["tpot_s"]
    assert (row.model, row.concurrency, row.engine) == ("llama-3.1-8b", 8.0, "default")
    assert (row.input_len, row.output_len) == (550.0, 400.0)


def test_genai_perf_names_the_engine_behind_triton(save):
    config = GENAI["input_config"] | {"service_kind": "triton"}

    assert rows_of(save(GENAI | {"input_config": config}), **WHERE)["tpot_s"].engine == "trtllm"


@pytest.mark.parametrize("sample", [AIPERF, AIPERF_PHASES], ids=["loadgen", "phases"])
def test_aiperf(save, sample):
    row = rows_of(save(sample))["tpot_s"]

    assert (row.model, row.hardware, row.concurrency) == ("qwen3-32b", "h200-sxm", 32.0)
    assert (row.date, row.mode) == ("2026-06-17", "closed_loop")


def test_aiperf_at_a_rate_needs_a_concurrency(save):
    config = AIPERF["input_config"] | {"loadgen": {"request_rate": 2.0, "concurrency": 100}}
    (line,) = faults_of(save(AIPERF | {"input_config": config}))

    assert "with 8 requests in flight on average" in line


@pytest.mark.parametrize("unit", ["us", "ms", "s"])
def test_units_of_times_are_heard(save, unit):
    scale = {"us": 1e-6, "ms": 1e-3, "s": 1.0}[unit]
    path = save(AIPERF | {"inter_token_latency": metric(3.0, unit)})

    assert rows_of(path)["tpot_s"].value == pytest.approx(3.0 * scale)


@pytest.mark.parametrize(
    ("sample", "more", "reason"),
    [
        (SERVE, {"spec_decode_acceptance_length": 2.5}, "speculative decoding"),
        (SGLANG, {"accept_length": 2.5}, "speculative decoding"),
        (TRTLLM, {"decoding_stats": {}}, "speculative decoding"),
        (SERVE, {"failed": 200}, "200 of 840 requests failed"),
        (AIPERF, {"error_request_count": metric(50.0, "requests")}, "50 of 150 requests failed"),
        (AIPERF, {"was_cancelled": True}, "cancelled"),
        (GENAI, {"input_config": GENAI["input_config"] | {"streaming": False}}, "not streamed"),
    ],
)
def test_runs_that_say_little_are_left_out(save, sample, more, reason):
    (line,) = faults_of(save(sample | more), **WHERE)

    assert line.startswith("nothing to import: ")
    assert reason in line


def test_a_metric_that_a_file_lacks_is_left_out(save):
    without = {key: value for key, value in SERVE.items() if key != "mean_ttft_ms"}
    found = read_results([save(without)], WHERE)

    assert [row.metric for row in found.rows] == ["tpot_s"]
    assert "mean_ttft_ms" in found.skipped[0].reason


# names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA A100-SXM4-80GB", "a100-80gb-sxm"),
        ("NVIDIA A100 80GB PCIe", "a100-80gb-pcie"),
        ("NVIDIA H200", "h200-sxm"),
        ("NVIDIA B200", "b200"),
        ("NVIDIA L40S", "l40s"),
        ("Tesla T4", "t4"),
        ("Tesla V100-SXM2-32GB", "v100-sxm-32gb"),
        ("NVIDIA RTX A6000", "rtx-a6000"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "rtx-pro-6000"),
        ("NVIDIA GeForce RTX 5090", "rtx-5090"),
        ("NVIDIA GB10", "dgx-spark"),
        ("AMD Instinct MI300X", "mi300x"),
        ("AMD Radeon RX 7900 XTX (RADV NAVI31)", "rx-7900-xtx"),
        ("Apple M3 Max", "m3-max"),
        ("Intel(R) Xeon(R) 6972P", "xeon-6972p"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", ""),
        ("NVIDIA GeForce RTX 4080", ""),
        ("NVIDIA Graphics Device", ""),
        ("", ""),
    ],
)
def test_devices_by_what_drivers_call_them(text, name):
    assert Names().device(text) == name


def test_no_two_devices_have_the_same_words():
    owners = defaultdict(set)
    for name in loader.names("device"):
        entry = loader.load_device(name)
        for spelling in (name, *entry.aliases, entry.title):
            owners[_words(spelling)].add(name)

    assert {words: found for words, found in owners.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("text", "parameters", "name"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", None, "llama-3.1-8b"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic", None, "llama-3.1-8b"),
        ("neuralmagic/Meta-Llama-3.1-70B-Instruct-quantized.w8a8", None, "llama-3.1-70b"),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", None, "qwen2.5-7b"),
        ("/models/Qwen3-8B-AWQ/", None, "qwen3-8b"),
        ("llama-2-7b-chat.Q4_K_M.gguf", 6738415616, "llama-2-7b"),
        ("google_gemma-3-27b-it-Q4_K_M.gguf", 27009346304, "gemma-3-27b"),
        ("C:\\m\\Qwen2.5-7B-Instruct-UD-Q4_K_XL-00001-of-00002.gguf", 7615616512, "qwen2.5-7b"),
        ("Llama-3.1-8B-Instruct/ggml-model-f16.gguf", 8030261248, "llama-3.1-8b"),
        ("Llama-3.1-8B-Instruct.Q8_0.gguf", 3e9, ""),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", None, ""),
        ("TinyLlama/Another-1B", None, ""),
        ("my-model", None, ""),
        ("", None, ""),
        ("../models.toml:llama-3.1-8b", None, ""),
    ],
)
def test_models_by_what_files_call_them(text, parameters, name):
    assert Names().model(text, parameters) == name


@pytest.mark.parametrize("model", ["a/Llama-3.1-8B-Instruct-FP8", "openai/gpt-oss-20b"])
def test_sixteen_bits_are_not_assumed_of_a_narrow_model(save, model):
    (line,) = faults_of(save(SERVE | {"model_id": model}), **WHERE, model="llama-3.1-8b")

    assert line.startswith("weight_format is not stated, ")
    assert line.endswith("add given={'weight_format': 'fp8'}")


@pytest.mark.parametrize(
    ("sample", "more", "line"),
    [
        (
            SERVE,
            {"model_id": "x"},
            "model 'x' is not in the catalogue; add given={'model': 'NAME'}",
        ),
        (LLAMA, {"gpu_info": "NVIDIA GeForce RTX 4080"}, "hardware 'NVIDIA GeForce RTX 4080'"),
        (LLAMA, {"gpu_info": "NVIDIA L4, NVIDIA T4"}, "hardware 'l4, t4'"),
        (LLAMA, {"model_type": "llama 8B Z9"}, "weight_format 'llama 8B Z9'"),
        (LLAMA, {"type_k": "q5_1", "type_v": "q5_1"}, "kv_format 'q5_1'"),
    ],
)
def test_unknown_names_are_said_with_the_remedy(save, sample, more, line):
    (found,) = faults_of(save([sample | more, sample | more]), **({} if sample is LLAMA else WHERE))

    assert found.startswith(line)
    assert "lists all)" in found


# what is set


def test_what_is_set_stands_above_the_file_and_says_so(save):
    path = save([LLAMA, PROMPT])
    found = read_results([path], settings(("hardware=rtx-3090", "kv_format=bf16", "tp=1")))

    assert {row.hardware for row in found.rows} == {"rtx-3090"}
    # f16 is an alias of bf16, so that nothing differs there
    assert found.notes == [f"{path}: hardware rtx-3090 is set; the file states 'rtx-4090'"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hardware", "not KEY=VALUE"),
        ("=x", "not KEY=VALUE"),
        ("hardware=", "not KEY=VALUE"),
        ("hardwear=x", "did you mean 'hardware'?"),
        ("value=1", "unknown column 'value'"),
        ("devices=8", "devices are tp x pp x dp; set those"),
        ("hardware=h100-sxn", "did you mean 'h100-sxm'?"),
        ("weight_format=fp9", "unknown weight format 'fp9'"),
        ("tp=0", "0' is out of bounds"),
        ("tp=two", "tp=two"),
        ("concurrency=nan", "concurrency=nan: 'nan'"),
        ("mode=fast", "unknown mode 'fast'"),
        ("task_note=@cmd", "opens like a formula"),
        ("task_note=a\x1bb", "control characters"),
        (f"task_note={'x' * 501}", "more than 500 characters"),
        ("model=no-such-file.toml", "no such file"),
    ],
)
def test_faulty_settings(text, message):
    with pytest.raises(InputError) as caught:
        settings((text,))

    (line,) = caught.value.faults
    assert line.startswith("given: ")
    assert message in line


def test_all_faulty_settings_come_at_once():
    with pytest.raises(InputError) as caught:
        settings(("tp=0", "hardware=x", "pp=1", "pp=2"))

    assert len(caught.value.faults) == 3


def test_more_devices_than_there_may_be(save):
    (line,) = faults_of(save(SERVE), **WHERE, tp=65_536, pp=65_536)

    assert "out of bounds" in line


# whatever a file holds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n ", "is empty"),
        ("hello", "neither JSON nor"),
        ("[]", "has no result"),
        ("[[]]", "has a list in place of a result"),
        ('{"a": 1', "not valid JSON: line 1: "),
        ('[{"a": 1}', "not valid JSON"),
        ('{"a": 1}\n{"a"', "line 2"),
        ('{"a": 1} trailing', "not valid JSON"),
        ("[1]", "has a int in place of a result"),
        ('["x"]', "has a str in place of a result"),
        ("[null]", "has a NoneType in place of a result"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "more than 4300 digits"),
        ("{}", "is not a result of a known tool"),
        ('{"completed": 1}', "is not a result of a known tool"),
        ('avg_ts,n_gen\n"1', "not valid CSV"),
        ("avg_ts,n_gen\n1", "not as many cells"),
        ("avg_ts,n_gen\n1,2,3", "not as many cells"),
        ("avg_ts,n_gen\n", "has no result"),
        ("avg_ts,n_gen\n1,2", "is not a result of a known tool"),
    ],
)
def test_broken_files(tmp_path, text, message):
    path = tmp_path / "results.json"
    path.write_text(text)
    (line,) = faults_of(str(path))

    assert message in line


def test_files_that_cannot_be_read(tmp_path):
    assert "no such file" in faults_of(str(tmp_path / "missing.json"))[0]
    assert "is not a file" in faults_of(str(tmp_path))[0]
    (tmp_path / "bytes.json").write_bytes(b'{"a": "\xff"}')
    assert "not UTF-8" in faults_of(str(tmp_path / "bytes.json"))[0]


def test_too_large_a_file(tmp_path):
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)

    assert "larger than 64 MiB" in faults_of(str(path))[0]


@pytest.mark.parametrize(
    "value", [0, -1.0, float("nan"), float("inf"), "12", None, True, [], 1e300]
)
@pytest.mark.parametrize(
    ("sample", "key"),
    [
        ("serve", "mean_tpot_ms"),
        ("serve", "completed"),
        ("latency", "avg_latency"),
        ("throughput", "requests_per_second"),
        ("llama", "avg_ts"),
        ("prompt", "model_n_params"),
    ],
)
def test_numbers_that_are_none(save, sample, key, value):
    lines = faults_of(save(SAMPLES[sample] | {key: value}), **STATIC)

    assert len(lines) == 1
    assert lines[0].startswith(f"{key}: ")


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), "12", None, {}, "x"])
@pytest.mark.parametrize("key", ["time_to_first_token", "input_sequence_length"])
def test_metrics_that_are_none(save, key, value):
    lines = faults_of(save(AIPERF | {key: AIPERF[key] | {"avg": value}}))

    assert len(lines) == 1
    assert lines[0].startswith(f"{key}.avg: ")


def test_a_unit_that_is_none(save):
    (line,) = faults_of(save(AIPERF | {"inter_token_latency": metric(1.0, "miles")}))

    assert line.startswith("inter_token_latency.unit: 'miles' is no unit of time")


def test_faults_say_which_result(save):
    (line,) = faults_of(save(SERVE, SERVE | {"mean_ttft_ms": -1}), **WHERE)

    assert line.startswith("result 2.mean_ttft_ms: -1")


def test_text_that_a_cell_cannot_hold(save):
    path = save(SERVE | {"engine_version": "=cmd()", "hardware": "h100-sxm"})
    assert "opens like a formula" in faults_of(path)[0]
    path = save(SERVE | {"engine_version": "a\nb", "hardware": "h100-sxm"})
    assert "control characters" in faults_of(path)[0]
    path = save(SERVE, name="-rf.json")
    (line,) = faults_of(path, **WHERE)
    assert line.startswith("source_ref: '-rf.json' opens like a formula")
    assert rows_of(path, **WHERE, source_ref="run 1")["tpot_s"].source_ref == "run 1"


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def mutate(record, path, value):
    """Put a value at a place that a list of numbers names, each the index of a key."""
    key = sorted(record)[path[0] % len(record)]
    inner = record[key]
    if len(path) > 1 and isinstance(inner, dict) and inner:
        return record | {key: mutate(inner, path[1:], value)}
    return record | {key: value}


@given(
    sample=st.sampled_from(sorted(SAMPLES)),
    changes=st.lists(
        st.tuples(st.lists(st.integers(0, 30), min_size=1, max_size=4), JUNK), max_size=3
    ),
)
def test_whatever_stands_in_a_file_is_rows_or_lines(tmp_path_factory, sample, changes):
    record = SAMPLES[sample]
    for place, value in changes:
        record = mutate(record, place, value)
    folder = tmp_path_factory.mktemp("junk")
    path = folder / "results.json"
    path.write_text(json.dumps(record))
    given_ = {key: STATIC[key] for key in ("model", "hardware", "output_len")}
    try:
        found = read_results([str(path)], given_)
    except InputError as error:
        assert all(line.isprintable() for line in error.faults)  # noqa: PT017 - either may happen
        return
    table = folder / "out.csv"
    result = run("import", path, "-o", table, *(f"--set={k}={v}" for k, v in given_.items()))
    assert result.exit_code == 0, result.stderr
    assert [row._replace(line=0) for row in read_measurements(table)] == found.rows


# the commands


def test_import_writes_rows_and_says_what_is_next(save, tmp_path):
    path, out = save([LLAMA, PROMPT, LLAMA | {"n_prompt": 512}]), tmp_path / "own rows.csv"
    result = run("import", path, "-o", out)

    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == f"wrote 2 rows into {out}"
    assert "  prefill_tokens_per_s  1" in lines
    assert "one rate for prompt and answer together (pg)" in result.stdout
    assert lines[-2:] == [
        f"  perfcore validate --measurements '{out}'",
        f"  perfcore calibrate --measurements '{out}' -o '{out.with_suffix('.toml')}'",
    ]
    assert [row.metric for row in read_measurements(out)] == ["tpot_s", "prefill_tokens_per_s"]
    assert out.read_text().splitlines()[0] == ",".join(COLUMNS)


def test_notes_are_on_stderr(save, tmp_path):
    result = run("import", save(LLAMA), "-o", tmp_path / "o.csv", "--set", "hardware=rtx-3090")

    assert result.stderr.startswith("note: ")
    assert result.stderr.count("\n") == 1


def test_assumptions_are_said(save, tmp_path):
    result = run("import", save(SERVE), "-o", tmp_path / "o.csv", "--set", "hardware=h100-sxm")

    assert "assumed, as nothing says otherwise: weight_format=bf16, tp=1" in result.stdout


def test_existing_tables_are_kept(save, tmp_path):
    path, out = save(LLAMA), tmp_path / "own.csv"
    out.write_text("precious")
    (line,) = refused("import", path, "-o", out)

    assert "--append" in line
    assert "--force" in line
    assert out.read_text() == "precious"
    assert refused("import", path, "-o", out, "--append")  # it is no table
    assert out.read_text() == "precious"
    assert run("import", path, "-o", out, "--force").exit_code == 0
    assert len(read_measurements(out)) == 1


def test_append_adds_what_is_not_there(save, tmp_path):
    out = tmp_path / "own.csv"
    assert run("import", save(LLAMA), "-o", out, "--append").stdout.startswith("wrote 1 row into")
    again = run("import", save([LLAMA, PROMPT]), "-o", out, "--append")

    assert again.stdout.startswith("added 1 row to")
    assert "rows that are there already" in again.stdout
    assert [row.metric for row in read_measurements(out)] == ["tpot_s", "prefill_tokens_per_s"]


def test_row_ids_are_those_of_the_content(save):
    first, second = (read_results([save([LLAMA, PROMPT])]).rows for _ in range(2))

    assert [row.row_id for row in first] == [row.row_id for row in second]
    assert len({row.row_id for row in first}) == 2
    assert all(row.row_id.startswith("m") for row in first)


@pytest.mark.parametrize("more", [[], ["--force"], ["--append"]])
def test_a_file_that_is_read_is_not_written(save, more):
    path = save(LLAMA)

    assert "name another" in refused("import", path, "-o", path, *more)[0]
    assert json.loads(Path(path).read_text()) == LLAMA


def test_nothing_is_written_after_a_fault(save, tmp_path):
    out = tmp_path / "own.csv"
    good, bad = save(LLAMA), save(SERVE, name="serve.json")
    lines = refused("import", good, bad, tmp_path / "missing.json", "-o", out)

    assert len(lines) == 2
    assert not out.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json", "serve.json"]


def test_outputs_that_the_system_refuses(save, tmp_path):
    path = save(LLAMA)

    assert "is a directory" in refused("import", path, "-o", tmp_path)[0]
    assert "make it first" in refused("import", path, "-o", tmp_path / "missing" / "own.csv")[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import"], "missing argument"),
        (["import", "x.json"], "missing option"),
        (["import", "x.json", "-o", "y.csv", "--append", "--force"], "exclude each other"),
        (["improt"], "no such command 'improt'"),
    ],
)
def test_usage(arguments, message):
    (line,) = refused(*arguments)

    assert message in line


def test_the_group_alone_prints_help():
    assert run().stdout == run("--help").stdout


def test_columns_are_explained():
    result = run("columns")

    assert result.exit_code == 0
    assert tuple(MEANINGS) == COLUMNS
    assert all(name in result.stdout for name in COLUMNS)


# the page


def test_page_has_the_columns():
    for name, meaning in MEANINGS.items():
        mark = "" if name in SETTABLE else " (not set)"
        assert f"| `{name}` | {meaning}{mark} |" in DOCS


def test_page_explains_metrics_and_modes():
    for name in (*METRICS, *MODES):
        assert f"`{name}`" in DOCS
