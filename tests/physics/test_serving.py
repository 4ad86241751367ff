"""A server in steady state, by hand."""

import pytest

from perfcore.physics.attention import kv_bytes_per_sequence, kv_bytes_per_token
from perfcore.physics.parallelism import lay_out
from perfcore.physics.prefill import passes_at_once
from perfcore.physics.serving import (
    interference_share,
    prefill_pool,
    prompts_together,
    queueing,
    wasted_tokens,
)
from physics.worked import (
    APART,
    CONTINUOUS,
    ENGINE,
    FP8,
    H100,
    IDEAL,
    KV16,
    LLAMA,
    SERVED,
    STATIC,
    deployed,
    digits,
    model,
    roomy,
    serve,
    sheet,
    whole,
)


def test_queueing():
    """M/D/1: 0.375 s for 0.5 s at a load of 0.6; the load is limited to 0.95."""
    assert queueing(0.5, 0.6) == digits(0.375)
    assert queueing(0.5, 2.0) == queueing(0.5, 0.95)


def test_wasted_tokens():
    """Half of the last block of 16: 7.5 tokens, 2.4576 MB of Llama-3-70B."""
    wasted = wasted_tokens(ENGINE._replace(block_tokens=16.0))

    assert wasted * kv_bytes_per_token(LLAMA, KV16) == digits(2.4576e6)
    assert wasted_tokens(ENGINE._replace(block_tokens=1.0)) == 0.0


def test_blocks_are_wasted_by_servers_only():
    """In a batch of 8: 8 x 2.4576 MB."""
    engine = ENGINE._replace(block_tokens=16.0)
    static = whole(LLAMA, engine, batch=8.0)
    served = whole(LLAMA, engine, tp=1.0, batch=8.0, scheduler=CONTINUOUS, device=roomy(1e13)[0])

    assert served.kv_bytes_per_device - static.kv_bytes_per_device == digits(8 * 2.4576e6)


def test_largest_batch_of_a_replica():
    """8 x 80 GB, 0.9, 4 GB reserve, Llama-3-70B in bf16, 4096 tokens: 300 sequences."""
    engine = ENGINE._replace(memory_fraction=0.9, memory_reserve=4e9)
    device = H100._replace(memory_capacity=80e9)
    point = whole(LLAMA, engine, device=device, tp=8.0, input_len=4_000.0, output_len=96.0)

    assert point.max_batch == 300.0


def test_prompts_together():
    """256 in flight, 64 steps each: 4 arrive per step; a group's pass of 4096 tokens fits 2."""
    engine = ENGINE._replace(prefill_chunk=4_096.0)

    def together(**fields):
        plan = deployed(**fields)
        return prompts_together(engine, plan.scheduler, 256.0, plan.dp, 2_048.0, 64.0)

    assert together(scheduler=STATIC) == 256.0
    assert together(scheduler=CONTINUOUS) == 2.0
    assert together(scheduler=CONTINUOUS, dp=2.0) == 4.0
    assert together(scheduler=CONTINUOUS, dp=8.0) == 8.0
    assert together(scheduler=APART, dp=2.0) == 2.0


def test_passes_that_share_the_stages():
    """A pass in one piece leaves 3 of 4 stages idle, a pass in many chunks none."""
    plan = deployed(tp=2.0, pp=4.0, batch=64.0, scheduler=CONTINUOUS)
    layout = lay_out(LLAMA, H100, plan)

    assert passes_at_once(layout, 1.0, 4.0, 1.0) == 4.0
    assert passes_at_once(layout, 1.0, 4.0, 0.25) == 1.0
    static = lay_out(LLAMA, H100, plan._replace(scheduler=STATIC))
    assert passes_at_once(static, 1.0, 1.0, 1.0) == 1.0


def test_interference_share():
    """Each of 63 others is prefilled once in 256 steps, two together."""
    engine = ENGINE._replace(interference=0.8)

    assert interference_share(engine, CONTINUOUS, 64.0, 1 / 256, 0.5) == 0.8 * 63 / 256 / 2
    assert interference_share(engine, APART, 64.0, 1 / 256, 0.5) == 0.0
    assert interference_share(engine, STATIC, 64.0, 1 / 256, 0.5) == 0.0
    assert interference_share(engine, CONTINUOUS, 1.0, 1 / 256, 0.5) == 0.0


def test_prefill_pool():
    """64 requests in 10 s with 0.1 s of prefill each, pool load 0.8: 0.8 replicas."""
    assert prefill_pool(0.8, 0.1, 64 / 10) == digits(0.8)
    assert whole(LLAMA, ENGINE, tp=8.0, scheduler=APART).prefill_pool > 0.0
    assert whole(LLAMA, ENGINE, tp=8.0, scheduler=CONTINUOUS).prefill_pool == 0.0
    assert whole(LLAMA, ENGINE, tp=8.0, scheduler=STATIC).prefill_pool == 0.0


def prefill_of_one():
    """Seconds of one prompt's prefill, from a static batch of 1."""
    return serve(scheduler=STATIC, batch=1.0).ttft_s


