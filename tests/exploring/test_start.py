"""What a page begins with: models, a sweep file, a run; and what is refused."""

import pytest

import perfcore
from perfcore.errors import InputError
from perfcore.exploring.start import DEVICES, MODELS, start


def refused(*given):
    with pytest.raises(InputError) as told:
        start(given)
    return told.value.faults


def test_without_anything_it_begins_with_a_model_on_some_devices():
    begun = start([])

    assert begun.state == {"device": list(DEVICES), "batch": [32], "model": list(MODELS)}
    assert (begun.own, begun.notes, begun.rows) == ((), (), None)


def test_models_are_those_given(tmp_path):
    entry = tmp_path / "mine.toml"
    entry.write_text(
        '[mine]\nsource = "a test"\nhidden_size = 512\nnum_hidden_layers = 4\nvocab_size = 1000\n'
        "num_attention_heads = 8\nnum_key_value_heads = 8\nhead_dim = 64\n"
        "intermediate_size = 2048\n"
    )
    begun = start(["qwen3-32b", entry])

    assert begun.state["model"] == ["qwen3-32b", "mine"]
    ((own, word),) = begun.own  # an alias or a catalogue name needs no file
    assert (own.name, word) == ("mine", str(entry))


def test_a_sweep_file_brings_its_axes_and_entries(folder):
    begun = start([folder / "small.toml"])
    state = begun.state

    assert state["device"] == ["h100-sxm", "own-chip"]
    assert state["model"] == ["llama-3.1-8b", "gpt-oss-120b"]
    assert state["batch"] == [1, 8, 64]
    assert state["scheduler"] == ["continuous"]
    assert [(entry.name, word) for entry, word in begun.own] == [
        ("own-chip", str(folder / "it's own.toml"))
    ]
    assert state["tp"] == [1]
    assert "tp has 2 values, of which the page begins with 1." in begun.notes
    assert sum("what-if" in note for note in begun.notes) == 1
    assert state["sets"] == ["economics.utilization=0.5"]
    assert begun.rows["total"] == 288
    assert begun.rows["kind"] == "spec"


def test_chosen_devices_stay_chosen(tmp_path):
    sweep = tmp_path / "auto.toml"
    sweep.write_text(
        '[axes]\nmodel = "llama-3.3-70b"\ndevice = "nvidia"\ndevices = "auto"\nbatch = [1, 2]\n'
    )
    begun = start([sweep])

    assert begun.state["tp"] == ["auto"]
    assert len(begun.state["device"]) == 8
    assert any(note.startswith("device has ") for note in begun.notes)


def test_a_run_brings_its_axes_and_rows(folder):
    begun = start([folder / "run", "deepseek-v3"])

    assert begun.state["model"] == ["deepseek-v3"]
    assert begun.state["device"] == ["h100-sxm"]  # nothing is known of the sweep's own chip
    assert "The catalogue has no device own-chip: it is not computed here." in begun.notes
    assert begun.rows["count"] == perfcore.open_run(folder / "run").num_rows


def test_a_run_of_another_version_is_said_to_be(folder, monkeypatch):
    monkeypatch.setattr("perfcore.exploring.start.version", lambda _: "99")

    assert start([folder / "run"]).notes[-1].endswith("this page computes with 99.")


def test_all_that_a_picker_offers_is_embedded(tmp_path):
    sweep = tmp_path / "sizes.toml"
    sweep.write_text(
        '[axes]\nmodel = [{ family = "dense", params = { log = ["1B", "100B"], n = 240 } }]\n'
        'device = "h100-sxm"\n'
    )
    begun = start([sweep])

    assert len(begun.own) == len(begun.offered["model"]) == 200
    assert len(begun.state["model"]) == 8
    assert {word for _, word in begun.own} == {""}  # a size of a family has no name elsewhere


def test_faults_are_all_told(folder, tmp_path):
    assert "are both runs or sweeps; name one" in refused(folder / "run", folder / "small.toml")[0]
    assert len(refused("no-such-model", "h100-sxm")) == 2
    assert "it is a device" in refused("h100-sxm")[0]
    assert "no-such-file.toml" in refused(tmp_path / "no-such-file.toml")[0]


def test_traffic_is_refused(tmp_path):
    sweep = tmp_path / "traffic.toml"
    sweep.write_text(
        '[axes]\nmodel = "llama-3.1-8b"\ndevice = "h100-sxm"\n'
        "[traffic]\nrequest_rate = 1\nrequests = 20\ninput_len = 100\noutput_len = 10\n"
    )
    perfcore.sweep(sweep, tmp_path / "run")

    assert "is a sweep with traffic" in refused(sweep)[0]
    assert "is a run with traffic" in refused(tmp_path / "run")[0]
