"""perfcore diff: rows are paired, counted and explained as an independent join in pandas says."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import perfcore
from perfcore.catalog import loader
from perfcore.cli import program
from perfcore.diffing.facts import Side
from perfcore.diffing.rows import compare
from perfcore.runs.dataset import Rows
from perfcore.space.space import Space
from perfcore.space.spec import Spec

SPEC = {
    "name": "small",
    "axes": {
        "model": ["llama-3-8b", "llama-3-70b"],
        "device": ["h100-sxm", "l40s"],
        "tp": [1, 8],
        "batch": [1, 8, 64],
    },
    "output": {"columns": ["tpot_s", "network_s", "max_batch", "bound"]},
}
KEYS = ["model", "device", "tp", "batch"]
CHIP = """
[my-chip]
source = "{source}"
vendor = "me"
year = 2026
device_class = "datacentre-gpu-hopper"
memory_kind = "HBM"
memory_capacity = "80 GB"
memory_bandwidth = "{bandwidth}"
flops_fp16 = "500 TFLOP/s"
board_power = "500 W"
idle_power = "50 W"
link_bandwidth = "64 GB/s"
scale_up_domain = 8
network_bandwidth = "50 GB/s"
price_per_hour = "2 USD/h"
"""
OWN = """
[axes]
model = ["llama-3-8b"]
device = ["h100-sxm", "./chip.toml"]
batch = [1, 8]
"""


def side(label, spec=SPEC, **changes):
    axes = {**spec["axes"], **changes}
    return Side.of(label, perfcore.sweep({**spec, "axes": axes}))


@pytest.fixture(scope="module")
def swept():
    return perfcore.sweep(SPEC)


def altered(rows, table):
    """The same sweep with other rows."""
    return Side.of("b", Rows(table.replace_schema_metadata(rows.schema.metadata), "b"))


def invoke(*arguments, code=0):
    result = CliRunner().invoke(program, ["diff", *map(str, arguments)])

    assert result.exit_code == code, result.output
    return result


# What moved


@given(st.data())
@settings(max_examples=12)
def test_counts_are_those_of_a_join_in_pandas(swept, data):
    size = len(swept)
    frame = swept.to_pandas()
    kept = [
        frame[data.draw(st.lists(st.booleans(), min_size=size, max_size=size))] for _ in range(2)
    ]
    factors = data.draw(
        st.lists(st.sampled_from([1.0, 1.0, 1.01, 0.5, 3.0]), min_size=size, max_size=size)
    )
    after = kept[1].assign(tpot_s=kept[1]["tpot_s"] * np.float32(factors)[kept[1].index])
    after = after.sample(frac=1, random_state=0)
    tolerance = data.draw(st.sampled_from([0.0, 0.02, 0.6]))
    before, after = (
        altered(swept, pa.Table.from_pandas(f, swept.schema, preserve_index=False))
        for f in (kept[0], after)
    )
    found = compare(before, after, tolerance=tolerance)

    one, other = before.data.to_pandas(), after.data.to_pandas()
    joined = one.merge(other, on=KEYS, how="outer", indicator=True)
    both = joined[joined["_merge"] == "both"]
    larger = np.maximum(both["tpot_s_x"], both["tpot_s_y"]).astype(float)
    gap = (both["tpot_s_y"].astype(float) - both["tpot_s_x"].astype(float)).abs()
    moved = both[(both["tpot_s_x"] != both["tpot_s_y"]) & (gap > tolerance * larger)]
    change = moved["tpot_s_y"].astype(float) / moved["tpot_s_x"].astype(float) - 1
    assert found.pairs == len(both)
    assert found.moved == len(moved)
    assert found.only_before.rows == (joined["_merge"] == "left_only").sum()
    assert found.only_after.rows == (joined["_merge"] == "right_only").sum()
    assert found.only_before.left_out == found.only_before.rows
    assert found.equal == (len(moved) == 0 and len(both) == len(joined))
    if len(moved):
        (tpot,) = found.metrics
        assert (tpot.metric, tpot.rows) == ("tpot_s", len(moved))
        assert tpot.rose == (change > 0).sum()
        assert tpot.median == pytest.approx(change.abs().median())
        assert abs(tpot.largest) == pytest.approx(change.abs().max())
        assert abs(tpot.worst[0]["change"]) == pytest.approx(change.abs().max())
        assert found.unexplained == len(moved)


def test_a_sweep_is_equal_to_itself(swept, tmp_path):
    perfcore.sweep(SPEC, tmp_path / "run")
    found = compare(Side.of("a", swept), Side.of("b", perfcore.open_run(tmp_path / "run")))

    assert found.equal
    assert (found.pairs, found.moved, found.changes, found.metrics) == (18, 0, [], [])


def test_precision_is_no_difference(swept):
    double = {**SPEC, "output": {**SPEC["output"], "dtype": "float64"}}
    found = compare(Side.of("a", swept), Side.of("b", perfcore.sweep(double)))

    assert found.equal
    assert [(c.field, c.before, c.after) for c in found.changes] == [
        ("output.dtype", "float32", "float64"),
        ("output.significant_bits", {"default": 16}, {"default": 53}),
    ]


def test_texts_switch_and_zeros_have_no_relative_change(swept):
    table = swept.to_arrow()
    names = table.column_names
    bound = pa.array(["compute"] * len(swept)).dictionary_encode()
    table = table.set_column(names.index("bound"), table.schema.field("bound"), bound)
    network = pa.array([1.0] * len(swept), pa.float32())
    table = table.set_column(names.index("network_s"), table.schema.field("network_s"), network)
    found = compare(Side.of("a", swept), altered(swept, table))

    was = swept.to_pandas()["bound"].astype(str)
    assert {(s.before, s.after): s.rows for s in found.switches} == {
        (before, "compute"): rows for before, rows in was[was != "compute"].value_counts().items()
    }
    (moved,) = found.metrics
    assert moved.rows == 18
    assert moved.without_change == sum(value == 0 for value in swept["network_s"].to_pylist()) > 0
    assert all(row["after"] == 1.0 for row in moved.worst)


def test_what_is_not_finite_is_moved_once_and_has_no_place_in_json(swept):
    endless = pa.array([float("inf")] * len(swept), pa.float32())
    table = swept.to_arrow()
    place = table.column_names.index("tpot_s")
    other = altered(swept, table.set_column(place, table.schema.field("tpot_s"), endless))
    found = compare(Side.of("a", swept), other, tolerance=0.5)

    assert (found.metrics[0].rows, found.metrics[0].without_change) == (18, 18)
    assert found.metrics[0].median is None
    worst = found.to_dict()["metrics"]["tpot_s"]["worst"][0]
    assert worst["after"] is None
    assert worst["before"] > 0
    assert compare(other, other, tolerance=0.5).equal


def test_rows_of_one_side_only():
    found = compare(side("a", batch=[1, 8]), side("b", batch=[8, 16], device=["h100-sxm"]))

    assert found.only_before.left_out == found.only_after.left_out == 0
    assert found.only_before.rows + found.pairs == 12
    assert found.only_after.rows + found.pairs == 6
    assert found.pairs == 3
    assert found.only_after.examples[0] == {
        "model": "llama-3-70b",
        "device": "h100-sxm",
        "tp": 8,
        "batch": 16,
    }
    assert {c.field for c in found.changes} == {"axes.batch", "axes.device"}


def test_axes_of_one_value_on_each_side_pair_nothing():
    found = compare(side("a", engine=["default"]), side("b", engine=["vllm"]))

    assert (found.pairs, found.only_before.rows, found.only_after.rows) == (18, 0, 0)
    assert found.moved > 0
    constants = {c.field: c for c in found.changes if c.kind == "entry" and not c.words}
    h100, l40s = (loader.load_device(name) for name in SPEC["axes"]["device"])
    one, other = (loader.load_engine(name) for name in ("default", "vllm"))
    for device in (h100, l40s):
        ours, theirs = one.record(device)._asdict(), other.record(device)._asdict()
        for name in ours:
            change = constants.get(name) or constants.get(f"{name} on {device.name}")
            if ours[name] == theirs[name]:
                assert change is None
            else:
                assert (change.before, change.after) == (ours[name], theirs[name])


def test_an_axis_of_several_values_needs_a_partner(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text('[axes]\nmodel = "llama-3-8b"\ndevice = "h100-sxm"\n')
    result = invoke(path, path, "--set", "device.board_power={scale=[1, 2]}", code=2)
    assert "has 2 values of device_board_power_scale, which" in result.stderr
    assert len(result.stderr.splitlines()) == 1

    found = json.loads(
        invoke(path, path, "--set", "device.price_per_hour={scale=2}", "--json", code=1).stdout
    )
    assert found["metrics"]["cost_per_mtok_output_usd"]["largest"] == pytest.approx(1.0)
    assert set(found["metrics"]) == {"cost_per_mtok_output_usd", "cost_per_mtok_input_usd"}
    assert found["unexplained"] == 0


def test_devices_that_are_chosen_are_results():
    auto = {"axes": {"model": ["llama-3-70b"], "device": "h100-sxm", "devices": "auto"}}
    more = {**auto, "axes": {**auto["axes"], "weight_format": "fp8"}}
    found = compare(Side.of("a", perfcore.sweep(auto)), Side.of("b", perfcore.sweep(more)))

    tp = next(moved for moved in found.metrics if moved.metric == "tp")
    assert (tp.worst[0]["before"], tp.worst[0]["after"]) == (2, 1)


def test_points_that_were_drawn_twice_count_once():
    drawn = {**SPEC, "sample": {"method": "random", "n": 200}}
    found = compare(Side.of("a", perfcore.sweep(drawn)), Side.of("b", perfcore.sweep(SPEC)))

    assert found.pairs == 18
    assert found.moved == found.only_before.rows == 0


# Why


@pytest.fixture
def own(tmp_path):
    (tmp_path / "sweep.toml").write_text(OWN)

    def run(name, bandwidth="3 TB/s", source="me"):
        (tmp_path / "chip.toml").write_text(CHIP.format(bandwidth=bandwidth, source=source))
        return perfcore.sweep(tmp_path / "sweep.toml", tmp_path / name).path

    return run


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
    assert "pairs   4, of which 2 moved" in text
    assert "device my-chip  memory_bandwidth  3 TB/s  2 TB/s           2" in text


def test_a_changed_source_moves_nothing(own):
    result = invoke(own("old"), own("new", source="a data sheet"))

    assert "1 text differs, which moves no row" in result.stdout
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
    assert "4 rows, of a run that is not finished" in text


# The command


def test_metrics_are_chosen(own):
    old, new = own("old"), own("new", "2 TB/s")
    found = json.loads(invoke(old, new, "--metric", "status", "--json").stdout)
    assert found["equal"]

    found = json.loads(invoke(old, new, "--metric", "mbu", "--json", code=1).stdout)
    assert list(found["metrics"]) == ["mbu"]
    assert invoke(old, new, "--tolerance", "1", "--json").stdout


def test_a_run_is_held_against_what_its_file_says_now(own, tmp_path):
    old = own("old")
    assert "equal" in invoke(old, tmp_path / "sweep.toml").stdout

    own("other", "2 TB/s")
    assert "memory_bandwidth" in invoke(old, tmp_path / "sweep.toml", code=1).stdout
    again = invoke(old, tmp_path / "sweep.toml", "--set", "axes.device=h100-sxm", code=1).stdout
    assert "only before  2 rows: 2 with values that the other's axes lack" in again


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["old", "missing"], "missing: no such directory; name a run's directory or a sweep file"),
        (["old", "missing.toml"], "missing.toml: no such file"),
        (["old", "empty"], "no manifest.json here"),
        (["old", "old", "--metric", "tpot"], "--metric: 'tpot' is not a result of both; did you"),
        (["old", "old", "--set", "axes.batch=1"], "--set needs a sweep file"),
        (["old"], "missing argument 'RUN2'"),
    ],
)
def test_faults_are_one_line(own, tmp_path, monkeypatch, arguments, message):
    own("old")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments, code=2)

    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_run_without_files_is_a_fault(own):
    old, new = own("old"), own("new")
    for file in (new / "data").iterdir():
        file.unlink()

    assert "run the sweep again" in invoke(old, new, code=2).stderr


def test_duckdb_is_named_when_it_is_missing(own, monkeypatch):
    old = own("old")
    monkeypatch.setitem(sys.modules, "duckdb", None)

    assert "pip install 'perfcore[analysis]'" in invoke(old, old, code=2).stderr


def test_nothing_is_left_behind(own, tmp_path, monkeypatch):
    old, new = own("old"), own("new", "2 TB/s")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    Path(tmp_path / "scratch").mkdir()
    invoke(old, new, code=1)

    assert list((tmp_path / "scratch").iterdir()) == []


def test_facts_have_what_engines_stand_on():
    space = Space.from_dict({"axes": {"model": "llama-3-8b", "device": "h100-sxm"}})
    from perfcore.runs.shards import facts  # noqa: PLC0415

    assert list(facts(space)["bases"]) == ["kernels"]
