"""A server in steady state, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfcore.physics.attention import kv_bytes_per_sequence, kv_bytes_per_token
from perfcore.physics.parallelism import lay_out
from perfcore.physics.prefill import passes_at_once
from perfcore.physics.serving import (
    ahead_of,
    between_of,
    hand_over,
    kept_output,
    pool_load,
    portion,
    prefill_pool,
    prompts_together,
    queueing,
    rhythm,
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


def test_others_come_first_or_between_two_steps():
    """Half first, the rest spread over 4 steps and one: a tenth each; or as a step has room."""
    assert between_of(0.5, 4.0, 1.0) == digits(0.1)
    assert ahead_of(0.5, 4.0, 1.0) == digits(0.6)
    assert between_of(0.5, 4.0, 0.05) == digits(0.05)
    assert ahead_of(0.5, 4.0, 0.05) == digits(0.8)


def test_portion():
    """3 of 4 s; all of nothing."""
    assert portion(3.0, 1.0) == digits(0.75)
    assert portion(0.0, 0.0) == 1.0


def test_queueing():
    """M/D/1: 0.375 s for 0.5 s at a load of 0.6; the load is limited to 0.95."""
    assert queueing(0.5, 0.6) == digits(0.375)
    assert queueing(0.5, 2.0) == queueing(0.5, 0.95)


def test_hand_over():
    """5 layers of 0.08 s: the last one after a long prefill; after 0.1 s, four wait for the link.

    The first can leave after 0.02 s, and the last then arrives after 0.42 s.
    """
    assert hand_over(0.08, 10.0, 5.0) == 0.08
    assert hand_over(0.08, 0.1, 5.0) == digits(0.32)


def test_pool_load():
    """A prompt per second, 3 requests: 0.75 (2.5 + 0.75/(2 0.25)) = 3; without a wait, B/(k T)."""
    assert pool_load(1.0, 3.0, 2.5, 1.0) == digits(0.75)
    assert pool_load(1.0, 3.0, 5.0, 0.0) == digits(0.6)
    assert pool_load(1.0, 3.0, 2.5, 0.0) == digits(1.0)


def test_wasted_tokens():
    """Half of the last block of 16: 7.5 tokens, 2.4576 MB of Llama-3-70B."""
    wasted = wasted_tokens(ENGINE._replace(block_tokens=16.0))

    assert wasted * kv_bytes_per_token(LLAMA, KV16) == digits(2.4576e6)
    assert wasted_tokens(ENGINE._replace(block_tokens=1.0)) == 0.0


def test_blocks_are_wasted_by_servers_only():
    """In a batch of 8: 8 x 2.4576 MB."""
    engine = ENGINE._replace(block_tokens=16.0, reserves_output=1.0)
    static = whole(LLAMA, engine, batch=8.0)
    served = whole(LLAMA, engine, tp=1.0, batch=8.0, scheduler=CONTINUOUS, device=roomy(1e13)[0])

    assert served.kv_bytes_per_device - static.kv_bytes_per_device == digits(8 * 2.4576e6)


def test_kept_output():
    """Half of 256 tokens on demand; with a spread of 1.5 three quarters; all if reserved."""
    on_demand = ENGINE._replace(reserves_output=0.0)

    assert kept_output(on_demand, 256.0) == 128.0
    assert kept_output(on_demand._replace(length_spread=1.5), 256.0) == 192.0
    assert kept_output(on_demand._replace(length_spread=3.0), 256.0) == 256.0
    assert kept_output(on_demand._replace(reserves_output=1.0), 256.0) == 256.0


def test_cache_of_a_server_on_demand():
    """8 sequences of 2048 + 128 tokens; the rest of one answer, 128 tokens, stays free."""
    engine = roomy(1.0)[1]._replace(block_tokens=1.0, reserves_output=0.0)
    size = kv_bytes_per_sequence(LLAMA, KV16, 1.0)
    weights = whole(LLAMA, engine, device=roomy(1e13)[0]).weight_bytes_per_device
    fitting = weights + (8 * 2_176 + 128) * size

    for memory, most in ((fitting * (1 + 1e-9), 8.0), (fitting * (1 - 1e-9), 7.0)):
        device = roomy(memory)[0]
        point = whole(LLAMA, engine, device=device, scheduler=CONTINUOUS, batch=20.0)
        assert (point.max_batch, point.running_batch) == (most, most)
        assert point.kv_bytes_per_device == digits(most * 2_176 * size)


def test_largest_batch_of_a_replica():
    """8 x 80 GB, 0.9, 4 GB reserve, Llama-3-70B in bf16, 4096 tokens: 300 sequences."""
    engine = ENGINE._replace(memory_fraction=0.9, memory_reserve=4e9)
    device = H100._replace(memory_capacity=80e9)
    point = whole(LLAMA, engine, device=device, tp=8.0, input_len=4_000.0, output_len=96.0)

    assert point.max_batch == 300.0


def test_prompts_together():
    """A step of 4096 tokens has room for 2 prompts of 2048 in each group, one of 8192."""
    engine = ENGINE._replace(prefill_chunk=4_096.0)

    def together(scheduler, groups=1.0, sequences=32.0, tokens=2_048.0):
        return prompts_together(engine, scheduler, 256.0, sequences, groups, tokens)

    assert together(STATIC) == 256.0
    assert together(CONTINUOUS) == 2.0
    assert together(CONTINUOUS, sequences=1.5) == 1.5
    assert together(CONTINUOUS, tokens=8_192.0) == 1.0
    assert together(CONTINUOUS, groups=4.0) == 8.0
    assert together(APART, groups=2.0) == 2.0


def paced(batch=9.0, new_tokens=2_048.0, decode_steps=255.0, drafted=1.0, stages=1.0, **fields):
    """Return the rhythm of one group with room for 1024 tokens a step, a quarter first."""
    engine = ENGINE._replace(**{"prefill_chunk": 1_024.0, "queue_weight": 0.25, **fields})
    return rhythm(engine, batch, batch / stages, new_tokens, decode_steps, drafted)


def test_rhythm():
    """8 others: 2 in a wave, and of 6 each in one of 256 places; 2 steps a prompt.

    Half a step until the next one, 2 of the own prompt, 2 x 2.0234375 of others ahead: 6.546875
    steps; 255 of 261.546875 write.
    """
    pace = paced()

    assert pace.decode == 255.0
    assert pace.ahead == digits(2 + 6 / 256)
    assert pace.between == digits(6 / 256)
    assert pace.prefill == digits(0.5 + 2 + 2 * (2 + 6 / 256))
    assert pace.decode_share == digits(255 / 261.546875)
    assert pace.company == 1.0


def test_every_other_request_is_prefilled_once():
    pace = paced(batch=33.0)

    assert pace.ahead + pace.decode * pace.between == digits(32)


def test_rhythm_has_room_for_all_tokens():
    """9 requests of 2048 + 10 tokens fill 18.09 steps of 1024: 8.09 before the first, and half."""
    pace = paced(decode_steps=10.0)

    assert pace.prefill == digits(9 * 2_058 / 1_024 - 10 + 0.5)
    assert paced(decode_steps=10.0, drafted=3.0).prefill == digits(9 * 2_078 / 1_024 - 10 + 0.5)


def test_rhythm_of_a_request_alone():
    """Nobody shares its steps; no step is shorter than one."""
    pace = paced(batch=1.0, new_tokens=100.0)

    assert (pace.ahead, pace.between, pace.company) == (0.0, 0.0, 0.0)
    assert (pace.prefill, pace.decode_share) == (1.5, 1.0)
    assert paced(batch=1.0, decode_steps=0.0).decode_share == 1.0
    assert paced(decode_steps=0.0).decode_share == digits(1 / 9)


def test_requests_in_other_stages_are_no_company():
    """8 requests in 8 stages are each alone in their passes; 16 meet another in 20 of 22.5."""
    alone = paced(batch=8.0, stages=8.0)
    pairs = paced(batch=16.0, new_tokens=1_024.0, decode_steps=20.0, stages=8.0, queue_weight=1.0)

    assert (alone.company, alone.decode_share) == (0.0, 1.0)
    assert pairs.prefill == 2.5
    assert pairs.company == digits(20 / 22.5)
    assert pairs.decode_share == digits(20 / (20 + 20 / 22.5 * 2.5))


@given(
    st.floats(1.0, 4_096.0),
    st.floats(1.0, 1e5),
    st.floats(1.0, 1e4),
    st.floats(0.0, 1.0),
    st.sampled_from([1.0, 4.0]),
)
def test_all_requests_write_all_their_tokens_while_one_runs(batch, new_tokens, steps, wave, stages):
    pace = paced(
        batch=batch, new_tokens=new_tokens, decode_steps=steps, queue_weight=wave, stages=stages
    )

    writes = (pace.decode + pace.company * pace.prefill) * batch * pace.decode_share
    assert writes == pytest.approx(batch * steps, rel=1e-12)


def test_passes_that_share_the_stages():
    """A pass in one piece leaves 3 of 4 stages idle, a pass in many chunks none."""
    plan = deployed(tp=2.0, pp=4.0, batch=64.0, scheduler=CONTINUOUS)
    layout = lay_out(LLAMA, H100, plan)

    assert passes_at_once(layout, 1.0, 4.0, 1.0) == 4.0
    assert passes_at_once(layout, 1.0, 4.0, 0.25) == 1.0
    static = lay_out(LLAMA, H100, plan._replace(scheduler=STATIC))
    assert passes_at_once(static, 1.0, 1.0, 1.0) == 1.0


def test_prefill_pool():
    """64 requests in 10 s with 0.1 s of prefill each, pool load 0.8: 0.8 replicas."""
    assert prefill_pool(0.8, 0.1, 64 / 10) == digits(0.8)
    assert whole(LLAMA, ENGINE, tp=8.0, scheduler=APART).prefill_pool > 0.0
    assert whole(LLAMA, ENGINE, tp=8.0, scheduler=CONTINUOUS).prefill_pool == 0.0
    assert whole(LLAMA, ENGINE, tp=8.0, scheduler=STATIC).prefill_pool == 0.0


def prefill_of_one():
    """Seconds of one prompt's prefill, from a static batch of 1."""
    return serve(scheduler=STATIC, batch=1.0).ttft_s


