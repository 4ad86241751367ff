"""Verification of runs."""

import json
import os

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import perfcore
from perfcore.runs import manifest
from perfcore.runs.check import spans, verify
from perfcore.runs.run import sweep
from runs import SHARDS, cli, space
from runs.receipts import edit, problems, rewritten


def test_a_whole_run_is_verified(whole):
    verdict = verify(whole)
    done = cli("verify", whole)

    assert (verdict.faults, verdict.rerun) == ((), ())
    assert verdict.rows == perfcore.open_run(whole).rows
    assert done.exit_code == 0
    assert f"{SHARDS}, all intact" in done.stdout
    assert json.loads(cli("verify", whole, "--json").stdout)["ok"]


def test_rows_columns_types_and_fingerprint_are_checked(run):
    path = run / "data" / manifest.shard_file(7)
    table = pq.read_table(path)
    file = f"data/{path.name}"

    rewritten(run, table.slice(1))
    assert (
        f"has {table.num_rows - 1:,} rows, {table.num_rows:,} were written" in problems(run)[file]
    )

    rewritten(run, table.drop_columns(["bound"]))
    assert "columns are not those of manifest.json" in problems(run)[file]

    tpot = table.column("tpot_s").cast("float64")
    rewritten(run, table.set_column(table.column_names.index("tpot_s"), "tpot_s", tpot))
    assert "other types than those of the other shards" in problems(run)[file]

    metadata = {**table.schema.metadata, b"perfcore.fingerprint": b"other"}
    rewritten(run, table.replace_schema_metadata(metadata))
    assert "belongs to another run (fingerprint other)" in problems(run)[file]

    path.write_bytes(b"no Parquet")
    rewritten_receipt = json.loads((run / "shards" / manifest.receipt_file(7)).read_text())
    assert rewritten_receipt["rows"]
    digest = manifest.hashlib.sha256(b"no Parquet").hexdigest()
    edit(run / "shards" / manifest.receipt_file(7), bytes=10, sha256=digest)
    assert "its footer cannot be read" in problems(run)[file]
    assert verify(run).rerun == (7,)


def test_a_sparse_file_of_a_terabyte_is_not_read_through(run):
    """Hashing it would take about an hour."""
    os.truncate(run / "data" / manifest.shard_file(7), 10**12)

    assert "1,000,000,000,000 bytes long" in problems(run)["data/part-00007.parquet"]


def test_a_sparse_manifest_of_a_terabyte_is_refused(run):
    os.truncate(run / "manifest.json", 10**12)

    done = cli("verify", run)

    assert done.exit_code == 2
    assert "larger than a manifest can be" in done.stderr


def test_a_shard_without_a_receipt_is_not_believed(run):
    (run / "shards" / "part-00007.json").unlink()
    shards = perfcore.open_run(run).manifest["shards"]
    edit(run / "manifest.json", shards={key: shards[key] for key in shards if key != "7"})

    assert problems(run) == {"data/part-00007.parquet": "not known to be complete"}
    sweep(space(), run, 2)
    assert problems(run) == {}


def test_strangers_among_the_data_and_wrong_sums(run):
    (run / "data" / "notes.txt").write_text("x")
    edit(run / "manifest.json", rows=3, bytes=4, complete=False, dropped={}, evaluated=5)
    done = cli("verify", run)

    assert done.exit_code == 2
    assert "data/notes.txt: no shard of this run; move it away" in done.stderr
    for told in ("rows is 3,", "bytes is 4,", "complete is False,", "dropped is {},"):
        assert f"manifest.json: {told} of its shards " in done.stderr
    assert "manifest.json: evaluated is 5, of its shards 4000" in done.stderr
    assert f"to repair: perfcore finalize {run}" in done.stderr

    (run / "data" / "notes.txt").unlink()
    edit(run / "manifest.json", evaluated=4000)

    assert cli("finalize", run).exit_code == 0
    assert cli("verify", run).exit_code == 0


def test_an_interrupted_run_is_told_by_its_missing_shards(run):
    for shard in (2, 3, 4, 9):
        (run / "data" / manifest.shard_file(shard)).unlink()
    done = cli("verify", run)

    assert f"error: {run}: 4 shards missing: 2-4, 9" in done.stderr
    assert f"shards to run again, 4 of {SHARDS}: 2-4, 9" in done.stderr
    assert json.loads(cli("verify", run, "--json").stdout)["rerun"] == [2, 3, 4, 9]


def test_verifying_changes_nothing(run):
    (run / "data" / manifest.shard_file(1)).unlink()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    verify(run)

    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("command", ["verify", "finalize"])
def test_what_is_no_run(tmp_path, command):
    for path in (tmp_path / "missing", tmp_path):
        done = cli(command, path)

        assert done.exit_code == 2
        assert "no manifest.json here" in done.stderr
    (tmp_path / "manifest.json").write_text("[]")
    assert "is not a JSON object" in cli(command, tmp_path).stderr
    (tmp_path / "manifest.json").write_text("{}")
    assert "shard_count is None" in cli(command, tmp_path).stderr


@pytest.mark.parametrize("command", ["verify", "finalize"])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shard_count": 10**18}, "1,000,000,000,000,000,000 shards are not from 1 to 1,000,000"),
        ({"shard_count": -1}, "-1 shards are not from 1"),
        ({"shard_count": "100"}, "shard_count is '100'; delete it and run again"),
        ({"name": None}, "name is None; delete it"),
        ({"spec": []}, r"spec is []; delete it"),
        ({"spec": {"name": "shards"}}, "its specification is not the one of its fingerprint"),
        ({"fingerprint": "other"}, "its specification is not the one of its fingerprint"),
        ({"fingerprints": {}}, "its specification is not the one of its fingerprint"),
        ({"shards": {"x": 1}}, "its list of shards is damaged"),
        ({"shards": None}, "its list of shards is damaged"),
    ],
)
def test_a_manifest_that_was_changed_is_not_believed(run, command, changes, said):
    edit(run / "manifest.json", **changes)
    done = cli(command, run)

    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


@pytest.mark.parametrize("text", ["", "{", "\x00", "9" * 5_000, "[" * 100_000, '{"a":' * 100_000])
def test_a_manifest_that_is_no_json(run, spec, text):
    (run / "manifest.json").write_text(text)
    for arguments in (("verify", run), ("finalize", run), ("run", spec, "-o", run)):
        done = cli(*arguments)

        assert done.exit_code == 2
        assert "manifest.json: cannot be read (" in done.stderr
        assert "delete it and run again, which keeps the shards" in done.stderr


@pytest.mark.parametrize(
    "changes", [{"spec": {"axes": 1, "output": {}}}, {"spec": [1]}, {"versions": "1"}]
)
def test_a_changed_manifest_is_not_compared(run, whole, changes):
    edit(run / "manifest.json", **changes)

    assert "its facts about the sweep are damaged" in cli("diff", run, whole).stderr


@pytest.mark.parametrize("name", ["manifest.json", "shards/part-00003.json"])
def test_what_cannot_be_read_is_not_missing(run, name):
    """Nor is a pipe waited for, or a device read to its end."""
    (run / name).unlink()
    os.mkfifo(run / name)
    for command in ("verify", "finalize"):
        done = cli(command, run)

        assert done.exit_code == 2
        assert f"{name}: cannot be read (not a regular file)" in done.stderr


@given(st.sets(st.integers(0, 60)))
def test_spans_name_every_number(numbers):
    text = spans(sorted(numbers))
    found = set()
    for part in filter(None, text.split(", ")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))

    assert found == numbers
