"""Tables of measurements: a row is one measured number and the configuration to predict it.

The shipped measurements have this format; ``docs/measurements.md`` explains each column.
"""

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast

from perfcore.catalog.stack import BACKENDS, NUMBERS, RUNNERS
from perfcore.errors import InputError, show
from perfcore.inputs import AXIS_INPUTS
from perfcore.limits import Limits
from perfcore.reading.csvfile import Form, csv_text, read_rows
from perfcore.reading.files import read_text
from perfcore.reading.places import Place, number

LARGEST: Final = 1_000_000  # rows of a file
LARGEST_BYTES: Final = 256 * 2**20

Mode = Literal["static", "closed_loop", "saturation", "disaggregated"]
MODES: Final[tuple[Mode, ...]] = ("static", "closed_loop", "saturation", "disaggregated")
METRICS: Final = {  # accepted spellings of their units, perfcore's own first
    "tpot_s": ("s",),
    "ttft_s": ("s",),
    "e2e_latency_s": ("s",),
    "prefill_tokens_per_s": ("tok/s", "tokens/s"),
    "output_tokens_per_s_per_device": ("tok/s", "tokens/s", "tok/s/device", "tokens/s/device"),
    "energy_j_per_output_token": ("J/token", "J"),
    "power_w_per_device": ("W",),
}

_TEXTS: Final = (
    "row_id",
    "set",
    "source",
    "source_ref",
    "licence",
    "date",
    "engine_version",
    "unit",
    "task_note",
    "host",
)
_DEGREES: Final = ("tp", "pp", "ep", "dp")
DEGREE: Final = Limits("count", 1, 65_536, whole=True)
OPTIONAL: Final = {  # None if the source does not say
    "weight_bits": Limits("ratio", 0.1, 64),
    "concurrency": Limits("ratio", 1, 1e9),
    "input_len": Limits("ratio", 0, 1e9),
    "output_len": Limits("ratio", 0, 1e9),
    **NUMBERS,
    **{
        name: limits
        for name in ("gpu_layers", "cpu_moe_layers")
        if (limits := AXIS_INPUTS[name].limits)
    },
}
CHOICES: Final = {  # of texts that may be empty
    "backend": BACKENDS,
    "eager": ("true", "false"),
    "runner": RUNNERS,
    "offload": AXIS_INPUTS["offload"].choices,
}
_VALUE: Final = Limits("ratio", 1e-12, 1e12)


class Measurement(NamedTuple):
    """One measured number in SI units, with its configuration. Names are as in the file."""

    row_id: str
    set: str
    mode: Mode
    source: str
    source_ref: str
    licence: str
    date: str
    engine: str
    engine_version: str
    hardware: str
    model: str
    weight_format: str
    weight_bits: float | None  # per quantised weight, scales included
    kv_format: str  # empty if not stated
    tp: int
    pp: int
    ep: int
    dp: int
    devices: int
    concurrency: float | None  # sequences in flight over all devices; None: as many as fit
    input_len: float | None  # tokens of a sequence
    output_len: float | None
    metric: str
    value: float
    unit: str
    task_note: str
    backend: str = ""  # empty: the one of the device's vendor
    eager: str = ""  # "true": without CUDA graphs
    runner: str = ""  # server or offline; empty: as the mode
    prefill_chunk: float | None = None  # tokens of a step; None: the engine's default
    power_limit: float | None = None  # W per device; None: its rated power
    host: str = ""  # memory and CPU of the machine; empty: the usual one
    offload: str = ""  # as the axis; empty: none
    gpu_layers: float | None = None  # None: all
    cpu_moe_layers: float | None = None  # None: all, if experts are offloaded
    line: int = 0  # of the file


COLUMNS: Final = Measurement._fields[:-1]
_FORM: Final = Form(
    columns=COLUMNS,
    required=("model", "hardware", "metric", "value"),
    any_of=(),
    noun="measurements",
    largest=LARGEST,
)


def shipped() -> Path:
    """Return the path of the measurements that come with the package."""
    return Path(str(resources.files("perfcore.accuracy") / "measurements" / "dev_licensed.csv"))


