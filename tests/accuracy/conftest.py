"""Measurements, as shipped, as written and as simulated, and their scores."""

from itertools import product

import pytest

from accuracy.measured import HEADER
from perfcore import records
from perfcore.accuracy import plan
from perfcore.accuracy.prediction import (
    batch_of,
    engine_table,
    evaluate_points,
    predicted,
    questions,
)
from perfcore.accuracy.scores import score
from perfcore.accuracy.table import Measurement, read_measurements, shipped


@pytest.fixture(scope="session")
def licensed():
    return read_measurements(shipped())


@pytest.fixture(scope="session")
def scored(licensed):
    return score(licensed)


@pytest.fixture
def write(tmp_path):
    def written(*lines, header=HEADER):
        path = tmp_path / "measured.csv"
        path.write_text("\n".join((header, *lines)) + "\n")
        return path

    return written


@pytest.fixture(scope="session")
def simulated():
    """Measurements of an engine whose kernels start 2 x and read 0.8 x as the catalogue's."""
    base = Measurement(
        *("",) * 2, "static", "made", *("",) * 3, "vllm", "", "", "", "bf16", None, "bf16",
        1, 1, 1, 1, 1, 1.0, 512.0, 128.0, "tpot_s", 1.0, "s", "",
    )  # fmt: skip
    models = ("llama-3.1-8b", "qwen3-8b", "mistral-7b-v0.3", "llama-2-7b")
    settings = product(models, ("h100-sxm", "h200-sxm"), (1.0, 4.0, 16.0, 64.0), (256.0, 2048.0))
    rows = [
        base._replace(model=model, hardware=hardware, concurrency=batch, input_len=length)
        for model, hardware, batch, length in settings
    ]
    found, _ = questions(rows)
    batch = batch_of(found)
    table = engine_table(batch)
    fields = records.Engine._fields
    table[:, [fields.index(name) for name in plan.LAUNCHES]] *= 2.0
    table[:, [fields.index(name) for name in plan.MEMORY]] *= 0.8
    values = predicted(batch, evaluate_points(batch, table))
    return [
        question._replace(measurement=question.measurement._replace(value=float(value)))
        for question, value in zip(found, values, strict=True)
    ]
