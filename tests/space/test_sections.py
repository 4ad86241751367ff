"""Zips, conditions, output and samples of a sweep file."""

import pytest

from perfcore.columns import DEFAULT_METRICS, METRICS
from perfcore.errors import InputError
from perfcore.space.space import Space
from perfcore.space.spec import Spec


def spec(axes=None, overrides=(), **sections):
    minimal = {"model": ["llama-3-70b"], "device": ["h100-sxm"]}
    document = {"axes": {**minimal, **(axes or {})}, **sections}
    return Spec.from_dict(document, overrides=overrides)


def test_zips_join_axes_and_divide_the_rows():
    found = spec(
        {"device": ["h100", "b200"], "tp": [8, 4], "batch": [1, 2, 4]},
        what_if={"economics.utilization": [0.1, 0.2, 0.3]},
        zip=[{"axes": ["economics.utilization", "batch"]}, {"axes": ["tp", "device"]}],
    )

    assert found.zips == (("device", "tp"), ("economics_utilization", "batch"))
    assert found.rows == 2 * 3


def test_conditions_take_human_units_of_the_column():
    found = spec(
        {"weight_format": ["bf16", "fp8"]},
        what_if={"device.memory_bandwidth": ["1 TB/s", "2 TB/s"]},
        where=[
            {"metric": "tpot_s", "max": "50 ms"},
            {"metric": "total_bytes_per_device", "min": "1 GiB", "max": 2**31},
            {"axis": "device.memory_bandwidth", "in": ["2 TB/s"]},
            {"metric": "mbu", "min": "10 %"},
            {"axis": "weight_format", "in": ["fp8"]},
            {"metric": "status", "in": ["ok"]},
            {"axis": "input_len", "max": "8Ki"},
        ],
    ).where
    by_column = {w.column: (w.minimum, w.maximum, w.allowed) for w in found}

    assert by_column == {
        "tpot_s": (None, 0.05, ()),
        "total_bytes_per_device": (2**30, 2**31, ()),
        "device_memory_bandwidth_bytes_per_s": (None, None, (2e12,)),
        "mbu": (0.1, None, ()),
        "weight_format": (None, None, ("fp8",)),
        "status": (None, None, ("ok",)),
        "input_len": (None, 8192, ()),
    }


def test_output_columns_are_in_the_order_of_their_declaration():
    everything = tuple(column.name for column in METRICS)

    assert spec().output.columns == DEFAULT_METRICS
    assert spec(output={"columns": "all"}).output.columns == everything
    assert spec(output={"columns": ["tpot_s", "batch", "ttft_s"]}).output.columns == (
        "ttft_s",
        "tpot_s",
    )


@pytest.mark.parametrize(
    ("rows_per_shard", "points", "shards"),
    [({}, (1 << 21) // 7, 1), ({"rows_per_shard": 14}, 2, 3), ({"rows_per_shard": 1}, 1, 5)],
)
def test_a_shard_has_at_most_so_many_rows_but_a_whole_point(rows_per_shard, points, shards):
    layers = {"model.layers": {"linear": [10, 50], "n": 5}}
    batch = {"batch": {"pow2": [1, 64]}}
    found = Space(spec(batch, what_if=layers, output=rows_per_shard))

    assert (found.inner_points, found.points_per_shard, found.shards) == (7, points, shards)


def test_a_sample_says_how_many_rows():
    found = spec({"batch": {"pow2": [1, 1024]}}, sample={"method": "random", "n": 7, "seed": 3})

    assert (found.rows, found.grid_rows) == (7, 11)
    assert (found.sample.method, found.sample.seed) == ("random", 3)


def test_sections_that_mean_the_same_have_the_same_form():
    where = [{"metric": "tpot_s", "max": "50 ms"}, {"axis": "batch", "in": [2, 1]}]
    one = spec({"batch": [1, 2], "tp": [1, 2]}, where=where, zip=[{"axes": ["tp", "batch"]}])
    other = spec(
        {"batch": [1, 2], "tp": [1, 2]},
        where=[{"axis": "batch", "in": [1, 2]}, {"metric": "tpot_s", "max": 0.05}],
        zip=[{"axes": ["batch", "tp"]}],
        output={"columns": "default", "dtype": "float32"},
    )

    assert one.to_dict() == other.to_dict()


def test_an_axis_of_a_zip_may_repeat_values():
    axes = {"device": ["h100-sxm", "h100-sxm", "b200"], "tp": [4, 8, 8]}
    zipped = spec(axes=axes, zip=[{"axes": ["device", "tp"]}])

    assert zipped.axis("device").values == ("h100-sxm", "h100-sxm", "b200")
    assert zipped.axis("tp").values == (4, 8, 8)
    with pytest.raises(InputError, match="duplicate"):
        spec(axes=axes)
