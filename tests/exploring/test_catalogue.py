"""Records of the catalogue in a page: those that a configuration uses."""

import functools
import math

from hypothesis import example, given
from hypothesis import strategies as st

from perfcore import catalog
from perfcore.configuration.configuration import Configuration
from perfcore.exploring.catalogue import catalogue
from perfcore.inputs import RECORDS


@functools.cache
def everything():
    return catalogue(())


def names(kind):
    return st.sampled_from(catalog.names(kind))


def test_every_entry_is_there():
    for kind, record in RECORDS.items():
        assert list(everything()[kind]) == catalog.names(kind)
        if kind != "engine":
            assert {len(told["record"]) for told in everything()[kind].values()} == {
                len(record._fields)
            }


@given(names("model"), names("device"), names("engine"), names("weight_format"))
@example("deepseek-v3", "h200-sxm", "sglang", "fp8")  # means its own blocks
def test_records_are_those_of_a_configuration(model, device, engine, form):
    configuration = Configuration(model, device, engine, form)
    made, form = configuration.records, configuration.entries.weight_format.name
    use = everything()["engine"][engine]["uses"][device]
    place = use[int(made.weight_format.kernel)] if isinstance(use, list) else use

    assert everything()["model"][model]["record"] == list(made.model)
    assert everything()["device"][device]["record"] == list(made.device)
    assert everything()["weight_format"][form]["record"] == list(made.weight_format)
    assert everything()["constants"][place] == list(made.engine)
    assert all(map(math.isfinite, everything()["constants"][place]))


def test_a_model_of_a_file_replaces_the_catalogue_s_and_brings_its_bits():
    entry = catalog.load_model("llama-3.1-8b").model_copy(update={"wide_attention": 1.0})
    told = catalogue([(entry, "my own.toml")])["model"]["llama-3.1-8b"]
    made = Configuration(entry, "h100-sxm", weight_format="fp8").records.weight_format

    assert told["word"] == "my own.toml"
    assert told["formats"]["fp8"] == list(made)
    assert "bf16" not in told["formats"]
    assert "formats" not in everything()["model"]["llama-3.1-8b"]
