"""A run of one's own, to be damaged."""

import shutil

import pytest


@pytest.fixture
def run(whole, tmp_path):
    """A run that may be damaged."""
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"
