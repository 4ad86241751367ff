"""Engines of the catalogue: layers, names, intervals."""

import csv
import math
from itertools import pairwise
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import perfcore
from perfcore import catalog, records
from perfcore.catalog.engine_entry import ENGINE_DIMENSIONS, Layouts, Runs
from perfcore.columns import STATUS
from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError
from perfcore.physics.parallelism import engine_runs
from perfcore.space.space import Space

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


# --- what is in it


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


MORE_IS_BETTER = {"prefill_chunk", "prefill_overlap", "max_sequences", "host_memory_bytes"}
SHARES = {"memory_fraction", "prefill_pool_load"}
LOSSES = {"residue", "spatial_latency", "expert_imbalance", "kv_group_penalty", "draft_layers"}
LOSSES |= {
    "expert_half_width",
    "expert_half_width_4_weight_only",
    "dense_experts",
    "interference",
    "queue_weight",
    "memory_reserve",
    "memory_driver_share",
    "communicator_memory",
    "activation_width",
    "activation_tokens",
    "sampled_sequences",
    "sampler_width",
}
NEITHER = {"pads_heads"}  # it makes runs possible, not faster
FLAGS = {"narrow_accumulation"}  # faster where it is set
ANYHOW = ("power_", "memory_energy_", "compute_energy_", "low_", "high_")  # not a time


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
    factor = vllm.factors["memory_efficiency_16"].value
    for device in ("h100-sxm", "mi300x", "m4-max", "tpu-v5p"):
        entry = catalog.load_device(device)

        below = default.record(entry).memory_efficiency_16

        assert vllm.record(entry).memory_efficiency_16 == pytest.approx(min(below * factor, 1.0))


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


@pytest.mark.parametrize(
    ("engine", "device", "weight_format", "level"),
    [
        ("vllm", "h100-sxm", "fp8", "own"),
        ("vllm", "h100-sxm", "q4_k_m", "class"),  # a kernel that it was never measured with
        ("vllm", "gh200-96gb", "q4_k_m", "unseen"),
        ("llamacpp", "rx-7900-xtx", "q4_k_m", "own"),
        ("llamacpp", "rtx-5090", "q4_k_m", "class"),
        ("neuronx", "trainium2", "bf16", "class"),
        ("neuronx", "wormhole-n150", "bf16", "unseen"),  # the same class, another vendor
        ("default", "h100-sxm", "bf16", "unseen"),  # no engine of that name was measured
    ],
)
def test_the_least_known_part_of_a_stack_decides(engine, device, weight_format, level):
    known = catalog.load_engine(engine)
    found = known.calibration(
        catalog.load_device(device), catalog.load_weight_format(weight_format)
    )

    assert found == level


def test_an_engine_between_others_has_their_geometric_means():
    device = catalog.load_device("h100-sxm")
    peers = [catalog.load_engine(name) for name in ("vllm-2024", "trtllm-2024")]
    records_ = [peer.record(device) for peer in peers]

    mean = catalog.load_engine("default").between(peers)

    found = mean.record(device)
    expected = math.sqrt(records_[0].launch_fp8 * records_[1].launch_fp8)
    assert found.launch_fp8 == pytest.approx(expected)
    assert found.server_per_step == 0.0  # one of them has no such time
    assert mean.calibration(device) == "unseen"
    assert mean.before_fit().record(device).launch == peers[0].before_fit().record(device).launch


SANE = {  # smallest and largest value that is believed of a fitted constant, on any device
    "launch": (0.0, 60e-6),
    "launch_fp8": (0.0, 60e-6),
    "launch_fp8_block": (0.0, 120e-6),
    "launch_attention": (0.0, 60e-6),
    "launch_experts": (0.0, 400e-6),
    "launch_experts_block": (0.0, 400e-6),
    "launch_elementwise": (0.0, 30e-6),
    **dict.fromkeys((n for n in ENGINE_DIMENSIONS if n.startswith("memory_eff")), (0.1, 1.0)),
    **dict.fromkeys((n for n in ENGINE_DIMENSIONS if n.startswith("compute_eff")), (0.03, 1.0)),
    "kv_efficiency": (0.2, 1.0),
    "kv_efficiency_quantised": (0.2, 1.0),
    "kv_group_penalty": (0.0, 1.2),
    "attention_prefill_efficiency": (0.01, 1.0),
    "attention_prefill_memory_efficiency": (0.01, 1.0),
    "attention_decode_efficiency": (0.01, 1.0),
    "one_shot_latency": (0.0, 1e-3),
    "one_shot_hop": (0.0, 1e-4),
    "two_shot_latency": (0.0, 2e-3),
    "host_per_step": (0.0, 30e-3),
    "host_per_sequence": (0.0, 300e-6),
    "host_per_device": (0.0, 15e-3),
    "host_per_prefill": (0.0, 61e-3),
    "server_per_step": (0.0, 30e-3),
    "server_per_device": (0.0, 30e-3),
    "server_per_sequence": (0.0, 1e-3),
    "interference": (0.8, 1.5),
    "queue_weight": (0.0, 1.0),
    **dict.fromkeys((n for n in ENGINE_DIMENSIONS if n.startswith("power_")), (0.0, 1.0)),
}


@pytest.mark.parametrize("name", [name for name in catalog.names("engine") if name != "ideal"])
def test_shipped_constants_are_within_the_range_that_is_believed(name):
    engine = catalog.load_engine(name)
    for device in DEVICES:
        record = engine.record(catalog.load_device(device))
        for constant, (low, high) in SANE.items():
            value = getattr(record, constant, low)
            assert low <= value <= high, f"{constant} on {device}: {value:g}"