@pytest.mark.parametrize("scheduler", [STATIC, CONTINUOUS, APART])
@pytest.mark.parametrize("batch", [1.0, 33.0, 500.0])
def test_requests_in_flight(scheduler, batch):
    """Little's law, with and without requests that wait: throughput x time."""
    point = serve(SERVED._replace(max_sequences=100.0), scheduler, batch=batch)

    assert point.requests_per_s * point.e2e_latency_s == pytest.approx(batch, rel=1e-12)
    devices = 8 * (1 + point.prefill_pool)
    assert point.tokens_per_s_per_device == digits(256 * point.requests_per_s / devices)


def test_a_request_alone_is_a_static_batch_of_one():
    """A server without overheads and others: the prompt, then the steps."""
    engine = SERVED._replace(server_per_step=0.0, server_per_sequence=0.0, prefill_chunk=2_048.0)
    static, served = (serve(engine, kind, batch=1.0) for kind in (STATIC, CONTINUOUS))

    assert served.ttft_s == digits(static.ttft_s)
    assert served.tpot_s == digits(static.tpot_s)
    assert served.energy_per_request_j == digits(static.energy_per_request_j)


def test_prompts_that_hide_nothing_cost_their_time():
    """Answers of one token: 33 prompts, one after the other, and no decode step."""
    point = serve(SERVED._replace(prefill_chunk=2_048.0), output_len=1.0)

    assert point.ttft_s == digits(33 * prefill_of_one())
    assert point.requests_per_s == digits(1 / prefill_of_one())


