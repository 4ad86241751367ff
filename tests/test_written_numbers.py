"""Numbers that people wrote into the text of a page: a test reads them, or they carry a stamp.

Results of the model in the text of a page are out of date once its constants change. Such a page
ends with a stamp, the date on which its numbers were read again and the fingerprint of the
constants of that day. If this test fails, read the numbers of the page again, correct them, and
write the stamp that the test names.
"""

import hashlib
import re
from datetime import UTC, date, datetime

import pytest
from paths import ROOT

from perfcore.catalog import load_engine, names

STAMP = re.compile(
    r"^\*Numbers in the text: (?P<date>\d{4}-\d\d-\d\d), constants (?P<hex>\w+)\.\*$"
)
STAMPED = {  # results of the model in the text
    "docs/accuracy.md",
    "docs/physics.md",
    "docs/traffic.md",
    "docs/howto/answer-from-a-trace.md",
    "docs/howto/pair-machines.md",
    "docs/howto/simulate-traffic.md",
}
READ = {  # and the test that reads the numbers in the text
    "README.md": "tests/test_written_numbers.py",
    "docs/claims.md": "tests/claims/test_audit.py",
    "sweeps/README.md": "tests/test_sweeps.py",
}
MEASURED = {  # times of programs, which have a date
    "docs/clusters.md",
    "docs/howto/explore.md",
    "docs/howto/sweep-traffic.md",
    "docs/large-searches.md",
    "docs/performance.md",
}
NO_RESULTS = {  # limits, settings, and what questions ask for
    "docs/catalogue/engines.md",
    "docs/analysis.md",
    "docs/importing.md",
    "docs/measurements.md",
    "docs/questions.md",
    "docs/tutorial.md",
    "docs/howto/choose-parquet-settings.md",
    "docs/howto/compare-quantisation.md",
    "docs/howto/limits.md",
    "docs/howto/own-or-rent.md",
    "docs/howto/read-a-card.md",
    "docs/howto/size-a-fleet.md",
    "docs/howto/state-the-software.md",
    "docs/howto/trust-a-benchmark.md",
    "docs/howto/validate-my-benchmark.md",
}
CODE = re.compile(r"```.*?```|<!-- (?:table|answer) .*?<!-- end.*?-->|`[^`]*`", re.DOTALL)
UNITS = "ms|%|s|us|µs|J|W|USD|tokens/s|times|GB|MB|x"
NUMBER = re.compile(rf"\d ?(?:{UNITS})(?![\w/])")
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "sweeps" / "README.md")
)


def page(name):
    return (ROOT / name).read_text(encoding="utf-8")


def numbers(value):
    """The numbers in a value, without its text: sources and notes may be rewritten."""
    if isinstance(value, dict):
        found = {key: numbers(item) for key, item in value.items()}
        return {key: item for key, item in sorted(found.items()) if item not in (None, {}, [])}
    if isinstance(value, list | tuple):
        return [numbers(item) for item in value]
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def fingerprint():
    """The fingerprint of the constants of all engines."""
    constants = {}
    for name in names("engine"):
        entry = load_engine(name).model_dump(mode="json")
        parts = ("constants", "factors", "class_factors", "measured", "kernels", "intervals")
        constants[name] = numbers({part: entry[part] for part in parts})
    return hashlib.sha256(repr(constants).encode()).hexdigest()[:12]


@pytest.mark.parametrize("name", PAGES)
def test_every_page_with_numbers_says_how_they_stay_true(name):
    known = [kind for kind in (STAMPED, READ, MEASURED, NO_RESULTS) if name in kind]

    assert len(known) <= 1
    if NUMBER.search(CODE.sub("", page(name))):
        assert known, (
            f"{name} has numbers in its text: stamp them, or name the test that reads them"
        )


def test_pages_and_tests_are_there():
    assert {*STAMPED, *READ, *MEASURED, *NO_RESULTS} <= {*PAGES}
    assert all((ROOT / test).exists() for test in READ.values())


@pytest.mark.parametrize("name", sorted(STAMPED))
def test_numbers_are_of_todays_constants(name):
    stamp = STAMP.search(page(name).splitlines()[-1])
    now = f"*Numbers in the text: {datetime.now(UTC).date()}, constants {fingerprint()}.*"

    assert stamp, f"{name}: read its numbers again, then end it with {now}"
    assert stamp["hex"] == fingerprint(), f"{name}: read its numbers again, then end it with {now}"
    assert date.fromisoformat(stamp["date"])


@pytest.mark.parametrize("name", sorted(MEASURED))
def test_what_was_measured_has_a_date(name):
    assert re.search(r"\b20\d\d-\d\d-\d\d\b", page(name)), f"{name}: say when it was measured"


def test_text_does_not_count():
    entry = {"value": 1.5, "source": "a page", "parts": [{"launch": 2, "note": "b"}], "fit": True}

    assert numbers(entry) == {"parts": [{"launch": 2}], "value": 1.5}
    assert len(fingerprint()) == 12


# README


def medians(marker, places):
    """The medians in a table of README, of all metrics."""
    table = re.search(rf"<!-- table {marker} -->\n(.*?)\n<!-- end", page("README.md"), re.DOTALL)[1]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    return [int(row[place]) for row in rows for place in places if row[place] != "-"]


def test_errors_in_the_text_of_readme_are_those_of_its_tables():
    fitted, strangers = medians("metrics", [2]), medians("strangers", [2, 5, 8])

    assert f"median errors are {min(fitted)} to {max(fitted)} % on what" in page("README.md")
    assert f"and {min(strangers)} to {max(strangers)} % on what" in page("README.md")
