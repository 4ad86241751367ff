"""Bounds of formulas over many boxes of inputs at once, by interval arithmetic.

An ``Interval`` stands for any number between two ends, in each of many lanes; a lane is a box.
The text of the formulas of ``perfcore.physics`` is compiled a second time for intervals, so that
they are written once. Rounding to nearest is monotone: the result of an operation on any numbers
between the ends is between the rounded results of the ends. The bounds therefore hold for the
numbers that formulas compute, rounding included, without a margin; functions of a library, whose
rounding is not known, have one.

A branch on an undecided comparison is taken both ways; the result of the expression, or of the
function, is the hull of both. Lanes for which a way is impossible do not contribute to it.
"""

import ast
import inspect
import math
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from perfcore.kernel.layout import Reals
from perfcore.kernel.loops import FORMULAS
from perfcore.physics import energy, fused, roofline, rounding, serving
from perfcore.physics.stages.capacity import capacity_at
from perfcore.physics.stages.passes import between

Lanes = npt.NDArray[np.bool_]
Number = Any  # an ``Interval`` or a float: the same code computes with either

LIBRARY_ERROR: Final = 1e-14  # relative error of logarithms and exponentials, generous
DECAY_ERROR: Final = 2e-13  # relative error of `rounding.decay`, stated there
DUTY_ERROR: Final = 1e-14  # of the shares of a roofline: a few roundings
CLOCK_ERROR: Final = 1e-12  # of power at a clock, relative: roundings of differences
MEAN_ERROR: Final = 2e-15  # of a mean, relative to the larger of its ends: a few roundings
LEAST_S: Final = 1e-140  # s
SLOWEST: Final = 2.0 ** (energy.HALVINGS + 1)  # inverse of the lowest clock of the bisection
MOST_WAYS: Final = 256  # paths through one function


class UnboundedError(Exception):
    """Error: a formula needs the number itself, or has too many undecided branches."""


