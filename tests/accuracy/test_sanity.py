"""Rows that look wrong: what is named, and what is left alone."""

import pytest

from accuracy.measured import HEADER, asked
from perfcore.accuracy.sanity import check_rows, summary, warnings
from perfcore.accuracy.scores import validate

HEAD = HEADER.replace(",devices", ",weight_format,task_note")
ROW = "llama-3.1-8b,h100-sxm,vllm,{},{},{},{},1024,256,1,bf16,{}"


def row(metric="tpot_s", value=0.0105, mode="closed_loop", concurrency=16, note=""):
    return ROW.format(metric, value, mode, concurrency, note)


@pytest.fixture
def checked(write):
    return lambda *lines: check_rows(asked(*lines, write=lambda *rows: write(*rows, header=HEAD)))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (row(value=10.5), "probably milliseconds"),
        (row(value=0.0000105), "about a thousandth; were seconds taken for ms?"),
        (row(value=95), "probably a rate; give tpot_s as 0.01053"),
        (row("ttft_s", 80), "probably milliseconds; divide the values by 1000"),
        (row("ttft_s", 32, concurrency=1), "probably milliseconds; divide the values by 1000"),
        (row(value=10_500), "probably microseconds; divide the values by 1000000"),
        (row("energy_j_per_output_token", 420), "probably millijoules; divide the values by 1000"),
        (row("power_w_per_device", 0.5), "probably kilowatts; multiply the values by 1000"),
        (row(mode="static", concurrency=2000), "kv cache does not fit"),
        (row(value=0.6), "times the prediction of"),
        (row(value=0.0031), "times faster than the physical bound"),
        (row("ttft_s", 0.003), "times faster than the physical bound"),
        (row("output_tokens_per_s_per_device", 9000), "times faster than the physical bound"),
        (row("power_w_per_device", 1900), "exceed the 700 W of a board"),
        (row("ttft_s", 0.9, note="median 0.05"), "a cold start"),
        (row("output_tokens_per_s_per_device", 900, "saturation", 4), "not saturated"),
        (row(note="example values: replace them"), "an example of the template"),
        (row().replace("3.1-8b", "3.1-70b"), "weights do not fit: 141 GB of 71 GB"),
        (row().replace("256,1,", "256,5,"), "cannot run: heads not divisible by tp"),
    ],
)
def test_a_row_that_looks_wrong_is_named(checked, line, words):
    found = checked(row(concurrency=8), line)

    assert len(found.sound) == 1
    (said,) = summary(found.suspects)
    assert said.startswith("line 3: ")
    assert words in said


@pytest.mark.parametrize(
    "line",
    [
        row(),
        row(value=0.02),
        row("ttft_s", 0.9),
        row("ttft_s", 0.09, note="median 0.05"),
        row("output_tokens_per_s_per_device", 5000, "saturation", ""),
        row("power_w_per_device", 690),
    ],
)
def test_a_row_that_may_be_right_is_used(checked, line):
    assert not checked(line).suspects


def test_rows_that_contradict_each_other(checked):
    found = checked(row(), row(value=0.0145), row(concurrency=8), row(value=0.0107, concurrency=8))

    assert [suspect.measurement.line for suspect in found.suspects] == [2, 3]
    assert "tpot_s is 0.0105, 0.0145 s" in found.suspects[0].reason


def test_copies_of_a_row_count_once(checked):
    found = checked(row(), row(), row(value=0.011), row(concurrency=8), row())

    assert [suspect.measurement.line for suspect in found.suspects] == [3, 6]
    assert {suspect.reason for suspect in found.suspects} == {"repeats line 2, which counts once"}


def test_rows_in_impossible_company_are_not_fitted(checked):
    impossible = [row(value=0.003, concurrency=load) for load in (1, 8, 16)]
    possible = [row(concurrency=32), row("ttft_s", 0.2, concurrency=32)]
    found = checked(*impossible, *possible)

    assert not found.sound
    assert (
        "3 of 5 rows of llama-3.1-8b (bf16) on h100-sxm beat the bound" in found.suspects[3].reason
    )
    assert len(checked(*impossible[:1], *possible).sound) == 2
    elsewhere = [line.replace("h100-sxm", "h200-sxm") for line in possible]
    assert len(checked(*impossible, *elsewhere).sound) == 2


def test_percentiles_in_notes_do_not_tell_rows_apart(checked):
    found = checked(row(note="median 0.01"), row(value=0.02, note="median 0.019"))

    assert len(found.suspects) == 2


def test_parts_that_do_not_make_the_whole(checked):
    static = {"mode": "static", "concurrency": 4}
    parts = [row("ttft_s", 0.06, **static), row("tpot_s", 0.008, **static)]

    assert not checked(*parts, row("e2e_latency_s", 2.1, **static)).suspects
    assert len(checked(*parts, row("e2e_latency_s", 4.0, **static)).suspects) == 3


def test_rows_that_only_notes_tell_apart_are_a_warning(checked):
    found = checked(row(note="flash_attn 1"), row(value=0.02, note="flash_attn 0"))

    assert not found.suspects
    assert "a fit is a compromise" in warnings(found.sound)[0]


def test_suspect_rows_are_used_if_they_are_kept(write):
    path = write(row(), row(value=10.5, concurrency=64), header=HEAD)

    assert len(validate(path).rows) == 1
    assert len(validate(path, keep_suspect=True).rows) == 2
    assert len(validate(path, keep_suspect=True).suspects) == 1


def test_no_published_row_looks_wrong(scored):
    assert scored.suspects == ()
