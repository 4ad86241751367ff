"""Devices, formats and economics: every entry is complete and sourced."""

import math
import re
import statistics

import pytest
from paths import ROOT

from catalog.entries import FACT_KINDS
from perfcore import catalog, records
from perfcore.catalog.schema import HOURS_TO_BUY, SERVER_SHARE, SPOT_SHARE, FactEntry
from perfcore.errors import InputError

DEVICES = catalog.names("device")


@pytest.fixture(autouse=True)
def _no_user_catalogue(tmp_path, monkeypatch):
    (tmp_path / "none").mkdir()
    monkeypatch.setenv("PERFCORE_CATALOG", str(tmp_path / "none"))


def faults(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    assert all("\n" not in fault for fault in caught.value.faults)
    return caught.value.faults


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


def test_no_figure_is_written_from_memory():
    for path in (ROOT / "perfcore" / "catalog").rglob("*.toml"):
        assert not re.search(r"\brecalled\b|\bfrom memory\b", path.read_text("utf-8")), path


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
        assert entry.token_price == 0.0, name  # that of the model
        numbers -= {"token_price"}
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

    prices = {"spot_price_per_hour", "purchase_price"}
    assert not prices & set(listed.fallbacks)
    assert prices <= set(unlisted.fallbacks)
    assert all("median" in unlisted.fallbacks[price] for price in prices)
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
        ("h100-sxm", 0, 63e9),  # host memory
        ("a100-80gb-sxm", 0, 31.5e9),
        ("v100-sxm-32gb", 0, 15.75e9),
        ("rtx-3090", 0, 31.5e9),
        ("m3-ultra", 0, 7e9),  # storage
    ],
)
def test_second_memory_tiers(name, capacity, bandwidth):
    record = catalog.load_device(name).record()
    assert (record.memory2_capacity, record.memory2_bandwidth) == (capacity, bandwidth)
    assert record.memory2_bandwidth < record.memory_bandwidth


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
