"""The catalogue: every entry is complete and sourced; every fault is one line with a remedy."""

import math
import os
import re
import statistics
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

import perfcore.catalog.loader as loader_module
from perfcore import catalog, records
from perfcore.catalog import loader
from perfcore.catalog.engine_entry import ENGINE_DIMENSIONS, EngineEntry
from perfcore.catalog.schema import HOURS_TO_BUY, SERVER_SHARE, SPOT_SHARE, DeviceEntry, FactEntry
from perfcore.errors import InputError, RenamedWarning
from perfcore.reading.faults import faults_from_validation_error
from perfcore.reading.files import read_toml
from perfcore.reading.words import suggest

DEVICES = catalog.names("device")
FACT_KINDS = [kind for kind in catalog.KINDS if kind != "model"]
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


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_is_a_finite_record(name):
    entry = catalog.load_device(name)
    record = entry.record()

    assert all(math.isfinite(value) and value >= 0 for value in record)
    for field in (
        "memory_capacity",
        "memory_bandwidth",
        "flops_fp16",
        "board_power",
        "idle_power",
        "link_bandwidth",
        "scale_up_domain",
        "network_bandwidth",
        "price_per_hour",
    ):
        assert getattr(record, field) > 0, field
    assert (record.layer_latency > 0) == bool(record.spatial)


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


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("h100-sxm", "memory_bandwidth", 3.35e12),
        ("h100-sxm", "memory_capacity", 85.9e9),
        ("h100-sxm", "flops_fp16", 989e12),
        ("b200", "memory_bandwidth", 7.7e12),
        ("b300", "flops_int8", 153.5e12),
        ("gaudi3", "flops_fp16", 1677e12),
        ("rtx-4090", "flops_fp16", 165.2e12),
        ("mi300x", "memory_bandwidth", 5.3e12),
        ("wse-3", "flops_fp16", 15.84e15),
        ("wse-3", "layer_latency", 22e-6),
        ("groq-lpu", "layer_latency", 41.67e-6),
        ("hbm4-6tbs", "memory_bandwidth", 6e12),
    ],
)
def test_decided_conflicts_stay_decided(name, field, value):
    assert getattr(catalog.load_device(name).record(), field) == value


def test_dense_flops_only():
    # the "with sparsity" figures that data sheets print first
    sparse = {"h100-sxm": 1979e12, "b200": 4500e12, "jetson-agx-thor": 517e12}
    for name, figure in sparse.items():
        assert catalog.load_device(name).flops_fp16 <= figure / 2


@pytest.mark.parametrize("kind", FACT_KINDS)
def test_every_entry_has_a_source(kind):
    for name in catalog.names(kind):
        entry = catalog.load(kind, name)
        assert len(entry.source) >= 8, name
        assert all(len(reason) >= 5 for reason in entry.estimated.values()), name


@pytest.mark.parametrize("name", DEVICES)
def test_every_number_of_a_device_has_a_basis(name):
    entry = catalog.load_device(name)
    given = entry.model_fields_set
    assert entry.price_per_hour_basis
    assert (
        not entry.purchase_price
        or entry.purchase_price_basis
        or "purchase_price" in entry.estimated
    )
    assert not entry.spot_price_per_hour or entry.spot_price_per_hour_basis
    assert set(entry.estimated) <= given, "an estimate of a field that is not there"


def test_every_engine_constant_has_a_source():
    for name in catalog.names("engine"):
        entry = catalog.load_engine(name)
        tables = [
            entry.constants,
            *entry.device_class.values(),
            *entry.link.values(),
            *entry.device.values(),
        ]
        for table in tables:
            for constant, fact in table.items():
                assert len(fact.source) >= 5, (name, constant)


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


@pytest.mark.parametrize("name", catalog.names("weight_format"))
def test_weight_formats(name):
    record = catalog.load_weight_format(name).record()
    assert 1 < record.bits <= 32
    assert 1 < record.embedding_bits <= 32
    assert record.kernel in {float(code) for code in range(7)}
    assert record.arithmetic in {float(code) for code in range(5)}


