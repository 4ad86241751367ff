"""Remarks on devices, and names beside lines."""

from itertools import pairwise

import pytest

from perfcore.reporting import vega
from perfcore.reporting.kinds import gather
from perfcore.reporting.opening import open_source
from perfcore.reporting.picture import Axis, Layer, Panel, apart, ends_of_lines

SPEC = """
[axes]
model = "llama-3.3-70b"
device = ["h100-sxm", "hbm4-6tbs", "wse-3", "rubin"]
weight_format = ["bf16", "fp8"]
devices = "auto"
batch = { pow2 = [1, 256] }
input_len = [512, 4096]
output_len = 512
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    path = tmp_path_factory.mktemp("unreal") / "unreal.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def unreal(spec):
    return open_source(spec)


@pytest.mark.parametrize("kind", ["pareto", "winners", "energy", "cost", "bandwidth"])
def test_devices_that_do_not_exist_are_named(unreal, kind):
    remarks = gather(unreal, kind).remarks

    assert "Each point has the fewest devices that hold it." in remarks
    assert "Hypothetical: hbm4-6tbs." in remarks or kind == "winners"
    assert "Not on the market: rubin." in remarks or kind == "winners"


def test_a_letter_before_a_name_hides_no_device(spec):
    only = open_source(spec, overrides=['axes.device=["hbm4-6tbs", "m3-ultra"]'])

    assert "Hypothetical: hbm4-6tbs." in gather(only, "winners").remarks


def test_a_wafer_is_beside_a_card_only_with_its_power_and_price(unreal, spec):
    told = "One device: h100-sxm 700 W, 2.95 USD/h; "
    per_device = gather(unreal, "pareto").remarks
    per_token = gather(unreal, "pareto", metric="cost_per_mtok_output_usd").remarks
    alone = open_source(spec, where=["device=h100-sxm"])

    assert any(remark.startswith(told) and "wse-3 23,000 W" in remark for remark in per_device)
    assert not any(remark.startswith("One device") for remark in per_token)
    assert not any("Hypothetical" in remark for remark in gather(alone, "pareto").remarks)
    assert not any(remark.startswith("One device") for remark in gather(alone, "pareto").remarks)


def test_chosen_devices_are_told_only_where_they_are_chosen(tmp_path):
    (tmp_path / "given.toml").write_text(SPEC.replace('devices = "auto"', "tp = [1, 8]"))
    told = gather(open_source(tmp_path / "given.toml"), "pareto").remarks

    assert not any("fewest devices" in remark for remark in told)


def test_a_gain_that_is_often_a_loss_says_so(unreal):
    found = gather(unreal, "quantisation").finding
    rows = gather(unreal, "quantisation").panels[0].layers[-1].rows
    lost = sum(row["y"] < 0.995 for row in rows)

    assert 0 < lost < len(rows) == 9
    assert f", but slower at {lost} of 9 batches, with " in found


def test_dashed_lines_are_explained_only_where_there_are_some(unreal):
    never = gather(unreal, "cost")

    assert never.finding.startswith("Nothing breaks even")
    assert not any("Dashed" in remark for remark in never.remarks)


# Names of lines


@pytest.mark.parametrize(
    "kind", ["roofline", "pareto", "cost", "quantisation", "bandwidth", "memory_wall", "energy"]
)
def test_lines_have_their_names_beside_them(unreal, kind):
    picture = gather(unreal, kind)
    last = vega.whole(picture)["vconcat"][0]["hconcat"][-1]["layer"]
    texts = [
        (one["mark"]["text"], one["encoding"]["y"]["value"])
        for one in last
        if "text" in one.get("mark", {})
    ]
    legends = [one for one in last if one.get("encoding", {}).get("color", {}).get("legend")]

    if kind in {"memory_wall", "energy"}:  # areas and bars
        assert texts == []
        return
    names = {one.name for one in picture.series}
    assert {name for name, _ in texts} == names
    assert legends == []
    places = sorted(place for _, place in texts)
    assert all(b - a > 13.9 for a, b in pairwise(places))
    assert vega.svg(picture).count(">wse-3<") == (kind != "quantisation")


def test_ends_are_the_right_ends_of_lines_that_are_not_dashed():
    rows = [{"x": 2, "y": 5, "series": "a"}, {"x": 1, "y": 3, "series": "a"}]
    layers = (
        Layer("line", rows),
        Layer("line", [{"x": 9, "y": 9, "series": "b"}], dash=True),
        Layer("line", [{"x": 9, "y": 9}]),
        Layer("point", [{"x": 9, "y": 9, "series": "c"}]),
    )

    assert ends_of_lines(Panel("", Axis("x"), Axis("y"), layers)) == {"a": rows[0]}


def test_places_are_moved_apart_in_their_order():
    assert apart({"a": 0.0, "b": 50.0}, 100.0, 14.0) == {"a": 0.0, "b": 50.0}
    assert apart({"b": 51.0, "a": 50.0}, 100.0, 14.0) == {"a": 50.0, "b": 64.0}
    assert apart({"a": 99.0, "b": 100.0}, 100.0, 14.0) == {"a": 86.0, "b": 100.0}
    assert apart({}, 100.0, 14.0) == {}


def test_shares_of_an_axis():
    assert Axis("x", low=10.0, high=20.0).share(15.0) == pytest.approx(0.5)
    assert Axis("x", log=True, low=1.0, high=100.0).share(10.0) == pytest.approx(0.5)
    assert Axis("x", low=1.0, high=1.0).share(1.0) == pytest.approx(0.5)
