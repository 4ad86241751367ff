"""The report: one page, whole, safe, offline, and drawn by a browser."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

import perfcore
from perfcore.cli import program
from perfcore.errors import InputError
from perfcore.reporting import document
from perfcore.reporting.names import KINDS
from perfcore.reporting.opening import open_source
from reporting.parsed import EVIL, Document

CHROMIUM = shutil.which("chromium")
LARGEST = 3_000_000  # bytes
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

    assert ids == [
        "findings",
        *KINDS,
        *("best", "axes", "assumptions", "errors", "sources", "again"),
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
    command = shlex.split(next(text for text in seen.text["code"] if text.startswith("perfcore ")))
    again = page.with_name("again.html")
    command[command.index("-o") + 1] = str(again)

    assert command[0] == "perfcore"
    result = CliRunner().invoke(program, command[1:])
    assert result.exit_code == 0, result.output
    assert again.read_bytes() == page.read_bytes()


def test_a_run_is_reported_with_its_rows(folder):
    text = document.report(open_source(folder / "run"))
    rows = perfcore.open_run(folder / "run").rows

    assert f"{rows:,} rows of 324 configurations" in text
    assert "perfcore run" in text


def test_what_cannot_be_drawn_is_named_with_its_remedy():
    text = document.report(
        open_source({"axes": {"model": "llama-3.1-8b", "device": "b200", "batch": [1, 8]}})
    )
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
    text = document.report(open_source({"axes": axes, "what_if": what_if}))

    for name, value, column in (
        ("carbon_intensity", "100", "economics_carbon_intensity_g_per_kwh"),
        ("lifetime", "94,608,000", "economics_lifetime_s"),
        ("purchase", "on-demand, owned", "economics_purchase"),
    ):
        row = f'<th scope="row">{name}</th><td>{value}</td><td>what-if {column}</td>'
        assert text.count(row) == 1


def test_nothing_that_runs_is_an_error():
    source = open_source({"axes": {"model": "llama-3.1-405b", "device": "rtx-4090"}})

    with pytest.raises(InputError, match="nothing runs"):
        document.report(source)


# Safe, offline, small


def test_no_string_of_the_user_becomes_markup(seen):
    assert seen.named("img") == []
    assert seen.named("b") == []
    assert len(seen.named("script")) == 3
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


def test_it_stays_small_for_a_large_sweep():
    axes = {
        "model": ["llama-3.1-8b"],
        "device": ["h100-sxm", "h200-sxm", "b200", "mi300x", "gaudi3", "l40s"],
        "weight_format": ["bf16", "fp8", "int8", "int4-g128", "nvfp4", "mxfp4"],
        "batch": {"log": [1, 512], "n": 40},
        "input_len": {"log": [128, 65536], "n": 100},
    }
    what_if = {
        "device.memory_bandwidth": {"scale": {"linear": [1, 4], "n": 13}},
        "economics.utilization": {"linear": [0.1, 1], "n": 3},
    }
    source = open_source({"axes": axes, "what_if": what_if})

    assert len(document.report(source).encode()) < LARGEST


# For everyone


def test_it_can_be_read_without_seeing_it(seen):
    levels = [int(tag[1]) for tag, _ in seen.elements if re.fullmatch(r"h[1-6]", tag)]
    ids = [attributes["id"] for _, attributes in seen.elements if "id" in attributes]
    charts = [a for a in seen.named("div") if a.get("class") == "chart"]

    assert seen.named("html") == [{"lang": "en"}]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert len(seen.named("main")) == len(seen.named("header")) == len(seen.named("nav")) == 1
    assert len(set(ids)) == len(ids)
    assert seen.named("a")[0] == {"class": "skip", "href": "#main"}
    assert all(a["href"][1:] in ids for a in seen.named("a"))
    assert charts
    assert all(a["role"] == "img" and len(a["aria-label"]) > 40 for a in charts)
    assert all(a["aria-labelledby"] in ids for a in seen.named("section"))
    assert len(seen.named("caption")) == len(seen.named("table"))
    assert {a["scope"] for a in seen.named("th")} == {"col", "row"}


def test_every_control_takes_the_keyboard(seen):
    for attributes in seen.named("button"):
        assert attributes["type"] == "button"
        assert attributes["aria-pressed"] == "true"
    for attributes in seen.named("div"):
        if attributes.get("class") == "scroll":
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]


def test_every_picture_has_its_numbers_as_a_table(seen):
    figures = len(seen.named("figure"))

    assert figures == len(KINDS)
    assert sum("Numbers of this picture" in text for text in seen.text["summary"]) == figures


# In a browser


def browse(path, *options):
    """Return what a headless browser prints of a page, and what its console says."""
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=10000"),
            *(f"--user-data-dir={path.parent / 'browser'}", "--enable-logging=stderr"),
            *options,
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
PROBE = """<script>
window.addEventListener("load", () => setTimeout(async () => {
  const said = document.createElement("pre");
  const figure = document.querySelector("#pareto figure");
  const count = () => figure.querySelectorAll(".mark-symbol path").length;
  const before = count();
  figure.querySelector(".legend button").click();
  await new Promise((done) => setTimeout(done, 1500));
  said.id = "said";
  said.textContent = JSON.stringify({
    before, after: count(), title: document.title, width: window.innerWidth,
    wide: document.documentElement.scrollWidth,
    pressed: figure.querySelector(".legend button").getAttribute("aria-pressed"),
    drawn: document.querySelectorAll("figure[data-drawn=yes]").length,
    outside: performance.getEntriesByType("resource").length,
  });
  document.body.append(said);
}, 4000));
</script>"""


def probe(page):
    """Return a copy of a page that presses a button and says what became of it."""
    probed = page.with_name("probed.html")
    before, _, after = page.read_text("utf-8").rpartition("</body>")
    probed.write_text(f"{before}{PROBE}</body>{after}", "utf-8")
    return probed


@needs_chromium
def test_a_browser_draws_it_without_complaint(page):
    probed = probe(page)

    dom, console = browse(probed, "--dump-dom", "--window-size=1280,900")
    said = json.loads(
        re.search(r'<pre id="said">(.*?)</pre>', dom)[1]
        .replace("&amp;", "&")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
    )
    assert console == []
    assert said["drawn"] == len(KINDS)
    assert said["title"] == "small <b>&amp; bold</b>"  # nobody else's script has run
    assert 0 < said["after"] < said["before"]
    assert said["pressed"] == "false"
    assert said["outside"] == 0
    assert said["wide"] <= said["width"]


@needs_chromium
def test_it_fits_a_phone(page):
    """In a frame of 390 pixels, as a browser's window does not get that narrow."""
    framed = page.with_name("framed.html")
    probe(page)
    framed.write_text(
        '<body style="margin:0"><iframe style="border:0;width:390px;height:9000px" '
        'src="probed.html"></iframe><script>window.addEventListener("load",()=>setTimeout(()=>{'
        'const d=document.querySelector("iframe").contentDocument.documentElement;'
        "document.body.dataset.wide=d.scrollWidth},6000))</script>"
    )

    dom, console = browse(framed, "--dump-dom", "--allow-file-access-from-files")
    assert console == []
    assert 'data-wide="390"' in dom


# What it refuses


@pytest.mark.parametrize("output", ["report.pdf", "report", "missing/report.html"])
def test_outputs_are_checked_before_the_work(folder, output):
    result = CliRunner().invoke(
        program, ["report", str(folder / "small.toml"), "-o", str(folder / output)]
    )

    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: --output: ")


def test_without_the_library_one_line_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    result = CliRunner().invoke(
        program, ["report", str(folder / "small.toml"), "-o", str(folder / "no.html")]
    )

    assert result.exit_code == 2
    assert "pip install 'perfcore[plot]'" in result.stderr
    assert not (folder / "no.html").exists()