def test_prompts_hide_behind_the_reads_of_a_step():
    """An ideal device: R is arithmetic only, and what a step of 32 reads its weights for is free.

    1.1 ms of each step are not used by its own arithmetic.
    """
    engine = IDEAL._replace(interference=1.0, prefill_chunk=2_048.0, queue_weight=0.0)
    point = serve(engine, tp=8.0, batch=33.0)
    ratio = point.prefill_s / prefill_of(engine)

    assert 0.0 < ratio < 32 / 256


def prefill_of(engine):
    """Seconds of one prompt's prefill by an engine."""
    return serve(engine, STATIC, batch=1.0).ttft_s


def test_disaggregated_steps_are_thinner():
    """Of 33 requests, those that wait for their prompts write nothing."""
    engine = SERVED._replace(server_per_step=0.0, server_per_sequence=0.0)
    point, alone = (serve(engine, APART, batch=batch) for batch in (33.0, 1.0))
    full = serve(engine, STATIC)
    writing = 255 * full.tpot_s / (255 * full.tpot_s + point.ttft_s)

    assert alone.kv_s == digits(serve(scheduler=STATIC, batch=1.0).kv_s)
    assert point.kv_s == digits(writing * full.kv_s)


def test_a_wave_of_prompts_comes_first():
    """If all 32 others come first, no step waits for a prompt."""
    engine = SERVED._replace(prefill_chunk=2_048.0)
    wave, spread = (serve(engine._replace(queue_weight=share)) for share in (1.0, 0.0))

    assert wave.prefill_s == 0.0
    assert spread.prefill_s > 0.0
    assert wave.ttft_s > spread.ttft_s


def test_requests_that_do_not_run_wait_a_generation():
    """32 of 128 run: the others wait for three generations, on average."""
    engine = SERVED._replace(max_sequences=32.0)
    some, all_of_them = serve(engine, batch=128.0), serve(engine, batch=32.0)

    assert some.running_batch == 32.0
    assert some.tpot_s == all_of_them.tpot_s
    waited = some.ttft_s - all_of_them.ttft_s
    assert waited == digits(3 * all_of_them.e2e_latency_s)
    assert some.requests_per_s == all_of_them.requests_per_s


