"""Communication between devices, by hand."""

import math

import pytest

from perfcore.physics.collectives import all_reduce, exchange, exchanges, expert_exchange, repeated
from physics.worked import (
    DEEPSEEK,
    ENGINE,
    FITTED,
    GROUPED,
    H100,
    IDEAL,
    LLAMA,
    deployed,
    digits,
    whole,
)

# ------------------------------------------------------------------------------ attention


@pytest.mark.parametrize("tokens", [1.0, 100.0, 1e4])
def test_exchanges_add_up(tokens):
    """3 exchanges in a group, and 2 among groups with four times the tokens, 1 kB per token."""
    links = exchange(16.0, H100, ENGINE)
    inside, among = repeated(links, 3.0, 1e3), repeated(links, 2.0, 1e3)
    one, two = all_reduce(links, 1e3 * tokens), all_reduce(links, 4e3 * tokens)

    alone = exchanges(inside, tokens, among, 4 * tokens, grouped=False)
    assert alone.total == digits(3 * one.total)
    assert alone.transfer == digits(3 * one.transfer)
    both = exchanges(inside, tokens, among, 4 * tokens, grouped=True)
    assert both.total == digits(3 * one.total + 2 * two.total)
    assert both.transfer == digits(3 * one.transfer + 2 * two.transfer)


# ---------------------------------------------------------------------------- collectives


@pytest.mark.parametrize(
    ("size", "expected"),
    [(2**14, 3.6250681e-6), (2**20, 29.52235842e-6), (2**26, 364.5469878e-6)],
)
def test_all_reduce(size, expected):
    """[fit] 8 x H100, TRT-LLM kernels, 450 GB/s: 16 KiB, 1 MiB, 64 MiB."""
    links = exchange(8.0, H100._replace(link_bandwidth=450e9), FITTED)

    assert all_reduce(links, float(size)).total == digits(expected)


def test_all_reduces_of_a_token():
    """160 exchanges of 16 KiB: 0.5800108961 ms."""
    links = exchange(8.0, H100._replace(link_bandwidth=450e9), FITTED)

    assert LLAMA.all_reduces * all_reduce(links, 8_192 * 2.0).total == digits(0.5800108961e-3)


def test_ideal_ring():
    """2 (n - 1)/n M / B of 64 MiB: 260.9789156 us."""
    links = exchange(8.0, H100._replace(link_bandwidth=450e9), IDEAL)

    assert all_reduce(links, 2.0**26).total == digits(260.9789156e-6)


def test_all_reduce_beyond_the_domain():
    """16 devices in domains of 8: two more latencies, and 2 (1/2) M / 8 over the network."""
    device = H100._replace(link_bandwidth=450e9, scale_up_domain=8.0, network_bandwidth=50e9)
    inside = all_reduce(exchange(8.0, device, FITTED), 1e6)
    beyond = all_reduce(exchange(16.0, device, FITTED), 1e6)
    more = 2 * FITTED.network_latency + 1e6 / 8 / (FITTED.network_efficiency * 50e9)

    assert beyond.total - inside.total == digits(more)


def test_one_device_exchanges_nothing():
    assert all_reduce(exchange(1.0, H100, ENGINE), 1e9) == (0.0, 0.0)


WIDE = DEEPSEEK._replace(hidden_size=7_168.0, experts_per_token=8.0)
NVLINK = H100._replace(link_bandwidth=450e9, scale_up_domain=32.0)


def test_experts_that_get_one_copy_each():
    """[fit] 128 tokens per device on 8 H100: dispatch 38.87265742 us, combine 70.86785185 us.

    The source fits 11.8 us and 0.543 of the link, 11.4 us and 0.480; here both have one latency
    and efficiency.
    """
    engine = ENGINE._replace(
        dispatch_latency=0.5 * (11.8e-6 + 11.4e-6),
        dispatch_efficiency=3.03 / (1.03 / 0.543 + 2.0 / 0.480),
        bulk_dispatch_latency=1.0,
    )
    links = expert_exchange(WIDE, NVLINK, engine, deployed(dp=8.0, ep=8.0), 2.0)

    time = all_reduce(links, 8 * 128 * 7_168 * 2.0)

    assert time.total == digits((38.87265742 + 70.86785185) * 1e-6)
    assert time.total - time.transfer == digits(23.2e-6)


def test_experts_that_share_a_copy():
    """128 tokens per device to 8 experts on 32 ranks: 6.379683984 MB per byte, 3.03 bytes."""
    engine = ENGINE._replace(
        dispatch_latency=1.0, bulk_dispatch_latency=0.0, bulk_dispatch_efficiency=0.5
    )
    links = expert_exchange(WIDE, NVLINK, engine, deployed(dp=32.0, ep=32.0), 2.0)

    time = all_reduce(links, 32 * 128 * 7_168 * 2.0)

    assert time.total == digits(3.03 * 6.379683984e6 / (0.5 * 450e9))


def test_dispatch_takes_the_faster_way():
    """Few tokens are sent once per expert, many tokens once per rank."""
    links = expert_exchange(WIDE, NVLINK, ENGINE, deployed(dp=8.0, ep=8.0), 2.0)
    few = all_reduce(links, 8 * 1 * 7_168 * 2.0)
    many = all_reduce(links, 8 * 65_536 * 7_168 * 2.0)

    assert few.total - few.transfer == digits(2 * ENGINE.dispatch_latency)
    assert many.total - many.transfer == digits(2 * ENGINE.bulk_dispatch_latency)


def test_experts_beyond_the_domain():
    """16 ranks in domains of 8: half of the copies go over the network."""
    device = H100._replace(scale_up_domain=8.0, network_bandwidth=50e9)
    links = expert_exchange(WIDE, device, IDEAL, deployed(dp=16.0, ep=16.0), 2.0)
    copies = 16 * (1 - (15 / 16) ** 8)

    assert links.network_per_byte == digits(copies * 3.03 / 2 / 16 * 0.5 / 50e9)
    assert links.network_start == 2 * IDEAL.network_latency


def test_groups_without_expert_parallelism_reduce_among_all():
    """Tokens of all groups are gathered and reduced: an all-reduce among tp x dp devices."""
    deployment = deployed(tp=2.0, dp=4.0)

    assert expert_exchange(WIDE, NVLINK, FITTED, deployment, 2.0) == exchange(8.0, NVLINK, FITTED)


# ---------------------------------------------------------- one test for every kind of spread


def test_groups_have_no_all_reduce_around_attention():
    """Groups of one device: only the 58 MoE layers exchange, by dispatch."""
    groups = whole(DEEPSEEK, ENGINE, **GROUPED, ep=8.0)
    links = expert_exchange(DEEPSEEK, H100, ENGINE, deployed(dp=8.0, ep=8.0), 2.0)

    assert groups.network_s == digits(58 * all_reduce(links, 64 * 7_168 * 2.0).total)


@pytest.mark.parametrize("devices", [16, 32, 64, 128, 256, 512, 1_024])
def test_hierarchical_all_reduce(devices):
    """Domains of 8: an all-reduce of 8 devices, and a binary tree of devices / 8 domains."""
    device = H100._replace(link_bandwidth=450e9, scale_up_domain=8.0, network_bandwidth=50e9)
    domains = devices / 8
    inside = all_reduce(exchange(8.0, device, FITTED), 1e6).total
    tree = 2 * math.log2(domains) * FITTED.network_latency
    tree += 2 * (domains - 1) / domains * 1e6 / 8 / (FITTED.network_efficiency * 50e9)

    assert all_reduce(exchange(float(devices), device, FITTED), 1e6).total == digits(inside + tree)
