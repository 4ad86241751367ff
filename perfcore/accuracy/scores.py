"""Errors of predictions against measurements, by group."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from perfcore.accuracy.baselines import BASELINES, baselines
from perfcore.accuracy.prediction import (
    Floats,
    Question,
    Skipped,
    batch_of,
    engine_table,
    evaluate_points,
    interval,
    predicted,
    questions,
)
from perfcore.accuracy.protocols import artefact
from perfcore.accuracy.sanity import Suspect, check_rows, warnings
from perfcore.accuracy.table import Measurement, read_measurements, shipped
from perfcore.catalog import loader
from perfcore.columns import STATUS
from perfcore.errors import InputError, argument
from perfcore.physics.stages.point import Point
from perfcore.reading.csvfile import csv_text
from perfcore.reading.places import Place

KEYS: Final = (
    "source",
    "device",
    "engine",
    "model",
    "backend",
    "mode",
    "note",
)  # possible grouping keys


class Errors(NamedTuple):
    """Errors of one kind of estimate over the rows of a group, as fractions."""

    median_ape: float
    p90_ape: float
    bias: float  # median of prediction / measurement - 1


class Group(NamedTuple):
    """Score of the rows that share some keys and a metric."""

    keys: dict[str, str]
    metric: str
    rows: int
    skipped: int
    errors: Errors
    coverage: float  # share of rows inside the predicted 80 % interval
    baselines: dict[str, Errors]

    @property
    def nearer(self) -> str:
        """Name of the best baseline, if its median error is below the prediction's; else empty."""
        if not self.rows:
            return ""
        best = min(self.baselines, key=lambda name: self.baselines[name].median_ape)
        return best if self.baselines[best].median_ape < self.errors.median_ape else ""

    def to_dict(self) -> dict[str, object]:
        """Return the score by name, for JSON; missing numbers are None."""
        return {
            **self.keys,
            "metric": self.metric,
            "rows": self.rows,
            "skipped": self.skipped,
            **_numbers(self.errors),
            "coverage": _finite(self.coverage),
            "baselines": {name: _numbers(errors) for name, errors in self.baselines.items()},
        }


class Scored(NamedTuple):
    """A measurement with its prediction."""

    question: Question
    predicted: float
    low: float
    high: float
    status: str
    baselines: tuple[float, ...]  # in the order of ``BASELINES``

    @property
    def error(self) -> float:
        """Relative error, prediction / measurement - 1."""
        return self.predicted / self.question.measurement.value - 1.0


class Score(NamedTuple):
    """Scores of all rows of some measurements."""

    rows: tuple[Scored, ...]
    skipped: tuple[Skipped, ...]
    suspects: tuple[Suspect, ...] = ()  # left out unless they are kept
    warnings: tuple[str, ...] = ()

    @property
    def left_out(self) -> "list[Skipped | Suspect]":
        """Rows without a score: those that cannot be evaluated, and those that look wrong."""
        scored = {one.question.measurement for one in self.rows}
        return [*self.skipped, *(one for one in self.suspects if one.measurement not in scored)]

    @property
    def reasons(self) -> dict[str, int]:
        """Number of skipped rows, by reason."""
        return dict(Counter(skipped.reason for skipped in self.skipped).most_common())

    @property
    def assumed(self) -> dict[str, int]:
        """Number of rows evaluated with a replacement for something unknown, by remark."""
        found = Counter(scored.question.assumed for scored in self.rows)
        return {remark: count for remark, count in found.most_common() if remark}

    def groups(self, keys: Sequence[str] = ("source",)) -> list[Group]:
        """Return the score of every group, separately for each metric.

        Parameters
        ----------
        keys
            Some of ``KEYS``.

        Raises
        ------
        InputError
            A key is none of these.
        """
        check_keys(keys)
        found: dict[tuple[str, ...], list[Scored]] = {}
        left: Counter[tuple[str, ...]] = Counter()
        for scored in self.rows:
            names = _names(scored.question)
            label = (*(names[key] for key in keys), scored.question.measurement.metric)
            found.setdefault(label, []).append(scored)
        for skipped in self.left_out:
            names = _given_names(skipped.measurement)
            left[*(names[key] for key in keys), skipped.measurement.metric] += 1
        groups = []
        for label in sorted({*found, *left}):
            rows = found.get(label, [])
            group = _group(dict(zip(keys, label, strict=False)), label[-1], rows, left[label])
            groups.append(group)
        return groups


def check_keys(keys: Iterable[str]) -> None:
    """Raise ``InputError`` for unknown grouping keys."""
    faults: list[str] = []
    for key in keys:
        if key not in KEYS:
            Place(argument("by"), "", faults).unknown("key", key, KEYS)
    if faults:
        raise InputError(faults)


