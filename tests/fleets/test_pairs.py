"""Fleets of two pools, and of clients, against simulations of all numbers of servers."""

import shlex

import pytest

import perfcore
from perfcore.errors import InputError
from perfcore.fleets.inputs import with_length
from perfcore.fleets.pairs import _cheapest_of
from perfcore.traffic.results import summary
from perfcore.traffic.server import Rules, simulate_pools, simulate_requests
from perfcore.traffic.synthetic import Traffic

MODEL = "llama-3.1-8b"
RATE = {"rate": 12, "requests": 600, "input_len": "lognormal:3000,cv=0.5", "output_len": 96}
SLOS = {"ttft_p95_s": 0.5, "tpot_p95_s": 0.03}
ONE = {"tp": 1, "pp": 1, "prefill_tp": 1, "prefill_pp": 1, "weight_format": "bf16"}
PAIR = {"device": "l40s", "prefill_device": ["h100-sxm", "l40s"], **ONE}


@pytest.fixture(scope="module")
def sizing():
    return perfcore.size(MODEL, Traffic(**RATE), SLOS, **PAIR)


def seeds(traffic, **changes):
    return [Traffic(**{**traffic, **changes}, seed=seed).made() for seed in range(3)]


def met(simulation, slos):
    figures = summary(simulation, slos)
    return figures["status"] == "ok" and figures["slo"] == "met"


def met_by_pools(fleet, counts, requests, slos=SLOS):
    prefill, decode = (Rules(replicas=count) for count in counts)
    ahead = fleet.prefill.configuration
    return all(
        met(simulate_pools(ahead, fleet.configuration, one, prefill, decode), slos)
        for one in requests
    )


def counts_of(fleet):
    return fleet.prefill.rules.replicas, fleet.rules.replicas


def prices_of(fleet):
    ahead = fleet.prefill.figures["cost_per_month_usd"]
    rest = fleet.figures["cost_per_month_usd"] - ahead
    return ahead / counts_of(fleet)[0], rest / counts_of(fleet)[1]


def test_each_pair_of_devices_has_a_fleet_the_cheapest_first(sizing):
    devices = {
        (fleet.prefill.configuration.labels["device"], fleet.configuration.labels["device"])
        for fleet in sizing.fleets
    }
    prices = [fleet.figures["cost_per_month_usd"] for fleet in sizing.fleets]

    assert devices == {("h100-sxm", "l40s"), ("l40s", "l40s")}
    assert prices == sorted(prices)


def test_no_cheaper_numbers_of_servers_meet_the_objectives(sizing):
    requests = seeds(RATE)
    for fleet in sizing.fleets:
        found, prices = counts_of(fleet), prices_of(fleet)
        best = found[0] * prices[0] + found[1] * prices[1]
        assert met_by_pools(fleet, found, requests)
        for first in range(1, 12):
            for second in range(1, 12):
                if first * prices[0] + second * prices[1] < best * 0.999:
                    assert not met_by_pools(fleet, (first, second), requests)


def test_figures_are_those_of_simulate_and_of_both_pools(sizing):
    fleet = sizing.fleets[0]
    labels = fleet.prefill.configuration.labels
    found = perfcore.simulate(
        *(MODEL, "l40s", Traffic(**RATE)),
        weight_format="bf16",
        tp=1,
        replicas=fleet.rules.replicas,
        prefill={"device": labels["device"], "replicas": fleet.prefill.rules.replicas},
    )
    for name in ("ttft_p95_s", "tpot_p95_s", "e2e_mean_s", "energy_j", "devices"):
        assert fleet.figures[name] == found[name]
    assert fleet.figures["cost_per_month_usd"] == pytest.approx(found["cost_per_month_usd"])
    told = fleet.to_dict()
    assert told["prefill_device"] == labels["device"]
    assert told["prefill_replicas"] + fleet.rules.replicas == told["replicas"]
    assert 0.0 < told["prefill_facility_power_w"] < told["facility_power_w"]
    assert 0.0 < told["prefill_cost_per_month_usd"] < told["cost_per_month_usd"]


def test_counts_add_up(sizing):
    counts = sizing.counts
    decided = counts.do_not_run + counts.too_slow + counts.too_dear + counts.guessed
    assert decided + counts.simulated == counts.layouts


