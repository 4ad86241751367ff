"""Layers and experts on the CPU against the oracle's hybrid, which shares no code with physics."""

import pytest
from naive.hybrid import Hybrid

from perfcore import catalog, records
from perfcore.physics.stages.point import evaluate

MONEY = catalog.default_economics()
SPLITS = {
    "experts": {"offload": records.OFFLOAD_EXPERTS},
    "some experts": {"offload": records.OFFLOAD_EXPERTS, "cpu_moe_layers": 7.0},
    "layers": {"gpu_layers": 5.0},
    "both": {"offload": records.OFFLOAD_EXPERTS, "gpu_layers": 20.0, "cpu_moe_layers": 22.0},
    "all here": {"gpu_layers": 999.0},
}
MODELS = (
    "llama-3-70b",
    "gemma-3-27b",
    "gpt-oss-120b",
    "deepseek-v3",
    "deepseek-v3.2",
    "qwen3-next-80b-a3b",
    "llama-4-maverick-17b-128e",
    "nemotron-h-56b",
)


def close(value):
    return pytest.approx(value, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", MODELS)
def test_hybrid(name, split):
    """One device and its host: times, and where bytes are."""
    sheet = catalog.load_device("rtx-4090")
    entry, device = catalog.load_model(name), sheet.record()
    for engine_name, weights, stream, batch, input_len in (
        ("llamacpp", "q4_k_m", 32.0, 1.0, 31.0),
        ("llamacpp", "q4_k_m", 32.0, 3.0, 3_000.0),
        ("ideal", "bf16", 0.0, 2.0, 700.0),
        ("default", "mxfp4", 1e9, 40.0, 1_000.0),
        ("default", "q4_0", 0.0, 1.0, 5.0),
    ):
        engine = catalog.load_engine(engine_name).record(sheet)
        engine = engine._replace(cpu_stream_tokens=stream, pads_heads=1.0)
        formats = (
            catalog.load_weight_format(weights).record(),
            catalog.load_kv_format("bf16").record(),
        )
        plan = records.Deployment(batch=batch, prefix_hit=0.25, **SPLITS[split])
        naive = Hybrid(entry, device, engine, *formats, MONEY, plan, input_len, 300.0)
        point = evaluate(entry.record(), device, engine, *formats, plan, MONEY, input_len, 300.0)
        tpot, waits = naive.token()
        assert point.tpot_s == close(tpot)
        assert point.offload_s == close(waits)
        assert point.ttft_s == close(naive.first())
        here, away, cache_here, cache_away = naive.memory()
        assert point.weight_bytes_per_device == close(here + away)
        assert point.kv_bytes_per_device == close(cache_here + cache_away)
        assert point.offloaded_bytes_per_device == close(away + cache_away)
