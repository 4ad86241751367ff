"""Fits find the constants that made the data."""

import math

import numpy as np
import pytest

from perfcore import catalog, records
from perfcore.accuracy import plan
from perfcore.accuracy.fit import Parameter, Problem, cross_validate
from perfcore.accuracy.left_out import model_of

FREE = (
    Parameter("launch", plan.LAUNCHES, 1.0),
    Parameter("memory", plan.MEMORY, 1.0),
    Parameter("prefill", plan.PREFILL, 1.0),
)


def test_a_fit_finds_the_constants_that_made_the_data(simulated):
    problem = Problem(simulated, FREE)

    fitted = problem.fit()

    launch, memory, prefill = np.exp(fitted.logs)
    assert launch == pytest.approx(2.0, rel=0.05)  # less by its prior
    assert memory == pytest.approx(0.8, rel=0.02)
    assert prefill == pytest.approx(1.0, abs=1e-3)  # no data: the prior holds it
    assert fitted.errors[2] == pytest.approx(1.0, rel=0.01)
    assert fitted.errors[0] < 0.3


def test_a_fit_is_the_same_again(simulated):
    first, second = (Problem(simulated, FREE).fit() for _ in range(2))

    assert (first.logs == second.logs).all()


def test_a_narrow_prior_holds_a_constant(simulated):
    held = (FREE[0]._replace(width=1e-6), *FREE[1:])

    fitted = Problem(simulated, held).fit()

    assert np.exp(fitted.logs[0]) == pytest.approx(1.0, abs=1e-3)


def test_one_wild_row_moves_little(simulated):
    wild = simulated[0]._replace(
        measurement=simulated[0].measurement._replace(value=simulated[0].measurement.value * 10)
    )

    fitted = Problem([wild, *simulated[1:]], FREE).fit()

    assert np.exp(fitted.logs[1]) == pytest.approx(0.8, rel=0.05)


def test_cross_validation_predicts_groups_that_it_has_not_seen(simulated):
    problem = Problem(simulated, FREE)
    fitted = problem.fit()

    residuals = cross_validate(problem, fitted, model_of)

    assert np.isfinite(residuals).all()
    assert np.abs(residuals).max() < 0.05


def test_a_row_of_its_own_group_is_left_out_of_its_fit(simulated):
    shifted = [
        q._replace(measurement=q.measurement._replace(value=q.measurement.value * 1.5))
        if q.model.name == "qwen3-8b"
        else q
        for q in simulated
    ]
    problem = Problem(shifted, FREE)

    residuals = cross_validate(problem, problem.fit(), model_of)

    odd = np.array([q.model.name == "qwen3-8b" for q in shifted])
    assert np.median(residuals[odd]) == pytest.approx(-math.log(1.5), abs=0.06)


def test_constants_stay_within_their_bounds(simulated):
    problem = Problem(simulated, FREE)

    engines = problem.engines(np.array([0.0, 5.0, 0.0]))

    memory = engines[:, records.Engine._fields.index("memory_efficiency_16")]
    assert (memory == 1.0).all()


def test_constants_that_the_data_do_not_determine_keep_their_prior_and_are_named(simulated):
    unknown = Parameter("all-reduce", plan.ALL_REDUCE, 1.0)  # every row is of one device

    fitted = Problem(simulated, (*FREE, unknown)).fit_determined()

    assert fitted.undetermined == ["prefill", "all-reduce"]
    assert (fitted.logs[2:] == 0.0).all()
    assert np.exp(fitted.logs[1]) == pytest.approx(0.8, rel=0.02)


def test_no_factor_leaves_the_range_that_is_believed(simulated):
    narrow = FREE[0]._replace(most=1.5)

    fitted = Problem(simulated, (narrow, *FREE[1:])).fit()

    assert np.exp(fitted.logs[0]) == pytest.approx(1.5)
    assert fitted.at_limit == ["launch"]


def test_a_source_does_not_rule_by_its_number_of_rows(simulated):
    def of(source, questions):
        return [
            q._replace(measurement=q.measurement._replace(source=source, hardware=q.device.name))
            for q in questions
        ]

    small, large = of("small", simulated[:8]), of("large", simulated * 20)
    weights = Problem([*small, *large], FREE).weights

    total = [float((part**2).sum()) for part in (weights[:8], weights[8:])]
    assert total[1] < 10 * total[0]
    assert len(large) == 160 * len(small)


def test_the_mean_of_engines_moves_with_each_of_them(simulated):
    engines = [catalog.load_engine(name) for name in ("vllm", "sglang")]
    mean = engines[0].model_copy(update={"name": "mean"}).between(engines)
    question = simulated[0]._replace(engine=mean)
    own = Parameter("vllm launch", ("launch",), 1.0, ("vllm",))

    problem = Problem([question], (own, FREE[1]))

    launch = records.Engine._fields.index("launch")
    moved = problem.engines(np.array([math.log(4.0), 0.0]))[0, launch]
    assert moved == pytest.approx(2.0 * problem.catalogue[0, launch])
