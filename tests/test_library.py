"""What commands print can be had from Python, as values: the command line computes nothing."""

import json

import pytest
from click.testing import CliRunner

import perfcore
from perfcore.claims.claim import read_claims
from perfcore.cli import program
from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError

AXES = {
    "model": ["llama-3.1-8b"],
    "device": ["h100-sxm", "b200"],
    "batch": [1, 8, 64],
    "input_len": [1024, 8192],
    "output_len": [256],
}
SPEC = (
    f"[axes]\n{chr(10).join(f'{name} = {json.dumps(values)}' for name, values in AXES.items())}\n"
)
CLAIM = {"model": "llama-3-70b", "device": "h100-sxm", "devices": 8, "tokens_per_s": 900}


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(SPEC)
    return path


def printed(*arguments, code=0):
    result = CliRunner().invoke(program, [str(word) for word in arguments])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_plan(spec):
    found = perfcore.plan(spec, overrides=["axes.batch=[1,2]"])
    shown = printed("plan", spec, "--set", "axes.batch=[1,2]", "--json")

    assert found.space.rows == found.forecast.rows_written == shown["rows"] == 8
    assert found.forecast.exact
    assert found.forecast.bytes > 0
    assert found.forecast.seconds > 0.0
    assert (found.fits, found.faults) == (True, ())
    assert [fact._asdict() for fact in found.estimated] == shown["estimated"]


def test_plan_of_what_does_not_fit(monkeypatch, tmp_path):
    monkeypatch.setattr("perfcore.runs.preflight.memory_free", lambda: 1)
    monkeypatch.setattr("perfcore.runs.preflight.disk_free", lambda _: 1)
    found = perfcore.plan({"axes": AXES}, tmp_path / "run", workers=3)
    memory, disk = found.faults

    assert not found.fits
    assert "with 3 workers, 1 B are free; use fewer workers" in memory
    assert f"in {tmp_path / 'run'}, 1 B are free" in disk
    assert disk.endswith("or another output")


def test_remedy():
    large = Configuration("llama-3-70b", "h100-sxm", tp=1)

    assert Configuration("llama-3-8b", "h100-sxm").remedy == ""
    assert "raise tp or pp, or use fewer bits (weight_format), or offload='weights'" in large.remedy


def test_audit(tmp_path):
    file = tmp_path / "claims.csv"
    file.write_text(f"{','.join(CLAIM)}\n{','.join(map(str, CLAIM.values()))}\n")
    (found,) = perfcore.audit(file)

    assert perfcore.audit(read_claims(file)) == [found]
    assert printed("audit", file, "--json") == [json.loads(json.dumps(found.to_dict()))]
    (told,) = perfcore.audit([{**CLAIM, "claim": "line 2"}])
    assert told == found
    with pytest.raises(InputError) as caught:
        perfcore.audit([CLAIM, {"modell": "x"}, {**CLAIM, "batch": 0}])
    assert [fault.partition(";")[0] for fault in caught.value.faults] == [
        "claims: claim 2: unknown column 'modell'",
        "claims: claim 2: model is empty",
        "claims: claim 2: device is empty",
        "claims: claim 2: claims nothing",
        "claims: claim 3: batch: '0' is out of bounds",
    ]


def test_validate(tmp_path):
    table = tmp_path / "own.csv"
    table.write_text(
        "model,hardware,concurrency,input_len,output_len,metric,value\n"
        "llama-3.1-8b,h100-sxm,1,1024,256,tpot_s,0.007\n"
    )
    found = perfcore.validate(table)
    shown = printed("validate", "--measurements", table, "--by", "device", "--json")

    assert [group.to_dict() for group in found.groups(["device"])] == shown["groups"]
    assert perfcore.validate(row.question.measurement for row in found.rows) == found
    with pytest.raises(InputError, match=r"^by: unknown key 'devise'"):
        found.groups(["devise"])


def test_diff(spec, tmp_path):
    run = perfcore.sweep(spec, tmp_path / "run")
    setting = "axes.batch=[1,8]"
    shown = printed("diff", tmp_path / "run", spec, "--set", setting, "--json", code=1)
    found = perfcore.diff(tmp_path / "run", spec, overrides=[setting])

    assert found.to_dict() == shown
    assert perfcore.diff(run, {"axes": AXES}).equal
    assert perfcore.diff(perfcore.sweep(spec), tmp_path / "run").equal
    assert not perfcore.diff(spec, run, overrides=[setting]).equal
    with pytest.raises(InputError, match=r"^overrides needs a sweep file; both are runs"):
        perfcore.diff(run, run, overrides=[setting])


def test_draw_and_report(spec, tmp_path):
    picture = perfcore.draw("pareto", spec, tmp_path / "front.html", by="device")
    CliRunner().invoke(
        program, ["plot", "pareto", str(spec), "-o", str(tmp_path / "same.html"), "--by", "device"]
    )
    page = perfcore.report(spec, tmp_path / "page.html", overrides=["axes.batch=[1,8]"])

    assert (tmp_path / "front.html").read_bytes() == (tmp_path / "same.html").read_bytes()
    assert perfcore.plot("pareto", spec, by="device") == picture
    assert perfcore.draw is perfcore.plot
    assert (tmp_path / "page.html").read_text("utf-8") == page
    assert "perfcore.report(" in page
    assert "overrides=[&#x27;axes.batch=[1,8]&#x27;]" in page
    with pytest.raises(InputError, match=r"^output: 'x.pdf' must end in \.png, \.svg, \.html"):
        perfcore.draw("pareto", spec, "x.pdf")
    with pytest.raises(InputError, match=r"^output: .* is not a directory"):
        perfcore.report({"axes": AXES}, tmp_path / "x" / "y.html")
