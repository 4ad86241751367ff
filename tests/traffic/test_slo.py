"""Service-level objectives as text."""

import pytest

from perfcore.errors import InputError
from perfcore.traffic.slo import NAMES, Objective, objectives


def test_objectives():
    found = objectives(["ttft_p99_s<=1s", " tpot_s <= 50 ms ", "e2e_mean_s<=2.5"])

    assert found == (
        Objective("ttft", "p99", 1.0),
        Objective("tpot", "", 0.05),
        Objective("e2e", "mean", 2.5),
    )
    assert [one.name for one in found] == ["ttft_p99_s", "tpot_s", "e2e_mean_s"]
    assert all(objectives([f"{name}<=1s"])[0].name == name for name in NAMES)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ttft_p99_s", "slo ttft_p99_s: not an objective; write it like ttft_p99_s<=1s"),
        ("ttft_p99_s>=1s", "not an objective"),
        ("ttfft_p99_s<=1s", "unknown latency 'ttfft_p99_s'; did you mean 'ttft_p99_s'?"),
        ("itl_s<=1s", "unknown latency 'itl_s'"),
        ("ttft_s<=-1", "out of bounds"),
        ("ttft_s<=1 apple", "'apple' is not a unit of a time"),
    ],
)
def test_faults(text, fault):
    with pytest.raises(InputError) as caught:
        objectives([text])
    assert len(caught.value.faults) == 1
    assert fault in caught.value.faults[0]
