"""Overrides of a sweep file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfcore.reading.places import Place
from perfcore.space.overrides import parse
from perfcore.space.spec import Spec


def spec(axes=None, overrides=(), **sections):
    minimal = {"model": ["llama-3-70b"], "device": ["h100-sxm"]}
    document = {"axes": {**minimal, **(axes or {})}, **sections}
    return Spec.from_dict(document, overrides=overrides)


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
