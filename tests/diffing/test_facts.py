"""Constants and versions that explain a difference."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest
from click.testing import CliRunner

import perfcore
from diffing.sweeps import altered, side
from perfcore.cli import program
from perfcore.diffing.facts import Side
from perfcore.diffing.rows import compare
from perfcore.space.space import Space
from perfcore.space.spec import Spec


def invoke(*arguments, code=0):
    result = CliRunner().invoke(program, ["diff", *map(str, arguments)])

    assert result.exit_code == code, result.output
    return result


# Why


def test_a_changed_constant_is_named_with_the_rows_that_it_moved(own):
    old, new = own("old"), own("new", "2 TB/s")
    found = json.loads(invoke(old, new, "--json", code=1).stdout)

    (change,) = found["changes"]
    assert change == {
        "kind": "entry",
        "place": "device my-chip",
        "field": "memory_bandwidth",
        "before": 3e12,
        "after": 2e12,
        "axis": "device",
        "labels": ["my-chip"],
        "rows": 2,
        "words": False,
    }
    assert (found["pairs"], found["moved"], found["unexplained"]) == (4, 2, 0)
    assert found["metrics"]["weights_s"]["median"] > 0.3
    assert found["metrics"]["tpot_s"]["rose"] == 2
    worst = found["metrics"]["tpot_s"]["worst"][0]
    assert worst["device"] == "my-chip"
    assert worst["after"] / worst["before"] - 1 == pytest.approx(worst["change"])
    text = invoke(old, new, code=1).stdout
    assert "pairs   4, of which 2 changed" in text
    assert "device my-chip  memory_bandwidth  3 TB/s  2 TB/s             2" in text


def test_a_changed_source_moves_nothing(own):
    result = invoke(own("old"), own("new", source="a data sheet"))

    assert "1 text differs; it affects no row" in result.stdout
    assert result.stdout.endswith("equal\n")


def test_what_an_engine_stands_on_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("PERFCORE_CATALOG", str(tmp_path))
    spec = {"axes": {"model": "llama-3-8b", "device": ["h100-sxm"], "engine": ["mine", "default"]}}

    def made(launch):
        (tmp_path / "engines.toml").write_text(
            f'[ground]\nbase = "default"\nsource = "me"\n[ground.constants]\nlaunch = "{launch}"\n'
            '[mine]\nbase = "ground"\nsource = "me"\n'
        )
        return Spec.from_dict(spec).fingerprint(), Side.of(launch, perfcore.sweep(spec))

    (one, before), (other, after) = made("5 us"), made("50 us")
    found = compare(before, after)

    assert one != other
    (change,) = found.changes
    assert (change.place, change.field) == ("engine ground", "constants.launch.value")
    assert (change.before, change.after) == (5e-6, 5e-5)
    assert (change.labels, change.rows, found.moved) == (("mine",), 1, 1)


def test_constants_of_devices_that_are_not_there_are_not_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PERFCORE_CATALOG", str(tmp_path))
    spec = {"axes": {"model": "llama-3-8b", "device": ["h100-sxm"], "engine": ["mine"]}}

    def made(value):
        (tmp_path / "engines.toml").write_text(
            '[mine]\nbase = "default"\nsource = "me"\n'
            f'[mine.device_class.apple-silicon]\nlaunch = "{value} us"\n'
            f'[mine.device.h100-sxm]\nhost_per_step = "{value} us"\n'
            f'[mine.link.nvlink]\none_shot_latency = "{value} us"\n'
        )
        return Side.of(value, perfcore.sweep(spec))

    found = compare(made("5"), made("50"))
    assert {change.field for change in found.changes} == {
        "device.h100-sxm.host_per_step.value",
        "link.nvlink.one_shot_latency.value",
    }


def test_what_no_constant_explains_is_said(swept):
    table = swept.to_arrow()
    place = table.column_names.index("tpot_s")
    twice = pa.compute.multiply(table["tpot_s"], pa.scalar(2, pa.float32()))
    other = altered(swept, table.set_column(place, table.schema.field("tpot_s"), twice))
    found = compare(Side.of("a", swept), other)

    assert (found.moved, found.unexplained, found.changes) == (18, 18, [])
    assert found.metrics[0].median == pytest.approx(1.0)


def test_sides_that_do_not_say_what_engines_stand_on_are_compared_by_what_they_say():
    one, other = side("a", engine=["default"]), side("b", engine=["vllm"])
    found = compare(replace(one, bases={}), other)

    assert found.moved == compare(one, other).moved
    factors = {change.field for change in found.changes}
    assert "base" in factors
    assert any(name.startswith("factors.") for name in factors)
    same = compare(replace(one, bases={}), side("b", engine=["default"]))
    assert same.equal
    assert same.changes == []


def test_versions_are_compared(own):
    old, new = own("old"), own("new")
    path = new / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["versions"]["numba"] = "0.1"
    path.write_text(json.dumps({**manifest, "complete": False}), encoding="utf-8")
    text = " ".join(invoke(old, new).stdout.split())

    assert "version numba" in text
    assert "4 rows, from an unfinished run" in text


# The command


def test_facts_have_what_engines_stand_on():
    space = Space.from_dict({"axes": {"model": "llama-3-8b", "device": "h100-sxm"}})
    from perfcore.runs.shards import facts  # noqa: PLC0415

    assert list(facts(space)["bases"]) == ["kernels"]
