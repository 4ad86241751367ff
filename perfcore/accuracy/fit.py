"""Fit of constants to measurements: factors on the catalogue's values, regularised by priors.

The fitted model is the compiled kernel itself. Residuals are logarithms of prediction over
measurement. Large residuals count linearly (pseudo-Huber loss), since some measurements are
artefacts. The logarithm of a factor has a normal prior around 0: constants without data keep the
catalogue's value, and engines that call the same vendor's kernels stay close to each other. Steps
are Levenberg-Marquardt steps on finite differences; nothing is random.
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
_STEPS: Final = 40
_DONE: Final = 2e-4  # relative decrease of the cost that ends a fit
_CHANGE: Final = 1e-3  # of a logarithm, for finite differences
_CHANGE_OF_COUNTS: Final = 3e-2  # of a logarithm; batches change by whole sequences
_LONGEST: Final = 0.7  # largest step of a logarithm

Key = Callable[[Question], str]


class Parameter(NamedTuple):
    """A factor on constants of some engines in some places; its logarithm is fitted."""

    name: str
    constants: tuple[str, ...]
    width: float  # of the normal prior of the logarithm
    engines: tuple[str, ...] = ()  # names; empty: all
    places: tuple[str, ...] = ()  # device classes, devices, links or loads; empty: all


class Fit(NamedTuple):
    """Fitted logarithms of factors, and their standard errors."""

    parameters: tuple[Parameter, ...]
    logs: Floats
    errors: Floats  # standard errors of the logarithms


_LOW: Final = np.array([max(LIMITS["engine"][name].low, 0.0) for name in Engine._fields])
_HIGH: Final = np.array([LIMITS["engine"][name].high for name in Engine._fields])


def scope(batch: Batch, parameters: Sequence[Parameter]) -> Floats:
    """Return a mask of the constants that each parameter scales: (engines, fields, parameters)."""
    matrix = np.zeros((len(batch.engines), len(Engine._fields), len(parameters)))
    for row, (engine, device, load) in enumerate(batch.engines):
        here = {device.device_class, device.name, device.link_kind, load.name}
        for column, parameter in enumerate(parameters):
            if parameter.engines and engine.name not in parameter.engines:
                continue
            if parameter.places and not here & set(parameter.places):
                continue
            for constant in parameter.constants:
                matrix[row, Engine._fields.index(constant), column] = 1.0
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
        self.parameters = tuple(parameters)
        self.catalogue = engine_table(self.batch, before_fit=before_fit)
        self.scope = scope(self.batch, parameters)
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
        self.weights = np.array(crowding) * [weigh(question) for question in asked] / NOISE

    def engines(self, logs: Floats) -> Floats:
        """Return engine records with factors applied, clipped to their bounds."""
        return np.clip(self.catalogue * np.exp(self.scope @ logs), _LOW, _HIGH)

    def residuals(self, logs: Floats) -> Floats:
        """Return logarithms of prediction over measurement."""
        points = evaluate_points(self.batch, self.engines(logs))
        return np.log(predicted(self.batch, points)) - self.measured

    def fit(self, used: npt.NDArray[np.bool_] | None = None, start: Floats | None = None) -> Fit:
        """Return the factors that best fit the rows ``used``, by default all rows."""
        weights = self.weights if used is None else self.weights * used
        logs = np.zeros(len(self.parameters)) if start is None else start.copy()
        residuals = self.residuals(logs) * weights
        cost = self._cost(residuals, logs)
        damping = 1e-3
        for _ in range(_STEPS):
            normal, gradient = self._linearised(logs, residuals, weights)
            before = cost
            for _ in range(14):
                damped = normal + damping * np.diag(np.diag(normal))
                step = np.clip(np.linalg.solve(damped, -gradient), -_LONGEST, _LONGEST)
                tried = self.residuals(logs + step) * weights
                tried_cost = self._cost(tried, logs + step)
                if tried_cost < cost:
                    logs, residuals, cost = logs + step, tried, tried_cost
                    damping = max(damping / 8.0, 1e-5)
                    break
                damping *= 8.0
            if before - cost < _DONE * before:
                break
        normal, _ = self._linearised(logs, residuals, weights)
        errors = np.sqrt(np.diag(np.linalg.inv(normal)))
        return Fit(self.parameters, logs, errors)

    def _cost(self, weighted: Floats, logs: Floats) -> float:
        huber = 2.0 * (np.sqrt(1.0 + weighted**2) - 1.0)
        return float(huber.sum() + ((logs / self.widths) ** 2).sum())

    def _linearised(
        self, logs: Floats, residuals: Floats, weights: Floats
    ) -> tuple[Floats, Floats]:
        slopes = np.empty((len(residuals), len(logs)))
        for column, change in enumerate(self.changes):
            moved = logs.copy()
            moved[column] += change
            slopes[:, column] = (self.residuals(moved) * weights - residuals) / change
        trust = 1.0 / np.sqrt(1.0 + residuals**2)
        prior = 1.0 / self.widths**2
        normal = (slopes * trust[:, None]).T @ slopes + np.diag(prior)
        return normal, slopes.T @ (trust * residuals) + prior * logs


def _group(question: Question) -> tuple[str, ...]:
    row = question.measurement
    return (row.source, row.engine, row.hardware, row.metric)


def cross_validate(problem: Problem, fitted: Fit, key: Key) -> Floats:
    """Return the residuals of all rows, each from a fit without the row's group.

    ``key`` returns the group of a row, e.g. its model or its device. Each fit starts halfway
    between the catalogue and the fit to all rows, to save steps.
    """
    groups = np.array([key(question) for question in problem.batch.questions])
    residuals = np.full(len(groups), np.nan)
    for group in np.unique(groups):
        left_out = groups == group
        refitted = problem.fit(~left_out, fitted.logs * 0.5)
        residuals[left_out] = problem.residuals(refitted.logs)[left_out]
    return residuals
