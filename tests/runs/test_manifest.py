"""Fingerprints, manifests and receipts of a run."""

import json
import re
from contextlib import contextmanager

import pytest
from paths import ROOT

from perfcore.catalog import load, load_engine
from perfcore.catalog.engine_entry import EngineEntry
from perfcore.errors import InputError
from perfcore.runs import executors, manifest, tasks
from perfcore.runs.run import sweep
from perfcore.runs.store import Directory
from perfcore.runs.workers import Receipt
from runs import cli, hashes, space
from runs.receipts import scaled

# fingerprints


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

    def changed(self, device, weight_format=None):
        constants = of_base(self, device, weight_format)
        name = next(iter(constants))
        return {**constants, name: constants[name].model_copy(update={"value": 0.123})}

    monkeypatch.setattr(EngineEntry, "constants_for", changed)
    after = manifest.header(space(engine=["vllm"]))

    assert before["spec"] == after["spec"]
    assert before["fingerprint"] != after["fingerprint"]
    assert manifest.changes(before, after) == "constants of the engines have changed"


def test_entries_that_a_sweep_does_not_use_change_no_byte(tmp_path, monkeypatch):
    catalogue = tmp_path / "catalogue"
    catalogue.mkdir()
    default = (ROOT / "perfcore" / "catalog" / "economics.toml").read_text(encoding="utf-8")
    (catalogue / "economics.toml").write_text(
        default.split("\n[on-demand]")[0].replace("[default", "[mine"), encoding="utf-8"
    )
    sweep(space(), tmp_path / "before")
    monkeypatch.setenv("PERFCORE_CATALOG", str(catalogue))
    sweep(space(), tmp_path / "after")

    assert load("economics", "mine").name == "mine"
    assert hashes(tmp_path / "before") == hashes(tmp_path / "after")


def test_words_of_a_base_are_part_of_the_run(monkeypatch):
    """Files name the sources of engines that others stand on."""
    before = manifest.header(space(engine=["vllm"]))
    reworded = load_engine("vllm").bases[0].model_copy(update={"notes": "other words"})
    monkeypatch.setattr(EngineEntry, "bases", (reworded,))
    after = manifest.header(space(engine=["vllm"]))

    assert before["catalog_hash"] != after["catalog_hash"]
    assert before["fingerprint"] != after["fingerprint"]


# verifying


def test_receipts_say_what_shards_are(whole):
    for shard in (0, 50):
        receipt = manifest.read_receipt(
            Directory(whole), manifest.read_manifest(Directory(whole))["fingerprint"], shard
        )
        start, stop = space().shard_range(shard)

        assert isinstance(receipt, Receipt)
        assert receipt.rows + sum(receipt.dropped.values()) == (stop - start) * 4
        assert receipt.bytes == (whole / "data" / manifest.shard_file(shard)).stat().st_size


# another checkout


@pytest.fixture
def elsewhere(monkeypatch):
    """A context in which this is a checkout with other formulas."""

    @contextmanager
    def elsewhere():
        with monkeypatch.context() as patch:
            patch.setattr(manifest, "source_hash", lambda: "0123456789abcdef")
            yield

    return elsewhere


@pytest.mark.parametrize("part", [(1, 1), (2, 2)], ids=["resumed", "a part"])
def test_a_run_of_other_formulas_is_not_continued(tmp_path, elsewhere, held, part):
    run = tmp_path / "run"
    sweep(space(), run, 1, part=(1, 2))
    before = hashes(run)

    message = r"formulas or kernel have changed \(sources .*0123456789"
    with elsewhere(), pytest.raises(InputError, match=message) as refused:
        sweep(space(), run, 1, part=part)
    assert hashes(run) == before

    sweep(space(), run, 1)
    does = "resumed" if part == (1, 1) else "continued by another part"
    held(run, f"run {does} with other formulas", 1, said(refused))


def test_a_worker_with_other_formulas_is_refused(tmp_path, elsewhere, held):
    run = tmp_path / "run"
    with elsewhere():
        expected = manifest.fingerprint(space())
    task = tasks.SweepTask(executors.packed_spec(space().spec), str(run), expected)

    with pytest.raises(InputError, match="has another version of perfcore") as refused:
        task(0)
    assert list(tmp_path.iterdir()) == []

    sweep(space(), run, 1)
    held(run, "Dask worker with other formulas", 1, said(refused))


def said(refused):
    """Return the message of an error without hashes and names of hosts."""
    text = re.sub(r"[0-9a-f]{16,}", "HASH", f"error: {refused.value}")
    return re.sub(r"worker \S+:", "worker HOST:", text)


@pytest.mark.parametrize("values", [[], ["a"], [1, "a"], {"a": 1}, {"count": 2, "first": 1}])
@pytest.mark.parametrize("command", [("plot", "pareto"), ("report",)])
def test_damaged_axes_of_a_manifest_are_refused(run, tmp_path, command, values):
    document = json.loads((run / "manifest.json").read_text())
    document["spec"]["axes"]["batch"] = values
    (run / "manifest.json").write_text(json.dumps(document))

    done = cli(*command, run, "-o", tmp_path / "x.html")

    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert "damaged" in done.stderr
