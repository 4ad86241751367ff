"""Names of runs that some reader takes for patterns, options or columns: all are literal."""

import shutil

import duckdb
import polars as pl
import pytest

import perfcore
from perfcore.runs.run import open_run

pytestmark = pytest.mark.slow

SPEC = {
    "name": "small",
    "axes": {"model": ["llama-3-8b"], "device": ["h100-sxm", "l40s"], "batch": [1, 8]},
    "output": {"rows_per_shard": 2},
}
NAMES = (
    "plain",
    "batch=8",
    "model=x/batch=8",
    "batch=8/batch=9",
    "a*b",
    "**",
    "*",
    "a?b",
    "[ab]",
    "a[b",
    "a]b",
    "[!a]",
    "part-*.parquet",
    "x=[1]*?",
    "~",
    "~/x",
    "~root",
    "~nobody=1",
    "a b",
    " a ",
    "it's",
    'say "a"',
    "a\\b",
    "a\\*b",
    "a%20b",
    "{a,b}",
    "a#b",
    "a;b",
    "a:b",
    "$HOME",
    "-dash",
    ".hidden",
    "_under",
    "a\tb",
    "a&b|c(d)!",
    "@x",
    "größe",
    "日本🙂",
    "data",
    "x.parquet",
)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return perfcore.sweep(SPEC, tmp_path_factory.mktemp("original") / "run")


@pytest.fixture(scope="module")
def decoy(tmp_path_factory):
    """A run in the places that patterns and an expanded ``~`` would find."""
    spec = {**SPEC, "axes": {**SPEC["axes"], "batch": [2, 4, 16]}}
    return perfcore.sweep(spec, tmp_path_factory.mktemp("decoy") / "run")


@pytest.mark.parametrize("name", NAMES)
def test_all_readers_agree(original, decoy, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("aXb", "a", "b", "ab", "xXa", "home", "home/x"):
        shutil.copytree(decoy.path, tmp_path / place, dirs_exist_ok=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    shutil.copytree(original.path, tmp_path / name, dirs_exist_ok=True)
    run = open_run(name)
    expected = original.to_arrow()
    rows, columns = expected.shape
    assert run.to_arrow().equals(expected)
    assert run.columns == expected.column_names
    assert len(run) == run.rows == rows
    assert run.sql("FROM run").to_arrow().shape == (rows, columns)
    assert run.sql("SELECT DISTINCT model, batch FROM run ORDER BY batch").to_pylist() == [
        {"model": "llama-3-8b", "batch": batch} for batch in (1, 8)
    ]
    if run.duckdb_source is None:
        assert "\\" in name
    else:
        printed = duckdb.sql(f"FROM {run.duckdb_source}")
        assert printed.columns == expected.column_names
        assert len(printed.fetchall()) == rows
    assert run.to_polars().shape == pl.DataFrame(run).shape == (rows, columns)
    found = perfcore.diff(run, original)
    assert (found.pairs, found.moved) == (rows, 0)
    assert found.only_before.rows == found.only_after.rows == 0
