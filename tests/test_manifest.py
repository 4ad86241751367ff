"""What a run says about itself, and who may go on with it."""

import json
import os
import shutil
import threading
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import SHARDS, cli, hashes, manifest_of, space

import perfcore
from perfcore.catalog.engine_entry import EngineEntry
from perfcore.errors import InputError
from perfcore.runs import manifest
from perfcore.runs.check import spans, verify
from perfcore.runs.run import preview, sweep
from perfcore.runs.shards import facts, part_of
from perfcore.runs.store import Directory
from perfcore.runs.workers import Receipt
from perfcore.space.space import Space
from perfcore.space.spec import Spec


@pytest.fixture
def run(whole, tmp_path):
    """A run that may be damaged."""
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def edit(path, **changes):
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, **changes}))


# fingerprints


def scaled(made, kind, name, **values):
    """A space of which one entry has other values."""
    axes = []
    for axis in made.spec.axes:
        entries = tuple(
            entry.model_copy(update=values) if axis.name == kind and entry.name == name else entry
            for entry in axis.entries
        )
        axes.append(replace(axis, entries=entries))
    return Space(replace(made.spec, axes=tuple(axes)))


def test_each_fact_changes_its_own_fingerprint():
    made = space()
    faster = scaled(made, "device", "h100-sxm", memory_bandwidth=4e12)
    parts, others = manifest.fingerprints(made), manifest.fingerprints(faster)

    assert parts["catalog"] != others["catalog"]
    assert parts["spec"] != others["spec"], "it has digests of its entries"
    assert parts["calibration"] == others["calibration"]
    assert parts == manifest.fingerprints(space())
    assert manifest.fingerprint(made) != manifest.fingerprint(faster)


def test_constants_of_an_engine_that_others_stand_on_count(monkeypatch):
    """Engines say only how they differ from their base, which the specification does not name."""
    made = space(engine=["vllm"])
    before = manifest.header(made)
    of_base = EngineEntry.constants_for

    def changed(self, device):
        constants = of_base(self, device)
        name = next(iter(constants))
        return {**constants, name: constants[name].model_copy(update={"value": 0.123})}

    monkeypatch.setattr(EngineEntry, "constants_for", changed)
    after = manifest.header(space(engine=["vllm"]))

    assert before["spec"] == after["spec"]
    assert before["fingerprint"] != after["fingerprint"]
    assert manifest.changes(before, after) == "constants of the engines have changed"


def test_another_version_is_another_run(run, monkeypatch):
    version = manifest.version
    monkeypatch.setattr(
        manifest, "version", lambda name: "9.9" if name == "perfcore" else version(name)
    )
    with pytest.raises(InputError, match=r"\(.shards.; perfcore 9.9, was \d"):
        sweep(space(), run)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: space(batch=[1, 2, 4, 8, 16]), r"axes.batch: [1, 2, … 16] (5), was [1, 64]"),
        (lambda: space(device=["h100-sxm"]), 'axes.device: ["h100-sxm"], was ["h100-sxm", "rtx-'),
        (lambda: space(tp=[2]), "axes.tp: [2], was [1]"),
        (
            lambda: scaled(space(), "device", "h100-sxm", memory_bandwidth=4e12),
            "(device.h100-sxm has changed)",
        ),
        (
            lambda: scaled(space(), "model", "llama-3-8b", notes="other words"),
            "(model.llama-3-8b has changed)",
        ),
    ],
)
def test_what_changed_is_said(run, made, said):
    before = hashes(run)
    with pytest.raises(InputError, match="holds a run of another specification") as refused:
        sweep(made(), run)

    assert said.strip("()") in str(refused.value)
    assert str(refused.value).endswith("; choose another output or delete it")
    assert "\n" not in str(refused.value)
    assert hashes(run) == before


def test_a_run_from_before_rows_per_shard_opens_and_is_compared(whole, tmp_path, monkeypatch):
    today = Spec.to_dict

    def form_of_then(spec):
        form = today(spec)
        del form["output"]["rows_per_shard"]
        return form

    with monkeypatch.context() as patch:
        patch.setattr(Spec, "to_dict", form_of_then)
        sweep(space(), tmp_path, 2)

    assert perfcore.open_run(tmp_path).rows == perfcore.open_run(whole).rows
    assert verify(tmp_path).faults == ()
    assert "output.rows_per_shard from none to 40\nequal" in cli("diff", tmp_path, whole).stdout
    with pytest.raises(InputError, match=r"\('shards'; output.rows_per_shard: 40, was nothing\)"):
        sweep(space(), tmp_path)


