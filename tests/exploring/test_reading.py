"""Files that a reader opens on a page: the rows of the run, or a sentence on what is wrong."""

import json
import math

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import perfcore
from exploring.pressing import choose, text
from exploring.test_page import told


@pytest.fixture(scope="module")
def table(folder):
    return pq.read_table(folder / "run" / "data")


@pytest.fixture(scope="module")
def opened(browser, page):
    """Return a function that opens files on a page without rows, and says what the page says."""

    def opens(*paths):
        browser.open(page.as_uri())
        found = browser.ask("DOM.getDocument")["root"]["nodeId"]
        node = browser.ask("DOM.querySelector", nodeId=found, selector="#files")["nodeId"]
        browser.ask("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])
        browser.run(
            "new Promise((done) => { const look = () => document.querySelector('#opened')"
            ".textContent.match(/\\.$/) ? done() : setTimeout(look, 20); look(); })"
        )
        browser.settle()
        assert browser.console == []
        return text(browser, "#opened")

    return opens


def rows_of(browser):
    return json.loads(
        browser.run(
            "JSON.stringify(rowsShown().map((row) => ({ ...valuesOf(row), ...Object.fromEntries("
            "Object.entries(rows.metrics).map(([name, column]) => [name, column[row]])) })))"
        )
    )


def check(browser, table):
    """Compare the rows of a page with those of a table."""
    expected = [row for row in table.to_pylist() if row["status"] == "ok"]
    found = rows_of(browser)

    assert len(found) == len(expected) > 0
    for mine, theirs in zip(found, expected, strict=True):
        for name in theirs:
            if isinstance(theirs[name], str):
                assert name == "status" or mine[name] == theirs[name]
            else:
                assert math.isclose(mine[name], theirs[name], rel_tol=1e-6), name


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["output.profile=compatible"],
        ["output.profile=small"],
        ["output.compression=none"],
        ["output.dtype=float64", "output.significant_bits=53"],
        ["output.keep_infeasible=true", "axes.device=['h100-sxm','rtx-4090']"],
    ],
)
def test_runs_in_the_profiles_of_perfcore(browser, opened, folder, tmp_path, settings):
    perfcore.sweep(folder / "small.toml", tmp_path / "run", overrides=settings)
    said = opened(*sorted((tmp_path / "run" / "data").glob("*.parquet")))

    assert "part-00000.parquet: All " in said
    check(browser, pq.read_table(tmp_path / "run" / "data"))


@pytest.mark.parametrize(
    "settings",
    [
        {"compression": "snappy"},  # as pandas and DuckDB write
        {"compression": "lz4", "data_page_version": "2.0"},
        {"compression": "zstd", "data_page_version": "2.0"},
        {"compression": "snappy", "data_page_version": "2.0", "data_page_size": 500},
        {"compression": "none", "use_dictionary": False},
        {"compression": "snappy", "use_dictionary": True, "row_group_size": 17},
    ],
)
def test_parquet_of_other_writers(browser, opened, table, tmp_path, settings):
    nullable = pa.Table.from_pylist(table.to_pylist())
    pq.write_table(nullable, tmp_path / "rows.parquet", **settings)
    opened(tmp_path / "rows.parquet")

    check(browser, table)


@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
def test_files_that_duckdb_writes(browser, opened, table, tmp_path, form):
    with duckdb.connect() as connection:
        connection.register("rows", table)
        connection.sql(f"COPY rows TO '{tmp_path}/rows.{form}'")
    opened(tmp_path / f"rows.{form}")

    check(browser, table)


def test_parts_of_a_run_are_opened_together(browser, opened, table, tmp_path):
    for part, (start, length) in enumerate([(0, 30), (30, table.num_rows)]):
        pq.write_table(
            table.slice(start, length), tmp_path / f"part-{part}.parquet", compression="lz4"
        )
    opened(tmp_path / "part-0.parquet", tmp_path / "part-1.parquet")

    check(browser, table)


def test_values_that_are_absent_are_no_points(browser, opened, table, tmp_path):
    rows = table.to_pylist()
    rows[3]["tpot_s"] = None
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "holes.parquet", compression="snappy")
    opened(tmp_path / "holes.parquet")

    assert browser.run("dotsDrawn.length") == table.num_rows - 1


def test_csv_with_quotes(browser, opened, table, tmp_path):
    flat = pa.Table.from_pylist(table.to_pylist())
    pyarrow.csv.write_csv(flat, tmp_path / "rows.csv")
    opened(tmp_path / "rows.csv")

    check(browser, table)


