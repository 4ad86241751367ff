"""Searches return the same as queries of the whole sweep."""

import duckdb
import pytest

import perfcore
from perfcore.errors import InputError
from perfcore.searching import search as searching
from perfcore.searching.objectives import Objective
from perfcore.searching.search import find_front
from searching.sweeps import SPEC

AUTO = {
    **SPEC,
    "axes": {name: values for name, values in SPEC["axes"].items() if name != "tp"}
    | {"devices": "auto"},
}
SAMPLED = {**SPEC, "sample": {"method": "random", "n": 500, "seed": 3}}


def query(sql, rows):
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        return connection.execute(sql).fetchall()


def columns(table, *names):
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


@pytest.fixture(scope="module", params=[SPEC, SAMPLED], ids=["grid", "sampled"])
def swept(request):
    return request.param, perfcore.sweep(request.param)


def test_best_of_all_is_what_a_query_finds(swept):
    spec, rows = swept
    found = perfcore.search(spec, minimize="tpot_s", top=5)

    assert columns(found, "tpot_s") == query("SELECT tpot_s FROM rows ORDER BY 1 LIMIT 5", rows)


def test_best_of_groups_is_what_a_query_finds(swept):
    spec, rows = swept
    keys = ("device", "batch", "input_len")
    found = perfcore.search(
        spec, maximize="tokens_per_s_per_device", by=keys, where=["tpot_s<=20ms"]
    )
    asked = query(
        "SELECT device, batch, input_len, max(tokens_per_s_per_device) FROM rows "
        "WHERE tpot_s <= 0.02 GROUP BY device, batch, input_len",
        rows,
    )

    assert sorted(columns(found, *keys, "tokens_per_s_per_device")) == sorted(asked)
    assert len(asked) > 3


def test_front_is_what_a_query_finds(swept):
    spec, rows = swept
    found = perfcore.pareto(
        spec,
        ["tpot_s", "tokens_per_s_per_device:max", "ttft_s"],
        by=["model"],
        where=["max_batch>=8"],
    )
    asked = query(
        """
        WITH wanted AS (
            SELECT DISTINCT model, tpot_s AS a, tokens_per_s_per_device AS b, ttft_s AS c
            FROM rows WHERE max_batch >= 8
        )
        SELECT model, a, b, c FROM wanted one WHERE NOT EXISTS (
            SELECT 1 FROM wanted other WHERE other.model = one.model
            AND other.a <= one.a AND other.b >= one.b AND other.c <= one.c
            AND (other.a < one.a OR other.b > one.b OR other.c < one.c)
        )
        """,
        rows,
    )

    names = ("model", "tpot_s", "tokens_per_s_per_device", "ttft_s")
    assert sorted(columns(found, *names)) == sorted(asked)
    assert len(asked) > 5


def test_winners_have_every_axis_and_column_of_their_row():
    """The sweep has a row with the same coordinates."""
    (row,) = perfcore.search(SPEC, minimize="tpot_s").to_pylist()
    again = perfcore.sweep({"axes": {name: [row[name]] for name in SPEC["axes"]}}).to_pylist()

    assert {name: row[name] for name in again[0]} == again[0]
    assert set(row) >= {column.name for column in perfcore.columns.METRICS}


def test_devices_chosen_for_each_row():
    rows = perfcore.sweep(AUTO)
    found = perfcore.search(AUTO, minimize="tpot_s", by=["model", "batch"])
    asked = query("SELECT model, batch, min(tpot_s) FROM rows GROUP BY 1, 2", rows)

    assert sorted(columns(found, "model", "batch", "tpot_s")) == sorted(asked)
    with pytest.raises(InputError, match=r"^by: tp is chosen for each row"):
        perfcore.search(AUTO, minimize="tpot_s", by=["tp"])


def test_rows_that_cannot_run_are_never_found():
    kept = {**SPEC, "output": {**SPEC["output"], "keep_infeasible": True}}
    found = perfcore.search(kept, minimize="tpot_s", top=10_000)

    assert set(found["status"].to_pylist()) == {"ok"}
    assert found.num_rows == perfcore.sweep(SPEC).num_rows


def test_histogram_is_what_a_query_counts(swept):
    spec, rows = swept
    found = perfcore.histogram(spec, "tpot_s", by=["scheduler", "batch"], per_decade=3)
    asked = query("SELECT scheduler, batch, tpot_s FROM rows", rows)

    assert sum(found["rows"].to_pylist()) == len(asked)
    for row in found.to_pylist():
        values = [
            value
            for scheduler, batch, value in asked
            if (scheduler, batch) == (row["scheduler"], row["batch"])
        ]
        inside = [value for value in values if row["low"] <= value < row["high"]]
        assert row["rows"] == len(inside) > 0
        assert row["share"] == pytest.approx(len(inside) / len(values))
        assert row["high"] / row["low"] == pytest.approx(10 ** (1 / 3))


def test_histogram_of_what_is_often_zero():
    found = perfcore.histogram(SPEC, "offload_s")
    (row,) = found.to_pylist()

    assert (row["low"], row["high"], row["share"]) == (None, 1e-30, 1.0)
    assert perfcore.histogram(SPEC, "tpot_s", where=["tpot_s<=1ns"]).num_rows == 0


def test_a_result_that_no_memory_should_hold(monkeypatch):
    monkeypatch.setattr(searching, "LARGEST_RESULT", 5)

    with pytest.raises(InputError, match="3 groups of 2 rows are more than 5; keep fewer"):
        perfcore.search(SPEC, minimize="tpot_s", by=["batch"], top=2)

    monkeypatch.setattr(searching, "LARGEST_RESULT", 2)
    objectives = [Objective("tpot_s"), Objective("max_batch", True)]

    with pytest.raises(InputError, match="3 groups are more than 2; group by fewer axes"):
        find_front(perfcore.Space.from_dict(SPEC), objectives, by=["batch"])
