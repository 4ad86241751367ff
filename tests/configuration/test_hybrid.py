"""Layers and experts on the CPU, as a question asks for them."""

import pytest

from perfcore import evaluate
from perfcore.catalog import loader
from perfcore.catalog.hosts import default_host
from perfcore.catalog.schema import DeviceEntry
from perfcore.configuration.configuration import Configuration
from perfcore.configuration.provenance import figures
from perfcore.errors import InputError

GPT_OSS = {"engine": "llamacpp", "weight_format": "mxfp4-gguf-q8", "offload": "experts"}


def test_a_host_has_its_figures():
    made = Configuration("gpt-oss-120b", "rtx-3090", host="epyc-9004", **GPT_OSS)
    device = made.records.device

    assert device.host_memory_bandwidth == 460.8e9
    assert device.host_memory_capacity == 768e9
    assert device.host_flops == 14.7e12
    assert made.stated["host"] == "epyc-9004"
    sources = {figure.field: figure.source for figure in figures(made)}
    assert sources["host_memory_bandwidth"].startswith("host epyc-9004 of this question")


def test_a_host_that_changes_nothing_says_why():
    usual = Configuration("gpt-oss-120b", "rtx-4090", host="ddr5-6000", **GPT_OSS)
    unused = Configuration("llama-3.1-8b", "rtx-3090", host="epyc-9004")

    assert "host ddr5-6000 is what this device has anyway" in usual.remarks
    assert "host changes nothing here" in unused.remarks


def test_each_device_has_the_usual_host_of_its_class():
    entries = [loader.load_device(name) for name in loader.names("device")]
    for entry in entries:
        usual = default_host(entry.device_class)
        assert isinstance(entry, DeviceEntry)
        assert entry.shares_memory == (usual is None)
        if usual is None:
            assert entry.record().host_memory_capacity == 0.0
        else:
            assert entry.record().host_memory_bandwidth == usual.memory_bandwidth


def test_what_is_not_used_is_not_estimated():
    whole = Configuration("gpt-oss-120b", "rtx-5090", engine="llamacpp")
    split = Configuration("gpt-oss-120b", "rtx-5090", **GPT_OSS)
    estimated = {fact.field for fact in split.estimated}

    assert "host_memory_bandwidth" in estimated
    assert not any("host" in fact.field for fact in whole.estimated)


def test_faster_memory_is_faster_in_proportion():
    slow, fast = (
        evaluate("gpt-oss-120b", "rtx-3090", host=host, **GPT_OSS)
        for host in ("ddr4-3200", "epyc-9004")
    )

    assert slow["status"] == fast["status"] == "ok"
    read = slow["offload_s"] / fast["offload_s"]
    assert read == pytest.approx(460.8 / 51.2, rel=0.05)
    assert slow["weights_s"] == fast["weights_s"]


@pytest.mark.parametrize(
    ("model", "device", "options", "words"),
    [
        (
            "deepseek-v3",
            "rtx-4090",
            {"offload": "experts", "weight_format": "q4_k_m", "host": "ddr5-6000"},
            "of layers, experts and tables, 192 GB of host memory",
        ),
        (
            "gpt-oss-120b",
            "rtx-3090",
            {**GPT_OSS, "cpu_moe_layers": 3},
            "in host memory, 24.5 GB usable",
        ),
        (
            "llama-3-70b",
            "rtx-4090",
            {"gpu_layers": 70, "weight_format": "q4_k_m", "engine": "llamacpp"},
            "or leave more to the CPU",
        ),
        (
            "llama-3-70b",
            "m3-ultra",
            {"gpu_layers": 10, "weight_format": "q4_k_m"},
            "of layers, experts and tables, 0 B of host memory",
        ),
    ],
)
def test_the_short_memory_is_named(model, device, options, words):
    made = Configuration(model, device, **options)

    assert made.to_dict()["status"] != "ok"
    assert words in made.remedy


def test_a_device_with_the_memory_of_its_host_has_no_other():
    with pytest.raises(InputError, match="m3-ultra has the memory of its host"):
        Configuration("llama-3-70b", "m3-ultra", host="ddr5-6000")
    with pytest.raises(InputError, match="unknown host"):
        Configuration("llama-3-70b", "rtx-4090", host="ddr6")


def test_layers_on_the_cpu_are_not_simulated():
    from perfcore.traffic.server import replica_of  # noqa: PLC0415

    with pytest.raises(InputError, match="gpu_layers: is not simulated"):
        replica_of(Configuration("llama-3.1-8b", "rtx-4090", gpu_layers=20))
