"""Results of AIPerf and genai-perf."""

import pytest

from accuracy.importing.samples import (
    AIPERF,
    AIPERF_PHASES,
    GENAI,
    WHERE,
    faults_of,
    metric,
    rows_of,
)
from perfcore.accuracy.importing import read_results


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
    ("inputs", "words"),
    [
        ({"conversation": {"turn": {"mean": 3}}}, "3 turns of a session"),
        ({"prompt": {"prefix_prompt": {"length": 2000}}}, "prompts share a prefix"),
        ({"custom_dataset_type": "mooncake_trace"}, "share prefixes"),
        ({"image": {"width": {"mean": 512}}}, "have images"),
    ],
)
def test_times_of_unusual_prompts_are_left_out(save, inputs, words):
    config = {**AIPERF["input_config"], "input": inputs}
    found = read_results([save(AIPERF | {"input_config": config})], {"engine": "vllm"})

    assert [row.metric for row in found.rows] == ["tpot_s"]
    assert words in found.skipped[0].reason


def test_more_gpus_than_are_assumed_are_noted(save):
    one, two = (
        read_results([save(AIPERF)], {"engine": "vllm", **given}).notes
        for given in ({}, {"tp": 2.0})
    )

    assert any("the telemetry has 2 GPUs, and one is assumed" in note for note in one)
    assert not any("telemetry" in note for note in two)
