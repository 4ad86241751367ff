"""A measurement as a line, and the questions that it asks."""

from itertools import product

from perfcore import records
from perfcore.accuracy import plan
from perfcore.accuracy.prediction import (
    batch_of,
    engine_table,
    evaluate_points,
    predicted,
    questions,
)
from perfcore.accuracy.table import Measurement, read_measurements

HEADER = "model,hardware,engine,metric,value,mode,concurrency,input_len,output_len,tp,devices"
ROW = "meta-llama/Llama-3.1-8B,h100_sxm,vllm,tpot_s,0.0075,static,16,1024,256,1,1"


def asked(*lines, write):
    found, skipped = questions(read_measurements(write(*lines)))
    assert not skipped
    return found


def simulated_questions():
    """Return questions about an engine that starts kernels 2 x, reads 0.8 x as the catalogue's."""
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