def test_headroom_is_met_and_more_is_not(sizing):
    fleet = sizing.fleets[0]

    def at(rate):
        requests = seeds(RATE)
        return [one._replace(arrival_s=one.arrival_s / rate) for one in requests]

    assert met_by_pools(fleet, counts_of(fleet), at(1.0 + fleet.headroom))
    assert not met_by_pools(fleet, counts_of(fleet), at(1.04 * (1.0 + fleet.headroom)))


def test_pools_without_a_device_are_of_the_same():
    found = perfcore.size(
        MODEL, Traffic(**RATE), SLOS, device=["h100-sxm", "l40s"], disaggregate=True, **ONE
    )
    for fleet in found.fleets:
        assert fleet.prefill.configuration.labels["device"] == fleet.configuration.labels["device"]
    assert len(found.fleets) == 2


def test_a_slower_link_costs_time_end_to_end():
    slos = {"e2e_mean_s": 20.0}
    options = {"device": "l40s", "prefill_device": "h100-sxm", **ONE}
    fast, slow = (
        perfcore.size(MODEL, Traffic(**RATE), slos, **options, prefill_link=link).fleets[0]
        for link in ("100 GB/s", "1 GB/s")
    )

    assert counts_of(fast) == counts_of(slow)
    assert slow.figures["e2e_mean_s"] > fast.figures["e2e_mean_s"]


def test_limits_end_to_end_are_shared_between_pools():
    """A fleet whose prompts may not take as long as a whole request may."""
    slos = {"e2e_p95_s": 3.0}
    found = perfcore.size(MODEL, Traffic(**RATE), slos, device="l40s", **ONE, disaggregate=True)
    (fleet,) = found.fleets
    requests, prices = seeds(RATE), prices_of(fleet)
    counts = counts_of(fleet)

    assert met_by_pools(fleet, counts, requests, slos)
    assert not met_by_pools(fleet, (counts[0], counts[1] - 1), requests, slos)
    assert not met_by_pools(fleet, (counts[0] - 1, counts[1]), requests, slos)
    assert prices[0] == pytest.approx(prices[1])


def test_commands_start_both_pools(sizing):
    assert list(sizing.launch) == list(sizing.prefill_launch) == ["vllm", "sglang", "trtllm"]
    assert "--disaggregation-mode decode" in sizing.launch["sglang"]
    assert "--disaggregation-mode prefill" in sizing.prefill_launch["sglang"]
    words = shlex.split(sizing.prefill_launch["vllm"])
    assert words[words.index("--kv-transfer-config") + 1] == (
        '{"kv_connector":"NixlConnector","kv_role":"kv_producer"}'
    )
    assert '"kv_role":"kv_consumer"' in sizing.launch["vllm"]
    assert "cache_transceiver_config" in sizing.launch["trtllm"]
    assert "disable_overlap_scheduler: true" in sizing.prefill_launch["trtllm"]
    assert "disable_overlap_scheduler" not in sizing.launch["trtllm"]
    assert sizing.to_dict()["prefill_launch"] == sizing.prefill_launch


def test_pools_of_different_engines_have_no_commands():
    options = {"device": "h100-sxm", "engine": "vllm", "prefill_engine": "sglang", **ONE}
    found = perfcore.size(MODEL, Traffic(**RATE), SLOS, **options)

    assert found.fleets
    assert found.launch == found.prefill_launch == {}
    assert "different engines" in found.note


def test_prompts_that_no_pool_reads_in_time_are_a_result():
    slos = {"ttft_p95_s": 1e-4, "tpot_p95_s": 1.0}
    found = perfcore.size(MODEL, Traffic(**RATE), slos, device="h100-sxm", disaggregate=True)

    assert not found.fleets
    assert "the nearest has ttft_p95_s" in found.reason
    few = perfcore.size(MODEL, Traffic(**RATE), SLOS, max_devices=2, **PAIR)
    assert "at most 2 devices" in few.reason


