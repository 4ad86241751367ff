"""The command audit."""

import csv
import json

import pytest
from claims.files import HEADER
from click.testing import CliRunner
from paths import ROOT

from perfcore.claims.audit import audit_claim as audit
from perfcore.claims.claim import COLUMNS, read_claims
from perfcore.cli import program

SHIPPED = ROOT / "sweeps" / "claims.csv"


@pytest.fixture
def write(tmp_path):
    def written(text):
        path = tmp_path / "claims.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


def invoke(*arguments):
    result = CliRunner().invoke(program, ["audit", *map(str, arguments)])

    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


# The command


def test_table_fits_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = invoke(SHIPPED)

    assert max(map(len, text.splitlines())) <= 80
    assert "does not fit in memory (needs 318 devices)" in text
    assert "beats the physical bound (5.67 times)" in text


def test_json_has_every_figure():
    rows = json.loads(invoke(SHIPPED, "--json"))

    assert [row["claim"] for row in rows] == [claim.claim for claim in read_claims(SHIPPED)]
    assert rows == [json.loads(json.dumps(audit(c).to_dict())) for c in read_claims(SHIPPED)]
    assert rows[3]["verdicts"][1] == {
        "code": "beats-bound",
        "text": "beats the physical bound (5.67 times)",
    }


def test_csv_has_a_row_a_claim(tmp_path):
    path = tmp_path / "findings.csv"
    printed = invoke(SHIPPED, "-o", path)

    assert printed == invoke(SHIPPED)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["device"] for row in rows] == ["h100-sxm", "groq-lpu", "wse-3", "inferentia2"]
    assert float(rows[0]["bound_tpot_s"]) == audit(read_claims(SHIPPED)[0]).bound_tpot_s
    assert rows[0]["fit_devices"] == ""
    assert rows[1]["fit_devices"] == "354"


def test_claims_are_not_overwritten(write):
    path = write(f"{HEADER}\nllama-3-8b,h100-sxm,1,6\n")
    before = path.read_bytes()
    result = CliRunner().invoke(program, ["audit", str(path), "-o", str(path)])

    assert result.exit_code == 2
    assert "is also an input file; name another" in result.stderr
    assert path.read_bytes() == before


def test_two_formats_exclude_each_other():
    result = CliRunner().invoke(program, ["audit", str(SHIPPED), "--json", "--markdown"])

    assert result.exit_code == 2
    assert "exclude each other" in result.stderr


def test_bars_in_names_do_not_break_the_markdown(write):
    path = write(f"claim,{HEADER}\na|b,llama-3-8b,h100-sxm,1,6\n")

    assert "| a\\|b | 6 |" in invoke(path, "--markdown")


# The file


def test_a_faulty_file_ends_with_2_and_one_line_a_fault(write):
    path = write(f"{HEADER}\nllama-3-8,h100,0,6\n")
    result = CliRunner().invoke(program, ["audit", str(path)])

    assert result.exit_code == 2
    assert result.stdout == ""
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["error", "error"]


def test_help_names_every_column():
    text = " ".join(invoke("--help").split())

    assert [column for column in COLUMNS if column not in text] == []
