"""The page in a browser without a network: pictures, numbers, commands, files, address."""

import csv
import io
import json
import math
import shlex

import duckdb
import pytest
from click.testing import CliRunner
from reporting.parsed import EVIL, Document

import perfcore
from exploring.pressing import choose, text
from perfcore.cli import program
from perfcore.columns import METRICS

LARGEST = 3_000_000  # bytes
FIRST_MS = 1_000
CLOSE = 1e-12
SIZES = [(1280, 900), (390, 844)]
PARETO = "document.querySelector('#pareto canvas')"


def told(command):
    """Return what `perfcore point` says of a command of the page."""
    words = shlex.split(command)
    assert words[:2] == ["perfcore", "point"]
    result = CliRunner().invoke(program, [*words[1:], "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def columns(browser):
    browser.run("document.querySelector('#point details').open = true")
    browser.settle()
    found = browser.run(
        "JSON.stringify([...document.querySelectorAll('#columns td[data-name]')]"
        ".map((cell) => [cell.dataset.name, Number(cell.dataset.value)]))"
    )
    return dict(json.loads(found))


def check_numbers(browser):
    """Compare all columns of the chosen point with what its command says."""
    found = columns(browser)
    expected = told(text(browser, "#command"))

    assert list(found) == [column.name for column in METRICS]
    for column in METRICS:
        if column.kind != "code" and expected[column.name] is not None:
            assert math.isclose(found[column.name], expected[column.name], rel_tol=CLOSE)
    return expected


# Safe, offline, small


def test_it_is_small_and_asks_for_nothing(page, run_page):
    for path in (page, run_page):
        seen = Document(path.read_text("utf-8"))

        assert path.stat().st_size < LARGEST
        assert not [one for one in seen.elements if {"src", "href"} & set(one[1]) and one[0] != "a"]
        assert len(seen.named("script")) == 1


def test_names_from_files_stay_text(folder, browser):
    perfcore.explore(folder / "small.toml", folder / "evil.html", again=EVIL)
    browser.open((folder / "evil.html").as_uri())

    assert browser.console == []
    assert browser.run("document.title").startswith("llama-3.1-8b, gpt-oss-120b")
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert EVIL in text(browser, "#source")


# In a browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_draws_without_complaint_and_fits(browser, page, run_page, width, height, scheme):
    for path in (page, run_page):
        browser.open(path.as_uri(), width=width, height=height, scheme=scheme)
        blank = browser.run(
            "[...document.querySelectorAll('section:not([hidden]) canvas')].map((canvas) =>"
            " new Set(new Uint32Array(canvas.getContext('2d')"
            ".getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size)"
        )

        assert browser.console == []
        assert browser.run("document.documentElement.scrollWidth") == width
        assert min(blank) > 5  # colours
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_it_is_drawn_within_a_second(browser, page):
    times = []
    for _ in range(3):  # other tests run as well
        browser.open(page.as_uri())
        times.append(float(browser.run("document.body.dataset.first")))

    assert min(times) < FIRST_MS


def test_the_point_shows_the_command_that_computes_it(browser, page):
    browser.open(page.as_uri() + "#device=h100-sxm,b200&batch=48&bandwidth=1.5&power=0.7")
    expected = check_numbers(browser)

    assert expected["batch"] == 48
    assert expected["device_memory_bandwidth_scale"] == 1.5
    assert "h100-sxm is fastest" in text(browser, "#finding")


def test_sliders_and_fields_change_the_point_and_the_address(browser, page):
    browser.open(page.as_uri())
    before = text(browser, "#chosen")
    choose(browser, "input_len", "5000", "change")
    choose(browser, "scheduler", "continuous", "change")
    choose(browser, "flops", "2", "change")
    assert text(browser, "#chosen") != before
    expected = check_numbers(browser)
    assert (expected["input_len"], expected["scheduler"]) == (5000, "continuous")

    browser.run("new Promise((done) => setTimeout(done, 300))")
    address = browser.run("location.href")
    assert "input_len=5000" in address
    chosen = text(browser, "#chosen")
    browser.open(address)
    assert text(browser, "#chosen") == chosen


def test_any_field_is_changed(browser, page):
    browser.open(page.as_uri() + "#sets=nonsense,device.nope*2,economics.pue%3D1.5")
    assert browser.run("state.sets") == ["economics.pue=1.5"]
    choose(browser, "add-sets", "device.link_bandwidth * 0.5", "change")
    choose(browser, "add-sets", "device.link_bandwidth", "change")
    expected = check_numbers(browser)
    assert expected["device_link_bandwidth_scale"] == 0.5
    assert expected["economics_pue"] == 1.5
    browser.run("document.querySelector('[aria-label=\"Remove economics.pue=1.5\"]').click()")
    browser.settle()
    assert "economics_pue" not in check_numbers(browser)


def test_models_and_devices_are_added_and_removed(browser, page):
    browser.open(page.as_uri() + "#device=h200-sxm")
    choose(browser, "add-model", "qwen3-32b", "change")
    rows = "document.querySelectorAll('#results tbody tr').length"
    assert browser.run(rows) == 2
    choose(browser, "add-model", "no such model", "change")
    assert browser.run(rows) == 2
    browser.run("document.querySelector('[aria-label=\"Remove llama-3.3-70b\"]').click()")
    browser.settle()
    assert browser.run(rows) == 1
    assert check_numbers(browser)["model"] == "qwen3-32b"


def test_a_point_of_the_picture_is_chosen(browser, page):
    browser.open(page.as_uri())
    browser.run(
        "{ const one = drawnPoints.find((point) => point.place === 1 && point.batch === 8);"
        f" {PARETO}.dispatchEvent(new MouseEvent('click',"
        f" {{ clientX: {PARETO}.getBoundingClientRect().left + one.px,"
        f" clientY: {PARETO}.getBoundingClientRect().top + one.py }})); }}"
    )
    browser.settle()
    expected = check_numbers(browser)

    assert expected["batch"] == 8
    assert expected["device"] == "h200-sxm"


def test_what_does_not_exist_is_said_and_which_prices_hold(browser, page):
    browser.open(page.as_uri())
    browser.run("change({ device: ['h100-sxm'] })")
    browser.settle()
    real = browser.run("document.querySelector('#setting').textContent")
    browser.run("change({ device: ['h100-sxm', 'hbm4-6tbs'], economics: 'owned' })")
    browser.settle()
    unreal = browser.run("document.querySelector('#setting').textContent")

    assert "Hypothetical" not in real
    assert " · prices default. " in real
    assert " Hypothetical: hbm4-6tbs." in unreal
    assert " · prices owned. " in unreal


def test_what_does_not_run_says_why(browser, page):
    browser.open(page.as_uri() + "#device=rtx-4090&weight_format=bf16&tp=1")

    assert text(browser, "#finding") == "rtx-4090 does not run: weights do not fit."
    assert "weights do not fit" in text(browser, "#results")
    choose(browser, "add-device", "rtx-5090", "change")
    assert text(browser, "#finding") == "None of these can run; rtx-4090: weights do not fit."


def test_nonsense_in_the_address_is_left_out(browser, page):
    browser.open(page.as_uri() + "#batch=-5&device=nope&model=%E0%A4%A&x=nope&power=7&where=1&=&&")

    assert browser.console == []
    expected = check_numbers(browser)
    assert expected["batch"] == 1
    assert expected["device"] == "h100-sxm"


# Files


def test_the_csv_has_all_columns_and_commands(browser, page):
    browser.open(page.as_uri() + "#device=b200,mi300x&flops=2")
    rows = list(csv.DictReader(io.StringIO(browser.run("csv().join('')"))))

    assert {row["device"] for row in rows} == {"b200", "mi300x"}
    for row in (rows[0], rows[-1]):
        expected = told(row["command"])
        for column in METRICS:
            value = expected[column.name]
            assert (
                value is None
                or row[column.name] == value
                or math.isclose(float(row[column.name]), value, rel_tol=CLOSE)
            )


@pytest.mark.parametrize("picture", ["time", "memory", "pareto", "map", "run"])
def test_pictures_are_saved_as_png(browser, run_page, picture):
    browser.open(run_page.as_uri())
    saved = browser.run(
        "new Promise((done) => { window.save = (name, [blob]) => blob.arrayBuffer().then((bytes) =>"
        " done([name, bytes.byteLength, String.fromCharCode(...new Uint8Array(bytes, 1, 3))]));"
        f" document.querySelector('#{picture} .png').click(); }})"
    )

    assert saved[0] == f"{picture}.png"
    assert saved[1] > 5_000
    assert saved[2] == "PNG"


# Rows of a run


def test_rows_are_filtered_coloured_and_selected(browser, run_page, folder):
    browser.open(run_page.as_uri())
    total = perfcore.open_run(folder / "run").num_rows
    count = "dotsDrawn.length"
    assert browser.run(count) == total
    choose(browser, "where-device", "h100-sxm", "change")
    assert 0 < browser.run(count) < total
    choose(browser, "rc", "batch", "change")
    assert text(browser, "#run .legend") == "batch 1batch 8batch 64"
    browser.run(
        "{ const canvas = document.querySelector('#run canvas');"
        " const box = canvas.getBoundingClientRect();"
        " const at = (name, x, y) => canvas.dispatchEvent(new PointerEvent(name,"
        " { clientX: box.left + x, clientY: box.top + y, buttons: 1 }));"
        " at('pointerdown', 70, 15); at('pointermove', 200, 200); at('pointerup', 200, 200); }"
    )
    browser.settle()
    assert 0 < browser.run(count) < total / 2
    assert "as selected" in text(browser, "#sentence")
    assert browser.console == []


def test_a_device_has_the_same_colour_in_every_picture(browser, run_page):
    browser.open(run_page.as_uri() + "#device=mi300x,h100-sxm")
    above, below = browser.run(
        "[shown.find((made) => made.device === 'h100-sxm').colour, dotsDrawn.find("
        "({ row }) => valuesOf(row).device === 'h100-sxm').colour]"
    )

    assert above == below


def test_reset_leads_back_to_the_start(browser, run_page):
    browser.open(run_page.as_uri() + "#rc=batch&rx=nope&where.device=h100-sxm&batch=3")
    changed = browser.run("[state.rc, state.batch, dotsDrawn.length]")
    browser.run("document.querySelector('#reset').click()")
    browser.settle()
    rx, rc, batch, drawn = browser.run("[state.rx, state.rc, state.batch, dotsDrawn.length]")

    assert changed[:2] == ["batch", 3]
    assert (rx, rc, batch) == ("tpot_s", "device", 8)
    assert drawn > changed[2]


def test_a_row_s_command_gives_the_run_s_numbers(browser, run_page):
    browser.open(run_page.as_uri())
    rows = json.loads(
        browser.run(
            "JSON.stringify(rowsShown().map((row) => [commandOfRow(row), valuesOf(row).device,"
            " rows.metrics.tpot_s[row], rows.metrics.cost_per_mtok_output_usd[row]]))"
        )
    )
    known = [row for row in rows if row[1] == "h100-sxm"]

    assert {row[0] for row in rows if row[1] != "h100-sxm"} == {""}  # of a file: no name here
    for command, _, tpot, cost in known[:: len(known) // 8]:
        expected = told(command)
        assert math.isclose(expected["tpot_s"], tpot, rel_tol=1e-3)  # a run has 12 bits
        assert math.isclose(expected["cost_per_mtok_output_usd"], cost, rel_tol=1e-3)


def test_the_best_rows_are_those_of_the_query_over_all_rows(browser, run_page):
    browser.open(run_page.as_uri() + "#limits=tpot_s%3C%3D9ms&where.model=llama-3.1-8b&rg=batch")
    shown = browser.run(
        "[...document.querySelectorAll('#bestrows tbody button')].map((one) => one.textContent)"
    )
    words = shlex.split(text(browser, "#search"))
    with duckdb.connect() as connection:
        found = connection.sql(words[2]).fetchall()
        place = connection.sql(words[2]).columns.index("batch")

    assert words[:2] == ["duckdb", "-c"]
    assert len(shown) >= 2
    assert shown == [str(row[place]) for row in found]


def test_a_row_is_computed_above(browser, run_page):
    browser.open(run_page.as_uri())
    command, tpot = browser.run(
        "{ picked = rowsShown().find((row) => valuesOf(row).device === 'h100-sxm'"
        " && valuesOf(row).device_memory_bandwidth_scale === 1.5); draw();"
        " document.querySelector('#load').click();"
        " [commandOfRow(picked), rows.metrics.tpot_s[picked]] }"
    )
    browser.settle()
    expected = check_numbers(browser)

    assert "device.memory_bandwidth={scale=1.5}" in command
    assert math.isclose(expected["tpot_s"], tpot, rel_tol=1e-3)
