"""The site builds without a warning, needs no network, and has everything that there is to know."""

import fcntl
import html
import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest
from paths import ROOT

import perfcore
from perfcore.catalog import loader
from perfcore.cli import program
from perfcore.columns import COLUMNS

pytestmark = pytest.mark.slow

for package in ("sphinx", "myst_parser", "furo", "math_core"):
    pytest.importorskip(package)

DOCS = ROOT / "docs"
CATALOGUE = {
    "device": "catalogue/devices.html",
    "model": "catalogue/models.html",
    "weight_format": "catalogue/formats.html",
    "kv_format": "catalogue/formats.html",
    "engine": "catalogue/engines.html",
    "host": "catalogue/devices.html",
    "economics": "catalogue/economics.html",
    "price": "catalogue/economics.html",
    "energy": "catalogue/economics.html",
}
FETCHED = re.compile(
    r"<(?:script|img|iframe|source)[^>]*\ssrc=\"([^\"]*)|<link[^>]*href=\"([^\"]*)"
)


def module():
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


reference = module()


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site, built by the documented command into another directory, once for all workers."""
    home = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        home = home.parent
    said = home / "site.txt"
    with (home / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            command = ["sphinx", "-W", "--keep-going", "-q", "-b", "html", DOCS, home / "site"]
            done = subprocess.run(
                [sys.executable, "-m", *command], capture_output=True, text=True, check=False
            )
            said.write_text(f"{done.stderr}exit code {done.returncode}", encoding="utf-8")

    assert said.read_text(encoding="utf-8") == "exit code 0"
    return home / "site"


def shown(page):
    """The text of a page, as a reader sees it."""
    source = page.read_text(encoding="utf-8")
    article = source[source.index("<article") : source.rindex("</article>")]
    return html.unescape(re.sub(r"<[^>]+>", "", article))


def test_every_page_is_built_and_filled(site):
    pages = {path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md")}
    built = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}

    assert pages <= built
    for page in site.rglob("*.html"):
        assert "<!-- generated" not in page.read_text(encoding="utf-8"), page


def test_the_first_page_leads_to_one_that_computes(site):
    assert '<a href="explore.html">' in (site / "index.html").read_text(encoding="utf-8")
    assert "function evaluate(" in (site / "explore.html").read_text(encoding="utf-8")


def test_equations_are_set(site):
    text = (DOCS / "physics.md").read_text(encoding="utf-8")
    page = (site / "physics.html").read_text(encoding="utf-8")
    fences = re.findall(r"^```math\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)

    assert len(fences) >= 20
    assert page.count('<math display="block">') == len(fences)
    assert "\\frac" not in page
    assert "\\text" not in page
    assert not re.search(r"^    \S.*=", text, re.MULTILINE)  # none is left as code


def test_nothing_is_fetched_from_elsewhere(site):
    for page in site.rglob("*.html"):
        for addresses in FETCHED.findall(page.read_text(encoding="utf-8")):
            assert not any(re.match(r"(?:\w+:)?//", address) for address in addresses), page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//|@import", style.read_text("utf-8")), style


def test_nomenclature_has_every_column_and_field(site):
    page = shown(site / "nomenclature.html")
    text = plain(page)

    for column in COLUMNS:
        assert re.search(rf"^{column.name}$", page, re.MULTILINE), column.name
        assert plain(column.meaning) in text, column.name
    for record in reference.RECORDS.values():
        for field in record._fields:
            assert re.search(rf"^{field}$", page, re.MULTILINE), field


@pytest.mark.parametrize("kind", CATALOGUE)
def test_catalogue_pages_have_every_entry_and_its_source(site, kind):
    page = plain(shown(site / CATALOGUE[kind]))

    for name in loader.names(kind):
        entry = loader.load(kind, name)
        assert plain(name) in page
        assert plain(entry.source) in page, name
        for field, why in entry.estimated.items():
            assert plain(f"{field}: {why}") in page, (name, field)


def plain(text):
    """Text without blanks and what typography changes."""
    return re.sub(r"[^\w=/.,]+", "", re.sub(r"\.{3}|…", "", text))


def test_marks_say_what_to_beware_of():
    device = loader.load_device("corsair")
    hypothetical = loader.load_device("hbm4-6tbs")

    assert {"estimated", "claimed"} <= set(reference.marks(device))
    assert "second-hand" in reference.marks(loader.load_device("h100-sxm"))
    assert "estimated" not in reference.marks(loader.load_device("h100-sxm"))
    assert "hypothetical" in reference.marks(hypothetical)


def test_the_sweep_file_has_every_key(site):
    page = shown(site / "sweep-file.html")
    schema = json.loads((ROOT / "perfcore" / "sweep.schema.json").read_text("utf-8"))["properties"]
    keys = [
        key
        for name in ("axes", "traffic", "sample", "output")
        for key in schema[name]["properties"]
    ]

    assert [key for key in keys if key not in page] == []
    assert [name for name in schema if name not in page] == []
    assert "whole numbers, 1 to 65536" in page


def test_the_interface_is_in_reading_order(site):
    listed = [name for members in reference.API.values() for name in members]
    page = (site / "api.html").read_text(encoding="utf-8")
    places = [page.index(f'id="perfcore.{name}"') for name in listed]

    assert sorted(listed) == sorted({*perfcore.__all__} - {"__version__", "draw"})  # once each
    assert places == sorted(places)
    assert listed[0] == "evaluate"


def test_reference_pages_have_every_name(site):
    python, commands = shown(site / "api.html"), shown(site / "commands.html")

    for name in set(perfcore.__all__) - {"__version__"}:
        assert f"perfcore.{name}" in python
    assert "perfcore.testing.check_laws" in python
    for name in program.list_commands(None):
        assert f"perfcore {name}" in commands


def test_text_stays_as_it_is():
    text = "a_b *c* [d](e) 1|2 <f> `g_h` $x$ see https://example.test/a_b, and ~"

    assert reference.escaped(text) == (
        r"a\_b \*c\* \[d\](e) 1\|2 \<f\> `g_h` \$x\$ see <https://example.test/a_b>, and \~"
    )


def test_a_page_that_asks_for_what_is_not_there_fails():
    with pytest.raises(KeyError, match="nonsense"):
        reference.filled("<!-- generated nonsense -->")


def test_everything_generated_has_a_place():
    asked = [
        name
        for page in DOCS.rglob("*.md")
        for name in reference.MARKER.findall(page.read_text(encoding="utf-8"))
    ]

    assert sorted(asked) == sorted(reference.GENERATED)


def test_equations_of_every_section_have_a_source():
    text = (DOCS / "physics.md").read_text(encoding="utf-8")
    numbers = {int(number) for number in re.findall(r"^## (\d+)\.", text, re.MULTILINE)}
    rows = re.findall(
        r"^\| ([\d, ]+) \| [^|]+ \| ([^|]+) \|$", text.split("## 15.")[1], re.MULTILINE
    )
    sourced = {int(number) for section, _ in rows for number in section.split(",")}

    assert sourced == numbers - {13, 14, 15}  # what is left out, names, and the sources themselves
    assert all(source.strip() for _, source in rows)
