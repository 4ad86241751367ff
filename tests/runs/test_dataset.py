"""What sweeps, runs and searches return: one interface, and how it shows itself."""

import html.parser
import subprocess
import sys

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import perfcore
from perfcore.columns import BY_NAME
from perfcore.runs import dataset as module
from perfcore.runs.dataset import Rows

SPEC = {
    "name": "small",
    "axes": {
        "model": ["llama-3-8b", "llama-3-70b"],
        "device": ["h100-sxm", "l40s"],
        "tp": [1, 8],
        "batch": [1, 8, 64],
    },
}
TEXT = ("model", "device", "status", "bound")


@pytest.fixture(scope="module")
def memory():
    return perfcore.sweep(SPEC)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "small"
    perfcore.sweep(SPEC, path)
    return perfcore.open_run(path)


@pytest.fixture(params=["memory", "run"])
def rows(request):
    return request.getfixturevalue(request.param)


def test_memory_and_disk_are_alike(memory, run):
    assert memory.equals(run)
    assert memory.to_pylist() == run.to_pylist()
    assert len(memory) == len(run) == memory.num_rows == run.rows == 18
    assert memory.evaluated == run.evaluated == 24
    assert memory.dropped == run.dropped == {"weights do not fit": 6}
    assert memory.schema == run.schema
    assert memory.name == run.name == "small"
    assert isinstance(memory, perfcore.Dataset)
    assert isinstance(run, perfcore.Dataset)


def test_every_tool_sees_the_same_rows(rows):
    table = rows.to_arrow()
    frames = rows.to_pandas(), rows.to_polars(), duckdb.sql("SELECT * FROM rows").df()

    assert rows.columns == rows.column_names == table.column_names
    for frame in frames:
        assert list(frame.columns) == rows.columns
        for name in rows.columns:
            assert list(frame[name]) == table[name].to_pylist()


def test_text_is_categorical(rows):
    kinds = rows.to_pandas().dtypes

    assert all(isinstance(kinds[name], pd.CategoricalDtype) for name in TEXT)
    assert object not in set(kinds)
    assert all(rows.to_polars().schema[name] == pl.Categorical for name in TEXT)


def test_some_columns(rows):
    for frame in (rows.to_pandas(["tpot_s", "model"]), rows.to_polars(["tpot_s", "model"])):
        assert list(frame.columns) == ["tpot_s", "model"]
    assert rows["tpot_s"].to_pylist() == [row["tpot_s"] for row in rows.to_pylist()]
    with pytest.raises(perfcore.InputError, match="unknown column 'tpot'; did you mean 'tpot_s'"):
        rows.to_pandas(["tpot"])
    with pytest.raises(perfcore.InputError, match="unknown column 'tpot'"):
        _ = rows["tpot"]


@pytest.mark.parametrize("view", ["run", "rows"])
def test_a_query_finds_a_data_set(rows, view):
    found = rows.sql(
        f"SELECT device, min(tpot_s) AS tpot_s, count(*) AS n FROM {view} "  # noqa: S608
        "GROUP BY device ORDER BY device"
    )
    expected = rows.to_pandas().groupby("device", observed=True)["tpot_s"].min()

    assert found.columns == ["device", "tpot_s", "n"]
    assert found["device"].to_pylist() == ["h100-sxm", "l40s"]
    assert found["tpot_s"].to_pylist() == list(expected.sort_index())
    assert sum(found["n"].to_pylist()) == len(rows)
    assert isinstance(found.to_pandas()["device"].dtype, pd.CategoricalDtype)
    assert found.schema.field("tpot_s").metadata[b"unit"] == b"s"
    assert found.schema.field("n").metadata is None
    assert len(found.sql(f"FROM {view} WHERE device = 'l40s'")) == 1
    assert found.sql("FROM run").name == found.name == "query of small"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT nothing FROM run", "nothing"),
        ("SELEKT 1", "syntax error"),
        ("FROM elsewhere", "elsewhere"),
        ("", "asks for nothing; write SELECT"),
    ],
)
def test_a_query_with_a_fault_is_one_line(rows, query, message):
    with pytest.raises(perfcore.InputError, match=message) as caught:
        rows.sql(query)

    assert str(caught.value).startswith("sql: ")
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_named(memory, monkeypatch):
    for package in ("duckdb", "pandas", "polars"):
        monkeypatch.setitem(sys.modules, package, None)
    calls = {
        "duckdb": lambda: memory.sql("FROM run"),
        "pandas": memory.to_pandas,
        "polars": memory.to_polars,
    }
    for package, call in calls.items():
        with pytest.raises(perfcore.InputError, match=f"pip install {package}$"):
            call()


