"""Timeline of a simulation."""

import numpy as np
import pytest

from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError
from perfcore.reporting.drawing import check_picture, draw_timeline
from perfcore.reporting.timeline import timeline
from perfcore.traffic.server import Rules, simulate_requests
from perfcore.traffic.synthetic import Traffic

CONFIGURATION = Configuration("llama-3.1-8b", "h100-sxm", scheduler="continuous")


def simulated(rules=None, **told):
    return simulate_requests(CONFIGURATION, Traffic(**told).made(), rules or Rules())


def test_panels_show_the_simulation():
    simulation = simulated(rate=8, requests=300)
    picture = timeline(simulation, "a server")
    waiting, running, cache, latency = picture.panels
    ttft = simulation.requests["first_token_s"] - simulation.requests["arrival_s"]
    drawn = [row["y"] for row in latency.layers[0].rows if row["series"] == "TTFT, p99"]

    assert picture.setting == "a server"
    assert "300 requests in" in picture.finding
    assert max(row["y"] for row in running.layers[0].rows) <= running.y.high
    assert all(0.0 <= row["y"] <= 1.0 for row in cache.layers[0].rows)
    assert max(drawn) <= ttft.max()
    assert len(drawn) == 300 // 20
    assert waiting.x.high == running.x.high == latency.x.high
    assert len(picture.table) <= 12
    assert len(picture.header) == len(picture.table[0])


def test_units_of_time():
    assert timeline(simulated(rate=10, requests=20), "").panels[0].x.label == "time, s"
    assert timeline(simulated(rate="0.05", requests=20), "").panels[0].x.label == "time, min"
    assert timeline(simulated(rate="0.001", requests=20), "").panels[0].x.label == "time, h"


def test_nothing_that_ran():
    picture = timeline(simulated(Rules(kv_tokens=64), rate=1, requests=3), "")

    assert "rejected" in picture.finding
    assert not picture.panels[3].layers[0].rows


@pytest.mark.parametrize("name", ["t.png", "t.svg", "t.html"])
def test_files(tmp_path, name):
    draw_timeline(simulated(rate=8, requests=50), "a server", tmp_path / name)

    assert (tmp_path / name).stat().st_size > 1000


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"plot: .* must end in .png, .svg, .html"):
        check_picture(tmp_path / "t.pdf")
    with pytest.raises(InputError, match="not a directory"):
        draw_timeline(simulated(rate=1, requests=2), "", tmp_path / "none" / "t.svg")


def test_lines_have_few_points():
    simulation = simulated(rate=8, requests=300)
    many = {name: np.tile(values, 9) for name, values in simulation.timeline.items()}
    picture = timeline(simulation._replace(timeline=many), "")

    assert all(len(panel.layers[0].rows) <= 400 for panel in picture.panels)