@pytest.mark.parametrize(
    ("name", "bits", "kernel", "arithmetic"),
    [
        ("FP16", 16, records.KERNEL_16, records.MATH_FP16),
        ("fp8", 8, records.KERNEL_8, records.MATH_FP8),
        ("fp8-block128", 8.001953125, records.KERNEL_8_BLOCK, records.MATH_FP8),
        ("w8a16", 8.00390625, records.KERNEL_8_WEIGHT_ONLY, records.MATH_FP16),
        ("w8a8", 8.00390625, records.KERNEL_8, records.MATH_INT8),
        ("awq", 4.15625, records.KERNEL_4_WEIGHT_ONLY, records.MATH_FP16),
        ("gptq", 4.125, records.KERNEL_4_WEIGHT_ONLY, records.MATH_FP16),
        ("nvfp4", 4.5, records.KERNEL_4, records.MATH_FP4),
        ("mxfp4", 4.25, records.KERNEL_4, records.MATH_FP4),
        ("Q4-K-M", 4.8944, records.KERNEL_GGUF, records.MATH_FP16),
        ("q6_k", 6.5633, records.KERNEL_GGUF, records.MATH_FP16),
        ("q4_0", 4.5, records.KERNEL_GGUF, records.MATH_FP16),
    ],
)
def test_weight_format_values(name, bits, kernel, arithmetic):
    record = catalog.load_weight_format(name).record()
    assert (record.bits, record.kernel, record.arithmetic) == (bits, kernel, arithmetic)


def test_mxfp4_quantises_experts_only():
    assert catalog.load_weight_format("mxfp4").record().experts_only == 1
    assert catalog.load_weight_format("nvfp4").record().experts_only == 0


@pytest.mark.parametrize(
    ("name", "bits", "kernel"),
    [("fp16", 16, 0), ("fp8", 8, 1), ("int8", 8.25, 1), ("Q8-0", 8.5, 1), ("nvfp4", 4.5, 1)],
)
def test_kv_formats(name, bits, kernel):
    assert catalog.load_kv_format(name).record() == records.KVFormat(bits, kernel)


MORE_IS_BETTER = {"prefill_overlap", "max_sequences", "host_memory_bytes", "host_memory_bandwidth"}
SHARES = {"memory_fraction", "prefill_pool_load"}
LOSSES = {"residue", "spatial_latency", "expert_imbalance", "kv_group_penalty", "draft_layers"}
LOSSES |= {"interference", "queue_weight", "memory_reserve"}
NEITHER = {"pads_heads"}  # it makes runs possible, not faster
FLAGS = {"narrow_accumulation"}  # faster where it is set
ANYHOW = ("power_", "low_", "high_")  # not a time


@pytest.mark.parametrize("engine", [name for name in catalog.names("engine") if name != "ideal"])
def test_no_engine_beats_the_ideal_one_on_any_device(engine):
    for device in DEVICES:
        entry = catalog.load_device(device)
        ideal = catalog.load_engine("ideal").record(entry)
        constants = catalog.load_engine(engine).record(entry)

        for name, value, best in zip(records.Engine._fields, constants, ideal, strict=True):
            assert math.isfinite(value), name
            if "efficiency" in name or name in SHARES:
                assert 0 < value <= best == 1, (device, name)
            elif name in MORE_IS_BETTER | FLAGS:
                assert value <= best, (device, name)
            elif ENGINE_DIMENSIONS[name] == "time" or name in LOSSES:
                assert value >= best == 0, (device, name)
            elif name not in NEITHER and not name.startswith(ANYHOW):
                assert value >= best, (device, name)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("vllm", "vllm"),
        ("TensorRT-LLM", "trtllm"),
        ("llama.cpp", "llamacpp"),
        ("llama-cpp", "llamacpp"),
        ("neuron", "neuronx"),
        ("serving", "default"),
    ],
)
def test_engines_have_the_names_that_people_use(alias, name):
    assert catalog.load_engine(alias).name == name