def test_requests_wait_for_room_in_the_cache():
    """A server runs what fits, while a static batch is refused."""
    engine = SERVED._replace(memory_fraction=0.9, memory_reserve=4e9, reserves_output=1.0)
    device = H100._replace(memory_capacity=80e9)
    lengths = {"input_len": 4_000.0, "output_len": 96.0}
    point = serve(engine, batch=1_000.0, device=device, **lengths)
    static = serve(engine, STATIC, batch=1_000.0, device=device, **lengths)

    assert (point.status, point.running_batch) == (0.0, 300.0)
    assert static.status == 7.0


def test_disaggregated_decode_waits_for_no_prefill():
    """The pool prefills as many requests as the replica finishes, 33 in their time."""
    engine = SERVED._replace(prefill_chunk=2_048.0)
    point = serve(engine, APART)

    assert point.prefill_s == 0.0
    assert point.prefill_pool == digits(
        prefill_of(engine) * 33 / (point.e2e_latency_s * engine.prefill_pool_load)
    )


def test_disaggregated_prompts_queue_for_the_pool():
    """The queue depends on the pool's load, not on the decoders'."""
    engine = SERVED._replace(prefill_chunk=2_048.0)
    queued = engine._replace(random_arrivals=1.0)
    more = serve(queued, APART).ttft_s - serve(engine, APART).ttft_s

    assert more == digits(queueing(prefill_of(engine), engine.prefill_pool_load))


def test_disaggregated_cache_moves():
    """2048 tokens of Llama-3-70B at 8 x 50 GB/s: 1.6777216 ms, all but one of 80 layers hidden."""
    engine = SERVED._replace(network_efficiency=1.0)
    device = H100._replace(network_bandwidth=50e9, scale_up_domain=8.0)
    instant = device._replace(network_bandwidth=1e30)
    moved = serve(engine, APART, device=device).ttft_s - serve(engine, APART, device=instant).ttft_s

    assert 80 * moved == digits(1.6777216e-3)


def test_disaggregated_windows_move_once():
    """Gemma-3-27B: tokens outside the windows are not sent, with or without a cached prefix.

    At 1 byte/s, prefill hides nothing of it.
    """
    gemma = model("gemma-3-27b")
    engine = SERVED._replace(network_efficiency=1.0, random_arrivals=0.0)
    device = H100._replace(network_bandwidth=1.0)

    for hit in (0.0, 0.5):
        point = whole(gemma, engine, device=device, scheduler=APART, prefix_hit=hit)
        expected = kv_bytes_per_sequence(gemma, KV16, 2_048.0)
        assert point.ttft_s == pytest.approx(expected, rel=1e-4)


def test_long_answers_are_in_flight_longer():
    """Spread 2: the context of 256 output tokens counts as that of 512; only S depends on it."""
    engine = IDEAL._replace(memory_reserve=0.0, memory_fraction=1.0, reserves_output=1.0)
    even, uneven = (
        serve(engine._replace(length_spread=spread), APART, batch=1.0) for spread in (1.0, 2.0)
    )
    longer = 128 * 327_680 / 8 / 3.35e12

    assert even.kv_s == digits((2_048 + 128) * 327_680 / 8 / 3.35e12)
    assert uneven.kv_s == digits((2_048 + 256) * 327_680 / 8 / 3.35e12)
    assert uneven.tpot_s - even.tpot_s == digits(longer)
    assert uneven.step_bytes - even.step_bytes == digits(128 * 327_680)
    assert uneven.step_flops - even.step_flops == digits(128 * 80 * 4 * 64 * 128)
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
    """1 ms, and 10 us per sequence that writes: up to 1.32 ms for 32, 1.08 ms in 4 groups.

    0 for a static batch, from which the share that writes follows.
    """
    engine = IDEAL._replace(server_per_step=1e-3, server_per_sequence=10e-6)
    one, four = (
        serve(engine, scheduler, tp=8.0, batch=32.0, **groups) for groups in ({}, {"dp": 4.0})
    )
    plain = serve(IDEAL, scheduler, tp=8.0, batch=32.0)
    for point, sequences, groups in ((one, 32, {}), (four, 8, {"dp": 4.0})):
        share = point.kv_s / serve(IDEAL, STATIC, tp=8.0, batch=32.0, **groups).kv_s
        expected = 0.0 if scheduler == STATIC else 1e-3 + share * sequences * 10e-6
        assert 0.9 < share <= 1.0
        assert point.latency_s == digits(expected)
    if scheduler != APART:  # in which slower steps let more requests write
        assert one.tpot_s - plain.tpot_s == pytest.approx(one.latency_s, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("scheduler", [STATIC, CONTINUOUS, APART])
def test_a_server_calls_its_further_devices(scheduler):
    """1 ms for each of 7 further devices of a group of 8; 0 for a static batch."""
    engine = IDEAL._replace(server_per_device=1e-3)
    point = serve(engine, scheduler, tp=8.0, batch=32.0)

    assert point.latency_s == digits(0.0 if scheduler == STATIC else 7e-3)


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
