"""Layout of a model on devices, by hand."""

import pytest

from perfcore.physics.parallelism import (
    engine_runs,
    expert_slots,
    experts_fit,
    groups_at_work,
    head_padding,
    head_share,
    heads_fit,
    lay_out,
    micro_batches_at_once,
    pipeline_fill,
)
from perfcore.physics.weights import expert_bytes, weight_bytes
from perfcore.records import LAYOUTS_DP_SINGLE, LAYOUTS_EP_ALL, LAYOUTS_TP_PP, Deployment
from physics.worked import (
    CONTINUOUS,
    DEEPSEEK,
    ENGINE,
    FP8,
    H100,
    IDEAL,
    LLAMA,
    SERVED,
    deployed,
    digits,
    sheet,
    whole,
)

# ---------------------------------------------------------------------------- parallelism


def test_lay_out_divides_heads():
    """Llama-3-70B on 16 x 2: each device has one of 8 KV heads (two copies) of 40 layers."""
    layout = lay_out(LLAMA, H100, deployed(tp=16.0, pp=2.0))

    assert layout.devices == 32.0
    assert (layout.stage_share, layout.width) == (1 / 2, 16.0)
    assert layout.kv_share == 1 / 16
    assert layout.kv_width == 8.0


def test_lay_out_of_uneven_stages():
    """80 layers on 3 stages: the fullest has 27."""
    assert lay_out(LLAMA, H100, deployed(pp=3.0)).stage_share == 27 / 80


def test_lay_out_of_groups():
    """4 groups of 2 devices: a quarter of the sequences each, experts on all 8."""
    layout = lay_out(DEEPSEEK, H100, deployed(tp=2.0, dp=4.0, batch=64.0))

    assert (layout.devices, layout.groups, layout.width, layout.expert_width) == (8, 4, 2, 8)
    assert (groups_at_work(layout, 64.0), groups_at_work(layout, 3.0)) == (4.0, 3.0)


def test_lay_out_of_micro_batches():
    """A static batch passes through stages whole; a server's sequences spread over them."""
    assert lay_out(LLAMA, H100, deployed(pp=4.0, batch=64.0)).micro_batches == 1.0
    served = deployed(pp=4.0, batch=64.0, scheduler=CONTINUOUS)
    layout = lay_out(LLAMA, H100, served)
    assert micro_batches_at_once(layout, 64.0) == 4.0
    assert micro_batches_at_once(layout, 3.0) == 3.0


def test_lay_out_of_a_spatial_machine():
    """160 chips for 80 layers: 2 per layer, 80 stages, one for each of 32 sequences."""
    layout = lay_out(LLAMA, sheet("groq-lpu"), deployed(tp=160.0))

    assert (layout.width, layout.stages) == (2.0, 80.0)
    assert micro_batches_at_once(layout, 32.0) == 32.0
    assert layout.prefill_width == 160.0


def test_heads_on_devices():
    """64 heads on 6 devices: 11 on the fullest, 66/64 of the work, if the engine pads."""
    padding = ENGINE._replace(pads_heads=1.0)

    assert head_share(64.0, 6.0) == 11 / 64
    assert head_padding(LLAMA, 6.0) == 66 / 64
    assert head_padding(LLAMA._replace(heads=0.0), 6.0) == 1.0
    assert not heads_fit(LLAMA, ENGINE, 6.0)
    assert heads_fit(LLAMA, ENGINE, 8.0)
    assert heads_fit(LLAMA, padding, 6.0)


def test_experts_on_devices():
    """256 experts fit 8 of 16 devices, or 3 of 3, but not 32 of 16; a dense model has none."""
    assert experts_fit(DEEPSEEK, deployed(tp=4.0, dp=4.0, ep=8.0))
    assert experts_fit(DEEPSEEK, deployed(tp=3.0, ep=3.0))
    assert not experts_fit(DEEPSEEK, deployed(tp=4.0, ep=3.0))
    assert not experts_fit(DEEPSEEK, deployed(tp=4.0, dp=4.0, ep=32.0))
    assert not experts_fit(LLAMA, deployed(tp=2.0, ep=2.0))
    assert experts_fit(LLAMA, deployed(tp=2.0))


@pytest.mark.parametrize(("ranks", "slots"), [(1, 256), (8, 256), (72, 288), (96, 288), (144, 288)])
def test_redundant_experts_fill_the_ranks(ranks, slots):
    """256 experts on 72, 96 and 144 ranks: 4, 3 and 2 each."""
    plan = deployed(dp=float(ranks), ep=float(ranks), batch=1_024.0)
    point = whole(DEEPSEEK, ENGINE, form=FP8, dp=plan.dp, ep=plan.ep, batch=plan.batch)
    rest = weight_bytes(DEEPSEEK, FP8) - expert_bytes(DEEPSEEK, FP8)

    assert expert_slots(256.0, float(ranks)) == slots
    assert experts_fit(DEEPSEEK, plan)
    assert point.weight_bytes_per_device == digits(
        rest + expert_bytes(DEEPSEEK, FP8) * slots / 256 / ranks
    )


