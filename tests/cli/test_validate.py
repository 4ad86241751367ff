"""The command validate."""

import csv
import json

import pytest
from accuracy.measured import HEADER, ROW
from click.testing import CliRunner

from perfcore.accuracy.baselines import BASELINES
from perfcore.cli import program


@pytest.fixture
def write(tmp_path):
    def written(*lines, header=HEADER):
        path = tmp_path / "measured.csv"
        path.write_text("\n".join((header, *lines)) + "\n")
        return path

    return written


def invoke(*arguments, code=0):
    result = CliRunner().invoke(program, arguments, prog_name="perfcore")
    assert result.exit_code == code, result.output
    return result.output


def test_validate_prints_every_group_of_the_shipped_measurements():
    printed = invoke("validate")

    for source in ("argonne", "inferencex", "trtllm_perf", "ml_energy_v2"):
        assert source in printed
    assert "inside" in printed


def test_validate_in_json(write):
    path = write(ROW, ROW.replace("h100_sxm", "my-chip"))

    found = json.loads(invoke("validate", "--measurements", str(path), "--json"))

    assert set(found) == {"groups", "skipped", "suspects", "warnings", "assumed"}
    (group,) = [group for group in found["groups"] if group["rows"]]
    assert list(group)[:8] == [
        *("source", "metric", "rows", "skipped", "median_ape", "p90_ape", "bias", "coverage"),
    ]
    assert set(group["baselines"]) == set(BASELINES)
    assert sum(found["skipped"].values()) == 1


def test_validate_by_other_keys(write):
    path = write(ROW, ROW.replace("h100_sxm", "h200_sxm"))

    found = json.loads(
        invoke("validate", "--measurements", str(path), "--by", "device,engine", "--json")
    )

    assert [(g["device"], g["engine"], g["rows"]) for g in found["groups"]] == [
        ("h100-sxm", "vllm", 1),
        ("h200-sxm", "vllm", 1),
    ]


def test_validate_writes_rows(write, tmp_path):
    output = tmp_path / "rows.csv"

    invoke("validate", "--measurements", str(write(ROW)), "--rows", str(output))

    (row,) = csv.DictReader(output.read_text().splitlines())
    assert float(row["low"]) < float(row["predicted"]) < float(row["high"])
    assert row["calibration"] == "own"
    assert float(row["error"]) == pytest.approx(float(row["predicted"]) / 0.0075 - 1, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--by", "colour"], "--by: unknown key 'colour'"),
        (["--by", ""], "--by: is empty"),
        (["--measurements", "no.csv"], "no.csv: no such file"),
        (["--json", "--markdown"], "exclude each other"),
    ],
)
def test_faults_of_validate(arguments, fault):
    printed = invoke("validate", *arguments, code=2)

    assert fault in printed
    assert "Traceback" not in printed


def test_rows_that_look_wrong_are_named_and_listed(write, tmp_path):
    table = tmp_path / "scored.csv"
    path = write(ROW, ROW.replace("0.0075", "7.5"))
    printed = invoke("validate", "--measurements", str(path), "--rows", str(table))

    assert "1 row looks wrong, left out; --keep-suspect" in printed
    with table.open() as file:
        right, wrong = csv.DictReader(file)
    assert right["skipped"] == ""
    assert "milliseconds" in wrong["skipped"]


def test_another_engine_predicts_every_row(write):
    path = write(ROW)
    found = [
        json.loads(invoke("validate", "--measurements", str(path), "--json", *engine))["groups"][0]
        for engine in ((), ("--engine", "ideal"))
    ]

    assert found[1]["median_ape"] != found[0]["median_ape"]
    assert "unknown engine" in invoke("validate", "--engine", "nonsense", code=2)
