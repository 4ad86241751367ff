"""Calibrations: the fit of engines to measurements, its errors on unseen data, and the TOML."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from perfcore.accuracy import plan
from perfcore.accuracy.fit import Fit, Problem
from perfcore.accuracy.intervals import (
    CLAIM,
    NAMES,
    Interval,
    inside_without,
    interval_of,
    intervals,
    levels,
)
from perfcore.accuracy.kernel_fits import KernelFit, Kernels, fit_kernels
from perfcore.accuracy.left_out import (
    GROUPS,
    STRANGERS,
    Evidence,
    Judged,
    judged,
    judged_apart,
    model_of,
    residuals_without,
)
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
from perfcore.errors import InputError, argument
from perfcore.records import Engine

Level = Calibration | Literal["all"]  # of evidence; or all levels together
ALL: Final = "all"


class Report(NamedTuple):
    """Errors on one metric of one source and kind of model: in-sample and on left-out groups."""

    source: str
    metric: str
    experts: bool  # mixture-of-experts models, else dense models
    rows: int
    in_sample: Errors
    left_out: dict[str, Errors]  # by kind of group; without kinds of which there is only one group


class Stranger(NamedTuple):
    """Errors on one metric at one level, on rows whose source was left out or is not fitted."""

    metric: str
    level: Level
    kind: str  # of group that was left out
    rows: int
    groups: int
    errors: Errors
    inside: float  # share of rows inside the 80 % interval


class Calibrated(NamedTuple):
    """Engines with fitted constants, and the errors of the fit."""

    tables: dict[str, Table]  # by engine
    fit: Fit
    kernels: tuple[KernelFit, ...]
    reports: tuple[Report, ...]
    intervals: dict[Calibration, dict[str, Interval]]
    strangers: tuple[Stranger, ...]


def describe(path: Path, rows: Sequence[Measurement]) -> str:
    """Return the description of a calibration's data: the file, its rows and its hash."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return f"{path.name}: {len(rows):,} rows, sha256 {digest}"


