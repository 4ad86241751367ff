"""A whole point: all stages in sequence, known results, intervals."""

import pytest

from perfcore.physics.attention import kv_bytes_per_token
from perfcore.physics.operators import body_read_bytes
from perfcore.physics.stages.batch import batch_at
from perfcore.physics.stages.capacity import capacity_at
from perfcore.physics.stages.passes import pool_of, prefill_at, step_at
from perfcore.physics.stages.point import evaluate, point_at
from perfcore.physics.stages.replica import prepare, spread_of
from physics.worked import (
    APART,
    BF16,
    CONTINUOUS,
    ENGINE,
    FITTED,
    H100,
    IDEAL,
    KV16,
    LLAMA,
    MONEY,
    STATIC,
    deployed,
    digits,
    model,
    whole,
)

# ------------------------------------------------------------------------ prefill and point


@pytest.mark.parametrize("scheduler", [STATIC, CONTINUOUS, APART])
def test_stages_make_the_point(scheduler):
    deployment = deployed(tp=8.0, batch=4.0, scheduler=scheduler)
    common = (LLAMA, H100, ENGINE, BF16, KV16, deployment, MONEY)
    replica = prepare(*common)
    fit = capacity_at(replica, 4.0, 512.0, 64.0)
    running = batch_at(replica, 4.0, 4.0)
    prefill = prefill_at(replica, running, 512.0, 64.0)
    step = step_at(replica, running, 512.0, 64.0)
    point = point_at(replica, pool_of(replica), running, fit, 512.0, 64.0, prefill, step)

    assert point == evaluate(*common, 512.0, 64.0)


# --------------------------------------------------------------------------------- sizing


def test_decode_of_llama_on_eight_h100():
    """[fit] S = 2048, five start-ups per layer, attention at 0.92: 8.3351 ms, batch 64 14.399 ms.

    The source does not say how it counts activations; otherwise the two agree within 2 %.
    """
    engine = FITTED._replace(
        launch_attention=3.63e-6,
        launch_elementwise=0.0,
        kv_efficiency=0.92,
        kv_group_penalty=0.0,
        attention_decode_efficiency=0.802,
        host_per_step=0.0,
        host_per_sequence=0.0,
    )
    device = H100._replace(link_bandwidth=450e9)
    for batch, expected in ((1.0, 8.335090843e-3), (64.0, 14.3985575e-3)):
        point = whole(
            LLAMA, engine, device=device, input_len=2_047.0, output_len=2.0, tp=8.0, batch=batch
        )

        assert point.tpot_s == pytest.approx(expected, rel=0.05)


def test_hand_made_batch_of_a_dense_model():
    """Llama-2-13B at the bound: weights, KV cache of every sequence, and activations."""
    llama = model("llama-2-13b")
    point = whole(llama, IDEAL, input_len=1_000.0, output_len=100.0, batch=4.0)
    kv = 4 * 1_050 * kv_bytes_per_token(llama, KV16)

    assert point.kv_s == digits(kv / 3.35e12)
    assert point.weights_s == digits(body_read_bytes(llama, BF16) / 3.35e12)


# ----------------------------------------------------------------------------------- intervals


ENCLOSED = ENGINE._replace(
    low_tpot_single=0.9,
    high_tpot_single=1.1,
    low_tpot_parallel=0.8,
    high_tpot_parallel=1.2,
    low_tpot_served=0.7,
    high_tpot_served=1.3,
    low_ttft_static=0.6,
    high_ttft_static=1.4,
    low_ttft_served=0.5,
    high_ttft_served=1.5,
    low_energy=0.75,
    high_energy=1.25,
    low_power=0.85,
    high_power=1.15,
)


@pytest.mark.parametrize(
    ("layout", "tpot", "ttft"),
    [
        ({}, (0.9, 1.1), (0.6, 1.4)),
        ({"tp": 8.0}, (0.8, 1.2), (0.6, 1.4)),
        ({"pp": 2.0}, (0.8, 1.2), (0.6, 1.4)),
        ({"dp": 2.0}, (0.8, 1.2), (0.6, 1.4)),
        ({"scheduler": CONTINUOUS}, (0.7, 1.3), (0.5, 1.5)),
        ({"tp": 8.0, "scheduler": CONTINUOUS}, (0.7, 1.3), (0.5, 1.5)),
        ({"tp": 8.0, "scheduler": APART}, (0.7, 1.3), (0.5, 1.5)),
    ],
)
def test_intervals(layout, tpot, ttft):
    """One device, several, or a server: times the regime's constants; latency is the sum."""
    point = whole(LLAMA, ENCLOSED, batch=8.0, **layout)

    spread = spread_of(ENCLOSED, deployed(batch=8.0, **layout))
    assert (spread.low_tpot, spread.high_tpot) == tpot
    assert (spread.low_ttft, spread.high_ttft) == ttft
    assert point.tpot_low_s == digits(tpot[0] * point.tpot_s)
    assert point.tpot_high_s == digits(tpot[1] * point.tpot_s)
    assert point.ttft_low_s == digits(ttft[0] * point.ttft_s)
    assert point.ttft_high_s == digits(ttft[1] * point.ttft_s)
    low = ttft[0] * point.ttft_s + 255 * tpot[0] * point.tpot_s
    high = ttft[1] * point.ttft_s + 255 * tpot[1] * point.tpot_s
    assert (point.e2e_latency_low_s, point.e2e_latency_high_s) == (digits(low), digits(high))
    joules = point.energy_per_output_token_j
    assert point.energy_per_output_token_low_j == digits(0.75 * joules)
    assert point.energy_per_output_token_high_j == digits(1.25 * joules)
    assert point.power_low_w == digits(0.85 * point.power_w)
    assert point.power_high_w == digits(1.15 * point.power_w)
