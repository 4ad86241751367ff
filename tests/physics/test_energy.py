"""Power and energy from the board to the grid, by hand."""

import pytest

from perfcore.physics.energy import (
    busy_energy,
    carbon_per_joule,
    facility_factor,
    idle_power,
    waiting_energy,
)
from physics.worked import (
    APART,
    CONTINUOUS,
    ENGINE,
    H100,
    LLAMA,
    MONEY,
    SERVED,
    STATIC,
    digits,
    serve,
    whole,
)

# ------------------------------------------------------------------------ energy and money


def test_busy_energy():
    """2 s; a share of 0.01 of the peak FLOP/s counts as its square root, 0.1."""
    engine = ENGINE._replace(
        power_floor=0.4, power_memory=0.3, power_compute=0.7, power_attention=0.2
    )

    assert busy_energy(H100, engine, 2.0, 1.0, 0.02, 0.0) == digits(2 * 700 * 0.62)
    assert busy_energy(H100, engine, 2.0, 1.0, 0.02, 1.0) == digits(2 * 700 * 0.72)
    assert busy_energy(H100, engine, 2.0, 2.0, 2.0, 0.0) == 2 * 700.0


def test_waiting_energy():
    """Waiting 1 s for links and 2 s for the host."""
    engine = ENGINE._replace(power_network=0.2, power_host=0.1)

    assert waiting_energy(H100, engine, 1.0, 2.0) == digits(700 * 0.4)


def test_energy_of_a_memory_bound_token():
    """H200 at 545 W, 140 GB at 0.85 of 4.8 TB/s: 18.70098039 J."""
    engine = ENGINE._replace(power_floor=545 / 700, power_memory=0.0, power_compute=0.0)
    seconds = 140e9 / (0.85 * 4.8e12)

    assert busy_energy(H100, engine, seconds, seconds, 0.0, 0.0) == digits(18.70098039)


def test_idle_power():
    assert idle_power(H100._replace(idle_power=100.0), 0.25) == 75.0


def test_facility_factor():
    assert facility_factor(MONEY._replace(node_overhead=0.5, pue=1.2)) == digits(1.8)


def test_carbon():
    """2 J per token, PUE 1.2, 380 g/kWh: 253.3333333 g per million tokens."""
    grid = MONEY._replace(node_overhead=0.0, pue=1.2, carbon_intensity=380.0)

    assert 2e6 * carbon_per_joule(grid) == digits(253.3333333)


# -------------------------------------------------------------------- money, grid and carbon


def test_node_overhead_and_pue_count_once():
    money = MONEY._replace(node_overhead=0.3, pue=1.2)
    point = whole(LLAMA, ENGINE, money=money)

    assert point.facility_energy_per_output_token_j == digits(
        1.3 * 1.2 * point.energy_per_output_token_j
    )


def test_carbon_follows_the_grid():
    """473 g/kWh of energy from the grid, per million tokens."""
    money = MONEY._replace(carbon_intensity=473.0)
    point = whole(LLAMA, ENGINE, money=money)
    joules = point.facility_energy_per_output_token_j

    assert point.carbon_per_mtok_output_g == digits(joules * 1e6 / 3.6e6 * 473)


@pytest.mark.parametrize("scheduler", [STATIC, CONTINUOUS])
def test_energy_of_a_request_is_power_times_time(scheduler):
    """8 devices for 1/33 of the time of a request; tokens share it."""
    point = serve(scheduler=scheduler)
    joules = point.power_w * 8 * point.e2e_latency_s / 33

    assert point.energy_per_request_j == digits(joules)
    tokens = 2_048 * point.energy_per_input_token_j + 255 * point.energy_per_output_token_j
    assert tokens == digits(joules)


def test_energy_of_a_disaggregated_request():
    """Its decode, and its prompt in the pool, which works for a share of its time."""
    point = serve(scheduler=APART)
    decode = point.decode_power_w * 8 * point.e2e_latency_s / 33
    prompt_s = point.prefill_pool * SERVED.prefill_pool_load / point.requests_per_s

    assert point.power_w == point.decode_power_w
    assert 255 * point.energy_per_output_token_j == digits(decode)
    assert point.energy_per_request_j == digits(decode + point.prefill_power_w * 8 * prompt_s)


def test_power_of_a_server_is_the_mean_over_its_time():
    """Between that of a host that waits and those of decode and prefill."""
    point = serve()
    powers = point.decode_power_w, point.prefill_power_w

    assert ENGINE.power_host * H100.board_power < point.power_w < max(powers)
