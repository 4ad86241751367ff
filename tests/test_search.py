"""Searches give what a query of the whole sweep gives, whatever the threads and the blocks."""

import json

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import perfcore
from perfcore.cli import program
from perfcore.cli.search import _plain as plain
from perfcore.errors import InputError
from perfcore.searching import reductions
from perfcore.searching import search as searching
from perfcore.searching import workers as workers_module
from perfcore.searching.objectives import Objective
from perfcore.searching.reductions import Best, Candidates, Counts, Front
from perfcore.searching.search import find_best, find_front

SPEC = {
    "axes": {
        "model": ["llama-3.1-8b", "mixtral-8x7b", "llama-3.1-70b"],
        "device": ["h100-sxm", "l40s", "groq-lpu"],
        "engine": ["vllm"],
        "scheduler": ["static", "continuous"],
        "tp": [1, 4],
        "batch": [64, 1, 8],
        "input_len": [2048, 128, 512],
        "output_len": [64, 256],
    },
    "output": {"columns": ["tpot_s", "ttft_s", "tokens_per_s_per_device", "max_batch", "status"]},
}
AUTO = {
    **SPEC,
    "axes": {name: values for name, values in SPEC["axes"].items() if name != "tp"}
    | {"devices": "auto"},
}
SAMPLED = {**SPEC, "sample": {"method": "random", "n": 500, "seed": 3}}


def invoke(*arguments):
    return CliRunner().invoke(program, ["search", *map(str, arguments)])


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


def test_groups_stand_in_the_order_of_the_axes():
    found = perfcore.search(SPEC, minimize="ttft_s", by=["batch"])

    assert found["batch"].to_pylist() == [64, 1, 8]


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
    """The row is found again in the sweep by its coordinates."""
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


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("block", [128, 1_024])
def test_answers_do_not_depend_on_threads_and_blocks(monkeypatch, workers, block):
    monkeypatch.setattr(workers_module, "BLOCK", block)
    small_shards = {**SPEC, "output": {**SPEC["output"], "rows_per_shard": 100}}
    space = perfcore.Space.from_dict(small_shards)
    best = find_best(space, Objective("max_batch"), by=["device"], top=7, workers=workers).rows
    front = find_front(space, [Objective("tpot_s"), Objective("max_batch", True)], workers=workers)
    monkeypatch.undo()

    found = perfcore.search(SPEC, minimize="max_batch", by=["device"], top=7)
    assert best.equals(found.to_arrow())
    assert front.rows.equals(perfcore.pareto(SPEC, ["tpot_s", "max_batch:max"]).to_arrow())


small = st.sampled_from([0.0, 1.0, 2.0, 3.0, np.inf, np.nan])


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), small, small), max_size=60),
    top=st.integers(1, 4),
    split=st.integers(0, 60),
    order=st.randoms(use_true_random=False),
)
def test_kept_rows_depend_on_rows_only(rows, top, split, order):
    """Against a sort and a comparison of all pairs; rows come in any order, in two parts."""
    listed = [(group, place, a, b) for place, (group, a, b) in enumerate(rows)]
    shuffled = order.sample(listed, len(listed))

    def kept(make):
        parts = []
        for part in (shuffled[:split], shuffled[split:]):
            state = make()
            state.take(entries(part))
            parts.append(state)
        parts[0].take(parts[1].entries())
        values, groups, places = parts[0].entries()
        return set(
            zip(groups.tolist(), places.tolist(), map(tuple, values.T.tolist()), strict=True)
        )

    best = set()
    front = set()
    for group in range(3):
        members = [(a, b, place) for g, place, a, b in listed if g == group]
        ranked = sorted((a, place) for a, _, place in members if not np.isnan(a))
        best |= {(group, place, (a,)) for a, place in ranked[:top]}
        real = [member for member in members if not np.isnan(member[:2]).any()]
        front |= {
            (group, place, (a, b))
            for a, b, place in real
            if not any(
                c <= a and d <= b and ((c, d) != (a, b) or other < place) for c, d, other in real
            )
        }

    assert kept(lambda: Front(3, 2, np.float64)) == front
    assert {row[:2] for row in kept(lambda: Best(3, top, np.float64))} == {row[:2] for row in best}