class Interval:
    """Numbers between two ends, both included, in each lane; ends may be infinite."""

    __slots__ = ("_positive", "high", "low")
    __array_ufunc__ = None  # numbers of NumPy leave operations to us
    __hash__ = None  # type: ignore[assignment]  # compares like a number

    def __init__(self, low: Reals, high: Reals) -> None:
        wrong = ~(low <= high)  # NaN at an end: nothing is known
        if wrong.any():
            low, high = np.where(wrong, -np.inf, low), np.where(wrong, np.inf, high)
        self.low = low
        self.high = high
        self._positive: bool | None = None

    @property
    def positive(self) -> bool:
        """Whether no lane has a negative number."""
        if self._positive is None:
            self._positive = bool((self.low >= 0.0).all())
        return self._positive

    def __neg__(self) -> "Interval":
        return Interval(-self.high, -self.low)

    def __add__(self, other: Number) -> "Interval":
        low, high = ends(other)
        return Interval(self.low + low, self.high + high)

    __radd__ = __add__

    def __sub__(self, other: Number) -> "Interval":
        low, high = ends(other)
        return Interval(self.low - high, self.high - low)

    def __rsub__(self, other: Number) -> "Interval":
        low, high = ends(other)
        return Interval(low - self.high, high - self.low)

    def __mul__(self, other: Number) -> "Interval":
        if not isinstance(other, Interval):
            low, high = self.low * other, self.high * other
            return Interval(low, high) if other >= 0.0 else Interval(high, low)
        if self.positive and other.positive:
            return Interval(self.low * other.low, self.high * other.high)
        if self is other:
            low, high = self.low * self.low, self.high * self.high
            inside = (self.low < 0.0) & (self.high > 0.0)
            least = np.where(inside, 0.0, np.minimum(low, high))
            return Interval(least, np.maximum(low, high))
        return _hull_of(
            self.low * other.low,
            self.low * other.high,
            self.high * other.low,
            self.high * other.high,
        )

    __rmul__ = __mul__

    def __truediv__(self, other: Number) -> "Interval":
        if not isinstance(other, Interval):
            if other == 0.0:
                return _anything(self.low)
            low, high = self.low / other, self.high / other
            return Interval(low, high) if other > 0.0 else Interval(high, low)
        return _quotient(self.low, self.high, other)

    def __rtruediv__(self, other: float) -> "Interval":
        return _quotient(*ends(other), self)

    def __mod__(self, other: Number) -> "Interval":
        """Return the remainder of positive numbers: known where both are, else below both."""
        low, high = ends(other)
        if not (self.positive and np.all(low > 0.0)):
            raise UnboundedError("remainder of numbers that may be negative")
        known = (self.low == self.high) & (low == high)
        rest = np.mod(self.low, low)
        return Interval(
            np.where(known, rest, 0.0), np.where(known, rest, np.minimum(self.high, high))
        )

    def __rmod__(self, other: float) -> "Interval":
        return Interval(*(np.broadcast_to(end, self.low.shape) for end in ends(other))) % self

    def __ceil__(self) -> "Interval":
        return Interval(np.ceil(self.low), np.ceil(self.high))

    def __lt__(self, other: Number) -> "Truth":
        low, high = ends(other)
        return Truth(self.low < high, self.high >= low)

    def __le__(self, other: Number) -> "Truth":
        low, high = ends(other)
        return Truth(self.low <= high, self.high > low)

    def __gt__(self, other: Number) -> "Truth":
        low, high = ends(other)
        return Truth(self.high > low, self.low <= high)

    def __ge__(self, other: Number) -> "Truth":
        low, high = ends(other)
        return Truth(self.high >= low, self.low < high)

    def __eq__(self, other: object) -> "Truth":  # type: ignore[override]
        low, high = ends(other)
        same = (self.low == high) & (self.high == low)
        return Truth((self.low <= high) & (self.high >= low), ~same)

    def __ne__(self, other: object) -> "Truth":  # type: ignore[override]
        same = self == other
        return Truth(same.false, same.true)

    def __float__(self) -> float:
        raise UnboundedError("an interval where a number is needed")

    __int__ = __float__
    __index__ = __float__


class Truth:
    """Whether a comparison may be true, and whether it may be false, in each lane."""

    __slots__ = ("false", "true")

    def __init__(self, true: Any, false: Any) -> None:  # noqa: ANN401 - lanes, or one for all
        self.true = true
        self.false = false

    def __bool__(self) -> bool:
        return _WAY.get().decide(self)


