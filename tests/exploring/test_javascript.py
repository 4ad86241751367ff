"""Formulas as JavaScript: the same numbers, and what is refused."""

import importlib.util
import math
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exploring.node import Node, needs_node
from perfcore.exploring.javascript import TranslationError, translate
from perfcore.inputs import RECORDS
from perfcore.physics.fused import fma
from perfcore.physics.sizing import AUTO
from perfcore.physics.stages.point import Point, evaluate
from perfcore.records import Deployment
from perfcore.testing import strategies

pytestmark = needs_node
CLOSE = 1e-12  # relative
FUNCTIONS = '''
from math import ceil
from typing import NamedTuple

LIMIT = 3.0
NOBODY_KNOWS = float("nan")


class Pair(NamedTuple):
    new: float
    rest: float


def chained(a: float, b: float) -> float:
    return 1.0 if -LIMIT < a <= b != 2.0 else 0.0


def logic(a: float, b: float) -> float:
    """Text."""
    found = not (a > 0.0 and b > 0.0) or a == b
    return 2.0 * found + (a in (1.0, b))


def rest(a: float, b: float) -> float:
    return a % b if b else 0.0


def extremes(a: float, b: float) -> float:
    return min(a, b, 0.0) - 2.0 * max(b, a) + max(0.0, -0.0)


def whole(a: float, b: float) -> float:
    return ceil(a) - int(b) + float(a > b)


def loops(a: float, b: float) -> float:
    total = 0.0
    for step in range(int(abs_of(a)) + 1):
        for _ in range(2):
            total += step * b
    while total > 1.0:
        total /= 2.0
    return total


def abs_of(value: float) -> float:
    return -value if value < 0.0 else value


def absent(a: float, b: float, pair: Pair | None = None) -> float:
    if pair is None and shifted(b) != shifted(b, by=2.0):
        return shifted(a)
    return 0.0 if pair is not None else NOBODY_KNOWS


def several(a: float, b: float) -> float:
    least, most = ordered(a, b)
    least, most = most, least
    return least - 2.0 * most


def ordered(a: float, b: float) -> tuple[float, float]:
    return min(a, b), max(a, b)


def shifted(a: float, by: float = 1.0) -> float:
    return a + by


def records(a: float, b: float) -> float:
    new = Pair(rest=a, new=b)
    other = swapped(new)
    return other.new - 3.0 * other.rest


def swapped(pair: Pair) -> Pair:
    return Pair(*pair[1:], *pair[:1])


def branches(a: float, b: float) -> float:
    if a > b:
        var = a
    elif a < b:
        var = b * 1e-3
    else:
        var: float = 7.0
    return var
'''
NAMES = (
    "chained",
    "logic",
    "rest",
    "extremes",
    "whole",
    "loops",
    "absent",
    "several",
    "records",
    "branches",
)


def module(folder, source, name="formulas"):
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def physics(tmp_path_factory):
    """Every point, and its layout, as JavaScript computes it."""
    roots = [evaluate, *RECORDS.values(), Deployment, Point]
    kinds = ", ".join(f"physics.{kind.__name__}" for kind in (*RECORDS.values(), Deployment))
    script = f"""
    const physics = {translate(roots)};
    const kinds = [{kinds}];
    const order = [0, 1, 2, 3, 4, 6, 5];
    const answer = (given) => {{
      const records = order.map((kind, place) => new kinds[kind](...given[place]));
      const point = physics.evaluate(...records, given[7], given[8]);
      return physics.Point.fields.map((field) => point[field]);
    }};
    """
    with Node(tmp_path_factory.mktemp("node"), script) as node:
        yield node


@pytest.fixture(scope="module")
def formulas(tmp_path_factory):
    made = module(tmp_path_factory.mktemp("formulas"), FUNCTIONS)
    script = f"""
    const made = {translate([getattr(made, name) for name in NAMES])};
    const answer = ([name, a, b]) => made[name](Number(a), Number(b));
    """
    with Node(tmp_path_factory.mktemp("node"), script) as node:
        yield made, node


def same(one, other):
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or abs(one - other) <= CLOSE * max(abs(one), abs(other))


