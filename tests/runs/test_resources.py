"""Memory and disk of this machine."""

import errno

from perfcore.runs import preflight as room
from perfcore.runs import resources
from perfcore.space.space import Space


def test_disk_of_a_directory_that_is_not_there_yet(tmp_path):
    assert room.disk_free(str(tmp_path / "a" / "b")) == room.disk_free(str(tmp_path))
    assert room.disk_free("gs://bucket/run") is None


def test_disk_of_a_directory_that_cannot_be_examined(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("pathlib.Path.exists", fail)
    assert room.disk_free(str(tmp_path)) is None


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
