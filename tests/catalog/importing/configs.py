"""Published config.json files, and how tests change and read them."""

import copy
import json

import pytest
from paths import ROOT

from perfcore.catalog.importing.huggingface import from_config
from perfcore.catalog.model_entry import ModelEntry
from perfcore.errors import InputError

CASES = json.loads((ROOT / "tests" / "data" / "hf_configs.json").read_text("utf-8"))
# Configurations as transformers 5.24 saves them, mostly those of its classes' defaults. Their
# parameters were counted in models that it instantiated without weights, and the elements that a
# token adds to their caches in caches of 8 and 16 tokens.
SAVED = json.loads((ROOT / "tests" / "data" / "hf_saved.json").read_text("utf-8"))
IDENTITY = {"name": "it", "source": "a test"}
LLAMA = CASES["llama"]["config"]


def read(config, place="config.json"):
    return from_config(config, place, IDENTITY)


def changed(config, **changes):
    """Return a copy of a config; a field that is set to ``...`` is left out."""
    merged = {**copy.deepcopy(config), **changes}
    return {key: value for key, value in merged.items() if value is not ...}


def faults_of(config):
    with pytest.raises(InputError) as caught:
        read(config)
    return caught.value.faults


def assert_model_or_faults(importing, place):
    """Whatever is read ends in a model that can be computed with, or in lines that name it."""
    faults = ()
    try:
        entry = importing()
    except InputError as error:
        faults = error.faults
    if faults:
        assert all(fault.startswith(place) for fault in faults)
        assert not any("\n" in fault for fault in faults)
    else:
        assert isinstance(entry, ModelEntry)
        assert all(value >= 0 for value in entry.record())


def written(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
