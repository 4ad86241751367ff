"""Fused multiply-add: product and sum with one rounding, a single processor instruction.

Time-critical formulas call ``fma`` explicitly. The compiler must not fuse operations that Python
rounds twice, as compiled and interpreted results would differ.
"""

import math

IN_PYTHON = getattr(math, "fma", None)  # since Python 3.13


def fma(first: float, second: float, addend: float) -> float:
    """``first * second + addend``, rounded once.

    Compiled code uses the instruction, or a library function on processors without one (x86 before
    2013). Older versions of Python use a division of integers, which is rounded correctly.
    """
    if IN_PYTHON is not None:
        return float(IN_PYTHON(first, second, addend))
    rounded = first * second + addend
    if not math.isfinite(rounded):
        return rounded
    top, bottom = first.as_integer_ratio()
    times, over = second.as_integer_ratio()
    plus, under = addend.as_integer_ratio()
    exact = top * times * under + plus * bottom * over
    return exact / (bottom * over * under) if exact else rounded
