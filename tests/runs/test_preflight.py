"""A sweep that this machine has no room for is refused."""

import json

import pytest
from click.testing import CliRunner

from perfcore.cli import program
from perfcore.runs import preflight as room
from perfcore.space.space import Space

HUGE = """
[axes]
model = ["llama-3-8b"]
device = ["h100-sxm"]
batch = [1, 2]
input_len = { linear = [1, 30_000], n = 30_000 }
output_len = [64]
prefix_hit = { linear = [0.0, 0.9], n = 1000 }
[what_if]
"device.memory_bandwidth" = { scale = { linear = [0.5, 2.0], n = 1000 } }
"economics.utilization" = { linear = [0.1, 0.9], n = 1000 }
"""


@pytest.fixture
def huge(tmp_path):
    path = tmp_path / "huge.toml"
    path.write_text(HUGE)
    return path


def test_terabytes_are_refused(tmp_path, huge):
    output = tmp_path / "run"
    done = CliRunner().invoke(program, ["run", str(huge), "-o", str(output)])
    (line,) = done.stderr.splitlines()

    assert done.exit_code == 2
    assert line.startswith("error: disk: huge takes about ")
    assert "TB in " in line
    assert not output.exists()


def test_plan_says_so(huge):
    text = CliRunner().invoke(program, ["plan", str(huge)]).stdout
    found = json.loads(CliRunner().invoke(program, ["plan", str(huge), "--json"]).stdout)

    assert "refuses this without --force" in " ".join(text.split())
    assert not found["fits"]
    assert found["bytes"] > found["disk_free_bytes"]
    assert found["memory_free_bytes"] > 0


def test_only_a_part_of_the_disk_is_needed_for_a_part_of_the_run(tmp_path, monkeypatch):
    space = Space.from_dict({"axes": {"model": ["llama-3-8b"], "device": ["h100-sxm"]}})
    monkeypatch.setattr(room, "_most_bytes", lambda _: 10**9)
    monkeypatch.setattr(room, "disk_free", lambda _: 10**8)
    monkeypatch.setattr(room, "forecast", lambda *_: pytest.fail("not needed"))

    assert room.shortages(space, str(tmp_path), 1, (1, 10)) == ()


def test_a_bucket_has_room(huge, monkeypatch):
    monkeypatch.setattr(room, "memory_free", lambda: None)

    assert room.shortages(Space.from_toml(huge), "s3://bucket/run", 1) == ()


def test_memory_of_a_cluster_is_not_ours(monkeypatch, tmp_path):
    space = Space.from_dict({"axes": {"model": ["llama-3-8b"], "device": ["h100-sxm"]}})
    monkeypatch.setattr(room, "memory_free", lambda: 1)

    assert room.shortages(space, str(tmp_path), here=False) == ()
    assert "use fewer workers" in room.shortages(space, str(tmp_path))[0]
