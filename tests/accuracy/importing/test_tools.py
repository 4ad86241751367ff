"""Results of every tool in its forms, and the rows that they become."""

import contextlib
import json
import random
import re
from pathlib import Path

import pytest

from perfcore.accuracy.importing import TOOLS, read_results, settings
from perfcore.errors import InputError

DATA = Path(__file__).parents[2] / "data" / "results"
LLAMA, H100 = "model=llama-3.1-8b", "hardware=h100-sxm"
# file, settings, and for each row: metric, value, mode, concurrency, input_len, output_len
ROWS = {
    "vllm-serve.txt": (
        (LLAMA, H100, "tp=2"),
        [
            ("ttft_s", 0.03087, "closed_loop", 8, 215.312, 199.033),
            ("tpot_s", 0.00635, "closed_loop", 8, 215.312, 199.033),
        ],
    ),
    "vllm-few-requests.json": ((H100,), [("tpot_s", 0.0142, "static", 8, 1024, 256)]),
    "vllm-rates.jsonl": (
        (H100, "concurrency=mean"),
        [
            ("ttft_s", 0.045, "closed_loop", 2.67336, 1024, 256),
            ("tpot_s", 0.00856, "closed_loop", 2.67336, 1024, 256),
            ("ttft_s", 0.0569, "closed_loop", 32.61504, 1024, 256),
            ("tpot_s", 0.0131, "closed_loop", 32.61504, 1024, 256),
            ("ttft_s", 0.12, "closed_loop", 200.9826, 1024, 256),
            ("tpot_s", 0.0284, "closed_loop", 200.9826, 1024, 256),
        ],
    ),
    "vllm-queue.json": ((H100,), [("tpot_s", 0.0142, "closed_loop", 128, 1024, 256)]),
    "vllm-offline.txt": (
        (H100,),
        [("output_tokens_per_s_per_device", 2560, "saturation", None, 1024, 256)],
    ),
    "vllm-latency.txt": ((H100,), [("e2e_latency_s", 1.25, "static", 8, 32, 128)]),
    "vllm-throughput-few.json": (
        ("model=llama-3.1-405b", H100, "tp=8", "weight_format=fp8", "output_len=2048"),
        [("output_tokens_per_s_per_device", 14.0288, "static", 4, 2048, 2048)],
    ),
    "sglang-serving.txt": (
        (H100, "tp=4"),
        [
            ("ttft_s", 0.095, "closed_loop", 16, 1024, 256),
            ("tpot_s", 0.021, "closed_loop", 16, 1024, 256),
        ],
    ),
    "sglang-one-batch.jsonl": (
        ("model=qwen2.5-32b", H100, "tp=4"),
        [
            ("ttft_s", 0.21, "static", 4, 1024, 1024),
            ("tpot_s", 0.0121, "static", 4, 1024, 1024),
            ("e2e_latency_s", 12.6, "static", 4, 1024, 1024),
        ],
    ),
    "sglang-one-batch.txt": (
        (H100,),
        [
            ("ttft_s", 0.21, "static", 4, 1024, 1024),
            ("tpot_s", 0.0121, "static", 4, 1024, 1024),
            ("e2e_latency_s", 12.6, "static", 4, 1024, 1024),
        ],
    ),
    "trtllm.txt": (
        (H100,),
        [
            ("output_tokens_per_s_per_device", 1024, "closed_loop", 63.2, 1024, 512),
            ("ttft_s", 0.3, "closed_loop", 63.2, 1024, 512),
            ("tpot_s", 0.013, "closed_loop", 63.2, 1024, 512),
        ],
    ),
    "llama-bench.md": (
        (LLAMA, "hardware=rtx-4090"),
        [
            ("prefill_tokens_per_s", 5100.2, "static", 1, 512, 1),
            ("tpot_s", 0.00778816, "static", 1, 0, 128),
            ("tpot_s", 0.00887311, "static", 1, 4096, 128),
        ],
    ),
    "llama-bench.sql": ((), [("tpot_s", 0.00625, "static", 1, 0, 128)]),
    "llama-bench-log.txt": ((), [("tpot_s", 0.02003205, "static", 1, 0, 128)]),
    "llama-bench-backends.jsonl": (
        (),
        [
            ("prefill_tokens_per_s", 1290, "static", 1, 512, 1),
            ("prefill_tokens_per_s", 285.2, "static", 1, 512, 1),
        ],
    ),
    "batched-bench.md": (
        ("model=qwen2.5-7b", "hardware=m2-ultra", "weight_format=q8_0"),
        [
            ("ttft_s", 0.337, "static", 1, 512, 32),
            ("tpot_s", 0.01265625, "static", 1, 512, 32),
            ("ttft_s", 1.248, "static", 4, 512, 32),
            ("tpot_s", 0.0178125, "static", 4, 512, 32),
        ],
    ),
    "llama-server.json": (
        ("model=llama-3.2-3b", "hardware=rtx-4090", "weight_format=q4_k_m"),
        [
            ("tpot_s", 0.0155139, "static", 1, 1149, 9),
            ("prefill_tokens_per_s", 2130.24, "static", 1, 1149, 1),
        ],
    ),
    "llama-server.log": (
        ("model=llama-3.2-3b", "hardware=rtx-4090", "weight_format=q4_k_m"),
        [
            ("tpot_s", 0.015514, "static", 1, 1149, 100),
            ("prefill_tokens_per_s", 2130.22, "static", 1, 1149, 1),
        ],
    ),
    "sglang-offline.txt": (
        (LLAMA, H100),
        [("output_tokens_per_s_per_device", 6238.8, "saturation", None, 1024, 256)],
    ),
    "sglang-one-batch-server.txt": (
        (LLAMA, H100),
        [
            ("ttft_s", 0.62, "static", 16, 1024, 16),
            ("e2e_latency_s", 1.2, "static", 16, 1024, 16),
            ("ttft_s", 2.5, "static", 64, 1024, 16),
            ("e2e_latency_s", 4.1, "static", 64, 1024, 16),
        ],
    ),
    "lmdeploy-throughput.txt": (
        (LLAMA, H100),
        [
            ("ttft_s", 0.512, "closed_loop", 64, 1024, 256),
            ("tpot_s", 0.022, "closed_loop", 64, 1024, 256),
            ("output_tokens_per_s_per_device", 2601.309, "closed_loop", 64, 1024, 256),
        ],
    ),
    "lmdeploy-restful.txt": (
        (LLAMA, H100),
        [
            ("ttft_s", 0.334, "closed_loop", 128, 224.78, 204.56),
            ("output_tokens_per_s_per_device", 2449.82, "closed_loop", 128, 224.78, 204.56),
        ],
    ),
    "lmdeploy-legacy.csv": (
        (LLAMA, H100, "input_len=224", "output_len=204"),
        [
            ("ttft_s", 0.334, "closed_loop", 128, 224, 204),
            ("output_tokens_per_s_per_device", 2449.82, "closed_loop", 128, 224, 204),
        ],
    ),
    "lmdeploy-pipeline.csv": (
        (LLAMA, H100),
        [
            ("ttft_s", 0.512, "closed_loop", 64, 1024, 256),
            ("tpot_s", 0.021922, "closed_loop", 64, 1024, 256),
            ("output_tokens_per_s_per_device", 2601.309, "closed_loop", 64, 1024, 256),
            ("output_tokens_per_s_per_device", 3815.201, "closed_loop", 256, 1024, 256),
        ],
    ),
    "inference-benchmarker.json": (
        (H100, "concurrency=mean"),
        [
            ("ttft_s", 0.31, "closed_loop", 128, 200, 800),
            ("tpot_s", 0.017, "closed_loop", 128, 200, 800),
            ("ttft_s", 0.062, "closed_loop", 42.46, 200, 800),
            ("tpot_s", 0.012, "closed_loop", 42.46, 200, 800),
        ],
    ),
    "ollama.json": (("hardware=rtx-4090",), [("tpot_s", 0.0167173, "static", 1, 18, 192)]),
    "ollama.txt": (
        ("hardware=rtx-4090", "model=gemma-2-9b", "weight_format=q4_0"),
        [("tpot_s", 0.082759, "static", 1, 33, 710)],
    ),
    "mlx.txt": (
        (LLAMA, "hardware=m4-max", "weight_format=int4-g64"),
        [
            ("tpot_s", 0.0163066, "static", 1, 2048, 128),
            ("prefill_tokens_per_s", 812.212, "static", 1, 2048, 1),
        ],
    ),
    "aiperf-inputs.json": (
        ("hardware=l4", "engine=vllm", "input_len=220"),
        [
            ("ttft_s", 0.0514372, "closed_loop", 64, 220, 262.359),
            ("tpot_s", 0.0145304, "closed_loop", 64, 220, 262.359),
        ],
    ),
    "aiperf.csv": (
        ("model=qwen3.5-35b-a3b", "hardware=rtx-5090", "concurrency=16"),
        [
            ("ttft_s", 0.23014, "closed_loop", 16, 3761.31, 543.61),
            ("tpot_s", 0.01185, "closed_loop", 16, 3761.31, 543.61),
        ],
    ),
    "aiperf.txt": (
        ("model=qwen3-4b", "hardware=l4", "concurrency=10"),
        [
            ("ttft_s", 0.0612, "closed_loop", 10, 550, 150),
            ("tpot_s", 0.0113, "closed_loop", 10, 550, 150),
        ],
    ),
    "aiperf-sweep.json": (
        (LLAMA, H100, "engine=vllm"),
        [
            ("ttft_s", 0.06, "closed_loop", 8, 1000, 250),
            ("tpot_s", 0.009, "closed_loop", 8, 1000, 250),
            ("ttft_s", 0.14, "closed_loop", 32, 1000, 250),
            ("tpot_s", 0.012, "closed_loop", 32, 1000, 250),
        ],
    ),
    "aiperf-turns.json": ((H100, "tp=2"), [("tpot_s", 0.009, "closed_loop", 12, 2100, 250)]),
    "guidellm.json": (
        (LLAMA, H100, "engine=vllm"),
        [
            ("ttft_s", 0.031, "closed_loop", 1, 1024, 256),
            ("tpot_s", 0.0081, "closed_loop", 1, 1024, 256),
            ("ttft_s", 0.078, "closed_loop", 16, 1024, 256),
            ("tpot_s", 0.0099, "closed_loop", 16, 1024, 256),
            ("ttft_s", 0.310, "closed_loop", 64, 1024, 256),
            ("tpot_s", 0.0142, "closed_loop", 64, 1024, 256),
            ("ttft_s", 0.078, "closed_loop", 15.84, 1024, 256),
            ("tpot_s", 0.0099, "closed_loop", 15.84, 1024, 256),
        ],
    ),
    "inference-perf.json": (
        (LLAMA, H100),
        [
            ("ttft_s", 0.14623, "closed_loop", 188.0705, 200.9, 62.8),
            ("tpot_s", 0.01202, "closed_loop", 188.0705, 200.9, 62.8),
        ],
    ),
    "inferencex.json": (
        (),
        [
            ("ttft_s", 0.4265, "closed_loop", 32, 1024, 1024),
            ("tpot_s", 0.0256, "closed_loop", 32, 1024, 1024),
        ],
    ),
    "llmperf.json": (
        (H100, "engine=vllm"),
        [
            ("ttft_s", 0.1, "closed_loop", 5, 551.5, 151),
            ("tpot_s", 0.0119333, "closed_loop", 5, 551.5, 151),
        ],
    ),
    "mlenergy-v2.json": (
        ("input_len=300",),
        [
            ("tpot_s", 0.02, "closed_loop", 48, 300, 250),
            ("energy_j_per_output_token", 0.4, "closed_loop", 48, 300, 250),
        ],
    ),
    "mlenergy-v3.json": (
        ("input_len=300",),
        [
            ("tpot_s", 0.015, "closed_loop", 60, 300, 646),
            ("energy_j_per_output_token", 0.183, "closed_loop", 60, 300, 646),
        ],
    ),
    "mlperf-offline.txt": (
        ("model=llama-2-70b", "hardware=h200-sxm", "tp=8", "weight_format=fp8", "input_len=294"),
        [("output_tokens_per_s_per_device", 3087, "saturation", None, 294, 294)],
    ),
    "mlperf-server.txt": (
        ("model=llama-2-70b", "hardware=h200-sxm", "tp=8", "weight_format=fp8", "input_len=294"),
        [
            ("ttft_s", 0.2, "closed_loop", 53, 294, 256),
            ("tpot_s", 0.02, "closed_loop", 53, 294, 256),
        ],
    ),
    "tgi.txt": (
        (H100,),
        [
            ("ttft_s", 0.0312, "static", 1, 512, 64),
            ("tpot_s", 0.0081, "static", 1, 512, 64),
            ("ttft_s", 0.088, "static", 4, 512, 64),
            ("tpot_s", 0.0086, "static", 4, 512, 64),
        ],
    ),
    "lmdeploy.csv": (
        (LLAMA, H100),
        [
            ("ttft_s", 0.3, "static", 16, 1024, 256),
            ("tpot_s", 0.009, "static", 16, 1024, 256),
        ],
    ),
}
COLUMNS = {  # file: what else its rows state
    "vllm-queue.json": {"dp": 2, "eager": "true", "prefill_chunk": 4096.0},
    "vllm-offline.txt": {"tp": 2, "runner": "offline", "engine": "vllm"},
    "vllm-throughput-few.json": {"devices": 8},
    "sglang-serving.txt": {"engine": "sglang", "model": "qwen2.5-32b"},
    "sglang-one-batch.txt": {"engine": "sglang", "model": "qwen2.5-32b", "tp": 4},
    "trtllm.txt": {"engine": "trtllm", "engine_version": "1.2.0", "weight_format": "FP8", "tp": 4},
    "llama-bench.md": {
        "weight_format": "q4_k_m",
        "weight_bits": pytest.approx(4.899, abs=1e-3),
        "engine_version": "b6865",
    },
    "llama-bench.sql": {"hardware": "rtx-4090", "model": "llama-2-7b", "weight_format": "q4_0"},
    "llama-bench-log.txt": {"hardware": "strix-halo", "weight_format": "mxfp4"},
    "llama-server.json": {"engine": "llamacpp"},
    "ollama.json": {"model": "gemma-2-9b", "weight_format": "q4_0", "engine": "llamacpp"},
    "mlx.txt": {"engine": "mlx"},
    "aiperf-inputs.json": {"model": "qwen3-4b", "weight_format": "fp8"},
    "inferencex.json": {"hardware": "h200-sxm", "tp": 8, "engine": "sglang"},
    "mlenergy-v2.json": {"hardware": "h100-sxm", "model": "llama-3.1-8b", "engine": "vllm"},
    "mlenergy-v3.json": {"hardware": "b200", "model": "qwen3-14b", "weight_format": "bf16"},
    "tgi.txt": {"engine": "tgi", "model": "llama-3.1-8b"},
    "lmdeploy.csv": {"engine": "lmdeploy"},
    "lmdeploy-pipeline.csv": {"engine": "lmdeploy", "hardware": "h100-sxm"},
    "lmdeploy-restful.txt": {"engine": "lmdeploy"},
    "inference-benchmarker.json": {"engine": "tgi", "tp": 2, "engine_version": "3.0.1"},
}
REFUSED = {  # file, settings, and words of the only line
    "sglang-drafts.json": (("hardware=h200-sxm",), "speculative_algorithm EAGLE"),
    "sglang-disaggregated.json": (("hardware=gh200-96gb",), "on different servers"),
    "vllm-narrow.json": ((H100,), "weight_format': 'mxfp4'"),
}
NOTED = {  # file, and words of a remark
    "vllm-few-requests.json": "8 requests for 8 in flight",
    "genai-perf-miscounted.json": "5.1 x the 500 tokens",
    "llama-bench-log.txt": "2 lines of log skipped",
    "llama-bench-backends.jsonl": "from 285.2 to 1290",
    "vllm-throughput-few.json": "not saturated",
}
DEVICES = {
    "Radeon 8060S Graphics": "strix-halo",
    "AMD Radeon 8060S Graphics": "strix-halo",
    "Radeon 8060S Graphics (RADV GFX1151)": "strix-halo",
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": "rtx-pro-6000",
    "NVIDIA GH200 480GB": "gh200-96gb",
    "AMD Instinct MI300X VF": "mi300x",
}


