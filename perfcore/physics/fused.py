"""Product and sum in one rounding, as processors have it in one instruction.

Formulas that rows spend their time in say ``fma`` where they mean it: a compiler may not fuse on
its own what Python rounds twice, as compiled and interpreted results would differ.
"""

import math

IN_PYTHON = getattr(math, "fma", None)  # since 3.13


def fma(first: float, second: float, addend: float) -> float:
    """``first * second + addend``, rounded once.

    Compiled, it is an instruction; a processor without it (x86 before 2013) calls a function. An
    older Python divides whole numbers, which it rounds correctly.
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