def read_measurements(path: str | Path) -> list[Measurement]:
    """Return the rows of a CSV file in UTF-8 whose first line names columns of ``COLUMNS``.

    ``model``, ``hardware``, ``metric`` and ``value`` are needed; other columns and cells may be
    omitted. The defaults are a static batch of one bf16 sequence on one device and the engine
    ``default``.

    Raises
    ------
    InputError
        The file has faults; all of them are listed, each with its line. Names of models, devices
        and engines are not looked up here.
    """
    faults: list[str] = []
    rows = read_rows(str(path), read_text(path, ".csv", LARGEST_BYTES), _FORM, faults)
    found = [_measurement(line, cells, Place(str(path), "", faults)) for line, cells in rows]
    if faults:
        raise InputError(dict.fromkeys(faults))
    if not found:
        raise InputError(f"{path}: has no measurement; add a line below the header")
    return [row for row in found if row is not None]


def write_measurements(path: str | Path, rows: Iterable[Measurement]) -> None:
    """Write a file that ``read_measurements`` reads."""
    cells = ([_cell(value) for value in row[:-1]] for row in rows)
    Path(path).write_text(csv_text([COLUMNS, *cells]), encoding="utf-8", newline="")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


def _measurement(line: int, cells: Mapping[str, str], file: Place) -> Measurement | None:
    place = file._replace(key=f"line {line}")
    before = len(place.faults)
    _check_texts(cells, place)
    metric = cells["metric"]
    degrees = {name: _number(name, cells.get(name) or "1", DEGREE, place) for name in _DEGREES}
    optional = {
        name: _number(name, cells[name], bound, place) if cells.get(name) else None
        for name, bound in OPTIONAL.items()
    }
    value = _number("value", cells["value"], _VALUE, place)
    tp, pp, ep, dp = (int(degrees[name] or 0) for name in _DEGREES)
    devices = _number("devices", cells.get("devices") or str(tp * pp * dp or 1), DEGREE, place)
    if tp * pp * dp and devices and devices != tp * pp * dp:
        place.fault(f"devices {int(devices)} are not tp x pp x dp = {tp * pp * dp}", "correct it")
    if len(place.faults) > before or value is None or devices is None:
        return None
    texts = {name: cells.get(name, "") for name in _TEXTS}
    return Measurement(
        row_id=texts["row_id"],
        set=texts["set"],
        mode=cast("Mode", cells.get("mode") or MODES[0]),
        source=texts["source"],
        source_ref=texts["source_ref"],
        licence=texts["licence"],
        date=texts["date"],
        engine=cells.get("engine") or "default",
        engine_version=texts["engine_version"],
        hardware=cells["hardware"],
        model=cells["model"],
        weight_format=cells.get("weight_format") or "bf16",
        weight_bits=optional["weight_bits"],
        kv_format=cells.get("kv_format", ""),
        tp=tp,
        pp=pp,
        ep=ep,
        dp=dp,
        devices=int(devices),
        concurrency=optional["concurrency"],
        input_len=optional["input_len"],
        output_len=optional["output_len"],
        metric=metric,
        value=value,
        unit=METRICS[metric][0],
        task_note=texts["task_note"],
        backend=cells.get("backend", ""),
        eager=cells.get("eager", ""),
        runner=cells.get("runner", ""),
        prefill_chunk=optional["prefill_chunk"],
        power_limit=optional["power_limit"],
        host=texts["host"],
        offload=cells.get("offload", ""),
        gpu_layers=optional["gpu_layers"],
        cpu_moe_layers=optional["cpu_moe_layers"],
        line=line,
    )


def _check_texts(cells: Mapping[str, str], place: Place) -> None:
    """Record the faults of all texts in a row."""
    for name in ("model", "hardware"):
        if not cells[name]:
            place.fault(f"{name} is empty", "give its name")
    for name, text in cells.items():
        if not text.isprintable():
            place.fault(f"{name} has line breaks or control characters", "remove them")
    mode, metric, unit = cells.get("mode") or MODES[0], cells["metric"], cells.get("unit", "")
    if mode not in MODES:
        place._replace(key=f"{place.key}: mode").unknown("mode", mode, MODES)
    for name, choices in CHOICES.items():
        if cells.get(name, "") not in ("", *choices):
            place._replace(key=f"{place.key}: {name}").unknown("value", cells[name], choices)
    if metric not in METRICS:
        place._replace(key=f"{place.key}: metric").unknown("metric", metric, METRICS)
    elif unit not in ("", *METRICS[metric]):
        place.fault(f"unit {show(unit)} of {metric}", f"give it in {METRICS[metric][0]}")


def _number(name: str, text: str, bound: Limits, place: Place) -> float | None:
    return number(text, bound, place._replace(key=f"{place.key}: {name}"))