def read(name, *given):
    return read_results([str(DATA / name)], settings(given))


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_a_result(name):
    given, expected = ROWS[name]
    found = read(name, *given).rows

    assert [(row.metric, row.mode) for row in found] == [(row[0], row[2]) for row in expected]
    for row, (_, value, _, concurrency, input_len, output_len) in zip(found, expected, strict=True):
        assert row.value == pytest.approx(value, rel=1e-5)
        assert row.concurrency == (concurrency and pytest.approx(concurrency, rel=1e-5))
        assert row.input_len == pytest.approx(input_len, rel=1e-4)
        assert row.output_len == pytest.approx(output_len, rel=1e-4)


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_a_result(name):
    for row in read(name, *ROWS[name][0]).rows:
        assert {column: getattr(row, column) for column in COLUMNS[name]} == COLUMNS[name]


@pytest.mark.parametrize("name", REFUSED)
def test_results_that_no_column_can_express(name):
    given, words = REFUSED[name]
    with pytest.raises(InputError) as caught:
        read(name, *given)

    (line,) = caught.value.faults
    assert words in line


@pytest.mark.parametrize("name", NOTED)
def test_remarks_on_a_result(name):
    given = ROWS.get(name, ((LLAMA, H100), []))[0]

    assert any(NOTED[name] in note for note in read(name, *given).notes)


