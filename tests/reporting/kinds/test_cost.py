"""The picture of cost against utilisation."""

import pytest

from perfcore.catalog.loader import load_model
from perfcore.reporting.kinds import gather
from perfcore.reporting.opening import open_source
from reporting.swept import plot, points, refused


def test_cost_meets_the_price_at_break_even(folder):
    overrides = ['economics.token_price="0.79 USD/Mtok"']
    picture = gather(open_source(folder / "small.toml", (), overrides), "cost")
    price = points(picture, "rule")[0]["y"]
    lines = [layer for layer in picture.panels[0].layers if layer.mark == "line" and not layer.dash]
    drops = [layer for layer in picture.panels[0].layers if layer.dash]

    assert price == 0.79
    assert drops
    for drop in drops:
        foot, mark = drop.rows
        near = next(row for row in lines[0].rows if row["series"] == mark["series"])
        assert foot["x"] == mark["x"]
        # the price of a token is inversely proportional to utilisation
        assert near["x"] * near["y"] == pytest.approx(mark["x"] * price, rel=1e-5)


def test_models_are_sold_at_their_list_prices(folder):
    overrides = ["axes.model=['llama-3.1-8b', 'llama-3.1-70b']"]
    picture = gather(open_source(folder / "small.toml", (), overrides), "cost", by="model")
    listed = [load_model(name).token_price for name in ("llama-3.1-8b", "llama-3.1-70b")]

    assert sorted(rule["y"] for rule in points(picture, "rule")) == sorted(listed)


def test_a_what_if_on_the_price_moves_the_break_even(folder):
    overrides = ['what_if."economics.token_price"=["2 USD/Mtok", "4 USD/Mtok"]']
    picture = gather(open_source(folder / "small.toml", (), overrides), "cost")

    assert points(picture, "rule")[0]["y"] == 2.0


def test_each_series_breaks_even_at_its_own_price(folder):
    overrides = ['what_if."economics.token_price"=["0.1 USD/Mtok", "0.2 USD/Mtok"]']
    sweep = open_source(folder / "small.toml", (), overrides)
    picture = gather(sweep, "cost", by="economics_token_price")
    marks = [layer.rows[1] for layer in picture.panels[0].layers if layer.dash]

    assert [rule["y"] for rule in points(picture, "rule")] == [0.1, 0.2]
    assert {(mark["series"], mark["y"]) for mark in marks} == {("0.1", 0.1), ("0.2", 0.2)}
    assert marks[0]["x"] == pytest.approx(2 * marks[1]["x"], rel=1e-5)
    assert picture.finding.startswith(
        "At 0.1 to 0.2 USD per million output tokens, 0.2 breaks even at"
    )


def test_what_is_free_has_no_break_even(folder):
    free = 'what_if."device.price_per_hour"=["0 USD/h", "2 USD/h"]'
    by = ("-o", folder / "cost.svg", "--by", "device_price_per_hour_usd")
    sold = 'economics.token_price="0.79 USD/Mtok"'
    result = plot("cost", folder / "small.toml", *by, "--set", free, "--set", sold)
    (line,) = refused(
        *("cost", folder / "small.toml", "-o", folder / "no.svg"),
        *("--set", 'device.price_per_hour="0 USD/h"'),
    )

    assert result.exit_code == 0, result.output
    assert "1 of 1 can break even" in result.stdout
    assert "as they cost nothing: 0.0." in (folder / "cost.svg").read_text()
    assert "tokens cost nothing" in line
    assert "--set 'device.price_per_hour=" in line
