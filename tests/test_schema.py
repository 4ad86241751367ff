"""The JSON Schema of sweep files, the starter file, and what the shell completes."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown import code_blocks

from perfcore import testing
from perfcore.catalog import loader
from perfcore.cli import program
from perfcore.cli.completion import SHELLS
from perfcore.columns import METRICS
from perfcore.errors import InputError
from perfcore.inputs import AXIS_INPUTS, LIMITS
from perfcore.limits import FINITE, Limits
from perfcore.reading.places import Place, number
from perfcore.space import schema as sweep_schema
from perfcore.space.sections import Output
from perfcore.space.space import Space
from perfcore.space.spec import KEYS, Spec
from perfcore.units import DIMENSIONS

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).parent.parent
SHIPPED = json.loads(sweep_schema.SHIPPED.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft7Validator(SHIPPED)
AXES = {"model": ["llama-3-8b"], "device": ["h100-sxm"]}


def admits(document):
    return not any(VALIDATOR.iter_errors(document))


def invoke(*arguments, code=0, **environment):
    result = CliRunner().invoke(program, list(map(str, arguments)), env=environment)

    assert result.exit_code == code, result.output
    return result


# The schema


@pytest.fixture
def no_catalogue_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setenv("PERFCORE_CATALOG", str(tmp_path))


@pytest.mark.usefixtures("no_catalogue_of_ones_own")
def test_the_shipped_schema_is_what_the_parser_says_today(tmp_path):
    text = sweep_schema.SHIPPED.read_text(encoding="utf-8")

    assert invoke("schema").stdout == text, "run perfcore schema -o perfcore/sweep.schema.json"
    invoke("schema", "-o", tmp_path / "mine.json")
    assert (tmp_path / "mine.json").read_text(encoding="utf-8") == text


def test_names_of_ones_own_catalogue_are_offered(tmp_path):
    entry = '[my-facility]\nbase = "default"\nsource = "me"\nutilization = 0.5\n'
    (tmp_path / "economics.toml").write_text(entry)
    made = json.loads(invoke("schema", PERFCORE_CATALOG=str(tmp_path)).stdout)

    offered = made["definitions"]["name-of-economics"]["anyOf"][0]["enum"]
    assert offered[0] == "my-facility"


def test_the_schema_is_a_schema():
    jsonschema.Draft7Validator.check_schema(SHIPPED)
    assert set(SHIPPED["properties"]) == {*KEYS, *LIMITS}
    axes = SHIPPED["properties"]["axes"]["properties"]
    assert list(axes) == [*AXIS_INPUTS, "devices"]
    assert all(axis["description"] for axis in axes.values())
    assert list(SHIPPED["properties"]["output"]["properties"]) == list(Output.model_fields)
    for record, bounds in LIMITS.items():
        assert list(SHIPPED["definitions"][record]["properties"]) == list(bounds)


@pytest.mark.parametrize("path", sorted((ROOT / "sweeps").glob("*.toml")), ids=lambda p: p.stem)
def test_every_sweep_is_admitted(path):
    VALIDATOR.validate(tomllib.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("block", code_blocks(ROOT / "README.md", "toml"), ids=lambda b: b.line)
def test_what_the_readme_shows_is_admitted(block):
    document = tomllib.loads(block.code)

    VALIDATOR.validate(document)
    assert "axes" in document


@settings(max_examples=25)
@given(testing.spaces())
def test_what_the_parser_takes_is_admitted(document):
    Spec.from_dict(document)
    VALIDATOR.validate(document)


SOUND = [
    {"axes": AXES, "what_if": {"device": {"memory_bandwidth": {"scale": [1, 2]}}}},
    {"axes": AXES, "device": {"memory_bandwidth": ["3 TB/s", 4e12]}},
    {"axes": AXES, "what_if": {"engine.launch": "5 us"}},
    {"axes": {**AXES, "devices": "auto", "batch": "1Ki"}},
    {"axes": {**AXES, "model": {"family": "moe", "params": "1T", "active": "5 %"}}},
    {"axes": {**AXES, "model": ["./mine.toml:a", {"family": "dense", "params": ["1B", 7e9]}]}},
    {"axes": {**AXES, "tp": [1]}, "zip": {"axes": ["device", "tp"]}},
    {"axes": {**AXES, "tp": [1]}, "zip": [{"axes": ["model", "device"]}]},
    {"axes": AXES, "where": {"metric": "tpot_s", "max": "50 ms"}},
    {"axes": AXES, "where": [{"metric": "bound", "in": ["weights"]}, {"axis": "batch", "min": 1}]},
    {"axes": AXES, "where": {"metric": "energy_per_output_token_j", "max": "1 kWh"}},
    {"axes": AXES, "sample": {"n": 100, "method": "random", "seed": 1}},
    {"axes": AXES, "output": {"columns": ["tpot_s", "bound"], "compression": "lz4"}},
    {"axes": AXES, "output": {"significant_bits": {"default": 8}, "rows_per_shard": 1 << 30}},
]

FAULTY = {
    "no axes": {"name": "x"},
    "no device": {"axes": {"model": "llama-3-8b"}},
    "axis outside": {"axes": AXES, "batch": 1},
    "misspelt section": {"axes": AXES, "ouput": {}},
    "misspelt axis": {"axes": {**AXES, "bacth": [1]}},
    "empty list": {"axes": {**AXES, "batch": []}},
    "text for a number": {"axes": {**AXES, "batch": "many"}},
    "no whole number": {"axes": {**AXES, "batch": [1.5]}},
    "below bounds": {"axes": {**AXES, "batch": 0}},
    "above bounds": {"axes": {**AXES, "prefix_hit": 1.5}},
    "unit of something else": {"axes": AXES, "what_if": {"device.memory_bandwidth": "3 TB"}},
    "no unit": {"axes": AXES, "what_if": {"device.memory_bandwidth": "3"}},
    "unknown field": {"axes": AXES, "what_if": {"device.memory_speed": [1]}},
    "two scales": {"axes": AXES, "what_if": {"device.board_power": {"scale": [1], "n": 2}}},
    "range without n": {"axes": {**AXES, "batch": {"log": [1, 64]}}},
    "range with n": {"axes": {**AXES, "batch": {"pow2": [1, 64], "n": 3}}},
    "range of three": {"axes": {**AXES, "batch": {"linear": [1, 2, 3], "n": 3}}},
    "unknown form": {"axes": {**AXES, "batch": {"geometric": [1, 64], "n": 3}}},
    "scale of an axis": {"axes": {**AXES, "batch": {"scale": [1, 2]}}},
    "unknown choice": {"axes": {**AXES, "scheduler": "continous"}},
    "number for a name": {"axes": {**AXES, "model": [8]}},
    "blank name": {"axes": {**AXES, "model": " "}},
    "unknown family": {"axes": {**AXES, "model": {"family": "mamba", "params": "1B"}}},
    "dense and active": {
        "axes": {**AXES, "model": {"family": "dense", "params": "1B", "active": 0.1}}
    },
    "devices and tp": {"axes": {**AXES, "devices": "auto", "tp": [1]}},
    "devices by number": {"axes": {**AXES, "devices": 8}},
    "zip of one": {"axes": AXES, "zip": [{"axes": ["tp"]}]},
    "zip of nothing": {"axes": AXES, "zip": [{"axes": ["tp", "bogus"]}]},
    "condition on nothing": {"axes": AXES, "where": [{"max": 1}]},
    "condition on both": {"axes": AXES, "where": [{"metric": "mbu", "axis": "tp", "max": 1}]},
    "no condition": {"axes": AXES, "where": [{"metric": "tpot_s"}]},
    "unknown metric": {"axes": AXES, "where": [{"metric": "tpot", "max": 1}]},
    "axis as metric": {"axes": AXES, "where": [{"metric": "batch", "max": 1}]},
    "limit in another unit": {"axes": AXES, "where": {"metric": "tpot_s", "max": "50 MB"}},
    "limit of names": {"axes": AXES, "where": [{"metric": "bound", "max": 1}]},
    "unknown code": {"axes": AXES, "where": [{"metric": "bound", "in": ["weight"]}]},
    "exact real": {"axes": AXES, "where": [{"metric": "tpot_s", "in": [0.05]}]},
    "sample without n": {"axes": AXES, "sample": {"method": "random"}},
    "unknown method": {"axes": AXES, "sample": {"n": 5, "method": "grid"}},
    "unknown column": {"axes": AXES, "output": {"columns": ["tpot_ms"]}},
    "column twice": {"axes": AXES, "output": {"columns": ["tpot_s", "tpot_s"]}},
    "no column": {"axes": AXES, "output": {"columns": []}},
    "unknown precision": {"axes": AXES, "output": {"dtype": "float16"}},
    "empty shards": {"axes": AXES, "output": {"rows_per_shard": 0}},
    "shards too large": {"axes": AXES, "output": {"rows_per_shard": (1 << 30) + 1}},
    "shards in words": {"axes": AXES, "output": {"rows_per_shard": "1Mi"}},
    "switch in words": {"axes": AXES, "output": {"keep_infeasible": "yes"}},
    "blank title": {"axes": AXES, "name": " "},
}


@pytest.mark.parametrize("document", SOUND, ids=lambda document: json.dumps(document)[60:110])
def test_forms_that_are_easily_forgotten(document):
    VALIDATOR.validate(document)
    if ".toml" not in json.dumps(document):
        Space.from_dict(document)


@pytest.mark.parametrize("fault", FAULTY)
def test_what_is_refused_is_a_fault_of_the_parser_too(fault):
    assert not admits(FAULTY[fault])
    with pytest.raises(InputError):
        _ = Space.from_dict(FAULTY[fault]).rules


@pytest.mark.parametrize("dimension", DIMENSIONS)
@settings(max_examples=15)
@given(text=st.from_regex(r"[-+]?[0-9.,_e]{1,6} ?[A-Za-zµμ%$/]{0,6}", fullmatch=True))
def test_text_is_refused_only_where_the_parser_refuses_it(dimension, text):
    bound = Limits(dimension, -FINITE, FINITE)
    pattern = sweep_schema._Schema()  # noqa: SLF001
    pattern.text(dimension)
    admitted = re.search(pattern.definitions[f"text-of-{dimension}"]["pattern"], text)

    if number(text, bound, Place("x", "y", [])) is not None:
        assert admitted


def test_every_unit_is_admitted():
    made = sweep_schema._Schema()  # noqa: SLF001
    for dimension, known in DIMENSIONS.items():
        made.text(dimension)
        pattern = made.definitions[f"text-of-{dimension}"]["pattern"]
        assert all(re.search(pattern, f"3.5 {unit}") for unit in known.units)
        assert bool(re.search(pattern, "3.5")) == known.bare


# The starter file


def test_the_starter_plans_and_runs_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke("init").stdout == "written: sweep.toml\nnext: perfcore plan sweep.toml\n"
    plan = json.loads(invoke("plan", "sweep.toml", "--json").stdout)

    invoke("run", "sweep.toml", "-o", "RUN", "--quiet")
    manifest = json.loads(Path("RUN/manifest.json").read_text(encoding="utf-8"))
    assert manifest["rows"] == plan["rows_written"] == plan["rows"] > 100
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
    assert set(written["axes"]) == {*AXIS_INPUTS, "devices"} - {"tp", "pp"}
    assert set(written) == {*KEYS} - {"zip"}
    assert {axis.name: axis.values for axis in bare.axes}.items() <= {
        axis.name: axis.values for axis in spec.axes
    }.items()
    VALIDATOR.validate(written)


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
        (["missing/sweep.toml"], "is not a directory; make it first"),
        *(
            ([name], f"FILE: {name!r} must end in .toml; write sweep.toml")
            for name in ("", ".", "..")
        ),
        (["a\nb.toml"], "FILE: 'a\\nb.toml' is no line of text"),
        (["own.txt"], "FILE: 'own.txt' must end in .toml; write own.toml"),
        (["new.toml", "--model", "lama-3-8b"], "--model: unknown model 'lama-3-8b'; did you mean"),
        (["new.toml", "--device", "h100", "--device", "h100-sxm"], "duplicate"),
        (["new.toml", "--question", "a\nb"], "--question: 'a\\nb' is no line of text"),
    ],
)
def test_the_starter_refuses(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("there.toml").write_text("mine")
    result = invoke("init", *arguments, code=2)

    assert message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there.toml"]
    assert Path("there.toml").read_text() == "mine"


# Completion


def complete(line, shell="bash"):
    """Return what is offered for a line whose last word is begun."""
    words = line.split(" ")
    variables = {
        "_PERFCORE_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    result = CliRunner().invoke(program, [], prog_name="perfcore", env=variables)
    return [item.partition(",")[2] for item in result.stdout.splitlines() if item]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_is_given_its_script(shell):
    script = invoke("completion", shell).stdout

    assert f"_PERFCORE_COMPLETE={shell}_complete" in script
    assert "%(" not in script


def test_bash_takes_the_script(tmp_path):
    path = tmp_path / "script"
    path.write_text(invoke("completion", "bash").stdout)
    done = subprocess.run(
        ["/bin/bash", "-c", f"source '{path}' && complete -p perfcore"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "_perfcore_completion" in done.stdout


def test_commands_and_options_are_completed():
    assert complete("perfcore pl") == ["plan", "plot"]
    assert "--workers" in complete("perfcore plan --w")
    assert complete("perfcore completion z") == ["zsh"]
    assert complete("perfcore nonsense x") == []


@pytest.mark.parametrize(
    ("line", "kind", "begun"),
    [
        ("perfcore point llama-3", "model", "llama-3"),
        ("perfcore point llama-3-8b h", "device", "h"),
        ("perfcore point llama-3-8b h100-sxm --engine v", "engine", "v"),
        ("perfcore point llama-3-8b h100-sxm --weight-format q4", "weight_format", "q4"),
        ("perfcore init --device m", "device", "m"),
        ("perfcore models show qwen", "model", "qwen"),
        ("perfcore devices show b", "device", "b"),
        ("perfcore engines show vllm --device h", "device", "h"),
        ("perfcore economics show o", "economics", "o"),
    ],
)
def test_names_are_completed(line, kind, begun):
    known = [name for name in loader.names(kind) if name.startswith(begun)]

    assert known
    assert complete(line) == known


def test_columns_are_completed():
    metrics = [column.name for column in METRICS]
    begun = [name for name in metrics if name.startswith("tpot")]

    assert complete("perfcore search x.toml --minimize tpot") == begun
    assert complete("perfcore histogram x.toml --metric tpot") == begun
    assert complete("perfcore columns show tpot") == begun
    assert complete("perfcore search x.toml --by model,dev") == ["model,device"]
    assert complete("perfcore pareto x.toml --objectives tpot_s,tpot_s") == []
    assert "tpot_s,ttft_s" in complete("perfcore pareto x.toml --objectives tpot_s,ttft")


def test_files_are_completed_where_files_are_meant():
    for command in ("plan", "run", "search", "pareto", "histogram", "init"):
        result = CliRunner().invoke(
            program,
            [],
            prog_name="perfcore",
            env={
                "_PERFCORE_COMPLETE": "bash_complete",
                "COMP_WORDS": f"perfcore {command} x",
                "COMP_CWORD": "2",
            },
        )
        assert result.stdout == "file,x\n"


def test_completion_is_light():
    code = (
        "import atexit, os, sys; "
        "atexit.register(lambda: print(' '.join(sys.modules), file=sys.stderr)); "
        "os.environ.update(_PERFCORE_COMPLETE='bash_complete', "
        "COMP_WORDS='perfcore point llama', COMP_CWORD='2'); "
        "from perfcore.cli import program; program.main([], prog_name='perfcore')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "plain,llama-3-8b" in done.stdout
    assert not {"numba", "numpy", "pyarrow"} & set(done.stderr.split())