@pytest.mark.parametrize("printed", DEVICES)
def test_devices_as_tools_print_them(tmp_path, printed):
    record = json.loads((DATA / "llama-bench-device.json").read_text("utf-8"))
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(record | {"gpu_info": printed}), encoding="utf-8")
    (row,) = read_results([str(path)]).rows

    assert row.hardware == DEVICES[printed]


def test_names_of_models_as_servers_print_them(tmp_path):
    path = tmp_path / "answer.json"
    timings = {"prompt_n": 1100, "prompt_ms": 500.0, "predicted_n": 200, "predicted_ms": 3000.0}
    path.write_text(json.dumps({"model": "unsloth/Qwen3-8B-GGUF:Q4_K_M", "timings": timings}))
    row = read_results([str(path)], settings(("hardware=rtx-4090",))).rows[0]

    assert (row.model, row.weight_format) == ("qwen3-8b", "q4_k_m")


def test_parts_of_a_streamed_answer_are_left_out(tmp_path):
    path = tmp_path / "answer.jsonl"
    whole = json.loads((DATA / "ollama.json").read_text("utf-8"))
    part = {"model": whole["model"], "done": False, "response": "a"}
    path.write_text(f"{json.dumps(part)}\n{json.dumps(whole)}\n", encoding="utf-8")

    assert len(read_results([str(path)], settings(("hardware=rtx-4090",))).rows) == 1


