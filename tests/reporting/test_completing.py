"""What a picture lacks is evaluated again: the same numbers, a sentence on it, or a refusal."""

import pytest
from exploring.conftest import OWN

import perfcore
from perfcore.errors import InputError
from perfcore.reporting.kinds import gather
from perfcore.reporting.names import KINDS
from perfcore.reporting.opening import open_source

PLAIN = """
name = "plain"
[axes]
model = "llama-3.1-8b"
device = ["h100-sxm", "b200"]
weight_format = ["bf16", "fp8"]
batch = [1, 64]
input_len = [128, 8192]
output_len = 128
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A sweep without what-ifs, and its run with the columns that runs have by default."""
    path = tmp_path_factory.mktemp("plain")
    (path / "plain.toml").write_text(PLAIN)
    perfcore.sweep(path / "plain.toml", path / "run")
    return path


def test_all_kinds_are_drawn_of_a_run_as_it_is_by_default(plain):
    run = open_source(plain / "run")
    sweep = open_source(plain / "plain.toml")
    said = {}
    for kind in KINDS:
        of_run = gather(run, kind)
        said[kind] = " ".join(of_run.remarks)
        if kind in {"roofline", "energy"}:
            assert of_run.table == gather(sweep, kind).table
    assert "as the run has not written arithmetic_intensity and mfu." in said["roofline"]
    assert "Varied for this picture only: economics.utilization=[0.05," in said["cost"]
    assert "Varied" not in said["pareto"]


def test_what_ifs_conditions_and_zips_of_a_run_are_kept(plain):
    mapping = {
        "name": "kept",
        "axes": {
            "model": "llama-3.1-8b",
            "device": ["h100-sxm", "b200"],
            "devices": "auto",
            "batch": [1, 8, 64],
            "input_len": [128, 4096, 512],
            "output_len": 64,
        },
        "what_if": {"device.memory_capacity": {"scale": [1, 2]}, "economics.pue": [1.1]},
        "zip": [{"axes": ["batch", "input_len"]}],
        "where": [{"metric": "tpot_s", "max": "40 ms"}, {"axis": "batch", "min": 8}],
    }
    perfcore.sweep(mapping, plain / "kept")

    assert "Evaluated again" in gather(open_source(plain / "kept"), "energy").remarks[-1]


def test_runs_of_other_physics_or_entries_are_not_evaluated_again(plain, monkeypatch):
    (plain / "chip.toml").write_text(OWN)
    own = {"axes": {"model": "llama-3.1-8b", "device": str(plain / "chip.toml"), "batch": [1, 2]}}
    perfcore.sweep(own, plain / "own")
    for run in ("own", "run"):
        with pytest.raises(InputError, match=r"roofline needs arithmetic_intensity and mfu"):
            gather(open_source(plain / run), "roofline")
        monkeypatch.setattr(
            "perfcore.reporting.completing.fingerprints", lambda _: {"physics": "", "version": ""}
        )
