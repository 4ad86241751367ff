"""Places where models come from."""

import json

import pytest
from click.testing import CliRunner

import perfcore
from catalog.importing.configs import LLAMA, changed, written
from catalog.importing.gguf_files import SMALL, header
from perfcore.cli import program
from perfcore.errors import InputError


def test_paths_name_the_same_model(directory, monkeypatch):
    monkeypatch.chdir(directory.parent)
    found = [
        perfcore.load_model(source)
        for source in (
            str(directory),
            str(directory / "config.json"),
            "./My Model_1",
            "./My Model_1/",
            "My Model_1",
            "My Model_1/config.json",
        )
    ]

    assert all(entry == found[0] for entry in found)
    assert found[0].name == "my-model_1"
    monkeypatch.chdir(directory)
    assert perfcore.load_model(".") == found[0]


def test_directory_of_the_hubs_cache_is_called_like_its_model(tmp_path):
    made = tmp_path / "models--meta-llama--Llama-3.1-8B" / "snapshots" / "0e9e39f249a1"
    made.mkdir(parents=True)
    written(made, json.dumps(LLAMA))

    assert perfcore.load_model(str(made)).name == "llama-3.1-8b"


def test_catalogue_goes_before_a_directory_of_the_same_name(directory, monkeypatch):
    (directory / "llama-3-8b").mkdir()
    monkeypatch.chdir(directory)

    assert perfcore.load_model("llama-3-8b").title == "Llama-3 8B"


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("./nowhere", "nowhere: no such file"),
        ("nowhere.json", "nowhere.json: no such file"),
        ("nowhere.gguf", "nowhere.gguf: no such file"),
        ("~no-such-user/config.json", "no such file"),
        ("./\0.json", "cannot be read"),
        ("./\0.gguf", "cannot be read"),
        ("./" + "x" * 5000 + ".gguf", "cannot be read"),
    ],
)
def test_sources_that_are_none(tmp_path, monkeypatch, source, match):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=match):
        perfcore.load_model(source)


def test_directories_without_one_model(tmp_path):
    with pytest.raises(InputError, match=r"neither a config\.json nor a GGUF file"):
        perfcore.load_model(str(tmp_path))
    header(tmp_path, SMALL, "a.gguf")
    assert perfcore.load_model(str(tmp_path)).name == "a"
    header(tmp_path, SMALL, "b.gguf")
    with pytest.raises(InputError, match=r"2 GGUF models \(a\.gguf, b\.gguf\); give one"):
        perfcore.load_model(str(tmp_path))


def test_sweeps_take_paths_relative_to_their_file(directory):
    spec = directory.parent / "sweep.toml"
    spec.write_text(
        '[axes]\nmodel = ["./My Model_1", "llama-3-8b"]\ndevice = ["h100-sxm"]\nbatch = [1, 2]\n'
    )
    result = CliRunner().invoke(program, ["plan", str(spec), "--json"])

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rows"] == 4


def test_point_takes_a_directory(directory):
    point = ["point", str(directory), "h100-sxm", "--json"]
    result = CliRunner().invoke(program, point)
    same = perfcore.evaluate("llama-3.1-8b", "h100-sxm")

    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["model"] == "my-model_1"
    assert found["tpot_s"] == same["tpot_s"]


def test_point_says_that_an_architecture_is_unknown(tmp_path):
    path = written(tmp_path, json.dumps({**LLAMA, "model_type": "novel"}))
    result = CliRunner().invoke(program, ["point", str(path), "h100-sxm"])

    assert result.exit_code == 0, result.output
    assert "model_type 'novel' is unknown" in " ".join(result.stdout.split())


def test_faults_are_lines_with_exit_code_2(tmp_path):
    path = written(tmp_path, json.dumps({"model_type": "novel"}))
    result = CliRunner().invoke(program, ["models", "show", str(path)])

    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {path}: model_type 'novel' is unknown and lacks ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["DeepSeek-V3.1-NVFP4", "it-FP8-dynamic", "it_awq"])
def test_a_name_that_says_more_than_the_file_is_told(tmp_path, name):
    (tmp_path / name).mkdir()
    path = tmp_path / name / "config.json"
    path.write_text(json.dumps(LLAMA))
    assert "give a weight format" in perfcore.load_model(str(path)).notes

    quantised = {"quantization_config": {"quant_method": "fp8"}}
    path.write_text(json.dumps(LLAMA | quantised))
    assert "give a weight format" not in perfcore.load_model(str(path)).notes


@pytest.mark.parametrize(
    ("name", "contents", "form"),
    [
        ("quantize_config.json", {"bits": 4, "group_size": 128}, "int4-g128-gptq"),
        ("quantize_config.json", {"bits": 8, "group_size": -1, "desc_act": True}, "int8"),
        ("quant_config.json", {"w_bit": 4, "q_group_size": 128}, "int4-g128-awq"),
        ("quant_config.json", {"scheme": "own"}, ""),
    ],
)
def test_older_files_beside_say_how_a_model_is_quantised(directory, name, contents, form):
    (directory / name).write_text(json.dumps(contents))
    entry = perfcore.load_model(str(directory))

    assert entry.native_format == form
    assert f"quantisation read from {name}" in entry.notes
    assert form or f"{name} is not understood: give a weight format" in entry.notes


def test_a_file_beside_that_contradicts_the_config_is_told(directory):
    config = changed(LLAMA, quantization_config={"quant_method": "fp8"})
    (directory / "config.json").write_text(json.dumps(config))
    beside = {"quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": None}}
    (directory / "hf_quant_config.json").write_text(json.dumps(beside))
    entry = perfcore.load_model(str(directory))

    assert entry.native_format == "fp8"
    assert "hf_quant_config.json says nvfp4, and config.json, which is followed" in entry.notes
