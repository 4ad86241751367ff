"""Published speeds of layers and experts on the CPU, held against predictions."""

import re

import numpy as np
import pytest
from paths import ROOT

from perfcore.accuracy.prediction import questions
from perfcore.accuracy.scores import errors_of, score
from perfcore.accuracy.table import read_measurements
from perfcore.catalog import default_economics
from perfcore.physics.hybrid import split_of
from perfcore.physics.moe import log_passed_over
from perfcore.physics.operators import expert_read_bytes, touched_experts
from perfcore.physics.stages.point import evaluate
from perfcore.physics.weights import layer_bytes

HYBRID = ROOT / "tests" / "data" / "hybrid.csv"
ROWS = read_measurements(HYBRID)


@pytest.fixture(scope="module")
def scored():
    return score(ROWS)


def ratios(scored, chosen=lambda _: True):
    """Return predicted over measured times."""
    found = []
    for one in scored.rows:
        row = one.question.measurement
        if chosen(row):
            ratio = one.predicted / row.value
            found.append(1 / ratio if row.metric == "prefill_tokens_per_s" else ratio)
    return np.array(found)


def test_rows_say_where_and_when(scored):
    assert not scored.skipped
    assert len({row.source for row in ROWS}) >= 4
    for row in ROWS:
        assert row.source_ref.startswith(row.source)
        assert re.fullmatch(r"20\d\d(-\d\d){0,2}", row.date)
        assert row.offload == "experts" or row.gpu_layers


def test_published_speeds_are_met(scored):
    assert len(scored.rows) >= 6
    assert errors_of(ratios(scored)).median_ape <= 0.25
    decode = ratios(scored, lambda row: row.metric != "prefill_tokens_per_s")
    assert errors_of(decode).median_ape <= 0.15
    prefill = ratios(scored, lambda row: row.metric == "prefill_tokens_per_s")
    assert errors_of(prefill).median_ape <= 0.25


@pytest.mark.parametrize("source", sorted({row.source for row in ROWS}))
def test_no_source_is_far_off(scored, source):
    assert 0.6 <= np.median(ratios(scored, lambda row: row.source == source)) <= 1.4


def test_no_first_token_is_below_its_bound():
    """No prompt is read sooner than what it uses of host memory comes from there."""
    asked, _ = questions(ROWS)
    for question in asked:
        model, device, form = question.model.record(), question.device_record, question.record
        engine = question.engine.record(question.device, question.weight_format)
        workload = question.workload
        split = split_of(model, question.deployment)
        passed_over = log_passed_over(model.experts, model.experts_per_token)
        experts = touched_experts(model.experts, engine, passed_over, workload.input_len)
        read = split.layers * layer_bytes(model, form)
        read += split.experts * experts * expert_read_bytes(model, form)
        fastest = max(device.host_memory_bandwidth, device.memory2_bandwidth)
        point = evaluate(
            *(model, device, engine, form, question.kv_format.record(), question.deployment),
            *(default_economics(), workload.input_len, workload.output_len),
        )
        assert read > 0.0
        assert point.ttft_s >= read / fastest
