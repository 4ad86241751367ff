"""Meanings of the fields of models and devices."""

from perfcore.catalog.meanings import DEVICE, MODEL
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.schema import DeviceEntry


def test_every_field_has_a_meaning():
    assert set(MODEL) == set(ModelEntry.model_fields)
    assert set(DEVICE) == set(DeviceEntry.model_fields)
    assert all(meaning.text for meaning in (*MODEL.values(), *DEVICE.values()))
