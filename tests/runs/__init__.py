"""A small sweep of many shards, and what tests of runs ask of it; all tests know its fixtures."""

import hashlib
import json
import subprocess
import sys
import time
import tomllib

import pyarrow.dataset as ds
import pytest
from click.testing import CliRunner

from perfcore.cli import program
from perfcore.runs.run import open_run, sweep
from perfcore.space.space import Space

ROWS_PER_SHARD = 40
SPEC = f"""
name = "shards"
[axes]
model = ["llama-3-8b"]
device = ["h100-sxm", "rtx-4090"]
batch = [1, 64]
input_len = [128, 4096]
output_len = [64]
[what_if]
"device.memory_bandwidth" = {{ scale = {{ linear = [0.5, 2.0], n = 500 }} }}
[output]
columns = ["tpot_s", "ttft_s", "bound"]
rows_per_shard = {ROWS_PER_SHARD}
"""
SHARDS = 100
AXES = ["device", "device_memory_bandwidth_scale", "batch", "input_len"]
# SIGINT may be ignored where tests run in the background
START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from perfcore.cli import main; main()"
)


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A run that nothing disturbed, and that no test changes."""
    path = tmp_path_factory.mktemp("whole") / "run"
    assert sweep(space(), path, 2).manifest["complete"]
    assert len(hashes(path)) == SHARDS
    return path


@pytest.fixture
def spec(tmp_path):
    """The sweep as a file."""
    path = tmp_path / "sweep.toml"
    path.write_text(SPEC)
    return path


def cli(*arguments):
    """Run a command in this process."""
    return CliRunner().invoke(program, [str(argument) for argument in arguments])


def space(scales=500, rows_per_shard=ROWS_PER_SHARD, **changes):
    """The sweep, with more or fewer scales, with larger or smaller shards, and with other axes."""
    document = tomllib.loads(SPEC.replace("500", str(scales)))
    document["output"]["rows_per_shard"] = rows_per_shard
    return Space.from_dict({**document, "axes": {**document["axes"], **changes}})


def command(*arguments, before=""):
    """The command line as a process of its own."""
    return [sys.executable, "-c", before + START, *map(str, arguments)]


def perfcore(*arguments, before=""):
    """Run a command to its end."""
    return subprocess.run(
        command(*arguments, before=before), capture_output=True, text=True, check=False
    )


def start(*arguments):
    """Start a command."""
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def hashes(path):
    """Every data file's name and content; whatever else lies there counts, too."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in (path / "data").iterdir()
    }


def shards_of(path):
    """Names of what lies among a run's data."""
    data = path / "data"
    return [file.name for file in data.iterdir()] if data.is_dir() else []


def wait_for_shards(path, count, process, seconds=120):
    """Wait until a run has written some shards."""
    deadline = time.monotonic() + seconds
    while len(shards_of(path)) < count:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def keys(path):
    """The rows of a run as tuples of their axes, which no two rows share."""
    table = ds.dataset(path / "data", format="parquet").to_table(columns=AXES)
    return [tuple(row.values()) for row in table.to_pylist()]


def lost_and_duplicated(path, whole):
    """Rows that a run lacks, and rows that it has more than once."""
    found, expected = keys(path), set(keys(whole))
    assert set(found) <= expected
    return len(expected - set(found)), len(found) - len(set(found))


def manifest_of(path):
    """The manifest without what differs from one time to the next."""
    manifest = dict(open_run(path).manifest)
    for key in ("wall_s", "finished"):
        manifest.pop(key)
    return json.loads(json.dumps(manifest))