def test_class_intervals_are_never_narrower_than_those_of_an_unknown_stack():
    levels = catalog.load_engine("kernels").intervals

    for name, constant in levels["class"].items():
        unseen = levels["unseen"][name].value
        assert constant.value <= unseen if name.startswith("low") else constant.value >= unseen


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


# --- the user's own


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


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


def test_formats_in_files_of_engines_are_weight_formats():
    for name in catalog.names("engine"):
        for published, own in catalog.load_engine(name).file_formats.items():
            assert {published, own} <= set(catalog.names("weight_format"))


def test_formats_in_files_are_inherited():
    child = catalog.load_engine("mlc").over(catalog.load_engine("llamacpp"))

    assert child.file_format("mxfp4") == "mxfp4-gguf-q8"
    assert child.file_format("fp8") == "fp8"


# --- what engines can run


CANNOT = "engine cannot run it"
COMBINATIONS = [  # engine, layout, format, status
    ("vllm", {"dp": 16, "ep": 2}, "fp8", CANNOT),
    ("vllm", {"dp": 16, "ep": 16}, "fp8", "ok"),
    ("vllm", {"tp": 2, "dp": 8, "ep": 16}, "fp8", "ok"),
    ("vllm", {"tp": 8, "ep": 4}, "fp8", CANNOT),
    ("vllm-2024", {"tp": 8, "dp": 2, "ep": 8}, "bf16", CANNOT),
    ("vllm-2026", {"dp": 16, "ep": 2}, "fp8", CANNOT),
    ("sglang", {"tp": 4, "dp": 4, "ep": 8}, "fp8", "ok"),
    ("sglang", {"dp": 16, "ep": 16}, "fp8-block128", "ok"),
    ("trtllm", {"dp": 16, "ep": 4}, "fp8", "ok"),
    ("trtllm", {"tp": 2, "dp": 8, "ep": 16}, "fp8", CANNOT),
    ("trtllm", {"tp": 16}, "q4_k_m", CANNOT),
    ("trtllm-2024", {"tp": 16}, "int4-g128-awq", "ok"),
    ("llamacpp", {"pp": 16}, "q4_k_m", "ok"),
    ("llamacpp", {"dp": 16}, "q4_k_m", CANNOT),
    ("llamacpp", {"tp": 16}, "fp8", CANNOT),
    ("llamacpp-2024", {"tp": 16, "ep": 16}, "q8_0", CANNOT),
    ("ktransformers", {"pp": 16}, "int4-g128-gptq", CANNOT),
    ("mlx", {"pp": 16}, "int4-g64", "ok"),
    ("mlx", {"pp": 16}, "q4_k_m", CANNOT),
    ("gpt-fast", {"tp": 16}, "int8", "ok"),
    ("gpt-fast", {"tp": 16}, "mxfp4", CANNOT),
    ("exllamav2", {"pp": 16}, "int4-g128-gptq", "ok"),
    ("exllamav2", {"pp": 16}, "nvfp4", CANNOT),
    ("default", {"dp": 16, "ep": 2}, "q4_k_m", "ok"),
    ("ideal", {"dp": 16, "ep": 2}, "mxfp4", "ok"),
]


@pytest.mark.parametrize(("engine", "layout", "weights", "status"), COMBINATIONS)
def test_engines_run_what_they_say_and_tell_why_not(engine, layout, weights, status):
    made = Configuration(
        "qwen3-235b-a22b", "h200-sxm", engine=engine, weight_format=weights, **{"tp": 1, **layout}
    )
    assert STATUS[int(made.evaluate().status)] == status
    assert made.remedy.startswith(f"{engine} ") == (status == CANNOT)


def test_sweeps_know_what_engines_can_run():
    """Every row of a grid has the rule of its engine and format."""
    axes = {
        "model": ["qwen3-235b-a22b"],
        "device": ["h200-sxm"],
        "engine": ["vllm", "trtllm", "default"],
        "weight_format": ["fp8", "q4_k_m"],
        "tp": [1, 8],
    }
    space = Space.from_dict({"axes": axes})
    deployments = space.block(0, space.outer_points).deployments
    fields = records.Deployment._fields
    rules = deployments[:, [fields.index("layouts"), fields.index("barred")]]

    assert [tuple(rule) for rule in rules[::2]] == [(3, 0), (3, 0), (2, 0), (2, 1), (0, 0), (0, 0)]


def test_everything_measured_can_be_run():
    """No published row contradicts what its engine says."""
    folder = Path(perfcore.__file__).parent / "accuracy" / "measurements"
    data = Path(__file__).parents[1] / "data"
    known = set(catalog.names("weight_format"))
    seen = set()
    for path in (folder / "dev_licensed.csv", data / "published.csv", data / "hybrid.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                degrees = (float(row.get(name) or 1) for name in ("tp", "dp", "ep"))
                seen.add((row["engine"], row["weight_format"], *degrees))
    ran = 0
    for engine, weights, tp, dp, ep in seen:
        try:
            entry = catalog.load_engine(engine)
        except InputError:
            continue
        deployment = records.Deployment(tp=tp, dp=dp, ep=ep, layouts=float(entry.layouts))
        assert engine_runs(deployment), (engine, tp, dp, ep)
        if weights in known:
            assert entry.multiplies(catalog.load_weight_format(weights)), (engine, weights)
            ran += 1
    assert ran > 30


def test_codes_of_layouts_are_those_of_a_deployment():
    limits = _axis_limits()
    assert get_args(Layouts) == limits.choices
    with pytest.raises(ValueError, match="'gif' is not a kernel"):
        Runs(kernels=("gif",), source="none")


def _axis_limits():
    hints = get_type_hints(records.Deployment, include_extras=True)
    return hints["layouts"].__metadata__[0]
