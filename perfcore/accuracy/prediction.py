"""Measurements as inputs of physics, and the predictions for all of them at once."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from perfcore import records
from perfcore.accuracy.protocols import Workload, unstated_kv_format, workload_of
from perfcore.accuracy.table import Measurement
from perfcore.catalog import default_economics, loader, stack
from perfcore.catalog.engine_entry import EngineEntry, unknown_engine
from perfcore.catalog.entry import Entry
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.schema import DeviceEntry, KVFormatEntry, WeightFormatEntry
from perfcore.catalog.stack import Stack
from perfcore.columns import STATUS
from perfcore.errors import InputError
from perfcore.inputs import AXIS_INPUTS
from perfcore.kernel.layout import Block, Inner, Output, Rules, aligned, pitch_of
from perfcore.physics.memory import LARGEST_BATCH
from perfcore.physics.stages.point import Point

Floats = npt.NDArray[np.float64]
Load = Callable[[str, str], Entry]

_FIELD: Final = {name: index for index, name in enumerate(Point._fields)}
_SCHEDULERS: Final = {
    "static": records.SCHEDULER_STATIC,
    "closed_loop": records.SCHEDULER_CONTINUOUS,
    "saturation": records.SCHEDULER_CONTINUOUS,
    "disaggregated": records.SCHEDULER_DISAGGREGATED,
}
# Statuses of configurations that ran although perfcore says that they cannot: perfcore keeps a
# margin of memory, and a context limit is a setting.
RAN_ANYWAY: Final = (
    "ok",
    "weights do not fit",
    "context above the model's maximum",
    "kv cache does not fit",
    "host memory too small",
)


class Question(NamedTuple):
    """A measurement with the configuration that it was measured on."""

    measurement: Measurement
    model: ModelEntry
    device: DeviceEntry
    engine: EngineEntry
    weight_format: WeightFormatEntry
    kv_format: KVFormatEntry
    record: records.WeightFormat
    deployment: records.Deployment
    workload: Workload
    device_record: records.Device  # with the power limit
    stack: Stack = Stack()
    assumed: str = ""  # a remark, if something is not in the catalogue and was replaced


class Skipped(NamedTuple):
    """A measurement that cannot be evaluated, and the reason."""

    measurement: Measurement
    reason: str


def questions(rows: Sequence[Measurement]) -> tuple[list[Question], list[Skipped]]:
    """Return the measurements that physics can evaluate, and those that it cannot."""
    asked: list[Question] = []
    skipped: list[Skipped] = []
    load = cache(loader.load)  # names repeat; each is looked up once
    engines = stack.engines()
    for row in rows:
        try:
            asked.append(_question(row, load, engines))
        except InputError as error:
            skipped.append(Skipped(row, error.faults[0]))
    return asked, skipped


def _question(row: Measurement, load: Load, engines: Sequence[EngineEntry]) -> Question:
    model = cast("ModelEntry", load("model", row.model))
    device = cast("DeviceEntry", load("device", row.hardware))
    engine, assumed = _engine(row, load, engines)
    given = _stack(row, device)
    made = stack.resolve(engine, device, given)
    named = engine.file_format(row.weight_format)
    weight_format = cast("WeightFormatEntry", load("weight_format", named))
    stated = row.kv_format or unstated_kv_format(row, weight_format.name)
    kv_format = cast("KVFormatEntry", load("kv_format", stated))
    workload = workload_of(row)
    if row.concurrency is None and row.mode != "saturation":
        raise InputError("concurrency is not stated")
    batch = LARGEST_BATCH if row.concurrency is None else max(round(row.concurrency), 1)
    deployment = records.Deployment(
        tp=float(row.tp),
        pp=float(row.pp),
        dp=float(row.dp),
        ep=float(row.ep),
        batch=float(batch),
        scheduler=_SCHEDULERS[row.mode],
        prefix_hit=0.0,
        draft_len=0.0,
        acceptance=0.0,
        offload=float(AXIS_INPUTS["offload"].choices.index(row.offload or "none")),
        **{
            name: count
            for name in ("gpu_layers", "cpu_moe_layers")
            if (count := getattr(row, name)) is not None
        },
    )
    return Question(
        measurement=row,
        model=model,
        device=device,
        engine=made.engine,
        weight_format=weight_format,
        kv_format=kv_format,
        record=_weight_record(row, weight_format),
        deployment=deployment,
        workload=workload,
        device_record=made.device,
        stack=given,
        assumed="; ".join(filter(None, (assumed, *made.remarks))),
    )


def _stack(row: Measurement, device: DeviceEntry) -> Stack:
    """Return what a row states about its stack; its version may name the back end."""
    backend = row.backend
    if not backend:
        named = stack.backend_in(row.engine_version)
        backend = named if named in device.backends else ""
    return Stack(
        engine_version=row.engine_version,
        backend=backend,
        eager=row.eager == "true",
        runner=row.runner,
        prefill_chunk=row.prefill_chunk,
        power_limit=row.power_limit,
        host=row.host,
    )


def _engine(
    row: Measurement, load: Load, engines: Sequence[EngineEntry]
) -> tuple[EngineEntry, str]:
    """Return the engine release that a row was measured with, and a remark.

    An engine that is not in the catalogue is replaced by the mean of the engines of its year.
    """
    try:
        named = cast("EngineEntry", load("engine", row.engine))
    except InputError:
        return _unknown(row, cast("EngineEntry", load("engine", "default")), engines)
    return stack.measured_release(named, row.engine_version, row.date, engines)


def _unknown(
    row: Measurement, default: EngineEntry, engines: Sequence[EngineEntry]
) -> tuple[EngineEntry, str]:
    """Return the mean of the engines of a row's year, and a remark."""
    year = int(row.date[:4]) if row.date[:4].isdecimal() else None
    found = unknown_engine(default, engines, year)
    names = ", ".join(sorted(peer.name for peer in found.peers)) or default.name
    return found, f"engine {row.engine!r} is not in the catalogue: the mean of {names}"


