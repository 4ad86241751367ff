"""Results of vLLM and SGLang."""

import pytest

from accuracy.importing.samples import (
    LATENCY,
    SERVE,
    SGLANG,
    STATIC,
    THROUGHPUT,
    WHERE,
    faults_of,
    rows_of,
)
from perfcore.accuracy.importing import read_results


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
        "add given={'concurrency': 'mean'}"
    )
    mean = rows_of(save(SERVE | load), **WHERE, concurrency="mean")["tpot_s"]
    assert mean.concurrency == pytest.approx(21.75, abs=0.01)
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


def test_sglang_server_states_its_graphs_and_its_token_budget(save):
    info = SGLANG["server_info"] | {"disable_cuda_graph": True, "chunked_prefill_size": 4096}
    row = rows_of(save(SGLANG | {"server_info": info}), **WHERE)["tpot_s"]
    plain = rows_of(save(SGLANG), **WHERE)["tpot_s"]

    assert (row.eager, row.prefill_chunk) == ("true", 4096)
    assert plain.eager == ""


def test_vllm_serve_metadata_may_hold_the_stack(save):
    more = {"eager": "true", "prefill_chunk": "2048", "power_limit": "300"}
    row = rows_of(save(SERVE | more), **WHERE)["tpot_s"]

    assert (row.eager, row.prefill_chunk, row.power_limit) == ("true", 2048, 300)


def test_vllm_throughput_runs_without_a_server(save):
    (row,) = rows_of(save(THROUGHPUT), **WHERE, output_len=128, model="llama-3.1-8b").values()

    assert row.runner == "offline"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"ramp_up_strategy": "linear"}, "a rate that rises during the run"),
        ({"endpoint_type": "vllm-pooling"}, "vllm-pooling generates no text"),
        ({"endpoint_type": "openai-audio"}, "openai-audio generates no text"),
        ({"cpu_offload_gb": 20}, "weights on the host have no column (cpu_offload_gb)"),
        ({"kv_transfer_config": {"kv_connector": "N"}}, "caches on other servers have no column"),
        ({"lora_modules": ["a"]}, "LoRA adapters have no column"),
    ],
)
def test_runs_that_no_column_expresses(save, more, reason):
    (fault,) = faults_of(save(SERVE | more), **WHERE)

    assert fault.startswith("nothing to import: ")
    assert reason in fault
    off = {key: None if isinstance(value, dict | list) else "" for key, value in more.items()}
    assert rows_of(save(SERVE | off), **WHERE, engine="vllm")["tpot_s"].value == 0.0125


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("prefix_repetition", "share prefixes, which may be cached"),
        ("generated-shared-prefix", "share prefixes, which may be cached"),
        ("mooncake", "share prefixes, which may be cached"),
        ("random-mm", "have images, whose time is not modelled"),
        ("random", ""),
        ("sharegpt", ""),
    ],
)
def test_prompts_of_some_data_sets_take_another_time(save, dataset, words):
    found = read_results([save(SERVE | {"dataset_name": dataset})], WHERE)

    assert [row.metric for row in found.rows] == (["tpot_s"] if words else ["ttft_s", "tpot_s"])
    assert all(words in skip.reason for skip in found.skipped)
    kept = read_results([save(SERVE | {"dataset_name": dataset})], WHERE, keep_suspect=True)
    assert len(kept.rows) == 2


@pytest.mark.parametrize(
    ("options", "degrees"),
    [
        ({"tp_size": 8, "dp_size": 8, "enable_dp_attention": True, "ep_size": 8}, (1, 8, 8)),
        ({"tp_size": 8, "dp_size": 2, "enable_dp_attention": True}, (4, 2, 1)),
        ({"tp_size": 8, "dp_size": 1, "enable_dp_attention": True}, (8, 1, 1)),
        ({"tp_size": 4, "dp_size": 2, "enable_dp_attention": False}, (4, 2, 1)),
    ],
)
def test_ranks_of_data_parallel_attention_are_those_of_tp(save, options, degrees):
    info = {**SGLANG["server_info"], **options}
    row = rows_of(save(SGLANG | {"server_info": info}), hardware="h100-sxm")["tpot_s"]

    assert (row.tp, row.dp, row.ep) == degrees
    assert row.devices == row.tp * row.dp


def test_experts_of_vllm_are_parallel_over_all_ranks(save):
    more = {"tensor_parallel_size": 2, "data_parallel_size": 4, "enable_expert_parallel": True}
    row = rows_of(save(SERVE | more), **WHERE)["tpot_s"]

    assert (row.tp, row.dp, row.ep, row.devices) == (2, 4, 8, 8)


def test_bursts_and_steps_are_noted(save):
    more = {"burstiness": 0.5, "num_scheduler_steps": 8}

    assert "burstiness 0.5" in rows_of(save(SERVE | more), **WHERE)["tpot_s"].task_note
    assert "num_scheduler_steps 8" in rows_of(save(SERVE | more), **WHERE)["tpot_s"].task_note


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"output_throughput": 16_384.0}, "contradicts 163,840 tokens in 100 s, which are 1638"),
        ({"duration": 10.0, "output_throughput": 16_384.0}, "which contradicts max_concurrency 64"),
    ],
)
def test_totals_that_contradict_each_other_are_told(save, changes, words):
    found = read_results([save(SERVE | changes)], WHERE)
    told = [note for note in found.notes if "contradicts" in note]

    assert len(told) == bool(words)
    assert all(words in note for note in told)
