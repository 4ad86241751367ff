"""Fixtures of runs, Hypothesis profiles, and which tests are left for later.

``PERFCORE_HYPOTHESIS_PROFILE`` names a profile: ``usual`` tries the same examples each time, so
that a failure says something about a change; ``nightly`` searches at random.

Tests that start or kill processes, build pages, drive a browser or repeat whole runs are marked
``slow``. They run if they are asked for: by a path (``pytest tests``), ``-k`` or ``-m slow``.
"""

import os
import pkgutil
import sys
from importlib import import_module

import pytest
from hypothesis import HealthCheck, settings

import perfcore

pytest_plugins = ["runs", "faults.record"]

# tests start hundreds of interpreters, each of which would compile all that it imports
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "usual", max_examples=50, derandomize=True, deadline=None, suppress_health_check=SLOW
)
settings.register_profile(
    "nightly", settings.get_profile("usual"), max_examples=10_000, derandomize=False
)
settings.load_profile(os.environ.get("PERFCORE_HYPOTHESIS_PROFILE") or "usual")


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


def pytest_collection_finish():
    """Import all modules: Hypothesis draws their constants, which depend on no other test then."""
    for module in pkgutil.walk_packages(perfcore.__path__, "perfcore."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
