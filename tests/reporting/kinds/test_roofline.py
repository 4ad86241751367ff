"""The picture of the roofline."""

import pytest

import perfcore
from reporting.swept import points


def test_roofline_has_achieved_rates_under_the_devices_roofs(pictures):
    lines = points(pictures["roofline"], "line")
    for point in points(pictures["roofline"]):
        tp = 2 if "tp 2" in point["configuration"] else 1
        weights = point["configuration"].split(",")[0]
        one = perfcore.evaluate(
            "llama-3.1-8b",
            point["series"],
            weight_format=weights,
            tp=tp,
            batch=int(point["batch"]),
            input_len=1024,
            output_len=128,
        )
        roof = max(line["y"] for line in lines if line["series"] == point["series"])
        assert point["x"] == pytest.approx(one["arithmetic_intensity"], rel=1e-4)
        assert point["y"] == pytest.approx(one["step_flops"] / one["tpot_s"] / tp, rel=1e-3)
        assert point["y"] < roof
