"""Fleets whose servers have a draft, or experts, on devices beside them."""

import pytest

import perfcore
from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError
from perfcore.fleets.bounds import demand_of, fastest_token_s, fewest_replicas, steady_state
from perfcore.traffic.results import statistics, summary
from perfcore.traffic.server import (
    Rules,
    limits_of,
    others_of,
    replica_of,
    room_of,
    simulate_requests,
)
from perfcore.traffic.synthetic import Traffic

SLOS = {"ttft_p95_s": 1.0, "tpot_p95_s": 0.05}
DRAFTS = {
    "model": "llama-3.3-70b",
    "device": "h100-sxm",
    "weight_format": "fp8",
    "draft_model": "llama-3.2-1b",
    "draft_device": ["l40s", "h100-sxm"],
    "draft_len": 3,
    "acceptance": 0.8,
}
EXPERTS = {
    "model": "gpt-oss-120b",
    "device": ["h20", "h100-sxm"],
    "expert_device": "h100-sxm",
    "expert_devices": [1, 2],
    "expert_parts": [1, 2],
}
CASES = {"drafts": DRAFTS, "experts": EXPERTS}
RATES = {"drafts": 12, "experts": 12}
DEGREES = ("tp", "pp", "dp", "ep")


@pytest.fixture(scope="module", params=CASES)
def sized(request):
    options = dict(CASES[request.param])
    traffic = Traffic(rate=RATES[request.param], requests=500, input_len=1000, output_len=100)
    return options, traffic, perfcore.size(options.pop("model"), traffic, SLOS, **options)


def met(configuration, traffic, replicas):
    for seed in range(3):
        fields = {name: getattr(traffic, name) for name in ("rate", "requests", *LENGTHS)}
        requests = Traffic(**fields, seed=seed).made()
        found = simulate_requests(configuration, requests, Rules(replicas=replicas))
        figures = summary(found, SLOS)
        if (figures["status"], figures["slo"]) != ("ok", "met"):
            return False
    return True


LENGTHS = ("input_len", "output_len")


def test_fleets_meet_objectives_with_the_fewest_replicas(sized):
    _, traffic, sizing = sized
    assert len(sizing.fleets) == 2
    for fleet in sizing.fleets:
        assert met(fleet.configuration, traffic, fleet.rules.replicas)
        if fleet.rules.replicas > 1:
            assert not met(fleet.configuration, traffic, fleet.rules.replicas - 1)


def test_figures_are_those_of_simulate_and_all_devices_are_paid(sized):
    options, traffic, sizing = sized
    for fleet in sizing.fleets:
        row = fleet.to_dict()
        names = [name for name in fleet.configuration.of_pool if name in options]
        given = {name: row[name] for name in (*DEGREES, *names, "weight_format")}
        given |= {name: options[name] for name in ("draft_len", "acceptance") if name in options}
        found = perfcore.simulate(
            row["model"], row["device"], traffic, replicas=fleet.rules.replicas, **given
        )
        for name in ("ttft_p95_s", "e2e_mean_s", "energy_j", "devices"):
            assert fleet.figures[name] == found[name], name
        assert row["cost_per_month_usd"] == pytest.approx(found["cost_per_month_usd"])
        each = fleet.configuration.device_count + fleet.configuration.devices_beside
        assert row["devices"] == fleet.rules.replicas * each


def test_no_engine_starts_them_by_a_command(sized):
    *_, sizing = sized
    assert (sizing.launch, sizing.prefill_launch) == ({}, {})
    assert "devices beside" in sizing.note


@pytest.mark.parametrize(
    "options",
    [
        {"model": "llama-3.3-70b", "device": "h100-sxm", "weight_format": "fp8", "tp": 4}
        | {"draft_model": "gemma-3-1b", "draft_device": "l40s", "draft_len": 3, "acceptance": 0.7},
        {"model": "gpt-oss-120b", "device": "h20", "expert_device": "h100-sxm"},
        {"model": "qwen3-235b-a22b", "device": "h20", "tp": 2, "dp": 2, "weight_format": "fp8"}
        | {"expert_device": "l40s", "expert_parts": 3},
    ],
)
def test_bounds_hold(options):
    configuration = Configuration(**options, scheduler="continuous")
    requests = Traffic(rate=200, requests=800, input_len="uniform:100..3000", output_len=100).made()
    demand = demand_of(requests)
    replica, rules = replica_of(configuration), Rules()
    others = others_of(configuration, replica)
    room = room_of(replica, requests, rules, others)
    limits = limits_of(replica, requests, rules, room)
    slos = {**SLOS, "e2e_p95_s": 5.0}
    least = fewest_replicas(replica, limits, room, demand, slos, others)

    busy = simulate_requests(configuration, requests, rules)
    horizon = 1.1 * demand.seconds + 5.0
    assert 0.4 * busy.makespan_s / horizon < least <= busy.makespan_s / horizon + 1
    alone = statistics(simulate_requests(configuration, requests, Rules(replicas=400)))
    assert fastest_token_s(replica, demand, others) <= alone["tpot_p50_s"]
    assert fastest_token_s(replica, demand, others) > fastest_token_s(replica, demand)


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_the_guess_is_the_steady_state(options):
    configuration = Configuration(
        **{name: one[0] if isinstance(one, list) else one for name, one in options.items()},
        scheduler="continuous",
        input_len=1000,
        output_len=100,
    )
    replica = replica_of(configuration)
    others = others_of(configuration, replica)
    requests = Traffic(rate=5, requests=50, input_len=1000, output_len=100).made()
    guess = steady_state(replica, demand_of(requests), SLOS, others)
    point = configuration.changed(batch=int(guess.batch)).evaluate()

    assert guess.batch > 1.0
    assert guess.requests_per_s == pytest.approx(point.requests_per_s, rel=1e-9)
    assert point.tpot_s <= SLOS["tpot_p95_s"]


def test_faults_are_one_line_each():
    traffic = Traffic(rate=5, requests=50)
    for options, said in (
        ({**EXPERTS, "disaggregate": True}, "expert_device: beside disaggregate; leave out one"),
        ({**DRAFTS, "prefill_device": "h20"}, "draft_model: beside prefill_device; leave out one"),
        ({**EXPERTS, "model": "llama-3.1-8b"}, "llama-3.1-8b has no routed experts"),
        ({**EXPERTS, "expert_devices": [0]}, "expert_devices"),
        ({**EXPERTS, "expert_device": []}, r"expert_device: \[\] is empty"),
        ({**DRAFTS, "draft_device": "l4000"}, "l4000"),
        ({**DRAFTS, "draft_link": "1 GB"}, "draft_link"),
    ):
        given = dict(options)
        with pytest.raises(InputError, match=said) as caught:
            perfcore.size(given.pop("model"), traffic, SLOS, **given)
        assert len(caught.value.faults) == 1
