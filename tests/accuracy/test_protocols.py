"""Protocols of benchmarks."""

import pytest

from perfcore.accuracy import plan
from perfcore.accuracy.prediction import questions
from perfcore.accuracy.protocols import artefact, workload_of


def test_lengths_that_a_benchmark_draws_are_shorter_than_nominal(licensed):
    row = next(row for row in licensed if "random lengths 0.8-1.0" in row.task_note)

    load = workload_of(row)

    assert load.input_len == pytest.approx(0.9 * row.input_len)
    assert load.output_len == pytest.approx(0.9 * row.output_len)


def test_artefacts_are_scored_but_not_fitted(licensed):
    marked = [row for row in licensed if artefact(row)]

    assert 0 < len(marked) < 0.05 * len(licensed)
    found, _ = questions(marked)
    assert {plan.weigh(question) for question in found} == {0.0}
