"""A sweep in memory, and an own catalogue that may change."""

import pytest

import perfcore
from diffing.sweeps import CHIP, OWN, SPEC


@pytest.fixture(scope="session")
def swept():
    return perfcore.sweep(SPEC)


@pytest.fixture
def own(tmp_path):
    (tmp_path / "sweep.toml").write_text(OWN)

    def run(name, bandwidth="3 TB/s", source="me"):
        (tmp_path / "chip.toml").write_text(CHIP.format(bandwidth=bandwidth, source=source))
        return perfcore.sweep(tmp_path / "sweep.toml", tmp_path / name).path

    return run
