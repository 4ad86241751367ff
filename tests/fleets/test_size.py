"""Sizing against simulations of all replicas, its bounds, and the commands that start a fleet."""

import shlex

import pytest

import perfcore
from perfcore.catalog.loader import load_model
from perfcore.catalog.native import native_format
from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError
from perfcore.fleets.bounds import demand_of, fastest_token_s, fewest_replicas
from perfcore.fleets.inputs import with_length
from perfcore.fleets.launching import Started, checkpoint_note, launch_commands
from perfcore.fleets.search import largest_rate, smallest
from perfcore.traffic.results import statistics, summary
from perfcore.traffic.server import Rules, limits_of, replica_of, room_of, simulate_requests
from perfcore.traffic.synthetic import Traffic

MODEL = "llama-3.1-8b"
TRAFFIC = Traffic(rate=20, requests=600, input_len="lognormal:1500,cv=0.5", output_len=128)
SLOS = {"ttft_p95_s": 0.5, "tpot_p95_s": 0.04}
FIELDS = ("rate", "requests", "input_len", "output_len")
CHOICE = {"device": ["h100-sxm", "l40s"], "weight_format": ["bf16", "fp8"]}


@pytest.fixture(scope="module")
def sizing():
    return perfcore.size(MODEL, TRAFFIC, SLOS, **CHOICE)


def served(configuration, replicas, requests=None, **rules):
    requests = TRAFFIC.made() if requests is None else requests
    return simulate_requests(configuration, requests, Rules(replicas=replicas, **rules))


def met(simulation, slos=SLOS):
    figures = summary(simulation, slos)
    return figures["status"] == "ok" and figures["slo"] == "met"


def seeds(rate=1.0):
    for seed in range(3):
        fields = {name: getattr(TRAFFIC, name) for name in FIELDS}
        requests = Traffic(**fields, seed=seed).made()
        yield requests._replace(arrival_s=requests.arrival_s / rate)


def met_by_seeds(configuration, replicas, rate=1.0):
    return all(met(served(configuration, replicas, requests)) for requests in seeds(rate))


def test_fleets_meet_objectives_with_the_fewest_replicas(sizing):
    assert len(sizing.fleets) == 4
    for fleet in sizing.fleets:
        assert met_by_seeds(fleet.configuration, fleet.rules.replicas)
        if fleet.rules.replicas > 1:
            assert not met_by_seeds(fleet.configuration, fleet.rules.replicas - 1)


def test_figures_are_those_of_simulate(sizing):
    fleet = sizing.fleets[0]
    labels = fleet.configuration.labels
    found = perfcore.simulate(
        MODEL,
        labels["device"],
        TRAFFIC,
        replicas=fleet.rules.replicas,
        **{name: labels[name] for name in ("weight_format", "tp", "pp")},
    )
    for name in ("ttft_p95_s", "tpot_p95_s", "e2e_mean_s", "energy_j"):
        assert fleet.figures[name] == found[name]
    assert fleet.figures["cost_per_month_usd"] == pytest.approx(found["cost_per_month_usd"])


def test_fleets_are_ranked_by_price_and_one_per_group(sizing):
    prices = [fleet.figures["cost_per_month_usd"] for fleet in sizing.fleets]
    groups = [
        (fleet.configuration.labels["device"], fleet.configuration.labels["weight_format"])
        for fleet in sizing.fleets
    ]
    assert prices == sorted(prices)
    assert len(set(groups)) == len(groups)


def test_no_layout_that_was_left_out_is_cheaper(sizing):
    """All layouts of one device, simulated with all numbers of replicas that cost less."""
    fleet = next(f for f in sizing.fleets if f.configuration.labels["device"] == "l40s")
    price = fleet.figures["cost_per_month_usd"] / fleet.figures["devices"]
    made = fleet.configuration
    for tp, pp in [(1, 1), (2, 1), (1, 2), (4, 1), (2, 2)]:
        other = made.changed(tp=tp, pp=pp)
        for replicas in range(1, 20):
            if replicas * tp * pp * price < fleet.figures["cost_per_month_usd"] * 0.999:
                assert not met_by_seeds(other, replicas)


def test_counts_add_up(sizing):
    counts = sizing.counts
    decided = counts.do_not_run + counts.too_slow + counts.too_dear + counts.guessed
    assert decided + counts.simulated == counts.layouts


def test_headroom_is_met_and_more_is_not(sizing):
    fleet = sizing.fleets[0]
    rate = 1.0 + fleet.headroom
    assert met_by_seeds(fleet.configuration, fleet.rules.replicas, rate)
    assert not met_by_seeds(fleet.configuration, fleet.rules.replicas, 1.03 * rate)


