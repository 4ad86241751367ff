"""Sweep files as a whole: the canonical form and its fingerprint."""

import json
import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfcore.errors import InputError, RenamedWarning
from perfcore.space.spec import Spec


def spec(axes=None, overrides=(), **sections):
    minimal = {"model": ["llama-3-70b"], "device": ["h100-sxm"]}
    document = {"axes": {**minimal, **(axes or {})}, **sections}
    return Spec.from_dict(document, overrides=overrides)


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


def test_canonical_form_is_json():
    form = spec(what_if={"economics.pue": [1, 2]}, sample={"n": 5}).to_dict()

    assert json.loads(json.dumps(form, allow_nan=False)) == form


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
    with pytest.warns(RenamedWarning, match=f"{old} has been renamed to {new}"):
        found = spec({}, what_if={old: value})

    assert found.what_ifs == spec({}, what_if={new: value}).what_ifs
