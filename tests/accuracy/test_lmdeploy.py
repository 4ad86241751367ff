"""Published speeds of LMDeploy: those that its engine is fitted to, and others that it is not."""

import re

import numpy as np
import pytest
from paths import ROOT

from perfcore import catalog
from perfcore.accuracy.scores import errors_of, score
from perfcore.accuracy.table import read_measurements

FITTED = ROOT / "tests" / "data" / "lmdeploy.csv"
HELD_OUT = ROOT / "tests" / "data" / "lmdeploy_held.csv"


def ratios(scored, metric):
    """Return predicted over measured values."""
    rows = [(one.predicted, one.question.measurement) for one in scored.rows]
    return np.array([value / row.value for value, row in rows if row.metric == metric])


@pytest.mark.parametrize("path", [FITTED, HELD_OUT])
def test_rows_say_where_and_when(path):
    rows = read_measurements(path)
    assert not score(rows).skipped
    for row in rows:
        assert row.source_ref.startswith("docs/en/benchmark/a100_fp16.md@")
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", row.date)
        assert row.engine == "lmdeploy"


def test_errors_are_those_that_the_entry_states():
    scored = score(read_measurements(FITTED))
    stated = {one.metric: one for one in catalog.load_engine("lmdeploy").fit.errors}
    for metric, one in stated.items():
        found = ratios(scored, metric)
        assert len(found) == one.rows
        assert errors_of(found).median_ape == pytest.approx(one.median_ape, abs=0.006)
        assert one.left_out_models < 0.15


def test_throughputs_that_no_constant_was_chosen_by():
    """Its own benchmark of ShareGPT; the start and the end of 3,000 requests are part of it."""
    found = ratios(score(read_measurements(HELD_OUT)), "output_tokens_per_s_per_device")
    assert len(found) == 7
    assert errors_of(found).median_ape < 0.13
    assert ((found > 1.0) & (found < 1.3)).all()  # too fast
