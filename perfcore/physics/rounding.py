"""Rounding that stays in floats, so that a loop that rounds can still be vectorised."""

SHIFT = 4503599627370496.0  # 2^52: from here on every float64 is a whole number


def floor_of(value: float) -> float:
    """Largest whole number not above ``value``, for ``value`` >= 0, as a float.

    ``math.floor`` goes through an integer, which ends vectorisation on CPUs without AVX-512.
    """
    nearest = (value + SHIFT) - SHIFT
    return nearest - (1.0 if nearest > value else 0.0)


def ceil_of(value: float) -> float:
    """Smallest whole number not below ``value``, for ``value`` >= 0, as a float."""
    below = floor_of(value)
    return below + (1.0 if below < value else 0.0)
