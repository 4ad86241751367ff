"""The JSON Schema of sweep files accepts what the parser accepts."""

import json
import re
import tomllib

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown import code_blocks
from paths import ROOT

from perfcore import testing
from perfcore.cli import program
from perfcore.errors import InputError
from perfcore.inputs import AXIS_INPUTS, LIMITS, PAIR_AXES
from perfcore.limits import FINITE, Limits
from perfcore.reading.places import Place, number
from perfcore.space import schema as sweep_schema
from perfcore.space.sections import Output
from perfcore.space.space import Space
from perfcore.space.spec import KEYS, Spec
from perfcore.units import DIMENSIONS

jsonschema = pytest.importorskip("jsonschema")
SHIPPED = json.loads(sweep_schema.SHIPPED.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft7Validator(SHIPPED)
AXES = {"model": ["llama-3-8b"], "device": ["h100-sxm"]}


def admits(document):
    return not any(VALIDATOR.iter_errors(document))


def invoke(*arguments, code=0, **environment):
    result = CliRunner().invoke(program, list(map(str, arguments)), env=environment)

    assert result.exit_code == code, result.output
    return result


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
    assert list(axes) == [*AXIS_INPUTS, *PAIR_AXES, "devices", "power_limit", "host"]
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
