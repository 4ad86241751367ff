"""Groups of devices."""

from typing import get_args

import pytest

import perfcore
from perfcore.catalog import loader
from perfcore.catalog.groups import devices_of
from perfcore.catalog.names import normalise
from perfcore.catalog.schema import DeviceClass
from perfcore.errors import InputError
from perfcore.space.spec import Spec


@pytest.mark.parametrize("word", ["all", "nvidia", "NVIDIA", "Apple", "datacentre-gpu-hopper"])
def test_groups_hold_devices_on_the_market(word):
    found = devices_of(word)

    assert len({entry.name for entry in found}) == len(found) > 1
    for entry in found:
        assert entry.status == "available"
        assert word == "all" or word.lower() in (entry.vendor.lower(), entry.device_class)


def test_other_words_name_no_group():
    assert devices_of("h100-sxm") == ()
    names = {normalise(name) for name in loader.names("device")} | {*loader.aliases("device")}
    vendors = {entry.vendor.casefold() for entry in devices_of("all")}
    # a name comes first, so it may be that of a vendor with a single device
    for word in names & {"all", *get_args(DeviceClass), *vendors}:
        assert len(devices_of(word)) == 1


def test_a_sweep_takes_groups():
    spec = Spec.from_dict({"axes": {"model": "llama-3.1-8b", "device": ["google", "h100-sxm"]}})

    expected = [entry.name for entry in devices_of("google")]
    assert spec.axis("device").values == (*expected, "h100-sxm")


def test_an_unknown_word_says_what_stands_for_several():
    with pytest.raises(InputError) as told:
        Spec.from_dict({"axes": {"model": "llama-3.1-8b", "device": "gpu"}})

    assert told.value.faults[0].endswith("'all', a vendor or a class stands for its devices")


def test_a_part_of_the_name_of_a_class_leads_to_it():
    with pytest.raises(perfcore.InputError, match="did you mean the class 'datacentre-gpu-hopper'"):
        perfcore.plan({"axes": {"model": "llama-3.1-8b", "device": "hopper"}})
