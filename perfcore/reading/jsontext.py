"""JSON from outside, as strict as its standard: no NaN, no numbers beyond 64 bits, valid text."""

import json
import math
from typing import Any

_MOST_DIGITS = 19  # of a whole number of 64 bits


def parse(content: str | bytes) -> Any:  # noqa: ANN401 - any JSON
    """Return the document of a JSON text.

    Raises
    ------
    ValueError
        The text is not UTF-8, not JSON, or has values that cannot be written as JSON again: NaN,
        infinity, whole numbers beyond 64 bits, halves of surrogate pairs.
    RecursionError
        It is nested too deeply.
    """
    document = json.loads(content, parse_constant=_constant, parse_int=_whole, parse_float=_real)
    json.dumps(document, ensure_ascii=False).encode()  # UnicodeEncodeError is a ValueError
    return document


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > _MOST_DIGITS or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"number {text[:_MOST_DIGITS]}… is beyond 64 bits")
    return int(text)


def _real(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"number {text[:_MOST_DIGITS]} is beyond 64 bits")
    return number
