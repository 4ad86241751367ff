"""Disaggregated servers whose prompts run on other machines, by names and numbers."""

import pytest

import perfcore
from perfcore.configuration.alternatives import alternatives, gains
from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError

APART = {"scheduler": "disaggregated", "tp": 4, "batch": 64, "input_len": 4096}
PAIR = {**APART, "prefill_device": "h100-sxm"}


def pair(**changes):
    return Configuration("llama-3.3-70b", "h20", **{**PAIR, **changes})


def test_nothing_about_a_pool_is_told_unless_it_is_given():
    row = perfcore.evaluate("llama-3.3-70b", "h20", **APART)

    assert not [name for name in row if name in perfcore.inputs.PREFILL_AXES]


def test_a_device_of_its_own_has_the_fewest_that_hold_the_weights():
    """Two H100 hold 141 GB; without a device, the degrees are those of decode."""
    assert pair().of_pool == {
        "prefill_device": "h100-sxm",
        "prefill_tp": 2,
        "prefill_pp": 1,
        "prefill_dp": 1,
        "prefill_ep": 1,
    }
    assert pair(prefill_device="", prefill_pp=2).of_pool == {
        "prefill_tp": 4,
        "prefill_pp": 2,
        "prefill_dp": 1,
        "prefill_ep": 1,
    }
    assert pair(prefill_tp=8).ahead.device_count == 8


def test_each_figure_is_that_of_its_machine():
    """TPOT is of decode, though requests that wait for prompts write nothing; TTFT of prompts."""
    point = pair(prefill_tp=4, batch=1).evaluate()
    h20, h100 = (
        Configuration("llama-3.3-70b", device, **{**APART, "batch": 1}).evaluate()
        for device in ("h20", "h100-sxm")
    )

    assert point.tpot_s == h20.tpot_s
    assert point.total_bytes_per_device == h20.total_bytes_per_device
    assert point.prefill_power_w == h100.prefill_power_w
    assert point.ttft_s == pytest.approx(h100.ttft_s, rel=1e-3)  # of links that differ little
    assert point.cost_per_mtok_input_usd == pytest.approx(h100.cost_per_mtok_input_usd)


def test_what_ifs_hold_for_both_machines():
    scale = {"device.memory_bandwidth": {"scale": 2}}
    made = pair(overrides=scale).records

    assert made.device.memory_bandwidth == 2 * pair().records.device.memory_bandwidth
    assert (
        made.prompts.device.memory_bandwidth == 2 * pair().records.prompts.device.memory_bandwidth
    )


def test_neighbours_and_bounds_keep_the_pool():
    configuration = pair(prefill_engine="vllm")

    assert configuration.bound().ttft_s < configuration.evaluate().ttft_s
    for other in alternatives(configuration):
        assert other.configuration.of_pool == configuration.of_pool
    faster = {gain.lever: gain.ttft_s for gain in gains(configuration)}
    assert faster["+10 % FLOP/s"] < 0.0


def test_comparisons_vary_the_pool():
    found = perfcore.compare(
        "llama-3.3-70b", device="h20", **PAIR | {"prefill_device": ["h20", "b200"]}
    )

    assert found.names == ("prefill_device h20", "prefill_device b200")
    assert found.differing["prefill_device"] == ("h20", "b200")
    assert found.best("ttft_s") == (1,)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scheduler": "continuous"}, "only a disaggregated server has a prefill pool"),
        ({"offload": "weights"}, "beside offload"),
        ({"prefill_device": "h1000"}, "h1000"),
        ({"prefill_tp": 0}, "prefill_tp"),
        ({"prefill_link": "1 GB"}, "prefill_link"),
        ({"prefill_ratio": -1}, "prefill_ratio"),
        ({"overrides": {"prefill_tp": 2}}, "is an axis"),
    ],
)
def test_faults(changes, words):
    with pytest.raises(InputError, match=words) as caught:
        pair(**changes)
    assert len(caught.value.faults) == 1
