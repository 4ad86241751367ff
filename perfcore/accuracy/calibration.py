"""Calibrations: the fit of engines to measurements, its errors on unseen data, and the TOML."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from perfcore.accuracy import plan
from perfcore.accuracy.fit import Fit, Key, Problem, cross_validate
from perfcore.accuracy.intervals import FEWEST, NAMES, Interval, intervals
from perfcore.accuracy.kernel_fits import KernelFit, Kernels, fit_kernels
from perfcore.accuracy.prediction import Floats, Question
from perfcore.accuracy.protocols import artefact
from perfcore.accuracy.scores import Errors, errors_of
from perfcore.accuracy.table import Measurement
from perfcore.accuracy.writing import (
    SHARED,
    Table,
    before_fit,
    fitted_table,
    number_text,
    read_engine,
)
from perfcore.catalog import loader
from perfcore.catalog.engine_entry import Calibration
from perfcore.errors import InputError
from perfcore.records import Engine

CLAIM: Final = (0.4, 2.5)  # vendors' published speeds against each other's and outsiders'
UNKNOWN: Final = (0.6, 1.7)  # with too few groups of a kind to judge a new one


class Report(NamedTuple):
    """Errors on one metric of one source and kind of model: in-sample and on left-out groups."""

    source: str
    metric: str
    experts: bool  # mixture-of-experts models, else dense models
    rows: int
    in_sample: Errors
    left_out_models: Errors | None
    left_out_devices: Errors | None


class Calibrated(NamedTuple):
    """Engines with fitted constants, and the errors of the fit."""

    tables: dict[str, Table]  # by engine
    fit: Fit
    kernels: tuple[KernelFit, ...]
    reports: tuple[Report, ...]
    intervals: dict[Calibration, dict[str, Interval]]


def describe(path: Path, rows: Sequence[Measurement]) -> str:
    """Return the description of a calibration's data: the file, its rows and its hash."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return f"{path.name}: {len(rows):,} rows, sha256 {digest}"


def model_of(question: Question) -> str:
    """Return the group in a cross-validation by model."""
    return question.model.name


def device_of(question: Question) -> str:
    """Return the group in a cross-validation by device; variants of memory size count as one."""
    name = question.device.name
    return "a100" if name.startswith("a100-") else name


def class_of(question: Question) -> str:
    """Return the group in a cross-validation by device class."""
    return question.device.device_class


def calibrate_one(
    asked: Sequence[Question],
    kernels: Kernels | None,
    engine: str,
    device_class: str,
    name: str,
    data: Sequence[str],
) -> Calibrated:
    """Return an engine fitted to one class of device: kernels first, then measurements.

    Raises
    ------
    InputError
        There are too few rows of this engine on this class.
    """
    chosen = [
        question
        for question in asked
        if question.engine.name == engine and question.device.device_class == device_class
    ]
    if not any(plan.weigh(question) for question in chosen):
        raise InputError(f"{engine} on {device_class}: no row to fit; add measurements")
    fits = _kernels_of(kernels, device_class)
    values = {
        constant: value
        for found in fits
        for constant, value in zip(found.constants, found.values, strict=True)
    }
    problem = Problem(chosen, plan.single(engine, device_class), plan.weigh)
    for constant, value in values.items():
        problem.catalogue[:, Engine._fields.index(constant)] = value
    fitted = problem.fit()
    residuals = _validated(problem, fitted, (model_of, device_of))
    table: Table = {
        "base": engine,
        "title": f"{chosen[0].engine.title}, fitted to {data[0].split(':')[0]}",
        "source": f"perfcore calibrate; {'; '.join(data)}",
        "device_class": {
            device_class: {
                constant: {
                    "value": number_text(constant, value),
                    "basis": "fit",
                    "source": f"{found.rows} kernels, median error {found.median_error:.1%}",
                }
                for found in fits
                for constant, value in zip(found.constants, found.values, strict=True)
            }
        },
    }
    table = fitted_table(engine, table, fitted)
    found = {"own": intervals(chosen, residuals["models"], [model_of(q) for q in chosen])}
    return Calibrated(
        tables={name: _with_evidence(table, chosen, found, data, problem, fitted, residuals)},
        fit=fitted,
        kernels=tuple(fits),
        reports=_reports(problem, fitted, residuals),
        intervals=found,  # type: ignore[arg-type]  # its one level
    )


