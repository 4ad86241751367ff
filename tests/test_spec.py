"""Sweep files: ranges, axes, what-ifs, the canonical form and command-line overrides."""

import json
import math
import pickle
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfcore.catalog import loader
from perfcore.columns import AXES, DEFAULT_METRICS, METRICS
from perfcore.errors import InputError, RenamedWarning
from perfcore.inputs import LIMITS, broken_limits
from perfcore.limits import Limits
from perfcore.reading.places import Place
from perfcore.reading.ranges import expand
from perfcore.space.overrides import parse
from perfcore.space.space import Space
from perfcore.space.spec import Spec

WHOLE = Limits("count", 1, 1e8, whole=True)
REAL = Limits("ratio", 0, 1e9)


def expanded(value, bound):
    place = Place("sweep.toml", "key", [])
    values = expand(value, bound, place)
    assert place.faults == []
    return values


def spec(axes=None, overrides=(), **sections):
    minimal = {"model": ["llama-3-70b"], "device": ["h100-sxm"]}
    document = {"axes": {**minimal, **(axes or {})}, **sections}
    return Spec.from_dict(document, overrides=overrides)


@given(st.sets(st.integers(1, 10**8), min_size=2, max_size=2), st.integers(2, 200))
def test_integer_log_range_has_exact_ends_and_rises_without_repetitions(ends, n):
    low, high = sorted(ends)
    values = expanded({"log": [low, high], "n": n}, WHOLE)

    assert (values[0], values[-1]) == (low, high)
    assert all(isinstance(value, int) for value in values)
    assert all(a < b for a, b in pairwise(values))
    assert len(values) <= n


@given(
    st.floats(1e-6, 1e9),
    st.floats(1e-6, 1e9),
    st.integers(2, 200),
    st.sampled_from(["log", "linear"]),
)
def test_real_range_has_exact_ends_and_rises(a, b, n, form):
    low, high = sorted((a, b))
    if low == high:
        return
    values = expanded({form: [low, high], "n": n}, REAL)

    assert (values[0], values[-1]) == (low, high)
    assert all(x < y for x, y in pairwise(values))
    assert len(values) <= n


@given(st.floats(0.01, 100), st.floats(1.01, 1000), st.integers(3, 60))
def test_steps_of_a_log_range_have_one_ratio_and_of_a_linear_range_one_difference(low, span, n):
    log = expanded({"log": [low, low * span], "n": n}, REAL)
    linear = expanded({"linear": [low, low * span], "n": n}, REAL)

    assert len(log) == len(linear) == n
    for x, y in pairwise(log):
        assert math.isclose(y / x, span ** (1 / (n - 1)), rel_tol=1e-9)
    for x, y in pairwise(linear):
        assert math.isclose(y - x, low * (span - 1) / (n - 1), rel_tol=1e-6)


@given(st.integers(1, 10**8), st.integers(1, 10**8))
def test_pow2_is_every_power_of_two_between_its_ends(a, b):
    low, high = sorted((a, b))
    wanted = tuple(2**k for k in range(28) if low <= 2**k <= high)
    if low < high and wanted:
        assert expanded({"pow2": [low, high]}, WHOLE) == wanted


@given(st.lists(st.integers(1, 10**8), min_size=1, unique=True))
def test_a_list_keeps_its_order_and_a_scalar_is_a_list_of_one(values):
    assert expanded(values, WHOLE) == tuple(values)
    assert expanded(values[0], WHOLE) == (values[0],)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("128Ki", (131072,)),
        (["1K", "2k", 3.0], (1000, 2000, 3)),
        ({"pow2": [1, 1000]}, (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)),
        ({"pow2": ["1Ki", "4Ki"]}, (1024, 2048, 4096)),
        ({"log": [1, 1000], "n": 4}, (1, 10, 100, 1000)),
        ({"log": [1, 4], "n": 100}, (1, 2, 3, 4)),
        ({"linear": [1, 10], "n": 4}, (1, 4, 7, 10)),
        ({"linear": [1, 4], "n": 3}, (1, 3, 4)),
    ],
)
def test_integer_ranges(value, expected):
    assert expanded(value, WHOLE) == expected