def validate(
    measurements: str | Path | Iterable[str | Path | Measurement] | None = None,
    *,
    engine: str | None = None,
    keep_suspect: bool = False,
) -> Score:
    """Return measurements with their predictions, each evaluated as it was configured.

    ``perfcore.validate("mine.csv").groups(["device", "engine"])``

    Parameters
    ----------
    measurements
        One or several CSV files, or measurements. The default is the measurements that come with
        the package.
    engine
        Engine, by name or file, that predicts every row in place of the row's own.
    keep_suspect
        Whether rows that look wrong are scored all the same.

    Raises
    ------
    InputError
        The files have faults; all of them are listed.
    """
    if measurements is None:
        measurements = shipped()
    given = [measurements] if isinstance(measurements, str | Path) else measurements
    faults: list[str] = []
    rows: list[Measurement] = []
    for one in given:
        if isinstance(one, Measurement):
            rows.append(one)
            continue
        try:
            rows += read_measurements(one)
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    if engine is not None:
        loader.load_engine(engine)  # so that a wrong name is one fault, not one of every row
        rows = [row._replace(engine=engine) for row in rows]
    return score(rows, keep_suspect=keep_suspect)


def score(rows: Sequence[Measurement], *, keep_suspect: bool = False) -> Score:
    """Return measurements with their predictions, each evaluated as it was configured."""
    every, skipped = questions(rows)
    asked, suspects = check_rows(every, keep=keep_suspect)
    remarks = tuple(warnings(asked))
    if not asked:
        return Score((), tuple(skipped), tuple(suspects), remarks)
    batch = batch_of(asked)
    points = evaluate_points(batch, engine_table(batch))
    values = predicted(batch, points)
    low, high = interval(batch, points)
    others = baselines(batch, points[Point._fields.index("running_batch")])
    statuses = points[Point._fields.index("status")]
    scored = [
        Scored(
            question=question,
            predicted=float(values[row]),
            low=float(low[row]),
            high=float(high[row]),
            status=STATUS[int(statuses[row])],
            baselines=tuple(float(others[name][row]) for name in BASELINES),
        )
        for row, question in enumerate(asked)
    ]
    return Score(tuple(scored), tuple(skipped), tuple(suspects), remarks)


def _names(question: Question) -> dict[str, str]:
    return {
        "source": question.measurement.source,
        "device": question.device.name,
        "engine": question.engine.name,
        "model": question.model.name,
        **_own_names(question.measurement),
    }


def _given_names(row: Measurement) -> dict[str, str]:
    return {
        "source": row.source,
        "device": row.hardware,
        "engine": row.engine,
        "model": row.model,
        **_own_names(row),
    }


def _own_names(row: Measurement) -> dict[str, str]:
    return {"backend": row.backend, "mode": row.mode, "note": row.task_note}


def _group(keys: dict[str, str], metric: str, rows: Sequence[Scored], skipped: int) -> Group:
    measured = np.array([scored.question.measurement.value for scored in rows])
    inside = [scored.low <= scored.question.measurement.value <= scored.high for scored in rows]
    others = {
        name: errors_of(np.array([scored.baselines[index] for scored in rows]) / measured)
        for index, name in enumerate(BASELINES)
    }
    return Group(
        keys=keys,
        metric=metric,
        rows=len(rows),
        skipped=skipped,
        errors=errors_of(np.array([scored.predicted for scored in rows]) / measured),
        coverage=float(np.mean(inside)) if rows else float("nan"),
        baselines=others,
    )


def _numbers(errors: Errors) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in errors._asdict().items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def errors_of(ratios: Floats) -> Errors:
    """Return the errors of predictions, from (rows,) ratios of prediction to measurement."""
    if not len(ratios):
        return Errors(*(float("nan"),) * 3)
    errors = np.abs(ratios - 1.0)
    return Errors(
        median_ape=float(np.median(errors)),
        p90_ape=float(np.quantile(errors, 0.9)),
        bias=float(np.exp(np.median(np.log(ratios))) - 1.0),
    )


def write_rows(path: Path, found: Score) -> None:
    """Write every row with its prediction, interval and baselines as CSV."""
    fields = Measurement._fields[:-1]
    rows: list[tuple[object, ...]] = [
        (
            *fields,
            *("predicted", "low", "high", "error", "inside", "status", "calibration"),
            *BASELINES,
            *("artefact", "skipped"),
        )
    ]
    for scored in found.rows:
        row, question = scored.question.measurement, scored.question
        inside = scored.low <= row.value <= scored.high
        numbers = (scored.predicted, scored.low, scored.high, scored.error)
        rows.append(
            (
                *(_cell(getattr(row, field)) for field in fields),
                *(f"{number:.6g}" for number in numbers),
                int(inside),
                scored.status,
                question.engine.calibration(question.device, question.weight_format),
                *(f"{value:.6g}" for value in scored.baselines),
                artefact(row),
                "",
            )
        )
    empty = ("",) * (8 + len(BASELINES))
    for skipped in found.left_out:
        row = skipped.measurement
        rows.append((*(_cell(getattr(row, f)) for f in fields), *empty, skipped.reason))
    path.write_text(csv_text(rows), encoding="utf-8", newline="")


def _cell(value: object) -> object:
    return "" if value is None else value
