"""Runs that go on, and those that are refused."""

import shutil

import pytest

import perfcore
from perfcore.errors import InputError
from perfcore.runs import manifest
from perfcore.runs.check import verify
from perfcore.runs.run import preview, sweep
from perfcore.space.spec import Spec
from runs import cli, hashes, manifest_of, space
from runs.receipts import edit, scaled

# fingerprints


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


# resuming


def test_without_receipts_the_manifest_is_believed(run):
    shutil.rmtree(run / "shards")
    before = {path: path.stat().st_mtime_ns for path in (run / "data").iterdir()}
    sweep(space(), run, 2)

    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert verify(run).faults == ()


def test_receipts_of_another_run_are_not_believed(run, whole):
    for path in (run / "shards").glob("*.json"):
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


def test_previews_need_no_store():
    assert preview(space(), 2).num_rows > 0
