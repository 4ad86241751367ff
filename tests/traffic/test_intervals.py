"""Intervals of simulated figures."""

import pytest

from perfcore.configuration.configuration import Configuration
from perfcore.traffic.intervals import intervals
from perfcore.traffic.results import STATISTICS, summary
from perfcore.traffic.server import Rules, simulate_requests
from perfcore.traffic.synthetic import Traffic

CONFIGURATION = Configuration("llama-3.1-8b", "h100-sxm", engine="vllm", scheduler="continuous")


@pytest.fixture(scope="module")
def found():
    return summary(simulate_requests(CONFIGURATION, Traffic(rate=4, requests=50).made(), Rules()))


def test_intervals_hold_the_figures(found):
    ranges = intervals(CONFIGURATION.records.engine, found)

    for latency in ("ttft", "tpot", "itl", "e2e"):
        for statistic in STATISTICS:
            name = f"{latency}_{statistic}"
            low, high = ranges[f"{name}_low_s"], ranges[f"{name}_high_s"]
            assert low < found[f"{name}_s"] < high
    assert len(ranges) == 2 * (4 * len(STATISTICS) + 1)


def test_time_end_to_end_has_both_factors(found):
    engine = CONFIGURATION.records.engine
    ranges = intervals(engine, found)
    rest = found["e2e_p90_s"] - found["ttft_p90_s"]
    expected = found["ttft_p90_s"] * engine.low_ttft_served + rest * engine.low_tpot_served

    assert ranges["e2e_p90_low_s"] == pytest.approx(expected)
    assert ranges["energy_per_output_token_high_j"] == pytest.approx(
        found["energy_per_output_token_j"] * engine.high_energy
    )
