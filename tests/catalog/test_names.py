"""Names by which models are found."""

import pytest

from catalog.counts import COUNTS
from perfcore.catalog.loader import load_model


@pytest.mark.parametrize("name", COUNTS)
def test_models_are_found_by_their_hugging_face_name(name):
    entry = load_model(name)
    if entry.hf_id:
        assert load_model(entry.hf_id.upper()) is entry
    else:
        assert name in {"gpt-3-175b", "palm-8b", "palm-62b", "palm-540b"}
    assert entry.source


@pytest.mark.parametrize("alias", ["llama3-70b", "Meta-Llama-3-70B", "Llama_3-70B"])
def test_common_spellings(alias):
    assert load_model(alias).name == "llama-3-70b"
