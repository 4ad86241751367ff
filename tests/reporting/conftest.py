"""A sweep and its run, and a picture of every kind."""

import pytest

import perfcore
from perfcore.reporting.kinds import gather
from perfcore.reporting.names import KINDS
from perfcore.reporting.opening import open_source
from reporting.swept import SPEC


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("plots")
    (path / "small.toml").write_text(SPEC)
    perfcore.sweep(path / "small.toml", path / "run")
    perfcore.sweep(path / "small.toml", path / "bare", overrides=['output.columns=["tpot_s"]'])
    return path


@pytest.fixture(scope="session")
def source(folder):
    return open_source(folder / "small.toml")


@pytest.fixture(scope="session")
def rows(folder):
    """All rows, for answers that are found in another way."""
    return perfcore.sweep(folder / "small.toml").to_pylist()


@pytest.fixture(scope="session")
def pictures(source):
    return {kind: gather(source, kind) for kind in KINDS}
