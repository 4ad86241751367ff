"""Axes in canonical order, what-ifs, and paths in a file."""

import json

import pytest

from perfcore.catalog import loader
from perfcore.columns import AXES
from perfcore.errors import InputError
from perfcore.reading.places import Place
from perfcore.space.axes import factors_in, parse_what_ifs
from perfcore.space.space import Space
from perfcore.space.spec import Spec


def spec(axes=None, overrides=(), **sections):
    minimal = {"model": ["llama-3-70b"], "device": ["h100-sxm"]}
    document = {"axes": {**minimal, **(axes or {})}, **sections}
    return Spec.from_dict(document, overrides=overrides)


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
        "gpu_layers": (1_000_000,),
        "cpu_moe_layers": (1_000_000,),
        "batch": (1,),
        "prefix_hit": (0.0,),
        "draft_len": (0,),
        "acceptance": (0.0,),
        "acceptance_decay": (0.95,),
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


def test_drafts_without_an_acceptance_are_refused():
    """Otherwise they would slow decode down without a word."""
    axes = {"model": ["llama-3-8b"], "device": ["h100-sxm"], "draft_len": [0, 3]}
    with pytest.raises(InputError, match="draft_len: all drafts are rejected"):
        Space.from_dict({"axes": axes})

    assert Space.from_dict({"axes": {**axes, "acceptance": [0.0, 0.7]}}).rows == 4


# Power limits


@pytest.mark.parametrize(
    ("given", "name", "values"),
    [
        (300, "device_board_power_w", (300.0,)),
        (["300 W", "0.4 kW"], "device_board_power_w", (300.0, 400.0)),
        ("70 %", "device_board_power_scale", (0.7,)),
        (["40%", "100 %"], "device_board_power_scale", (0.4, 1.0)),
    ],
)
def test_a_power_limit_is_a_what_if_of_the_device(given, name, values):
    axes = {"model": "llama-3.1-8b", "device": "h100-sxm", "power_limit": given}

    assert Spec.from_dict({"axes": axes}).axis(name).values == values


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("170 %", "not a share of the rated power"),
        (["x %"], "not a share of the rated power"),
        (["70 %", 300], "shares and powers are mixed"),
        (-1, "power_limit"),
    ],
)
def test_faulty_power_limits(given, message):
    axes = {"model": "llama-3.1-8b", "device": "h100-sxm", "power_limit": given}
    with pytest.raises(InputError, match=message):
        Spec.from_dict({"axes": axes})
    twice = {"axes": {**axes, "power_limit": 300}, "what_if": {"device.board_power": 300}}
    with pytest.raises(InputError, match="leave out one"):
        Spec.from_dict(twice)


def test_hosts_are_what_ifs_of_the_device_that_vary_together():
    axes = {"model": "gpt-oss-120b", "device": "rtx-3090", "offload": "experts"}
    found = Spec.from_dict({"axes": {**axes, "host": ["ddr4-3200", "epyc-9004"]}})
    space = Space(found)
    one = Space.from_dict({"axes": {**axes, "host": "epyc-9004"}})

    names = [what_if.key for what_if in found.what_ifs]
    assert names == [
        "device.host_memory_capacity",
        "device.host_memory_bandwidth",
        "device.host_flops",
    ]
    assert space.rows == 2
    rates = [what_if.values for what_if in found.what_ifs]
    assert rates == [(128e9, 768e9), (51.2e9, 460.8e9), (1.74e12, 14.7e12)]
    assert one.rows == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("ddr6", "unknown host 'ddr6'"),
        (["ddr5-6000", "am5"], "hosts are the same"),
        ([], "is empty"),
        (7, "7 is not a name"),
    ],
)
def test_faulty_hosts(given, message):
    with pytest.raises(InputError, match=message):
        spec({"host": given})
    with pytest.raises(InputError, match=r"beside device\.host_flops"):
        spec({"host": "ddr5-6000"}, what_if={"device.host_flops": "2 TFLOP/s"})


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("2x", "{ scale = 2 }"),
        ("x1.5", "{ scale = 1.5 }"),
        ("1x, 2x", "{ scale = [1, 2] }"),
        ("[1x,.5x]", "{ scale = [1, .5] }"),
    ],
)
def test_a_factor_leads_to_scale(text, remedy):
    faults = []
    found = parse_what_ifs({"device.memory_bandwidth": text}, Place("spec", "", faults))

    assert found == {}
    assert faults == [f'spec: "device.memory_bandwidth": {text!r} is a factor; write {remedy}']


@pytest.mark.parametrize("given", ["2 TB/s", 3, "x", "", "2x, 3 TB/s", ["2x"]])
def test_what_is_no_factor(given):
    assert factors_in(given) == ""
