"""Results as a file."""

import json

import pytest


@pytest.fixture
def save(tmp_path):
    def write(*documents, name="results.json"):
        path = tmp_path / name
        path.write_text("\n".join(json.dumps(document) for document in documents))
        return str(path)

    return write
