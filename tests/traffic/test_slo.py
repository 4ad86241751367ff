"""Service-level objectives as text."""

import pytest

from perfcore.errors import InputError
from perfcore.traffic.slo import NAMES, objectives


def test_objectives():
    found = objectives(["ttft_p99_s<=1s", " tpot_s <= 50 ms ", "e2e_mean_s<=2.5"])

    assert found == {"ttft_p99_s": 1.0, "tpot_s": 0.05, "e2e_mean_s": 2.5}
    assert {name for name in NAMES if objectives([f"{name}<=1s"]) == {name: 1.0}} == {*NAMES}


@pytest.mark.parametrize("text", ["ttft_p99_s<1s", " ttft_p99_s < 1s ", "ttft_p99_s <= 1s"])
def test_below_is_as_good_as_at_most(text):
    assert objectives([text]) == {"ttft_p99_s": 1.0}


def test_two_bounds():
    with pytest.raises(InputError, match="ttft_s has two bounds; leave out one"):
        objectives(["ttft_s<=1s", "ttft_s<=2s"])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ttft_p99_s", "slo ttft_p99_s: not an objective; write it like ttft_p99_s<=1s"),
        ("ttft_p99_s>=1s", "not an objective"),
        ("ttft_p99_s<==1s", "not an objective"),
        ("ttft_p99_s<", "not an objective"),
        ("ttfft_p99_s<=1s", "unknown latency 'ttfft_p99_s'; did you mean 'ttft_p99_s'?"),
        ("ttft_s<=-1", "out of bounds"),
        ("ttft_s<=1 apple", "'apple' is not a unit of a time"),
    ],
)
def test_faults(text, fault):
    with pytest.raises(InputError) as caught:
        objectives([text])
    assert len(caught.value.faults) == 1
    assert fault in caught.value.faults[0]
