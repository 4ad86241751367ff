"""Sweeps of simulations: rows that are those of ``perfcore.simulate``, in runs and searches."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import perfcore
from perfcore.columns import BY_NAME, SIMULATED
from perfcore.kernel import jit
from perfcore.runs.simulating import rounded_to
from perfcore.space.spec import Spec

TRACE = "arrival_s,input_len,output_len\n0,100,20\n0.5,200,30\n1.5,150,10\n"


def spec(traffic=None, axes=None, **sections):
    return {
        "name": "servers",
        "axes": {"model": "llama-3.1-8b", "device": "h100-sxm", "tp": [1, 2], **(axes or {})},
        "traffic": {"request_rate": [2, 8], "requests": 60, **(traffic or {})},
        "output": {"dtype": "float64", "columns": "all"},
        **sections,
    }


def rows(*args, **sections):
    return listed(perfcore.sweep(spec(*args, **sections)))


def listed(dataset):
    """Return rows that can be compared: figures of sessions are None where there are none."""
    return [
        {name: None if value != value else value for name, value in row.items()}  # noqa: PLR0124
        for row in dataset.to_pylist()
    ]


def faults(document):
    with pytest.raises(perfcore.InputError) as caught:
        Spec.from_dict(document)
    return "\n".join(caught.value.faults)


def test_rows_are_those_of_simulate():
    traffic = {"input_len": "lognormal:500,cv=1", "output_len": 40, "cv": 2, "seed": 7}
    found = rows(
        {**traffic, "replicas": [1, 2], "routing": "least-loaded", "slo": ["ttft_p99_s<=30ms"]},
        {"engine": "vllm"},
    )

    assert len(found) == 8
    for row in found:
        expected = perfcore.simulate(
            "llama-3.1-8b",
            "h100-sxm",
            engine="vllm",
            tp=row["tp"],
            rate=row["request_rate"],
            requests=60,
            replicas=row["replicas"],
            routing="least-loaded",
            slo=["ttft_p99_s<=30ms"],
            **traffic,
        )
        renamed = {"requests": "requests_offered", "kv_tokens": "kv_capacity_tokens"}
        for name, value in expected.items():
            assert row[renamed.get(name, name)] == value, name
        assert row["seed"] == 7
        assert row["input_len"] == "lognormal:500,cv=1"


def test_tiers_and_servers_for_prompts_are_axes():
    traffic = {"request_rate": 8, "system_prompt": 1000, "prompts": 3, "kv_tokens": 4000}
    found = rows(
        {**traffic, "kv_tiers": ["none", "dram:1GB@1GB/s"], "prefill_replicas": [0, 2]}, {"tp": 1}
    )

    assert len(found) == 4
    for row in found:
        options = {name: value for name, value in traffic.items() if name != "request_rate"}
        ahead = {"replicas": 2, "kv_tokens": 4000} if row["prefill_replicas"] else None
        expected = perfcore.simulate(
            *("llama-3.1-8b", "h100-sxm"),
            **{**options, "rate": 8, "requests": 60, "kv_tiers": row["kv_tiers"]},
            prefill=ahead,
        )
        for name in ("ttft_p99_s", "e2e_mean_s", "energy_j", "prefix_hit_rate_dram"):
            assert row[name] == expected[name], name
    assert max(row["prefix_hit_rate_dram"] for row in found) > 0.0


def test_servers_for_prompts_may_be_other_machines():
    axes = {"tp": 1, "device": "a100-80gb-sxm", "prefill_device": ["h100-sxm", "rtx-4090"]}
    traffic = {"request_rate": 8, "prefill_replicas": 2, "replicas": 2}
    form = {"dtype": "float64", "columns": "all", "keep_infeasible": True}
    found = rows(traffic, {**axes, "prefill_tp": [1, 2], "prefill_link": "1 Gb/s"}, output=form)

    assert len(found) == 4
    for row in found:
        device, tp = row["prefill_device"], row["prefill_tp"]
        assert row["status"] == "ok"
        expected = perfcore.simulate(
            *("llama-3.1-8b", "a100-80gb-sxm"),
            tp=1,
            rate=8,
            requests=60,
            replicas=2,
            prefill={"device": device, "tp": tp, "pp": 1, "replicas": 2},
        )
        assert row["devices"] == expected["devices"] == 2 + 2 * tp
        assert row["ttft_p99_s"] == expected["ttft_p99_s"]
        assert row["cost_per_month_usd"] == pytest.approx(expected["cost_per_month_usd"])
        assert row["e2e_mean_s"] > expected["e2e_mean_s"]  # of faster links


@pytest.mark.parametrize(
    "source", [{"clients": 8, "think_time": 1}, {"request_rate": 2, "turns": 3, "think_time": 1}]
)
def test_clients_and_sessions_on_two_pools_are_rows(source):
    document = spec({"prefill_replicas": [1, 2], "replicas": 2}, {"tp": 1})
    del document["traffic"]["request_rate"]
    document["traffic"] |= source
    found = listed(perfcore.sweep(document))

    renamed = {"request_rate": "rate"}
    options = {renamed.get(name, name): value for name, value in source.items()}
    assert len(found) == 2
    for row in found:
        expected = perfcore.simulate(
            *("llama-3.1-8b", "h100-sxm"),
            **options,
            requests=60,
            replicas=2,
            prefill={"replicas": row["prefill_replicas"]},
        )
        for name in ("ttft_p99_s", "e2e_mean_s", "energy_j", "prefix_hit_rate"):
            assert row[name] == expected[name], name
        assert row["devices"] == row["prefill_replicas"] + 2


BESIDE = {
    "draft": {"model": "llama-3.3-70b", "device": "h100-sxm", "tp": 4, "weight_format": "fp8"}
    | {"draft_model": "llama-3.2-1b", "draft_device": ["l40s", "h100-sxm"], "draft_len": 3}
    | {"acceptance": 0.8, "draft_devices": [1, 2]},
    "experts": {"model": "deepseek-v3", "device": "h20", "tp": 8, "weight_format": "fp8-block128"}
    | {"expert_device": ["h100-sxm", "h20"], "expert_devices": [10, 16], "expert_parts": 3},
}


@pytest.mark.parametrize("axes", BESIDE.values(), ids=BESIDE)
def test_drafts_and_experts_on_devices_of_their_own_are_axes(axes):
    found = rows({"request_rate": 2, "requests": 20, "replicas": 2}, axes)

    assert len(found) == 4
    for row in found:
        given = {name: row[name] for name in axes if name not in ("model", "device")}
        expected = perfcore.simulate(
            axes["model"], axes["device"], **given, rate=2, requests=20, replicas=2
        )
        count = row.get("draft_devices") or row["expert_devices"]
        assert row["devices"] == expected["devices"] == 2 * (axes["tp"] + count)
        for name in ("ttft_p99_s", "e2e_mean_s", "energy_j", "cost_usd", "kv_use_max"):
            assert row[name] == expected[name], name


@pytest.mark.parametrize(
    ("axes", "status"),
    [
        (
            BESIDE["draft"]
            | {"draft_model": "llama-3.1-70b", "draft_device": "l40s", "draft_devices": 1},
            "draft cannot run",
        ),
        (BESIDE["experts"] | {"expert_devices": 4}, "experts do not fit"),
    ],
)
def test_devices_beside_that_are_too_small_have_a_status(axes, status):
    form = {"columns": ["status"], "keep_infeasible": True}

    assert {row["status"] for row in rows({"request_rate": 2}, axes, output=form)} == {status}


def test_a_pool_without_room_cannot_run():
    axes = {"model": "llama-3.3-70b", "tp": 4, "prefill_device": "h100-sxm", "prefill_tp": 1}
    form = {"columns": ["status"], "keep_infeasible": True}
    found = rows({"request_rate": 1, "prefill_replicas": 1}, axes, output=form)

    assert {row["status"] for row in found} == {"prefill pool cannot run"}


@pytest.mark.parametrize(
    ("traffic", "message"),
    [
        ({"kv_tiers": "flash:1GB"}, "unknown tier 'flash'"),
        ({"kv_tiers": "dram:1GB", "prefix_cache": ["on", "off"]}, "no effect with prefix_cache"),
    ],
)
def test_tiers_and_pools_that_cannot_be_simulated_are_refused(traffic, message):
    assert message in faults(spec(traffic))


def test_results_have_the_same_kind_and_unit_in_both_kinds_of_sweeps():
    assert [c.name for c in SIMULATED if (c.kind, c.unit) != _declared(c.name)] == []


def _declared(name):
    return BY_NAME[name].kind, BY_NAME[name].unit


def test_the_bytes_of_a_run_depend_on_neither_threads_nor_parts_nor_interruptions(tmp_path):
    document = spec({"seed": [0, 1, 2]}, output={"rows_per_shard": 2})
    whole = perfcore.sweep(document, tmp_path / "whole", workers=1)
    threads = perfcore.sweep(document, tmp_path / "threads", workers=4)
    for part in ((2, 2), (1, 2)):
        parts = perfcore.sweep(document, tmp_path / "parts", part=part)
    pooled = perfcore.sweep(document, tmp_path / "pooled", executor=ThreadPoolExecutor(2))
    (tmp_path / "threads" / "data" / "part-00003.parquet").unlink()
    resumed = perfcore.sweep(document, tmp_path / "threads")

    assert whole.rows == 12
    expected = _bytes(whole)
    assert len(expected) == 6
    for other in (threads, parts, pooled, resumed):
        assert _bytes(other) == expected


def _bytes(run):
    return {path.name: path.read_bytes() for path in sorted(run.data.iterdir())}


def test_a_run_is_verified_and_says_how_its_rows_came_about(tmp_path):
    (tmp_path / "day.csv").write_text(TRACE)
    (tmp_path / "sweep.toml").write_text(
        '[axes]\nmodel = "llama-3.1-8b"\ndevice = "h100-sxm"\n'
        '[traffic]\ntrace = "day.csv"\nspeed = [1, 2]\n'
    )
    run = perfcore.sweep(tmp_path / "sweep.toml", tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())

    assert run.to_arrow(["trace"])["trace"].to_pylist() == ["day.csv", "day.csv"]
    assert "simulation" in manifest["fingerprints"]
    assert list(manifest["spec"]["traffic"]["traces"]) == ["day.csv"]
    assert str(tmp_path) not in json.dumps(manifest["spec"])

    (tmp_path / "day.csv").write_text(TRACE.replace("100", "101"))
    with pytest.raises(perfcore.InputError, match="another specification"):
        perfcore.sweep(tmp_path / "sweep.toml", tmp_path / "run")


def test_a_trace_that_changes_after_it_was_read_is_refused(tmp_path):
    (tmp_path / "day.csv").write_text(TRACE)
    document = spec(None, {"tp": 1})
    document["traffic"] = {"trace": str(tmp_path / "day.csv")}
    space = perfcore.Space.from_dict(document)
    (tmp_path / "day.csv").write_text(TRACE.replace("100", "101"))

    with pytest.raises(perfcore.InputError, match="is not the trace"):
        perfcore.sweep(space)


def test_traces_in_overrides_are_found_from_the_current_directory(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "day.csv").write_text(TRACE)
    (tmp_path / "elsewhere" / "sweep.toml").write_text(
        '[axes]\nmodel = "llama-3.1-8b"\ndevice = "h100-sxm"\n'
        "[traffic]\nrequest_rate = 1\nrequests = 10\n"
    )
    monkeypatch.chdir(tmp_path)
    path = "elsewhere/sweep.toml"
    drawn = perfcore.sweep(path, overrides=["traffic.input_len=trace:day.csv"])
    replayed = perfcore.sweep(path, overrides=['traffic={ trace = ["day.csv"] }'])

    assert drawn.num_rows == replayed.num_rows == 1


def test_lengths_drawn_from_a_trace_and_stages_of_a_rate(tmp_path):
    (tmp_path / "day.csv").write_text(TRACE)
    lengths = f"trace:{tmp_path / 'day.csv'}"
    traffic = {"request_rate": "2@10s,8@10s", "input_len": lengths, "output_len": ["8", lengths]}
    found = rows({**traffic, "requests": 40}, {"tp": 1})

    assert [row["output_len"] for row in found] == ["8", lengths]
    assert found[0]["request_rate"] == "2@10s,8@10s"
    assert found[0]["makespan_s"] > 10


def test_clients_turns_and_rules_of_the_scheduler_are_axes():
    document = spec({"turns": [1, 4], "think_time": "1 s", "prefix_cache": [True, "off"]})
    del document["traffic"]["request_rate"]
    document["traffic"] |= {"clients": [2, 8], "system_prompt": 64, "max_sequences": 4}
    found = perfcore.sweep(document, overrides=["axes.tp=1"]).to_pylist()

    assert len(found) == 8
    assert {row["prefix_cache"] for row in found} == {"on", "off"}
    assert all(row["prefix_hit_rate"] == 0.0 for row in found if row["prefix_cache"] == "off")
    assert all(row["prefix_hit_rate"] > 0.0 for row in found if row["prefix_cache"] == "on")


def test_what_cannot_run_is_left_out_by_reason_or_kept():
    axes = {"model": ["llama-3.1-8b", "llama-3.3-70b"], "tp": [1, 3]}
    left = perfcore.sweep(spec({"request_rate": 2}, axes))
    kept = rows({"request_rate": 2}, axes, output={"keep_infeasible": True})

    assert left.num_rows == 1
    assert sum(left.dropped.values()) == 3
    assert [row["status"] for row in kept if row["status"] != "ok"] == [
        "heads not divisible by tp",
        "weights do not fit",
        "heads not divisible by tp",
    ]
    assert all(row["ttft_p99_s"] is None for row in kept if row["status"] != "ok")


def test_an_overloaded_server_is_a_result():
    (row,) = rows(
        {"request_rate": 500, "requests": 2000, "input_len": 4000}, {"tp": 1, "device": "l40s"}
    )

    assert row["status"] == "overloaded"
    assert row["queue_growth_per_s"] > 0.0


def test_conditions_and_samples_apply_to_simulated_rows():
    every = rows({"request_rate": [2, 8, 32]})
    limit = sorted(row["ttft_p99_s"] for row in every)[3]
    where = [
        {"metric": "ttft_p99_s", "max": limit},
        {"metric": "slo", "in": ["met"]},
        {"axis": "request_rate", "min": 8},
    ]
    found = rows({"request_rate": [2, 8, 32]}, where=where)
    drawn = rows({"request_rate": [2, 8, 32]}, sample={"n": 4, "method": "random"})

    assert found == [
        row for row in every if row["ttft_p99_s"] <= limit and row["request_rate"] >= 8
    ]
    assert len(drawn) == 4
    assert all(row in every for row in drawn)


def test_searches_find_the_best_of_all_rows():
    document = spec({"request_rate": [1, 4, 16], "slo": "ttft_p99_s<=100ms"})
    every = listed(perfcore.sweep(document))
    best = listed(
        perfcore.search(
            document,
            minimize="cost_per_mtok_output_usd",
            where=["slo=met"],
            by=["request_rate"],
            workers=2,
        )
    )
    front = listed(
        perfcore.pareto(
            document, ["ttft_p99_s", "cost_per_mtok_output_usd"], executor=ThreadPoolExecutor(2)
        )
    )
    counts = perfcore.histogram(document, "ttft_p99_s").to_pylist()

    for rate in (1.0, 4.0, 16.0):
        among = [row for row in every if row["request_rate"] == rate and row["slo"] == "met"]
        expected = min(among, key=lambda row: row["cost_per_mtok_output_usd"])
        assert expected in best
    assert all(row in every for row in front)
    assert sum(bin_["rows"] for bin_ in counts) == len(every)
    with pytest.raises(perfcore.InputError, match="unknown metric 'mbu'"):
        perfcore.search(document, minimize="mbu")


def test_a_plan_estimates_time_from_simulations():
    plan = perfcore.plan(spec({"seed": list(range(40))}))

    assert plan.space.rows == 160
    assert plan.forecast.seconds > 0.0
    assert plan.forecast.sampled_rows < 160


def test_runs_are_compared(tmp_path):
    before = perfcore.sweep(spec(), tmp_path / "before")
    after = perfcore.sweep(spec({"seed": 1}), tmp_path / "after")

    assert not perfcore.diff(before, after, metrics=["ttft_p99_s"]).equal


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"request_rat": 3}, "traffic: unknown key 'request_rat'; did you mean 'request_rate'"),
        ({"clients": 3}, "traffic: one of request_rate, clients, trace says when requests arrive"),
        ({"speed": 2}, "traffic.speed: has no effect beside request_rate; leave it out"),
        ({"request_rate": [0]}, "traffic.request_rate[1]: 0 is out of bounds"),
        ({"request_rate": "1@,2"}, "traffic.request_rate: '1@' has no time"),
        ({"input_len": "normal:3"}, "traffic.input_len: unknown distribution 'normal'"),
        ({"input_len": "trace:none.csv"}, "none.csv"),
        ({"routing": "random"}, "traffic.routing: unknown value of routing 'random'"),
        ({"cv": [1, 1]}, "traffic.cv[2]: 1 is a duplicate of 1"),
        (
            {"input_len": ["uniform:1..2"] * 2},
            "traffic.input_len[2]: 'uniform:1..2' is a duplicate",
        ),
        ({"slo": "mtbf<=3"}, "unknown latency 'mtbf'"),
        ({"slo": 3}, "traffic.slo: 3 is not a list of texts"),
        ({"daily": 2, "request_rate": "1@1s,2"}, "traffic.daily: beside stages of request_rate"),
        ({"prefix_cache": 3}, "traffic.prefix_cache: unknown value of prefix_cache '3'"),
        ({"routing": [["a"]]}, "traffic.routing[1]: ['a'] is not text"),
        ({"routing": []}, "traffic.routing: 0 values; list at least one"),
    ],
)
def test_faults_of_the_section(section, said):
    assert said in faults(spec(section))


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"batch": 4}, "axes.batch: has no effect with [traffic]; leave it out"),
        ({"devices": "auto", "tp": 1}, "axes.devices: is not chosen with [traffic]"),
        ({"scheduler": "static"}, "axes.scheduler: only 'continuous' is simulated"),
        ({"offload": "kv"}, "axes.offload: has no effect with [traffic]"),
    ],
)
def test_faults_of_axes_beside_traffic(axes, said):
    assert said in faults(spec(None, axes))


@pytest.mark.parametrize(
    ("replicas", "axes", "said"),
    [
        (0, {"prefill_device": "h20"}, "axes.prefill_device: there is no prefill pool; add"),
        (1, {"prefill_ratio": 2}, "axes.prefill_ratio: beside prefill_replicas; leave it out"),
        ([0, 1], BESIDE["draft"], "axes.draft_model: beside prefill_replicas; leave out one"),
        (1, BESIDE["experts"], "axes.expert_device: beside prefill_replicas; leave out one"),
    ],
)
def test_faults_of_pools(replicas, axes, said):
    assert said in faults(spec({"prefill_replicas": replicas}, axes))


def test_faults_of_the_whole():
    assert "traffic: 3 is not a table" in faults({**spec(), "traffic": 3})
    assert "unknown column 'mbu'" in faults(spec(output={"columns": ["mbu"]}))
    assert "unknown metric 'tpot_s'" in faults(spec(where={"metric": "tpot_s", "max": 1}))
    both = spec({"input_len": "uniform:1..9"}, {"input_len": 5})
    assert "axes.input_len: is given in [traffic], too" in faults(both)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dropped", [0, 1, 8, 12])
def test_rounding_is_that_of_the_kernel(dtype, dropped):
    @jit.kernel
    def kernels(values, bits):
        for place in range(values.size):
            values[place] = jit.rounded(values[place], bits)

    values = np.random.default_rng(3).lognormal(0.0, 5.0, 1000).astype(dtype)
    expected = values.copy()
    for place in range(len(values)):
        expected[place] = values[place]
    kernels(expected, dropped)

    np.testing.assert_array_equal(rounded_to(values, dropped), expected)
