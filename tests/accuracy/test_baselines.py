"""Baselines that a prediction must beat."""

import numpy as np
import pytest

from accuracy.measured import ROW, asked
from perfcore.accuracy.baselines import BASELINES, baselines
from perfcore.accuracy.prediction import batch_of
from perfcore.configuration.configuration import Configuration


def test_time_is_predicted_better_than_by_any_baseline(scored):
    for group in scored.groups():
        if group.rows >= 20 and "power" not in group.metric and "energy" not in group.metric:
            best = min(errors.median_ape for errors in group.baselines.values())
            assert group.errors.median_ape < best, group


def test_roofline_is_the_ideal_engine(write):
    found = asked(ROW, write=write)
    batch = batch_of(found)

    others = baselines(batch, np.array([16.0]))

    ideal = Configuration(
        "llama-3.1-8b", "h100-sxm", engine="ideal", batch=16, input_len=1024, output_len=256
    ).evaluate()
    assert others[BASELINES[0]][0] == pytest.approx(ideal.tpot_s)
    assert others[BASELINES[1]][0] == pytest.approx(ideal.tpot_s / 0.6)
    assert others[BASELINES[2]][0] == pytest.approx(ideal.tpot_s / 0.8 + 32 * 70e-6)
