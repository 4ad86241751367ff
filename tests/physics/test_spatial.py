"""Machines with weights in SRAM, compared with their vendors' figures."""

import pytest

from perfcore import catalog
from physics.worked import ENGINE, FP8, LLAMA, digits, model, sheet, weights, whole


def test_groq_needs_hundreds_of_chips():
    """70 GB of weights at 0.9 of 230 MB are 338 LPUs; Llama-3-70B in fp8, embeddings in 16 bit."""
    groq = sheet("groq-lpu")
    engine = ENGINE._replace(memory_fraction=0.9, memory_reserve=0.0)
    lone = whole(LLAMA, engine, device=groq, form=FP8, input_len=1.0, output_len=1.0, pp=337.0)

    assert 338 <= lone.devices_needed <= 360
    assert lone.status == 5.0


@pytest.mark.parametrize(
    ("name", "device", "form", "chips", "published"),
    [
        pytest.param("llama-2-70b", "groq-lpu", "fp8", 576.0, 300, id="groq-vendor-claimed"),
        pytest.param("llama-3.1-8b", "wse-3", "bf16", 1.0, 1_800, id="wse-3-vendor-claimed"),
        pytest.param("llama-3.1-70b", "wse-3", "bf16", 4.0, 450, id="4-wse-3-vendor-claimed"),
    ],
)
def test_spatial_machines_are_as_fast_as_claimed(name, device, form, chips, published):
    """Vendors' tokens/s per user, within a factor of 2."""
    entry = catalog.load_device(device)
    engine = catalog.load_engine("default").record(entry)
    point = whole(model(name), engine, device=entry.record(), form=weights(form), pp=chips)

    assert point.status == 0.0
    assert published / 2 < 1 / point.tpot_s < published * 2


def test_spatial_layers_take_a_fixed_time():
    groq = sheet("groq-lpu")
    slow = groq._replace(layer_latency=groq.layer_latency + 1e-5)
    before, after = (whole(LLAMA, ENGINE, device=device, pp=576.0) for device in (groq, slow))

    assert after.latency_s - before.latency_s == digits(80 * 1e-5 * ENGINE.spatial_latency)
    assert before.network_s == 0.0


def test_spatial_stages_hold_one_sequence_each():
    """80 sequences on 80 stages: the time per token is that of one sequence, except the host's."""
    groq = sheet("groq-lpu")
    engine = ENGINE._replace(host_per_sequence=0.0)
    one, many = (
        whole(LLAMA, engine, device=groq, form=FP8, pp=800.0, batch=batch) for batch in (1.0, 80.0)
    )

    assert many.tpot_s == digits(one.tpot_s)
    tokens = 256 * 80 / many.e2e_latency_s
    assert many.tokens_per_s_per_device == digits(tokens / 800)
