"""Commands that list and show the catalogue."""

import pytest

from cli.command import invoke, invoke_json, refused
from perfcore import columns
from perfcore.catalog import loader
from perfcore.cli.catalogue import number_text


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("models", "model"),
        ("devices", "device"),
        ("engines", "engine"),
        ("economics", "economics"),
        ("hosts", "host"),
    ],
)
def test_list_has_every_entry(command, kind):
    text = invoke(command)
    names = [entry["name"] for entry in invoke_json(command, "--json")]

    assert names == loader.names(kind)
    assert all(name in text for name in names)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("models", "llama-3-70b"),
        ("models", "deepseek-v3"),
        ("models", "mamba-2.8b"),
        ("devices", "h100-sxm"),
        ("devices", "groq-lpu"),
        ("engines", "default"),
        ("engines", "ideal"),
        ("engines", "llamacpp"),
        ("economics", "default"),
        ("economics", "owned"),
        ("hosts", "xeon-spr"),
        ("columns", "tpot_s"),
        ("columns", "status"),
    ],
)
def test_show(command, name):
    shown = invoke_json(command, "show", name, "--json")

    assert shown["name"] == name
    assert invoke_json(command, "--json", "show", name) == shown
    assert shown in invoke_json(command, "--json")
    assert name in invoke(command, "show", name).splitlines()[0]


def test_columns_say_which_way_is_better():
    assert invoke_json("columns", "show", "tpot_s", "--json")["better"] == "least"
    assert invoke_json("columns", "show", "mbu", "--json")["better"] == "most"
    assert invoke_json("columns", "show", "weights_s", "--json")["better"] is None
    assert "better   lower" in invoke("columns", "show", "tpot_s").splitlines()
    assert "better   higher" in invoke("columns", "show", "mbu").splitlines()
    assert "better" not in invoke("columns", "show", "weights_s")


def test_every_entry_can_be_shown():
    for kind, command in (("model", "models"), ("device", "devices")):
        for name in loader.names(kind):
            text = invoke(command, "show", name)

            assert max(map(len, text.splitlines())) <= 80


def test_show_says_what_is_computed_and_in_which_units():
    text = invoke("models", "show", "llama-3-70b")

    assert "70.55B" in text
    assert "327.7 kB" in text
    assert "3.35 TB/s" in invoke("devices", "show", "h100")
    assert "4 years  (estimated)" in invoke("economics", "show", "owned")
    assert "0.0832 USD/kWh" in invoke("economics", "show", "owned")
    assert "330.3 TFLOP/s" in invoke("devices", "show", "rtx-4090")


def test_every_number_of_an_entry_is_shown_in_a_unit_that_people_use():
    for kind in ("device", "economics", "weight_format", "kv_format"):
        for name in loader.names(kind):
            for field, value in loader.load(kind, name):
                if isinstance(value, float):
                    assert "e+" not in number_text(field, value), (name, field)


def test_kv_bytes_of_a_model_are_those_of_physics():
    found = invoke_json("models", "show", "deepseek-v3.2", "--json")

    # 576 elements of 2 bytes and an indexer's key of 128 bytes in each of 61 layers
    assert found["kv_bytes_per_token"] == 61 * (576 * 2 + 128)


def test_large_numbers_are_shown_without_exponents(tmp_path, spec):
    fast = ("llama-3.1-8b", "b200", "--batch", "256", "--input-len", "128")
    text = invoke("point", *fast)
    found = invoke("search", str(spec), "--maximize", "tokens_per_s_per_device")
    run = invoke("run", str(spec), "-o", str(tmp_path / "run"))

    assert "e+0" not in text + found + run
    assert " kB/row" in run


def test_show_tells_estimates_with_their_derivation():
    text = invoke("devices", "show", "groq-lpu")

    assert "0.627 USD/h  (estimated)" in text
    assert "no list price" in text
    assert "groq-lpu*" in invoke("devices", "--class", "sram")
    assert "hypothetical" in invoke("devices", "show", "hbm4-6tbs")
    assert "hbm4-6tbs*?" in invoke("devices", "--match", "hbm4")


def test_format_of_weights_and_cache_are_both_shown():
    both = invoke_json("formats", "show", "fp8", "--json")

    assert list(both) == ["weight_format", "kv_format"]
    assert list(invoke_json("formats", "show", "q5_1", "--json")) == ["weight_format"]
    text = invoke("formats", "show", "fp8")

    assert text.startswith("weight format\nfp8")
    assert "KV-cache format\nfp8" in text


def test_formats_lists_both_kinds():
    listed = invoke_json("formats", "--json")
    kinds = {entry["kind"] for entry in listed}

    assert kinds == {"weight_format", "kv_format"}
    assert len(listed) == len(loader.names("weight_format")) + len(loader.names("kv_format"))


def test_columns_are_those_that_are_declared():
    assert [column["name"] for column in invoke_json("columns", "--json")] == [
        column.name for column in (*columns.AXES, *columns.PAIRS, *columns.METRICS)
    ]
    assert [c["name"] for c in invoke_json("columns", "--match", "carbon", "--json")] == [
        "carbon_per_mtok_output_g",
        "carbon_per_mtok_input_g",
    ]


def test_list_can_be_narrowed():
    devices = invoke_json("devices", "--class", "tpu", "--match", "V5", "--json")

    assert {device["name"] for device in devices} == {"tpu-v5e", "tpu-v5p"}
    assert invoke_json("models", "--match", "no such thing", "--json") == []
    for command in ("models", "devices", "formats", "engines", "economics", "columns"):
        assert invoke(command, "--match", "no such thing") == "no entries; leave out --match\n"


def test_own_entries_are_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("PERFCORE_CATALOG", str(tmp_path))
    (tmp_path / "engines.toml").write_text("[mine]\nbase = 'default'\nsource = 'me'\n")

    assert "mine" in invoke("engines")
    assert invoke_json("engines", "show", "mine", "--json")["source"] == "me"


# Anything by its name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("h100", "memory_bandwidth"),
        ("llama-3.1-8b", "kv_bytes_per_token"),
        ("vllm", "memory_fraction"),
        ("tpot_s", "time per output token"),
        ("fp8", "KV-cache format"),
    ],
)
def test_show_finds_what_a_name_names(name, shown):
    assert shown in invoke("show", name)


def test_show_of_an_unknown_name_suggests_one():
    assert "did you mean 'h100-sxm'?" in refused("show", "h100-smx")
    assert "names several things" in refused("show", "default", "--json")