def family_of(engine: EngineEntry) -> str:
    """Return the name that an engine shares with its other releases."""
    return engine.release_of or engine.name


def without_engine(question: Question) -> Question:
    """Return a question with its engine treated as unknown."""
    others = [e for e in stack.engines() if family_of(e) != family_of(question.engine)]
    engine, assumed = _unknown(question.measurement, loader.load_engine("default"), others)
    made = stack.resolve(engine, question.device, question.stack)
    return question._replace(engine=made.engine, assumed=assumed)


def _weight_record(row: Measurement, entry: WeightFormatEntry) -> records.WeightFormat:
    """Return the record of a format, with the bits per weight that a row states.

    For a GGUF file this is the average over the whole file, embedding included. Formats that
    quantise only the experts keep their own split.
    """
    record = entry.record()
    if row.weight_bits is None or entry.experts_only:
        return record
    if record.kernel == records.KERNEL_GGUF:
        return record._replace(bits=row.weight_bits, embedding_bits=row.weight_bits)
    return record._replace(bits=row.weight_bits)


class Batch(NamedTuple):
    """Many questions as tables for the kernel. Engines are separate, since fits change them."""

    questions: tuple[Question, ...]
    tables: tuple[Floats, Floats, Floats, Floats, Floats]  # all except the engines
    records: npt.NDArray[np.int64]  # (6, rows)
    deployments: Floats
    lengths: Floats  # (2, rows)
    engines: tuple[tuple[EngineEntry, DeviceEntry, WeightFormatEntry, Workload], ...]


def batch_of(asked: Sequence[Question]) -> Batch:
    """Return questions as tables."""
    tables: list[dict[tuple[float, ...], int]] = [{} for _ in range(5)]
    engines: dict[tuple[str, str, object, Workload, Stack], int] = {}
    entries: list[tuple[EngineEntry, DeviceEntry, WeightFormatEntry, Workload]] = []
    economics = default_economics()
    # building a model's record takes as long as all the rest
    models = {
        entry.name: entry.record() for entry in {q.model.name: q.model for q in asked}.values()
    }
    indices = np.zeros((6, len(asked)), np.int64)
    for place, question in enumerate(asked):
        made = (
            models[question.model.name],
            question.device_record,
            question.record,
            question.kv_format.record(),
            economics,
        )
        found = [
            table.setdefault(tuple(record), len(table))
            for table, record in zip(tables, made, strict=True)
        ]
        load = question.workload.load
        weight_format = question.weight_format
        own = question.stack._replace(
            engine_version="", power_limit=None, host=""
        )  # else in the entries
        key = (question.engine.name, question.device.name, weight_format.kernel, load, own)
        if key not in engines:
            engines[key] = len(entries)
            entries.append((question.engine, question.device, weight_format, load))
        indices[:, place] = (found[0], found[1], engines[key], *found[2:])
    return Batch(
        questions=tuple(asked),
        tables=tuple(np.array(list(table), np.float64) for table in tables),  # type: ignore[arg-type]
        records=indices,
        deployments=np.array([question.deployment for question in asked], np.float64),
        lengths=np.array(
            [
                [question.workload.input_len for question in asked],
                [question.workload.output_len for question in asked],
            ],
            np.float64,
        ),
        engines=tuple(entries),
    )


