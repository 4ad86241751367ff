"""Predictions of rows that were left out of a fit, with the evidence that the fit still had.

A group of rows is a model, a device, a class of device, a source or an engine. Each is left out as
a whole, because errors shift whole groups together. An engine that is left out is predicted as an
unknown engine would be.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Self

import numpy as np

from perfcore.accuracy.fit import Fit, Key, Problem, StandIn, cross_validate
from perfcore.accuracy.prediction import Floats, Question, family_of, without_engine
from perfcore.accuracy.protocols import artefact
from perfcore.catalog.engine_entry import Calibration


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


def source_of(question: Question) -> str:
    """Return the group in a cross-validation by source."""
    return question.measurement.source


def engine_of(question: Question) -> str:
    """Return the group in a cross-validation by engine; its releases count as one."""
    return family_of(question.engine)


def load_of(question: Question) -> str:
    """Return the group in a cross-validation by load, for rows of one model on one device."""
    row = question.measurement
    return f"{row.mode} {row.concurrency} {row.input_len} {row.output_len} {row.tp}"


GROUPS: Final[Mapping[str, Key]] = {
    "models": model_of,
    "devices": device_of,
    "classes": class_of,
    "sources": source_of,
    "engines": engine_of,
}
# Also the loads, which say how well a fit to one model on one device predicts its other loads.
OF_ONE: Final[Mapping[str, Key]] = {**GROUPS, "loads": load_of}
_FEWEST_LOADS: Final = 3  # with fewer, a fit without one of them is a fit to one
HELD_OUT: Final = "held out"  # rows of sources that no fit sees
STRANGERS: Final = ("sources", HELD_OUT)  # what a user brings: rows of a source of their own


class Evidence(NamedTuple):
    """Evidence for engines in some rows: the devices and kernels that they were measured with."""

    measured: dict[str, dict[str, set[str]]]  # by engine and device class
    kernels: dict[str, dict[str, set[str]]]  # by engine and vendor

    @classmethod
    def of(cls, asked: Iterable[Question]) -> Self:
        """Return the evidence of some rows."""
        found = cls({}, {})
        for question in asked:
            engine, device = question.engine.name, question.device
            measured = found.measured.setdefault(engine, {})
            measured.setdefault(device.device_class, set()).add(device.name)
            kernels = found.kernels.setdefault(engine, {})
            kernels.setdefault(device.vendor, set()).add(question.weight_format.kernel)
        return found

    def tables(self, engine: str) -> dict[str, dict[str, list[str]]]:
        """Return the evidence for an engine as its catalogue entry holds it."""
        return {
            "measured": _sorted(self.measured.get(engine, {})),
            "kernels": _sorted(self.kernels.get(engine, {})),
        }

    def level(self, question: Question) -> Calibration:
        """Return the basis of a prediction that rests on this evidence alone."""
        engine = question.engine
        tables = {
            key: {place: tuple(names) for place, names in table.items()}
            for key, table in self.tables(engine.name).items()
        }
        known = engine.model_copy(update=tables)
        return known.calibration(question.device, question.weight_format)


def _sorted(table: Mapping[str, set[str]]) -> dict[str, list[str]]:
    return {key: sorted(names) for key, names in sorted(table.items())}


class Judged(NamedTuple):
    """A row that was predicted from a fit without its group."""

    question: Question
    residual: float  # logarithm of prediction over measurement
    level: Calibration  # by the evidence that the fit had
    kind: str  # of group: a key of ``GROUPS``, or ``HELD_OUT``
    group: str


def residuals_without(problem: Problem, fitted: Fit, kinds: Iterable[str]) -> dict[str, Floats]:
    """Return residuals of left-out groups by kind of group; NaN if there is only one group."""
    asked = problem.batch.questions
    found = {}
    for kind in kinds:
        key = OF_ONE[kind]
        stand_in: StandIn | None = without_engine if kind == "engines" else None
        found[kind] = (
            cross_validate(problem, fitted, key, stand_in)
            if len({key(question) for question in asked})
            >= (_FEWEST_LOADS if kind == "loads" else 2)
            else np.full(len(asked), np.nan)
        )
    return found


def judged(asked: Sequence[Question], residuals: Mapping[str, Floats]) -> list[Judged]:
    """Return every row once for each kind of group that it was left out with; no artefacts."""
    found = []
    for kind, logs in residuals.items():
        groups = [GROUPS[kind](question) for question in asked]
        for group in dict.fromkeys(groups):
            pairs = list(zip(asked, groups, logs, strict=True))
            rest = Evidence.of(question for question, own, _ in pairs if own != group)
            for question, own, log in pairs:
                if own != group or not np.isfinite(log) or artefact(question.measurement):
                    continue
                level = "unseen" if kind == "engines" else rest.level(question)
                found.append(Judged(question, float(log), level, kind, f"{kind} {group}"))
    return found


def judged_apart(held_out: Sequence[Question], problem: Problem, fitted: Fit) -> list[Judged]:
    """Return rows that no fit sees, predicted by the fit to all other rows."""
    if not held_out:
        return []
    apart = Problem(held_out, problem.parameters, before_fit=problem.before_fit)
    evidence = Evidence.of(problem.batch.questions)
    found = []
    for question, log in zip(held_out, apart.residuals(fitted.logs), strict=True):
        if artefact(question.measurement):
            continue
        # engines without rows in the fit have evidence that was written by hand
        level = (
            evidence.level(question)
            if question.engine.name in evidence.measured
            else question.engine.calibration(question.device, question.weight_format)
        )
        group = f"{HELD_OUT} {source_of(question)}"
        found.append(Judged(question, float(log), level, HELD_OUT, group))
    return found
