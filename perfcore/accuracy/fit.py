"""Fit of constants to measurements: factors on the catalogue's values, regularised by priors.

The fitted model is the compiled kernel itself. Residuals are logarithms of prediction over
measurement. Large residuals count linearly (pseudo-Huber loss), since some measurements are
artefacts. The logarithm of a factor has a normal prior around 0: constants without data keep the
catalogue's value, and engines that call the same vendor's kernels stay close to each other. No
factor leaves the range that is believed of it. Steps are Levenberg-Marquardt steps on finite
differences; nothing is random.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from perfcore.accuracy.prediction import (
    Batch,
    Floats,
    Question,
    batch_of,
    engine_table,
    evaluate_points,
    predicted,
)
from perfcore.inputs import LIMITS
from perfcore.records import Engine

NOISE: Final = 0.08  # spread of the logarithm between repeated measurements of one configuration
_HALF_WEIGHT: Final = 20.0  # rows of a group beyond which further rows count less and less
_HALF_SOURCE: Final = 100.0  # the same for a whole source, in rows of full weight
UNDETERMINED: Final = 0.9  # standard error, in widths of the prior, above which data say nothing
REFIT_STEPS: Final = 8  # of a fit without some rows, which starts at the fit to all
_STEPS: Final = 40
_DONE: Final = 2e-4  # relative decrease of the cost that ends a fit
_FREE: Final = 1e-2  # damping below which a step is nearly one of Gauss and Newton
_CHANGE: Final = 1e-3  # of a logarithm, for finite differences
_CHANGE_OF_COUNTS: Final = 3e-2  # of a logarithm; batches change by whole sequences
_LONGEST: Final = 0.7  # largest step of a logarithm

Key = Callable[[Question], str]
StandIn = Callable[[Question], Question]


class Parameter(NamedTuple):
    """A factor on constants of some engines in some places; its logarithm is fitted."""

    name: str
    constants: tuple[str, ...]
    width: float  # of the normal prior of the logarithm
    engines: tuple[str, ...] = ()  # names; empty: all
    places: tuple[str, ...] = ()  # device classes, devices, links or loads; empty: all
    most: float = 5.0  # largest factor, up or down, that is believed


class Fit(NamedTuple):
    """Fitted logarithms of factors, and their standard errors."""

    parameters: tuple[Parameter, ...]
    logs: Floats
    errors: Floats  # standard errors of the logarithms
    determined: npt.NDArray[np.bool_]  # by the data; other constants keep their prior

    @property
    def undetermined(self) -> list[str]:
        """Names of the factors that the data do not determine."""
        pairs = zip(self.parameters, self.determined, strict=True)
        return [parameter.name for parameter, known in pairs if not known]

    @property
    def at_limit(self) -> list[str]:
        """Names of the factors that the data would move out of the range that is believed."""
        return [
            parameter.name
            for parameter, log in zip(self.parameters, self.logs, strict=True)
            if abs(log) > 0.999 * np.log(parameter.most)
        ]


_LOW: Final = np.array([max(LIMITS["engine"][name].low, 0.0) for name in Engine._fields])
_HIGH: Final = np.array([LIMITS["engine"][name].high for name in Engine._fields])


def scope(batch: Batch, parameters: Sequence[Parameter]) -> Floats:
    """Return how far each parameter scales each constant: (engines, fields, parameters).

    An entry is 1 or 0; for the mean of several engines, the share of them.
    """
    matrix = np.zeros((len(batch.engines), len(Engine._fields), len(parameters)))
    for row, (engine, device, _, load) in enumerate(batch.engines):
        here = {device.device_class, device.name, device.link_kind, load.name}
        names = [peer.name for peer in engine.peers] or [engine.name]
        for column, parameter in enumerate(parameters):
            if parameter.places and not here & set(parameter.places):
                continue
            share = 1.0
            if parameter.engines:
                share = sum(name in parameter.engines for name in names) / len(names)
            for constant in parameter.constants:
                matrix[row, Engine._fields.index(constant), column] = share
    return matrix


class Problem:
    """A fit problem: measurements, the engines that predict them, and the free factors."""

    def __init__(
        self,
        asked: Sequence[Question],
        parameters: Sequence[Parameter],
        weigh: Callable[[Question], float] = lambda _: 1.0,
        *,
        before_fit: bool = False,
    ) -> None:
        self.batch = batch_of(asked)
        self.before_fit = before_fit
        self.parameters = tuple(parameters)
        self.limits = np.log([parameter.most for parameter in parameters])
        self.catalogue = engine_table(self.batch, before_fit=before_fit)
        self.scope = scope(self.batch, parameters)
        self.parts = _parts(self.batch, self.scope)
        self.measured = np.log([question.measurement.value for question in asked])
        self.widths = np.array([parameter.width for parameter in parameters])
        self.changes = np.array(
            [
                _CHANGE_OF_COUNTS if "memory_fraction" in parameter.constants else _CHANGE
                for parameter in parameters
            ]
        )
        sizes: dict[tuple[str, ...], int] = {}
        groups = [_group(question) for question in asked]
        for group in groups:
            sizes[group] = sizes.get(group, 0) + 1
        crowding = [np.sqrt(2.0 * _HALF_WEIGHT / (sizes[group] + _HALF_WEIGHT)) for group in groups]
        weights = np.array(crowding) * [weigh(question) for question in asked]
        self.weights = weights * _between_sources(asked, weights) / NOISE

    def engines(self, logs: Floats) -> Floats:
        """Return engine records with factors applied, clipped to their bounds."""
        return np.clip(self.catalogue * np.exp(self.scope @ logs), _LOW, _HIGH)

    def residuals(self, logs: Floats) -> Floats:
        """Return logarithms of prediction over measurement."""
        return self._logs_of(self.batch, logs) - self.measured

    def _logs_of(self, batch: Batch, logs: Floats) -> Floats:
        """Return the logarithms of the predictions for all or some rows."""
        return np.log(predicted(batch, evaluate_points(batch, self.engines(logs))))

    def fit(
        self,
        used: npt.NDArray[np.bool_] | None = None,
        start: Floats | None = None,
        *,
        fixed: npt.NDArray[np.bool_] | None = None,
        steps: int = _STEPS,
    ) -> Fit:
        """Return the factors that best fit the rows ``used``, by default all rows.

        Factors that are ``fixed`` keep their value.
        """
        weights = self.weights if used is None else self.weights * used
        logs = np.zeros(len(self.parameters)) if start is None else start.copy()
        residuals = self.residuals(logs) * weights
        cost = self._cost(residuals, logs)
        held = np.zeros(len(logs), np.bool_) if fixed is None else fixed
        damping = 1e-3
        for _ in range(steps):
            normal, gradient = self._linearised(logs, residuals, weights)
            before = cost
            for _ in range(14):
                step = self._step(normal, gradient, damping, logs, held)
                tried = self.residuals(logs + step) * weights
                tried_cost = self._cost(tried, logs + step)
                if tried_cost < cost:
                    logs, residuals, cost = logs + step, tried, tried_cost
                    damping = max(damping / 8.0, 1e-5)
                    break
                damping *= 8.0
            else:
                break
            if before - cost < _DONE * before and damping < _FREE:
                break
        normal, _ = self._linearised(logs, residuals, weights)
        errors = np.sqrt(np.diag(np.linalg.inv(normal)))
        return Fit(self.parameters, logs, errors, ~held)

    def fit_determined(self) -> Fit:
        """Return the best fit of the factors that the data determine; the others stay at 1."""
        first = self.fit()
        loose = first.errors > UNDETERMINED * self.widths
        if not loose.any():
            return first
        found = self.fit(start=np.where(loose, 0.0, first.logs), fixed=loose)
        return found._replace(errors=np.where(loose, first.errors, found.errors))

    def _step(
        self,
        normal: Floats,
        gradient: Floats,
        damping: float,
        logs: Floats,
        held: npt.NDArray[np.bool_],
    ) -> Floats:
        """Return a damped step that moves no factor that is held, and none out of its range."""
        stopped = held | ((np.abs(logs) >= self.limits) & (gradient * logs < 0.0))
        free = ~stopped
        step = np.zeros(len(logs))
        damped = normal[np.ix_(free, free)]
        damped = damped + damping * np.diag(np.diag(damped))
        step[free] = np.clip(np.linalg.solve(damped, -gradient[free]), -_LONGEST, _LONGEST)
        return np.clip(logs + step, -self.limits, self.limits) - logs

    def _cost(self, weighted: Floats, logs: Floats) -> float:
        huber = 2.0 * (np.sqrt(1.0 + weighted**2) - 1.0)
        return float(huber.sum() + ((logs / self.widths) ** 2).sum())

    def _linearised(
        self, logs: Floats, residuals: Floats, weights: Floats
    ) -> tuple[Floats, Floats]:
        slopes = np.zeros((len(residuals), len(logs)))
        now = residuals / np.where(weights > 0.0, weights, 1.0) + self.measured
        for column, (change, part) in enumerate(zip(self.changes, self.parts, strict=True)):
            if not len(part.rows):
                continue
            moved = logs.copy()
            moved[column] += change
            change_of_logs = self._logs_of(part.batch, moved) - now[part.rows]
            slopes[part.rows, column] = change_of_logs * weights[part.rows] / change
        trust = 1.0 / np.sqrt(1.0 + residuals**2)
        prior = 1.0 / self.widths**2
        normal = (slopes * trust[:, None]).T @ slopes + np.diag(prior)
        return normal, slopes.T @ (trust * residuals) + prior * logs


class _Part(NamedTuple):
    """The rows that a parameter moves."""

    rows: npt.NDArray[np.int64]
    batch: Batch


def _parts(batch: Batch, scales: Floats) -> list[_Part]:
    """Return the rows that each parameter moves; most parameters belong to one engine."""
    reached: npt.NDArray[np.bool_] = np.asarray(scales.max(axis=1) > 0.0)
    moved = reached[batch.records[2]]  # (rows, parameters)
    made: dict[bytes, _Part] = {}
    parts = []
    for column in moved.T:
        key = column.tobytes()
        if key not in made:
            rows = np.flatnonzero(column)
            made[key] = _Part(
                rows,
                batch._replace(
                    questions=tuple(batch.questions[row] for row in rows),
                    records=np.ascontiguousarray(batch.records[:, rows]),
                    deployments=np.ascontiguousarray(batch.deployments[rows]),
                    lengths=np.ascontiguousarray(batch.lengths[:, rows]),
                ),
            )
        parts.append(made[key])
    return parts


def _group(question: Question) -> tuple[str, ...]:
    row = question.measurement
    return (row.source, row.engine, row.hardware, row.metric)


def _between_sources(asked: Sequence[Question], weights: Floats) -> Floats:
    """Return factors on the weights of rows that keep large sources from dominating."""
    sources = [question.measurement.source for question in asked]
    sizes: dict[str, float] = {}
    for source, weight in zip(sources, weights, strict=True):
        sizes[source] = sizes.get(source, 0.0) + weight**2
    return np.array(
        [np.sqrt(2.0 * _HALF_SOURCE / (sizes[source] + _HALF_SOURCE)) for source in sources]
    )


def cross_validate(
    problem: Problem, fitted: Fit, key: Key, stand_in: StandIn | None = None
) -> Floats:
    """Return the residuals of all rows, each from a fit without the row's group.

    Parameters
    ----------
    key
        The group of a row, e.g. its model or its device.
    stand_in
        What a row is predicted as where it is left out, e.g. with an unknown engine.
    """
    asked = problem.batch.questions
    groups = np.array([key(question) for question in asked])
    residuals = np.full(len(groups), np.nan)
    for group in np.unique(groups):
        left_out = groups == group
        # constants of which no row is left return to their prior at once
        known = np.array([bool((~left_out)[part.rows].any()) for part in problem.parts])
        refitted = problem.fit(
            ~left_out,
            np.where(known, fitted.logs, 0.0),
            fixed=~(fitted.determined & known),
            steps=REFIT_STEPS,
        )
        if stand_in is None:
            residuals[left_out] = problem.residuals(refitted.logs)[left_out]
            continue
        rows = [stand_in(question) for question, out in zip(asked, left_out, strict=True) if out]
        judged = Problem(rows, problem.parameters, before_fit=problem.before_fit)
        residuals[left_out] = judged.residuals(refitted.logs)
    return residuals
