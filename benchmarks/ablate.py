"""Contribution of each piece of the physics: refit without it and compare the errors.

    python benchmarks/ablate.py [--measurements FILE.csv ...]

Each line is a fit of all engines with some constants fixed at values that disable a piece of the
physics. The output is median absolute errors in % by source and metric; the last line is JSON.
"""

import argparse
import json

import numpy as np

from perfcore.accuracy import plan
from perfcore.accuracy.fit import Problem
from perfcore.accuracy.prediction import Question, questions
from perfcore.accuracy.protocols import artefact
from perfcore.accuracy.scores import errors_of
from perfcore.accuracy.table import read_measurements, shipped
from perfcore.records import Engine

# constants to fix, and their values
TERMS: dict[str, dict[str, float]] = {
    "all": {},
    "no start-up of operators": dict.fromkeys(plan.LAUNCHES, 0.0),
    "no host time per device": {"host_per_device": 0.0},
    "no host time per sequence": {"host_per_sequence": 0.0, "server_per_sequence": 0.0},
    "no server in the engine's process": {
        "server_per_step": 0.0,
        "server_per_device": 0.0,
        "server_per_sequence": 0.0,
    },
    "no sampling": {"sampling_per_sequence": 0.0},
    "no other requests' prefill": {"interference": 0.0},
    "no queueing": {"queue_weight": 0.0, "random_arrivals": 0.0},
    "prefill attention moves at full bandwidth": {"attention_prefill_memory_efficiency": 1.0},
    "no loss by grouped queries": {"kv_group_penalty": 0.0},
    "no fp16 accumulation": {"narrow_accumulation": 0.0},
    "free all-reduces": {
        **dict.fromkeys(plan.ALL_REDUCE, 0.0),
        "one_shot_efficiency": 1.0,
        "two_shot_efficiency": 1.0,
    },
    "all requests of one length": {"length_spread": 1.0},
    "max() instead of the p = 2 norm": {"residue": 0.0},
    "no energy of arithmetic": {"compute_energy_factor": 0.0},
}


def medians(asked: list[Question], held: dict[str, float]) -> dict[str, float]:
    """Return median errors by source and metric of a fit with some constants fixed."""
    free = [
        parameter._replace(constants=tuple(set(parameter.constants) - set(held)))
        for parameter in plan.joint()
    ]
    problem = Problem(asked, free, plan.weigh, before_fit=True)
    for name, value in held.items():
        problem.catalogue[:, Engine._fields.index(name)] = value
    ratios = np.exp(problem.residuals(problem.fit().logs))
    labels = np.array([f"{q.measurement.source} {q.measurement.metric}" for q in asked])
    counted = np.array([not artefact(q.measurement) for q in asked])
    return {
        str(label): 100.0 * errors_of(ratios[counted & (labels == label)]).median_ape
        for label in np.unique(labels[counted])
    }


def main() -> None:
    """Fit the full model, then without each piece."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measurements", action="append", default=[])
    files: list[str] = parser.parse_args().measurements or [str(shipped())]
    asked, _ = questions([row for name in files for row in read_measurements(name)])
    found: dict[str, dict[str, float]] = {}
    for term, held in TERMS.items():
        found[term] = medians(asked, held)
        if term == "all":
            for number, label in enumerate(found[term], 1):
                print(f"{number:2d} {label}")
            print(f"{'':42s}" + "  ".join(f"{n:5d}" for n in range(1, len(found[term]) + 1)))
        shown = "  ".join(f"{value:5.1f}" for value in found[term].values())
        print(f"{term:42s}{shown}", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
