"""Rows of two sweeps are paired and counted."""

import json

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import perfcore
from diffing.sweeps import SPEC, altered, side
from perfcore.catalog import loader
from perfcore.cli import program
from perfcore.diffing.facts import Side
from perfcore.diffing.rows import compare

KEYS = ["model", "device", "tp", "batch"]


def invoke(*arguments, code=0):
    result = CliRunner().invoke(program, ["diff", *map(str, arguments)])

    assert result.exit_code == code, result.output
    return result


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