def test_steps_wait_for_the_prefill_of_others():
    """Each of 32 others is prefilled once in 256 steps."""
    point = serve()

    assert point.prefill_s == digits(32 / 256 * prefill_of_one())
    assert point.tpot_s == digits(serve(scheduler=APART).tpot_s + point.prefill_s)


def test_steady_state_of_a_server():
    """B requests finish in O steps each."""
    point = serve()

    assert point.requests_per_s == digits(33 / (256 * point.tpot_s))
    assert point.tokens_per_s_per_device == digits(33 / point.tpot_s / 8)


def test_queue_of_random_arrivals():
    """M/D/1 at the share of time in prefill."""
    engine = SERVED._replace(random_arrivals=1.0)
    point = serve(engine)
    queue = queueing(prefill_of_one(), point.prefill_s / point.tpot_s)

    assert point.ttft_s - serve().ttft_s == digits(queue)


def test_first_token_waits_half_a_step():
    point = serve()
    step = point.tpot_s - point.prefill_s

    assert point.ttft_s == digits(prefill_of_one() + 0.5 * step)


def test_requests_in_front():
    """A tenth of 32 others are prefilled first."""
    more = serve(SERVED._replace(queue_weight=0.1)).ttft_s - serve().ttft_s

    assert more == digits(3.2 * prefill_of_one())


def test_requests_that_do_not_run_wait_a_generation():
    """32 of 128 run: three quarters of the requests wait 256 tokens."""
    engine = SERVED._replace(max_sequences=32.0)
    some, all_of_them = serve(engine, batch=128.0), serve(engine, batch=32.0)

    assert some.running_batch == 32.0
    assert some.tpot_s == all_of_them.tpot_s
    waited = some.ttft_s - all_of_them.ttft_s
    assert waited == digits(0.75 * 256 * some.tpot_s)


def test_requests_wait_for_room_in_the_cache():
    """A server runs what fits, while a static batch is refused."""
    engine = SERVED._replace(memory_fraction=0.9, memory_reserve=4e9)
    device = H100._replace(memory_capacity=80e9)
    lengths = {"input_len": 4_000.0, "output_len": 96.0}
    point = serve(engine, batch=1_000.0, device=device, **lengths)
    static = serve(engine, STATIC, batch=1_000.0, device=device, **lengths)

    assert (point.status, point.running_batch) == (0.0, 300.0)
    assert static.status == 7.0


def test_disaggregated_decode_waits_for_no_prefill():
    point = serve(scheduler=APART)

    assert point.prefill_s == 0.0
    assert point.prefill_pool == digits(
        prefill_of_one() * 33 / (256 * point.tpot_s * SERVED.prefill_pool_load)
    )
    assert point.tokens_per_s_per_device == digits(33 / point.tpot_s / 8 / (1 + point.prefill_pool))


def test_disaggregated_prompts_queue_for_the_pool():
    """The queue depends on the pool's load, not on the decoders'."""
    more = serve(SERVED._replace(random_arrivals=1.0), APART).ttft_s - serve(scheduler=APART).ttft_s

    assert more == digits(queueing(prefill_of_one(), SERVED.prefill_pool_load))


def test_disaggregated_cache_moves():
    """2048 tokens of Llama-3-70B at 8 x 50 GB/s: 1.6777216 ms, all but one of 80 layers hidden."""
    engine = SERVED._replace(network_efficiency=1.0)
    device = H100._replace(network_bandwidth=50e9, scale_up_domain=8.0)
    instant = device._replace(network_bandwidth=1e30)
    moved = serve(engine, APART, device=device).ttft_s - serve(engine, APART, device=instant).ttft_s

    assert 80 * moved == digits(1.6777216e-3)


def test_disaggregated_windows_move_once():
    """Gemma-3-27B: tokens outside the windows are not sent, with or without a cached prefix."""
    gemma = model("gemma-3-27b")
    engine = SERVED._replace(network_efficiency=1.0, random_arrivals=0.0)
    device = H100._replace(network_bandwidth=1.0)

    for hit in (0.0, 0.5):
        point = whole(gemma, engine, device=device, scheduler=APART, prefix_hit=hit)
        expected = kv_bytes_per_sequence(gemma, KV16, 2_048.0) / gemma.layers
        assert point.ttft_s == pytest.approx(expected, rel=1e-4)


def test_long_answers_are_in_flight_longer():
    """Spread 2: the context of 256 output tokens counts as that of 512; only S depends on it."""
    engine = IDEAL._replace(memory_reserve=0.0, memory_fraction=1.0)
    even, uneven = (
        serve(engine._replace(length_spread=spread), APART, batch=4.0) for spread in (1.0, 2.0)
    )
    longer = 4 * 128 * 327_680 / 8 / 3.35e12

    assert even.kv_s == digits(4 * (2_048 + 128) * 327_680 / 8 / 3.35e12)
    assert uneven.kv_s == digits(4 * (2_048 + 256) * 327_680 / 8 / 3.35e12)
    assert uneven.tpot_s - even.tpot_s == digits(longer)
    assert uneven.step_bytes - even.step_bytes == digits(4 * 128 * 327_680)
    assert uneven.step_flops - even.step_flops == digits(4 * 128 * 80 * 4 * 64 * 128)
    for name in (
        "status",
        "ttft_s",
        "running_batch",
        "kv_bytes_per_device",
        "total_bytes_per_device",
        "max_batch",
        "devices_needed",
        "weights_s",
        "activations_s",
        "network_s",
        "latency_s",
        "prefill_s",
        "prefill_power_w",
        "energy_per_input_token_j",
        "cost_per_mtok_input_usd",
    ):
        assert getattr(uneven, name) == getattr(even, name), name


