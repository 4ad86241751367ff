"""A sweep that this machine has no room for is refused before anything is written."""

import json

import pytest
from click.testing import CliRunner

from perfcore.cli import program
from perfcore.runs import preflight as room
from perfcore.runs import resources
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


def test_disk_of_a_directory_that_is_not_there_yet(tmp_path):
    assert room.disk_free(str(tmp_path / "a" / "b")) == room.disk_free(str(tmp_path))
    assert room.disk_free("gs://bucket/run") is None


def test_a_container_has_less_memory_than_its_machine(tmp_path, monkeypatch):
    free = room.memory_free()
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 400\nactive_file 0\ninactive_file 300\n")
    monkeypatch.setattr(resources, "_CGROUP", tmp_path)

    assert free is None or free > 600
    assert room.memory_free() == 600


def test_memory_grows_with_workers_as_far_as_they_have_work():
    space = Space.from_dict({"axes": {"model": ["llama-3-8b"], "device": ["h100-sxm"]}})

    assert space.shards == 1
    assert room.memory_needed(space, 100) == room.memory_needed(space, 1)
