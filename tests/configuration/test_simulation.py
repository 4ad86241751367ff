"""``perfcore.simulate``: names of three groups of parameters in one call."""

import pytest

import perfcore


def test_options_describe_traffic_rules_and_configuration():
    options = {"rate": 5, "requests": 100, "input_len": 512, "output_len": 64}

    found = perfcore.simulate(
        "llama-3.1-8b", "h100-sxm", **options, replicas=2, tp=2, slo=["ttft_p99_s<=10s"]
    )

    assert found["requests"] == 100
    assert found["devices"] == 4
    assert found["slo"] == "met"


def test_traffic_that_is_described_elsewhere():
    traffic = perfcore.Traffic(rate=5, requests=50)

    one = perfcore.simulate("llama-3.1-8b", "h100-sxm", traffic)
    other = perfcore.simulate("llama-3.1-8b", "h100-sxm", traffic.made())

    assert one == other
    with pytest.raises(perfcore.InputError, match="rate"):
        perfcore.simulate("llama-3.1-8b", "h100-sxm", traffic, rate=3)


def test_unknown_options_and_faults():
    with pytest.raises(perfcore.InputError, match="replica"):
        perfcore.simulate("llama-3.1-8b", "h100-sxm", rate=5, replica=2)
    with pytest.raises(perfcore.InputError, match="context"):
        perfcore.simulate("llama-3.1-8b", "h100-sxm", rate=5, input_len=200_000)
