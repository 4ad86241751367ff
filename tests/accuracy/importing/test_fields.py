"""Columns that are set beside a file."""

import pytest

from accuracy.importing.samples import LLAMA, PROMPT, SERVE, WHERE, faults_of
from perfcore.accuracy.importing import read_results, settings
from perfcore.errors import InputError


def test_what_is_set_stands_above_the_file_and_says_so(save):
    path = save([LLAMA, PROMPT])
    found = read_results([path], settings(("hardware=rtx-3090", "kv_format=bf16", "tp=1")))

    assert {row.hardware for row in found.rows} == {"rtx-3090"}
    # f16 is an alias of bf16, so that nothing differs there
    assert found.notes == [f"{path}: hardware rtx-3090 is set; the file states 'rtx-4090'"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hardware", "not KEY=VALUE"),
        ("=x", "not KEY=VALUE"),
        ("hardware=", "not KEY=VALUE"),
        ("hardwear=x", "did you mean 'hardware'?"),
        ("value=1", "unknown column 'value'"),
        ("devices=8", "devices are tp x pp x dp; set those instead"),
        ("hardware=h100-sxn", "did you mean 'h100-sxm'?"),
        ("weight_format=fp9", "unknown weight format 'fp9'"),
        ("tp=0", "0' is out of bounds"),
        ("tp=two", "tp=two"),
        ("concurrency=nan", "concurrency=nan: 'nan'"),
        ("mode=fast", "unknown mode 'fast'"),
        ("task_note=@cmd", "starts like a spreadsheet formula"),
        ("task_note=a\x1bb", "control characters"),
        (f"task_note={'x' * 501}", "more than 500 characters"),
        ("model=no-such-file.toml", "no such file"),
    ],
)
def test_faulty_settings(text, message):
    with pytest.raises(InputError) as caught:
        settings((text,))

    (line,) = caught.value.faults
    assert line.startswith("given: ")
    assert message in line


def test_all_faulty_settings_come_at_once():
    with pytest.raises(InputError) as caught:
        settings(("tp=0", "hardware=x", "pp=1", "pp=2"))

    assert len(caught.value.faults) == 3


def test_more_devices_than_there_may_be(save):
    (line,) = faults_of(save(SERVE), **WHERE, tp=65_536, pp=65_536)

    assert "out of bounds" in line
