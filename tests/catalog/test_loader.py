"""Entries found, read and refused: the catalogue's and the user's own."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import perfcore.catalog.loader as loader_module
from catalog.entries import FACT_KINDS
from perfcore import catalog
from perfcore.catalog import loader
from perfcore.catalog.engine_entry import EngineEntry
from perfcore.catalog.schema import DeviceEntry
from perfcore.errors import InputError, RenamedWarning
from perfcore.reading.files import read_toml

FILES = sorted(
    path
    for path in Path(loader_module.__file__).parent.rglob("*.toml")
    if path.parent.name != "models"
)
H100 = """
[{name}]
vendor = "x"
year = 2024
device_class = "datacentre-gpu-hopper"
memory_kind = "HBM3"
memory_capacity = "80 GB"
memory_bandwidth = "3.35 TB/s"
flops_fp16 = "989 TFLOP/s"
board_power = "700 W"
idle_power = "70 W"
link_bandwidth = "450 GB/s"
scale_up_domain = 8
network_bandwidth = "50 GB/s"
price_per_hour = "3 USD/h"
source = "a test"
"""


@pytest.fixture(autouse=True)
def _no_user_catalogue(tmp_path, monkeypatch):
    (tmp_path / "none").mkdir()
    monkeypatch.setenv("PERFCORE_CATALOG", str(tmp_path / "none"))


def faults(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    assert all("\n" not in fault for fault in caught.value.faults)
    return caught.value.faults


# --- what is in it


@pytest.mark.parametrize(
    "name",
    [
        *("h100", "h200", "b200", "mi300x", "mi325x", "tpu-v5p", "tpu-v5e", "inferentia2"),
        *("trainium1", "trainium2", "groq-lpu", "wse-3", "gaudi3", "m1", "m4-max", "m5-pro"),
        *("snapdragon-x-elite", "snapdragon-8-gen-3", "cloud-ai-100-standard"),
        *("cloud-ai-100-ultra", "graviton4", "rtx-4090", "hbm4-6tbs", "gb200", "trainium3"),
        *("apple-m5-pro", "cerebras-wse-3", "lpu-v1", "groq1", "a100_40_sxm", "H100 SXM"),
        *("a100_80_sxm", "qc_ai100_std", "max1550", "apple_m1_ultra", "xeon_spr", "tt_n300"),
    ],
)
def test_required_devices_and_aliases_resolve(name):
    assert catalog.load_device(name).memory_bandwidth > 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_trace_of_where_facts_were_gathered(path):
    text = path.read_text()
    assert not any(word in text for word in ("/work", "on this machine", "shared/facts", "hook"))


@pytest.mark.parametrize("kind", FACT_KINDS)
def test_names_and_aliases_do_not_clash(kind):
    owners = {}
    for name in catalog.names(kind):
        keys = {loader_module.normalise(text) for text in (name, *catalog.load(kind, name).aliases)}
        for key in keys:
            assert owners.setdefault(key, name) == name, key


# --- the user's own


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_path_with_one_entry(tmp_path):
    path = write(tmp_path / "mine.toml", H100.format(name="asic-x"))
    assert catalog.load_device(str(path)).name == "asic-x"
    assert catalog.load_device(f"{path}:ASIC_X").name == "asic-x"


def test_a_path_with_several_entries_asks_which(tmp_path):
    path = write(tmp_path / "mine.toml", H100.format(name="a1") + H100.format(name="a2"))
    assert catalog.load_device(f"{path}:a2").name == "a2"
    assert faults(catalog.load_device, str(path)) == (
        f"{path}: has 2 entries (a1, a2); say which one, e.g. {path}:a1",
    )
    assert faults(catalog.load_device, f"{path}:a11") == (
        f"{path}: has no device 'a11'; did you mean 'a1'?",
    )


def test_user_catalogue_comes_first_and_is_listed(tmp_path, monkeypatch):
    write(
        tmp_path / "c" / "devices.toml",
        H100.format(name="asic-x") + 'aliases = ["h100"]\n' + H100.format(name="b200"),
    )
    monkeypatch.setenv("PERFCORE_CATALOG", str(tmp_path / "c"))

    assert catalog.names("device")[:2] == ["asic-x", "b200"]
    assert catalog.names("device").count("b200") == 1
    assert catalog.load_device("h100").name == "asic-x"
    assert catalog.load_device("b200").vendor == "x"
    assert catalog.load_device("h100-sxm").vendor == "NVIDIA"
    assert catalog.aliases("device")["h100"] == "asic-x"


# --- faults


def edited(old, new):
    return H100.format(name="h100-x").replace(old, new)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            edited("memory_bandwidth", "memory_bandwith"),
            [
                "[h100-x]: unknown key 'memory_bandwith'; did you mean 'memory_bandwidth'?",
            ],
        ),
        (edited('source = "a test"', ""), ["[h100-x]: key 'source' is missing; add it"]),
        (
            edited('memory_bandwidth = "3.35 TB/s"', ""),
            ['is missing; add memory_bandwidth = "3.35 TB/s", for example'],
        ),
        (edited('"3.35 TB/s"', '"3.35 TB"'), ["'TB' is not a unit of a bandwidth"]),
        (edited('"3.35 TB/s"', '"-1 TB/s"'), ["memory_bandwidth: '-1 TB/s' must be above 0"]),
        (edited('"3.35 TB/s"', "0"), ["memory_bandwidth: 0 must be above 0"]),
        (edited('"3.35 TB/s"', "inf"), ["memory_bandwidth: inf is not a finite number"]),
        (edited('"3.35 TB/s"', "nan"), ["memory_bandwidth: nan is not a finite number"]),
        (edited('"3.35 TB/s"', "[1]"), ["memory_bandwidth: [1] is not a bandwidth"]),
        (edited('"3.35 TB/s"', "true"), ["memory_bandwidth: True is not a bandwidth"]),
        (edited("2024", '"soon"'), ["year: 'soon' must be a whole number"]),
        (edited("2024", "24"), ["year: 24 must be at least 2000"]),
        (edited('"a test"', '""'), ["source: must not be empty"]),
        (edited('"a test"', "5"), ["source: 5 must be text in quotes"]),
        (edited("-hopper", "-hoper"), ["did you mean 'datacentre-gpu-hopper'?"]),
        (edited('"70 W"', '"800 W"'), ["idle_power 800 W must not exceed board_power 700 W"]),
        (edited('"989 TFLOP/s"', "0"), ["no arithmetic rate is given"]),
        (H100.format(name="h100-x") + "spatial = true\n", ["needs layer_latency, like '20 us'"]),
        (
            H100.format(name="h100-x") + 'status = "hypothetical"\n',
            ["status = 'hypothetical' and hypothetical = true belong together"],
        ),
        (
            H100.format(name="h100-x") + '[h100-x.estimated]\nboard_powr = "guess"\n',
            ["estimated: unknown key 'board_powr'; did you mean 'board_power'?"],
        ),
        ("memory = 5\n" + H100.format(name="h100-x"), ["'memory' is outside any table"]),
        (H100.format(name='"H100 X"'), ["rename it"]),
        ("", ["has no entry; add a table [name] for the device"]),
        ("[a\nx = 1", ["not valid TOML", "line 1, column 3"]),
        ("[a]\nx = 1\nx = 2\n", ["not valid TOML"]),
    ],
)
def test_faulty_files(tmp_path, text, expected):
    path = write(tmp_path / "devices.toml", text)
    told = faults(catalog.load_device, str(path))
    assert all(fault.startswith(f"{path}: ") for fault in told)
    for part in expected:
        assert any(part in fault for fault in told), told


def test_all_faults_of_a_file_at_once(tmp_path):
    path = write(
        tmp_path / "devices.toml",
        edited("700 W", "700 V") + H100.format(name="b").replace("vendor", "vendr"),
    )
    assert len(faults(catalog.load_device, f"{path}:b")) == 2


def test_missing_and_unreadable_files(tmp_path):
    (tmp_path / "directory.toml").mkdir()
    (tmp_path / "latin.toml").write_bytes(b'[a]\nx = "\xe9"\n')
    write(tmp_path / "devices.toml", "")

    assert (
        "no such file; check the path; did you mean 'devices.toml'?"
        in faults(catalog.load_device, str(tmp_path / "device.toml"))[0]
    )
    assert "is not a file" in faults(catalog.load_device, str(tmp_path / "directory.toml"))[0]
    assert "is not UTF-8 text" in faults(catalog.load_device, str(tmp_path / "latin.toml"))[0]
    assert "is not a file" in faults(read_toml, tmp_path / "devices.toml" / "x.toml")[0]
    assert "cannot be read" in faults(read_toml, "nul\0.toml")[0]


def test_unknown_names():
    assert faults(catalog.load_device, "h10") == (
        "unknown device 'h10'; did you mean 'h100-sxm'? (perfcore devices lists all)",
    )
    assert "did you mean 'trillium'?" in faults(catalog.load_device, "trilium")[0]
    assert "did you mean 'q4_k_m'?" in faults(catalog.load_weight_format, "q4km")[0]
    assert faults(catalog.load_engine, "zzzz") == (
        "unknown engine 'zzzz' (perfcore engines lists all)",
    )
    assert "needs a name" in faults(catalog.load_device, "  ")[0]
    assert "unknown kind of entry 'devise'; did you mean 'device'?" in faults(
        catalog.names, "devise"
    )


def test_user_catalogue_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("PERFCORE_CATALOG", str(tmp_path / "gone"))
    assert "is not a directory; create it" in faults(catalog.names, "device")[0]


# --- speed and layers


def test_listing_devices_imports_nothing_heavy():
    code = (
        "import sys; from perfcore import catalog; "
        "[catalog.load_device(n) for n in catalog.names('device')]; "
        "print([m for m in ('numba', 'numpy', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_files_are_plain_toml():
    for path in FILES:
        tables = tomllib.loads(path.read_text())
        assert tables, path
        assert all(isinstance(table, dict) for table in tables.values())


def test_entries_are_what_they_say():
    assert isinstance(catalog.load("device", "h100"), DeviceEntry)
    assert isinstance(catalog.load("engine", "default"), EngineEntry)


def test_former_names_of_a_data_sheet_are_understood_with_a_note(tmp_path):
    text = (loader._BUILT_IN / "devices" / "nvidia.toml").read_text("utf-8")  # noqa: SLF001
    table = text[text.index("[h100-sxm]") :].partition("\n[")[0]
    for old, new in DeviceEntry.FORMER.items():
        table = re.sub(rf"^{new} =", f"{old} =", table, flags=re.MULTILINE)
    path = tmp_path / "old.toml"
    path.write_text(table)

    with pytest.warns(RenamedWarning) as notes:
        old = loader.load_device(str(path))

    assert "price_list has been renamed to purchase_price" in {str(note.message) for note in notes}
    assert old.record() == loader.load_device("h100-sxm").record()


@pytest.mark.parametrize(
    ("kind", "name", "meant"),
    [
        ("device", "h100-smx", "h100-sxm"),
        ("device", "h10-sxm", "h100-sxm"),
        ("device", "mi300", "mi300x"),
        ("device", "RTX 4070 Ti", ""),
        ("device", "RTX 3070 Ti", ""),
        ("device", "H100 NVL 80GB", ""),
        ("model", "lama-3.1-8b", "llama-3.1-8b"),
        ("model", "llama-3.1-7b", ""),
        ("model", "deepseek-r2", ""),
    ],
)
def test_another_thing_of_a_similar_name_is_not_suggested(kind, name, meant):
    with pytest.raises(InputError) as refused:
        loader.load(kind, name)

    suggested = re.findall("did you mean '([^']+)'", str(refused.value))
    assert suggested == ([meant] if meant else [])
