"""Models from the Hugging Face hub."""

import sys
from types import SimpleNamespace

import huggingface_hub
import pytest
from click.testing import CliRunner

import perfcore
from perfcore.catalog import loader
from perfcore.cli import program
from perfcore.errors import InputError


@pytest.fixture
def hub(monkeypatch, directory):
    asked = []

    def download(repository, file, revision=None):
        asked.append((repository, file, revision))
        return str(directory / "config.json")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return SimpleNamespace(asked=asked, module=huggingface_hub)


def test_hub_gives_the_config_only(hub):
    entry = perfcore.load_model("hf:meta-llama/Llama-3.1-8B@main")

    assert hub.asked == [("meta-llama/Llama-3.1-8B", "config.json", "main")]
    assert (entry.name, entry.hf_id) == ("llama-3.1-8b", "meta-llama/Llama-3.1-8B")
    ours, theirs = entry.record(), loader.load_model("llama-3.1-8b").record()
    assert ours == theirs._replace(token_price=ours.token_price)  # a file has no price


def test_hub_in_a_sweep_is_no_path(hub, tmp_path):
    spec = tmp_path / "sweep.toml"
    spec.write_text('[axes]\nmodel = ["hf:org/name"]\ndevice = ["h100-sxm"]\n')

    assert CliRunner().invoke(program, ["plan", str(spec)]).exit_code == 0
    assert hub.asked == [("org/name", "config.json", None)]


@pytest.mark.parametrize("name", ["hf:", "hf:a/b/c", "hf:a b", "hf:../../x/y", "hf:a/b@", "hf:a\n"])
def test_hub_names_are_checked_before_anything_is_asked(hub, name):
    with pytest.raises(InputError, match="is not of the form hf:org/name"):
        perfcore.load_model(name)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("error", "match"),
    [
        ("LocalEntryNotFoundError", "cannot be reached, and there is no local copy"),
        ("EntryNotFoundError", "has no config.json"),
        ("HFValidationError", "cannot be downloaded"),
        ("OfflineModeIsEnabled", "cannot be downloaded"),
    ],
)
def test_hub_errors_are_one_line(hub, monkeypatch, error, match):
    def refuse(*_, **__):
        raise getattr(hub.module.errors, error)("first\nsecond")

    monkeypatch.setattr(hub.module, "hf_hub_download", refuse)
    with pytest.raises(InputError, match=match) as caught:
        perfcore.load_model("hf:org/name")
    assert "\n" not in str(caught.value)


def test_hub_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    with pytest.raises(InputError, match=r"pip install huggingface_hub"):
        perfcore.load_model("hf:org/name")
