"""Order of groups."""

import perfcore
from searching.sweeps import SPEC


def test_groups_stand_in_the_order_of_the_axes():
    found = perfcore.search(SPEC, minimize="ttft_s", by=["batch"])

    assert found["batch"].to_pylist() == [64, 1, 8]
