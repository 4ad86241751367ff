"""Parts of a run."""

import json
import shutil
import threading

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import perfcore
from perfcore.errors import InputError
from perfcore.runs import manifest
from perfcore.runs.check import verify
from perfcore.runs.run import sweep
from perfcore.runs.shards import facts, part_of
from perfcore.runs.store import Directory
from runs import SHARDS, cli, hashes, manifest_of, space
from runs.receipts import edit, problems, rewritten


@given(st.integers(0, 300), st.integers(1, 40))
def test_parts_are_a_partition_of_like_sizes(shards, parts):
    found = [part_of(shards, (number, parts)) for number in range(1, parts + 1)]

    assert sorted(shard for part in found for shard in part) == list(range(shards))
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_as_many_parts_as_shards_are_one_shard_each():
    assert [list(part_of(5, (number, 5))) for number in range(1, 6)] == [[0], [1], [2], [3], [4]]


@pytest.mark.parametrize("part", [(0, 3), (4, 3), (-1, 3), (1, 0)])
def test_no_such_part(part):
    with pytest.raises(InputError, match="part: no part"):
        part_of(10, part)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "a/b", "1/3/5", "-1/3", "1.5/3", ""])
def test_faulty_parts(tmp_path, spec, text):
    done = cli("run", spec, "-o", tmp_path / "run", f"--shard={text}")

    assert done.exit_code == (2 if text else 0)
    assert done.stderr.startswith("error: --shard: ") or not text
    assert not (tmp_path / "run").exists() or not text


def test_parts_are_the_whole(tmp_path, spec, whole):
    output = tmp_path / "run"
    for number in (3, 1):
        done = cli("run", spec, "-o", output, "--shard", f"{number}/3")

        assert done.exit_code == 0
        assert f"part      {number} of 3" in done.stdout
        assert f"when all parts have run: perfcore finalize {output}" in done.stdout
    missing = cli("finalize", output)

    assert missing.exit_code == 2
    assert f"33 of {SHARDS} shards missing: 1, 4, 7" in missing.stderr
    assert json.loads(cli("finalize", output, "--json").stdout)["missing"] == [*range(1, 100, 3)]
    assert not perfcore.open_run(output).manifest["complete"]

    assert "next: duckdb" in cli("run", spec, "-o", output, "--shard", "2/3").stdout
    assert cli("finalize", output).exit_code == 0
    assert hashes(output) == hashes(whole)
    assert manifest_of(output) == manifest_of(whole)


def test_finalize_counts_what_killed_parts_have_finished(run, whole):
    manifest_path = run / "manifest.json"
    edit(manifest_path, shards={}, rows=0, bytes=0, complete=False)
    found = json.loads(cli("finalize", run, "--json").stdout)

    assert found["complete"]
    assert found["rows"] == perfcore.open_run(whole).rows
    assert manifest_of(run) == manifest_of(whole)


def test_summing_up_at_the_same_time_loses_nothing(run):
    """Whoever is last has seen all receipts, wherever others are."""
    store = Directory(run)
    head = manifest.read_manifest(store)
    edit(run / "manifest.json", shards={}, rows=0, bytes=0, complete=False)
    hidden = run.parent / "hidden"
    (run / "shards").rename(hidden)
    (run / "shards").mkdir()
    receipts = sorted(hidden.iterdir())

    def work(mine):
        for path in mine:
            shutil.copy(path, store.path / "shards" / f".{path.name}")
            (store.path / "shards" / f".{path.name}").rename(store.path / "shards" / path.name)
            manifest.settle(store, head, {})

    threads = [threading.Thread(target=work, args=(receipts[n:SHARDS:4][:8],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(perfcore.open_run(run).manifest["shards"]) == 32


def test_another_run_that_was_begun_meanwhile_is_noticed(run):
    store = Directory(run)
    head = manifest.read_manifest(store)
    edit(run / "manifest.json", fingerprint="other", name="theirs")

    with pytest.raises(InputError, match="another process has begun another run here"):
        manifest.settle(store, head, {})


def test_what_another_process_is_writing_is_no_receipt(run):
    """Else whoever is done would wait for the others."""

    class Busy(Directory):
        calls = 0

        def sizes(self, folder):
            self.calls += 1
            return {**super().sizes(folder), f".perfcore-{self.calls}.draft": 0}

    store = Busy(run)
    manifest.settle(store, manifest.read_manifest(store), {})

    assert store.calls < 5


def test_receipts_hold_where_the_manifest_says_something_else(run, whole):
    """A process that repairs a shard may be killed before it sums up."""
    path = run / "data" / manifest.shard_file(7)
    rewritten(run, pq.read_table(path))
    store = Directory(run)
    document = manifest.settle(store, manifest.read_manifest(store), {})

    assert hashes(run) != hashes(whole)
    assert document["complete"]
    assert document["shards"]["7"]["bytes"] == path.stat().st_size
    assert verify(run).faults == ()


def test_shards_that_the_run_does_not_have_are_not_counted(run):
    (run / "data" / manifest.shard_file(5)).rename(run / "data" / manifest.shard_file(SHARDS))
    shards = perfcore.open_run(run).manifest["shards"]
    edit(run / "manifest.json", shards={**shards, str(SHARDS): shards["5"]})

    found = problems(run)
    assert found.pop("data/part-00005.parquet") == "missing"
    assert found.pop("data/part-00100.parquet").startswith("no shard of this run; move it away")
    assert found == {}
    assert "1 of 100 shards missing: 5" in cli("finalize", run).stderr
    assert not perfcore.open_run(run).manifest["complete"]


def test_a_run_of_too_many_shards_is_not_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "MOST_SHARDS", SHARDS - 1)
    with pytest.raises(InputError, match=r"100 shards are not from 1 to 99, .* list fewer values"):
        sweep(space(), tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_the_manifest_keeps_its_keys(whole):
    found = perfcore.open_run(whole).manifest

    assert {
        "name",
        "fingerprint",
        "complete",
        "rows",
        "evaluated",
        "dropped",
        "wall_s",
        "finished",
        "versions",
        "catalog_hash",
        "columns",
        "shards",
        "spec",
    } <= set(found)
    assert set(found["fingerprints"]) == {
        "spec",
        "catalog",
        "calibration",
        "physics",
        "writer",
        "version",
    }
    assert found["rows"] + sum(found["dropped"].values()) == found["evaluated"]
    assert found["shard_count"] == len(found["shards"]) == SHARDS
    assert found["fingerprint"] == facts(space())["fingerprint"]
