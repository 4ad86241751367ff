"""Inputs that each result of the formulas depends on, found from the text of the formulas.

The formulas of ``perfcore.physics`` are executed with some inputs unknown. What is computed from an
unknown number is unknown, too, and has the names of the inputs that it is computed from; everything
else is computed. Both branches of an unknown condition are executed, and what they set differently
has the names of the condition's inputs, too. A result is therefore the same number, bit for bit,
for all values of the inputs that it does not name.
"""

import ast
import builtins
import inspect
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final

import numpy as np

from perfcore import physics, records
from perfcore.kernel.jit import modules_of
from perfcore.kernel.layout import ALONE, Late, Reals
from perfcore.physics import fused
from perfcore.physics.stages.batch import batch_at, runnable
from perfcore.physics.stages.capacity import capacity_at
from perfcore.physics.stages.passes import prefill_at, step_at
from perfcore.physics.stages.point import Point, evaluate
from perfcore.physics.stages.replica import Replica, prepare
from perfcore.space.space import ENGINE_AXES, INNER, LENGTHS, TABLES, Space

FORMULAS: Final = modules_of(physics)

# kinds of records, as ``evaluate`` takes them around the deployment
_RECORDS: Final[dict[str, Any]] = {
    "model": records.Model,
    "device": records.Device,
    "engine": records.Engine,
    "weight_format": records.WeightFormat,
    "kv_format": records.KVFormat,
    "economics": records.Economics,
}
_RULES_OF: Final = ("engine", "weight_format")  # axes that ``engine_rules`` depends on
Names = frozenset[str]
Scope = dict[str, Any]  # local names of a function