def test_engines_differ_where_they_were_measured_to():
    def on(engine, device):
        return catalog.load_engine(engine).record(catalog.load_device(device))

    assert on("trtllm", "h100-sxm").one_shot_latency < on("vllm", "h100-sxm").one_shot_latency
    assert (
        on("trtllm", "h100-pcie").one_shot_latency > 4 * on("trtllm", "h100-sxm").one_shot_latency
    )
    assert (on("vllm", "h100-sxm").max_sequences, on("vllm", "l4").max_sequences) == (1024, 256)
    assert on("neuronx", "inferentia2").pads_heads == 1
    home, hall = on("llamacpp", "rtx-4090"), on("llamacpp", "a100-80gb-sxm")
    assert home.narrow_accumulation == 1
    assert hall.memory_efficiency_gguf < 0.65 * home.memory_efficiency_gguf  # HBM
    assert (home.prefill_chunk, home.prefill_overlap) == (512, 4)
    old, new = on("vllm-2024", "h100-sxm"), on("vllm", "h100-sxm")
    assert old.host_per_step > 3 * new.host_per_step
    assert old.server_per_step > 5e-3 > new.server_per_step


def test_an_engine_scales_its_base_on_every_class():
    default, vllm = catalog.load_engine("default"), catalog.load_engine("vllm")
    factor = vllm.factors["kv_efficiency"].value
    for device in ("h100-sxm", "mi300x", "m4-max", "tpu-v5p"):
        entry = catalog.load_device(device)

        below = default.record(entry).kv_efficiency

        assert vllm.record(entry).kv_efficiency == pytest.approx(min(below * factor, 1.0))


def test_an_engine_before_its_fit_is_what_it_stands_on():
    device = catalog.load_device("h100-sxm")
    kernels = catalog.load_engine("kernels").record(device)

    for name in ("default", "vllm", "sglang"):
        before = catalog.load_engine(name).before_fit().record(device)

        assert before.launch == kernels.launch
        assert before.memory_efficiency_16 == kernels.memory_efficiency_16
        assert before.host_per_step == kernels.host_per_step


@pytest.mark.parametrize(
    ("engine", "device", "level"),
    [
        ("vllm", "h100-sxm", "own"),
        ("vllm", "gh200-96gb", "class"),
        ("vllm", "mi300x", "unseen"),
        ("llamacpp", "rtx-4090", "own"),
        ("llamacpp", "rtx-5090", "class"),
        ("default", "groq-lpu", "claim"),
        ("default", "wse-3", "claim"),
    ],
)
def test_what_a_prediction_rests_on(engine, device, level):
    entry = catalog.load_device(device)

    assert catalog.load_engine(engine).calibration(entry) == level


def test_intervals_widen_with_ignorance():
    engine = catalog.load_engine("vllm")
    devices = ("h100-sxm", "gh200-96gb", "mi300x", "groq-lpu")
    records_ = [engine.record(catalog.load_device(device)) for device in devices]

    for narrow, wide in pairwise(records_):
        for name in records.Engine._fields:
            if name.startswith("low_"):
                assert getattr(wide, name) <= getattr(narrow, name) < 1, name
            elif name.startswith("high_"):
                assert getattr(wide, name) >= getattr(narrow, name) > 1, name


def test_engine_overrides_by_class_link_and_device():
    engine = catalog.load_engine("default")
    fast = engine.record(catalog.load_device("h100-sxm"))
    slow = engine.record(catalog.load_device("h100-pcie"))
    assert slow.one_shot_latency > 2 * fast.one_shot_latency
    assert engine.record(catalog.load_device("groq-lpu")).launch == 0


def test_facts_and_economics():
    economics = catalog.default_economics()
    assert 0 < economics.utilization <= 1
    assert 1 <= economics.pue < 2
    fact = catalog.load("price", "gpt-4o-output")
    assert isinstance(fact, FactEntry)
    assert (fact.value, fact.unit) == (10.0, "USD/Mtok")
    assert catalog.load("energy", "hbm2-access").scope == "dram_device"


def test_economics_take_over_what_they_do_not_say():
    default, owned = (catalog.load("economics", name) for name in ("default", "owned"))
    hyperscaler = catalog.load("economics", "hyperscaler")

    assert owned.record() == default.record()._replace(purchase=records.PURCHASE_OWNED)
    assert catalog.load("economics", "on-demand").record() == default.record()
    assert owned.estimated == default.estimated
    assert default.lifetime == 4 * 365 * 86_400
    assert hyperscaler.interest == default.interest
    assert hyperscaler.estimated["interest"] == default.estimated["interest"]
    assert hyperscaler.estimated["utilization"] != default.estimated["utilization"]
    # an estimate does not stand for a number that an entry says itself
    assert set(hyperscaler.estimated) == set(default.estimated)


