"""Rows from whatever a file holds, or lines that say why not."""

import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from accuracy.importing.samples import (
    AIPERF,
    GENAI,
    SAMPLES,
    SERVE,
    SGLANG,
    STATIC,
    TRTLLM,
    WHERE,
    faults_of,
    metric,
    rows_of,
)
from perfcore.accuracy.importing import read_results
from perfcore.accuracy.table import read_measurements
from perfcore.cli import program
from perfcore.errors import InputError


def run(*arguments):
    return CliRunner().invoke(program, ["measurements", *map(str, arguments)])


def test_rows_keep_the_identifiers_that_older_tables_have(save):
    rows = read_results([save(SERVE)], WHERE).rows

    assert [row.row_id for row in rows] == ["m53cb970c7d0f", "m71db828250de"]


# what each tool's file becomes


@pytest.mark.parametrize(
    ("sample", "more", "reason"),
    [
        (SERVE, {"spec_decode_acceptance_length": 2.5}, "speculative decoding"),
        (SGLANG, {"accept_length": 2.5}, "speculative decoding"),
        (TRTLLM, {"decoding_stats": {}}, "speculative decoding"),
        (SERVE, {"failed": 200}, "200 of 840 requests failed"),
        (AIPERF, {"error_request_count": metric(50.0, "requests")}, "50 of 150 requests failed"),
        (AIPERF, {"was_cancelled": True}, "cancelled"),
        (GENAI, {"input_config": GENAI["input_config"] | {"streaming": False}}, "not streamed"),
    ],
)
def test_runs_that_say_little_are_left_out(save, sample, more, reason):
    (line,) = faults_of(save(sample | more), **WHERE)

    assert line.startswith("nothing to import: ")
    assert reason in line


def test_a_metric_that_a_file_lacks_is_left_out(save):
    without = {key: value for key, value in SERVE.items() if key != "mean_ttft_ms"}
    found = read_results([save(without)], WHERE)

    assert [row.metric for row in found.rows] == ["tpot_s"]
    assert "mean_ttft_ms" in found.skipped[0].reason


# whatever a file holds


@pytest.mark.parametrize(
    "value", [0, -1.0, float("nan"), float("inf"), "12", None, True, [], 1e300]
)
@pytest.mark.parametrize(
    ("sample", "key"),
    [
        ("serve", "mean_tpot_ms"),
        ("serve", "completed"),
        ("latency", "avg_latency"),
        ("throughput", "requests_per_second"),
        ("llama", "avg_ts"),
        ("prompt", "model_n_params"),
    ],
)
def test_numbers_that_are_none(save, sample, key, value):
    lines = faults_of(save(SAMPLES[sample] | {key: value}), **STATIC)

    assert len(lines) == 1
    assert lines[0].startswith(f"{key}: ")


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), "12", None, {}, "x"])
@pytest.mark.parametrize("key", ["time_to_first_token", "input_sequence_length"])
def test_metrics_that_are_none(save, key, value):
    lines = faults_of(save(AIPERF | {key: AIPERF[key] | {"avg": value}}))

    assert len(lines) == 1
    assert lines[0].startswith(f"{key}.avg: ")


def test_a_unit_that_is_none(save):
    (line,) = faults_of(save(AIPERF | {"inter_token_latency": metric(1.0, "miles")}))

    assert line.startswith("inter_token_latency.unit: 'miles' is not a unit of time")


def test_faults_say_which_result(save):
    (line,) = faults_of(save(SERVE, SERVE | {"mean_ttft_ms": -1}), **WHERE)

    assert line.startswith("result 2.mean_ttft_ms: -1")


def test_text_that_a_cell_cannot_hold(save):
    path = save(SERVE | {"engine_version": "=cmd()", "hardware": "h100-sxm"})
    assert "starts like a spreadsheet formula" in faults_of(path)[0]
    path = save(SERVE | {"engine_version": "a\nb", "hardware": "h100-sxm"})
    assert "control characters" in faults_of(path)[0]
    path = save(SERVE, name="-rf.json")
    (line,) = faults_of(path, **WHERE)
    assert line.startswith("source_ref: '-rf.json' starts like a spreadsheet formula")
    assert rows_of(path, **WHERE, source_ref="run 1")["tpot_s"].source_ref == "run 1"


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def mutate(record, path, value):
    """Put a value at a place that a list of numbers names, each the index of a key."""
    key = sorted(record)[path[0] % len(record)]
    inner = record[key]
    if len(path) > 1 and isinstance(inner, dict) and inner:
        return record | {key: mutate(inner, path[1:], value)}
    return record | {key: value}


@given(
    sample=st.sampled_from(sorted(SAMPLES)),
    changes=st.lists(
        st.tuples(st.lists(st.integers(0, 30), min_size=1, max_size=4), JUNK), max_size=3
    ),
)
def test_whatever_stands_in_a_file_is_rows_or_lines(tmp_path_factory, sample, changes):
    record = SAMPLES[sample]
    for place, value in changes:
        record = mutate(record, place, value)
    folder = tmp_path_factory.mktemp("junk")
    path = folder / "results.json"
    path.write_text(json.dumps(record))
    given_ = {key: STATIC[key] for key in ("model", "hardware", "output_len")}
    try:
        found = read_results([str(path)], given_)
    except InputError as error:
        assert all(line.isprintable() for line in error.faults)  # noqa: PT017 - either may happen
        return
    table = folder / "out.csv"
    result = run("import", path, "-o", table, *(f"--set={k}={v}" for k, v in given_.items()))
    assert result.exit_code == 0, result.stderr
    assert [row._replace(line=0) for row in read_measurements(table)] == found.rows