def test_a_sweep_of_vllm_states_its_servers():
    found = read("vllm-sweep.json", H100)

    assert [row.tp for row in found.rows if row.metric == "tpot_s"] == [1, 2, 4]


def test_a_rate_needs_consent_and_the_remedy_names_its_mean():
    with pytest.raises(InputError) as caught:
        read("vllm-rates.jsonl", H100)

    assert len(caught.value.faults) == 3
    for line, mean in zip(caught.value.faults, ("2.673", "32.62", "201"), strict=True):
        assert f"{mean} requests in flight" in line
        assert "'concurrency': 'mean'" in line


def test_a_cold_start_is_left_out_by_name():
    (skip,) = read("vllm-few-requests.json", H100).skipped

    assert "16 times the median" in skip.reason
    kept = read_results(
        [str(DATA / "vllm-few-requests.json")], settings((H100,)), keep_suspect=True
    )
    assert [row.metric for row in kept.rows] == ["ttft_s", "tpot_s"]


def test_percentiles_are_kept():
    row = read("aiperf.csv", *ROWS["aiperf.csv"][0]).rows[0]

    assert row.task_note == "p50 0.17779, p90 0.39673, p95 0.67205, p99 0.68762"


def test_windows_line_ends_and_a_mark_of_the_encoding(tmp_path):
    text = (DATA / "llama-bench-device.json").read_text("utf-8")
    path = tmp_path / "bench.json"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())

    assert read_results([str(path)]).rows