def test_halves_and_powers_of_real_ranges():
    assert expanded({"pow2": [0.25, 3]}, REAL) == (0.25, 0.5, 1.0, 2.0)
    assert expanded({"log": [1, 10], "n": 3}, REAL) == (1.0, 3.16227766017, 10.0)
    assert expanded({"linear": [0, 1], "n": 3}, REAL) == (0.0, 0.5, 1.0)


def test_axes_are_in_canonical_order_with_defaults():
    found = Spec.from_dict(
        {"axes": {"output_len": [1, 2], "device": "h100", "model": "llama-3-8b"}}
    )

    assert [axis.name for axis in found.axes] == [column.name for column in AXES]
    assert {axis.name: axis.values for axis in found.axes} == {
        "model": ("llama-3-8b",),
        "device": ("h100-sxm",),
        "engine": ("default",),
        "weight_format": ("bf16",),
        "kv_format": ("bf16",),
        "economics": ("default",),
        "scheduler": ("static",),
        "offload": ("none",),
        "tp": (1,),
        "pp": (1,),
        "dp": (1,),
        "ep": (1,),
        "batch": (1,),
        "prefix_hit": (0.0,),
        "draft_len": (0,),
        "acceptance": (0.0,),
        "input_len": (1024,),
        "output_len": (1, 2),
    }
    assert found.axis("device").entries == (loader.load("device", "h100-sxm"),)
    assert (found.axis("batch").kind, found.axis("model").kind) == ("integer", "categorical")
    assert found.rows == 2
    with pytest.raises(KeyError):
        found.axis("colour")


def test_a_what_if_stands_after_the_records():
    found = spec(
        what_if={
            "engine.launch": ["2 us", "0 us"],
            "device.memory_bandwidth": {"scale": [1, 2]},
        }
    )

    assert [axis.name for axis in found.axes][5:9] == [
        "economics",
        "device_memory_bandwidth_scale",
        "engine_launch_s",
        "scheduler",
    ]
    assert [w.mode for w in found.what_ifs] == ["scale", "set"]
    assert found.axis("engine_launch_s").values == (2e-6, 0.0)
    assert found.axis("engine_launch_s").kind == "real"


@pytest.mark.parametrize(
    ("key", "value", "column", "values"),
    [
        (
            "device.memory_bandwidth",
            ["1 TB/s", 2e12],
            "device_memory_bandwidth_bytes_per_s",
            (1e12, 2e12),
        ),
        ("device.memory_capacity", "80 GiB", "device_memory_capacity_bytes", (80 * 2**30,)),
        ("device.price_per_hour", "2.5 USD/h", "device_price_per_hour_usd", (2.5,)),
        ("device.flops_fp8", 0, "device_flops_fp8_flop_per_s", (0.0,)),
        ("device.board_power", "1 kW", "device_board_power_w", (1000.0,)),
        ("economics.utilization", ["30 %", 1], "economics_utilization", (0.3, 1.0)),
        ("economics.pue", [1, 1.2], "economics_pue", (1.0, 1.2)),
        ("model.layers", [40, 80], "model_layers", (40.0, 80.0)),
        ("weight_format.bits", {"linear": [2, 4], "n": 3}, "weight_format_bits", (2.0, 3.0, 4.0)),
        ("kv_format.bits", {"scale": {"pow2": [0.5, 1]}}, "kv_format_bits_scale", (0.5, 1.0)),
    ],
)
def test_what_ifs(key, value, column, values):
    what_if = spec(what_if={key: value}).what_ifs[0]

    assert (what_if.key, what_if.column_name, what_if.values) == (key, column, values)


