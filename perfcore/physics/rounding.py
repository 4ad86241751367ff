"""Rounding and a decaying exponential in plain arithmetic, which keeps loops vectorised."""

SHIFT = 4503599627370496.0  # 2^52: float64 from here on are whole numbers
NOTHING = -0.0  # an absent term of a sum: a compiler may drop -0.0, but not 0.0


def floor_of(value: float) -> float:
    """Largest whole number not above ``value``, for ``value`` >= 0, as a float.

    ``math.floor`` converts to an integer, which prevents vectorisation without AVX-512.
    """
    nearest = (value + SHIFT) - SHIFT
    return nearest - (1.0 if nearest > value else 0.0)


def ceil_of(value: float) -> float:
    """Smallest whole number not below ``value``, for ``value`` >= 0, as a float."""
    nearest = (value + SHIFT) - SHIFT
    return nearest + (1.0 if nearest < value else 0.0)


def decay(exponent: float) -> float:
    """e^``exponent`` for an exponent of at most 0, with an error below 1e-13; 0 below -60.

    ``math.exp`` is a call, which prevents vectorisation. This is the Taylor series of a 256th of
    the exponent, squared eight times.
    """
    part = max(exponent, -60.0) * (1.0 / 256.0)
    power = 1.0 + part * (1.0 / 11.0)
    power = 1.0 + part * (1.0 / 10.0) * power
    power = 1.0 + part * (1.0 / 9.0) * power
    power = 1.0 + part * (1.0 / 8.0) * power
    power = 1.0 + part * (1.0 / 7.0) * power
    power = 1.0 + part * (1.0 / 6.0) * power
    power = 1.0 + part * (1.0 / 5.0) * power
    power = 1.0 + part * (1.0 / 4.0) * power
    power = 1.0 + part * (1.0 / 3.0) * power
    power = 1.0 + part * (1.0 / 2.0) * power
    power = 1.0 + part * power
    power *= power
    power *= power
    power *= power
    power *= power
    power *= power
    power *= power
    power *= power
    return power * power if exponent > -60.0 else 0.0