def test_every_number_of_economics_has_a_source_or_an_estimate():
    sourced = {"pue", "carbon_intensity", "electricity_price"}
    for name in catalog.names("economics"):
        entry = catalog.load("economics", name)
        numbers = {key for key, value in entry if isinstance(value, float)}
        assert numbers == {*entry.estimated} | sourced, name


def test_own_economics_may_build_on_another(tmp_path):
    path = write(
        tmp_path / "e.toml",
        '[mine]\nbase = "owned"\nutilization = 0.9\nlifetime = "5 years"\nsource = "a test"\n',
    )
    mine = catalog.load("economics", str(path))

    assert (mine.purchase, mine.utilization, mine.pue) == ("owned", 0.9, 1.2)
    assert "lifetime" not in mine.estimated
    assert "interest" in mine.estimated


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[x]\nbase = "onwed"\nsource = "a test"\n', "did you mean 'owned'?"),
        ('[x]\nbase = "X"\nsource = "a test"\n', "leads back to itself"),
        ('[x]\nbase = 3\nsource = "a test"\n', "base: 3 must be text"),
        ('[x]\nsource = "a test"\n', "key 'utilization' is missing"),
        ('[x]\nbase = "default"\nlifetime = "4 V"\nsource = "a test"\n', "'V' is not a unit"),
        ('[x]\nbase = "default"\nsource = "a test"\nestimated = 3\n', "estimated"),
        ('[x]\nbase = "default"\nsource = "a test"\npurchase = "rent"\n', "purchase"),
    ],
)
def test_faulty_economics(tmp_path, text, expected):
    told = faults(catalog.load, "economics", str(write(tmp_path / "e.toml", text)))
    assert any(expected in fault for fault in told), told


def test_prices_that_a_device_does_not_list_are_medians_of_others():
    entries = [catalog.load_device(name) for name in DEVICES]
    listed = [entry for entry in entries if "price_per_hour" not in entry.estimated]
    spot = [
        e.spot_price_per_hour / e.price_per_hour
        for e in entries
        if e.spot_price_per_hour is not None
    ]
    bought = [e.purchase_price / e.price_per_hour for e in listed if e.purchase_price is not None]

    assert (len(spot), len(bought)) == (9, 13)  # as the derivations say
    assert statistics.median(spot) == pytest.approx(SPOT_SHARE, rel=0.01)
    assert statistics.median(bought) == pytest.approx(HOURS_TO_BUY, rel=0.01)


def test_fallback_prices_say_so():
    listed, unlisted = catalog.load_device("h100-sxm"), catalog.load_device("inferentia2")

    assert listed.fallbacks == {}
    assert set(unlisted.fallbacks) == {"spot_price_per_hour", "purchase_price"}
    assert all("median" in why for why in unlisted.fallbacks.values())
    assert unlisted.record().spot_price_per_hour == unlisted.price_per_hour * SPOT_SHARE


def test_price_of_a_whole_system_has_the_server_in_it():
    default = catalog.default_economics()
    entry = catalog.load_device("b200")

    assert entry.purchase_price_whole
    assert default.server_factor == SERVER_SHARE
    assert entry.record().purchase_price * default.server_factor == pytest.approx(
        entry.purchase_price
    )
    assert catalog.load_device("h100-sxm").record().purchase_price == 30_000


@pytest.mark.parametrize(
    ("name", "capacity", "bandwidth"),
    [
        ("sn40l", 1649e9, 200e9),
        ("wse-3", 12e12, 150e9),
        ("corsair", 256e9, 400e9),
        ("gh200-96gb", 480e9, 450e9),
        ("gb200", 240e9, 250e9),
        ("h100-sxm", 0, 0),
    ],
)
def test_second_memory_tiers(name, capacity, bandwidth):
    record = catalog.load_device(name).record()
    assert (record.memory2_capacity, record.memory2_bandwidth) == (capacity, bandwidth)
    assert record.memory2_bandwidth < record.memory_bandwidth


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
        f"{path}: has 2 entries (a1, a2); write which one, like {path}:a1",
    )
    assert faults(catalog.load_device, f"{path}:a11") == (
        f"{path}: has no device 'a11'; did you mean 'a1'?",
    )


def test_user_catalogue_comes_first_and_is_listed(tmp_path, monkeypatch):
    before = catalog.catalog_hash()
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
    assert catalog.catalog_hash() != before