def test_intervals_hold_all_seeds(sizing):
    fleet = sizing.fleets[0]
    for requests in seeds():
        values = statistics(served(fleet.configuration, fleet.rules.replicas, requests))
        for name, (low, high) in fleet.intervals.items():
            assert low <= values[name] <= high


def test_sure_fleets_meet_objectives_at_the_upper_ends():
    found = perfcore.size(MODEL, TRAFFIC, {"tpot_p95_s": 0.04}, device="h100-sxm", sure=True)
    for fleet in found.fleets:
        assert fleet.figures["tpot_p95_high_s"] <= 0.04


def test_power_and_energy_of_a_month(sizing):
    figures = sizing.fleets[0].figures
    watts = figures["power_w"] * figures["devices"]
    assert figures["fleet_power_w"] == pytest.approx(watts)
    assert figures["facility_power_w"] > watts
    hours = 8760.0 / 12.0
    expected = figures["facility_power_w"] * hours / 1000.0
    assert figures["facility_energy_per_month_kwh"] == pytest.approx(expected)
    assert figures["cost_per_hour_usd"] * hours == pytest.approx(figures["cost_per_month_usd"])


@pytest.mark.parametrize(
    "layout", [{"tp": 1}, {"tp": 2, "pp": 2}, {"draft_len": 3, "acceptance": 0.7}]
)
def test_bounds_hold(layout):
    configuration = Configuration(MODEL, "h100-sxm", scheduler="continuous", **layout)
    requests = Traffic(rate=200, requests=800, input_len="uniform:100..3000", output_len=100).made()
    demand = demand_of(requests)
    replica, rules = replica_of(configuration), Rules()
    room = room_of(replica, requests, rules)
    limits = limits_of(replica, requests, rules, room)
    slos = {"ttft_p95_s": 0.5, "tpot_p95_s": 0.05}
    least = fewest_replicas(replica, limits, room, demand, slos)

    busy = served(configuration, 1, requests)
    horizon = 1.1 * demand.seconds + 0.5 + 0.05 * demand.longest
    assert least - 1 <= busy.makespan_s / horizon
    alone = statistics(served(configuration, 400, requests))
    assert fastest_token_s(replica, demand) <= alone["tpot_p50_s"]
    assert not any(met(served(configuration, n, requests), slos) for n in range(1, least))


def test_latencies_that_no_fleet_reaches_are_a_result():
    found = perfcore.size(MODEL, TRAFFIC, {"tpot_p95_s": 1e-5}, device="h100-sxm")
    assert found.fleets == ()
    assert found.launch == {}
    assert "tokens fast enough" in found.reason


def test_objectives_out_of_reach_name_the_nearest_layout():
    traffic = perfcore.Traffic(rate=1, requests=50, input_len=4000, output_len=10)
    found = perfcore.size(
        "llama-3.1-8b", traffic, {"ttft_p99_s": 0.001}, device=["l40s", "h100-sxm"], tp=[1, 2]
    )

    assert not found.fleets
    assert "the nearest has ttft_p99_s" in found.reason
    assert "h100-sxm, tp 2 (limit 1 ms)" in found.reason
    assert found.counts.simulations == found.counts.too_slow + 1
    found = perfcore.size(MODEL, TRAFFIC, {"ttft_p99_s": 1e-4}, device="h100-sxm", tp=1, pp=1)
    assert found.counts.too_slow == 2
    found = perfcore.size(MODEL, Traffic(rate=500, requests=2000), SLOS, max_devices=1, **CHOICE)
    assert "at most 1 devices" in found.reason
    found = perfcore.size("llama-3.1-405b", TRAFFIC, SLOS, device="l40s", tp=1, pp=1)
    assert "fits no layout" in found.reason


def test_sessions_are_sized():
    traffic = Traffic(rate=3, requests=300, turns=4, input_len=200, output_len=60, think_time=2)
    found = perfcore.size(MODEL, traffic, {"e2e_p90_s": 4.0}, device="h100-sxm")
    assert all(fleet.figures["prefix_hit_rate"] > 0.2 for fleet in found.fleets)


def test_experts_are_spread_over_attention_groups():
    traffic = Traffic(rate=4, requests=200, input_len=1000, output_len=100)
    found = perfcore.size("gpt-oss-20b", traffic, {"tpot_p95_s": 0.05}, device="h100-sxm", dp=2)
    labels = found.fleets[0].configuration.labels
    assert labels["weight_format"] == "mxfp4"
    assert labels["dp"] == 2
    assert "--data-parallel-size 2" in found.launch["vllm"]
    assert "--enable-dp-attention" in found.launch["sglang"]


