"""Cost per second and per token, by hand."""

import pytest

from perfcore import catalog, records
from perfcore.physics.cost import (
    annuity,
    margin,
    owned_usd_per_hour,
    payback_s,
    sale_price,
    usd_blended,
    usd_of_request,
    usd_per_second,
)
from physics.worked import (
    APART,
    CONTINUOUS,
    ENGINE,
    H100,
    LLAMA,
    MONEY,
    STATIC,
    digits,
    model,
    serve,
    whole,
)

# ------------------------------------------------------------------------ energy and money


def test_money():
    """8 devices at 2.50 USD/h, 3000 tokens/s, utilisation 0.6: 3.086419753 USD/Mtok."""
    money = MONEY._replace(utilization=0.6, price_multiplier=1.0, purchase=0.0)

    per_second = usd_per_second(H100._replace(price_per_hour=2.5), 8.0, money)

    assert per_second / 3_000 * 1e6 == digits(3.086419753)


def test_annuity():
    """4 years at 8 %: 0.3019208 per year; a quarter without interest."""
    four_years = 4 * 8_760 * 3_600.0

    assert annuity(0.08, four_years) == digits(0.30192080)
    assert annuity(0.0, four_years) == 0.25


OWNED = MONEY._replace(
    purchase=records.PURCHASE_OWNED,
    interest=0.08,
    lifetime=4 * 8_760 * 3_600.0,
    server_factor=1.0,
    operations=0.1,
    electricity_price=0.08,
    pue=1.25,
    node_overhead=0.0,
)


def test_price_of_an_owned_device():
    """35,000 USD, 4 years at 8 %, 10 % operations, 1.3 kW, PUE 1.25: 1.735847963 USD/h."""
    device = H100._replace(purchase_price=35_000.0, board_power=1_300.0)

    assert owned_usd_per_hour(device, OWNED) == digits(1.735847963)


def test_payback_of_an_owned_device():
    """35,000 USD pay back in 14,000 h if renting costs 2.50 USD/h more than running it."""
    device = H100._replace(purchase_price=35_000.0, board_power=1_300.0, price_per_hour=3.029543379)
    economics = OWNED._replace(price_multiplier=1.0)

    assert payback_s(device, economics, 1.0) == digits(14_000 * 3_600.0)
    assert payback_s(device, economics, 0.1) == float("inf")


# -------------------------------------------------------------------- money, grid and carbon


def priced(purchase):
    device = H100._replace(
        price_per_hour=2.0, spot_price_per_hour=1.0, purchase_price=35_000.0, board_power=1_300.0
    )
    money = OWNED._replace(purchase=purchase)
    return whole(LLAMA, ENGINE, device=device, money=money, tp=8.0, batch=8.0)


def test_price_on_demand_spot_and_owned():
    listed = priced(records.PURCHASE_ON_DEMAND).cost_per_mtok_output_usd
    spot = priced(records.PURCHASE_SPOT).cost_per_mtok_output_usd
    owned = priced(records.PURCHASE_OWNED).cost_per_mtok_output_usd

    assert spot == digits(listed / 2)
    assert owned == digits(listed * 1.735847963 / 2)


def test_price_of_tokens_is_that_of_their_time():
    """8 devices: the cost of a step for 8 tokens, and of the time to the first for 8 prompts."""
    point = priced(records.PURCHASE_ON_DEMAND)
    per_second = 8 * 2.0 * MONEY.price_multiplier / 3_600 / MONEY.utilization
    assert point.cost_per_mtok_output_usd == digits(per_second * point.tpot_s / 8 * 1e6)
    assert point.cost_per_mtok_input_usd == digits(per_second * point.ttft_s / 8 / 2_048 * 1e6)


@pytest.mark.parametrize("scheduler", [STATIC, CONTINUOUS, APART])
def test_tokens_pay_for_the_time_of_their_request(scheduler):
    """Input and output pay for 1/33 of 8 devices, and of the pool, idle time included."""
    point = serve(scheduler=scheduler)
    tokens = 2_048 * point.cost_per_mtok_input_usd + 255 * point.cost_per_mtok_output_usd
    paid = usd_per_second(H100, 8.0, MONEY) * point.e2e_latency_s / 33

    assert tokens == digits(1e6 * paid * (1 + point.prefill_pool))


def test_break_even():
    """At break-even utilisation, output tokens cost the token price."""
    point = priced(records.PURCHASE_ON_DEMAND)
    needed = point.break_even_utilization
    money = OWNED._replace(purchase=records.PURCHASE_ON_DEMAND, utilization=needed)
    device = H100._replace(price_per_hour=2.0, board_power=1_300.0)
    again = whole(LLAMA, ENGINE, device=device, money=money, tp=8.0, batch=8.0)

    assert again.cost_per_mtok_output_usd == digits(sale_price(LLAMA, money))


def test_a_stated_price_precedes_the_list_price():
    """Groq's 0.79 USD for a 70B stands for models without a price."""
    stated = MONEY._replace(token_price=2.0)
    unpriced = model("opt-30b")

    assert (
        sale_price(LLAMA, MONEY)
        == LLAMA.token_price
        == catalog.load_model("llama-3-70b").token_price
    )
    assert sale_price(LLAMA, stated) == 2.0
    assert sale_price(unpriced, MONEY) == catalog.load("price", "groq-llama-3-70b-output").value


def test_price_of_a_request():
    """1,000 tokens in at 0.5 USD and 201 out at 2 USD a million, the first with the prompt."""
    request = usd_of_request(200.0, 2.0, 1000.0, 0.5)

    assert request == digits(0.0009)
    assert usd_blended(request, 1000.0, 200.0) == digits(0.75)


def test_margin():
    assert margin(1.5, 2.0) == 0.25
    assert margin(3.0, 2.0) == -0.5
