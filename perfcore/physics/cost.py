"""Money: what a second of devices costs."""

from perfcore.records import Device, Economics

TOKENS_PER_MTOK = 1e6


def usd_per_second(device: Device, devices: float, economics: Economics) -> float:
    """Price of a second of useful work: N p / 3600 / utilisation. [USD/s]

    Golden value: 8 devices at 2.50 USD/h, 3000 tokens/s and 60 % utilisation cost 3.0864 USD per
    million tokens.
    """
    hourly = device.price_per_hour * economics.price_multiplier * devices
    return hourly / 3600.0 / economics.utilization