def test_a_what_if_may_be_written_in_three_ways():
    forms = [
        spec(what_if={"economics.pue": 1.5}),
        spec(what_if={"economics": {"pue": 1.5}}),
        spec(economics={"pue": 1.5}),
    ]

    assert forms[0] == forms[1] == forms[2]


def test_model_size_is_an_axis():
    one = spec({"model": {"family": "dense", "params": {"log": ["1B", "1T"], "n": 4}}})
    mixed = spec(
        {
            "model": [
                "llama-3-8b",
                {"family": "moe", "params": ["100B", "1T"], "active": [0.05, 0.1]},
            ]
        }
    )

    assert one.axis("model").values == ("dense-1B", "dense-10B", "dense-100B", "dense-1T")
    assert mixed.axis("model").values == (
        "llama-3-8b",
        "moe-100B-A5B",
        "moe-100B-A10B",
        "moe-1T-A50B",
        "moe-1T-A100B",
    )
    assert tuple(e.name for e in mixed.axis("model").entries) == mixed.axis("model").values


def test_sizes_that_look_alike_get_more_digits():
    found = spec({"model": {"family": "dense", "params": [70_000_000_000, 70_000_400_000]}})

    assert found.axis("model").values == ("dense-70B", "dense-70.0004B")


def test_absolute_and_relative_active_sizes():
    for active in ("3B", 0.1, "10 %"):
        found = spec({"model": {"family": "moe", "params": "30B", "active": active}})

        assert found.axis("model").values == ("moe-30B-A3B",)


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    table = {"title": "X", "bits": 4.5, "layout": "x", "quantised": True, "source": "made up"}
    lines = (f"{key} = {json.dumps(value)}" for key, value in table.items())
    (tmp_path / "kv.toml").write_text("[kv4]\n" + "\n".join(lines), encoding="utf-8")
    (tmp_path / "sweep.toml").write_text(
        '[axes]\nmodel = "llama-3-8b"\ndevice = "h100"\nkv_format = ["bf16", "./kv.toml"]\n',
        encoding="utf-8",
    )
    monkeypatch.chdir("/")
    found = Spec.from_toml(tmp_path / "sweep.toml")

    assert found.name == "sweep"
    assert found.axis("kv_format").values == ("bf16", "kv4")
    assert found.axis("kv_format").entries[1].bits == 4.5


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
    [({}, (1 << 20) // 7, 1), ({"rows_per_shard": 14}, 2, 3), ({"rows_per_shard": 1}, 1, 5)],
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


def test_the_number_of_rows_is_exact_however_large():
    lengths = {"linear": [1, 10**8], "n": 10**5}
    found = spec(
        {"batch": {"linear": [1, 10**6], "n": 1000}, "input_len": lengths, "output_len": lengths}
    )

    assert found.rows == 10**13


@given(st.permutations(["model", "device", "tp", "batch", "input_len"]))
def test_canonical_form_does_not_depend_on_the_order_of_keys(order):
    axes = {
        "model": ["llama-3-8b", "llama-3-70b"],
        "device": ["h100"],
        "tp": [1, 2],
        "batch": {"pow2": [1, 8]},
        "input_len": "1Ki",
    }
    shuffled = Spec.from_dict({"axes": {key: axes[key] for key in order}})

    assert json.dumps(shuffled.to_dict()) == json.dumps(Spec.from_dict({"axes": axes}).to_dict())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"batch": {"pow2": [1, 8]}}, {"batch": [1, 2, 4, "8"]}),
        ({"input_len": "128Ki"}, {"input_len": [131072.0]}),
        ({"device": ["H100"]}, {"device": "h100_sxm"}),
        ({}, {"tp": 1, "kv_format": ["auto"]}),
        (
            {"model": {"family": "dense", "params": "70B"}},
            {"model": [{"params": 7e10, "family": "dense"}]},
        ),
    ],
)
def test_what_means_the_same_has_the_same_form(one, other):
    assert spec(one).to_dict() == spec(other).to_dict()
    assert spec(one).fingerprint() == spec(other).fingerprint()


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


