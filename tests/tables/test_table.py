"""One table, four renderers: the same cells in each, aligned, escaped and within the width."""

import ast
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from paths import ROOT

from perfcore.cli import program
from perfcore.tables import (
    Column,
    Row,
    Table,
    facts,
    html,
    left,
    markdown,
    plain_text,
    right,
    terminal_text,
)

COLUMNS = (*left("device"), Column("memory", "GB", align="right"), Column("share", picture=True))
SMALL = Table(
    COLUMNS,
    [Row(("h100|sxm", "80", "##"), "good"), Row(("<b200>", "192", "####"), note="two dies")],
    caption="Memory",
    footnotes=("of a device",),
    notes_title="why",
)
CODES = re.compile(r"\x1b\[[0-9;]*m")


class Cells(HTMLParser):
    """Rows of a table, each a list of (tag, attributes, text)."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.open = [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1][2] += data


def test_plain_text():
    assert plain_text(SMALL).splitlines() == [
        "Memory",
        "device    memory  share",
        "              GB",
        "h100|sxm      80  ##",
        "<b200>       192  ####",
        "  two dies",
        "of a device",
    ]


def test_terminal_text_is_the_same_with_styles():
    text = terminal_text(SMALL)

    assert CODES.sub("", text) == plain_text(SMALL)
    assert "\x1b[1mdevice\x1b[0m    \x1b[1mmemory\x1b[0m" in text
    assert "\x1b[1;32mh100|sxm\x1b[0m" in text
    assert "\x1b[2mtwo dies\x1b[0m" in text


def test_markdown():
    assert markdown(SMALL).splitlines() == [
        "Memory",
        "",
        "| device | memory, GB | why |",
        "| --- | ---: | --- |",
        r"| **h100\|sxm** | **80** |  |",
        r"| \<b200> | 192 | two dies |",
        "",
        "of a device",
    ]
    assert "| `x` |" in markdown(Table.of(left("a"), [["`x`"]]), str)


def test_html():
    text = html(SMALL)
    names, units, first, second = Cells(text).rows

    assert [cell[2] for cell in names] == ["device", "memory", "why"]
    assert [cell[2] for cell in units] == ["", "GB", ""]
    assert [cell[2] for cell in first] == ["h100|sxm", "80", ""]
    assert [cell[2] for cell in second] == ["<b200>", "192", "two dies"]
    assert first[0][:2] == ["th", {"scope": "row"}]
    assert first[1][:2] == ["td", {"style": "text-align: right"}]
    assert "<caption>Memory</caption>" in text
    assert '<p class="note">of a device</p>' in text


def test_html_for_places_without_a_style_sheet():
    rows = Cells(html(SMALL, style="padding: 0")).rows

    assert rows[2][0][1]["style"] == "text-align: left; padding: 0"
    assert rows[2][1][1]["style"] == "text-align: right; padding: 0"


def test_names_and_texts_are_a_table_without_a_header():
    table = facts([("name", "a text of some length"), ("x", "y")])

    assert plain_text(table, 19).splitlines() == [
        "name  a text of",
        "      some length",
        "x     y",
    ]


def test_numbers_and_bars_stay_whole_while_text_can_be_wrapped():
    columns = (*left("why"), *right("time"), Column(picture=True))
    table = Table.of(columns, [("read from the memory of a device", "7.0839 ms", "#" * 10)])

    assert plain_text(table, 35).splitlines() == [
        "why                time",
        "read from     7.0839 ms  ##########",
        "the memory",
        "of a device",
    ]


@pytest.mark.parametrize("short", [True, False])
def test_notes_are_wrapped_or_one_line(short):
    note = "a note that is much longer than the line"
    lines = plain_text(
        Table(left("a"), [Row(("b",), note=note)], short_notes=short), 20
    ).splitlines()

    assert all(line.startswith("  ") for line in lines[2:])
    assert (" ".join(" ".join(lines[2:]).split()) == note) != short
    assert len(lines) == 3 if short else len(lines) > 3
    assert note in markdown(Table(left("a"), [Row(("b",), note=note)], short_notes=short))


def test_a_row_has_a_cell_a_column():
    with pytest.raises(ValueError, match="row 1 has 1 cells, the table 2 columns"):
        Table.of(left("a", "b"), [("1", "2"), ("3",)])


STYLES = st.sampled_from(["", "bold", "dim", "cyan", "good", "bad", "doubt"])
texts = st.text("ab |<>&*`$\\\"'\n", max_size=30)


@st.composite
def any_table(draw):
    count = draw(st.integers(1, 5))
    columns = draw(
        st.lists(
            st.builds(
                Column, texts, texts, st.sampled_from(["left", "right"]), st.booleans(), STYLES
            ),
            min_size=count,
            max_size=count,
        )
    )
    line = st.lists(texts, min_size=count, max_size=count)
    return Table(columns, draw(st.lists(st.builds(Row, line, STYLES, texts, STYLES), max_size=4)))


@given(any_table(), st.integers(20, 60))
def test_text_keeps_to_the_width(table, width):
    lines = plain_text(table, width).split("\n")

    assert max(map(len, lines)) <= width
    assert all(line == line.rstrip() for line in lines)
    assert CODES.sub("", terminal_text(table, width)) == plain_text(table, width)


@given(any_table())
def test_no_cell_breaks_a_table(table):
    bars = sum(column.picture for column in table.columns)
    noted = any(row.note for row in table.rows)
    count = len(table.columns) - bars + noted

    lines = markdown(table).splitlines()
    assert len(lines) == len(table.rows) + 2
    if count:
        assert {len(re.split(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines} == {count + 2}
    rows = Cells(html(table)).rows
    assert {len(row) for row in rows} == {count}
    assert len(rows) in (len(table.rows) + 1, len(table.rows) + 2)


def test_a_terminal_gets_bold_headers_within_its_width(monkeypatch):
    piped = CliRunner().invoke(program, ["formats"]).stdout
    code = (
        "import sys; sys.stdout.isatty = lambda: True; from perfcore.cli import program; "
        "program.main(['formats'], prog_name='perfcore')"
    )
    monkeypatch.setenv("COLUMNS", "60")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()

    assert "\x1b" not in piped
    assert max(map(len, piped.splitlines())) > 60
    assert lines[0].startswith("\x1b[1mweight")
    assert max(len(CODES.sub("", line)) for line in lines) <= 60


def test_renderers_import_nothing_but_the_standard_library():
    code = "import sys; import perfcore.tables; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"click", "numpy", "pyarrow", "numba", "pydantic", "rich"} & set(done.stdout.split())


def test_no_other_room_aligns_columns():
    """Padding, pipes and ``<table>`` are written in one place; bars are no tables."""
    own = {"ljust", "rjust"}
    for path in (ROOT / "perfcore").rglob("*.py"):
        if path.parent.name == "tables":
            continue
        tree = ast.parse(path.read_text("utf-8"))
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        said = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
        assert not used & own, path
        assert not any(isinstance(s, str) and ("<table" in s or "| ---" in s) for s in said), path
