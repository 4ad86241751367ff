"""The picture of narrower weights."""

import pytest

import perfcore
from perfcore.reporting.kinds import gather
from perfcore.reporting.opening import open_source
from reporting.swept import points


@pytest.mark.parametrize("batch", [1, 64])
def test_gain_of_narrow_weights_is_a_ratio_of_times(pictures, batch):
    picture = pictures["quantisation"]
    tp = int(picture.setting.split("tp ")[1][0])
    times = [
        perfcore.evaluate(
            "llama-3.1-8b",
            "h100-sxm",
            weight_format=name,
            tp=tp,
            batch=batch,
            input_len=1024,
            output_len=128,
        )["tpot_s"]
        for name in ("bf16", "int4-g128")
    ]
    drawn = [p for p in points(picture) if p["series"] == "int4-g128" and p["x"] == batch]

    assert drawn[0]["y"] == pytest.approx(times[0] / times[1], rel=1e-4)


def test_a_format_that_loses_is_not_called_best(folder):
    sweep = open_source(folder / "small.toml", (), ["axes.batch=[1,8,512]", "axes.input_len=[128]"])
    only = open_source(
        folder / "small.toml",
        ("model=llama-3.1-8b",),
        ["axes.batch=[1,8,512]", "axes.input_len=[128]", 'axes.weight_format=["bf16","int4-g128"]'],
    )

    assert "and fp8 is best" in gather(sweep, "quantisation").finding
    assert "and bf16 is best" in gather(only, "quantisation").finding
