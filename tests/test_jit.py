"""Kernels are compiled and cached with settings of their own; Numba's stay as they are."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SUM = """
import numba
import numpy as np


@numba.njit(cache=True)
def total(count):
    numbers = np.zeros(count)
    result = 0.0
    for place in range(count):
        numbers[place] = place
    for place in range(count):
        result += numbers[place]
    return result
"""

PROGRAM = """
import json
from numba.core import config

names = [name for name in dir(config) if name.isupper()]
before = {name: getattr(config, name) for name in names}

import perfcore
from perfcore.kernel import jit
from perfcore.kernel.loops import fill_columns

imported = {name: getattr(config, name) for name in names}

import theirs_before

theirs_before.total(3)
generator = theirs_before.total.targetctx.codegen()
axes = {
    "model": ["llama-3.1-8b"], "device": ["h100-sxm"], "batch": [1], "input_len": [1024],
    "output_len": [256],
}
rows = perfcore.sweep({"axes": axes}).num_rows

import theirs_after

theirs_after.total(3)
(ours,) = fill_columns.overloads.values()
print(json.dumps({
    "unchanged": before == imported == {name: getattr(config, name) for name in names},
    "generators": [
        theirs_before.total.targetctx.codegen() is generator,
        [one.library.codegen is generator for one in theirs_after.total.overloads.values()],
        ours.library.codegen is generator,
    ],
    "theirs": [theirs_before.total.stats.cache_path, theirs_after.total.stats.cache_path],
    "hits": {
        "theirs": sum(theirs_after.total.stats.cache_hits.values()),
        "ours": sum(fill_columns.stats.cache_hits.values()),
    },
    "ours": fill_columns.stats.cache_path,
    "cache": str(jit.CACHE),
    "rows": rows,
}))
"""


def test_kernels_of_other_packages_are_not_touched(tmp_path):
    """Their code lies where Numba puts it, is compiled as Numba does, and found again; so is ours.

    The second process compiles nothing, and what it loads computes as what was compiled.
    """
    for name in ("theirs_before", "theirs_after"):
        (tmp_path / f"{name}.py").write_text(SUM)
    environment = {name: value for name, value in os.environ.items() if "NUMBA" not in name}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), *sys.path])
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run():
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    run()
    found = run()

    assert found["unchanged"]
    assert found["generators"] == [True, [True], False]
    assert found["theirs"] == [str(tmp_path / "__pycache__")] * 2
    assert len(list(tmp_path.rglob("*.nbi"))) == 2
    assert found["ours"] == found["cache"]
    assert found["hits"] == {"theirs": 1, "ours": 1}
    assert found["rows"] == 1


def test_kernels_need_no_place_that_can_be_written(tmp_path):
    """A cache that another user filled, or a full disk: what cannot be kept is compiled again."""
    program = (
        "from perfcore.kernel import jit\n"
        "def refuse(*_):\n    raise PermissionError(13, 'Permission denied')\n"
        "jit.caching.IndexDataCacheFile.save = refuse\n"
        "double = jit.kernel(lambda number: 2.0 * number)\n"
        "assert double(2.0) == 4.0\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PERFCORE_CACHE": str(tmp_path)},
    )

    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("*.nbi"))