def calibrate_all(asked: Sequence[Question], folder: Path, data: Sequence[str]) -> Calibrated:
    """Return all engines of a catalogue folder, fitted jointly, as the shipped engines were."""
    problem = Problem(asked, plan.joint(), plan.weigh, before_fit=True)
    fitted = problem.fit()
    residuals = _validated(problem, fitted, (model_of, device_of, class_of))
    found = _levels(asked, residuals)
    bottom = loader.load_engine("kernels")
    tables = {}
    for path in sorted(folder.glob("*.toml")):
        name, table, _ = read_engine(path)
        if name == bottom.name:
            tables[name] = {"intervals": _interval_tables(found)}
        elif table.get("base"):
            of_engine = [q for q in asked if name in {q.engine.name, SHARED}]
            before = before_fit(table)
            tables[name] = _with_evidence(
                fitted_table(name, before, fitted, bottom),
                of_engine,
                {},
                data,
                problem,
                fitted,
                residuals,
            )
    return Calibrated(tables, fitted, (), _reports(problem, fitted, residuals), found)


def _kernels_of(kernels: Kernels | None, device_class: str) -> list[KernelFit]:
    if kernels is None:
        return []
    return fit_kernels(
        Kernels(
            [row for row in kernels.rows if row.device.device_class == device_class],
            [row for row in kernels.all_reduces if row.device.device_class == device_class],
            {},
        )
    )


def _validated(problem: Problem, fitted: Fit, keys: Iterable[Key]) -> dict[str, Floats]:
    """Return residuals of left-out groups by kind of group; NaN if there is only one group."""
    found = {}
    names: Mapping[Callable[[Question], str], str] = {
        model_of: "models",
        device_of: "devices",
        class_of: "classes",
    }
    for key in keys:
        groups = {key(question) for question in problem.batch.questions}
        found[names[key]] = (
            cross_validate(problem, fitted, key)
            if len(groups) > 1
            else np.full(len(problem.batch.questions), np.nan)
        )
    return found


def _orphans(asked: Sequence[Question], key: Key) -> npt.NDArray[np.bool_]:
    """Return which rows belong to engines with only one group; its fold leaves no data on them."""
    places: dict[str, set[str]] = {}
    for question in asked:
        places.setdefault(question.engine.name, set()).add(key(question))
    return np.array([len(places[question.engine.name]) < 2 for question in asked])


def _levels(
    asked: Sequence[Question], residuals: Mapping[str, Floats]
) -> dict[Calibration, dict[str, Interval]]:
    """Return the intervals of each level, each at least as wide as the one before."""
    found: dict[Calibration, dict[str, Interval]] = {}
    steps: tuple[tuple[Calibration, str, Key], ...] = (
        ("own", "models", model_of),
        ("class", "devices", device_of),
        ("unseen", "classes", class_of),
    )
    narrower: dict[str, Interval] = {}
    for level, name, key in steps:
        kept = residuals[name].copy()
        if level != "own":
            kept[_orphans(asked, key)] = np.nan
        own = intervals(asked, kept, [key(question) for question in asked])
        widened = {}
        for regime in NAMES:
            inner = narrower.get(regime, Interval(1.0, 1.0, 0, 0, 0.0))
            outer = own.get(regime)
            if outer is None or (level == "unseen" and outer.groups < FEWEST):
                outer = Interval(*UNKNOWN, 0, 0, 0.0)
            widened[regime] = outer._replace(
                low=min(outer.low, inner.low), high=max(outer.high, inner.high)
            )
        found[level] = narrower = widened
    return found