def calibrate_one(
    asked: Sequence[Question],
    kernels: Kernels | None,
    engine: str,
    device_class: str,
    name: str,
    data: Sequence[str],
    *,
    keep_suspect: bool = False,
) -> Calibrated:
    """Return an engine fitted to one class of device: kernels first, then measurements.

    Constants that the rows do not determine stay at the catalogue's value.

    Parameters
    ----------
    keep_suspect
        Whether factors are accepted that no engine is known to have.

    Raises
    ------
    InputError
        There are too few rows of this engine on this class, or the rows ask for a factor that is
        not believed.
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
    fitted = problem.fit_determined()
    if not keep_suspect:
        _refuse_insane(problem, fitted)
    residuals = residuals_without(problem, fitted, ("models", "devices", "loads"))
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
    found["own"] |= _of_few_models(found["own"])
    table = _with_evidence(name, table, chosen, found, data, problem, fitted, residuals)
    return Calibrated(
        tables={name: table},
        fit=fitted,
        kernels=tuple(fits),
        reports=_reports(problem, fitted, residuals),
        intervals=found,  # type: ignore[arg-type]  # its one level
        strangers=(),
    )


def _of_few_models(known: Mapping[str, Interval]) -> dict[str, Interval]:
    """Return the intervals for metrics that were fitted to one model at most.

    Nothing tells how well such a fit predicts another model, so that the interval is that of an
    engine that was measured on another device of the class.
    """
    shipped = loader.load_engine("kernels").intervals["class"]
    return {
        name: Interval(shipped[f"low_{name}"].value, shipped[f"high_{name}"].value, 0, 0, 0.0)
        for name in NAMES
        if name not in known
    }


_ONE_MODEL: Final = "fitted to one model at most: as on another device of the class"
_SIGMAS: Final = 3.0  # of the prior, beyond which a factor needs the caller's consent
_SANE: Final = 2.0  # factor, up or down, that needs none
_AT_LIMIT: Final = 0.999
_EXPLAINED: Final = 0.1  # median error below which the rows are explained


def _refuse_insane(problem: Problem, fitted: Fit) -> None:
    """Raise ``InputError`` if the fit needs a constant out of the range that is believed.

    A factor at the end of its range is accepted if it explains the rows.
    """
    before, after = problem.residuals(np.zeros(len(fitted.logs))), problem.residuals(fitted.logs)
    faults = []
    for parameter, log, part in zip(fitted.parameters, fitted.logs, problem.parts, strict=True):
        most = np.log(parameter.most)
        limit = min(max(_SIGMAS * parameter.width, np.log(_SANE)), most)
        unexplained = len(part.rows) and np.median(np.abs(after[part.rows])) > _EXPLAINED
        if abs(log) < _AT_LIMIT * limit or (limit == most and not unexplained):
            continue
        worst = sorted(part.rows, key=lambda row: -abs(before[row]))[:3]
        rows = [problem.batch.questions[row].measurement for row in worst]
        asking = ", ".join(f"line {row.line}" if row.line else row.row_id for row in rows)
        faults.append(f"{parameter.name} x {np.exp(log):.3g} ({asking})")
    if faults:
        raise InputError(
            "the rows need implausible factors on constants: "
            f"{', '.join(faults)}; check their units, engine and formats, or give "
            f"{argument('keep_suspect', value=True)}"
        )


def calibrate_all(
    asked: Sequence[Question],
    folder: Path,
    data: Sequence[str],
    held_out: Sequence[Question] = (),
) -> Calibrated:
    """Return all engines of a catalogue folder, fitted jointly, as the shipped engines were.

    Constants that the data do not determine keep their prior. Rows that are ``held_out`` are not
    fitted: with left-out groups, they determine the intervals.
    """
    problem = Problem(asked, plan.joint(), plan.weigh, before_fit=True)
    fitted = problem.fit_determined()
    residuals = residuals_without(problem, fitted, GROUPS)
    rows = [*judged(asked, residuals), *judged_apart(held_out, problem, fitted)]
    found = levels(rows)
    judged_groups = [row for row in rows if row.kind in (*STRANGERS, "engines")]
    strangers = strangers_of(judged_groups, inside_without(judged_groups, rows))
    bottom = loader.load_engine("kernels")
    tables = {}
    for path in sorted(folder.glob("*.toml")):
        name, table, _ = read_engine(path)
        of_engine = [q for q in asked if name in {q.engine.name, SHARED}]
        if name == bottom.name:
            tables[name] = {"intervals": _interval_tables(found)}
        elif table.get("base") and of_engine:
            tables[name] = _with_evidence(
                name,
                fitted_table(
                    name,
                    before_fit(table) | {"measured": table.get("measured", {})},
                    fitted,
                    bottom,
                ),
                of_engine,
                {},
                data,
                problem,
                fitted,
                residuals,
            )
    _add_strangers(tables[SHARED], strangers)
    reports = _reports(problem, fitted, residuals)
    return Calibrated(tables, fitted, (), reports, found, strangers)


def leave_out(
    asked: Sequence[Question], kind: str, held_out: Sequence[Question] = ()
) -> Calibrated:
    """Return the joint fit and its errors on groups of one kind, judged by shipped intervals."""
    problem = Problem(asked, plan.joint(), plan.weigh, before_fit=True)
    fitted = problem.fit_determined()
    residuals = residuals_without(problem, fitted, (kind,))
    rows = [*judged(asked, residuals), *judged_apart(held_out, problem, fitted)]
    shipped = {
        level: {
            name: Interval(known[f"low_{name}"].value, known[f"high_{name}"].value, 0, 0, 0.0)
            for name in NAMES
        }
        for level, known in loader.load_engine("kernels").intervals.items()
    }
    reports = _reports(problem, fitted, residuals)
    inside = [shipped[row.level][interval_of(row.question)].holds(row) for row in rows]
    return Calibrated({}, fitted, (), reports, shipped, strangers_of(rows, inside))


def strangers_of(rows: Sequence[Judged], inside: Sequence[bool]) -> tuple[Stranger, ...]:
    """Return the errors on left-out groups by kind of group, metric and level, and coverage.

    Each metric is also scored at all levels together.

    Parameters
    ----------
    inside
        Whether each row lies inside its interval.
    """
    grouped: dict[tuple[str, str, Level], list[tuple[Judged, bool]]] = {}
    for row, held in zip(rows, inside, strict=True):
        both: tuple[Level, ...] = (row.level, ALL)
        for level in both:
            label = (row.kind, row.question.measurement.metric, level)
            grouped.setdefault(label, []).append((row, held))
    made = []
    for (kind, metric, level), pairs in sorted(grouped.items()):
        members = [row for row, _ in pairs]
        made.append(
            Stranger(
                metric=metric,
                level=level,
                kind=kind,
                rows=len(members),
                groups=len({row.group for row in members}),
                errors=errors_of(np.exp([row.residual for row in members])),
                inside=float(np.mean([held for _, held in pairs])),
            )
        )
    return tuple(made)


def _add_strangers(table: Table, strangers: Sequence[Stranger]) -> None:
    """Add the errors of unknown stacks to the evidence of the base engine."""
    table["fit"]["strangers"] = [
        {
            "left_out": one.kind,
            "metric": one.metric,
            "level": one.level,
            "rows": one.rows,
            "groups": one.groups,
            "median_ape": _rounded(one.errors.median_ape),
            "p90_ape": _rounded(one.errors.p90_ape),
            "inside": _rounded(one.inside),
        }
        for one in strangers
        if one.kind in (*STRANGERS, "engines")
    ]


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


def _interval_tables(found: Mapping[Calibration, Mapping[str, Interval]]) -> Table:
    tables: Table = {level: _interval_constants(of_level) for level, of_level in found.items()}
    claims = {}
    for name, unseen in found["unseen"].items():
        # no claim is better known than a stack that nobody measured
        edges = (min(CLAIM[0], unseen.low), max(CLAIM[1], unseen.high))
        for edge, value in zip(("low", "high"), edges, strict=True):
            claims[f"{edge}_{name}"] = {
                "value": float(f"{value:.3g}"),
                "basis": "assumption",
                "source": "speeds that vendors publish, against each other's and outsiders' "
                "figures; at least as wide as for an unseen stack",
            }
    tables["claim"] = claims
    return tables


def _interval_constants(
    found: Mapping[str, Interval], absent: str = "no residuals: a stated width"
) -> Table:
    constants = {}
    for name, interval in found.items():
        why = (
            f"residuals of {interval.rows:,} rows in {interval.groups} groups left out, of which "
            f"{interval.covered:.0%} lie inside"
            if interval.groups
            else absent
        )
        for edge, value in (("low", interval.low), ("high", interval.high)):
            constants[f"{edge}_{name}"] = {
                "value": float(f"{value:.3g}"),
                "basis": "fit" if interval.groups else "assumption",
                "source": why,
            }
    return constants


def _with_evidence(
    name: str,
    table: Table,
    asked: Sequence[Question],
    found: Mapping[str, Mapping[str, Interval]],
    data: Sequence[str],
    problem: Problem,
    fitted: Fit,
    residuals: Mapping[str, Floats],
) -> Table:
    """Return a table with measured devices and kernels, intervals, data and errors added.

    What all engines share was not measured with an engine of that name.
    """
    of_engine = {id(question) for question in asked}
    rows = np.array([id(question) in of_engine for question in problem.batch.questions])
    reports = _reports(problem, fitted, residuals, rows)
    return {
        **table,
        **({} if name == SHARED else Evidence.of(asked).tables(asked[0].engine.name)),
        "intervals": {level: _interval_constants(of, _ONE_MODEL) for level, of in found.items()},
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
                    **{
                        f"left_out_{kind}": _rounded(errors.median_ape)
                        for kind, errors in report.left_out.items()
                        if kind != "classes"
                    },
                }
                for report in reports
            ],
        }
        if reports
        else {},
    }


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
                left_out={
                    kind: _errors(logs[chosen])
                    for kind, logs in residuals.items()
                    if np.isfinite(logs[chosen]).all()
                },
            )
        )
    return tuple(reports)


def _errors(logs: Floats) -> Errors:
    return errors_of(np.exp(logs))
