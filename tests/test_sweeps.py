import importlib.util
import sys

import pytest
from paths import ROOT

from perfcore.runs.run import sweep
from perfcore.space.space import Space

SWEEPS = ROOT / "sweeps"
NAMES = sorted(path.stem for path in SWEEPS.glob("*.toml"))

# Enough of each sweep for its question to have an answer.
REDUCED = {
    "article": [],
    "edge": ["axes.input_len=[1024]", "axes.output_len=[256]"],
    "hbm4": [
        'axes.model=["llama-3.1-70b"]',
        "axes.input_len=[8192]",
        'what_if."device.memory_bandwidth".scale=[1, 2]',
    ],
    "memory_wall": ["axes.batch=[1]", "axes.input_len=[1024]", 'axes.kv_format=["bf16"]'],
    "model_size": [
        'axes.model=[{ family = "dense", params = "8B" }]',
        "axes.batch=[1, 64]",
        "axes.input_len=[1024]",
    ],
    "pricing": [
        'axes.model=["llama-3.3-70b"]',
        "axes.input_len=[512]",
        "axes.batch=[64]",
        'axes.kv_format=["fp8"]',
    ],
    "quantization": ["axes.input_len=[1024]", 'axes.kv_format=["bf16"]'],
    "segments": ["axes.input_len=[1024]", "axes.batch=[1, 64]"],
    "traffic": [
        "traffic.requests=100",
        "traffic.request_rate=[2, 8]",
        "traffic.replicas=[1, 4]",
        'axes.device=["h100-sxm"]',
    ],
    "sram_scaling": ['axes.weight_format=["int8"]', "axes.batch=[1]", "axes.input_len=[1024]"],
}


def _answers():
    spec = importlib.util.spec_from_file_location("answers", SWEEPS / "answers.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["answers"] = module
    spec.loader.exec_module(module)
    return module


answers = _answers()
README = answers.README.read_text(encoding="utf-8")
BLOCKS = {match["name"]: match for match in answers.BLOCK.finditer(README)}


def test_every_sweep_has_one_question_in_the_readme_and_a_reduced_form():
    assert sorted(match["name"] for match in answers.BLOCK.finditer(README)) == NAMES
    assert sorted(REDUCED) == NAMES
    assert all(f"## `{name}.toml`" in README for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_no_answer_is_older_than_what_it_came_from(name):
    assert BLOCKS[name]["origin"] == answers.origin(name), "run python sweeps/answers.py"


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_s_code_answers(name, tmp_path):
    space = Space.from_toml(SWEEPS / f"{name}.toml", REDUCED[name])
    assert space.rows < 50_000

    run = sweep(space, tmp_path / name)
    block = BLOCKS[name]
    columns, rows = answers.ask(block["language"], block["code"], name, run.path)

    assert len(rows) >= 1
    written = block["answer"].splitlines()
    assert written[0] == answers.table(columns, []).splitlines()[0]
    assert len(written) > 2, "run `python sweeps/answers.py`"


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_says_its_question(name):
    spec = Space.from_toml(SWEEPS / f"{name}.toml").spec

    assert spec.name == name.replace("_", "-")
    assert spec.description.endswith("?")


def test_the_main_job_covers_the_ground():
    space = Space.from_toml(SWEEPS / "memory_wall.toml")
    axes = {axis.name: axis for axis in space.axes}

    assert space.rows > 10_000_000
    assert len(axes["model"]) >= 8
    assert len(axes["weight_format"]) == 8
    assert len(axes["batch"]) > 4
    assert len(axes["input_len"]) > 16
    named = (
        "h100-sxm h200-sxm b200 mi300x mi325x tpu-v5p tpu-v5e inferentia2 trainium1 trainium2 "
        "groq-lpu wse-3 gaudi3 m5-pro snapdragon-x-elite cloud-ai-100-ultra graviton4 rtx-4090 "
        "hbm4-6tbs"
    )
    assert set(named.split()) <= set(axes["device"].values)


def test_model_size_spans_its_five_axes():
    space = Space.from_toml(SWEEPS / "model_size.toml")

    assert space.rows > 10_000_000
    assert all(
        len(axis) > 4
        for axis in space.axes
        if axis.name in ("model", "weight_format", "batch", "input_len", "device")
    )
