"""A directory with a model in it."""

import json

import pytest

from catalog.importing.configs import LLAMA, written


@pytest.fixture
def directory(tmp_path):
    made = tmp_path / "My Model_1"
    made.mkdir()
    written(made, json.dumps(LLAMA))
    return made
