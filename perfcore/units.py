"""Human-readable quantities to SI floats and back: ``"3.35 TB/s"`` is 3.35e12.

Decimal prefixes (k, M, G, T, P, E) are always powers of 1000 and binary prefixes (Ki, Mi, Gi, Ti,
Pi, Ei) powers of 1024: "GB" never means GiB. ``B`` is a byte, ``b`` a bit.
"""

import difflib
import math
import re
from decimal import Decimal
from typing import Final, NamedTuple

from perfcore.errors import show

_DECIMAL = {
    "": Decimal(1),
    "k": Decimal("1e3"),
    "M": Decimal("1e6"),
    "G": Decimal("1e9"),
    "T": Decimal("1e12"),
    "P": Decimal("1e15"),
    "E": Decimal("1e18"),
}
_BINARY = {f"{prefix}i": Decimal(1024) ** power for power, prefix in enumerate("KMGTPE", start=1)}
_SMALL = {
    "": Decimal(1),
    "m": Decimal("1e-3"),
    "u": Decimal("1e-6"),
    "µ": Decimal("1e-6"),
    "n": Decimal("1e-9"),
    "p": Decimal("1e-12"),
}
_BIT = Decimal("0.125")


def _scaled(
    prefixes: dict[str, Decimal], *units: str, factor: Decimal | int = 1
) -> dict[str, Decimal]:
    return {
        f"{prefix}{unit}": scale * factor for prefix, scale in prefixes.items() for unit in units
    }


class Dimension(NamedTuple):
    """Dimension of a quantity, and the units in which it may be written."""

    noun: str
    units: dict[str, Decimal]  # unit -> factor to the SI unit
    example: str
    unit: str = ""  # SI unit, as for ``format_quantity``; empty for a pure number
    suffix: str = ""  # of the names of columns in this unit
    bare: bool = False  # whether text may leave out the unit


DIMENSIONS: dict[str, Dimension] = {
    "bytes": Dimension(
        "an amount of memory",
        _scaled(_DECIMAL | _BINARY, "B") | {"KB": Decimal("1e3")},
        "80 GB or 80 GiB",
        unit="B",
        suffix="_bytes",
    ),
    "bandwidth": Dimension(
        "a bandwidth",
        _scaled(_DECIMAL | _BINARY, "B/s")
        | {"KB/s": Decimal("1e3")}
        | _scaled(_DECIMAL, "b/s", "bit/s", "bps", factor=_BIT),
        "3.35 TB/s",
        unit="B/s",
        suffix="_bytes_per_s",
    ),
    "flops": Dimension(
        "an arithmetic rate",
        _scaled(_DECIMAL, "FLOP/s", "FLOPS", "OPS", "OP/s"),
        "989 TFLOP/s",
        unit="FLOP/s",
        suffix="_flop_per_s",
    ),
    "time": Dimension(
        "a time",
        _scaled(_SMALL, "s")
        | {"min": Decimal(60), "h": Decimal(3600), "d": Decimal(86400), "day": Decimal(86400)}
        | {"year": Decimal(31_536_000), "years": Decimal(31_536_000)},  # of 365 days
        "50 us",
        unit="s",
        suffix="_s",
    ),
    "power": Dimension(
        "a power", _scaled(_DECIMAL, "W") | {"mW": Decimal("1e-3")}, "700 W", unit="W", suffix="_w"
    ),
    "energy": Dimension(
        "an energy",
        _scaled(_DECIMAL | _SMALL, "J") | _scaled(_DECIMAL, "Wh", factor=3600),
        "2 J",
        unit="J",
        suffix="_j",
    ),
    "energy_per_bit": Dimension(
        "an energy per bit", _scaled(_SMALL, "J/bit"), "4 pJ/bit", unit="J/bit"
    ),
    "energy_per_flop": Dimension(
        "an energy per FLOP", _scaled(_SMALL, "J/FLOP"), "0.7 pJ/FLOP", unit="J/FLOP"
    ),
    "price": Dimension(
        "a price per hour",
        {"USD/h": Decimal(1), "USD/hour": Decimal(1), "$/h": Decimal(1)},
        "2.50 USD/h",
        unit="USD/h",
        suffix="_usd",
    ),
    "money": Dimension(
        "an amount of money", {"USD": Decimal(1), "$": Decimal(1)}, "30000 USD", unit="USD"
    ),
    "price_per_energy": Dimension(
        "a price of electricity",
        {"USD/kWh": Decimal(1), "$/kWh": Decimal(1)},
        "0.08 USD/kWh",
        unit="USD/kWh",
    ),
    "price_per_mtok": Dimension(
        "a price per million tokens",
        {
            "USD/Mtok": Decimal(1),
            "$/Mtok": Decimal(1),
            "USD/1M": Decimal(1),
            "USD/1K": Decimal(1000),
            "USD/ktok": Decimal(1000),
        },
        "0.80 USD/Mtok",
        unit="USD/Mtok",
    ),
    "carbon_intensity": Dimension(
        "a carbon intensity",
        {
            "g/kWh": Decimal(1),
            "gCO2e/kWh": Decimal(1),
            "gCO2/kWh": Decimal(1),
            "kg/kWh": Decimal(1000),
        },
        "473 g/kWh",
        unit="g/kWh",
        suffix="_g_per_kwh",
    ),
    "count": Dimension(
        "a count",
        {key: factor for key, factor in _DECIMAL.items() if key}
        | _BINARY
        | {"K": Decimal("1e3"), "B": Decimal("1e9")},
        "128, 128Ki, 1B or 2T",
        bare=True,
    ),
    "fraction": Dimension("a share", {"%": Decimal("0.01")}, "0.6 or 60 %", bare=True),
    "ratio": Dimension("a ratio", {"%": Decimal("0.01"), "x": Decimal(1)}, "1.2", bare=True),
}