def test_classes_of_devices_stand_for_their_devices_on_the_market():
    found = perfcore.size(MODEL, TRAFFIC, SLOS, device="datacentre-gpu-hopper", top=3)
    assert len(found.fleets) == 3
    assert {"H" in fleet.configuration.entries.device.title for fleet in found.fleets} == {True}


@pytest.mark.parametrize("target", [1, 2, 7, 19, 20, 21])
@pytest.mark.parametrize("start", [1, 5, 20])
def test_smallest_number_that_is_met(target, start):
    asked = []

    def enough(count):
        asked.append(count)
        return count >= target

    assert smallest(enough, 1, 20, start) == (target if target <= 20 else None)
    assert len(asked) == len(set(asked))
    assert all(1 <= count <= 20 for count in asked)


def test_largest_rate_that_is_met():
    assert largest_rate(lambda _: True) == float("inf")
    assert largest_rate(lambda _: False) == pytest.approx(1.0)
    assert 1.45 < largest_rate(lambda rate: rate <= 1.5) <= 1.5


def test_traffic_at_a_rate_lasts_ten_minutes():
    assert with_length(Traffic(rate=50)).numbers["requests"] == 30_000
    assert with_length(Traffic(rate=0.1)).numbers["requests"] == 1_000
    assert with_length(Traffic(rate=1e4)).numbers["requests"] == 50_000
    for stated in (Traffic(rate=5, requests=70), Traffic(rate=5, duration=60.0)):
        assert with_length(stated) is stated
    stages = Traffic(rate="5@1min,9@1min")
    assert with_length(stages) is stages


def test_commands_state_what_was_sized():
    configuration = Configuration(
        "llama-3.3-70b", "h100-sxm", "trtllm", "fp8", "fp8", scheduler="continuous", tp=4, pp=2
    )
    rules = Rules(max_sequences=64, budget=4096, prefix_cache=False)
    requests = TRAFFIC.made()
    replica = replica_of(configuration)
    limits = limits_of(replica, requests, rules, room_of(replica, requests, rules))
    (command,) = launch_commands(Started(configuration, rules, limits), 5000).values()
    words = shlex.split(command)
    told = {words[n]: words[n + 1] for n in range(len(words) - 1) if words[n].startswith("--")}
    assert told["--tp_size"] == "4"
    assert told["--pp_size"] == "2"
    assert told["--max_batch_size"] == "64"
    assert told["--max_num_tokens"] == "4096"
    assert told["--max_seq_len"] == "5120"
    assert "dtype: fp8" in command
    assert "enable_block_reuse: false" in command
    assert "checkpoint" in checkpoint_note(configuration, ["trtllm"])

    default = configuration.changed(engine="default")
    found = launch_commands(Started(default, Rules(chunked=False), limits), 5000)
    assert list(found) == ["vllm", "sglang", "trtllm"]
    assert "--quantization fp8 --kv-cache-dtype fp8 " in found["vllm"]
    assert "--no-enable-chunked-prefill" in found["vllm"]
    assert "--chunked-prefill-size -1" in found["sglang"]
    assert (
        launch_commands(Started(configuration.changed(engine="llamacpp"), rules, limits), 5000)
        == {}
    )
    amd = default.changed(device="mi300x")
    assert "trtllm" not in launch_commands(Started(amd, rules, limits), 5000)
    assert checkpoint_note(default.changed(weight_format="bf16"), found) == ""
    assert "nvfp4" in checkpoint_note(default.changed(weight_format="nvfp4"), found)


def test_published_formats():
    def published(dtype):
        return native_format(load_model("qwen3-8b").model_copy(update={"native_dtype": dtype}))

    assert published("bf16") == "bf16"
    assert published("fp8+mxfp4 experts") == "mxfp4"
    assert published("int4 experts (QAT)") == "int4-g32"


@pytest.mark.parametrize(
    ("slos", "options", "fault"),
    [
        ({}, {}, "no objective"),
        ({"ttft_p42_s": 1.0}, {}, "unknown latency 'ttft_p42_s'"),
        (SLOS, {"device": "h9000"}, "h9000"),
        (SLOS, {"device": []}, "is empty"),
        (SLOS, {"tp": 0}, "tp: 0"),
        (SLOS, {"batch": 4}, "unknown option 'batch'"),
        (SLOS, {"max_devices": 0}, "max_devices"),
        (SLOS, {"economics": "nowhere"}, "nowhere"),
    ],
)
def test_faults(slos, options, fault):
    with pytest.raises(InputError, match=fault.replace("[", r"\[")):
        perfcore.size(MODEL, TRAFFIC, slos, **options)


def test_requests_beyond_the_context_are_refused():
    long = Traffic(rate=1, requests=10, input_len=200_000)
    with pytest.raises(InputError, match="cannot fit the context"):
        perfcore.size(MODEL, long, SLOS)