def test_user_engine_builds_on_another(tmp_path):
    path = write(
        tmp_path / "e.toml",
        '[mine]\nbase = "default"\nsource = "a test"\n[mine.constants]\nlaunch = "9 us"\n'
        '[mine.device.h100-sxm]\nlaunch = "8 us"\n',
    )
    engine = catalog.load_engine(str(path))
    assert engine.record(catalog.load_device("h200-sxm")).launch == 9e-6
    assert engine.record(catalog.load_device("h100-sxm")).launch == 8e-6
    assert engine.record(catalog.load_device("h200-sxm")).host_per_step == 0.5e-3


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
        ("memory = 5\n" + H100.format(name="h100-x"), ["'memory' stands outside of any table"]),
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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_file(tmp_path):
    path = write(tmp_path / "devices.toml", "")
    path.chmod(0)
    assert "may not be read" in faults(read_toml, path)[0]


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[x]\nsource = "a test"\n', "missing; add them, or base = 'default'"),
        ('[x]\nbase = "x"\nsource = "a test"\n', "leads back to itself"),
        ('[x]\nbase = "defalt"\nsource = "a test"\n', "did you mean 'default'?"),
        (
            '[x]\nbase = "default"\nsource = "a test"\n[x.constants]\nlaunhc = "1 us"\n',
            "constants: unknown key 'launhc'; did you mean 'launch'?",
        ),
        (
            '[x]\nbase = "default"\nsource = "a test"\n[x.constants]\nlaunch = "1 GB"\n',
            "constants: launch: '1 GB': 'GB' is not a unit of a time",
        ),
        (
            '[x]\nbase = "default"\nsource = "a test"\n[x.constants]\nmemory_efficiency_16 = 1.2\n',
            "constants: memory_efficiency_16: 1.2 must be at most 1",
        ),
        (
            '[x]\nbase = "default"\nsource = "a test"\n[x.constants]\nkv_efficiency = "0"\n',
            "constants: kv_efficiency: '0' must be above 0",
        ),
        (
            '[x]\nbase = "default"\nsource = "a test"\n[x.constants]\nlaunch = {value=1, bas=1}\n',
            "constants: launch: ",
        ),
        (
            '[x]\nbase = "default"\nsource = "a test"\n[x.constants]\npads_heads = 0.5\n',
            "constants: pads_heads: 0.5 must be whole",
        ),
        (
            '[x]\nbase = "default"\nsource = "a test"\n[x.device_class.cpus]\nlaunch = "1 us"\n',
            "did you mean 'cpu'?",
        ),
    ],
)
def test_faulty_engines(tmp_path, text, expected):
    told = faults(catalog.load_engine, str(write(tmp_path / "e.toml", text)))
    assert any(expected in fault for fault in told), told
    assert not any("pydantic" in fault or "Traceback" in fault for fault in told)


class _Inner(BaseModel, extra="forbid"):
    batch: int
    sizes: tuple[int, ...] = ()


class _Outer(BaseModel, extra="forbid"):
    inner: _Inner
    several: dict[str, _Inner] = {}


def test_nested_faults_name_their_path():
    with pytest.raises(ValidationError) as caught:
        _Outer.model_validate(
            {"inner": {"bach": 1, "sizes": [1, "x"]}, "several": {"a": {"batch": 1, "size": 2}}}
        )
    assert faults_from_validation_error(caught.value, "sweep.toml", _Outer) == [
        "sweep.toml: inner.sizes[1]: 'x' must be a whole number",
        "sweep.toml: inner: unknown key 'bach'; did you mean 'batch'?",
        "sweep.toml: several.a: unknown key 'size'; did you mean 'sizes'?",
    ]


def test_user_catalogue_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("PERFCORE_CATALOG", str(tmp_path / "gone"))
    assert "is not a directory; create it" in faults(catalog.names, "device")[0]


def test_suggest():
    assert suggest("LLAMA 3 70b", ["llama-3-70b", "llama-3-8b"]) == "; did you mean 'llama-3-70b'?"
    assert suggest("zzz", ["a", "b"]) == ""
    assert suggest("h", []) == ""


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

    assert "price_list is called purchase_price now" in {str(note.message) for note in notes}
    assert old.record() == loader.load_device("h100-sxm").record()
