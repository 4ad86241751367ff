"""The commands models add and devices add."""

import json
import re
import tomllib

import pytest
from catalog.importing.configs import LLAMA, written
from click.testing import CliRunner

import perfcore
from perfcore.catalog import loader
from perfcore.catalog.schema import DeviceEntry
from perfcore.cli import program


@pytest.fixture
def directory(tmp_path):
    made = tmp_path / "My Model_1"
    made.mkdir()
    written(made, json.dumps(LLAMA))
    return made


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    made = tmp_path / "catalogue"
    made.mkdir()
    monkeypatch.setenv("PERFCORE_CATALOG", str(made))
    return made


def run(*arguments):
    return CliRunner().invoke(program, [str(argument) for argument in arguments])


def test_models_add_into_the_catalogue(directory, catalogue):
    result = run("models", "add", directory, "--name", "mine")

    assert result.exit_code == 0, result.output
    assert "8.03B" in result.stdout
    made = perfcore.load_model(str(directory))
    assert perfcore.load_model("mine") == made.model_copy(update={"name": "mine"})
    before = (catalogue / "models.toml").read_text("utf-8")
    again = run("models", "add", directory, "--name", "mine")
    assert again.exit_code == 2
    assert "has [mine] already; add --force" in again.stderr
    assert (catalogue / "models.toml").read_text("utf-8") == before
    assert run("models", "add", "deepseek-v3", "--name", "other").exit_code == 0
    assert run("models", "add", directory, "--name", "mine", "--force").exit_code == 0
    assert loader.names("model")[:2] == ["other", "mine"]
    assert "not the built-in" not in result.stdout
    shadow = run("models", "add", "llama-3-8b")
    assert "llama-3-8b means this entry, not the built-in model" in shadow.stdout
    assert perfcore.load_model("other").record() == perfcore.load_model("deepseek-v3").record()


def test_models_add_into_a_file(directory, tmp_path, catalogue):
    output = tmp_path / "own.toml"
    first = run("models", "add", directory, "-o", output)

    assert first.exit_code == 0, first.output
    assert perfcore.load_model(str(output)) == perfcore.load_model(str(directory))
    assert not list(catalogue.iterdir())
    assert run("models", "add", directory, "-o", output).exit_code == 2
    assert run("models", "add", "llama-3-8b", "-o", output, "--force").exit_code == 0
    assert perfcore.load_model(str(output)) == perfcore.load_model("llama-3-8b")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--name", "No Name"], "--name: 'No Name' is not a valid name"),
        (["-o", "x.json"], "must end in .toml"),
        (["-o", "nowhere/x.toml"], "is not a directory"),
    ],
)
def test_models_add_refuses(directory, catalogue, arguments, match):
    result = run("models", "add", directory, *arguments)

    assert result.exit_code == 2
    assert match in result.stderr
    assert not list(catalogue.iterdir())


CHIP = {
    "--memory": "80 GB",
    "--memory-bandwidth": "3.35 TB/s",
    "--fp16": "989 TFLOPS",
    "--power": "700 W",
    "--price": "2.50 USD/h",
    "--class": "datacentre-gpu-hopper",
    "--source": "a data sheet",
}


def options(given):
    return [part for pair in given.items() for part in pair]


def test_devices_add(catalogue):
    result = run("devices", "add", "my-chip", *options(CHIP))

    assert result.exit_code == 0, result.output
    assert "idle_power" in result.stdout
    device = perfcore.load_device("my-chip")
    assert (device.memory_capacity, device.memory_bandwidth) == (80e9, 3.35e12)
    assert device.idle_power == pytest.approx(0.2 * 700)
    assert {"idle_power", "link_bandwidth", "network_bandwidth"} <= set(device.estimated)
    text = (catalogue / "devices.toml").read_text("utf-8")
    for field in set(DeviceEntry.model_fields) - {"name", "aliases", "estimated", "hypothetical"}:
        assert f"\n{field} = " in text or f"\n# {field} = " in text
    commented = text.replace("\n# ", "\n")  # every example is valid TOML
    assert tomllib.loads(commented)["my-chip"]["flops_fp8"] == "989 TFLOP/s"
    assert perfcore.evaluate("llama-3-8b", "my-chip")["status"] == "ok"
    assert run("devices", "add", "my-chip", *options(CHIP)).exit_code == 2
    assert run("devices", "add", "my-chip", *options(CHIP), "--force").exit_code == 0


@pytest.mark.usefixtures("catalogue")
def test_devices_add_takes_every_field():
    more = {
        "--vendor": 'Acme "A"',
        "--year": "2025",
        "--idle-power": "60 W",
        "--link-kind": "nvlink",
        "--link-bandwidth": "450 GB/s",
        "--scale-up-domain": "72",
        "--network-bandwidth": "400 Gb/s",
        "--status": "hypothetical",
        "--layer-latency": "20 us",
    }
    result = run("devices", "add", "my-chip", *options(CHIP | more), "--spatial")

    assert result.exit_code == 0, result.output
    device = perfcore.load_device("my-chip")
    assert (device.vendor, device.year, device.scale_up_domain) == ('Acme "A"', 2025, 72)
    assert device.hypothetical
    assert device.spatial
    assert device.network_bandwidth == 50e9
    assert set(device.estimated) == set()


def test_devices_add_tells_all_faults_at_once(catalogue):
    result = run("devices", "add", "my-chip", "--memory", "80", "--scale-up-domain", "many")

    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    for option in ("--memory-bandwidth", "--power", "--price", "--class", "--source"):
        assert any(line.startswith(f"error: {option} is missing") for line in lines), option
    assert any("--memory: '80' has no unit" in line for line in lines)
    assert any("no arithmetic rate" in line for line in lines)
    assert any("--scale-up-domain: 'many' is not a number" in line for line in lines)
    assert len(lines) == 8
    assert not list(catalogue.iterdir())


def test_needed_options_are_those_that_are_missed(catalogue):
    text = run("devices", "add", "--help").stdout
    missed = run("devices", "add", "my-chip", "--fp16", "1 TFLOPS").stderr.splitlines()
    needed = re.findall(r"(--[\w-]+) VALUE (?:(?!--).)*?Required\.", " ".join(text.split()))

    assert sorted(f"error: {option} is missing" for option in needed) == sorted(
        line.partition(";")[0] for line in missed
    )
    assert not list(catalogue.iterdir())


def test_devices_add_refuses_what_is_no_text(catalogue):
    result = run("devices", "add", "my-chip", *options(CHIP | {"--vendor": "\udcff"}))

    assert result.exit_code == 2
    assert "not UTF-8" in result.stderr
    assert not list(catalogue.iterdir())


def test_devices_add_checks_the_name(catalogue):
    result = run("devices", "add", "My Chip", *options(CHIP))

    assert result.exit_code == 2
    assert "is not a valid name" in result.stderr
    assert not list(catalogue.iterdir())
