"""Compiled primitives compared with Python."""

import numpy as np

from perfcore.kernel import jit
from perfcore.physics.fused import fma


def test_compiled_fma_is_the_same():
    """Compiled and interpreted results are equal for products and addends that nearly cancel."""

    @jit.kernel
    def compiled(first, second, addend, result):
        for row in range(len(first)):
            result[row] = fma(first[row], second[row], addend[row])

    numbers = np.random.default_rng(0)
    first, second = numbers.uniform(0.5, 2.0, (2, 1_000))
    addend = -first * second * numbers.choice([1.0, 1.0 - 2.0**-50, 0.0], 1_000)
    result = np.empty(1_000)
    compiled(first, second, addend, result)

    assert result.tolist() == list(map(fma, first.tolist(), second.tolist(), addend.tolist()))
    assert not np.array_equal(result, first * second + addend)
