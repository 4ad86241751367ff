"""Constants of isolated kernels: start-up times and efficiencies from tables of kernel times.

The form is that of one operator, t = t0 + sqrt((F / (e_c P))^2 + (D / (e_m W))^2), fitted to the
logarithms of times. The results are starting values for a fit to end-to-end measurements.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from perfcore.accuracy.prediction import Floats
from perfcore.catalog import load_device
from perfcore.catalog.schema import DeviceEntry
from perfcore.errors import InputError
from perfcore.limits import Limits
from perfcore.reading.csvfile import Form, read_rows
from perfcore.reading.files import read_text
from perfcore.reading.places import Place, number

FEWEST: Final = 12  # rows of a group that are needed to fit it

_NUMBERS: Final = ("m", "n", "k", "batch", "heads", "kv_heads", "head_dim", "seq")
_TEXTS: Final = ("hardware", "op", "library", "dtype", "kv_dtype")
_EXCHANGE: Final = ("message_bytes", "devices")
_IGNORED: Final = (*("rate", "rate_unit", "power_w", "source", "note", "licence"),)
_FORM: Final = Form(
    columns=(*_TEXTS, *_NUMBERS, *_EXCHANGE, "time_s", *_IGNORED),
    required=("hardware", "op", "dtype", "time_s"),
    any_of=(),
    noun="kernel measurements",
    largest=1_000_000,
)
_COUNT: Final = Limits("ratio", 1, 1e12)
_TIME: Final = Limits("ratio", 1e-9, 1e4)


class _Precision(NamedTuple):
    """Storage and arithmetic of a data type, and the constants that it determines."""

    weight_bytes: float
    flops: str  # field of a device
    launch: str
    suffix: str  # of memory_efficiency and compute_efficiency


_PRECISIONS: Final = {
    "bf16": _Precision(2.0, "flops_fp16", "launch", "16"),
    "fp16": _Precision(2.0, "flops_fp16", "launch", "16"),
    "fp8": _Precision(1.0, "flops_fp8", "launch_fp8", "8"),
    "fp8-block128": _Precision(1.002, "flops_fp8", "launch_fp8_block", "8_block"),
    "int8-wo": _Precision(1.0, "flops_fp16", "launch", "8_weight_only"),
    "int4-wo": _Precision(0.53, "flops_fp16", "launch", "4_weight_only"),
}
_ACTIVATION: Final = 2.0  # bytes


class KernelRow(NamedTuple):
    """One measured kernel: its work and its time."""

    device: DeviceEntry
    constants: tuple[str, str, str]  # launch time, compute and memory efficiency that it determines
    flop: float
    size: float  # bytes moved
    flops: float  # data-sheet rate
    time_s: float


class AllReduce(NamedTuple):
    """One measured all-reduce."""

    device: DeviceEntry
    devices: float
    size: float  # bytes of a message
    time_s: float


class Kernels(NamedTuple):
    """Contents of a table of kernels."""

    rows: list[KernelRow]
    all_reduces: list[AllReduce]
    other: dict[str, int]  # rows of kinds that are not fitted


class KernelFit(NamedTuple):
    """Constants fitted to the kernels of one kind."""

    constants: tuple[str, ...]
    values: tuple[float, ...]
    rows: int
    median_error: float


def read_kernels(path: str | Path) -> Kernels:
    """Return the rows of a table of kernels.

    Raises
    ------
    InputError
        The file has faults; all of them are listed.
    """
    faults: list[str] = []
    found = Kernels([], [], {})
    for line, cells in read_rows(str(path), read_text(path, ".csv"), _FORM, faults):
        place = Place(str(path), f"line {line}", faults)
        row = _all_reduce(cells, place) or _row(cells, place)
        if isinstance(row, AllReduce):
            found.all_reduces.append(row)
        elif row is None:
            kind = f"{cells['op']} {cells['dtype']}".strip()
            found.other[kind] = found.other.get(kind, 0) + 1
        else:
            found.rows.append(row)
    if faults:
        raise InputError(dict.fromkeys(faults))
    return found


def _all_reduce(cells: Mapping[str, str], place: Place) -> AllReduce | None:
    """Return an all-reduce by an engine's own kernels, or None for other kinds."""
    if cells["op"] != "all_reduce_custom" or not cells["time_s"]:
        return None
    device = _device(cells, place)
    counts = [_number(name, cells, _COUNT, place) for name in _EXCHANGE]
    time_s = _number("time_s", cells, _TIME, place)
    if device is None or time_s is None or counts[0] is None or counts[1] is None:
        return None
    return AllReduce(device, counts[1], counts[0], time_s) if counts[1] > 1.0 else None


def _device(cells: Mapping[str, str], place: Place) -> DeviceEntry | None:
    try:
        return load_device(cells["hardware"])
    except InputError as error:
        place.relay(error.faults[0])
        return None


def _number(name: str, cells: Mapping[str, str], bound: Limits, place: Place) -> float | None:
    return number(cells.get(name, ""), bound, place._replace(key=f"{place.key}: {name}"))


def _row(cells: Mapping[str, str], place: Place) -> KernelRow | None:
    """Return a matrix product or attention, or None for other kinds and rows without a time."""
    operator, dtype = cells["op"], cells["dtype"]
    known = (operator == "gemm" and dtype in _PRECISIONS) or (
        operator in ("attn_decode", "attn_prefill") and dtype in ("bf16", "fp16")
    )
    if not known or not cells["time_s"]:
        return None
    device = _device(cells, place)
    needed = ("m", "n", "k") if operator == "gemm" else _NUMBERS[3:]
    values = {name: _number(name, cells, _COUNT, place) for name in needed}
    time_s = _number("time_s", cells, _TIME, place)
    if device is None or time_s is None or None in values.values():
        return None
    work = {name: float(value or 0.0) for name, value in values.items()}
    if operator == "gemm":
        return _gemm(device, _PRECISIONS[dtype], work, time_s)
    quantised = cells.get("kv_dtype") == "fp8"
    if operator == "attn_decode":
        return _decode(device, work, time_s, quantised=quantised)
    return None if quantised else _prefill(device, work, time_s)