_OPERATORS: Final[dict[type[ast.AST], Callable[..., Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.BitOr: operator.or_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda one, many: one in many,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
}


class Unknown:
    """Number that is not known, computed from the inputs with some names."""

    __slots__ = ("names",)

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)


def idle_axes(space: Space, results: Iterable[str]) -> tuple[str, ...]:
    """Return the axes with several values that change none of the results, nor which rows can run.

    Axes that vary together are all there, or none. None is known of a sample, of simulated rows and
    of pairs of prefill and decode pools.
    """
    if space.spec.sample is not None or space.spec.traffic is not None or space.pairs:
        return ()
    point = _traced_point(space)
    used = names_of(tuple(getattr(point, name) for name in {*results, "status"}))
    return tuple(
        axis.name
        for dimension in (*space.outer_dimensions, *space.inner_dimensions)
        if len(dimension) > 1 and not any(axis.name in used for axis in dimension.axes)
        for axis in dimension.axes
    )


def late_axes(space: Space) -> Late:
    """Return the outer dimensions with several values that only the last stage depends on.

    Rows that differ only there have the same memory, prefill pass and decode step, bit for bit.
    None is known of a sample, of simulated rows, of chosen degrees and of other machines.
    """
    spec = space.spec
    if spec.sample is not None or spec.traffic is not None or space.other or space.chooses_devices:
        return ALONE
    entries, deployment, economics = _traced_inputs(space)
    replica = traced(prepare, *entries, deployment, economics)
    read = _read_before_the_last()
    leaves = {path: names_of(value) for path, value in _leaves(replica)}
    early = frozenset().union(*(names for path, names in leaves.items() if path in read))
    found = {
        number: {axis.name for axis in dimension.axes}
        for number, dimension in enumerate(space.outer_dimensions)
        if len(dimension) > 1
        and not any(axis.name in early or axis.name in INNER for axis in dimension.axes)
    }
    axes = frozenset().union(*found.values())
    return Late(
        tuple(found),
        tuple(axis.name for axis in space.outer_axes if axis.name in axes),
        tuple(path for path, names in leaves.items() if names & axes),
    )


@cache
def _read_before_the_last() -> Names:
    """Return the paths of all numbers in ``Replica`` that stages before the last depend on."""
    replica = _unknown(Replica)
    batch, requested, input_len, output_len = (Unknown(()) for _ in range(4))
    runs = traced(runnable, replica.engine, replica.deployment, requested)
    fit = traced(capacity_at, replica, runs, input_len, output_len)
    running = traced(batch_at, replica, batch, requested)
    passes = (
        traced(stage, replica, running, input_len, output_len) for stage in (prefill_at, step_at)
    )
    return names_of((runs, fit, running, *passes))


def _unknown(kind: Any, path: str = "") -> Any:  # noqa: ANN401
    """Return a record of unknown numbers, which have their dotted paths as names."""
    if getattr(kind, "__origin__", kind) is float:  # annotated, or not
        return Unknown([path])
    parts = kind.__annotations__.items()
    return kind(*(_unknown(one, f"{path}.{name}".lstrip(".")) for name, one in parts))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Return all numbers of a record of numbers and records, with their dotted paths."""
    if not isinstance(value, tuple):
        yield path, value
        return
    for name, part in zip(value._fields, value, strict=True):  # type: ignore[attr-defined]
        yield from _leaves(part, f"{path}.{name}".lstrip("."))


def _traced_point(space: Space) -> Point:
    """Return the results of a space's rows; those that differ have the names of axes."""
    entries, deployment, economics = _traced_inputs(space)
    lengths = (_number(space.axis_values[name], [name]) for name in LENGTHS)
    point = traced(evaluate, *entries, deployment, economics, *lengths)
    if not isinstance(point, Point):
        raise TypeError(f"{point!r} is not a point")
    return point


def _traced_inputs(space: Space) -> tuple[list[Any], records.Deployment, records.Economics]:
    """Return the records of a space's rows; numbers that differ have the names of axes."""
    made: list[Any] = []
    for kind in TABLES:
        names = ENGINE_AXES if kind == "engine" else (kind,)
        columns = np.array(space.base_records[kind], np.float64).T
        fields = [_number(column, names) for column in columns]
        for what_if in space.what_ifs.values():
            if what_if.record == kind:
                place = _RECORDS[kind]._fields.index(what_if.field)
                changed = _number(np.array(what_if.values), [what_if.column_name])
                if what_if.mode == "scale":
                    changed = _operated(ast.Mult(), fields[place], changed)
                fields[place] = changed
        made.append(_RECORDS[kind](*fields))
    numbers = {name: _number(values, [name]) for name, values in space.axis_values.items()}
    given: dict[str, Any] = {
        name: numbers[name] for name in records.Deployment._fields if name in numbers
    }
    pairs = np.indices([len(space.spec.axis(name)) for name in _RULES_OF]).reshape(2, -1)
    for name, codes in space.engine_rules(*pairs).items():
        given[name] = _number(codes, _RULES_OF)
    *entries, economics = made
    return entries, records.Deployment(**given), economics


def _number(values: Reals, names: Iterable[str]) -> float | Unknown:
    """Return the common value if all values are equal bit for bit, else an unknown number."""
    same = len(set(np.ascontiguousarray(values).view(np.int64).tolist())) == 1
    return float(values[0]) if same else Unknown(names)


def names_of(value: object) -> Names:
    """Return the names of the inputs that a value, or any part of it, is computed from."""
    return frozenset().union(*(part.names for part in _unknowns(value)))


def _unknowns(value: object) -> list[Unknown]:
    """Return the unknown parts of a value."""
    if isinstance(value, tuple):
        return [part for one in value for part in _unknowns(one)]
    return [value] if isinstance(value, Unknown) else []


def traced(formula: Callable[..., Any], *given: object) -> Any:  # noqa: ANN401
    """Return the result of a formula of ``perfcore.physics`` if some arguments are unknown.

    Raises
    ------
    NotImplementedError
        The formula's text has a construct that is not understood.
    """
    if not isinstance(formula, FunctionType):
        raise NotImplementedError(f"{formula!r} is not a formula")
    return _called(formula, given, {})


def _called(function: Any, given: Iterable[Any], named: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return the result of a call."""
    given = tuple(given)
    arguments = (*given, *named.values())
    makes_record = isinstance(function, type) and issubclass(function, tuple)
    of_record = isinstance(function, MethodType | BuiltinFunctionType) and isinstance(
        getattr(function, "__self__", None), tuple | type
    )
    if not _unknowns(arguments):
        return _computed(function, *given, **named)
    if makes_record or of_record:
        return function(*given, **named)
    if function in _OF_NUMBERS:
        return Unknown(names_of(arguments))
    if isinstance(function, FunctionType) and function.__module__ in _MODULES:
        bound = inspect.signature(function).bind(*given, **named)
        bound.apply_defaults()
        return _Body(function).run(dict(bound.arguments))
    raise NotImplementedError(f"a call of {function!r}")


def _computed(function: Callable[..., Any], *given: Any, **named: Any) -> Any:  # noqa: ANN401
    """Return the result of a function of known values, or a number that depends on none.

    A branch that is not taken may divide by zero.
    """
    try:
        return function(*given, **named)
    except (ArithmeticError, ValueError):
        return Unknown(())


_MODULES: Final = frozenset(module.__name__ for module in FORMULAS)
_OF_NUMBERS: Final = frozenset(
    [min, max, abs, int, float, bool, fused.fma]
    + [value for value in vars(math).values() if isinstance(value, BuiltinFunctionType)]
)


def joined(first: Any, second: Any, names: Names) -> Any:  # noqa: ANN401
    """Return the value that is one of two, as a condition on inputs with some names says."""
    if first is second:
        return first
    if isinstance(first, tuple) and type(first) is type(second) and len(first) == len(second):
        parts = [joined(*pair, names) for pair in zip(first, second, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    if isinstance(first, Unknown) or isinstance(second, Unknown):
        return Unknown(names_of(first) | names_of(second) | names)
    if type(first) is type(second) and first == second and repr(first) == repr(second):
        return first  # zeros of either sign differ
    return Unknown(names)


@cache
def _tree_of(function: FunctionType) -> ast.FunctionDef:
    return _trees_of(function.__module__)[function.__name__]


@cache
def _trees_of(name: str) -> dict[str, ast.FunctionDef]:
    (module,) = (module for module in FORMULAS if module.__name__ == name)
    body = ast.parse(inspect.getsource(module)).body
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


class _Body(ast.NodeVisitor):
    """Execution of the body of a formula: a visit of an expression returns its value."""

    def __init__(self, function: FunctionType) -> None:
        self.outside = function.__globals__
        self.tree = _tree_of(function)
        self.scope: Scope | None = None  # local names; None once a result has been returned
        self.results: list[Any] = []
        self.chosen: Names = frozenset()  # by which inputs it is chosen which result is returned

    def run(self, scope: Scope) -> Any:  # noqa: ANN401
        """Return the result, given the values of the parameters."""
        if self._after(self.tree.body, scope) is not None:
            raise NotImplementedError(f"{self.tree.name} may end without a result")
        result, *others = self.results
        for other in others:
            result = joined(result, other, self.chosen)
        return result

    def _after(self, statements: Iterable[ast.stmt], scope: Scope) -> Scope | None:
        """Execute statements; return the local names after them, None if all ways return."""
        self.scope = scope
        for statement in statements:
            if self.scope is not None:
                self.visit(statement)
        return self.scope

    @property
    def local(self) -> Scope:
        """Local names, of which there are some until a result is returned."""
        if self.scope is None:
            raise RuntimeError("a result has been returned")
        return self.scope

    def generic_visit(self, node: ast.AST) -> Any:  # noqa: ANN401
        """Refuse what is not understood."""
        raise NotImplementedError(f"in {self.tree.name}: {ast.unparse(node)}")

    # Statements.

    def visit_Return(self, node: ast.Return) -> None:
        """``return a``."""
        self.results.append(None if node.value is None else self.visit(node.value))
        self.scope = None

    def visit_Assign(self, node: ast.Assign) -> None:
        """``a = b``."""
        (target,) = node.targets
        if not isinstance(target, ast.Name):
            self.generic_visit(node)
            return
        self.scope = {**self.local, target.id: self.visit(node.value)}

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """``a += b``."""
        if not isinstance(node.target, ast.Name):
            self.generic_visit(node)
            return
        changed = ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value)
        self.scope = {**self.local, node.target.id: self.visit(changed)}

    def visit_Expr(self, node: ast.Expr) -> None:
        """Docstrings."""
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        """``if a``."""
        self.scope = self._branch(self.visit(node.test), node.body, node.orelse, self.local)

    def _branch(
        self,
        test: Any,  # noqa: ANN401
        body: Iterable[ast.stmt],
        orelse: Iterable[ast.stmt],
        scope: Scope,
    ) -> Scope | None:
        """Execute the branch that a condition chooses, or both if it is unknown."""
        if not isinstance(test, Unknown):
            return self._after(body if test else orelse, scope)
        before = len(self.results)
        first, second = self._after(body, scope), self._after(orelse, scope)
        if len(self.results) > before:
            self.chosen |= test.names
        if first is None or second is None:
            return second if first is None else first
        # a name that only one branch sets is not used after both
        both = first.keys() & second.keys()
        return {name: joined(first[name], second[name], test.names) for name in both}

    def visit_For(self, node: ast.For) -> None:
        """``for _ in range(a)``, whose variable is not used."""
        match node.iter:
            case ast.Call(func=ast.Name(id="range"), args=[count]):
                times = self.visit(count)
            case _:
                self.generic_visit(node)
        if isinstance(times, Unknown):
            self._repeat(lambda: times, node.body)
            return
        for _ in range(times):
            self._after(node.body, self.local)

    def visit_While(self, node: ast.While) -> None:
        """``while a``."""
        self._repeat(lambda: self.visit(node.test), node.body)

    def _repeat(self, test: Callable[[], Any], body: list[ast.stmt]) -> None:
        """Execute a loop; once its condition is unknown, until nothing else becomes unknown."""
        while self.scope is not None:
            holds = test()
            before = self.local
            if not isinstance(holds, Unknown) and not holds:
                return
            self.scope = self._branch(holds, body, [], before)
            if isinstance(holds, Unknown) and _alike(self.scope, before):
                return

    # Expressions.

    def visit_Constant(self, node: ast.Constant) -> Any:  # noqa: ANN401
        """``1.0``."""
        return node.value

    def visit_Name(self, node: ast.Name) -> Any:  # noqa: ANN401
        """``a``."""
        for known in (self.local, self.outside, vars(builtins)):
            if node.id in known:
                return known[node.id]
        raise NotImplementedError(f"{self.tree.name} uses {node.id} before it is set")

    def visit_Attribute(self, node: ast.Attribute) -> Any:  # noqa: ANN401
        """``a.b``."""
        return getattr(self.visit(node.value), node.attr)

    def visit_BinOp(self, node: ast.BinOp) -> Any:  # noqa: ANN401
        """``a + b``."""
        return _operated(node.op, self.visit(node.left), self.visit(node.right))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:  # noqa: ANN401
        """``-a``, ``not a``."""
        return _operated(node.op, self.visit(node.operand))

    def visit_Compare(self, node: ast.Compare) -> Any:  # noqa: ANN401
        """``a < b < c``, whose middle has no side effects."""
        sides = [node.left, *node.comparators]
        triples = zip(sides[:-1], node.ops, sides[1:], strict=True)
        return _all(_operated(op, self.visit(one), self.visit(other)) for one, op, other in triples)

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:  # noqa: ANN401
        """``a and b``, ``a or b``."""
        values = (self.visit(value) for value in node.values)
        if isinstance(node.op, ast.And):
            return _all(values)
        return _operated(ast.Not(), _all(_operated(ast.Not(), value) for value in values))

    def visit_IfExp(self, node: ast.IfExp) -> Any:  # noqa: ANN401
        """``a if b else c``."""
        holds = self.visit(node.test)
        if not isinstance(holds, Unknown):
            return self.visit(node.body if holds else node.orelse)
        return joined(self.visit(node.body), self.visit(node.orelse), holds.names)

    def visit_Tuple(self, node: ast.Tuple) -> Any:  # noqa: ANN401
        """``(a, b)``."""
        return tuple(map(self.visit, node.elts))

    def visit_Subscript(self, node: ast.Subscript) -> Any:  # noqa: ANN401
        """``a[1:2]``."""
        if not isinstance(node.slice, ast.Slice):
            return self.generic_visit(node)
        ends = (node.slice.lower, node.slice.upper, node.slice.step)
        return self.visit(node.value)[slice(*(end and self.visit(end) for end in ends))]

    def visit_Call(self, node: ast.Call) -> Any:  # noqa: ANN401
        """``f(a, *b, c=d)``."""
        given: list[Any] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                given += self.visit(argument.value)
            else:
                given.append(self.visit(argument))
        named = {str(one.arg): self.visit(one.value) for one in node.keywords}
        return _called(self.visit(node.func), given, named)


def _all(values: Iterable[Any]) -> Any:  # noqa: ANN401
    """Return whether all values hold: not, if any known one does not."""
    names: Names = frozenset()
    unknown = False
    for value in values:
        if isinstance(value, Unknown):
            unknown = True
            names |= value.names
        elif not value:
            return False
    return Unknown(names) if unknown else True


def _operated(op: ast.AST, *values: Any) -> Any:  # noqa: ANN401
    function = _OPERATORS[type(op)]
    if not _unknowns(values):
        return _computed(function, *values)
    if all(isinstance(value, tuple) for value in values):
        return function(*values)  # tuples are concatenated
    return Unknown(names_of(values))


def _alike(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Return whether two values, or local names, are the same as far as they are known."""
    if isinstance(one, Unknown) and isinstance(other, Unknown):
        return one.names == other.names
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_alike(one[name], other[name]) for name in one)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    return bool(type(one) is type(other) and (one is other or one == other))
