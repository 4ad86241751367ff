"""Residuals on models, devices, sources or engines that were left out of the fit.

    python benchmarks/left_out.py [--by sources] [--measurements FILE.csv ...]

Each line is a metric of one source on one group, predicted by a fit to all other groups: rows,
median absolute error and bias (median of prediction / measurement, minus 1) in %, for that fit and
for the fit to all groups. The last line is JSON. There is one fit per group, of some seconds each.
"""

import argparse
import json

import numpy as np
import numpy.typing as npt

from perfcore.accuracy import plan
from perfcore.accuracy.fit import Problem
from perfcore.accuracy.left_out import GROUPS, residuals_without
from perfcore.accuracy.prediction import questions
from perfcore.accuracy.protocols import artefact
from perfcore.accuracy.scores import errors_of
from perfcore.accuracy.table import read_measurements, shipped


def measures(logs: npt.NDArray[np.float64]) -> list[float]:
    """Return the median absolute error and bias of logarithmic residuals, in %."""
    errors = errors_of(np.exp(logs))
    return [100.0 * errors.median_ape, 100.0 * errors.bias]


def main() -> None:
    """Leave out each group once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--by", choices=GROUPS, default="models")
    parser.add_argument("--measurements", action="append", default=[])
    given = parser.parse_args()
    files: list[str] = given.measurements or [str(shipped())]
    key = GROUPS[given.by]
    asked, _ = questions([row for name in files for row in read_measurements(name)])
    problem = Problem(asked, plan.joint(), plan.weigh, before_fit=True)
    fitted = problem.fit_determined()
    unseen = residuals_without(problem, fitted, [given.by])[given.by]
    seen = problem.residuals(fitted.logs)
    labels = np.array(
        [f"{q.measurement.source:20s} {q.measurement.metric:30s} {key(q):32s}" for q in asked]
    )
    counted = np.array([not artefact(q.measurement) for q in asked])
    found: dict[str, list[float]] = {}
    print(f"{'source, metric, left out':84s} rows   unseen: error  bias     seen: error  bias")
    for label in np.unique(labels[counted]):
        rows = counted & (labels == label)
        numbers = [float(rows.sum()), *measures(unseen[rows]), *measures(seen[rows])]
        found[" ".join(str(label).split())] = numbers
        count, *rest = numbers
        print(f"{label} {count:4.0f} " + "".join(f"{value:12.1f}" for value in rest), flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
