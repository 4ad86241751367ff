"""Fixtures of runs, and Hypothesis profiles.

``PERFCORE_HYPOTHESIS_PROFILE`` names one of these, on CI it is ``ci``.
"""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["runs", "faults.record"]

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("dev", max_examples=50, deadline=None, suppress_health_check=SLOW)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.register_profile("nightly", settings.get_profile("dev"), max_examples=10_000)
settings.load_profile(
    os.environ.get("PERFCORE_HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)
