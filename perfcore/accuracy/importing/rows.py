"""Conversion of runs and the caller's settings to rows of the table of measurements."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from perfcore.accuracy.importing.fields import (
    DEGREE,
    ENTRIES,
    MEAN,
    OUTPUT_TOKENS_PER_S,
    Reading,
    Run,
    checked,
    harmless,
)
from perfcore.accuracy.importing.names import native_format
from perfcore.accuracy.table import METRICS, Measurement
from perfcore.catalog.names import normalise
from perfcore.errors import argument, show
from perfcore.reading.places import Place, number

_NEEDED: Final = {  # required columns, with an example
    "model": "llama-3.1-8b",
    "hardware": "h100-sxm",
    "weight_format": "fp8",
    "concurrency": "64",
    "input_len": "1024",
    "output_len": "256",
}
_LISTS: Final = {
    "model": "models",
    "device": "devices",
    "engine": "engines",
    "host": "hosts",
}  # others: formats
_DEFAULTS: Final = {
    "set": "",
    "mode": "static",
    "source": "own",
    "licence": "",
    "date": "",
    "engine_version": "",
    "weight_bits": None,
    "kv_format": "",
    "pp": 1,
    "ep": 1,
    "dp": 1,
    "concurrency": None,
    "task_note": "",
}
_ASSUMED: Final = {"engine": "default", "weight_format": "bf16", "tp": 1}
UNCATALOGUED: Final = ("tgi",)  # engines of tools that are read
_USUAL_FORMATS: Final = {"llamacpp": "q4_k_m", "mlx": "int4-g64"}  # by engine
_DIGITS: Final = 12  # of a value; further digits are artefacts of its conversion


def measurements(run: Run, reading: Reading) -> Iterator[Measurement]:
    """Yield one row per metric, or nothing after a fault."""
    cells = _cells(run, reading)
    if cells is None:
        return
    for metric, value in run.values.items():
        if value is None:
            continue
        if metric == OUTPUT_TOKENS_PER_S:
            row = _row(cells, f"{metric}_per_device", value / cells["devices"])
        else:
            row = _row(cells, metric, value)
        spread = run.spreads.get(metric, "")
        if spread:  # not part of what identifies the row
            row = row._replace(task_note="; ".join(filter(None, (row.task_note, spread))))
        yield row


def _cells(run: Run, reading: Reading) -> dict[str, Any] | None:
    """Return every column except the metric's: settings over the file's values over defaults."""
    file = reading.place._replace(key="")
    before = len(file.faults)
    told = dict(reading.given)
    stated = dict(run.stated)
    if told.get("concurrency") == MEAN:
        del told["concurrency"]
        stated["concurrency"] = stated.get("concurrency") or run.in_flight
    if run.note:
        stated["task_note"] = run.note
    for column, value in stated.items():
        if value in (None, ""):
            continue
        if column in told and column in reading.given:
            _note(column, value, reading)
        else:
            told[column] = _stated(column, value, reading)
    assumed = {
        column: value
        for column, value in (_ASSUMED | dict(run.assumed)).items()
        if column not in told and column not in run.doubts
    }
    cells: dict[str, Any] = {"source_ref": Path(file.file).name, **_DEFAULTS, **assumed, **told}
    harmless(cells["source_ref"], file.at("source_ref"))
    for column, example in _NEEDED.items():
        needed = column != "concurrency" or cells["mode"] != "saturation"
        if needed and column not in told and cells.get(column) is None:
            why = run.doubts.get(column, "")
            remedy = f"add {argument('given', {column: _example(column, example, run, cells)})}"
            file.fault(f"{column} is not stated{why}", remedy)
    if len(file.faults) == before:
        devices = cells["tp"] * cells["pp"] * cells["dp"]
        cells["devices"] = number(devices, DEGREE, file.at("tp x pp x dp"))
    if len(file.faults) > before:
        return None
    reading.assumed.update(dict.fromkeys(f"{key}={value}" for key, value in assumed.items()))
    return cells


def _example(column: str, example: str, run: Run, cells: Mapping[str, Any]) -> str:
    """Return the value that a remedy suggests: what the run or the catalogue knows, if anything."""
    if column == "concurrency" and run.in_flight:
        return MEAN
    if column == "weight_format":
        native = native_format(str(cells["model"])) if cells.get("model") else ""
        return native or _USUAL_FORMATS.get(str(cells.get("engine")), example)
    if column == "model" and column in run.doubts:  # which says what it may be
        return "NAME"
    return example


def _stated(column: str, value: object, reading: Reading) -> object:
    """Return the value of a cell from the file; None after a fault."""
    kind = ENTRIES.get(column)
    if kind and not reading.names.find(kind, str(value)):
        if value in UNCATALOGUED:
            reading.notes[
                f"{reading.place.file}: engine {value} is not in the catalogue; predictions take "
                "the mean of the engines of its year"
            ] = None
            return value
        near = reading.names.near_device(str(value)) if kind == "device" else ""
        lists = f"perfcore {_LISTS.get(kind, 'formats')} lists all"
        reading.place._replace(key="").fault(
            f"{column} {show(value)} is not in the catalogue",
            f"add {argument('given', {column: near or 'NAME'})} "
            + (f"if it is the same ({lists})" if near else f"({lists})"),
        )
        return None
    return checked(column, value, reading.place.at(column))


def _note(column: str, value: object, reading: Reading) -> None:
    """Note that a setting differs from the file."""
    given = reading.given[column]
    kind = ENTRIES.get(column)
    if kind:
        one, other = (
            reading.names.find(kind, str(text)) or normalise(str(text)) for text in (value, given)
        )
        same = one == other
    else:
        same = checked(column, value, Place("", "", [])) == given
    if not same:
        reading.notes[
            f"{reading.place.file}: {column} {given} is set; the file states {show(value)}"
        ] = None


def _row(cells: dict[str, Any], metric: str, value: float) -> Measurement:
    row = Measurement(
        row_id="",
        **cells,
        metric=metric,
        value=float(f"{value:.{_DIGITS}g}"),
        unit=METRICS[metric][0],
    )
    digest = hashlib.sha256(_content(row).encode()).hexdigest()
    return row._replace(row_id=f"m{digest[:12]}")  # a letter first: not a number


def _content(row: Measurement) -> str:
    """Return the content that identifies a row: the same as before later columns, if all are empty.

    Otherwise a file that is imported again would add its rows to those of an older table.
    """
    unstated = Measurement._field_defaults
    cells = (
        f"{name}={value!r}"
        for name, value in row._asdict().items()
        if name == "line" or name not in unstated or value != unstated[name]
    )
    return f"Measurement({', '.join(cells)})"
