"""What the package needs, and that it builds to the same bytes."""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
NEEDS = {
    need
    for needs in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for need in needs
    if not need.startswith("perfcore[")
}
# What no test of .ci/oldest needs.
TOOLS = {"furo", "math-core", "mypy", "myst-parser", "ruff", "sphinx"}
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints" / "oldest.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
)


def version(text):
    numbers = [int(part) for part in text.split(".")]
    return tuple(numbers + [0] * (3 - len(numbers)))


@pytest.mark.parametrize("need", sorted(NEEDS))
def test_lower_bounds_are_those_that_are_tested(need):
    """A bound without an upper one, and the release that .ci/oldest installs."""
    found = re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", need)

    assert found, need
    name, least = found.groups()
    if name not in TOOLS:
        assert version(PINS[name]) == version(least), f"constraints/oldest.txt: {name}"


def test_nothing_is_pinned_that_is_not_needed():
    assert set(PINS) <= {re.split(r"[>\[]", need)[0] for need in NEEDS}


def test_the_package_needs_little():
    """Ten: filelock and psutil stand for locks and memory figures that each system has its own of.

    Both need nothing themselves.
    """
    assert len(PROJECT["dependencies"]) <= 10


BUILD = """
import os, sys
from hatchling.builders.wheel import WheelBuilder
print(next(WheelBuilder(sys.argv[1]).build(directory=sys.argv[2], versions=["standard"])))
"""


def test_two_builds_are_the_same_bytes(tmp_path):
    pytest.importorskip("hatchling")
    digests = []
    for name in ("one", "two"):
        done = subprocess.run(
            [sys.executable, "-c", BUILD, str(ROOT), str(tmp_path / name)],
            env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
            capture_output=True,
            text=True,
            check=True,
        )
        wheel = Path(done.stdout.strip().splitlines()[-1])
        digests.append(hashlib.sha256(wheel.read_bytes()).hexdigest())
        held = zipfile.ZipFile(wheel).namelist()
        assert all(path.startswith(("perfcore/", "perfcore-")) for path in held)
        assert not any(path.endswith((".pyc", ".nbi", ".nbc")) for path in held)

    assert digests[0] == digests[1]