def _gemm(
    device: DeviceEntry, precision: _Precision, work: Mapping[str, float], time_s: float
) -> KernelRow:
    m, n, k = work["m"], work["n"], work["k"]
    return KernelRow(
        device=device,
        constants=(
            precision.launch,
            f"compute_efficiency_{precision.suffix}",
            f"memory_efficiency_{precision.suffix}",
        ),
        flop=2.0 * m * n * k,
        size=precision.weight_bytes * n * k + _ACTIVATION * m * (n + k),
        flops=getattr(device, precision.flops) or device.flops_fp16,
        time_s=time_s,
    )


def _decode(
    device: DeviceEntry, work: Mapping[str, float], time_s: float, *, quantised: bool
) -> KernelRow:
    queries = work["batch"] * work["heads"] * work["head_dim"]
    cached = 2.0 * work["batch"] * work["seq"] * work["kv_heads"] * work["head_dim"]
    return KernelRow(
        device=device,
        constants=(
            "launch_attention",
            "attention_decode_efficiency",
            "kv_efficiency_quantised" if quantised else "kv_efficiency",
        ),
        flop=4.0 * queries * work["seq"],
        size=cached * (1.0 if quantised else 2.0) + 2.0 * _ACTIVATION * queries,
        flops=device.flops_fp16,
        time_s=time_s,
    )


def _prefill(device: DeviceEntry, work: Mapping[str, float], time_s: float) -> KernelRow:
    tokens = work["batch"] * work["seq"]
    width = work["head_dim"] * (2.0 * work["heads"] + 2.0 * work["kv_heads"])
    return KernelRow(
        device=device,
        constants=(
            "launch_attention",
            "attention_prefill_efficiency",
            "attention_prefill_memory_efficiency",
        ),
        flop=2.0 * tokens * (work["seq"] + 1.0) * work["heads"] * work["head_dim"],
        size=_ACTIVATION * tokens * width,
        flops=device.flops_fp16,
        time_s=time_s,
    )


def fit_kernels(kernels: Kernels) -> list[KernelFit]:
    """Return the constants of every kind of kernel that has enough rows."""
    kinds: dict[tuple[str, str, str], list[KernelRow]] = {}
    for row in kernels.rows:
        kinds.setdefault(row.constants, []).append(row)
    found = [_operator(kind, rows) for kind, rows in kinds.items() if len(rows) >= FEWEST]
    if len(kernels.all_reduces) >= FEWEST:
        found.append(_exchange(kernels.all_reduces))
    return found


def _operator(constants: tuple[str, str, str], rows: Sequence[KernelRow]) -> KernelFit:
    compute = np.array([row.flop / row.flops for row in rows])
    memory = np.array([row.size / row.device.memory_bandwidth for row in rows])

    def times(values: Floats) -> Floats:
        start_up, arithmetic, bandwidth = values
        total: Floats = start_up + np.hypot(compute / arithmetic, memory / bandwidth)
        return total

    measured = np.array([row.time_s for row in rows])
    bounds = ((1e-7, 0.01, 0.05), (1e-3, 1.0, 1.0))
    return _least_squares(constants, times, measured, (5e-6, 0.5, 0.7), bounds)


def _exchange(rows: Sequence[AllReduce]) -> KernelFit:
    """Fit an all-reduce, the faster of one-shot and two-shot (``physics.collectives``)."""
    devices = np.array([row.devices for row in rows])
    per_link = np.array([row.size / row.device.link_bandwidth for row in rows])

    def times(values: Floats) -> Floats:
        first, hop, one, second, two = values
        one_shot = first + (devices - 2.0) * hop + (devices - 1.0) * per_link / one
        two_shot = second + 2.0 * (devices - 1.0) / devices * per_link / two
        found: Floats = np.minimum(one_shot, two_shot)
        return found

    constants = (
        "one_shot_latency",
        "one_shot_hop",
        "one_shot_efficiency",
        "two_shot_latency",
        "two_shot_efficiency",
    )
    measured = np.array([row.time_s for row in rows])
    bounds = ((1e-7, 1e-9, 0.05, 1e-6, 0.05), (1e-3, 1e-4, 1.0, 1e-3, 1.0))
    return _least_squares(constants, times, measured, (4e-6, 1e-7, 0.6, 1.5e-5, 0.7), bounds)


def _least_squares(
    constants: tuple[str, ...],
    times: Callable[[Floats], Floats],
    measured: Floats,
    start: tuple[float, ...],
    bounds: tuple[tuple[float, ...], tuple[float, ...]],
) -> KernelFit:
    """Return the constants that best fit log times; large residuals count linearly."""
    from scipy.optimize import least_squares  # noqa: PLC0415 - an extra

    def residuals(logs: Floats) -> Floats:
        found: Floats = np.log(times(np.exp(logs)) / measured)
        return found

    low, high = np.log(bounds[0]), np.log(bounds[1])
    found = least_squares(residuals, np.log(start), bounds=(low, high), loss="soft_l1", f_scale=0.1)
    values = tuple(float(value) for value in np.exp(found.x))
    error = float(np.median(np.abs(np.expm1(residuals(found.x)))))
    return KernelFit(constants, values, len(measured), error)
