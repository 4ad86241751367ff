"""The command warmup."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.command import invoke, invoke_json
from perfcore.cli import program, warmup
from perfcore.kernel.filling import compiled_fields
from perfcore.kernel.jit import compiled_signatures
from perfcore.runs.kernels import COMMON
from perfcore.space.sections import DTYPES
from perfcore.space.space import OTHERS
from perfcore.traffic.steps.loop import run_compiled

pytestmark = pytest.mark.slow


def test_warmup_compiles_every_type_of_output():
    found = invoke_json("warmup", "--json")

    common = {f"{dtype}, common columns" for dtype in DTYPES}
    pairs = {"pairs", "drafts apart", "experts apart"}
    simulations = {"simulation", "simulation of two pools"}
    simulations |= {"simulation with drafts apart", "simulation with experts apart"}
    assert set(found["seconds"]) == {*DTYPES, *common, *pairs, *simulations}
    assert all(compiled_fields("float32", other=one) for one in OTHERS)
    assert len(compiled_signatures(run_compiled)) >= 3  # alone, with drafts, with experts
    assert all(COMMON in compiled_fields(dtype) for dtype in DTYPES)
    assert all(seconds > 0.0 for seconds in found["seconds"].values())
    assert list(Path(found["cache"]).rglob("*.nbc"))
    assert found["cache"] in invoke("warmup")


def test_warmup_without_a_place_for_compiled_code(monkeypatch):
    monkeypatch.setattr("perfcore.kernel.jit.CACHE", None)
    result = CliRunner().invoke(program, ["warmup"])

    assert result.exit_code == 2
    assert result.stderr == (
        "error: no directory to cache compiled code; set PERFCORE_CACHE to one\n"
    )


def test_warmup_compiles_what_another_process_did_not(monkeypatch):
    """A process that ends without a result, for lack of memory, leaves its kernels to this one."""
    compiled = []
    monkeypatch.setattr(warmup, "_is_worth_a_process", lambda: True)
    monkeypatch.setattr(warmup, "_compile", lambda job: compiled.append(job) or {job: 1.0})
    monkeypatch.setattr(warmup, "_send", print)

    assert warmup.compile_all(["float32"], ["simulation"]) == {"float32": 1.0, "simulation": 1.0}
    assert compiled == ["float32", "simulation"]