@pytest.mark.parametrize("form", ["list", "lines", "columns", "rows"])
def test_json_in_its_shapes(browser, opened, table, tmp_path, form):
    rows = table.to_pylist()
    shapes = {
        "list": lambda: json.dumps(rows),
        "lines": lambda: "\n".join(map(json.dumps, rows)),
        "columns": lambda: json.dumps(
            {name: {str(n): row[name] for n, row in enumerate(rows)} for name in rows[0]}
        ),
        "rows": lambda: json.dumps({"rows": rows}),
    }
    (tmp_path / "rows.json").write_text(shapes[form]())
    opened(tmp_path / "rows.json")

    check(browser, table)


def test_opened_rows_have_commands_conditions_and_colours(browser, opened, folder):
    opened(folder / "run" / "data" / "part-00000.parquet")
    command, tpot = browser.run(
        "{ const row = rowsShown().find((row) => valuesOf(row).device === 'h100-sxm'"
        " && valuesOf(row).device_memory_bandwidth_scale === 1.5);"
        " [commandOfRow(row), rows.metrics.tpot_s[row]] }"
    )
    assert math.isclose(told(command)["tpot_s"], tpot, rel_tol=1e-3)

    before = browser.run("dotsDrawn.length")
    choose(browser, "add-limits", "tpot_s<=10ms", "change")
    choose(browser, "where-device", "h100-sxm", "change")
    choose(browser, "rc", "batch", "change")
    assert 0 < browser.run("dotsDrawn.length") < before
    assert max(row["tpot_s"] for row in rows_of(browser)) <= 10e-3
    assert text(browser, "#run .legend").startswith("batch 1")


def test_a_file_is_dropped(browser, page):
    browser.open(page.as_uri())
    browser.run(
        "{ const given = new DataTransfer();"
        " given.items.add(new File(['device,tpot_s\\r\\na,0.01\\r\\n\"b, c\",0.02\\r\\n'],"
        " 'x.csv'));"
        " document.dispatchEvent(new DragEvent('drop', { dataTransfer: given })); }"
    )
    browser.run("new Promise((done) => setTimeout(done, 300))")

    assert text(browser, "#opened") == "x.csv: All 2 rows."
    assert browser.run("rows.axes.device.values") == ["a", "b, c"]


def test_many_rows_are_thinned_and_said_to_be(opened, tmp_path):
    lines = "\n".join(f"x,{number}" for number in range(60_000))
    (tmp_path / "many.csv").write_text(f"device,tpot_s\n{lines}\n")
    said = opened(tmp_path / "many.csv")

    assert said == "many.csv: 50,000 of 60,000 rows, evenly spread."


# What it refuses


def test_what_cannot_be_read_says_why_and_what_helps(browser, opened, table, tmp_path):
    pq.write_table(table, tmp_path / "gzip.parquet", compression="gzip")
    pq.write_table(table, tmp_path / "zstd.parquet", compression="zstd")
    whole = (tmp_path / "zstd.parquet").read_bytes()
    pq.write_table(table, tmp_path / "lz4.parquet", compression="lz4")
    good = bytearray((tmp_path / "lz4.parquet").read_bytes())
    (tmp_path / "cut.parquet").write_bytes(whole[:-100])
    for place in range(200, 4000, 7):
        good[place] ^= 0x5A
    (tmp_path / "bad.parquet").write_bytes(good)
    (tmp_path / "uneven.csv").write_text("a,b\n1,2\n1\n")
    (tmp_path / "bad.json").write_text("{]")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "names.csv").write_text("device\nh100-sxm\n")
    (tmp_path / "one.csv").write_text("device,tpot_s\na,1\n")
    (tmp_path / "two.csv").write_text("device,ttft_s\na,1\n")

    assert "is compressed with gzip, which this page does not read; export it as CSV" in opened(
        tmp_path / "gzip.parquet"
    )
    assert opened(tmp_path / "cut.parquet") == "cut.parquet is not a whole Parquet file."
    assert opened(tmp_path / "bad.parquet").startswith("bad.parquet ")
    assert opened(tmp_path / "uneven.csv") == (
        "uneven.csv has 1 fields in line 3, where its first line has 2."
    )
    assert opened(tmp_path / "bad.json") == "bad.json is damaged."
    assert opened(tmp_path / "notes.txt") == "notes.txt is none of .parquet, .csv and .json."
    assert opened(tmp_path / "names.csv").endswith("has no rows with metrics such as tpot_s.")
    assert opened(tmp_path / "one.csv", tmp_path / "two.csv") == (
        "two.csv has other columns than one.csv; open files of one run."
    )
    assert browser.run("document.querySelector('#run').hidden")
