"""The report: one page, whole, safe, offline, and drawn by a browser."""

import re
import shlex
import sys
from itertools import pairwise

import pytest
from click.testing import CliRunner
from reporting.parsed import EVIL, Document

import perfcore
from exploring.pressing import choose, text
from perfcore.cli import program
from perfcore.errors import InputError
from perfcore.exploring import document
from perfcore.reporting.names import KINDS

pytestmark = pytest.mark.slow

LARGEST = 3_000_000  # bytes
EXPLORER = ("time", "memory", "pareto", "map", "point", "table", "open", "run")  # its sections
SPEC = """
name = "small <b>&amp; bold</b>"
description = '''Which one? {evil}'''
[axes]
model = ["llama-3.1-8b"]
device = ["h100-sxm", "b200", "./own.toml"]
weight_format = ["bf16", "int4-g128"]
batch = [1, 8, 64]
input_len = [128, 1024, 8192]
output_len = 128
[what_if]
"device.memory_bandwidth" = {{ scale = [1, 2] }}
"economics.utilization" = [0.1, 0.5, 1]
[output]
columns = "all"
"""
OWN = """
[own-chip]
title = '''{evil}'''
vendor = "us"
year = 2026
device_class = "asic"
memory_kind = "HBM3"
memory_capacity = "80 GB"
memory_bandwidth = "3 TB/s"
flops_fp16 = "500 TFLOP/s"
board_power = "500 W"
idle_power = "50 W"
link_bandwidth = "100 GB/s"
scale_up_domain = 8
network_bandwidth = "50 GB/s"
price_per_hour = "2 USD/h"
source = '''a data sheet {evil}'''
notes = '''{evil}'''
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("report")
    (path / "own.toml").write_text(OWN.format(evil=EVIL))
    (path / "small.toml").write_text(SPEC.format(evil=EVIL))
    perfcore.sweep(path / "small.toml", path / "run")
    return path


@pytest.fixture(scope="module")
def page(folder):
    """Path of the report on the sweep, as the command writes it."""
    output = folder / "report.html"
    result = CliRunner().invoke(
        program, ["report", str(folder / "small.toml"), "-o", str(output), "--where", "batch<=64"]
    )

    assert result.exit_code == 0, result.output
    assert result.stdout == f"written to {output}\n"
    return output


@pytest.fixture(scope="module")
def seen(page):
    return Document(page.read_text("utf-8"))


# What it says


def test_it_has_every_part(page, seen):
    ids = [attributes["id"] for attributes in seen.named("section")]
    text = page.read_text("utf-8")

    assert [name for name in ids if name not in EXPLORER] == [
        *("findings", "explore"),
        *(f"picture-{kind}" for kind in KINDS),
        *("axes", "assumptions", "errors", "sources", "again"),
    ]
    for words in (
        "Which one?",
        "llama-3.1-8b",
        "node_overhead",
        "what-if economics_utilization",
        "80 % interval of the time per output token",
        "Errors on the devices of this report",
        "perfcore has no measurements of b200, own-chip.",
        "NVIDIA H100 SXM5 80GB",
        "fingerprint",
    ):
        assert words in text


def test_its_command_makes_it_again(page, seen):
    command = shlex.split(
        next(text for text in seen.text["code"] if text.startswith("perfcore report "))
    )
    again = page.with_name("again.html")
    command[command.index("-o") + 1] = str(again)

    assert command[0] == "perfcore"
    result = CliRunner().invoke(program, command[1:])
    assert result.exit_code == 0, result.output
    assert again.read_bytes() == page.read_bytes()


def test_a_run_is_reported_with_its_rows(folder):
    text = document.report(folder / "run")
    rows = perfcore.open_run(folder / "run").rows

    assert f"{rows:,} rows of 324 configurations" in text
    assert "perfcore run" in text


def test_what_cannot_be_drawn_is_named_with_its_remedy():
    text = document.report({"axes": {"model": "llama-3.1-8b", "device": "b200", "batch": [1, 8]}})
    found = Document(text)

    assert "not-drawn" in [attributes["id"] for attributes in found.named("section")]
    assert "winners needs several values of input_len" in text


def test_every_quantity_that_a_what_if_sets_is_told_as_set():
    axes = {"model": "llama-3.1-8b", "device": "b200", "batch": [1, 8]}
    what_if = {
        "economics.carbon_intensity": "100 g/kWh",
        "economics.lifetime": "3 years",
        "economics.purchase": [0, 2],
    }
    text = document.report({"axes": axes, "what_if": what_if})

    for name, value, column in (
        ("carbon_intensity", "100", "economics_carbon_intensity_g_per_kwh"),
        ("lifetime", "94,608,000", "economics_lifetime_s"),
        ("purchase", "on-demand, owned", "economics_purchase"),
    ):
        row = f'<th scope="row">{name}</th><td>{value}</td><td>what-if {column}</td>'
        assert text.count(row) == 1


def test_nothing_that_runs_is_an_error():
    spec = {"axes": {"model": "llama-3.1-405b", "device": "rtx-4090"}}

    with pytest.raises(InputError, match="nothing runs"):
        document.report(spec)


# Safe, offline, small


def test_no_string_of_the_user_becomes_markup(seen):
    assert seen.named("img") == []
    assert seen.named("b") == []
    assert len(seen.named("script")) == 2
    assert "".join(seen.text["title"]) == "small <b>&amp; bold</b>"


def test_it_asks_nobody_for_anything(page, seen):
    (policy,) = [
        attributes["content"]
        for attributes in seen.named("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    text = page.read_text("utf-8")
    markup = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)

    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert not [a for _, a in seen.elements if "src" in a]
    assert all(a["href"].startswith("#") for _, a in seen.elements if "href" in a)
    assert not re.search(r"@import|url\(", "".join(seen.text["style"]))
    assert seen.named("link") == []
    assert "<iframe" not in markup


def test_it_is_small(page):
    assert page.stat().st_size < LARGEST


@pytest.mark.slow
def test_it_stays_small_for_a_large_sweep():
    axes = {
        "model": ["llama-3.1-8b"],
        "device": ["h100-sxm", "h200-sxm", "b200", "mi300x", "gaudi3", "l40s"],
        "weight_format": ["bf16", "fp8", "int8", "int4-g128", "nvfp4", "mxfp4"],
        "batch": {"log": [1, 512], "n": 20},
        "input_len": {"log": [128, 65536], "n": 50},
    }
    what_if = {
        "device.memory_bandwidth": {"scale": {"linear": [1, 4], "n": 13}},
        "economics.utilization": {"linear": [0.1, 1], "n": 3},
    }
    text = document.report({"axes": axes, "what_if": what_if})

    assert len(text.encode()) < LARGEST


# For everyone


def test_it_can_be_read_without_seeing_it(seen):
    levels = [int(tag[1]) for tag, _ in seen.elements if re.fullmatch(r"h[1-6]", tag)]
    ids = [attributes["id"] for _, attributes in seen.elements if "id" in attributes]
    charts = [a for a in seen.named("canvas") if "aria-label" in a]  # others get theirs in scripts

    assert seen.named("html") == [{"lang": "en"}]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert len(seen.named("main")) == len(seen.named("header")) == len(seen.named("nav")) == 1
    assert len(set(ids)) == len(ids)
    assert seen.named("a")[0] == {"class": "skip", "href": "#main"}
    assert all(a["href"][1:] in ids for a in seen.named("a"))
    assert charts
    assert all(a["role"] == "img" and len(a["aria-label"]) > 40 for a in charts)
    assert all(
        a["aria-labelledby"] in ids for a in seen.named("section") if a["id"] not in EXPLORER
    )
    assert len(seen.named("caption")) == len(seen.named("table"))
    assert {a["scope"] for a in seen.named("th")} == {"col", "row"}


def test_every_control_takes_the_keyboard(seen):
    for attributes in seen.named("button"):
        assert attributes["type"] == "button"
        assert attributes.get("aria-pressed", "true") == "true"
    for attributes in seen.named("div"):
        if attributes.get("class") == "scroll":
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]


def test_every_picture_has_its_numbers_as_a_table(seen):
    figures = len(seen.named("figure"))

    assert figures == len(KINDS)
    assert sum("Numbers of this picture" in text for text in seen.text["summary"]) == figures


# In a browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_a_browser_draws_it_without_complaint(browser, page, width, height, scheme):
    browser.open(page.as_uri(), width=width, height=height, scheme=scheme)
    browser.settle()
    drawn = browser.run(
        "[...document.querySelectorAll('figure')].map((figure) => Number(figure.dataset.drawn))"
    )

    assert browser.console == []
    assert len(drawn) == len(KINDS)
    assert min(drawn) > 0
    assert browser.run("document.title") == "small <b>&amp; bold</b>"  # nobody else's script ran
    assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.run("performance.getEntriesByType('resource').length") == 0


def test_a_button_hides_a_series_and_the_pointer_says_what_a_point_is(browser, page):
    browser.open(page.as_uri())
    figure = "document.querySelector('#picture-pareto figure')"
    before = browser.run(f"Number({figure}.dataset.drawn)")
    browser.run(f"{figure}.querySelector('.legend button').click()")
    after = browser.run(f"Number({figure}.dataset.drawn)")
    pressed = browser.run(f"{figure}.querySelector('.legend button').getAttribute('aria-pressed')")
    told = browser.run(
        "{ const canvas = document.querySelector('#picture-energy canvas');"
        " const box = canvas.getBoundingClientRect();"
        " canvas.dispatchEvent(new PointerEvent('pointermove',"
        " { clientX: box.left + box.width * 0.3, clientY: box.top + 100 }));"
        " document.querySelector('#tip').textContent; }"
    )

    assert 0 < after < before
    assert pressed == "false"
    assert "energy: " in told


@pytest.mark.parametrize("width", [1280, 390])
def test_lines_have_their_names_at_their_ends(browser, page, width):
    browser.open(page.as_uri(), width=width)
    told = browser.run(
        "{ window.told = []; const own = CanvasRenderingContext2D.prototype.fillText;"
        " CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {"
        " if (this.canvas.closest('#picture-pareto'))"
        " told.push([text, x, y, this.canvas.clientWidth]);"
        " own.call(this, text, x, y); }; dispatchEvent(new Event('resize'));"
        " new Promise((done) => setTimeout(() => done(told), 200)); }"
    )
    names = browser.run(
        "[...document.querySelectorAll('#picture-pareto .legend button')]"
        ".map((button) => button.textContent.trim())"
    )
    beside = [one for one in told if one[0] in names]
    places = sorted(y for _, _, y, _ in beside)

    assert {one[0] for one in beside} == set(names)
    assert all(x > wide * 0.6 for _, x, _, wide in beside)
    assert all(below - above > 13.9 for above, below in pairwise(places))


def test_a_device_has_the_same_colour_in_every_picture(browser, page):
    browser.open(page.as_uri())
    colours = browser.run(
        "[...document.querySelectorAll('figure .legend button')]"
        ".filter((button) => button.textContent.trim().endsWith('b200'))"
        ".map((button) => button.querySelector('svg').getAttribute('fill'))"
    )

    assert len(colours) >= 4
    assert len(set(colours)) == 1


@pytest.mark.parametrize("kind", ["csv", "png"])
def test_pictures_are_downloaded(browser, page, kind):
    browser.open(page.as_uri())
    name, text = browser.run(
        "new Promise((done) => { window.save = (name, parts) => new Blob(parts).text()"
        ".then((text) => done([name, text]));"
        f" document.querySelector('#picture-cost .{kind}').click(); }})"
    )

    assert name == f"cost.{kind}"
    if kind == "csv":
        header, first, *_ = text.splitlines()
        assert header == "panel,series,utilisation,cost,breaks even at,configuration"
        assert "USD per million" in first
    else:
        assert text[1:4] == "PNG"


def test_every_model_and_device_is_reached_and_conditions_name_the_best(browser, page, folder):
    rows = perfcore.sweep(folder / "small.toml").to_pylist()
    browser.open(page.as_uri())
    browser.run(
        "{ const pick = document.querySelector('[name=pick-device]');"
        " pick.value = 'b200'; pick.dispatchEvent(new Event('change')); }"
    )
    browser.settle()
    assert browser.run("state.device") == ["b200"]
    assert "own-chip" in browser.run(
        "[...document.querySelector('[name=pick-device]')].map((one) => one.value)"
    )

    choose(browser, "add-limits", "tpot_s <= 9ms", "change")
    choose(browser, "rb", "energy_per_output_token_j", "change")
    told = browser.run(
        "[...document.querySelectorAll('#bestrows tbody tr')].map((row) =>"
        " row.querySelector('button').textContent)"
    )
    best = {}
    for row in rows:
        if row["tpot_s"] <= 9e-3:
            energy = row["energy_per_output_token_j"]
            best[row["device"]] = min(energy, best.get(row["device"], energy))
    assert told == sorted(best, key=best.__getitem__)
    command = shlex.split(text(browser, "#search"))
    assert CliRunner().invoke(program, command[1:]).exit_code == 0
    assert "tpot_s<=0.009" in command


def test_a_run_with_traffic_has_its_rows_and_pictures(browser, tmp_path):
    spec = {
        "axes": {"model": "llama-3.1-8b", "device": ["h100-sxm", "l40s"]},
        "traffic": {
            "request_rate": [1, 4],
            "requests": 40,
            "input_len": 100,
            "output_len": 20,
        },
    }
    perfcore.sweep(spec, tmp_path / "run")
    perfcore.report(tmp_path / "run", tmp_path / "report.html")
    browser.open((tmp_path / "report.html").as_uri())

    assert browser.console == []
    assert browser.run("dotsDrawn.length") == 4
    assert browser.run("document.querySelector('#controls')") is None
    assert len(browser.run("[...document.querySelectorAll('#bestrows tbody tr')].map(String)")) == 2


# What it refuses


@pytest.mark.parametrize("output", ["report.pdf", "report", "missing/report.html"])
def test_outputs_are_checked_before_the_work(folder, output):
    result = CliRunner().invoke(
        program, ["report", str(folder / "small.toml"), "-o", str(folder / output)]
    )

    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: --output: ")


def test_it_needs_no_plotting_library(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    result = CliRunner().invoke(
        program, ["report", str(folder / "small.toml"), "-o", str(folder / "plain.html")]
    )

    assert result.exit_code == 0, result.output
    assert (folder / "plain.html").is_file()


def test_a_plot_is_a_page_of_the_same_pictures(browser, folder):
    picture = perfcore.draw("pareto", folder / "run", folder / "front.html")
    browser.open((folder / "front.html").as_uri(), scheme="dark")

    assert browser.console == []
    assert browser.run("Number(document.querySelector('figure').dataset.drawn)") > 0
    assert text(browser, ".finding") == f"{picture.finding}."
    assert (folder / "front.html").stat().st_size < 200_000
