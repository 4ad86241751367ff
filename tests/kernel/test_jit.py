"""Compiled primitives compared with Python, and what is compiled."""

from typing import NamedTuple

import numpy as np
import pytest

from perfcore.kernel import jit
from perfcore.kernel.compiling import COMPILATION
from perfcore.kernel.loops import FORMULAS
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

    assert FORMULAS  # importing them registers fma
    assert result.tolist() == list(map(fma, first.tolist(), second.tolist(), addend.tolist()))
    assert not np.array_equal(result, first * second + addend)


@pytest.fixture
def no_cache(monkeypatch):
    """Kernels are compiled, whatever an earlier test left."""
    monkeypatch.setattr(jit, "CACHE", None)


class Counting:
    """Observer of the compiler that notes what it is told."""

    def __init__(self):
        self.told = []

    def begin(self):
        self.told.append((True, COMPILATION.seconds is not None))

    def end(self):
        self.told.append((False, COMPILATION.seconds is not None))


@pytest.mark.usefixtures("no_cache")
def test_compilation_is_told_once_for_a_kernel_and_its_formulas(monkeypatch):
    """Both are compiled; a kernel that is there is not compiled again."""

    @jit.inlined
    def double(number):
        return number + number

    @jit.kernel
    def quadruple(number):
        return double(double(number))

    observer = Counting()
    monkeypatch.setattr(COMPILATION, "observer", observer)

    assert quadruple(2.0) == quadruple(3.0) - 4.0 == 8.0
    assert observer.told == [(True, True), (False, False)]


class Pair(NamedTuple):
    """A record with an array and a truth, which is stored as a byte."""

    numbers: object
    whole: bool


def sum_of(pair):
    """First number, twice if the record is whole."""
    return pair.numbers[0] * (2.0 if pair.whole else 1.0)


def swapped(pair):
    """The same numbers, not whole if they were."""
    return Pair(pair.numbers, not pair.whole)


@pytest.mark.usefixtures("no_cache")
@pytest.mark.parametrize("home", ["perfcore.tests", "elsewhere"])
def test_records_are_passed_and_returned_by_compiled_formulas(monkeypatch, home):
    """Those of perfcore as a whole, others by field as Numba does, arrays kept alive."""
    monkeypatch.setattr(Pair, "__module__", home)
    sums, swaps = jit.inlined(sum_of), jit.inlined(swapped)

    @jit.kernel
    def compiled(count, result):
        for row in range(count):
            pair = Pair(np.full(3, float(row)), row % 2 == 0)
            result[row] = sums(pair) + 10.0 * sums(swaps(pair))

    result = np.empty(4)
    compiled(4, result)

    assert result.tolist() == [0.0, 1.0 + 20.0, 4.0 + 20.0, 3.0 + 60.0]


@pytest.mark.usefixtures("no_cache")
def test_only_what_python_calls_becomes_machine_code():
    """A formula is inlined into the kernel, and has no code of its own."""

    @jit.inlined
    def formula(number):
        return number * number + 1.0

    @jit.kernel
    def called(number):
        return formula(number)

    assert called(3.0) == 10.0
    (made,) = called.overloads.values()
    engine = made.library.codegen._engine  # noqa: SLF001 - what machine code there is
    defined = {name for name in engine._defined_symbols if "python_calls" in name}  # noqa: SLF001
    functions = {name for name in defined if "NumbaEnv" not in name}
    assert any("called" in name for name in functions)
    assert not any("formula" in name for name in functions)