@pytest.mark.parametrize(("prompts_usd", "answers_usd"), [(1, 1), (3, 1), (1, 4)])
def test_the_cheapest_corner_of_a_staircase(prompts_usd, answers_usd):
    """More servers of one pool need fewer of the other."""

    class Pair:
        def price(self, counts):
            return counts[0] * prompts_usd + counts[1] * answers_usd

        def fits(self, counts):
            return max(counts) <= 64

        def most(self, counts, limit):
            return int((limit - counts[0] * prompts_usd - 1e-9) // answers_usd)

    def enough(counts):
        return counts[0] >= 3 and counts[1] >= 2 and counts[0] * counts[1] >= 24

    pair = Pair()
    every = [(p, d) for p in range(3, 40) for d in range(2, 40) if enough((p, d))]
    expected = min(map(pair.price, every))
    for first in (3, 5, 12):
        found = _cheapest_of(pair, enough, (3, 2), (first, 4), 60, 4)
        assert enough(found)
        assert pair.price(found) == expected


CLIENTS = {"clients": 60, "requests": 1500, "input_len": 1000, "output_len": 100}


def test_fewest_servers_for_clients():
    traffic = {**CLIENTS, "think_time": 1.0, "output_len": "uniform:50..150"}
    slos = {"e2e_p95_s": 4.0}
    found = perfcore.size(MODEL, Traffic(**traffic), slos, device="l40s", tp=1, pp=1)

    assert len(found.fleets) == 2
    for fleet in found.fleets:
        served = {
            replicas: all(
                met(simulate_requests(fleet.configuration, one, Rules(replicas=replicas)), slos)
                for one in seeds(traffic)
            )
            for replicas in range(1, fleet.rules.replicas + 1)
        }
        assert list(served.values()) == [False] * (fleet.rules.replicas - 1) + [True]
        clients = round(60 * (1.0 + fleet.headroom))
        assert clients == pytest.approx(60 * (1.0 + fleet.headroom))
        more = {"clients": clients, "requests": round(1500 * clients / 60)}
        rules = Rules(replicas=fleet.rules.replicas)
        assert all(
            met(simulate_requests(fleet.configuration, one, rules), slos)
            for one in seeds(traffic, **more)
        )


def test_clients_who_think_need_fewer_servers():
    slos = {"e2e_p95_s": 2.0}
    busy, thinking = (
        perfcore.size(MODEL, Traffic(**CLIENTS, think_time=pause), slos, device="l40s", tp=1, pp=1)
        for pause in (0.0, 5.0)
    )

    assert thinking.fleets[0].rules.replicas < busy.fleets[0].rules.replicas


@pytest.mark.parametrize(
    "traffic",
    [
        {**CLIENTS, "think_time": 1.0},
        {"rate": 2, "requests": 400, "turns": 4, "input_len": 400, "output_len": 80}
        | {"think_time": 2},
    ],
)
def test_clients_and_sessions_on_two_pools(traffic):
    slos = {"e2e_p95_s": 3.0}
    found = perfcore.size(MODEL, Traffic(**traffic), slos, **PAIR)

    assert len(found.fleets) == 2
    for fleet in found.fleets:
        counts = counts_of(fleet)
        assert met_by_pools(fleet, counts, seeds(traffic), slos)
        for fewer in ((counts[0] - 1, counts[1]), (counts[0], counts[1] - 1)):
            assert 0 in fewer or not met_by_pools(fleet, fewer, seeds(traffic), slos)


def test_length_of_the_traffic_of_clients():
    assert with_length(Traffic(clients=50)).numbers["requests"] == 5_000
    assert with_length(Traffic(clients=2)).numbers["requests"] == 1_000
    assert with_length(Traffic(clients=5000)).numbers["requests"] == 50_000
    stated = Traffic(clients=50, requests=70)
    assert with_length(stated) is stated


def test_requests_of_clients_need_their_description():
    with pytest.raises(InputError, match="give the Traffic that describes them"):
        perfcore.size(MODEL, Traffic(**CLIENTS).made(), SLOS, device="l40s")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"prefill_device": "h9000"}, "h9000"),
        ({"prefill_device": []}, "prefill_device: .* is empty"),
        ({"prefill_tp": 0}, "prefill_tp: 0"),
        ({"prefill_engine": "none"}, "none"),
        ({"prefill_link": "fast"}, "prefill_link"),
        ({"prefill_ratio": 2}, "unknown option 'prefill_ratio'"),
    ],
)
def test_faults(options, fault):
    with pytest.raises(InputError, match=fault):
        perfcore.size(MODEL, Traffic(**RATE), SLOS, device="l40s", **options)
