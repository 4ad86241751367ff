"""Fixtures of runs, Hypothesis profiles, and which tests are left for later.

``PERFCORE_HYPOTHESIS_PROFILE`` names one of the profiles, on CI it is ``ci``.

Tests that start processes, kill them, build pages or drive a browser are marked ``slow``. They run
if they are asked for: by a path (``pytest tests``), by ``-k``, or by ``-m slow``.
"""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["runs", "faults.record"]

# tests start hundreds of interpreters, each of which would compile all that it imports
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("dev", max_examples=50, deadline=None, suppress_health_check=SLOW)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.register_profile("nightly", settings.get_profile("dev"), max_examples=10_000)
settings.load_profile(
    os.environ.get("PERFCORE_HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)


def pytest_configure(config):
    """Leave slow tests for later, unless a path or an expression asks for some.

    Workers are given paths by the process that starts them, whose decision they have in ``-m``.
    """
    asked = config.args_source is config.ArgsSource.ARGS or config.option.keyword
    if not asked and not config.option.markexpr:
        config.option.markexpr = "not slow"


def pytest_collection_modifyitems(items):
    for item in items:
        if "browser" in item.fixturenames:
            item.add_marker(pytest.mark.slow)
