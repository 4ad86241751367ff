"""Pieces of a page: text, names and scripts."""

import json

from perfcore.reporting.page import Page, paragraph, picture_page
from perfcore.reporting.picture import Axis, Layer, Panel, Picture, Series
from reporting.parsed import EVIL, Document

# Safe, offline, small


def test_backticks_set_code_and_nothing_else():
    found = paragraph("the engine `<i>ideal</i>`, and ` alone")

    assert found == "<p>the engine <code>&lt;i&gt;ideal&lt;/i&gt;</code>, and ` alone</p>"


def test_names_of_series_stay_names():
    row = {"x": 1.0, "y": 1.0, "series": EVIL, "tip": EVIL}
    axis = Axis(EVIL, low=0.0, high=2.0)
    panel = Panel(EVIL, axis, axis, (Layer("point", [row], ("tip",)),))
    picture = Picture(
        *("pareto", EVIL, EVIL, EVIL, EVIL),
        series=(Series(EVIL, "#000000", "circle"),),
        panels=(panel,),
        legend=EVIL,
        header=(EVIL,),
        table=((EVIL,),),
        remarks=(EVIL,),
    )
    found = Document(picture_page(picture))

    assert found.named("img") == []
    assert len(found.named("script")) == 2
    (data,) = [text for text in found.text["script"] if text.startswith("[{")]
    assert [one["name"] for one in json.loads(data)[0]["series"]] == [EVIL]


# What it refuses


def test_a_page_without_pictures_has_no_script():
    page = Page("empty")
    page.section("one", "One")

    assert "<script" not in page.html("", "")
