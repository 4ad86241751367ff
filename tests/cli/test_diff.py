"""The command diff."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from diffing.sweeps import CHIP, OWN

import perfcore
from perfcore.cli import program


def invoke(*arguments, code=0):
    result = CliRunner().invoke(program, ["diff", *map(str, arguments)])

    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def own(tmp_path):
    (tmp_path / "sweep.toml").write_text(OWN)

    def run(name, bandwidth="3 TB/s", source="me"):
        (tmp_path / "chip.toml").write_text(CHIP.format(bandwidth=bandwidth, source=source))
        return perfcore.sweep(tmp_path / "sweep.toml", tmp_path / name).path

    return run


def test_metrics_are_chosen(own):
    old, new = own("old"), own("new", "2 TB/s")
    found = json.loads(invoke(old, new, "--metric", "status", "--json").stdout)
    assert found["equal"]

    found = json.loads(invoke(old, new, "--metric", "mbu", "--json", code=1).stdout)
    assert list(found["metrics"]) == ["mbu"]
    assert invoke(old, new, "--tolerance", "1", "--json").stdout


def test_a_run_is_held_against_what_its_file_says_now(own, tmp_path):
    old = own("old")
    assert "equal" in invoke(old, tmp_path / "sweep.toml").stdout

    own("other", "2 TB/s")
    assert "memory_bandwidth" in invoke(old, tmp_path / "sweep.toml", code=1).stdout
    again = invoke(old, tmp_path / "sweep.toml", "--set", "axes.device=h100-sxm", code=1).stdout
    assert "only before  2 rows: 2 with values that the other's axes lack" in again


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["old", "missing"], "missing: no such directory; name a run's directory or a sweep file"),
        (["old", "missing.toml"], "missing.toml: no such file"),
        (["old", "empty"], "no manifest.json here"),
        (["old", "old", "--metric", "tpot"], "--metric: 'tpot' is not a result of both; did you"),
        (["old", "old", "--set", "axes.batch=1"], "--set needs a sweep file"),
        (["old"], "missing argument 'RUN2'"),
    ],
)
def test_faults_are_one_line(own, tmp_path, monkeypatch, arguments, message):
    own("old")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments, code=2)

    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_run_without_files_is_a_fault(own):
    old, new = own("old"), own("new")
    for file in (new / "data").iterdir():
        file.unlink()

    assert "run the sweep again" in invoke(old, new, code=2).stderr


def test_duckdb_is_named_when_it_is_missing(own, monkeypatch):
    old = own("old")
    monkeypatch.setitem(sys.modules, "duckdb", None)

    assert "pip install duckdb" in invoke(old, old, code=2).stderr


def test_nothing_is_left_behind(own, tmp_path, monkeypatch):
    old, new = own("old"), own("new", "2 TB/s")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    Path(tmp_path / "scratch").mkdir()
    invoke(old, new, code=1)

    assert list((tmp_path / "scratch").iterdir()) == []
