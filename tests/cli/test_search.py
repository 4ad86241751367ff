"""The commands search, pareto and histogram."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from perfcore.cli import program
from perfcore.cli.search import _plain as plain


def invoke(*arguments):
    return CliRunner().invoke(program, ["search", *map(str, arguments)])


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(
        '[axes]\nmodel = ["llama-3.1-8b"]\ndevice = ["h100-sxm", "l40s"]\n'
        "batch = [1, 8]\ninput_len = [128]\noutput_len = [64]\n"
    )
    return path


def test_search_names_axes_that_change_nothing(spec, monkeypatch):
    monkeypatch.setattr("perfcore.searching.factoring.FEWEST", 0)
    spec.write_text(spec.read_text() + '[what_if]\n"economics.utilization" = [0.5, 0.6]\n')
    told = invoke(spec, "--minimize", "tpot_s")
    found = json.loads(invoke(spec, "--minimize", "tpot_s", "--json").stdout)

    assert "same for all  economics_utilization" in told.stdout
    assert found["idle_axes"] == ["economics_utilization"]
    assert (found["configs"], found["rows"][0]["economics_utilization"]) == (8, 0.5)


def test_command_writes_what_it_finds(spec, tmp_path):
    for suffix, read in (
        ("parquet", lambda path: pq.read_table(path).to_pylist()),
        ("csv", lambda path: pcsv.read_csv(path).to_pylist()),
        ("json", lambda path: json.loads(path.read_text())),
    ):
        path = tmp_path / f"best.{suffix}"
        result = invoke(spec, "--minimize", "tpot_s", "--by", "device", "-o", path)

        assert result.exit_code == 0, result.output
        assert [row["batch"] for row in read(path)] == [1, 1]
        assert (
            f"written  {path}" in " ".join(result.stdout.split("\n")) or "written" in result.stdout
        )


def test_command_prints_json(spec):
    found = json.loads(invoke(spec, "--maximize", "tokens_per_s_per_device", "--json").stdout)
    front = CliRunner().invoke(
        program,
        ["pareto", str(spec), "--objectives", "tpot_s,tokens_per_s_per_device:max", "--json"],
    )

    assert (found["configs"], found["feasible"]) == (4, 4)
    assert [(row["device"], row["batch"]) for row in found["rows"]] == [("h100-sxm", 8)]
    assert len(json.loads(front.stdout)["rows"]) == 2


@pytest.mark.parametrize(
    "command",
    [
        ["search", "--minimize", "tpot_s"],
        ["pareto", "--objectives", "tpot_s,tokens_per_s_per_device:max"],
    ],
)
def test_skipped_blocks_are_reported(spec, command):
    name, *arguments = command
    pruned = CliRunner().invoke(program, [name, str(spec), *arguments, "--prune"])
    found = json.loads(
        CliRunner().invoke(program, [name, str(spec), *arguments, "--prune", "--json"]).stdout
    )
    whole = json.loads(CliRunner().invoke(program, [name, str(spec), *arguments, "--json"]).stdout)

    assert "skipped by bounds of" in pruned.stdout
    assert found["rows"] == whole["rows"]
    assert set(found["pruned"]) == {"evaluated", "bounded"}
    assert "pruned" not in whole


def test_command_counts(spec, tmp_path):
    path = tmp_path / "counts.csv"
    arguments = ["histogram", str(spec), "--metric", "offload_s", "--by", "device", "-o", str(path)]
    result = CliRunner().invoke(program, arguments)

    assert result.exit_code == 0, result.output
    assert "... to 1e-30" in result.stdout
    assert path.read_text() == (
        "device,low,high,rows,share\nh100-sxm,,1e-30,2,1.0\nl40s,,1e-30,2,1.0\n"
    )
    shown = json.loads(CliRunner().invoke(program, [*arguments, "--json"]).stdout)
    assert [row["low"] for row in shown["rows"]] == [None, None]


def test_json_has_no_word_for_what_is_not_finite():
    rows = pa.table({"a": [1.0, np.inf, np.nan], "b": ["x", "y", None]})

    assert plain(rows) == [{"a": 1.0, "b": "x"}, {"a": None, "b": "y"}, {"a": None, "b": None}]


def test_counts_are_labelled_in_the_order_of_the_axes(spec):
    arguments = ["histogram", str(spec), "--metric", "offload_s", "--by", "batch,device,batch"]
    lines = CliRunner().invoke(program, arguments).stdout.splitlines()

    assert lines[0].split()[:3] == ["device", "batch", "offload_s"]
    assert lines[1].split()[:2] == ["h100-sxm", "1"]


def test_command_explains_an_empty_result(spec):
    result = invoke(spec, "--minimize", "tpot_s", "--where", "tpot_s<=1ns")

    assert result.exit_code == 0
    assert "no configuration can run and meets the conditions" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of --minimize and --maximize"),
        (["--minimize", "tpot_s", "--maximize", "mfu"], "give one of"),
        (["--minimize", "tpot"], "--minimize: unknown metric 'tpot'; did you mean 'tpot_s'?"),
        (["--minimize", "bound"], "--minimize: unknown metric 'bound'"),
        (["--minimize", "cost"], "did you mean 'cost_per_mtok_output_usd'?"),
        (["--minimize", "cost_usd"], "did you mean 'cost_per_mtok_output_usd'?"),  # of simulations
        (["--maximize", "throughput"], "did you mean 'tokens_per_s_per_device'?"),
        (["--minimize", "tpot_s", "--where", "latency<=1"], "did you mean 'e2e_latency_s'?"),
        (["--minimize", "happiness"], "e2e_latency_s, tokens_per_s_per_user"),
        (["--minimize", "tpot_s", "--by", "devise"], "--by: unknown axis 'devise'; did you mean"),
        (["--minimize", "tpot_s", "--where", "tpot_s"], "not a condition; write COLUMN<=VALUE"),
        (["--minimize", "tpot_s", "--where", "tpot<=1"], "tpot<=1: unknown metric 'tpot'"),
        (["--minimize", "tpot_s", "--where", "tpot_s<=9 ells"], "9 ells: '9 ells': 'ells' is not"),
        (["--minimize", "tpot_s", "--where", "device=h9"], "device=h9: unknown value of device"),
        (["--minimize", "tpot_s", "--where", "tpot_s=1"], "a real number, equal to few others"),
        (["--minimize", "tpot_s", "--where", "tpot_s<>1"], "not a condition; write COLUMN<=VALUE"),
        (["--minimize", "tpot_s", "--where", "tpot_s<=fast"], "tpot_s<=fast"),
        (["--minimize", "tpot_s", "--where", "device=h200-sxm"], "device=h200-sxm"),
        (["--minimize", "tpot_s", "--top", "600000"], "--top: 600,000 is not from 1 to 10,000"),
        (["--minimize", "tpot_s", "--top", "0"], "--top: 0 is not from 1 to 10,000"),
        (["--minimize", "tpot_s", "-o", "best.xlsx"], "must end in .parquet, .csv, .json"),
        (["--minimize", "tpot_s", "-o", "missing/best.csv"], "create it first"),
    ],
)
def test_faults(spec, arguments, message):
    result = invoke(spec, *arguments)

    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ("tpot_s", "name two or three different metrics"),
        ("tpot_s,tpot_s:max", "name two or three different metrics"),
        ("tpot_s,mfu:more", "write mfu:max to maximise"),
        ("tpot_s,speed", "unknown metric 'speed'"),
    ],
)
def test_faults_of_objectives(spec, objectives, message):
    result = CliRunner().invoke(program, ["pareto", str(spec), "--objectives", objectives])

    assert result.exit_code == 2
    assert message in result.stderr


# The table


def test_table_shows_what_was_asked_about(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(
        '[axes]\nmodel = "llama-3.1-8b"\ndevice = ["h100-sxm", "hbm4-6tbs", "wse-3", "rubin"]\n'
        'devices = "auto"\nbatch = [1, 16]\n'
    )
    lines = invoke(
        path, "--maximize", "tokens_per_s_per_device", "--by", "device", "--where", "tpot_s<1s"
    ).stdout.splitlines()
    place = lines[0].index("tokens_per_s_per_device")
    speeds = [float(line[place:].split()[0]) for line in lines[1:5]]

    assert "tokens_per_s_per_device" in lines[0]
    assert "tpot_s" in lines[0]
    assert "80 % interval" in lines[0]
    assert "W/device" in lines[0]
    names = {line.split("  ")[0] for line in lines[1:5]}
    assert names == {"h100-sxm", "hbm4-6tbs *", "wse-3", "rubin"}
    assert speeds == sorted(speeds, reverse=True)
    text = " ".join(lines)
    assert "all rows: model llama-3.1-8b, engine default, weight_format bf16" in text
    assert "devices paid: on-demand" in text
    assert "* hypothetical: hbm4-6tbs" in text
    assert "not on the market: rubin" in text


@pytest.mark.parametrize(
    ("usual", "other"),
    [("tpot_s<=5ms", "tpot_s=<5ms"), ("batch=8", "batch==8"), ("tp>=1", "tp=>1")],
)
def test_signs_of_other_languages_are_understood(spec, usual, other):
    found, same = (
        invoke(spec, "--minimize", "tpot_s", "--json", "--where", condition).stdout
        for condition in (usual, other)
    )

    assert json.loads(found)["rows"] == json.loads(same)["rows"]


def test_ways_of_paying_have_the_names_of_their_economics(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(
        '[axes]\nmodel = "llama-3.1-8b"\ndevice = "h100-sxm"\neconomics = ["default", "owned"]\n'
    )
    text = invoke(path, "--minimize", "cost_per_mtok_output_usd", "--by", "economics").stdout

    assert "devices paid: on-demand (default), owned (owned)" in text


def test_table_shows_every_group(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(
        '[axes]\nmodel = "llama-3.1-8b"\ndevice = "h100-sxm"\nbatch = {linear=[1,25], n=25}\n'
    )

    text = invoke(path, "--minimize", "tpot_s", "--by", "batch").stdout

    assert "more; write them" not in text
    assert len(text.split("\n\n")[0].splitlines()) == 26


def test_formats_that_nobody_has_measured_are_named(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(
        '[axes]\nmodel = ["llama-3.1-8b"]\ndevice = ["h100-sxm"]\n'
        'weight_format = ["bf16", "q4_k_m", "q2_k", "int4-g128"]\n'
    )
    asked = ("--minimize", "tpot_s", "--by", "weight_format")
    told = "no open measurement of what int4-g128 loses"

    found = invoke(path, *asked, "--where", "perplexity_increase<=0.05").stdout
    rows = found.split("\n\n")[0].splitlines()[1:]
    assert {row.split()[0] for row in rows} == {"bf16", "q4_k_m"}
    assert told in found
    assert told in invoke(path, "--minimize", "perplexity_increase").stdout
    assert told not in invoke(path, *asked).stdout
