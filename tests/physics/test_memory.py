"""Memory of a device and its second tier, by hand."""

import pytest

from perfcore import records
from perfcore.physics.attention import kv_bytes_per_sequence
from perfcore.physics.memory import (
    activation_bytes,
    largest_batch,
    second_tier_bandwidth,
    second_tier_bytes,
    usable_bytes,
    widest_elements,
)
from perfcore.physics.operators import body_read_bytes
from perfcore.physics.parallelism import lay_out
from perfcore.physics.weights import weight_bytes
from physics.worked import (
    BF16,
    ENGINE,
    H100,
    IDEAL,
    KV16,
    LLAMA,
    MXFP4,
    digits,
    model,
    roomy,
    sheet,
    whole,
)

# --------------------------------------------------------------------------------- memory


def test_usable_bytes():
    """80 GB at 0.9, less 4 GB."""
    engine = ENGINE._replace(memory_fraction=0.9, memory_reserve=4e9)

    def usable(capacity, engine, tp=1.0):
        layout = lay_out(LLAMA, H100, records.Deployment(tp=tp))
        return usable_bytes(LLAMA, H100._replace(memory_capacity=capacity), engine, layout)

    assert usable(80e9, engine) == digits(68e9)
    assert usable(1e9, engine) == 0.0
    assert usable(80e9, engine._replace(memory_driver_share=0.01)) == digits(67.28e9)
    talking = engine._replace(communicator_memory=0.5e9)
    assert (usable(80e9, talking), usable(80e9, talking, 2.0)) == (digits(68e9), digits(67.5e9))


def test_activations_of_a_layer():
    """vLLM 0.6.4 on an RTX 3090 logs 2.07 and 2.99 GiB for Llama-3.1-8B and 20,000 and 29,000.

    (vllm-project/vllm#10517, peak_torch_memory less the weights' 14.99 GiB)
    """
    llama = model("llama-3.1-8b")
    alone, halves = (lay_out(llama, H100, records.Deployment(tp=tp)) for tp in (1.0, 2.0))

    assert widest_elements(llama, alone) == 3 * (14_336 + 4_096)
    assert widest_elements(llama, halves) == 3 * (7_168 + 4_096)
    for tokens, logged in ((20_000.0, 2.07), (29_000.0, 2.99)):
        engine = IDEAL._replace(activation_tokens=tokens, activation_width=2.0)
        assert activation_bytes(llama, engine, alone) / 2**30 == pytest.approx(logged, rel=0.01)


def test_activations_of_the_sampler():
    """1,024 sequences, 128,256 words, 38.26 bytes each, and hidden states: 4.76 GiB on 1 device.

    More devices do not help, since each has all logits.
    """
    llama = model("llama-3.1-8b")
    engine = IDEAL._replace(
        activation_tokens=8_192.0,
        activation_width=2.0,
        sampled_sequences=1_024.0,
        sampler_width=38.26,
    )
    for tp in (1.0, 8.0):
        layout = lay_out(llama, H100, records.Deployment(tp=tp))
        assert activation_bytes(llama, engine, layout) / 2**30 == pytest.approx(4.76, abs=0.01)
    few = engine._replace(activation_tokens=16.0)  # no more sequences than tokens
    assert activation_bytes(llama, few, layout) == pytest.approx(16 * 128_256 * 38.26, rel=0.01)


def test_activations_of_experts():
    """Each of 8 experts has 3 x 2,048 values and an output of 7,168 for every token."""
    deepseek = model("deepseek-v3")
    layout = lay_out(deepseek, H100, records.Deployment(tp=8.0))

    routed = 8 * (3 * 2_048 / 8 + 7_168)
    assert widest_elements(deepseek, layout) == pytest.approx(3 * 7_168 + routed)


def test_largest_batch():
    """8 x 80 GB, 0.9, 4 GB reserve, Llama-3-70B in bf16, 4096 tokens: 300 sequences."""
    free = 8 * 68e9 - weight_bytes(LLAMA, BF16)

    assert largest_batch(free, kv_bytes_per_sequence(LLAMA, KV16, 4_096.0)) == 300.0
    assert largest_batch(-1.0, 1.0) == 0.0
    assert largest_batch(1.0, 0.0) == 2.0**24


