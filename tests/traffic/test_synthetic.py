"""Traffic as a description, made into requests."""

import numpy as np
import pytest

from perfcore.errors import InputError
from perfcore.traffic.synthetic import Traffic

TRACE = "arrival_s,input_len,output_len\n5,100,1\n6,200,2\n8,300,3\n"


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text(TRACE)
    return str(path)


def test_poisson_arrivals():
    requests = Traffic(rate=5, requests=20_000, input_len="2Ki", output_len=64).made()

    assert np.diff(requests.arrival_s).mean() == pytest.approx(0.2, rel=0.03)
    assert set(requests.input_len) == {2048}
    assert set(requests.output_len) == {64}
    assert (requests.after == -1).all()
    assert len(requests.block_hash) == 0


def test_requests_of_a_seed_never_change():
    told = {"rate": 5, "cv": 2, "input_len": "lognormal:1000", "requests": 500}
    one, other = Traffic(**told, seed=3).made(), Traffic(**told, seed=4).made()
    again = Traffic(**told | {"requests": 100}, seed=3).made()

    assert (again.arrival_s == one.arrival_s[:100]).all()
    assert (again.input_len == one.input_len[:100]).all()
    assert (other.input_len != one.input_len).any()
    assert one.input_len[:4].tolist() == [181, 1062, 1907, 453]


def test_number_of_requests():
    assert len(Traffic(rate=5).made().arrival_s) == 1000
    assert len(Traffic(rate=5, turns=7).made().arrival_s) == 1000
    assert len(Traffic(rate=5, turns=7, daily=1.5).made().arrival_s) == 1000
    assert len(Traffic(clients=5, turns=7).made().arrival_s) == 1000
    assert len(Traffic(rate=50, duration="1 h").made().arrival_s) == pytest.approx(
        180_000, rel=0.02
    )
    assert len(Traffic(rate="5@1min,50@10s,5@1min").made().arrival_s) == pytest.approx(
        1100, rel=0.1
    )
    assert len(Traffic(rate="5@1min", requests=20).made().arrival_s) == 20
    assert len(Traffic(rate=2, duration="1 day", daily=1.5).made().arrival_s) == pytest.approx(
        2 * 86_400, rel=0.02
    )


def test_a_closed_loop():
    requests = Traffic(clients=3, requests=8, think_time="2 s").made()

    assert requests.after.tolist() == [-1, -1, -1, 0, 1, 2, 3, 4]
    assert (requests.arrival_s[:3] == 0.0).all()
    assert (requests.arrival_s[3:] > 0.0).all()  # pauses
    assert (requests.session == -1).all()


def test_clients_pause_before_all_but_their_first_request():
    requests = Traffic(clients=50, requests=5000, turns=3, think_time="2 s").made()

    waits = requests.after >= 0
    assert (~waits).sum() == 50
    assert requests.arrival_s[waits].mean() == pytest.approx(2.0, rel=0.05)
    assert (requests.arrival_s[~waits] == 0.0).all()


def test_sessions_grow_their_context():
    requests = Traffic(
        rate=1,
        requests=7,
        turns=3,
        input_len=50,
        output_len=20,
        system_prompt=100,
        think_time="5 s",
    ).made()

    assert requests.session.tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert requests.after.tolist() == [-1, 0, 1, -1, 3, 4, -1]
    assert requests.next.tolist() == [1, 2, -1, 4, 5, -1, -1]
    assert requests.input_len.tolist() == [150, 220, 290] * 2 + [150]
    shared = requests.block_hash[requests.first_block[:-1]]
    assert set(shared) == {0}  # the system prompt


def test_pauses_of_people_and_tools():
    requests = Traffic(
        rate=1,
        requests=40_000,
        turns="uniform:1..9",
        think_time="10 s",
        tool_share=0.25,
        tool_time="2 s",
    ).made()
    pauses = requests.arrival_s[requests.after >= 0]

    assert pauses.mean() == pytest.approx(0.75 * 10.0 + 0.25 * 2.0, rel=0.03)
    assert (np.diff(requests.arrival_s[requests.after < 0]) >= 0.0).all()
    assert (requests.after < np.arange(40_000)).all()


def test_clients_with_sessions_take_one_after_another():
    requests = Traffic(clients=2, requests=9, turns=2).made()

    assert requests.session.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert requests.after.tolist() == [-1, 0, -1, 2, 1, 4, 3, 6, 5]


def test_system_prompts():
    requests = Traffic(rate=1, requests=1000, system_prompt=64, prompts=5).made()

    assert len(set(requests.block_hash)) == 5 * 4
    assert (np.diff(requests.first_block) == 4).all()


def test_a_trace(trace):
    requests = Traffic(trace=trace, repeat=2, speed=2, requests=2).made()

    assert requests.arrival_s.tolist() == [0.0, 0.5, 0.75, 1.25]
    assert requests.input_len.tolist() == [100, 200, 100, 200]


def test_lengths_drawn_from_a_trace_stay_together(trace):
    requests = Traffic(rate=1, input_len=f"trace:{trace}", output_len=f"trace:{trace}").made()

    assert (requests.input_len == 100 * requests.output_len).all()
    assert set(requests.output_len) == {1, 2, 3}


@pytest.mark.parametrize(
    ("told", "faults"),
    [
        ({}, ["one of rate, clients, trace says when requests arrive; add one"]),
        ({"rate": 0}, ["rate: nothing arrives at a rate of 0; give a rate above 0"]),
        ({"clients": 0}, ["add one"]),
        ({"rate": 1, "clients": 2}, ["say"]),
        (
            {"rate": 1, "cv": -1, "seed": "x"},
            ["cv: -1 is out of bounds", "seed: 'x' is not a count"],
        ),
        ({"rate": 1, "speed": 2}, ["speed: has no effect beside rate; leave it out"]),
        ({"trace": "x", "cv": 2}, ["cv: has no effect beside trace; leave it out"]),
        (
            {"clients": 2, "duration": "1 h"},
            ["duration: has no effect beside clients; leave it out"],
        ),
        ({"trace": "x", "input_len": 5}, ["input_len: has no effect beside trace"]),
        ({"clients": 2, "cv": 3}, ["cv: has no effect beside clients"]),
        ({"rate": "1@1s,2", "daily": 2}, ["daily: beside stages of a rate"]),
        ({"rate": 1, "duration": "1 ns"}, ["rate: no request arrives in time; give a longer time"]),
        ({"rate": 1e6, "duration": "1 year"}, ["rate: more than 5,000,000 requests"]),
        ({"rate": 1, "input_len": "x:1", "turns": 0}, ["unknown distribution 'x'", "turns: 0 is"]),
        ({"rate": 1, "input_len": "trace:none.csv"}, ["none.csv: no such file"]),
    ],
)
def test_faults(told, faults):
    with pytest.raises(InputError) as caught:
        Traffic(**told).made()
    assert len(caught.value.faults) == len(faults)
    assert all(map(str.__contains__, caught.value.faults, faults))
