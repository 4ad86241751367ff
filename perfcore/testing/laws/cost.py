"""Laws of power, energy and cost."""

import math

from perfcore.physics.cost import TOKENS_PER_MTOK, usd_per_second
from perfcore.records import (
    PURCHASE_ON_DEMAND,
    PURCHASE_OWNED,
    SCHEDULER_DISAGGREGATED,
)
from perfcore.testing.laws.requirements import equal, not_below, require
from perfcore.testing.scenario import Scenario


def power_is_limited(scenario: Scenario) -> None:
    """No board draws more than its power limit."""
    point = scenario.evaluate()
    limit = scenario.device.board_power
    not_below(limit, point.decode_power_w, "decode power is within the limit")
    not_below(limit, point.prefill_power_w, "prefill power is within the limit")
    not_below(limit, point.power_w, "mean power is within the limit")


def energy_is_power_times_time(scenario: Scenario) -> None:
    """A request takes the energy and money of its devices' time; PUE counts once.

    A disaggregated request also takes those of its prompt, on a device of the pool.
    """
    point, deployment, grid = scenario.evaluate(), scenario.deployment, scenario.economics
    devices = deployment.tp * deployment.pp * deployment.dp
    written = scenario.output_len - 1.0
    output = point.energy_per_output_token_j
    request = point.energy_per_input_token_j * scenario.input_len + written * output
    if written * output < 1e6 * point.energy_per_request_j:
        near = math.isclose(request, point.energy_per_request_j, rel_tol=1e-6)
        require(near, "tokens have the energy of their request", request)
    seconds = devices / point.requests_per_s
    energy = point.power_w * seconds
    paid = usd_per_second(scenario.device, devices, grid) / point.requests_per_s
    if deployment.scheduler == SCHEDULER_DISAGGREGATED:
        pool = point.prefill_pool * scenario.engine.prefill_pool_load
        energy += point.prefill_power_w * seconds * pool
        paid *= 1.0 + point.prefill_pool
    equal(point.energy_per_request_j, energy, "energy is power x devices x time")
    if deployment.scheduler != SCHEDULER_DISAGGREGATED or written > 0.0:
        tokens = point.cost_per_mtok_input_usd * scenario.input_len
        tokens += point.cost_per_mtok_output_usd * written
        near = math.isclose(tokens, paid * TOKENS_PER_MTOK, rel_tol=1e-6)
        require(near, "cost is price x time", tokens, paid * TOKENS_PER_MTOK)
    facility = output * (1.0 + grid.node_overhead) * grid.pue
    equal(point.facility_energy_per_output_token_j, facility, "PUE counts once")
    carbon = facility * 1e6 / 3.6e6 * grid.carbon_intensity
    equal(point.carbon_per_mtok_output_g, carbon, "carbon per million tokens")


def cost_follows_price(scenario: Scenario) -> None:
    """Cost is proportional to the price, its multiplier, and the inverse of utilisation."""
    rented = scenario.with_economics(purchase=PURCHASE_ON_DEMAND)
    point = rented.evaluate()
    money = scenario.economics
    changes = (
        (2.0, rented.with_rates(2.0, "price_per_hour")),
        (3.0, rented.with_economics(price_multiplier=3.0 * money.price_multiplier)),
        (2.0, rented.with_economics(utilization=0.5 * money.utilization)),
        (1.0, rented.with_economics(pue=2.0 * money.pue)),
        (1.0, rented.with_rates(2.0, "spot_price_per_hour", "purchase_price")),
    )
    for factor, change in changes:
        after = change.evaluate()
        for name in ("output", "input", "cached_input"):
            column = f"cost_per_mtok_{name}_usd"
            equal(getattr(after, column), factor * getattr(point, column), f"{column} follows")
    cost = money.token_price * point.break_even_utilization / money.utilization
    equal(point.cost_per_mtok_output_usd, cost, "break-even is where cost is the price")


def owning_costs_interest(scenario: Scenario) -> None:
    """An owned device costs more with interest, a shorter life or dearer operation."""
    owned = scenario.with_economics(purchase=PURCHASE_OWNED)
    money = scenario.economics
    before = owned.evaluate().cost_per_mtok_output_usd
    dearer: tuple[dict[str, float], ...] = (
        {"interest": money.interest + 0.05},
        {"lifetime": 0.5 * money.lifetime},
        {"electricity_price": money.electricity_price + 0.1, "pue": money.pue + 0.5},
        {"operations": money.operations + 0.1},
        {"server_factor": money.server_factor + 0.5},
    )
    for change in dearer:
        after = owned.with_economics(**change).evaluate().cost_per_mtok_output_usd
        require(after > before, f"an owned device costs more with {next(iter(change))}", after)
