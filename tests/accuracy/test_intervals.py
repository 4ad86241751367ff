"""Intervals cover what was left out."""

import math

import numpy as np
import pytest

from perfcore.accuracy.intervals import interval_of, intervals
from perfcore.accuracy.left_out import device_of
from perfcore.accuracy.prediction import (
    batch_of,
    engine_table,
    evaluate_points,
    interval,
    predicted,
    questions,
)
from perfcore.accuracy.table import Measurement


def test_intervals_cover_groups_that_are_new():
    generator = np.random.default_rng(7)
    (question,) = questions(
        [
            Measurement(
                *("",) * 2, "static", "made", *("",) * 3, "vllm", "", "h100-sxm", "llama-3.1-8b",
                "bf16", None, "bf16", 1, 1, 1, 1, 1, 1.0, 512.0, 128.0, "tpot_s", 1.0, "s", "",
            )
        ]
    )[0]  # fmt: skip
    groups = np.repeat(np.arange(400), 5)
    shifts = generator.normal(0, 0.15, 400)[groups] + generator.normal(0, 0.05, 2000)

    found = intervals([question] * 2000, -shifts, [str(group) for group in groups])

    assert set(found) == {"tpot_single"}
    low, high = found["tpot_single"].low, found["tpot_single"].high
    new = generator.normal(0, 0.15, 4000) + generator.normal(0, 0.05, 4000)
    assert np.mean((np.exp(new) > low) & (np.exp(new) < high)) == pytest.approx(0.8, abs=0.05)
    assert found["tpot_single"].covered >= 0.8


def test_rates_are_judged_the_other_way_round(licensed):
    found, _ = questions([row for row in licensed if row.source == "autoawq"])
    rates = [q for q in found if q.measurement.metric == "prefill_tokens_per_s"][:20]
    groups = [str(index) for index in range(len(rates))]

    faster = intervals(rates, np.full(len(rates), -0.5), groups)["ttft_static"]

    # rates were measured above the prediction: times below it
    assert faster.low == pytest.approx(math.exp(-0.5))
    assert faster.high == 1.0


def test_each_metric_has_an_interval_around_its_prediction(licensed):
    found, _ = questions(licensed)
    batch = batch_of(found)
    points = evaluate_points(batch, engine_table(batch))

    low, high = interval(batch, points)

    values = predicted(batch, points)
    assert (low < values).all()
    assert (values < high).all()
    assert {interval_of(question) for question in found} >= {"tpot_single", "tpot_served", "power"}


def test_devices_that_differ_only_in_memory_are_one_group(licensed):
    found, _ = questions(licensed)

    assert {device_of(q) for q in found if q.device.name.startswith("a100")} == {"a100"}
