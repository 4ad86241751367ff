"""Stage 3: a prefill pass and a decode step, with offloading and experts."""

import pytest

from perfcore import records
from perfcore.physics.roofline import Operator
from perfcore.physics.stages.batch import batch_at
from perfcore.physics.stages.passes import away_at, prefill_at
from perfcore.physics.stages.replica import prepare
from physics.worked import BF16, DEEPSEEK, FP8, H100, IDEAL, KV16, LLAMA, MONEY, deployed, digits

# ------------------------------------------------------------------------------ attention


def test_what_does_not_fit_is_away():
    """Weights that exceed the memory are in the second tier, and read once per step."""
    engine = IDEAL._replace(host_memory_bytes=1e12)
    device = H100._replace(memory2_bandwidth=50e9)
    plan = deployed(offload=records.OFFLOAD_WEIGHTS)
    replica = prepare(LLAMA, device, engine, BF16, KV16, plan, MONEY)
    running = batch_at(replica, 1.0, 1.0)
    away = away_at(replica, running, 1e9, 0.0)
    size = replica.weight_bytes_per_device + 1e9 - replica.usable_bytes

    assert away.size == digits(size)
    assert away.weights_s == digits(size / 50e9)
    assert away.step_s == away.weights_s * running.weight_read_share
    assert running.weight_read_share == pytest.approx(1.0, rel=0.02)  # the embedding is not read


# ------------------------------------------------------------------------ prefill and point


def test_experts_of_a_prefill():
    """64 tokens read 222.4 of 256 experts, as the time of the experts' weights shows."""
    engine = IDEAL._replace(routing_independence=1.0)
    device = H100._replace(flops_fp16=1e30, flops_fp8=1e30)
    replica = prepare(DEEPSEEK, device, engine, FP8, KV16, deployed(batch=2.0), MONEY)
    running = batch_at(replica, 2.0, 2.0)

    def seconds(weights):
        experts = Operator(0.0, weights, 0.0, 0.0)
        other = replica._replace(operators=replica.operators._replace(experts=experts))
        return prefill_at(other, running, 32.0, 8.0).seconds

    assert seconds(1.0) - seconds(0.0) == digits(222.4424877)
