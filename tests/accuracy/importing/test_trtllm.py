"""Results of trtllm-bench."""

import pytest

from accuracy.importing.samples import TRTLLM, faults_of, rows_of
from perfcore.catalog import loader


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


def test_drafts_and_data_parallel_attention_are_heard(save):
    drafts = {**TRTLLM["engine"], "speculative_config": {"decoding_type": "Eagle"}}
    assert "speculative decoding has no column" in faults_of(save(TRTLLM | {"engine": drafts}))[0]

    world = {**TRTLLM["world_info"], "tp_size": 8, "ep_size": 8, "enable_attention_dp": True}
    row = rows_of(save(TRTLLM | {"world_info": world}))["tpot_s"]
    assert (row.tp, row.dp, row.ep, row.devices) == (1, 8, 8, 8)
