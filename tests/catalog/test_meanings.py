"""Meanings of the fields of models and devices."""

from perfcore.catalog.meanings import MODEL, meanings_of
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.schema import DeviceEntry


def test_every_field_has_a_meaning():
    assert set(MODEL) == set(ModelEntry.model_fields)
    found = meanings_of(DeviceEntry)
    assert set(found) == set(DeviceEntry.model_fields)
    assert all(meaning.text for meaning in (*MODEL.values(), *found.values()))