def test_searches_return_data_sets():
    best = perfcore.search(SPEC, minimize="tpot_s", by=["device"])
    front = perfcore.pareto(SPEC, ["tpot_s", "cost_per_mtok_output_usd"])
    counts = perfcore.histogram(SPEC, "tpot_s")

    for found in (best, front, counts):
        assert isinstance(found, perfcore.Dataset)
        assert len(found.to_pandas()) == len(found) > 0
    assert best.evaluated == 24
    assert counts.sql("SELECT sum(rows) AS n FROM run")["n"].to_pylist() == [18]


def test_the_head_is_the_first_rows(rows):
    assert rows.head(3).to_pylist() == rows.to_pylist()[:3]
    assert len(rows.head()) == 5
    assert len(rows.head(1000)) == 18


def test_text_says_what_was_left_out_and_what_is_shared(rows):
    text = repr(rows)

    assert text.startswith("small: 18 of 24 rows, 42 columns\nleft out: 6 weights do not fit\n")
    assert "weight_format bf16" in text
    assert "llama-3-8b  h100-sxm   1      1" in text
    assert "... 13 more rows" in text
    assert max(map(len, text.splitlines())) <= 100


class Cells(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.rows, self.text = [], [], []

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 - the parser's signature
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def parsed(markup):
    cells = Cells()
    cells.feed(markup)
    cells.close()
    assert cells.open == []
    return cells


def test_a_notebook_shows_a_table_with_units(rows):
    shown = parsed(rows._repr_html_())
    names, units, *body = shown.rows

    assert names[:4] == ["model", "device", "tp", "batch"]
    for name, unit in zip(names, units, strict=True):
        assert unit == ("" if BY_NAME[name].unit == "1" else BY_NAME[name].unit)
    assert "s" in units
    assert [row[:4] for row in body] == [
        [str(row[name]) for name in names[:4]] for row in rows.head().to_pylist()
    ]
    assert "left out: 6 weights do not fit" in shown.text


def test_a_notebook_is_given_text_and_no_markup():
    table = pa.table({"<b>": ["</table>&"], "x": [1.5]})
    shown = parsed(Rows(table, "<script>")._repr_html_())

    assert shown.rows == [["<b>", "x"], ["</table>&", "1.5"]]
    assert "<script>: 1 row, 2 columns" in shown.text


def test_no_rows_show_nothing_but_words():
    empty = perfcore.search(SPEC, minimize="tpot_s", where=["tpot_s<=1ns"])

    assert repr(empty).splitlines()[0] == "small: 0 of 24 rows, 91 columns"
    assert parsed(empty._repr_html_()).rows == []
    assert len(empty.to_pandas()) == len(empty.sql("FROM run")) == 0


@given(
    st.dictionaries(
        st.text("abc<>&\"' ", min_size=1, max_size=60),
        st.lists(
            st.none() | st.floats() | st.text(max_size=5) | st.integers(0, 9),
            min_size=3,
            max_size=3,
        ),
        max_size=20,
    )
)
def test_any_table_can_be_shown(values):
    for name, cells in values.items():
        kinds = {type(cell) for cell in cells if cell is not None}
        values[name] = cells if len(kinds) <= 1 else [str(cell) for cell in cells]
    rows = Rows(pa.table(values))

    assert repr(rows)
    assert len(parsed(rows._repr_html_()).rows) in (0, 4)


def test_devices_that_are_chosen_are_no_shared_value():
    spec = {"axes": {"model": "llama-3-70b", "device": "h100-sxm", "devices": "auto"}}

    assert "tp 0" not in repr(perfcore.sweep(spec))


def test_the_module_needs_none_of_the_tools():
    code = (
        f"import sys, {module.__name__}; "
        "assert not {'duckdb', 'pandas', 'polars', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