def entries(rows):
    groups, places = (np.array([row[k] for row in rows], np.int64) for k in (0, 1))
    values = np.array([[row[k] for row in rows] for k in (2, 3)]).reshape(2, len(rows))
    return Candidates(values, groups, places)


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


def test_bins_without_an_end():
    values = np.array([[-1.0, 0.0, 1.0, 1.5, 10.0, np.inf, np.nan]])
    counts = Counts(2, np.array([1.0, 10.0]))
    groups = np.array([0, 0, 0, 1, 1, 1, 1])
    counts.take(Candidates(values, groups, np.arange(7)))

    assert counts.counts.tolist() == [[2, 1, 0], [0, 1, 2]]


def test_histogram_of_what_is_often_zero():
    found = perfcore.histogram(SPEC, "offload_s")
    (row,) = found.to_pylist()

    assert (row["low"], row["high"], row["share"]) == (None, 1e-30, 1.0)
    assert perfcore.histogram(SPEC, "tpot_s", where=["tpot_s<=1ns"]).num_rows == 0


def test_a_front_that_outgrows_its_room():
    count = 100
    values = np.array([np.arange(count), -np.arange(count)], np.float64)
    front = Front(1, 2, np.float64)
    front.take(Candidates(values, np.zeros(count, np.int64), np.arange(count)))

    assert sorted(front.entries().places.tolist()) == list(range(count))


def test_a_front_that_no_memory_should_hold(monkeypatch):
    monkeypatch.setattr(reductions, "LARGEST_FRONT", 16)
    values = np.array([np.arange(100.0), -np.arange(100.0)])
    front = Front(1, 2, np.float64)

    with pytest.raises(InputError, match="more than 16 rows are undominated"):
        front.take(Candidates(values, np.zeros(100, np.int64), np.arange(100)))


def test_a_result_that_no_memory_should_hold(monkeypatch):
    monkeypatch.setattr(searching, "LARGEST_RESULT", 5)

    with pytest.raises(InputError, match="3 groups of 2 rows are more than 5; keep fewer"):
        perfcore.search(SPEC, minimize="tpot_s", by=["batch"], top=2)

    monkeypatch.setattr(searching, "LARGEST_RESULT", 2)
    objectives = [Objective("tpot_s"), Objective("max_batch", True)]

    with pytest.raises(InputError, match="3 groups are more than 2; group by fewer axes"):
        find_front(perfcore.Space.from_dict(SPEC), objectives, by=["batch"])


# the commands


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(
        '[axes]\nmodel = ["llama-3.1-8b"]\ndevice = ["h100-sxm", "l40s"]\n'
        "batch = [1, 8]\ninput_len = [128]\noutput_len = [64]\n"
    )
    return path


def test_command_writes_what_it_finds(spec, tmp_path):
    for suffix, read in (
        ("parquet", lambda path: pq.read_table(path).to_pylist()),
        ("csv", lambda path: pcsv.read_csv(path).to_pylist()),
        ("json", lambda path: json.loads(path.read_text())),
    ):
        path = tmp_path / f"best.{suffix}"
        result = invoke(spec, "--minimize", "tpot_s", "--by", "device", "-o", path)

        assert result.exit_code == 0, result.output
        assert [row["batch"] for row in read(path)] == [1, 1]
        assert (
            f"written  {path}" in " ".join(result.stdout.split("\n")) or "written" in result.stdout
        )


