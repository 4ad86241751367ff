"""Drafts and experts on devices of their own, by names and numbers."""

import pytest

import perfcore
from perfcore.configuration.alternatives import alternatives, gains
from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError
from perfcore.inputs import PAIR_AXES
from perfcore.traffic.server import Rules, simulate_requests
from perfcore.traffic.synthetic import Traffic

DRAFT = {
    "draft_model": "llama-3.2-1b",
    "draft_device": "l40s",
    "draft_len": 4,
    "acceptance": 0.8,
    "tp": 4,
    "batch": 8,
}
EXPERTS = {"expert_device": "h100-sxm", "tp": 8, "batch": 256, "scheduler": "continuous"}


def drafted(**changes):
    return Configuration("llama-3.3-70b", "h100-sxm", **{**DRAFT, **changes})


def apart(**changes):
    return Configuration("deepseek-v3", "h20", **{**EXPERTS, **changes})


def test_devices_beside_are_the_fewest_that_hold_what_they_run():
    assert drafted().of_pool == {
        "draft_model": "llama-3.2-1b",
        "draft_device": "l40s",
        "draft_devices": 1,
    }
    assert drafted(draft_model="llama-3.1-70b").pool["draft_devices"] == 4  # of 48 GB
    assert drafted(draft_device="groq-lpu").pool["draft_devices"] > 10
    assert drafted(draft_device="groq-lpu", draft_devices=99).beside.numbers["pp"] == 99
    assert apart().of_pool == {"expert_device": "h100-sxm", "expert_devices": 9}
    assert apart(tp=None).device_count < Configuration("deepseek-v3", "h20").device_count
    assert not set(PAIR_AXES) & set(perfcore.evaluate("llama-3-8b", "h100-sxm"))


def test_figures_are_of_both_and_neighbours_keep_them():
    alone = drafted(**dict.fromkeys(("draft_model", "draft_device"), ""))
    one, two = drafted(), apart()

    assert one.evaluate().tpot_s > alone.evaluate().tpot_s  # whose draft is one layer of its own
    assert one.evaluate().weight_bytes_per_device < alone.evaluate().weight_bytes_per_device
    assert one.without_speculation().tpot_s > one.evaluate().tpot_s
    assert set(one.beside.estimated) <= set(one.estimated)
    for made in (one, two):
        assert made.bound().tpot_s < made.evaluate().tpot_s
        assert all(o.configuration.of_pool == made.of_pool for o in alternatives(made))
        faster = {gain.lever: gain.tpot_s for gain in gains(made)}
        assert faster["+10 % memory bandwidth"] < 0.0
        assert faster["+10 % link bandwidth"] < 0.0
    scaled = one.with_overrides(drafted(overrides={"device.memory_bandwidth": "9 TB/s"}).what_ifs)
    assert scaled.draft.device.memory_bandwidth == scaled.device.memory_bandwidth == 9e12


def test_comparisons_vary_devices_beside():
    found = perfcore.compare(
        "llama-3.3-70b", device="h100-sxm", **DRAFT | {"draft_device": ["l40s", "h100-sxm"]}
    )

    assert found.differing["draft_device"] == ("l40s", "h100-sxm")
    assert found.best("tpot_s") == (1,)


@pytest.mark.parametrize(
    ("make", "changes", "words"),
    [
        (drafted, {"draft_device": ""}, "draft_device is missing"),
        (drafted, {"draft_model": ""}, "draft_model is missing"),
        (drafted, {"draft_len": 0}, "no tokens are drafted"),
        (drafted, {"draft_device": "l4000"}, "l4000"),
        (drafted, {"draft_devices": 0}, "draft_devices"),
        (drafted, {"draft_link": "1 GB"}, "draft_link"),
        (drafted, {"offload": "weights"}, "beside offload"),
        (drafted, {"scheduler": "disaggregated"}, "beside scheduler='disaggregated'"),
        (drafted, {"overrides": {"draft_devices": 2}}, "is an axis"),
        (apart, {"expert_parts": 1.5}, "expert_parts"),
        (apart, {"ep": 8}, "beside ep"),
        (apart, {"pp": 2}, "beside pp"),
        (apart, {k: DRAFT[k] for k in list(DRAFT)[:4]}, "beside draft_model"),
        (apart, {"scheduler": "disaggregated"}, "beside scheduler='disaggregated'"),
        (drafted, {"expert_device": "h20", "draft_model": "", "draft_device": ""}, "no routed"),
    ],
)
def test_faults_are_one_line_each(make, changes, words):
    with pytest.raises(InputError, match=words) as caught:
        make(**changes)
    assert len(caught.value.faults) == 1


def test_simulations_have_them():
    """And name them; a pool of servers for prompts beside them is refused."""
    lengths = {"input_len": 300, "output_len": 40, "rate": 1.0, "requests": 20}
    drafts = {name: value for name, value in DRAFT.items() if name != "batch"}
    apart = {"expert_device": "h100-sxm", "tp": 8}
    for model, device, options, devices in (
        ("llama-3.3-70b", "h100-sxm", drafts, 4 + 1),
        ("deepseek-v3", "h20", apart, 8 + 9),
    ):
        found = perfcore.simulate(model, device, **options, **lengths)
        made = Configuration(model, device, **options)
        same = simulate_requests(made, Traffic(**lengths).made(), Rules())
        assert found["devices"] == same.devices == devices
        assert found["energy_j"] == same.energy_j
        with pytest.raises(InputError, match="beside prefill; leave out one of them"):
            perfcore.simulate(model, device, **options, **lengths, prefill={"replicas": 1})


def test_what_does_not_fit_names_its_remedy():
    few = apart(expert_devices=4)
    large = drafted(draft_model="llama-3.1-70b", draft_devices=1)

    assert few.remedy == "experts do not fit into 4 x h100-sxm; use expert_devices=9 or more"
    assert apart(expert_devices=9).evaluate().status == 0.0
    assert large.remedy.endswith("do not fit; use draft_devices=4")
