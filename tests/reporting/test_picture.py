"""Titles, colours, ticks and options of pictures."""

import pytest

from perfcore.reporting.kinds import gather
from perfcore.reporting.names import KINDS
from perfcore.reporting.picture import COLOURS, SHAPES, doublings, ticks

# What pictures show


def test_options_choose_series_and_metric(source):
    picture = gather(source, "pareto", by="weight_format", metric="cost_per_mtok_output_usd")

    assert [series.name for series in picture.series] == ["bf16", "fp8", "int4-g128"]
    assert "cost of output tokens" in picture.panels[0].y.label
    assert "USD per million" in picture.panels[0].y.label


# How they look


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_say_what_they_show(pictures, kind):
    picture = pictures[kind]
    names = [series.name for series in picture.series]
    colours = [series.colour for series in picture.series]
    labels = [axis.label for panel in picture.panels for axis in (panel.x, panel.y)]

    assert len(set(names)) == len(names) == len(set(colours))
    assert all("[" in label and "]" in label for label in labels if label != "device")
    assert "perfcore" in picture.source
    assert "small" in picture.source
    assert "engine default" in picture.source
    assert "llama-3.1-8b" in picture.setting
    assert any(name.split()[-1] in picture.finding for name in [*names, "KV cache", "decode"])
    assert all(len(row) == len(picture.header) for row in picture.table)


def test_colours_and_shapes_are_told_apart():
    assert len(set(COLOURS)) == len(set(SHAPES)) == len(COLOURS)


def test_ticks_are_few_and_round():
    assert ticks(1, 1000) == [1, 3, 10, 30, 100, 300, 1000]
    assert ticks(0.3, 40) == [0.5, 1, 2, 5, 10, 20]
    assert ticks(1, 1e9) == [10.0**power for power in range(10)]
    assert doublings(1, 1024) == [1, 4, 16, 64, 256, 1024]