def test_command_prints_json(spec):
    found = json.loads(invoke(spec, "--maximize", "tokens_per_s_per_device", "--json").stdout)
    front = CliRunner().invoke(
        program,
        ["pareto", str(spec), "--objectives", "tpot_s,tokens_per_s_per_device:max", "--json"],
    )

    assert (found["configs"], found["feasible"]) == (4, 4)
    assert [(row["device"], row["batch"]) for row in found["rows"]] == [("h100-sxm", 8)]
    assert len(json.loads(front.stdout)["rows"]) == 2


def test_command_counts(spec, tmp_path):
    path = tmp_path / "counts.csv"
    arguments = ["histogram", str(spec), "--metric", "offload_s", "--by", "device", "-o", str(path)]
    result = CliRunner().invoke(program, arguments)

    assert result.exit_code == 0, result.output
    assert "... to 1e-30" in result.stdout
    assert path.read_text() == (
        "device,low,high,rows,share\nh100-sxm,,1e-30,2,1.0\nl40s,,1e-30,2,1.0\n"
    )
    shown = json.loads(CliRunner().invoke(program, [*arguments, "--json"]).stdout)
    assert [row["low"] for row in shown["rows"]] == [None, None]


def test_json_has_no_word_for_what_is_not_finite():
    rows = pa.table({"a": [1.0, np.inf, np.nan], "b": ["x", "y", None]})

    assert plain(rows) == [{"a": 1.0, "b": "x"}, {"a": None, "b": "y"}, {"a": None, "b": None}]


def test_counts_are_labelled_in_the_order_of_the_axes(spec):
    arguments = ["histogram", str(spec), "--metric", "offload_s", "--by", "batch,device,batch"]
    lines = CliRunner().invoke(program, arguments).stdout.splitlines()

    assert lines[0].split()[:3] == ["device", "batch", "offload_s"]
    assert lines[1].split()[:2] == ["h100-sxm", "1"]


def test_command_explains_an_empty_result(spec):
    result = invoke(spec, "--minimize", "tpot_s", "--where", "tpot_s<=1ns")

    assert result.exit_code == 0
    assert "no row meets the conditions" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of --minimize and --maximize"),
        (["--minimize", "tpot_s", "--maximize", "mfu"], "give one of"),
        (["--minimize", "tpot"], "--minimize: unknown metric 'tpot'; did you mean 'tpot_s'?"),
        (["--minimize", "bound"], "--minimize: unknown metric 'bound'"),
        (["--minimize", "tpot_s", "--by", "devise"], "--by: unknown axis 'devise'; did you mean"),
        (["--minimize", "tpot_s", "--where", "tpot_s"], "no condition; write COLUMN<=VALUE"),
        (["--minimize", "tpot_s", "--where", "tpot<=1"], "unknown metric 'tpot'"),
        (["--minimize", "tpot_s", "--where", "tpot_s<=fast"], "tpot_s<=fast"),
        (["--minimize", "tpot_s", "--where", "device=h200-sxm"], "device=h200-sxm"),
        (["--minimize", "tpot_s", "--top", "600000"], "--top: 600,000 is not from 1 to 10,000"),
        (["--minimize", "tpot_s", "--top", "0"], "--top: 0 is not from 1 to 10,000"),
        (["--minimize", "tpot_s", "-o", "best.xlsx"], "must end in .parquet, .csv, .json"),
        (["--minimize", "tpot_s", "-o", "missing/best.csv"], "make it first"),
    ],
)
def test_faults(spec, arguments, message):
    result = invoke(spec, *arguments)

    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ("tpot_s", "name two or three different metrics"),
        ("tpot_s,tpot_s:max", "name two or three different metrics"),
        ("tpot_s,mfu:more", "write mfu:max to maximise"),
        ("tpot_s,speed", "unknown metric 'speed'"),
    ],
)
def test_faults_of_objectives(spec, objectives, message):
    result = CliRunner().invoke(program, ["pareto", str(spec), "--objectives", objectives])

    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize("value", [0.1, 0.5, 1.0])
def test_a_condition_on_a_what_if_keeps_its_value(value):
    """Rows that a condition leaves are those of the whole sweep, not of the first variants."""
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