_LONGEST: Final = 100  # characters
# possessive quantifiers keep matching linear in the length of the text
_QUANTITY = re.compile(
    r"([+-]?(?:\d[\d_,]*+(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?)\s*+(.*)", re.DOTALL
)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:[,_]\d{3})*(?:\.\d*)?(?:[eE][+-]?\d+)?")


def parse(value: str | float, dimension: str) -> float:
    """Return a quantity in the SI unit of its dimension. A bare number is in that unit already.

    Parameters
    ----------
    value
        Text such as ``"3.35 TB/s"``, ``"128Ki"`` or ``"60 %"``, or a number.
    dimension
        A key of ``DIMENSIONS``.

    Raises
    ------
    ValueError
        The text is not a quantity of this dimension, or not finite. The message gives the value and
        the remedy.
    """
    known = DIMENSIONS[dimension]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(  # noqa: TRY004  (a ValueError becomes a fault of the file, not a crash)
            f"{show(value)} is not {known.noun}; write it like {known.example}"
        )
    try:
        if not isinstance(value, str):
            return _finite(float(value), value, known)
        return _parse(value, known)
    except ArithmeticError:  # exceeds a float, or the exponents of Decimal
        raise ValueError(f"{show(value)} is out of bounds; write it like {known.example}") from None


def _parse(value: str, known: Dimension) -> float:
    match = _QUANTITY.fullmatch(value.strip()) if len(value) <= _LONGEST else None
    if match is None:
        raise ValueError(f"{show(value)} is not {known.noun}; write it like {known.example}")
    digits, unit = match.groups()
    if ("," in digits or "_" in digits) and not _GROUPED.fullmatch(digits):
        raise ValueError(f"{value!r}: write the number with a point, like {known.example}")
    if not unit:
        if not known.bare:
            raise ValueError(f"{value!r} has no unit; write it like {known.example}")
        factor = Decimal(1)
    else:
        spelled = unit.replace("μ", "µ")  # Greek mu and micro sign look the same
        if spelled not in known.units:
            raise ValueError(_unknown_unit(value, unit, known))
        factor = known.units[spelled]
    # Decimal rounds once: "3.35 TB/s" is the float nearest to 3.35e12
    return _finite(float(Decimal(digits.replace(",", "").replace("_", "")) * factor), value, known)


def _finite(number: float, value: str | float, known: Dimension) -> float:
    if not math.isfinite(number):
        raise ValueError(f"{show(value)} is not a finite number; write it like {known.example}")
    return number


def _unknown_unit(value: str, unit: str, known: Dimension) -> str:
    other = next((one for one in _OTHER_MONEY if unit.upper().startswith(one)), "")
    if other and known.unit.startswith("USD"):
        return (
            f"{value!r}: amounts are in USD, and exchange rates are not known here; convert it "
            f"and write it like {known.example}"
        )
    by_folded: dict[str, str] = {}
    for name in known.units:
        by_folded.setdefault(name.casefold(), name)
    folded = unit.casefold()
    near = [name for name in by_folded if name.startswith(folded)]
    near = near or difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.5)
    hint = f"; did you mean {by_folded[near[0]]!r}?" if near else ""
    common = [name for name in known.units if "µ" not in name][:13]
    shown = ", ".join(common) + (", …" if len(common) < len(known.units) else "")
    return f"{value!r}: {unit!r} is not a unit of {known.noun}{hint} (accepted: {shown})"


_OTHER_MONEY: Final = ("EUR", "€", "GBP", "£", "CNY", "RMB", "JPY", "¥", "INR", "₹", "KRW", "₩")

_SHOWN = (
    (1e18, "E"),
    (1e15, "P"),
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "u"),
    (1e-9, "n"),
    (1e-12, "p"),
)
_COUNTED = {"G": "B", "k": "K", "P": "kT", "E": "MT"}
_UNSCALED = frozenset({"%", "USD", "USD/h", "USD/kWh", "USD/Mtok", "g/kWh"})


def format_quantity(value: float, unit: str = "", digits: int = 4) -> str:
    """Return a human-readable quantity: ``format_quantity(3.35e12, "B/s")`` is ``"3.35 TB/s"``.

    Parameters
    ----------
    value
        In the SI unit.
    unit
        The SI unit: ``"B"``, ``"B/s"``, ``"FLOP/s"``, ``"s"``, ``"W"``, ``"J"``, …; ``""`` for a
        count (``"70.55B"``), ``"%"`` for a share. Money and intensities get no prefix.
    digits
        Significant digits; more are shown if the number would otherwise need an exponent.
    """
    if not math.isfinite(value):
        return f"{value} {unit}".rstrip()
    if unit == "%":
        return f"{value * 100:.{digits}g} %"
    if unit in _UNSCALED:
        return f"{significant(value, digits)} {unit}"
    # a value that rounds up to the next prefix, like 0.99999, is shown with that prefix
    limit = 1 - 0.5 * 10.0**-digits
    scale, prefix = next(
        (known for known in _SHOWN if abs(value) >= known[0] * limit),
        (1.0, "") if value == 0 or not unit else _SHOWN[-1],
    )
    if not unit and scale < 1:
        scale, prefix = 1.0, ""
    scaled = significant(value / scale, digits)
    return f"{scaled} {prefix}{unit}" if unit else f"{scaled}{_COUNTED.get(prefix, prefix)}"


def significant(value: float, digits: int = 4) -> str:
    """Return a number with ``digits`` digits, or more if it would otherwise need an exponent."""
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < 1e15 else text


def plural(count: int, noun: str) -> str:
    """Return ``1 row`` or ``1,000 rows``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