def engine_table(batch: Batch, *, before_fit: bool = False) -> Floats:
    """Return the catalogue's engine records, one row per engine, device and load.

    ``before_fit`` selects the values from which a fit starts.
    """
    table = []
    for engine, device, weight_format, load in batch.engines:
        record = (engine.before_fit() if before_fit else engine).record(device, weight_format)
        scaled = {name: getattr(record, name) * factor for name, factor in load.factors}
        table.append(record._replace(**scaled, **dict(load.constants)))
    return np.array(table, np.float64)


def evaluate_points(batch: Batch, engines: Floats) -> Floats:
    """Return every field of ``Point`` for every question: (fields, rows)."""
    # imported here, so that commands without a kernel do not wait for Numba
    from perfcore.kernel.filling import Filling  # noqa: PLC0415
    from perfcore.kernel.flushing import TILE  # noqa: PLC0415

    rows = len(batch.questions)
    fields = len(Point._fields)
    models, devices, weights, kv_formats, economics = batch.tables
    metrics = aligned(fields, pitch_of(rows + TILE), np.float64)
    nothing = np.zeros(0, np.int64)
    no_codes = np.empty((0, metrics.shape[1]), np.int32)
    filling = Filling(
        (models, devices, engines, weights, kv_formats, economics),
        Block(
            records=batch.records,
            deployments=batch.deployments,
            lengths=batch.lengths,
            axes=np.zeros((0, rows), np.int32),
            degrees=np.zeros(2, np.int64),
        ),
        Inner(batches=np.zeros(1), lengths=np.zeros((2, 1)), axes=np.zeros((0, 1), np.int32)),
        Rules(nothing, nothing, np.zeros((0, 2)), nothing),
        Output(
            capacity=rows + TILE,
            axes=no_codes,
            metrics=metrics,
            codes=no_codes,
            metric_fields=np.arange(fields),
            dropped_bits=np.zeros(fields, np.int64),
            code_fields=nothing,
        ),
    )
    dropped = np.zeros(len(STATUS) + 1, np.int64)
    written = filling.fill(np.zeros(2, np.int64), dropped, keep_infeasible=True)
    if written != rows:  # no rule drops a row
        raise RuntimeError(f"{written} of {rows} rows were evaluated")
    return metrics[:, :rows]


class Estimate(NamedTuple):
    """Estimates of any performance model for a batch of questions, one number per row."""

    tpot_s: Floats
    ttft_s: Floats
    requests_per_s: Floats
    power_w: Floats  # of one board, averaged over the measured interval


def as_measured(batch: Batch, estimate: Estimate) -> Floats:
    """Return an estimate in each question's metric."""
    input_len, output_len = batch.lengths
    requested = batch.deployments[:, records.Deployment._fields.index("batch")]
    devices = np.array([question.measurement.devices for question in batch.questions], np.float64)
    tpot_s, ttft_s, requests_per_s, power_w = estimate
    e2e_latency_s = ttft_s + (output_len - 1.0) * tpot_s
    tokens_per_s = requests_per_s * output_len
    values = {
        "tpot_s": tpot_s,
        "ttft_s": ttft_s,
        "e2e_latency_s": e2e_latency_s,
        "prefill_tokens_per_s": requested * input_len / ttft_s,
        "output_tokens_per_s_per_device": tokens_per_s / devices,
        "power_w_per_device": power_w,
        "energy_j_per_output_token": power_w * devices / tokens_per_s,
    }
    kinds = list(values)
    chosen = [kinds.index(question.measurement.metric) for question in batch.questions]
    return np.choose(chosen, list(values.values()))


def predicted(batch: Batch, points: Floats) -> Floats:
    """Return the predicted value of each question's metric."""
    columns = ("tpot_s", "ttft_s", "requests_per_s", "power_w")
    return as_measured(batch, Estimate(*(points[_FIELD[name]] for name in columns)))


def interval(batch: Batch, points: Floats) -> tuple[Floats, Floats]:
    """Return the 80 % interval of each question's metric."""
    energy = np.array(
        [question.measurement.metric == "energy_j_per_output_token" for question in batch.questions]
    )
    expected = predicted(batch, points)
    edges = []
    for edge in ("low", "high"):
        tpot_s, ttft_s = (points[_FIELD[f"{name}_{edge}_s"]] for name in ("tpot", "ttft"))
        slower = points[_FIELD[f"e2e_latency_{edge}_s"]] / points[_FIELD["e2e_latency_s"]]
        requests_per_s = points[_FIELD["requests_per_s"]] / slower
        power_w = points[_FIELD[f"power_{edge}_w"]]
        value = as_measured(batch, Estimate(tpot_s, ttft_s, requests_per_s, power_w))
        factor = points[_FIELD[f"energy_per_output_token_{edge}_j"]]
        factor = factor / points[_FIELD["energy_per_output_token_j"]]
        edges.append(np.where(energy, expected * factor, value))
    return np.minimum(*edges), np.maximum(*edges)
