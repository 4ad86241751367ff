"""Layers and experts in host memory."""

import pytest

from perfcore import catalog
from perfcore.physics.hybrid import (
    Split,
    cpu_costs,
    cpu_linear,
    experts_away,
    host_weight_bytes,
    on_cpu,
    part_of,
    split_of,
    tables_here,
    waits,
)
from perfcore.physics.weights import weight_bytes
from perfcore.records import OFFLOAD_EXPERTS, Deployment

GPT_OSS = catalog.load_model("gpt-oss-120b").record()
LLAMA = catalog.load_model("llama-3-70b").record()
SHEET = catalog.load_device("rtx-3090")
DEVICE = SHEET.record()._replace(
    host_memory_bandwidth=50e9, host_flops=2e12, memory2_bandwidth=32e9
)
ENGINE = (
    catalog.load_engine("llamacpp")
    .record(SHEET)
    ._replace(
        cpu_memory_efficiency=0.5,
        cpu_compute_efficiency=0.25,
        cpu_hand_over=1e-5,
        second_tier_efficiency=0.75,
    )
)
MXFP4 = catalog.load_weight_format("mxfp4-gguf-q8").record()
Q4 = catalog.load_weight_format("q4_0").record()


def test_split_of():
    assert split_of(LLAMA, Deployment()) == (0.0, 0.0)
    assert split_of(LLAMA, Deployment(gpu_layers=60.0)) == (0.25, 0.0)  # of 80, without experts
    assert split_of(LLAMA, Deployment(gpu_layers=81.0)) == (0.0, 0.0)
    experts = Deployment(offload=OFFLOAD_EXPERTS)
    assert split_of(GPT_OSS, experts) == (0.0, 1.0)
    assert split_of(GPT_OSS, experts._replace(cpu_moe_layers=9.0)) == (0.0, 0.25)  # of 36
    assert split_of(LLAMA, experts) == (0.0, 0.0)
    both = experts._replace(gpu_layers=18.0, cpu_moe_layers=9.0)
    assert split_of(GPT_OSS, both) == (0.5, 0.5)  # the first layers are those of the CPU
    assert split_of(GPT_OSS, both._replace(cpu_moe_layers=27.0)) == (0.5, 0.75)


def test_tables_here():
    """Tables are in host memory, unless a device has none beside its own."""
    assert tables_here(DEVICE._replace(host_memory_capacity=1e9)) == 0.0
    assert tables_here(DEVICE._replace(host_memory_capacity=0.0)) == 1.0


def test_experts_away():
    """On the host those of some layers, on other devices all of them."""
    assert experts_away(Split(0.0, 0.25), Deployment()) == 0.25
    assert experts_away(Split(0.0, 0.0), Deployment(expert_devices=4.0)) == 1.0


def test_waits():
    """For the CPU, for devices with experts, and for those of a draft."""
    assert waits(Split(0.0, 0.0), Deployment()) == 0.0
    assert waits(Split(0.5, 0.0), Deployment()) == 1.0
    assert waits(Split(0.0, 0.0), Deployment(expert_devices=8.0)) == 1.0
    assert waits(Split(0.0, 0.0), Deployment(draft_devices=1.0)) == 1.0


def test_on_cpu():
    assert on_cpu(Split(0.0, 0.0)) == 0.0
    assert on_cpu(Split(0.25, 0.0)) == on_cpu(Split(0.0, 0.1)) == 1.0


def test_part_of():
    with_tables = GPT_OSS._replace(table_elements=1e9)
    assert part_of(with_tables, 1.0, 1.0, 1.0, 1.0) == with_tables
    assert part_of(with_tables, 1.0, 1.0, 1.0, 0.0) == GPT_OSS
    part = part_of(GPT_OSS, 0.25, 0.5, 0.0, 0.0)
    assert part.layers == 9.0
    assert part.moe_layers == 18.0
    assert part.expert_elements == 0.5 * GPT_OSS.expert_elements
    assert part.global_kv_elements == 0.25 * GPT_OSS.global_kv_elements
    assert part.lm_head_elements == part.embedding_elements == 0.0
    assert (part.experts, part.window, part.heads) == (128.0, GPT_OSS.window, GPT_OSS.heads)


def test_host_weight_bytes():
    """What is in host memory and what is left on the device is the model."""
    experts = host_weight_bytes(GPT_OSS, Split(0.0, 1.0), MXFP4)
    # 36 layers x 128 experts x 3 matrices of 2,880 x 2,880 at 4.25 bits
    assert experts == pytest.approx(36 * 128 * 3 * 2880 * 2880 * 4.25 / 8, rel=1e-3)
    here = weight_bytes(part_of(GPT_OSS, 0.75, 0.5, 1.0, 1.0), MXFP4)
    there = host_weight_bytes(GPT_OSS, Split(0.25, 0.5), MXFP4)
    assert here + there == pytest.approx(weight_bytes(GPT_OSS, MXFP4), rel=1e-12)


def test_cpu_costs():
    costs = cpu_costs(GPT_OSS, Split(0.0, 1.0), DEVICE, ENGINE, MXFP4)
    expert = GPT_OSS.expert_elements * 4.25 / 8  # bytes of one in every layer
    assert costs.experts.weights == pytest.approx(expert / 25e9)
    assert costs.experts.compute_per_token == pytest.approx(
        2 * 4 * GPT_OSS.expert_elements / 0.5e12
    )
    assert costs.expert_copy == pytest.approx(expert / 24e9)
    assert costs.body.weights == costs.body_copy == costs.cached == 0.0
    assert costs.crossings == 72.0  # there and back in 36 layers
    assert costs.copied_crossings == 0.0
    assert costs.crossings_s == pytest.approx(72e-5)
    assert costs.crossing_per_token == pytest.approx(2880 * 2 / 24e9)
    layers = cpu_costs(LLAMA, Split(0.25, 0.0), DEVICE, ENGINE, Q4)
    assert layers.crossings == 1.0  # the CPU's layers come first
    assert layers.copied_crossings == 40.0
    assert layers.cached == pytest.approx(1 / 3)
    assert layers.body.weights == pytest.approx(
        host_weight_bytes(LLAMA, Split(0.25, 0.0), Q4) / 25e9
    )


def test_cpu_linear():
    """A token reads its experts; many compute longer than they read."""
    costs = cpu_costs(GPT_OSS, Split(0.0, 1.0), DEVICE, ENGINE, MXFP4)
    read = 4 * costs.experts.weights
    assert cpu_linear(costs, 1.0, 4.0, 1.0, 0.0) == pytest.approx(read)
    assert cpu_linear(costs, 1.0, 4.0, 3.0, 0.0) == pytest.approx(3 * read)
    many = cpu_linear(costs, 1000.0, 128.0, 1.0, 0.0)
    assert many == pytest.approx(1000 * costs.experts.compute_per_token)