def compared(node, scenario):
    try:
        expected = scenario.evaluate()
    except ArithmeticError:
        return  # plain Python raises where others divide by zero
    given = [list(one) if isinstance(one, tuple) else one for one in scenario]
    found = node.answer(given)

    different = {
        name: (one, other)
        for name, one, other in zip(Point._fields, expected, found, strict=True)
        if not same(one, other)
    }
    assert different == {}


@given(strategies.scenarios())
def test_every_column_of_every_point_is_equal(physics, scenario):
    compared(physics, scenario)


@given(strategies.scenarios())
def test_chosen_layouts_are_equal(physics, scenario):
    compared(physics, scenario.with_deployment(tp=AUTO, pp=1.0))


@pytest.mark.parametrize("name", NAMES)
@given(a=st.floats(-50, 50), b=st.floats(-50, 50))
@example(a=3.0, b=-2.0)
@example(a=-3.0, b=2.0)
@example(a=-4.0, b=2.0)
@example(a=-0.5, b=-0.5)
@example(a=0.0, b=-0.0)
@example(a=2.0, b=2.0)
@example(a=1.0, b=5.0)
def test_what_is_translated_means_the_same(formulas, name, a, b):
    made, node = formulas
    expected = getattr(made, name)(a, b)
    found = node.answer([name, a, b])

    assert found == expected or (math.isnan(found) and math.isnan(expected))


@pytest.fixture(scope="module")
def fused(tmp_path_factory):
    script = f"""
    const made = {translate([fused_sum])};
    const answer = (given) => made.fused_sum(...given.map(Number));
    """
    with Node(tmp_path_factory.mktemp("node"), script) as node:
        yield node


def fused_sum(a: float, b: float, c: float) -> float:
    return fma(a, b, c)


@given(*(st.floats(-1e60, 1e60, allow_subnormal=False) for _ in range(3)))
@example(1.0 + 2**-52, 1.0 + 2**-52, -1.0)
@example(0.1, 10.0, -1.0)
@example(1e200, 1e200, 1.0)
def test_products_and_sums_are_rounded_once(fused, a, b, c):
    """Unless the product is so small that what is lost of it cannot be represented."""
    found = fused.answer([a, b, c])
    expected = fma(a, b, c)

    if a * b == 0.0 or abs(a * b) > 1e-250:
        assert found == expected or abs(found - expected) <= 2**-52 * abs(expected)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("return a ** 2.0", "a ** 2.0"),
        ("return a // 2.0", "a // 2.0"),
        ("return [a for _ in range(2)][0]", "for _ in"),
        ("return a if a is LISTED else 1.0", "a is LISTED"),
        ("return abs(a)", "name abs"),
        ("return a.real()", "call a.real"),
        ("a, *b = 1.0, 2.0\n    return a", "a, *b = "),
        ("return other(*(a, a))", "*(a, a)"),
        ("return f'{a}'", "f'{a}'"),
        ("return max(a)", "max(a)"),
        ("return LISTED", "name LISTED"),
        ("return other(a)", "with other arguments"),
        ("return other(a, b=1.0, c=2.0)", "with other arguments"),
        ("return 1.0 if 0.0 < other(a, 1.0) < 2.0 else 0.0", "a call in a chain"),
        ("while a:\n        break\n    return a", "break"),
        ("try:\n        return a\n    finally:\n        a = 1.0", "try:"),
    ],
)
def test_what_has_no_translation_is_refused(tmp_path, line, what):
    source = (
        "LISTED = [1.0]\n\n\ndef other(a: float, b: float) -> float:\n    return a + b\n\n\n"
        f"def formula(a: float) -> float:\n    {line}\n"
    )
    made = module(tmp_path, source, f"refused{abs(hash(line))}")

    with pytest.raises(TranslationError, match=r"^refused\d+:\d+: .* has no translation$") as told:
        translate([made.formula])
    assert what in str(told.value)


@pytest.mark.parametrize(
    "head", ["a: float = abs(1.0)", "*a: float", "a", "a: 'float'", "*, a: float", "a: float, /"]
)
def test_parameters_are_plain(tmp_path, head):
    source = f"def formula({head}) -> float:\n    return 1.0\n"
    made = module(tmp_path, source, f"refused{abs(hash(head))}")

    with pytest.raises(TranslationError, match=r"parameter|default"):
        translate([made.formula])
