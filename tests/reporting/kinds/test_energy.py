"""The picture of energy."""

import pytest

from reporting.swept import points


def test_energy_adds_up_to_what_the_grid_sees(pictures):
    bars = [bar for bar in points(pictures["energy"], "bar") if bar["y"] == "b200"]
    whole = max(bar["x2"] for bar in bars)
    board = max(bar["x2"] for bar in bars if bar["part"] != "hosts, fans and cooling")

    assert [bar["x"] for bar in bars[1:]] == [bar["x2"] for bar in bars[:-1]]
    # node_overhead and PUE of the default
    assert whole == pytest.approx(1.3 * 1.2 * board, rel=1e-6)