def _interval_tables(found: Mapping[Calibration, Mapping[str, Interval]]) -> Table:
    tables: Table = {
        level: _interval_constants(of_level, level) for level, of_level in found.items()
    }
    tables["claim"] = {
        f"{edge}_{name}": {
            "value": value,
            "basis": "assumption",
            "source": "speeds that vendors publish, against each other's and outsiders' figures",
        }
        for name in NAMES
        for edge, value in zip(("low", "high"), CLAIM, strict=True)
    }
    return tables


_LEFT_OUT: Final[Mapping[str, str]] = {
    "own": "models",
    "class": "devices",
    "unseen": "classes of device",
}


def _interval_constants(found: Mapping[str, Interval], level: str) -> Table:
    constants = {}
    for name, interval in found.items():
        why = (
            f"residuals of {interval.rows:,} rows in {interval.groups} {_LEFT_OUT[level]} left "
            f"out, of which {interval.covered:.0%} lie inside"
            if interval.groups
            else "no residuals: a stated width"
        )
        for edge, value in (("low", interval.low), ("high", interval.high)):
            constants[f"{edge}_{name}"] = {
                "value": float(f"{value:.3g}"),
                "basis": "fit" if interval.groups else "assumption",
                "source": why,
            }
    return constants


def _with_evidence(
    table: Table,
    asked: Sequence[Question],
    found: Mapping[str, Mapping[str, Interval]],
    data: Sequence[str],
    problem: Problem,
    fitted: Fit,
    residuals: Mapping[str, Floats],
) -> Table:
    """Return a table with measured devices, intervals, data and errors added."""
    measured: dict[str, list[str]] = {}
    for question in asked:
        names = measured.setdefault(question.device.device_class, [])
        if question.device.name not in names:
            names.append(question.device.name)
    of_engine = {id(question) for question in asked}
    rows = np.array([id(question) in of_engine for question in problem.batch.questions])
    reports = _reports(problem, fitted, residuals, rows)
    return {
        **table,
        "measured": {key: sorted(names) for key, names in sorted(measured.items())},
        "intervals": {level: _interval_constants(of, level) for level, of in found.items()},
        "fit": {
            "data": list(data),
            "errors": [
                {
                    "source": report.source,
                    "metric": report.metric,
                    "experts": report.experts,
                    "rows": report.rows,
                    "median_ape": _rounded(report.in_sample.median_ape),
                    "p90_ape": _rounded(report.in_sample.p90_ape),
                    **_left_out("models", report.left_out_models),
                    **_left_out("devices", report.left_out_devices),
                }
                for report in reports
            ],
        }
        if reports
        else {},
    }


def _left_out(name: str, errors: Errors | None) -> dict[str, float]:
    return {} if errors is None else {f"left_out_{name}": _rounded(errors.median_ape)}


def _rounded(value: float) -> float:
    return float(f"{value:.3f}")


def _reports(
    problem: Problem,
    fitted: Fit,
    residuals: Mapping[str, Floats],
    rows: npt.NDArray[np.bool_] | None = None,
) -> tuple[Report, ...]:
    asked = problem.batch.questions
    own = problem.residuals(fitted.logs)
    counted = np.array([not artefact(question.measurement) for question in asked])
    if rows is not None:
        counted &= rows
    labels = [
        (q.measurement.source, q.measurement.metric, q.model.record().experts > 0.0) for q in asked
    ]
    reports = []
    for label in sorted({label for label, use in zip(labels, counted, strict=True) if use}):
        chosen = counted & np.array([found == label for found in labels])
        reports.append(
            Report(
                *label,
                rows=int(chosen.sum()),
                in_sample=_errors(own[chosen]),
                left_out_models=_errors_if(residuals["models"][chosen]),
                left_out_devices=_errors_if(residuals["devices"][chosen]),
            )
        )
    return tuple(reports)


def _errors(logs: Floats) -> Errors:
    return errors_of(np.exp(logs))


def _errors_if(logs: Floats) -> Errors | None:
    return _errors(logs) if len(logs) and np.isfinite(logs).all() else None
