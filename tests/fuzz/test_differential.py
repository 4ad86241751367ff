"""All ways in which perfcore computes the same rows, on random sweeps.

``PERFCORE_FUZZ_SPECS`` is the number of sweeps, 20 by default; ``differential.py`` checks others.
"""

import os

import differential
import pytest
import specs

pytestmark = pytest.mark.slow

SPECS = int(os.environ.get("PERFCORE_FUZZ_SPECS", "20"))
CHUNKS = 10  # for processes to share


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_sweeps_have_the_same_rows_in_all_ways(chunk):
    for seed in range(chunk, SPECS, CHUNKS):
        failed = differential.report(f"seed {seed}", specs.random_spec(seed))
        assert not failed, failed
