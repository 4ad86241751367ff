"""Conditions of a search."""

import duckdb
import pytest

import perfcore
from searching.sweeps import SPEC


def query(sql, rows):
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        return connection.execute(sql).fetchall()


def test_conditions_on_axes_and_codes():
    found = perfcore.search(
        SPEC,
        minimize="tpot_s",
        top=10_000,
        where=["device=l40s", "batch=8", "input_len<=512", "bound=compute", "max_batch>=9"],
    )
    rows = perfcore.sweep({**SPEC, "output": {"columns": ["tpot_s", "max_batch", "bound"]}})
    asked = query(
        "SELECT count(*) FROM rows WHERE device = 'l40s' AND batch = 8 AND input_len <= 512 "
        "AND bound = 'compute' AND max_batch >= 9",
        rows,
    )

    assert asked == [(found.num_rows,)]


@pytest.mark.parametrize("value", [0.1, 0.5, 1.0])
def test_a_condition_on_a_what_if_keeps_its_value(value):
    """A condition on a what-if keeps its own variants, not the first ones."""
    spec = {
        "axes": {"model": "llama-3.1-8b", "device": "h100-sxm"},
        "what_if": {
            "economics.utilization": [0.1, 0.5, 1.0],
            "economics.token_price": ["1 USD/Mtok", "2 USD/Mtok"],
        },
        "output": {"columns": "all"},
    }
    whole = perfcore.sweep(spec).to_pylist()
    where = [{"axis": "economics.utilization", "in": [value]}]

    kept = perfcore.sweep({**spec, "where": where}).to_pylist()
    assert kept == [row for row in whole if row["economics_utilization"] == value]


def test_strict_conditions_leave_out_their_bound():
    def rows(*where):
        return perfcore.search(SPEC, minimize="tpot_s", top=10_000, where=list(where)).num_rows

    assert rows("batch<8") + rows("batch>8") + rows("batch=8") == rows()
    assert rows("batch<=8") == rows("batch<8") + rows("batch=8")
    assert rows("batch>=8") == rows("batch>8") + rows("batch=8")