# ------------------------------------------------------------------------- second memory tier


def test_second_tier():
    """A device's own second tier, or its share of host memory."""
    engine = ENGINE._replace(host_memory_bytes=256e9, second_tier_efficiency=0.8)
    own = H100._replace(memory2_capacity=1e12, memory2_bandwidth=400e9)
    faster = H100._replace(memory2_bandwidth=126e9)

    assert second_tier_bytes(H100, engine) == 256e9
    assert second_tier_bytes(own, engine) == 1e12
    assert second_tier_bandwidth(H100, engine) == digits(0.8 * 63e9)
    assert second_tier_bandwidth(own, engine) == digits(0.8 * 400e9)
    assert second_tier_bandwidth(faster, engine) == digits(0.8 * 126e9)


def test_prefill_reads_the_offloaded_experts_of_all_its_tokens():
    """gpt-oss-120b with 24.8 GB on an RTX 3090: 40.5 GB over a link of 64 GB/s take 0.63 s."""
    card = sheet("rtx-3090")._replace(memory_capacity=24.8e9, memory2_bandwidth=64e9)
    engine = IDEAL._replace(memory_fraction=1.0, memory_reserve=0.0)
    point = whole(
        model("gpt-oss-120b"), engine, device=card, form=MXFP4, offload=records.OFFLOAD_WEIGHTS
    )

    assert point.offloaded_bytes_per_device == pytest.approx(40.5e9, rel=0.01)
    assert point.ttft_s > 0.98 * 0.633  # all but the embedding is read
    assert point.offload_s < 0.1  # a step reads 4 of 128 experts


def test_offloaded_weights_are_read_from_the_second_tier():
    """10 GB short of Llama-3-70B and a sequence: a step reads 10 GB at 50 GB/s."""
    kv = kv_bytes_per_sequence(LLAMA, KV16, 2_304.0)
    size = weight_bytes(LLAMA, BF16)
    device, engine = roomy(size + kv - 10e9)
    refused = whole(LLAMA, engine, device=device)
    point = whole(LLAMA, engine, device=device, offload=records.OFFLOAD_WEIGHTS)
    read = body_read_bytes(LLAMA, BF16) / size

    assert refused.status == 5.0
    assert point.status == 0.0
    assert point.offloaded_bytes_per_device == digits(10e9)
    assert point.offload_s == digits(10e9 * read / 50e9)
    assert point.bound == 7.0


def test_offloaded_cache_is_read_from_the_second_tier():
    """Half of the cache of 64 sequences does not fit."""
    kv = 64 * kv_bytes_per_sequence(LLAMA, KV16, 2_304.0)
    device, engine = roomy(weight_bytes(LLAMA, BF16) + 0.5 * kv)
    refused = whole(LLAMA, engine, device=device, batch=64.0)
    point = whole(LLAMA, engine, device=device, batch=64.0, offload=records.OFFLOAD_KV)

    assert refused.status == 7.0
    assert point.status == 0.0
    assert point.offload_s == digits(0.5 * kv / 50e9)


def test_every_micro_batch_reads_the_shared_prefix_in_the_second_tier():
    """Two stages, a sequence each, half of the cache offloaded: 1280 own and 1024 prefix tokens."""
    own, common = (
        kv_bytes_per_sequence(LLAMA, KV16, tokens) / 2.0 for tokens in (1_280.0, 1_024.0)
    )
    weights = weight_bytes(LLAMA, BF16) / 2.0
    device, engine = roomy(weights + own + 0.5 * common)
    point = whole(
        LLAMA,
        engine._replace(block_tokens=1.0, reserves_output=1.0),
        device=device,
        pp=2.0,
        batch=2.0,
        scheduler=records.SCHEDULER_CONTINUOUS,
        prefix_hit=0.5,
        offload=records.OFFLOAD_KV,
    )

    assert point.status == 0.0
    assert point.offload_s == digits(2 * 0.5 * (own + common) / 50e9)
