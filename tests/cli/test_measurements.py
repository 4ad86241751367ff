"""The command measurements, and its page."""

import json
from pathlib import Path

import pytest
from accuracy.importing.samples import LLAMA, PROMPT, SERVE
from click.testing import CliRunner
from paths import ROOT

from perfcore.accuracy.importing import SETTABLE, read_results
from perfcore.accuracy.table import COLUMNS, METRICS, MODES, read_measurements
from perfcore.cli import program
from perfcore.cli.measurements import MEANINGS

DOCS = (ROOT / "docs" / "measurements.md").read_text("utf-8")


@pytest.fixture
def save(tmp_path):
    def write(*documents, name="results.json"):
        path = tmp_path / name
        path.write_text("\n".join(json.dumps(document) for document in documents))
        return str(path)

    return write


def run(*arguments):
    return CliRunner().invoke(program, ["measurements", *map(str, arguments)])


def refused(*arguments):
    result = run(*arguments)
    lines = result.stderr.splitlines()
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert lines
    assert all(line.startswith("error: ") for line in lines)
    return [line.removeprefix("error: ") for line in lines]


# the commands


def test_import_writes_rows_and_says_what_is_next(save, tmp_path):
    path, out = save([LLAMA, PROMPT, LLAMA | {"n_prompt": 512}]), tmp_path / "own rows.csv"
    result = run("import", path, "-o", out)

    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == f"wrote 2 rows into {out}"
    assert "  prefill_tokens_per_s  1" in lines
    assert "one rate for prompt and answer together (pg)" in result.stdout
    assert lines[-2:] == [
        f"  perfcore validate --measurements '{out}'",
        f"  perfcore calibrate --measurements '{out}' -o '{out.with_suffix('.toml')}'",
    ]
    assert [row.metric for row in read_measurements(out)] == ["tpot_s", "prefill_tokens_per_s"]
    assert out.read_text().splitlines()[0] == ",".join(COLUMNS)


def test_notes_are_on_stderr(save, tmp_path):
    result = run("import", save(LLAMA), "-o", tmp_path / "o.csv", "--set", "hardware=rtx-3090")

    assert result.stderr.startswith("note: ")
    assert result.stderr.count("\n") == 1


def test_assumptions_are_said(save, tmp_path):
    result = run("import", save(SERVE), "-o", tmp_path / "o.csv", "--set", "hardware=h100-sxm")

    assert "assumed by default: weight_format=bf16, tp=1" in result.stdout


def test_existing_tables_are_kept(save, tmp_path):
    path, out = save(LLAMA), tmp_path / "own.csv"
    out.write_text("precious")
    (line,) = refused("import", path, "-o", out)

    assert "--append" in line
    assert "--force" in line
    assert out.read_text() == "precious"
    assert refused("import", path, "-o", out, "--append")  # it is no table
    assert out.read_text() == "precious"
    assert run("import", path, "-o", out, "--force").exit_code == 0
    assert len(read_measurements(out)) == 1


def test_append_adds_what_is_not_there(save, tmp_path):
    out = tmp_path / "own.csv"
    assert run("import", save(LLAMA), "-o", out, "--append").stdout.startswith("wrote 1 row into")
    again = run("import", save([LLAMA, PROMPT]), "-o", out, "--append")

    assert again.stdout.startswith("added 1 row to")
    assert "rows already in the table" in again.stdout
    assert [row.metric for row in read_measurements(out)] == ["tpot_s", "prefill_tokens_per_s"]


def test_row_ids_are_those_of_the_content(save):
    first, second = (read_results([save([LLAMA, PROMPT])]).rows for _ in range(2))

    assert [row.row_id for row in first] == [row.row_id for row in second]
    assert len({row.row_id for row in first}) == 2
    assert all(row.row_id.startswith("m") for row in first)


@pytest.mark.parametrize("more", [[], ["--force"], ["--append"]])
def test_a_file_that_is_read_is_not_written(save, more):
    path = save(LLAMA)

    assert "name another" in refused("import", path, "-o", path, *more)[0]
    assert json.loads(Path(path).read_text()) == LLAMA


def test_nothing_is_written_after_a_fault(save, tmp_path):
    out = tmp_path / "own.csv"
    good, bad = save(LLAMA), save(SERVE, name="serve.json")
    lines = refused("import", good, bad, tmp_path / "missing.json", "-o", out)

    assert len(lines) == 2
    assert not out.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json", "serve.json"]


def test_outputs_that_the_system_refuses(save, tmp_path):
    path = save(LLAMA)

    assert "is a directory" in refused("import", path, "-o", tmp_path)[0]
    assert "create it first" in refused("import", path, "-o", tmp_path / "missing" / "own.csv")[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import"], "missing argument"),
        (["import", "x.json"], "missing option"),
        (["import", "x.json", "-o", "y.csv", "--append", "--force"], "exclude each other"),
        (["improt"], "no such command 'improt'"),
    ],
)
def test_usage(arguments, message):
    (line,) = refused(*arguments)

    assert message in line


def test_the_group_alone_prints_help():
    assert run().stdout == run("--help").stdout


def test_columns_are_explained():
    result = run("columns")

    assert result.exit_code == 0
    assert tuple(MEANINGS) == COLUMNS
    assert all(name in result.stdout for name in COLUMNS)


# the page


def test_page_has_the_columns():
    for name, meaning in MEANINGS.items():
        mark = "" if name in SETTABLE else " (not set)"
        assert f"| `{name}` | {meaning}{mark} |" in DOCS


def test_page_explains_metrics_and_modes():
    for name in (*METRICS, *MODES):
        assert f"`{name}`" in DOCS