def ends(number: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Return the ends of an interval; those of a number are the number."""
    return (number.low, number.high) if isinstance(number, Interval) else (number, number)


def _hull_of(*corners: Reals) -> Interval:
    low, high = corners[0], corners[0]
    for corner in corners[1:]:  # NaN passes through both
        low, high = np.minimum(low, corner), np.maximum(high, corner)
    return Interval(low, high)


def _anything(like: Reals) -> Interval:
    return Interval(np.full(like.shape, -np.inf), np.full(like.shape, np.inf))


def _quotient(low: Any, high: Any, by: Interval) -> Interval:  # noqa: ANN401
    known = by.low > 0.0
    below = np.where(known, by.low, 1.0)
    if known.all() and np.all(low >= 0.0):
        return Interval(low / by.high, high / below)
    known |= by.high < 0.0
    below, above = np.where(known, by.low, 1.0), np.where(known, by.high, 1.0)
    found = _hull_of(low / below, low / above, high / below, high / above)
    # the sign of a zero decides about the sign of infinity
    return Interval(np.where(known, found.low, -np.inf), np.where(known, found.high, np.inf))


class _Way:
    """Path through a function: the outcomes of undecided comparisons, for some lanes."""

    def __init__(self, lanes: Lanes | None, outcomes: Sequence[bool]) -> None:
        self.lanes = lanes  # None: all
        self.outcomes = list(outcomes)
        self.passed = 0
        self.others: list[list[bool]] = []  # other ways that begin like this one

    def decide(self, truth: Truth) -> bool:
        """Return the outcome of a comparison, and keep the lanes for which it is possible."""
        true, false = truth.true, truth.false
        if self.lanes is not None:
            true, false = true & self.lanes, false & self.lanes
        if not np.any(false):
            return True
        if not np.any(true):
            return False
        if self.passed == len(self.outcomes):
            self.others.append([*self.outcomes, False])
            self.outcomes.append(True)
        outcome = self.outcomes[self.passed]
        self.passed += 1
        self.lanes = true if outcome else false
        return outcome


_WAY: ContextVar[_Way] = ContextVar("way")


def everywhere(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that goes all ways through ``function`` that its arguments allow."""

    def go(*args: Any, **named: Any) -> Any:  # noqa: ANN401
        outer = _WAY.get(None)
        lanes = None if outer is None else outer.lanes
        ways: list[list[bool]] = [[]]
        results: list[tuple[Lanes | None, Any]] = []
        while ways:
            way = _Way(lanes, ways.pop())
            token = _WAY.set(way)
            try:
                value = function(*args, **named)
            finally:
                _WAY.reset(token)
            results.append((way.lanes, value))
            ways += way.others
            if len(results) + len(ways) > MOST_WAYS:
                raise UnboundedError(f"too many undecided branches in {function.__name__}")
        return joined(results)

    return go


def joined(results: list[tuple[Any, Any]]) -> Any:  # noqa: ANN401
    """Return the hull of the results of several ways, each of which is possible for some lanes."""
    first = results[0][1]
    if len(results) == 1 or all(value is first for _, value in results):
        return first
    if isinstance(first, tuple):
        parts = zip(*(value for _, value in results), strict=True)
        lanes = [lane for lane, _ in results]
        return type(first)(*(joined(list(zip(lanes, part, strict=True))) for part in parts))
    if not any(isinstance(value, Interval | Truth) for _, value in results) and all(
        value == first for _, value in results
    ):
        return first
    if any(isinstance(value, bool | np.bool_ | Truth) for _, value in results):
        truths = [truth_of(value) for _, value in results]
        lanes_of = [lane for lane, _ in results]
        return Truth(
            _any([t.true & lane for t, lane in zip(truths, lanes_of, strict=True)]),
            _any([t.false & lane for t, lane in zip(truths, lanes_of, strict=True)]),
        )
    low: Any = np.inf
    high: Any = -np.inf
    reached: Any = False
    for lane, value in results:
        ends_of = ends(value)
        low = np.where(lane, np.minimum(low, ends_of[0]), low)
        high = np.where(lane, np.maximum(high, ends_of[1]), high)
        reached = reached | lane
    # lanes that no way reaches are not used, either
    return Interval(np.where(reached, low, -np.inf), np.where(reached, high, np.inf))


def truth_of(value: Any) -> Truth:  # noqa: ANN401
    """Return the outcome of a comparison, of numbers or of intervals."""
    if isinstance(value, Truth):
        return value
    return Truth(np.bool_(value), np.bool_(not value))


def _any(lanes: list[Any]) -> Any:  # noqa: ANN401
    found = lanes[0]
    for lane in lanes[1:]:
        found = found | lane
    return found


# Functions of a library, and formulas that are monotone as a whole.


def _least(*numbers: Number) -> Number:
    found = numbers[0]
    for other in numbers[1:]:
        found = _pairwise(found, other, np.minimum, min)
    return found


def _most(*numbers: Number) -> Number:
    found = numbers[0]
    for other in numbers[1:]:
        found = _pairwise(found, other, np.maximum, max)
    return found


def _pairwise(
    one: Number, other: Number, arrays: Callable[..., Reals], numbers: Callable[..., float]
) -> Number:
    if isinstance(one, Interval) or isinstance(other, Interval):
        (low, high), (other_low, other_high) = ends(one), ends(other)
        return Interval(arrays(low, other_low), arrays(high, other_high))
    return numbers(one, other)


def rising(
    plain: Callable[[float], float], arrays: Callable[[Reals], Reals], error: float
) -> Callable[[Number], Number]:
    """Return a function of a number or interval that does not fall, up to a relative error."""

    def bounds(number: Number) -> Number:
        if not isinstance(number, Interval):
            return plain(number)
        low, high = arrays(number.low), arrays(number.high)
        return Interval(low - error * abs(low), high + error * abs(high))

    return bounds


def _root(low_or_high: Reals) -> Reals:
    return np.sqrt(np.maximum(low_or_high, 0.0))  # negative by the margin of `fma` only


def _floor(value: Reals) -> Reals:
    nearest = (value + rounding.SHIFT) - rounding.SHIFT
    return nearest - (nearest > value)


def _ceiling(value: Reals) -> Reals:
    nearest = (value + rounding.SHIFT) - rounding.SHIFT
    return nearest + (nearest < value)


def _decay(exponent: Reals) -> Reals:
    return np.where(exponent > -60.0, np.exp(exponent), 0.0)


def _fma(first: Number, second: Number, addend: Number) -> Number:
    """Product and sum, rounded once: the exact product is within a step of the rounded one."""
    if not any(isinstance(number, Interval) for number in (first, second, addend)):
        return fused.fma(first, second, addend)
    low, high = ends(first * second)
    below, above = np.nextafter(low, -np.inf), np.nextafter(high, np.inf)
    if all(np.all(ends(number)[0] >= 0.0) for number in (first, second)):
        below = np.maximum(below, 0.0)
    return Interval(below, above) + addend


def _roofline(compute_s: Number, memory_s: Number, residue: Number) -> Any:  # noqa: ANN401
    """Bounds of ``roofline``: each share rises with its own resource and falls with the other.

    The shares of one resource and the time of the other depend on each other, which single
    operations do not see. A ``residue`` is at most 1.
    """
    (low_c, high_c), (low_m, high_m) = ends(compute_s), ends(memory_s)
    varies = isinstance(compute_s, Interval) or isinstance(memory_s, Interval)
    if isinstance(residue, Interval) or not varies:
        return _OPERATION_BY_OPERATION["roofline"](compute_s, memory_s, residue)
    nothing = (np.maximum(low_c, low_m) == 0.0) & (np.maximum(high_c, high_m) == 0.0)
    exact = np.maximum(low_c, low_m) >= LEAST_S  # squares of shorter times would vanish
    if not (np.all(exact | nothing) and np.all(low_c >= 0.0) and np.all(low_m >= 0.0)):
        return _OPERATION_BY_OPERATION["roofline"](compute_s, memory_s, residue)
    least, most = _shares(low_c, low_m, residue), _shares(high_c, high_m, residue)
    compute, memory = _shares(high_c, low_m, residue), _shares(low_c, high_m, residue)
    return roofline.Time(
        *(
            _widened(least[0], most[0]),  # type: ignore[arg-type]
            _widened(memory[1], compute[1]),
            _widened(compute[2], memory[2]),
        )
    )


def _shares(compute_s: Any, memory_s: Any, residue: float) -> tuple[Any, Any, Any]:  # noqa: ANN401
    """Total and shares of a roofline at given times."""
    slow, fast = np.maximum(compute_s, memory_s), np.minimum(compute_s, memory_s)
    total = np.sqrt(slow * slow + residue * (fast * fast))
    per_total = 1.0 / (total + roofline.TINY)
    return (
        total,
        np.where(compute_s > memory_s, 1.0, residue) * (compute_s * per_total),
        np.where(compute_s > memory_s, residue, 1.0) * (memory_s * per_total),
    )


def _widened(low: Any, high: Any) -> Interval:  # noqa: ANN401
    low, high = np.atleast_1d(low), np.atleast_1d(high)
    return Interval(low * (1.0 - DUTY_ERROR), high * (1.0 + DUTY_ERROR))


def _between(start: Number, end: Number, share: Number) -> Number:
    """Bounds of ``between`` as a mean of its ends, each of which then occurs once."""
    if not any(isinstance(number, Interval) for number in (start, end, share)):
        return between(start, end, share)
    (low, high), (low_end, high_end) = ends(start), ends(end)
    lows, highs = [], []
    for part in ends(share):  # the mean is a line in the share, so that it is extreme at an end
        rest = 1.0 - part
        lows.append(np.where(rest >= 0.0, low, high) * rest)
        lows[-1] = lows[-1] + np.where(part >= 0.0, low_end, high_end) * part
        highs.append(np.where(rest >= 0.0, high, low) * rest)
        highs[-1] = highs[-1] + np.where(part >= 0.0, high_end, low_end) * part
    largest = np.maximum(np.maximum(abs(low), abs(high)), np.maximum(abs(low_end), abs(high_end)))
    margin = MEAN_ERROR * (1.0 + 2.0 * np.maximum(*map(abs, ends(share)))) * largest
    least = np.minimum(*lows)
    below = margin
    if np.all(low >= 0.0) and np.all(low_end >= 0.0) and np.all(ends(share)[0] >= 0.0):
        # what is subtracted is part of the start: roundings are small even if the end is huge
        below = MEAN_ERROR * (least + 2.0 * ends(share)[1] * high)
    return Interval(least - below, np.maximum(*highs) + margin)


def _portion(part: Number, rest: Number) -> Number:
    """Bounds of ``portion``, which rises with its part, not above 1, and falls with the rest."""
    if not (isinstance(part, Interval) or isinstance(rest, Interval)):
        return serving.portion(part, rest)
    (low, high), (least, most) = ends(part), ends(rest)
    if not (np.all(low >= 0.0) and np.all(least >= 0.0)):
        return _OPERATION_BY_OPERATION["portion"](part, rest)
    tiny = roofline.TINY
    below, above = (low + tiny) / (low + most + tiny), (high + tiny) / (high + least + tiny)
    return Interval(below * (1.0 - DUTY_ERROR), np.minimum(above * (1.0 + DUTY_ERROR), 1.0))


def _ahead_of(first: Number, decode_steps: Number, room: Number) -> Number:
    """Bounds of ``ahead_of``, which falls with steps and room, at their ends."""
    (low, high), (least, most) = ends(decode_steps), ends(room)
    plain = _OPERATION_BY_OPERATION["ahead_of"]
    varies = isinstance(decode_steps, Interval) or isinstance(room, Interval)
    known = not isinstance(first, Interval) and np.all(low >= 0.0) and np.all(least >= 0.0)
    if not (varies and known):
        return plain(first, decode_steps, room)
    few, many = (plain(first, *map(_exactly, pair)) for pair in ((low, least), (high, most)))
    return Interval(ends(many)[0] - DUTY_ERROR, ends(few)[1] + DUTY_ERROR)


def _exactly(numbers: Any) -> Number:  # noqa: ANN401
    return Interval(numbers, numbers) if isinstance(numbers, np.ndarray) else numbers


def _capacity_at(replica: Any, batch: Number, input_len: Number, output_len: Number) -> Any:  # noqa: ANN401
    """Bounds of ``capacity_at`` for rows that can run: they run one request at least."""
    plain = _OPERATION_BY_OPERATION["capacity_at"](replica, batch, input_len, output_len)
    return plain._replace(batch=_least(_most(plain.batch, 1.0), batch))


def _slower_clock(
    watts: energy.Watts, busy_s: Number, busy_j: Number, memory_s: Number, streaming_s: Number
) -> Number:
    """Bounds of ``slower_clock``, whose bisection has an undecided branch in every step.

    At any clock, boards draw most with the most power at full clocks, as much of it as possible by
    memory, which saves less than cores, and as much of the time as possible in streaming. If one
    board draws more than another at every clock, its clock is not the higher one: the bisections
    take the same steps up to the first in which only it is above the limit. With less streaming, a
    clock takes longer.
    """
    given = (*watts, busy_s, busy_j, memory_s, streaming_s)
    if not any(isinstance(number, Interval) for number in given):
        return energy.slower_clock(watts, busy_s, busy_j, memory_s, streaming_s)
    per_busy = 1.0 / busy_s
    power = busy_j * per_busy
    limited = power > watts.limit
    memory_w = _least(watts.memory * memory_s * per_busy, power)
    room = _most(watts.limit - watts.idle, energy.LEAST_ROOM * watts.limit)
    streaming = _least(streaming_s * per_busy, 1.0)
    names = (power, watts.idle, memory_w, room, streaming)
    (power_w, idle_w, memory, room_w, share) = (ends(number) for number in names)
    hot = _Board(power_w[1], idle_w[0], memory[1], room_w[0], share[1])
    cold = _Board(power_w[0], idle_w[1], memory[0], room_w[1], share[0])
    slow = hot.clock(1.0 - CLOCK_ERROR)
    fast = cold.clock(1.0 + CLOCK_ERROR)
    least = _longer(fast, share[1]) * (1.0 - DUTY_ERROR)
    most = np.where(slow > 0.0, _longer(slow, share[0]) * (1.0 + DUTY_ERROR), SLOWEST)
    possible, certain = np.asarray(limited.true), ~np.asarray(limited.false)
    return Interval(
        np.where(certain, least, np.minimum(least, 1.0)),
        np.where(possible, np.maximum(most, 1.0), 1.0),
    )


class _Board(NamedTuple):
    """Board that draws more, or less, than all those of each lane."""

    power_w: Any
    idle_w: Any
    memory_w: Any
    room_w: Any
    streaming: Any

    def clock(self, room: float) -> Reals:
        """Return the clock that ``slower_clock`` finds with ``room`` times the power."""
        power_w, idle_w, memory_w, room_w, streaming = np.broadcast_arrays(*self)
        core_w = np.maximum(power_w - idle_w - memory_w, 0.0)
        low, high = np.zeros(power_w.shape), np.ones(power_w.shape)
        for _ in range(energy.HALVINGS):
            clock = 0.5 * (low + high)
            voltage = np.maximum(clock, energy.CLOCK_AT_LEAST_VOLTAGE)
            drawn_w = memory_w / _longer(clock, streaming) + core_w * (clock * voltage * voltage)
            above = drawn_w > room * room_w
            high = np.where(above, clock, high)
            low = np.where(above, low, clock)
        return low


def _longer(clock: Reals, streaming: Any) -> Reals:  # noqa: ANN401
    """Return the time at a clock, relative to that at the highest."""
    slowed = streaming * np.maximum(energy.CLOCK_AT_FULL_BANDWIDTH / clock, 1.0)
    longer: Reals = slowed + (1.0 - streaming) / clock
    return longer


_BY_FUNCTION: Final[dict[Any, Callable[..., Any]]] = {
    min: _least,
    max: _most,
    math.sqrt: rising(math.sqrt, _root, 0.0),
    math.exp: rising(math.exp, np.exp, LIBRARY_ERROR),
    math.expm1: rising(math.expm1, np.expm1, LIBRARY_ERROR),
    math.log: rising(math.log, np.log, LIBRARY_ERROR),
    math.log2: rising(math.log2, np.log2, LIBRARY_ERROR),
    math.log1p: rising(math.log1p, np.log1p, LIBRARY_ERROR),
    math.ceil: math.ceil,
    fused.fma: _fma,
    rounding.floor_of: rising(rounding.floor_of, _floor, 0.0),
    rounding.ceil_of: rising(rounding.ceil_of, _ceiling, 0.0),
    rounding.decay: rising(rounding.decay, _decay, DECAY_ERROR),
    roofline.roofline: _roofline,
    between: _between,
    serving.portion: _portion,
    serving.ahead_of: _ahead_of,
    capacity_at: _capacity_at,
    energy.slower_clock: _slower_clock,
}


class _Merging(ast.NodeTransformer):
    """Rewriting of expressions whose branches are hulls at once, not ways through a function."""

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """``a if c else b``."""
        self.generic_visit(node)
        return _call("_either", node.test, _later(node.body), _later(node.orelse))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """``a and b``, ``a or b``."""
        self.generic_visit(node)
        name = "_both" if isinstance(node.op, ast.And) else "_one_of"
        found = node.values[-1]
        for value in reversed(node.values[:-1]):
            found = _call(name, value, _later(found))
        return found

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        """``not a``."""
        self.generic_visit(node)
        return _call("_not", node.operand) if isinstance(node.op, ast.Not) else node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """``a < b < c``, whose middle has no side effects."""
        if len(node.ops) == 1:
            self.generic_visit(node)
            return node
        sides = [node.left, *node.comparators]
        pairs = zip(sides[:-1], node.ops, sides[1:], strict=True)
        parts: list[ast.expr] = [ast.Compare(left, [op], [right]) for left, op, right in pairs]
        found: ast.AST = self.visit(ast.BoolOp(ast.And(), parts))
        return found


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


def _later(expression: ast.expr) -> ast.Lambda:
    return ast.Lambda(ast.arguments([], [], None, [], [], None, []), expression)


def _either(test: Any, first: Callable[[], Any], second: Callable[[], Any]) -> Any:  # noqa: ANN401
    if not isinstance(test, Truth):
        return first() if test else second()
    return everywhere(lambda: first() if test else second())()


def _both(first: Any, second: Callable[[], Any]) -> Any:  # noqa: ANN401
    if not isinstance(first, Truth):
        return second() if first else first
    other = truth_of(second())
    return Truth(first.true & other.true, first.false | other.false)


def _one_of(first: Any, second: Callable[[], Any]) -> Any:  # noqa: ANN401
    return _not(_both(_not(first), lambda: _not(second())))


def _not(value: Any) -> Any:  # noqa: ANN401
    return Truth(value.false, value.true) if isinstance(value, Truth) else not value


def _bounding() -> dict[Any, Callable[..., Any]]:
    """Return all formulas as functions of intervals, made from the text of their modules."""
    found = dict(_BY_FUNCTION)
    spaces = []
    for module in FORMULAS:
        text = ast.parse(inspect.getsource(module))
        functions = [node for node in text.body if isinstance(node, ast.FunctionDef)]
        for function in functions:
            function.returns = None
            for argument in ast.walk(function.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
        merging = [_Merging().visit(function) for function in functions]
        code = ast.fix_missing_locations(ast.Module(merging, []))
        space = dict(vars(module), _either=_either, _both=_both, _one_of=_one_of, _not=_not)
        exec(compile(code, f"<bounds of {module.__name__}>", "exec"), space)  # noqa: S102 - our own
        spaces.append((module, space, [function.name for function in functions]))
        for function in functions:
            copy = everywhere(space[function.name])
            _OPERATION_BY_OPERATION[function.name] = copy
            found.setdefault(getattr(module, function.name), copy)
    for module, space, _ in spaces:
        space.update(min=_least, max=_most)
        for name, value in vars(module).items():
            if isinstance(value, FunctionType | BuiltinFunctionType) and value in found:
                space[name] = found[value]
    return found


_OPERATION_BY_OPERATION: Final[dict[str, Callable[..., Any]]] = {}
_BOUNDING: Final = _bounding()


def bounding(formula: Callable[..., Any]) -> Callable[..., Any]:
    """Return a formula of ``perfcore.physics`` as a function of intervals."""
    return _BOUNDING[formula]
