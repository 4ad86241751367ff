"""Sources of pictures: a run and its sweep are alike."""

import json
import math

import pytest

import perfcore
from perfcore.reporting import run_source
from perfcore.reporting.kinds import gather
from perfcore.reporting.names import KINDS
from perfcore.reporting.opening import open_source
from perfcore.searching.objectives import Objective
from reporting.swept import refused


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_and_its_sweep_make_the_same_picture(folder, pictures, kind):
    drawn = gather(open_source(folder / "run"), kind)

    assert drawn.panels == pictures[kind].panels
    assert drawn.finding == pictures[kind].finding
    assert drawn.table == pictures[kind].table


def test_the_best_rows_of_a_run_are_the_best(folder, rows):
    asked = ("device", "batch")
    found = open_source(folder / "run").best(
        Objective("tpot_s"), asked, {"model": "llama-3.1-70b"}, ("tpot_s",)
    )

    wanted = {}
    for row in rows:
        if row["model"] == "llama-3.1-70b":
            key = tuple(row[name] for name in asked)
            wanted[key] = min(wanted.get(key, math.inf), row["tpot_s"])
    assert {tuple(row[name] for name in asked): row["tpot_s"] for row in found} == wanted


def test_conditions_narrow_runs_and_sweeps_alike(folder):
    where = ("model=llama-3.1-8b", "tpot_s<=10ms", "input_len>=1000", "batch=8")
    found = [
        open_source(folder / name, where).best(Objective("tpot_s"), ("input_len",), {}, ("tpot_s",))
        for name in ("run", "small.toml")
    ]

    ours = [[(row["input_len"], row["tpot_s"], row["tp"]) for row in rows] for rows in found]
    assert ours[0] == ours[1]
    assert "only model=llama-3.1-8b, tpot_s<=10ms" in open_source(folder / "run", where).line
    assert {row[0] for row in ours[0]} == {1024, 8192, 32768}


def test_conditions_leave_the_fingerprint_of_the_sweep(folder):
    found = {
        open_source(folder / name, where).facts["fingerprint"]
        for name in ("run", "small.toml")
        for where in ((), ("model=llama-3.1-8b",))
    }

    assert len(found) == 1


def test_rows_that_cannot_run_are_never_drawn(folder):
    perfcore.sweep(
        folder / "small.toml", folder / "whole", overrides=["output.keep_infeasible=true"]
    )
    whole = gather(open_source(folder / "whole"), "winners")

    assert whole.panels == gather(open_source(folder / "run"), "winners").panels


def test_only_the_columns_and_row_groups_are_read_that_are_needed(tmp_path, monkeypatch):
    perfcore.sweep(
        {
            "axes": {
                "model": ["llama-3.1-8b", "mistral-7b-v0.3", "qwen3-8b"],
                "device": ["h100-sxm"],
                "batch": {"linear": [1, 64], "n": 64},
                "input_len": {"linear": [1, 4000], "n": 2000},
            },
            "output": {"columns": ["tpot_s", "ttft_s"]},
        },
        tmp_path / "run",
    )
    source = open_source(tmp_path / "run")
    read = []
    spied = run_source.read

    def spy(piece, columns):
        read.append((piece.first, tuple(columns)))
        return spied(piece, columns)

    monkeypatch.setattr(run_source, "read", spy)
    fixed = {"model": "qwen3-8b"}
    found = source.best(Objective("tpot_s"), ("batch",), fixed, ("tpot_s",))

    assert len(found) == 64
    assert len(source.pieces) >= 3
    assert {columns for _, columns in read} >= {("model",), ("tpot_s", "batch")}
    assert not any("ttft_s" in columns for _, columns in read)
    assert 0 not in {first for first, _ in read}


@pytest.mark.parametrize(
    "damage",
    [
        lambda manifest: manifest.pop("spec"),
        lambda manifest: manifest["spec"].pop("axes"),
        lambda manifest: manifest["spec"]["what_if"].update({"device.x": {}}),
    ],
)
def test_a_damaged_manifest_is_one_line(folder, tmp_path, damage):
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    damage(manifest)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    (line,) = refused("pareto", tmp_path, "-o", tmp_path / "no.png")
    assert "manifest.json" in line
    assert "run the sweep again" in line
