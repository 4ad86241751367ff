"""Findings on measured numbers, and what would explain them."""

import pytest

from accuracy.measured import HEADER
from perfcore.accuracy.checking import check
from perfcore.accuracy.table import read_measurements

ROW = "llama-3.1-8b,h100-sxm,vllm,{},{},{},{},1024,256,{},{}"


@pytest.fixture
def finding(write):
    def found(metric, value, mode="closed_loop", concurrency=16, tp=1):
        line = ROW.format(metric, value, mode, concurrency, tp, tp)
        (one,) = check(read_measurements(write(line, header=HEADER)))
        return one

    return found


@pytest.mark.parametrize(
    ("metric", "value", "verdict"),
    [
        ("tpot_s", 0.0105, "as expected"),
        ("tpot_s", 0.03, "slower than expected"),
        ("tpot_s", 0.0065, "faster than expected"),
        ("tpot_s", 0.004, "impossible"),
        ("tpot_s", 10.5, "suspect"),
        ("ttft_s", 0.09, "as expected"),
        ("output_tokens_per_s_per_device", 700, "slower than expected"),
        ("power_w_per_device", 100, "less than expected"),
    ],
)
def test_verdicts(finding, metric, value, verdict):
    found = finding(metric, value)

    assert found.verdict == verdict
    assert found.low < found.predicted < found.high
    assert verdict != "as expected" or not found.explanations


def test_a_narrower_format_is_suggested_first(finding):
    changes = [one.change for one in finding("tpot_s", 0.004).explanations]

    assert "weight_format fp8" in changes


def test_milliseconds_and_totals_are_suggested(finding):
    assert finding("tpot_s", 10.5).explanations[0].change == "the value is in milliseconds"
    rate = finding("output_tokens_per_s_per_device", 2450, tp=2)
    assert "all 2 devices together" in rate.explanations[0].change


@pytest.mark.parametrize(
    ("metric", "value", "change"),
    [
        ("tpot_s", 10_500, "the value is in microseconds"),
        ("tpot_s", 95, "the value is a rate, the inverse of a time"),
        ("energy_j_per_output_token", 420, "the value is in millijoules"),
        ("power_w_per_device", 0.5, "the value is in kilowatts"),
        ("output_tokens_per_s_per_device", 90, "the value is of one user, not of a device"),
    ],
)
def test_other_units_and_users_are_suggested(finding, metric, value, change):
    assert finding(metric, value).explanations[0].change == change


def test_a_cache_explains_early_first_tokens_and_no_wrong_unit(finding):
    cached = "prompts that are in the prefix cache"

    assert cached in [one.change for one in finding("ttft_s", 0.03).explanations]
    assert not finding("ttft_s", 0.00009).explanations


def test_what_binds_is_said(finding):
    found = finding("tpot_s", 0.0105)

    assert found.binds == "weights"
    assert sum(found.shares.values()) == pytest.approx(1.0, abs=1e-6)
    assert finding("ttft_s", 0.09).binds == "prefill and the queue"


def test_a_configuration_that_does_not_fit(write):
    line = ROW.replace("3.1-8b", "3.1-70b").format("tpot_s", 0.03, "static", 8, 1, 1)
    (found,) = check(read_measurements(write(line, header=HEADER)))

    assert found.verdict == "cannot run"
