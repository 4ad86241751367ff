"""Intervals cover what was left out."""

import math

import numpy as np
import pytest

from perfcore.accuracy.intervals import UNKNOWN, inside_without, interval_of, intervals, levels
from perfcore.accuracy.left_out import HELD_OUT, Judged, device_of
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


def made(question, count, spread, level, kind, seed):
    generator = np.random.default_rng(seed)
    return [
        Judged(question, -shift + generator.normal(0, 0.02), level, kind, f"{kind} {group}")
        for group, shift in enumerate(generator.normal(0, spread, count))
        for _ in range(4)
    ]


def test_levels_rest_on_sources_that_no_fit_has_seen(licensed):
    found, _ = questions([row for row in licensed if row.source == "gpt_fast" and row.tp == 1])
    question = found[0]
    rows = [
        *made(question, 40, 0.05, "own", "models", 1),
        *made(question, 40, 0.2, "own", HELD_OUT, 2),
        *made(question, 40, 0.4, "class", HELD_OUT, 3),
        *made(question, 40, 0.1, "unseen", HELD_OUT, 4),
    ]

    widths = levels(rows)

    own, near, far = (widths[level]["tpot_single"] for level in ("own", "class", "unseen"))
    assert own.rows == 160  # sources, not models
    assert own.high == pytest.approx(np.exp(0.2 * 1.28), rel=0.15)
    assert near == far  # a class that is known elsewhere is no better known than an unknown one
    assert near.high > own.high
    assert widths["own"]["power"][:2] == UNKNOWN


def test_rows_of_two_sources_do_not_tell_how_far_others_are(licensed):
    found, _ = questions([row for row in licensed if row.source == "gpt_fast" and row.tp == 1])
    named = [found[0].measurement._replace(source=str(source)) for source in range(3)]
    rows = [
        row
        for source, measurement in enumerate(named)
        for level in ("own", "unseen")
        for row in made(
            found[0]._replace(measurement=measurement), 40, 0.01, level, "models", source
        )
    ]

    few, enough = (levels(part)["unseen"]["tpot_single"] for part in (rows[:-320], rows))

    assert few[:2] == UNKNOWN
    assert enough.high < 1.1


def test_few_groups_do_not_stretch_an_interval_without_end(licensed):
    found, _ = questions([row for row in licensed if row.source == "gpt_fast" and row.tp == 1])
    shifts = (0.0, 0.01, 2.0)
    rows = [
        Judged(found[0], -shift, "own", HELD_OUT, str(group)) for group, shift in enumerate(shifts)
    ]

    assert levels(rows)["own"]["tpot_single"].high < np.exp(2 * 2.0)


def test_an_interval_is_tested_on_sources_that_did_not_make_it(licensed):
    found, _ = questions([row for row in licensed if row.source == "gpt_fast" and row.tp == 1])
    rows = []
    for source, shift in enumerate((*np.linspace(-0.1, 0.1, 30), 3.0)):
        measurement = found[0].measurement._replace(source=str(source))
        question = found[0]._replace(measurement=measurement)
        rows.append(Judged(question, -shift, "own", HELD_OUT, f"{HELD_OUT} {source}"))

    inside = inside_without(rows, rows)

    assert not inside[-1]
    assert np.mean(inside) > 0.75