@pytest.mark.parametrize(
    "change",
    [
        {"axes": {"batch": [2, 1]}},
        {"axes": {"device": "b200"}},
        {"what_if": {"economics.pue": 1.5}},
        {"what_if": {"device.idle_power": 1}},
        {"what_if": {"device.idle_power": {"scale": 1}}},
        {"where": [{"metric": "tpot_s", "max": 1}]},
        {"output": {"columns": "all"}},
        {"output": {"rows_per_shard": 1 << 19}},
        {"sample": {"n": 3}},
    ],
)
def test_what_means_something_else_has_another_fingerprint(change):
    base = spec({"batch": [1, 2]})
    changed = spec(**{**change, "axes": {"batch": [1, 2], **change.get("axes", {})}})

    assert changed.fingerprint() != base.fingerprint()


def test_a_name_is_part_of_the_fingerprint_as_files_carry_it():
    assert spec(name="a").to_dict() != spec(name="b").to_dict()
    assert spec(name="a").fingerprint() != spec(name="b").fingerprint()


def test_an_axis_of_a_zip_may_repeat_values():
    axes = {"device": ["h100-sxm", "h100-sxm", "b200"], "tp": [4, 8, 8]}
    zipped = spec(axes=axes, zip=[{"axes": ["device", "tp"]}])

    assert zipped.axis("device").values == ("h100-sxm", "h100-sxm", "b200")
    assert zipped.axis("tp").values == (4, 8, 8)
    with pytest.raises(InputError, match="duplicate"):
        spec(axes=axes)


def test_canonical_form_is_json():
    form = spec(what_if={"economics.pue": [1, 2]}, sample={"n": 5}).to_dict()

    assert json.loads(json.dumps(form, allow_nan=False)) == form


@pytest.mark.parametrize(
    ("text", "keys", "value"),
    [
        ("axes.batch=[1,2,4]", ("axes", "batch"), [1, 2, 4]),
        ("axes.batch = 8 ", ("axes", "batch"), 8),
        ("axes.model=llama-3-70b", ("axes", "model"), "llama-3-70b"),
        ("axes.device=./x.toml", ("axes", "device"), "./x.toml"),
        ("axes.input_len=128Ki", ("axes", "input_len"), "128Ki"),
        ("description=a = b", ("description",), "a = b"),
        ('name="1"', ("name",), "1"),
        ("output.keep_infeasible=true", ("output", "keep_infeasible"), True),
        (
            'what_if."device.memory_bandwidth"={scale=[1,2]}',
            ("what_if", "device.memory_bandwidth"),
            {"scale": [1, 2]},
        ),
    ],
)
def test_override_is_a_dotted_key_and_a_toml_value(text, keys, value):
    place = Place("sweep.toml", "", [])

    assert parse(text, place) == (keys, value)
    assert place.faults == []


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=9, unique=True))
def test_an_overridden_axis_is_as_if_written_so(values):
    overridden = spec({"batch": 3}, overrides=[f"axes.batch={values}"])

    assert overridden == spec({"batch": values})


def test_overrides_are_applied_in_order_and_before_validation():
    found = spec(
        {"batch": "nonsense", "input_len": {"log": [1, 10], "n": 2}},
        overrides=[
            "axes.batch=2",
            "axes.batch=4",
            "axes.input_len.n=10",
            "economics.utilization=0.5",
            "device.memory_bandwidth={scale=[1,2]}",
            "what_if.device.idle_power=7",
            'where=[{metric="tpot_s",max="50 ms"}]',
        ],
    )

    assert found.axis("batch").values == (4,)
    assert len(found.axis("input_len")) > 2
    assert [what_if.key for what_if in found.what_ifs] == [
        "device.memory_bandwidth",
        "device.idle_power",
        "economics.utilization",
    ]
    assert found.where[0].maximum == 0.05


