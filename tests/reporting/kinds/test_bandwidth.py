"""The picture of more bandwidth."""

import pytest

from perfcore.reporting.kinds import gather
from perfcore.reporting.opening import open_source
from reporting.swept import points


def test_gain_of_bandwidth_stays_below_its_bound(pictures):
    drawn = [p for n in range(3) for p in points(pictures["bandwidth"], "point", n)]

    assert {p["y"] for p in drawn if p["x"] == 1} == {1.0}
    assert all(1.0 <= p["y"] <= p["x"] * (1 + 1e-6) for p in drawn)
    assert any(p["y"] > 1.2 for p in drawn)


@pytest.mark.parametrize(
    ("bandwidth", "unit", "least"),
    [
        ("{scale={linear=[0.5,4],n=351}}", "today's", 0.5),
        ("{scale=[0.5,2]}", "the least", 1.0),
        ('["2 TB/s","8 TB/s"]', "the least", 1.0),
    ],
)
def test_bandwidth_is_told_as_times_of_what_it_is(folder, bandwidth, unit, least):
    sweep = folder / "faster.toml"
    sweep.write_text('[axes]\nmodel = "llama-3.1-8b"\ndevice = "b200"\n')
    source = open_source(sweep, (), [f"device.memory_bandwidth={bandwidth}"])
    picture = gather(source, "bandwidth")
    drawn = {p["x"]: p["y"] for p in points(picture)}

    assert picture.panels[0].x.label == f"memory bandwidth [times {unit}]"
    assert (min(drawn), drawn[1.0]) == (least, 1.0)
    assert "today" not in picture.setting
