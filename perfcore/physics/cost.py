"""Cost of a second of devices."""

from math import expm1, inf, log1p

from perfcore.records import PURCHASE_OWNED, PURCHASE_SPOT, Device, Economics, Model

TOKENS_PER_MTOK = 1e6
HOUR = 3600.0
YEAR = 8760.0 * HOUR


def annuity(interest: float, lifetime: float) -> float:
    """Yearly payment per dollar borrowed: i / (1 - (1 + i)^-n). [1/year]"""
    years = lifetime / YEAR
    if interest == 0.0:
        return 1.0 / years
    return interest / -expm1(-years * log1p(interest))


def owned_usd_per_hour(device: Device, economics: Economics) -> float:
    """Price of an hour of an owned device: capital, power at full load, operations. [USD/h]

    Golden value: 35,000 USD over 4 years at 8 %, 1.3 kW, PUE 1.25, 0.08 USD/kWh and 10 % a year
    for operations are 1.735847963 USD.
    """
    capital = device.purchase_price * economics.server_factor
    yearly = capital * (annuity(economics.interest, economics.lifetime) + economics.operations)
    watts = device.board_power * (1.0 + economics.node_overhead) * economics.pue
    return yearly / YEAR * HOUR + watts / 1000.0 * economics.electricity_price


def payback_s(device: Device, economics: Economics, rented_share: float) -> float:
    """Time after which an owned device has cost no more than rent for a share of the time. [s]

    Golden value: 35,000 USD, 10 % a year for operations, 1.3 kW, PUE 1.25 and 0.08 USD/kWh pay back
    in 14,000 hours at 3.029543379 USD/h around the clock; infinite if the rent is lower than
    what running the device costs.
    """
    capital = device.purchase_price * economics.server_factor
    watts = device.board_power * (1.0 + economics.node_overhead) * economics.pue
    running = capital * economics.operations / YEAR * HOUR
    running += watts / 1000.0 * economics.electricity_price
    saved = device.price_per_hour * economics.price_multiplier * rented_share - running
    return capital / saved * HOUR if saved > 0.0 else inf


def usd_per_second(device: Device, devices: float, economics: Economics) -> float:
    """Price of a second of useful work: N p / 3600 / utilisation. [USD/s]

    Golden value: 8 devices at 2.50 USD/h, 3000 tokens/s and 60 % utilisation cost 3.0864 USD per
    million tokens.
    """
    hourly = device.price_per_hour
    if economics.purchase == PURCHASE_SPOT:
        hourly = device.spot_price_per_hour
    elif economics.purchase == PURCHASE_OWNED:
        hourly = owned_usd_per_hour(device, economics)
    return hourly * economics.price_multiplier * devices / HOUR / economics.utilization


def usd_of_request(written: float, usd_output: float, input_len: float, usd_input: float) -> float:
    """Price of a request, of prices of a million tokens. [USD]

    The first token is an output of the prefill; ``written`` are the others.
    """
    return (written * usd_output + input_len * usd_input) * (1.0 / TOKENS_PER_MTOK)


def usd_blended(usd_request: float, input_len: float, output_len: float) -> float:
    """Price of a million tokens of requests, input and output alike. [USD]"""
    return usd_request * (TOKENS_PER_MTOK / (input_len + output_len))


def margin(usd_output: float, price: float) -> float:
    """Share of the price of output tokens that their cost leaves; negative: a loss."""
    return 1.0 - usd_output * (1.0 / price)


def sale_price(model: Model, economics: Economics) -> float:
    """Price of a million output tokens: the one stated, or the model's list price. [USD]"""
    return economics.token_price if economics.token_price > 0.0 else model.token_price