@pytest.mark.parametrize(
    "override",
    [
        'axes.kv_format="./kv.toml"',
        'axes.kv_format=["kv.toml"]',
        'axes.kv_format=["kv.toml:kv4"]',
        'axes={model="llama-3-8b",device="h100",kv_format="./kv.toml"}',
    ],
)
def test_paths_of_overrides_are_found_from_here_and_those_of_a_file_from_there(
    tmp_path, monkeypatch, override
):
    entry = '[{}]\nbits = 4.5\nlayout = "own"\nquantised = true\nsource = "me"\n'
    (tmp_path / "there").mkdir()
    (tmp_path / "kv.toml").write_text(entry.format("kv4"))
    (tmp_path / "there" / "kv.toml").write_text(entry.format("kv5"))
    (tmp_path / "there" / "sweep.toml").write_text(
        '[axes]\nmodel = "llama-3-8b"\ndevice = "h100"\nkv_format = "kv.toml"\n'
    )
    monkeypatch.chdir(tmp_path)

    assert Spec.from_toml("there/sweep.toml").axis("kv_format").values == ("kv5",)
    found = Spec.from_toml("there/sweep.toml", [override])
    assert found.axis("kv_format").values == ("kv4",)


def test_overrides_leave_the_mapping_as_it_was():
    document = {"axes": {"model": "llama-3-8b", "device": "h100", "batch": {"pow2": [1, 2]}}}
    before = json.dumps(document)
    Spec.from_dict(document, overrides=["axes.batch.pow2=[1,8]", "economics.pue=1.2"])

    assert json.dumps(document) == before


@pytest.mark.parametrize(
    ("record", "field"), [(record, field) for record, fields in LIMITS.items() for field in fields]
)
def test_every_field_of_every_record_has_bounds(record, field):
    bound = LIMITS[record][field]

    assert 0 <= bound.low < bound.high


@pytest.mark.parametrize("kind", ["model", "device", "weight_format", "kv_format"])
def test_the_catalogue_lies_within_the_bounds(kind):
    broken = {
        name: broken_limits(kind, loader.load(kind, name).record()) for name in loader.names(kind)
    }

    assert {name: fields for name, fields in broken.items() if fields} == {}


def test_broken_bounds_name_the_fields():
    values = SimpleNamespace(**dict.fromkeys(LIMITS["kv_format"], 1.0), bits_per_element=0)

    assert broken_limits("kv_format", values) == ()
    values.bits = 0.0
    values.quantised = 0.5
    assert broken_limits("kv_format", values) == ("bits", "quantised")


def test_reading_a_sweep_imports_neither_numba_nor_numpy_nor_pyarrow():
    code = (
        "import sys, perfcore.space.spec; print({'numba', 'numpy', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def test_a_specification_can_be_handed_to_another_process():
    found = spec({"batch": [1, 2]}, what_if={"economics.pue": 1.2})

    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301


def test_all_faults_are_carried_by_the_error():
    with pytest.raises(InputError) as caught:
        spec({"batch": 0, "tp": 0, "device": "h1000"})

    assert len(caught.value.faults) == 3


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("device.memory_bytes", "device.memory_capacity", "80 GB"),
        ("device.memory2_bytes", "device.memory2_capacity", "1 TB"),
        ("device.price_spot", "device.spot_price_per_hour", "1 USD/h"),
        ("device.price_list", "device.purchase_price", "30000 USD"),
        ("kv_format.kernel", "kv_format.quantised", 1),
    ],
)
def test_former_names_are_understood_with_a_note(old, new, value):
    with pytest.warns(RenamedWarning, match=f"{old} is called {new} now"):
        found = spec({}, what_if={old: value})

    assert found.what_ifs == spec({}, what_if={new: value}).what_ifs