def test_text_of_no_tool_names_the_template(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("Results\n[today] 12 tokens/s\n", encoding="utf-8")
    with pytest.raises(InputError, match="perfcore measurements template"):
        read_results([str(path)])


def test_every_tool_declares_what_it_states():
    assert len({tool.name for tool in TOOLS}) == len(TOOLS)
    assert all(tool.files and tool.rows and tool.states and tool.lacks for tool in TOOLS)


PARTS = ("null", "0", "-5", "1e300", "[]", "{}", '"a"', "true", "9" * 20, "nan", "|", "")


@pytest.mark.parametrize("seed", range(8))
def test_damaged_results_are_refused_without_a_traceback(tmp_path, seed):
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    given = settings((LLAMA, H100, "weight_format=bf16", "concurrency=4", "output_len=9"))
    path = tmp_path / "damaged.txt"
    for file in chance.sample(sorted(DATA.iterdir()), 6):
        text = file.read_text("utf-8")
        number = chance.choice(list(re.finditer(r"-?\d+\.?\d*", text)))
        start = chance.randrange(len(text))
        text = text[: number.start()] + chance.choice(PARTS) + text[number.end() :]
        path.write_text(text[:start] + text[start + chance.randrange(9) :], encoding="utf-8")
        with contextlib.suppress(InputError):
            read_results([str(path)], given)
