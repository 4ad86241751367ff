import hashlib
import json
import os
import subprocess
import sys

import pytest

import perfcore.runs.manifest
from perfcore.errors import InputError
from perfcore.runs.run import sweep
from perfcore.space.space import Space

pytestmark = pytest.mark.slow

SPEC = {
    "name": "determinism",
    "axes": {
        "model": ["llama-3.1-8b", "gpt-oss-20b"],
        "device": ["h100-sxm", "rtx-4090"],
        "weight_format": ["bf16", "int4-g128"],
        "tp": [1, 2],
        "batch": {"pow2": [1, 64]},
        "input_len": {"log": [128, 8192], "n": 31},
        "output_len": [64, 256],
    },
    "output": {"rows_per_shard": 1024},
}


def hashes(run):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.data.iterdir())
    }


def test_workers_change_no_byte(tmp_path):
    runs = [sweep(Space.from_dict(SPEC), tmp_path / str(n), n) for n in (1, 2, 3)]
    expected, *others = [hashes(run) for run in runs]

    assert len(expected) > 5
    assert all(other == expected for other in others)
    assert runs[0].manifest["shards"] == runs[1].manifest["shards"] == runs[2].manifest["shards"]
    assert runs[0].manifest["dropped"] == runs[2].manifest["dropped"]


def test_a_partial_run_goes_on_to_the_same_bytes(tmp_path):
    whole = sweep(Space.from_dict(SPEC), tmp_path / "whole", 2)
    again = sweep(Space.from_dict(SPEC), tmp_path / "again", 2)
    lost = sorted(again.data.iterdir())[1::2]
    kept = sorted(again.data.iterdir())[::2]
    for path in lost:
        path.unlink()
    times = {path: path.stat().st_mtime_ns for path in kept}

    again = sweep(Space.from_dict(SPEC), tmp_path / "again", 2)

    assert hashes(again) == hashes(whole)
    assert {path: path.stat().st_mtime_ns for path in kept} == times, "kept shards are not redone"
    assert again.manifest["rows"] == whole.manifest["rows"]
    assert again.manifest["complete"]


def test_a_run_that_breaks_leaves_whole_shards_and_goes_on(tmp_path, monkeypatch):
    whole = sweep(Space.from_dict(SPEC), tmp_path / "whole", 1)
    shard_class = perfcore.runs.manifest.ParquetShard
    opened = []

    def breaking(path, *rest):
        opened.append(path)
        if len(opened) == 3:
            raise OSError(28, "No space left on device")
        return shard_class(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(perfcore.runs.manifest, "ParquetShard", breaking)
        with pytest.raises(OSError, match="No space"):
            sweep(Space.from_dict(SPEC), tmp_path / "broken", 1)
    left = {path.name for path in (tmp_path / "broken" / "data").iterdir()}
    manifest = json.loads((tmp_path / "broken" / "manifest.json").read_text())

    assert left < set(hashes(whole))
    assert not manifest["complete"]
    assert hashes(sweep(Space.from_dict(SPEC), tmp_path / "broken", 2)) == hashes(whole)


@pytest.mark.parametrize(
    "change",
    [{"batch": [1]}, {"device": ["h100-sxm", "b200"]}, {"output_len": [64, 257]}],
)
def test_a_changed_specification_is_refused(tmp_path, change):
    run = sweep(Space.from_dict(SPEC), tmp_path / "run")
    before = hashes(run)

    with pytest.raises(InputError, match="another specification"):
        sweep(Space.from_dict({**SPEC, "axes": {**SPEC["axes"], **change}}), tmp_path / "run")
    assert hashes(run) == before


def test_other_words_are_another_run_as_files_carry_them(tmp_path):
    sweep(Space.from_dict(SPEC), tmp_path / "run")

    with pytest.raises(InputError, match="another specification"):
        sweep(Space.from_dict({**SPEC, "description": "other words"}), tmp_path / "run")


def test_memory_that_is_freed_is_not_read():
    """Glibc fills what is freed; a kernel whose arrays were freed too early would crash."""
    script = (
        "import hashlib, json, sys, perfcore; "
        "table = perfcore.sweep(json.loads(sys.argv[1])).to_arrow(); "
        "print(hashlib.sha256(str(table.to_pydict()).encode()).hexdigest())"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", script, json.dumps(SPEC)],
            env={**os.environ, **perturbed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for perturbed in ({}, {"MALLOC_PERTURB_": "165"})
    ]

    assert found[0] == found[1]
