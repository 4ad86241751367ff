"""The starter file runs unchanged."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from perfcore.cli import program
from perfcore.inputs import AXIS_INPUTS
from perfcore.space import schema as sweep_schema
from perfcore.space.spec import KEYS, Spec

jsonschema = pytest.importorskip("jsonschema")
SHIPPED = json.loads(sweep_schema.SHIPPED.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft7Validator(SHIPPED)


def invoke(*arguments, code=0, **environment):
    result = CliRunner().invoke(program, list(map(str, arguments)), env=environment)

    assert result.exit_code == code, result.output
    return result


def test_the_starter_plans_and_runs_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke("init").stdout == "wrote sweep.toml\nnext: perfcore plan sweep.toml\n"
    plan = json.loads(invoke("plan", "sweep.toml", "--json").stdout)

    invoke("run", "sweep.toml", "-o", "RUN", "--quiet")
    manifest = json.loads(Path("RUN/manifest.json").read_text(encoding="utf-8"))
    # one device does not hold the largest batches
    assert 100 < manifest["rows"] == plan["rows_written"] < plan["rows"]
    first = Path("sweep.toml").read_text(encoding="utf-8").splitlines()[0]
    assert first == f"#:schema {sweep_schema.SHIPPED.as_uri()}"
    VALIDATOR.validate(tomllib.loads(Path("sweep.toml").read_text(encoding="utf-8")))


def test_the_starter_asks_what_it_is_told_to(tmp_path):
    path = tmp_path / "at-home.toml"
    question = 'How "fast" is {this}?'
    invoke(
        *("init", path, "--model", "llama-3.2-3b", "--model", "qwen3-8b"),
        *("--device", "m4-max", "--question", question),
    )
    spec = Spec.from_toml(path)

    assert (spec.name, spec.description) == ("at-home", question)
    assert spec.axis("model").values == ("llama-3.2-3b", "qwen3-8b")
    assert spec.axis("device").values == ("m4-max",)


def test_what_the_starter_has_in_comments_holds_too(tmp_path):
    path = tmp_path / "sweep.toml"
    invoke("init", path)
    text = path.read_text(encoding="utf-8")
    bare = Spec.from_toml(path)
    everything = re.sub(
        r'^# (?=[a-z_]+ = |"device\.|\[what_if|\[\[where|\[sample)', "", text, flags=re.MULTILINE
    )
    everything = everything.replace("[[zip]]", "").replace('\naxes = ["device", "tp"]', "")
    path.write_text(everything, encoding="utf-8")
    spec = Spec.from_toml(path)

    written = tomllib.loads(everything)
    assert set(written["axes"]) == {*AXIS_INPUTS}
    # with traffic, rows have no batch: it stands in files of its own
    assert set(written) == {*KEYS} - {"zip", "traffic"}
    assert {axis.name: axis.values for axis in bare.axes}.items() <= {
        axis.name: axis.values for axis in spec.axes
    }.items()
    VALIDATOR.validate(written)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], "tp = { pow2 = [1, 8] }"),
        (["--device", "h100-nvl"], "tp = { pow2 = [1, 2] }"),
        (["--model", "deepseek-v3"], 'devices = "auto"'),
        (["--device", "groq-lpu"], 'devices = "auto"'),
        (["--device", "m4-max"], 'devices = "auto"'),
    ],
)
def test_layouts_are_swept_where_they_hold_the_model(tmp_path, options, line):
    invoke("init", tmp_path / "sweep.toml", *options)

    assert f"\n{line}" in (tmp_path / "sweep.toml").read_text(encoding="utf-8")


def test_a_device_of_ones_own_is_found_from_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chips.toml").write_text(
        '[my-chip]\nsource = "me"\nvendor = "me"\nyear = 2026\ndevice_class = "consumer-gpu"\n'
        'memory_kind = "HBM"\nmemory_capacity = "80 GB"\nmemory_bandwidth = "3 TB/s"\n'
        'flops_fp16 = "500 TFLOP/s"\nboard_power = "500 W"\nidle_power = "50 W"\n'
        'link_bandwidth = "64 GB/s"\nscale_up_domain = 8\nnetwork_bandwidth = "50 GB/s"\n'
        'price_per_hour = "2 USD/h"\n'
    )
    (tmp_path / "sweeps").mkdir()
    invoke("init", "sweeps/own.toml", "--device", "chips.toml")

    assert Spec.from_toml("sweeps/own.toml").axis("device").values == ("my-chip",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["there.toml"], "'there.toml' exists; name another, or delete it"),
        (["sweep.json"], "must end in .toml; write sweep.toml"),
        (["missing/sweep.toml"], "is not a directory; create it first"),
        *(
            ([name], f"FILE: {name!r} must end in .toml; write sweep.toml")
            for name in ("", ".", "..")
        ),
        (["a\nb.toml"], "FILE: 'a\\nb.toml' is not printable; choose another name"),
        (["own.txt"], "FILE: 'own.txt' must end in .toml; write own.toml"),
        (["new.toml", "--model", "lama-3-8b"], "--model: unknown model 'lama-3-8b'; did you mean"),
        (["new.toml", "--device", "h100", "--device", "h100-sxm"], "duplicate"),
        (
            ["new.toml", "--question", "a\nb"],
            "--question: 'a\\nb' is not a line of text; write one line",
        ),
    ],
)
def test_the_starter_refuses(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("there.toml").write_text("mine")
    result = invoke("init", *arguments, code=2)

    assert message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there.toml"]
    assert Path("there.toml").read_text() == "mine"
