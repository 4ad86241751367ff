"""Spaces as the kernel traverses them: zips, what-ifs, samples, columns."""

from dataclasses import replace

from kernel.rows import SMALL, assert_same, changed, python_point, rows_of

from perfcore.catalog import loader
from perfcore.columns import AXES
from perfcore.runs.parquet import schema
from perfcore.runs.workers import evaluate_rows
from perfcore.space.space import Space
from perfcore.space.spec import Spec


def test_rules_on_axes_leave_values_out():
    rules = [{"axis": "batch", "max": 64}, {"axis": "device", "in": ["rtx-4090"]}]
    rows = rows_of(Space.from_dict(changed(where=rules)))

    assert rows == [
        row
        for row in rows_of(Space.from_dict(SMALL))
        if row["batch"] <= 64 and row["device"] == "rtx-4090"
    ]


def test_zipped_axes_move_together():
    space = Space.from_dict(changed(zip=[{"axes": ["device", "tp"]}]))
    rows = rows_of(space)

    assert {(row["device"], row["tp"]) for row in rows} == {("h100-sxm", 1), ("rtx-4090", 2)}
    for row in rows:
        assert_same(row, python_point(row))


def test_zipped_what_ifs_vary_together():
    """Records have a variant per place of the zip, with the values of that place."""
    what_if = {
        "device.memory_bandwidth": {"scale": [0.5, 1.0, 2.0]},
        "economics.price_multiplier": [0.7, 1.0, 1.4],
        "device.price_per_hour": {"scale": [0.8, 1.0, 1.5]},
        "device.link_bandwidth": {"scale": [1.0, 2.0]},
    }
    together = [*what_if][:3]
    space = Space.from_dict(changed(what_if=what_if, zip=[{"axes": together}]))
    rows = rows_of(space)
    alone = changed(
        what_if={
            "device.memory_bandwidth": {"scale": [2.0]},
            "economics.price_multiplier": [1.4],
            "device.price_per_hour": {"scale": [1.5]},
            "device.link_bandwidth": {"scale": [2.0]},
        }
    )

    assert len(space.tables[1]) == 2 * 3 * 2  # devices, places of the zip, links
    assert [
        row
        for row in rows
        if (row["device_memory_bandwidth_scale"], row["device_link_bandwidth_scale"]) == (2.0, 2.0)
    ] == rows_of(Space.from_dict(alone))


def test_lengths_zipped_with_a_device_are_outer():
    axes = {**SMALL["axes"], "input_len": [128, 2_048]}
    space = Space.from_dict(changed(axes=axes, zip=[{"axes": ["device", "input_len"]}]))
    rows = rows_of(space)

    assert {axis.name for axis in space.inner_axes} == {"batch", "output_len"}
    assert {(row["device"], row["input_len"]) for row in rows} == {
        ("h100-sxm", 128),
        ("rtx-4090", 2_048),
    }
    for row in rows:
        assert_same(row, python_point(row))


def test_zipped_lengths_stay_inner():
    axes = {**SMALL["axes"], "input_len": [128, 2_048], "output_len": [64, 512]}
    space = Space.from_dict(changed(axes=axes, zip=[{"axes": ["input_len", "output_len"]}]))

    assert space.inner_points == 2 * len(SMALL["axes"]["batch"])
    assert {(r["input_len"], r["output_len"]) for r in rows_of(space)} == {(128, 64), (2_048, 512)}


def test_what_ifs_scale_and_set():
    space = Space.from_dict(
        changed(
            what_if={
                "device.memory_bandwidth": {"scale": [1, 2]},
                "engine.residue": [0.0, 0.5],
            }
        )
    )
    rows = rows_of(space)

    assert {row["engine_residue"] for row in rows} == {0.0, 0.5}
    for row in rows[:: max(len(rows) // 50, 1)]:
        point = python_point(row, residue=row["engine_residue"])
        assert_same(row, point)


def test_random_samples_are_reproducible():
    sample = {"method": "random", "n": 500, "seed": 7}
    first = rows_of(Space.from_dict(changed(sample=sample)))

    assert first == rows_of(Space.from_dict(changed(sample=sample)))
    assert first != rows_of(Space.from_dict(changed(sample={**sample, "seed": 8})))
    for row in first[::25]:
        assert_same(row, python_point(row))


def test_sampled_parts_are_the_whole():
    """A shard draws the same points alone and with all others."""
    space = Space.from_dict(changed(sample={"method": "random", "n": 300, "seed": 1}))
    form = schema(space, {})
    parts = [evaluate_rows(space, form, start, start + 100) for start in (0, 100, 200)]

    together = [row for part in parts for row in part.to_pylist()]
    assert together == evaluate_rows(space, form, 0, 300).to_pylist()


def test_columns_are_in_canonical_order():
    space = Space.from_dict(changed(output={"columns": ["mbu", "tpot_s", "status"]}))

    names = list(rows_of(space)[0])
    assert names == [column.name for column in AXES] + ["status", "tpot_s", "mbu"]


def test_models_published_in_other_formats_are_noted():
    def notes(**axes):
        return Space.from_dict({"axes": {"device": "h200-sxm", **axes}}).notes

    (note,) = notes(model=["deepseek-v3", "llama-3.1-8b"])
    assert note == "deepseek-v3 is published in fp8-block128, which is not among axes.weight_format"
    assert notes(model="deepseek-v3", weight_format=["bf16", "fp8-block128"]) == ()
    wide = loader.load_model("llama-3.1-8b").model_copy(update={"wide_attention": 1.0})
    spec = Spec.from_dict({"axes": {"device": "h200-sxm", "model": "llama-3.1-8b"}})
    model = replace(spec.axis("model"), entries=(wide,))
    changed = replace(spec, axes=(model, *spec.axes[1:]))
    assert "counts those of its file" in Space(changed).notes[0]
