"""The picture of the memory wall."""

import itertools
import json

import pytest

import perfcore
from perfcore.reporting.kinds import gather
from perfcore.reporting.opening import open_source
from perfcore.reporting.vega import svg
from reporting.swept import points


def test_terms_of_the_timeline_make_up_the_time(pictures):
    picture = pictures["memory_wall"]
    assert [panel.title for panel in picture.panels] == ["batch 1", "batch 8", "batch 64"]
    for number in range(3):
        area = points(picture, "area", number)
        for length in {row["x"] for row in area}:
            parts = [row for row in area if row["x"] == length]
            for below, above in itertools.pairwise(parts):
                assert above["y"] == pytest.approx(below["y2"])
        batch = int(picture.panels[number].title.split()[1])
        first = [row for row in area if row["x"] == 128]
        one = perfcore.evaluate(
            "llama-3.1-8b",
            "h100-sxm",
            weight_format=picture.setting.split(" · ")[2],
            tp=int(picture.setting.split("tp ")[1][0]),
            batch=batch,
            input_len=128,
            output_len=128,
        )
        assert first[-1]["y2"] == pytest.approx(one["tpot_s"] * 1e3, rel=0.02)


@pytest.mark.parametrize(
    ("columns", "rest"),
    [
        ([], "activations, other prompts, second memory tier"),
        (["activations_s", "prefill_s"], "second memory tier"),
    ],
)
def test_terms_without_a_column_are_named(folder, columns, rest):
    needed = ["weights_s", "kv_s", "compute_s", "network_s", "latency_s", "tpot_s"]
    needed.append("cost_per_mtok_output_usd")
    path = folder / f"terms-{len(columns)}"
    served = ['axes.scheduler="continuous"', "axes.batch=[64]", 'axes.offload="kv"']
    served += ['axes.device="rtx-4090"', 'axes.weight_format="bf16"']
    listed = f"output.columns={json.dumps(needed + columns)}"
    perfcore.sweep(folder / "small.toml", path, overrides=[*served, listed])
    picture = gather(open_source(path), "memory_wall")
    colours = [series.colour for series in picture.series]

    assert picture.series[0].name == rest
    assert len(set(colours)) == len(colours)


def test_a_single_length_that_fits_is_drawn_and_named(folder):
    where = ["device=rtx-4090", "batch=64", "weight_format=bf16", "tp=1", "input_len<=1024"]
    where.append("model=llama-3.1-8b")
    picture = gather(open_source(folder / "small.toml", where), "memory_wall")
    (panel,) = picture.panels

    assert {row["x"] for row in points(picture, "area")} == {128}
    assert panel.title == "batch 64: fits at 128 tokens only"
    assert [layer.mark for layer in panel.layers] == ["area"]
    assert svg(picture).count('aria-roledescription="bar"') == len(points(picture, "area"))
