"""Laws of a server on random configurations of the catalogue, in the compiled kernel."""

import importlib.util

import numpy as np
import pytest
from paths import ROOT

CONFIGURATIONS = 10_000


def program():
    """Return the program of benchmarks/ as a module."""
    spec = importlib.util.spec_from_file_location("check_laws", ROOT / "benchmarks/check_laws.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def check_laws():
    return program()


@pytest.fixture(scope="module")
def drawn(check_laws):
    sample = check_laws.sample(CONFIGURATIONS, 1)
    return sample, sample.results()


def test_many_configurations_run(drawn):
    assert (drawn[1]["status"] == 0).sum() > CONFIGURATIONS / 4


def test_no_law_is_broken(check_laws, drawn):
    sample, before = drawn
    faults = {law.name: check_laws.broken(law, sample, before) for law in check_laws.laws(sample)}

    assert {name for name, found in faults.items() if np.any(found > 0)} == set()