def test_many_changes_are_counted(run):
    with pytest.raises(InputError, match=r"and \d more"):
        sweep(space(batch=[3], input_len=[5], output_len=[7], tp=[1, 2]), run)


# parts


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

    assert "look: duckdb" in cli("run", spec, "-o", output, "--shard", "2/3").stdout
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
    assert set(found["fingerprints"]) == {"spec", "catalog", "calibration", "version"}
    assert found["rows"] + sum(found["dropped"].values()) == found["evaluated"]
    assert found["shard_count"] == len(found["shards"]) == SHARDS
    assert found["fingerprint"] == facts(space())["fingerprint"]


# resuming


def test_without_receipts_the_manifest_is_believed(run):
    shutil.rmtree(run / "shards")
    before = {path: path.stat().st_mtime_ns for path in (run / "data").iterdir()}
    sweep(space(), run, 2)

    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert verify(run).faults == ()


def test_receipts_of_another_run_are_not_believed(run, whole):
    for path in (run / "shards").iterdir():
        edit(path, run="other")
    (run / "manifest.json").unlink()

    with pytest.raises(InputError, match="has data but no manifest"):
        sweep(space(), run)
    assert hashes(run) == hashes(whole)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"run": 3}', '{"rows": -1}', "\x00", "9" * 5_000, "[" * 100_000]
)
def test_damaged_receipts_cost_a_shard_at_most(run, whole, text):
    (run / "shards" / "part-00000.json").write_text(text)
    (run / "manifest.json").unlink()
    sweep(space(), run, 2)

    assert hashes(run) == hashes(whole)
    assert manifest_of(run) == manifest_of(whole)


# verifying


def problems(run):
    return {fault.file: fault.problem for fault in verify(run).faults}


def test_a_whole_run_is_verified(whole):
    verdict = verify(whole)
    done = cli("verify", whole)

    assert (verdict.faults, verdict.rerun) == ((), ())
    assert verdict.rows == perfcore.open_run(whole).rows
    assert done.exit_code == 0
    assert f"{SHARDS}, all as they were written" in done.stdout
    assert json.loads(cli("verify", whole, "--json").stdout)["ok"]


def rewritten(run, table, shard=7):
    """Another shard, with a receipt that says it is what was written."""
    name = manifest.shard_file(shard)
    pq.write_table(table, run / "data" / name)
    content = (run / "data" / name).read_bytes()
    receipt = json.loads((run / "shards" / manifest.receipt_file(shard)).read_text())
    digest = manifest.hashlib.sha256(content).hexdigest()
    edit(run / "shards" / manifest.receipt_file(shard), bytes=len(content), sha256=digest)
    return receipt


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
    assert "is of another run (fingerprint other)" in problems(run)[file]

    path.write_bytes(b"no Parquet")
    rewritten_receipt = json.loads((run / "shards" / manifest.receipt_file(7)).read_text())
    assert rewritten_receipt["rows"]
    digest = manifest.hashlib.sha256(b"no Parquet").hexdigest()
    edit(run / "shards" / manifest.receipt_file(7), bytes=10, sha256=digest)
    assert "its footer cannot be read" in problems(run)[file]
    assert verify(run).rerun == (7,)


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
    assert "is no table" in cli(command, tmp_path).stderr
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

    assert "what it says of its sweep is damaged" in cli("diff", run, whole).stderr


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


def test_receipts_say_what_shards_are(whole):
    for shard in (0, 50):
        receipt = manifest.read_receipt(
            Directory(whole), manifest.read_manifest(Directory(whole))["fingerprint"], shard
        )
        start, stop = space().shard_range(shard)

        assert isinstance(receipt, Receipt)
        assert receipt.rows + sum(receipt.dropped.values()) == (stop - start) * 4
        assert receipt.bytes == (whole / "data" / manifest.shard_file(shard)).stat().st_size


def test_previews_need_no_store():
    assert preview(space(), 2).num_rows > 0
