"""Measurements, as shipped, as written and as simulated, and their scores."""

import pytest

from accuracy.measured import HEADER, simulated_questions
from perfcore.accuracy.scores import score
from perfcore.accuracy.table import read_measurements, shipped


@pytest.fixture(scope="session")
def licensed():
    return read_measurements(shipped())


@pytest.fixture(scope="session")
def scored(licensed):
    return score(licensed)


@pytest.fixture
def write(tmp_path):
    def written(*lines, header=HEADER):
        path = tmp_path / "measured.csv"
        path.write_text("\n".join((header, *lines)) + "\n")
        return path

    return written


@pytest.fixture(scope="session")
def simulated():
    return simulated_questions()
