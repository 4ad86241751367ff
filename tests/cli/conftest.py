"""A small sweep as a file."""

import pytest

SPEC = """
description = "Two small questions."
[axes]
model = ["llama-3-8b", "llama-3-70b"]
device = ["h100-sxm", "groq-lpu", "hbm4-6tbs"]
batch = { pow2 = [1, 8] }
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SPEC)
    return path
