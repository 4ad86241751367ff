"""Tables of measurements, sound and faulty."""

import pytest

from accuracy.measured import HEADER, ROW
from perfcore.accuracy.table import (
    COLUMNS,
    Measurement,
    read_measurements,
    shipped,
    write_measurements,
)
from perfcore.errors import InputError

# ---------------------------------------------------------------------------------- the table


def test_shipped_measurements_have_source_and_licence(licensed):
    assert len(licensed) == 2072
    assert all(row.source and row.licence and row.source_ref for row in licensed)
    assert {row.licence for row in licensed} <= {"Apache-2.0", "MIT", "BSD-3-Clause", "CC0-1.0"}
    assert shipped().stat().st_size < 1_000_000


def test_rows_survive_a_round_trip(licensed, tmp_path):
    path = tmp_path / "again.csv"

    write_measurements(path, licensed)

    assert [row._replace(line=0) for row in read_measurements(path)] == [
        row._replace(line=0) for row in licensed
    ]


def test_what_a_row_may_leave_out(write):
    (row,) = read_measurements(
        write("llama-3-8b,h100,tpot_s,1", header="model,hardware,metric,value")
    )

    assert (row.mode, row.engine, row.weight_format) == ("static", "default", "bf16")
    assert (row.tp, row.pp, row.dp, row.ep, row.devices) == (1, 1, 1, 1, 1)
    assert row.concurrency is None
    assert row.unit == "s"


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ({"value": "fast"}, "line 2: value: 'fast' is not a"),
        ({"value": "0"}, "line 2: value: '0' is out of bounds"),
        ({"value": "nan"}, "line 2: value: 'nan' is not"),
        ({"metric": "tpots"}, "line 2: metric: unknown metric 'tpots'; did you mean 'tpot_s'?"),
        ({"mode": "closed"}, "line 2: mode: unknown mode 'closed'; did you mean 'closed_loop'?"),
        ({"tp": "1.5"}, "line 2: tp: '1.5' is out of bounds"),
        ({"tp": "2"}, "line 2: devices 1 are not tp x pp x dp = 2"),
        ({"model": ""}, "line 2: model is empty; give its name"),
    ],
)
def test_faults_of_a_row(write, cells, fault):
    values = dict(zip(HEADER.split(","), ROW.split(","), strict=True)) | cells
    path = write(",".join(values.values()))

    with pytest.raises(InputError) as error:
        read_measurements(path)

    assert len(error.value.faults) == 1
    assert fault in error.value.faults[0]


def test_all_faults_of_a_file_come_at_once(write):
    path = write(ROW.replace("0.0075", "x"), ROW, ROW.replace("static", "y"))

    with pytest.raises(InputError) as error:
        read_measurements(path)

    assert [fault.split(": ")[1] for fault in error.value.faults] == ["line 2", "line 4"]


def test_unit_of_another_metric_is_refused(write):
    path = write("llama-3-8b,h100,tpot_s,1,ms", header="model,hardware,metric,value,unit")

    with pytest.raises(InputError, match="unit 'ms' of tpot_s; give it in s"):
        read_measurements(path)


# --------------------------------------------------------------------------------- commands


def test_columns_of_the_format_are_those_of_a_row():
    assert Measurement._fields[:-1] == COLUMNS


def test_the_stack_of_a_row_is_optional(write):
    header = HEADER + ",engine_version,backend,eager,runner,prefill_chunk,power_limit"
    (bare, full) = read_measurements(
        write(ROW + ",,,,,,", ROW + ",0.7.3,cuda,true,offline,2048,300", header=header)
    )

    assert bare == read_measurements(write(ROW))[0]._replace(line=bare.line)
    assert (full.engine_version, full.backend, full.eager) == ("0.7.3", "cuda", "true")
    assert (full.runner, full.prefill_chunk, full.power_limit) == ("offline", 2048, 300)


@pytest.mark.parametrize(
    ("column", "text", "fault"),
    [
        ("backend", "cud", "backend: unknown value 'cud'; did you mean 'cuda'?"),
        ("eager", "yes", "eager: unknown value 'yes'; use one of: true, false"),
        ("runner", "batch", "runner: unknown value 'batch'; use one of: server, offline"),
        ("prefill_chunk", "0", "prefill_chunk: '0' is out of bounds"),
        ("power_limit", "-1", "power_limit: '-1' is out of bounds"),
    ],
)
def test_faults_of_a_stack(write, column, text, fault):
    with pytest.raises(InputError) as error:
        read_measurements(write(f"{ROW},{text}", header=f"{HEADER},{column}"))

    assert fault in str(error.value)
