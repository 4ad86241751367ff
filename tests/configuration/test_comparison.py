"""Configurations side by side: each is what it is alone."""

import pytest

import perfcore
from configuration.files import TODAY, TOMORROW
from perfcore.columns import BY_NAME, SOUGHT
from perfcore.configuration.comparison import compare
from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError


@pytest.fixture
def files(tmp_path):
    (tmp_path / "today.toml").write_text(TODAY)
    (tmp_path / "tomorrow.toml").write_text(TOMORROW)
    return tmp_path / "today.toml", tmp_path / "tomorrow.toml"


# What is compared


def test_rows_are_those_of_each_alone():
    found = compare("llama-3-70b", device=["h100-sxm", "b200"], tp=[4, 8], batch=16)

    assert found.names == ("h100-sxm, tp 4", "h100-sxm, tp 8", "b200, tp 4", "b200, tp 8")
    assert list(found.rows) == [
        perfcore.evaluate("llama-3-70b", device, tp=tp, batch=16)
        for device in ("h100-sxm", "b200")
        for tp in (4, 8)
    ]
    assert perfcore.compare is compare


def test_the_best_and_the_ratios():
    found = compare("llama-3-70b", device=["h100-sxm", "b200", "mi300x"], tp=8, batch=16)
    for metric in SOUGHT:
        values = [row[metric] for row in found.rows]
        limit = min(values) if BY_NAME[metric].better == "least" else max(values)

        best = tuple(n for n, v in enumerate(values) if v == limit)
        assert found.best(metric) == (best if len(best) < len(values) else ())
        assert found.ratios(metric) == tuple(value / values[0] for value in values)


def test_what_cannot_run_is_never_the_best_and_has_no_ratio():
    found = compare("llama-3-70b", device="h100-sxm", tp=[1, 2, 8])

    assert found.runs == (False, True, True)
    assert found.best("cost_per_mtok_output_usd") == (1,)
    assert found.ratios("tpot_s") == (None, None, None)
    found = compare("llama-3-70b", device="h100-sxm", tp=[8, 1])
    assert found.ratios("tpot_s") == (1.0, None)
    assert found.best("tpot_s") == ()  # nothing beside it


def test_files_hold_a_configuration_each(files):
    found = compare(*files)

    assert found.names == ("today", "next year")
    assert found.rows[0] == perfcore.evaluate(
        "llama-3-70b", "h100-sxm", tp=8, weight_format="fp8", batch=1024
    )
    assert found.rows[1] == perfcore.evaluate(
        "llama-3-70b",
        "b200",
        tp=8,
        weight_format="fp8",
        batch=1024,
        overrides={"device.memory_bandwidth": {"scale": 2}, "economics.utilization": "60 %"},
    )
    assert set(found.differing) == {
        "device",
        "device_memory_bandwidth_scale",
        "economics_utilization",
    }


def test_options_win_over_files_and_vary(files):
    found = compare(*files, batch=[1, 16], overrides={"economics.utilization": 0.3})

    assert found.names == (
        "today, batch 1",
        "today, batch 16",
        "next year, batch 1",
        "next year, batch 16",
    )
    assert [row["batch"] for row in found.rows] == [1, 16, 1, 16]
    assert {row["economics_utilization"] for row in found.rows} == {0.3}
    assert found.rows[3]["device_memory_bandwidth_scale"] == 2


def test_mappings_and_configurations_are_subjects():
    one = Configuration("llama-3-8b", "h100-sxm", batch=4)
    found = compare(one, {"model": "llama-3-8b", "device": "b200", "name": "B"}, input_len="2Ki")

    assert found.names == ("llama-3-8b, h100-sxm", "B")
    assert found.rows[0] == perfcore.evaluate("llama-3-8b", "h100-sxm", batch=4, input_len=2048)


def test_several_models():
    found = compare("llama-3-8b", "qwen3-8b", device=["h100-sxm"])
    same = compare(model=["llama-3-8b", "qwen3-8b"], device="h100-sxm")

    assert found.names == same.names == ("llama-3-8b", "qwen3-8b")
    assert found.rows == same.rows


def test_devices_are_chosen_for_each():
    found = compare("llama-3-70b", device=["h100-sxm", "mi300x"], devices="auto")

    assert [row["tp"] for row in found.rows] == [2, 1]


def test_paths_in_a_file_are_relative_to_it(tmp_path, monkeypatch):
    from perfcore.catalog import loader  # noqa: PLC0415

    entry = loader.load_device("h100-sxm")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine.toml").write_text(
        "[mine]\nvendor = 'me'\nyear = 2026\ndevice_class = 'datacentre-gpu-hopper'\n"
        "memory_kind = 'HBM'\nmemory_capacity = '80 GB'\nmemory_bandwidth = '5 TB/s'\n"
        "flops_fp16 = '989 TFLOP/s'\nboard_power = '700 W'\nidle_power = '70 W'\n"
        "link_bandwidth = '450 GB/s'\nscale_up_domain = 8\nnetwork_bandwidth = '50 GB/s'\n"
        "price_per_hour = '3 USD/h'\nsource = 'me'\n"
    )
    (tmp_path / "sub" / "a.toml").write_text("model = 'llama-3-8b'\ndevice = './mine.toml'\n")
    (tmp_path / "sub" / "b.toml").write_text(f"model = 'llama-3-8b'\ndevice = '{entry.name}'\n")
    monkeypatch.chdir(tmp_path)
    found = compare("sub/a.toml", "sub/b.toml")

    assert [row["device"] for row in found.rows] == ["mine", "h100-sxm"]


# Faults


def test_faults_of_python():
    with pytest.raises(
        InputError, match="unknown option 'devcie'; did you mean 'device'"
    ) as caught:
        compare("llama-3-8b", devcie="h100", batch=[])
    assert any("batch: [] is empty" in fault for fault in caught.value.faults)
    with pytest.raises(InputError, match="configuration 2: unknown key 'x'"):
        compare({"model": "llama-3-8b", "device": "h100"}, {"x": 1}, model="m", device="h100")