def test_pipeline_fill():
    """(m + p - 1) / (m p): 1 of one chunk, 7/16 of 4 through 4 stages."""
    assert pipeline_fill(4.0, 1.0) == 1.0
    assert pipeline_fill(4.0, 4.0) == 7 / 16


# ---------------------------------------------------------- one test for every kind of spread


def test_tensor_parallelism_copies_few_heads():
    """8 KV heads: 16 devices read an eighth each, 8 devices too, 4 a quarter."""
    four, eight, sixteen = (whole(LLAMA, IDEAL, tp=tp, batch=8.0).kv_s for tp in (4.0, 8.0, 16.0))

    assert four == digits(2 * eight)
    assert sixteen == digits(eight)


def test_padded_heads_cost_work():
    """64 heads on 6 devices compute like 66."""
    engine = IDEAL._replace(pads_heads=1.0)
    refused = whole(LLAMA, IDEAL._replace(pads_heads=0.0), tp=6.0)
    point = whole(LLAMA, engine, tp=6.0)
    attention = LLAMA.attention_in_elements + LLAMA.attention_out_elements
    rest = LLAMA.ffn_in_elements + LLAMA.ffn_out_elements + LLAMA.lm_head_elements
    read = 2 * (attention * 66 / 64 + rest) / 6 + 2 * LLAMA.other_elements

    assert refused.status == 1.0
    assert point.weights_s == digits(read / 3.35e12)


def test_stages_add_their_hand_overs():
    """A static batch of 4 on 5 stages: the same operators, and 4 hand-overs."""
    engine = ENGINE._replace(hop_latency=1e-5, host_per_device=0.0)
    one, five = (whole(LLAMA, engine, batch=4.0, pp=pp) for pp in (1.0, 5.0))
    hand_over = 1e-5 + 4 * 8_192 * 2 / H100.link_bandwidth

    assert five.tpot_s - one.tpot_s == pytest.approx(4 * hand_over, rel=1e-6)


def test_stages_share_the_cache_and_weights():
    one, five = (whole(LLAMA, ENGINE, batch=4.0, pp=pp) for pp in (1.0, 5.0))

    assert five.weight_bytes_per_device == digits(one.weight_bytes_per_device / 5)
    assert five.kv_bytes_per_device == digits(one.kv_bytes_per_device / 5)


def test_static_stages_idle_in_turn():
    """4 of 5 boards draw idle power."""
    device = H100._replace(idle_power=0.0)
    one, five = (whole(LLAMA, IDEAL, device=device, pp=pp) for pp in (1.0, 5.0))

    assert five.decode_power_w == pytest.approx(one.decode_power_w / 5, rel=1e-2)
    assert five.mbu == pytest.approx(one.mbu / 5, rel=1e-2)


def test_every_micro_batch_reads_the_weights():
    """64 sequences of a server on 4 stages: each token takes the time of 16 sequences alone."""
    engine = SERVED._replace(
        interference=0.0, hop_latency=0.0, host_per_sequence=0.0, prefill_chunk=8_192.0
    )
    fast = H100._replace(link_bandwidth=1e30)
    staged = whole(LLAMA, engine, device=fast, pp=4.0, batch=64.0, scheduler=CONTINUOUS)
    alone = whole(LLAMA, engine, device=fast, batch=16.0, scheduler=CONTINUOUS)

    assert staged.weights_s == digits(alone.weights_s)
    assert staged.kv_s == digits(alone.kv_s)
    assert staged.step_bytes == digits(4 * alone.step_bytes)


@pytest.mark.parametrize(
    ("layouts", "degrees", "runs"),
    [
        (LAYOUTS_TP_PP, {"tp": 8.0, "pp": 2.0}, True),
        (LAYOUTS_TP_PP, {"dp": 2.0}, False),
        (LAYOUTS_DP_SINGLE, {"dp": 8.0}, True),
        (LAYOUTS_DP_SINGLE, {"tp": 2.0, "dp": 4.0}, False),
        (LAYOUTS_EP_ALL, {"tp": 2.0, "dp": 8.0, "ep": 16.0}, True),
        (LAYOUTS_EP_ALL, {"dp": 16.0, "ep": 2.0}, False),
    ],
)
def test_engine_runs(layouts, degrees, runs):
    """As engines document it; any layout unless they say so, and no format that they lack."""
    plan = Deployment(**degrees)
    assert engine_runs(plan)
    assert engine_runs(plan._replace(layouts=layouts)) is runs
    assert not engine_runs(plan._replace(barred=1.0))