def test_windows_of_long_answers():
    """Gemma-3-27B, mean of min(s, 1024) from 1000: 1021.12 to 1100, 1022.56 to 1200."""
    gemma = model("gemma-3-27b")
    for spread, near, far in ((1.0, 1_021.12, 1_050), (2.0, 1_022.56, 1_100)):
        engine = IDEAL._replace(length_spread=spread)
        point = whole(
            gemma, engine, input_len=1_000.0, output_len=100.0, scheduler=CONTINUOUS, batch=1.0
        )
        read = (gemma.global_kv_elements * far + gemma.window_kv_elements * near) * 2
        assert point.kv_s == digits(read / 3.35e12)


def test_indexer_of_long_answers():
    """DeepSeek-V3.2, mean of min(s, 2048) from 2000: 2036.48 to 2100, 2042.24 to 2200."""
    sparse = model("deepseek-v3.2")
    for spread, seen, context in ((1.0, 2_036.48, 2_050), (2.0, 2_042.24, 2_100)):
        engine = IDEAL._replace(length_spread=spread)
        point = whole(
            sparse, engine, form=FP8, input_len=2_000.0, output_len=100.0, scheduler=APART
        )
        assert point.kv_s == digits(61 * (576 * 2 * seen + 128 * context) / 3.35e12)


def test_answers_of_a_static_batch_are_alike():
    engine = ENGINE._replace(length_spread=2.0)

    assert serve(engine, STATIC) == serve(ENGINE, STATIC)


@pytest.mark.parametrize(
    ("layout", "further"),
    [
        ({"tp": 1.0}, 0),
        ({"tp": 8.0}, 7),
        ({"tp": 2.0, "pp": 4.0}, 7),
        ({"tp": 1.0, "dp": 8.0, "batch": 8.0}, 0),
        ({"tp": 2.0, "dp": 4.0, "batch": 8.0}, 1),
    ],
)
def test_host_drives_devices(layout, further):
    """20 us per additional device of a group, in decode steps only."""
    idle, driving = (
        whole(LLAMA, IDEAL._replace(host_per_device=seconds), **layout) for seconds in (0.0, 20e-6)
    )

    assert driving.latency_s - idle.latency_s == digits(further * 20e-6)
    assert driving.tpot_s - idle.tpot_s == pytest.approx(further * 20e-6, rel=1e-9, abs=1e-15)
    assert driving.ttft_s == idle.ttft_s


def test_host_of_a_spatial_machine_drives_none():
    groq = sheet("groq-lpu")
    slow = ENGINE._replace(host_per_device=1.0)
    fast = ENGINE._replace(host_per_device=0.0)

    assert whole(LLAMA, slow, device=groq, pp=576.0) == whole(LLAMA, fast, device=groq, pp=576.0)


@pytest.mark.parametrize("scheduler", [STATIC, CONTINUOUS, APART])
def test_servers_take_time(scheduler):
    """1 ms, and 10 us per sequence: 1.32 ms for 32, 1.08 ms in 4 groups; 0 for a static batch."""
    engine = IDEAL._replace(server_per_step=1e-3, server_per_sequence=10e-6)
    one, four = (
        serve(engine, scheduler, tp=8.0, batch=32.0, **groups) for groups in ({}, {"dp": 4.0})
    )
    plain = serve(IDEAL, scheduler, tp=8.0, batch=32.0)

    expected = (0.0, 0.0) if scheduler == STATIC else (1.32e-3, 1.08e-3)
    assert (one.latency_s, four.latency_s) == (digits(expected[0]), digits(expected[1]))
    assert one.tpot_s - plain.tpot_s == pytest.approx(expected[0], rel=1e-9, abs=1e-15)


def test_choosing_tokens_takes_the_device():
    """2 us for each of 32 sequences, 8 per group, at the power of a busy device."""
    engine = IDEAL._replace(
        sampling_per_sequence=2e-6,
        power_floor=0.4,
        power_host=0.1,
        memory_energy_factor=0.0,
        compute_energy_factor=0.0,
    )
    one, four = (whole(LLAMA, engine, batch=32.0, dp=groups) for groups in (1.0, 4.0))

    assert one.latency_s == digits(64e-6)
    assert four.latency_s == digits(16e-6)
    assert one.decode_power_w == digits(0.4 * H100.board_power)
    assert one.ttft_s == whole(LLAMA, IDEAL, batch=32.0).ttft_s
