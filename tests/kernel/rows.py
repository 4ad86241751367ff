"""Rows of a space from the kernel, and the same points from plain Python."""

import math
import struct
from functools import cache

from perfcore import catalog, records
from perfcore.columns import METRICS
from perfcore.inputs import AXIS_INPUTS, DEPLOYMENT_AXES
from perfcore.physics.stages.point import evaluate
from perfcore.runs.parquet import schema
from perfcore.runs.workers import evaluate_rows
from perfcore.space.space import Space

SMALL = {
    "name": "small",
    "axes": {
        "model": ["llama-3-8b", "mixtral-8x7b"],
        "device": ["h100-sxm", "rtx-4090"],
        "tp": [1, 2],
        "batch": [1, 64, 4096],
        "input_len": [128, 4096, 65_536],
        "output_len": [64, 512],
    },
    "output": {"columns": "all"},
}

DEPLOYMENT = [axis.name for axis in DEPLOYMENT_AXES if axis.name in records.Deployment._fields]


def changed(**sections):
    """Return the small sweep with other sections."""
    return {**SMALL, **sections}


def single(value, bits=16):
    """Return a number as in the kernel's columns: float32, to some bits, ties away from zero."""
    mantissa, exponent = math.frexp(struct.unpack("f", struct.pack("f", value))[0])
    rounded = math.ldexp(math.floor(abs(mantissa) * 2**bits + 0.5), exponent - bits)
    return math.copysign(rounded, value)


def rows_of(space):
    return evaluate_rows(space, schema(space, {}), 0, space.outer_points).to_pylist()


@cache
def axis_record(kind, name, device=None, weights=None):
    entry = catalog.load(kind, name)
    if kind != "engine":
        return entry.record()
    return entry.record(catalog.load_device(device), catalog.load_weight_format(weights))


def deployment_of(row):
    """Return the deployment of a row's axes, with choices as codes."""
    deployment = {name: row[name] for name in DEPLOYMENT}
    for name in ("scheduler", "offload"):
        deployment[name] = AXIS_INPUTS[name].choices.index(row[name])
    engine = catalog.load_engine(row["engine"])
    deployment["layouts"] = engine.layouts
    deployment["barred"] = not engine.multiplies(catalog.load_weight_format(row["weight_format"]))
    return records.Deployment(**{name: float(value) for name, value in deployment.items()})


def python_point(row, *, residue=None):
    """Return the point of a row's axes, from plain Python and the catalogue."""
    device = axis_record("device", row["device"])
    scaled = row.get("device_memory_bandwidth_scale")
    if scaled is not None:
        device = device._replace(memory_bandwidth=device.memory_bandwidth * scaled)
    engine = axis_record("engine", row["engine"], row["device"], row["weight_format"])
    if residue is not None:
        engine = engine._replace(residue=residue)
    return evaluate(
        axis_record("model", row["model"]),
        device,
        engine,
        axis_record("weight_format", row["weight_format"]),
        axis_record("kv_format", row["kv_format"]),
        deployment_of(row),
        axis_record("economics", row["economics"]),
        float(row["input_len"]),
        float(row["output_len"]),
    )


def assert_same(row, point, dtype="float32"):
    """Assert that a row has a point's values, bit for bit."""
    for column in METRICS:
        expected = getattr(point, column.name)
        if math.isnan(expected):  # a format's loss of quality that is not known
            assert math.isnan(row[column.name]), column.name
            continue
        if column.kind == "metric":
            expected = single(expected) if dtype == "float32" else expected
        elif column.kind == "code":
            expected = column.categories[int(expected)]
        assert row[column.name] == expected, column.name


@cache
def bare_space():
    axes = {"model": ["llama-3-8b"], "device": ["h100-sxm"]}
    output = {"columns": "all", "keep_infeasible": True, "dtype": "float64"}
    return Space.from_dict({"name": "bare", "axes": axes, "output": output})
