"""Hostile JSON."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import perfcore
from catalog.importing.configs import CASES, LLAMA, assert_model_or_faults, read, written
from perfcore.catalog.importing.document import read_json
from perfcore.errors import InputError


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
        ("[]", "is not an object"),
        ("null", "is not an object"),
        ('{"hidden_size": 1, "hidden_size": 2}', "key 'hidden_size' appears twice"),
        ('{"a": {"b": 1, "b": 2}}', "key 'b' appears twice"),
        ('{"a": ' + "9" * 5000 + "}", "more than 4300 digits"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b" " * (4 * 2**20 + 1), "larger than 4 MiB"),
    ],
)
def test_json_that_is_none(tmp_path, text, match):
    with pytest.raises(InputError, match=match):
        read_json(written(tmp_path, text))


def test_not_a_number_may_stand_where_nobody_looks(tmp_path):
    path = written(tmp_path, json.dumps({**LLAMA, "attention_scale": float("nan")}))

    assert perfcore.load_model(str(path)).hidden_size == 4096


def test_surrogates_do_not_get_out(tmp_path):
    directory = tmp_path / "modèle \u2028 x"
    directory.mkdir()
    text = json.dumps({**LLAMA, "model_type": "nov\ud800el\x1b[31m"})
    entry = perfcore.load_model(str(written(directory, text)))

    for told in (entry.source, entry.estimated["layer_types"], entry.title):
        assert told.encode().decode().isprintable()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["auto", "4096", "full_attention", "mamba", "M*-E"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
KEYS = sorted({key for case in CASES.values() for key in case["config"]})


@given(st.data())
def test_mutated_configs_are_models_or_input_errors(data):
    config = dict(data.draw(st.sampled_from(list(CASES.values())))["config"])
    inner = config.get("text_config")
    target = dict(inner) if isinstance(inner, dict) and data.draw(st.booleans()) else config
    for key in data.draw(st.lists(st.sampled_from(KEYS), max_size=4)):
        target[key] = data.draw(JSON | st.integers(0, 100_000))
    for key in data.draw(st.lists(st.sampled_from(sorted(target)), max_size=2)):
        target.pop(key, None)
    if target is not config:
        config["text_config"] = target

    assert_model_or_faults(lambda: read(config), "config.json")


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), JSON, max_size=8))
def test_random_objects_are_input_errors(config):
    with pytest.raises(InputError):
        read({key: value for key, value in config.items() if key != "hidden_size"})


@settings(max_examples=30)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_random_files_are_input_errors(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "random.json"
    path.write_bytes(text)
    with pytest.raises(InputError):
        perfcore.load_model(str(path))
