"""JavaScript from the formulas: the same functions under the same names, translated from source.

Only what means the same in both languages is translated, and all else is refused, so that a formula
never changes its meaning in silence. All numbers are 64-bit floats in both. Division by zero gives
an infinity or NaN, as in the compiled kernel; plain Python raises.
"""

import ast
import inspect
import math
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Final, NamedTuple, TypeGuard

from perfcore.physics import fused

# Names with `$` cannot clash with those of Python.
RUNTIME: Final = """\
const $min = (a, b) => b < a ? b : a;
const $max = (a, b) => b > a ? b : a;
const $mod = (a, b) => {
  const rest = a % b;
  if (rest === 0) return b < 0 ? -0 : 0;
  return rest < 0 !== b < 0 ? rest + b : rest;
};
// The product as a sum of two numbers, and its sum with the addend likewise: rounded once.
const $fma = (a, b, c) => {
  const product = a * b;
  const sum = product + c;
  if (!(Math.abs(sum) < 1e290 && Math.abs(a) < 1e290 && Math.abs(b) < 1e290)) return sum;
  let part = 134217729 * a;
  const high = part - (part - a), low = a - high;
  part = 134217729 * b;
  const top = part - (part - b), rest = b - top;
  const lost = low * rest - (((product - high * top) - low * top) - high * rest);
  const back = sum - product;
  const left = (product - (sum - back)) + (c - back);
  return sum + (left + lost);
};
"""
_FUNCTIONS: Final[dict[Any, str]] = {
    math.ceil: "(Math.ceil({}) + 0)",  # an integer of Python has no negative zero
    math.exp: "Math.exp({})",
    math.expm1: "Math.expm1({})",
    math.log: "Math.log({})",
    math.log1p: "Math.log1p({})",
    math.log2: "Math.log2({})",
    math.sqrt: "Math.sqrt({})",
    int: "(Math.trunc({}) + 0)",
    float: "Number({})",
    fused.fma: "$fma({}, {}, {})",
}
_BUILT_IN: Final = {"min": min, "max": max, "int": int, "float": float}
_OPERATORS: Final[dict[type[ast.AST], str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.And: "&&",
    ast.Or: "||",
    ast.Eq: "==",  # true == 1, as in Python
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.USub: "-",
    ast.UAdd: "+",
    ast.Not: "!",
}
# Words of JavaScript that are names in Python.
_RESERVED: Final = frozenset(
    (
        *("arguments", "await", "case", "catch", "class", "const", "debugger", "default", "delete"),
        *("do", "enum", "eval", "export", "extends", "false", "function", "implements", "in"),
        *("instanceof", "interface", "let", "new", "null", "package", "private", "protected"),
        *("public", "static", "super", "switch", "this", "throw", "true", "try", "typeof"),
        *("undefined", "var", "void", "yield", "Infinity", "NaN", "Math", "Number"),
    )
)
_LARGEST_WHOLE: Final = 2**53


class TranslationError(ValueError):
    """A formula uses something of Python that is not translated."""


class _Formula(NamedTuple):
    node: ast.FunctionDef
    module: ModuleType


def translate(roots: Iterable[Callable[..., Any]]) -> str:
    """Return an expression of JavaScript: an object with functions and records by their names.

    Whatever they use is inside. Records are classes; their static ``fields`` are names in order.

    Raises
    ------
    TranslationError
        Names the line of a formula and what of it has no translation.
    """
    return _Program().translate(list(roots))


class _Program:
    """Declarations of a program, each made once, in order of use."""

    def __init__(self) -> None:
        self.waiting: list[_Formula] = []
        self.names: dict[str, object] = {}  # what each name in JavaScript stands for
        self.declared: list[str] = []

    def translate(self, roots: list[Callable[..., Any]]) -> str:
        names = [self.name_of(root.__name__, root) for root in roots]
        while self.waiting:
            formula = self.waiting.pop(0)
            self.declared.append(_Function(self, formula).translate())
        return (
            f'(() => {{\n"use strict";\n{RUNTIME}{"".join(self.declared)}'
            f"return {{ {', '.join(names)} }};\n}})()"
        )

    def name_of(self, name: str, value: object) -> str:
        """Return the name in JavaScript of a global; declare it on its first use."""
        spelled = _spelled(name)
        while spelled in self.names and not _is_same(self.names[spelled], value):
            spelled += "$"  # another module's of the same name
        if spelled not in self.names:
            self.names[spelled] = value
            self._declare(spelled, value)
        return spelled

    def _declare(self, name: str, value: object) -> None:
        if isinstance(value, float | int):
            self.declared.append(f"const {name} = {_literal(value)};\n")
        elif _is_record(value):
            self.declared.append(_class(name, value._fields))
        elif inspect.isfunction(value):
            self.waiting.append(_source_of(value, name))
        else:
            raise TranslationError(f"{name}: {type(value).__name__} has no translation")


def _is_same(one: object, other: object) -> bool:
    """Return whether two globals are one: constants by value, as each module imports its own."""
    if isinstance(one, float | int) and isinstance(other, float | int):
        return repr(one) == repr(other)
    return one is other


def _is_record(value: object) -> TypeGuard[Any]:
    return isinstance(value, type) and issubclass(value, tuple) and hasattr(value, "_fields")


def _class(name: str, fields: tuple[str, ...]) -> str:
    given = ", ".join(map(_spelled, fields))
    kept = " ".join(f"this.{field} = {_spelled(field)};" for field in fields)
    listed = ", ".join(f'"{field}"' for field in fields)
    return (
        f"class {name} {{\n  constructor({given}) {{ {kept} }}\n}}\n{name}.fields = [{listed}];\n"
    )


@cache
def _functions_of(module: ModuleType) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(inspect.getsource(module))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def _source_of(function: Callable[..., Any], name: str) -> _Formula:
    module = inspect.getmodule(function)
    node = _functions_of(module).get(function.__name__) if module else None
    if module is None or node is None:
        raise TranslationError(f"{name}: is not a function at the top of a module")
    return _Formula(node, module)


def _spelled(name: str) -> str:
    return f"{name}$" if name in _RESERVED else name


def _literal(value: float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if isinstance(value, int) and abs(value) > _LARGEST_WHOLE:
        raise TranslationError(f"{value}: is not exact as a 64-bit float")
    return repr(value)


@dataclass
class _Function:
    """One function being translated."""

    program: _Program
    formula: _Formula

    def translate(self) -> str:
        node = self.formula.node
        arguments = node.args
        other = (arguments.kwonlyargs, arguments.posonlyargs, arguments.vararg, arguments.kwarg)
        if any(other) or node.decorator_list:
            raise self._fault(node, "parameters other than plain ones")
        self.parameters = [argument.arg for argument in arguments.args]
        self.records = {argument.arg: self._record_of(argument) for argument in arguments.args}
        stored = [
            one.id
            for one in ast.walk(node)
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
        ]
        self.local = {*self.parameters, *stored}
        self.loops = 0
        declared = [name for name in dict.fromkeys(stored) if name not in self.parameters]
        lines = [f"  let {', '.join(map(_spelled, declared))};"] if declared else []
        lines += self._block(node.body, "  ")
        name = self.program.name_of(node.name, getattr(self.formula.module, node.name))
        plain = len(self.parameters) - len(arguments.defaults)
        given = [_spelled(parameter) for parameter in self.parameters]
        for place, default in enumerate(arguments.defaults, plain):
            given[place] += f" = {self._default(default)}"
        return f"function {name}({', '.join(given)}) {{\n" + "\n".join(lines) + "\n}\n"

    def _record_of(self, argument: ast.arg) -> Any:  # noqa: ANN401 - a NamedTuple class, or None
        """Return the record that a parameter is, by its annotation; None if it may be absent."""
        match argument.annotation:
            case ast.Name(id=name):
                found = getattr(self.formula.module, name, None)
                return found if _is_record(found) else None
            case ast.BinOp(left=ast.Name(), op=ast.BitOr(), right=ast.Constant(value=None)):
                return None
        raise self._fault(argument, f"parameter {argument.arg} without a plain annotation")

    def _default(self, node: ast.expr) -> str:
        if not isinstance(node, ast.Constant):
            raise self._fault(node, f"default {ast.unparse(node)}")
        return self._value(node)

    def _fault(self, node: ast.AST, what: str) -> TranslationError:
        line = getattr(node, "lineno", self.formula.node.lineno)
        return TranslationError(f"{self.formula.module.__name__}:{line}: {what} has no translation")

    # Statements

    def _block(self, body: list[ast.stmt], indent: str) -> list[str]:
        return [line for statement in body for line in self._statement(statement, indent)]

    def _statement(self, node: ast.stmt, indent: str) -> list[str]:  # noqa: C901, PLR0911 - as below
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                return []
            case ast.Return(value=ast.expr() as value):
                return [f"{indent}return {self._results(value)};"]
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value):
                names = [_spelled(one.id) for one in targets if isinstance(one, ast.Name)]
                if len(names) == len(targets):
                    return [f"{indent}[{', '.join(names)}] = {self._results(value)};"]
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                return [f"{indent}{_spelled(name)} = {self._value(value)};"]
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                return [f"{indent}{_spelled(name)} = {self._value(value)};"]
            case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                load = ast.copy_location(ast.Name(name, ast.Load()), target)
                changed = ast.copy_location(ast.BinOp(load, op, value), node)
                return [f"{indent}{_spelled(name)} = {self._value(changed)};"]
            case ast.If(test=test, body=body, orelse=orelse):
                lines = [f"{indent}if ({self._value(test)}) {{", *self._block(body, f"{indent}  ")]
                if orelse:
                    lines += [f"{indent}}} else {{", *self._block(orelse, f"{indent}  ")]
                return [*lines, f"{indent}}}"]
            case ast.While(test=test, body=body, orelse=[]):
                head = f"{indent}while ({self._value(test)}) {{"
                return [head, *self._block(body, f"{indent}  "), f"{indent}}}"]
            case ast.For(
                target=ast.Name(id=name),
                iter=ast.Call(func=ast.Name(id="range"), args=[times], keywords=[]),
                body=body,
                orelse=[],
            ):
                self.loops += 1
                step, end = f"$i{self.loops}", f"$n{self.loops}"
                head = (
                    f"{indent}for (let {step} = 0, {end} = {self._value(times)}; "
                    f"{step} < {end}; {step}++) {{"
                )
                first = f"{indent}  {_spelled(name)} = {step};"
                return [head, first, *self._block(body, f"{indent}  "), f"{indent}}}"]
        raise self._fault(node, f"statement {ast.unparse(node).splitlines()[0]!r}")

    # Expressions

    def _results(self, node: ast.expr) -> str:
        """Return a value, or several as an array, which only a function's caller takes apart."""
        if isinstance(node, ast.Tuple):
            return f"[{', '.join(map(self._value, node.elts))}]"
        return self._value(node)

    def _value(self, node: ast.expr) -> str:  # noqa: C901, PLR0911 - one case each
        match node:
            case ast.Constant(value=float() | int() as value):
                return _literal(value)
            case ast.Constant(value=None):
                return "null"
            case ast.Name(id=name):
                return _spelled(name) if name in self.local else self._global(node)
            case ast.Attribute(value=owner, attr=field):
                return f"{self._value(owner)}.{field}"
            case ast.BinOp(left=left, op=ast.Mod(), right=right):
                return f"$mod({self._value(left)}, {self._value(right)})"
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return f"({self._value(left)} {_OPERATORS[type(op)]} {self._value(right)})"
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                return f"({_OPERATORS[type(op)]}{self._value(operand)})"
            case ast.BoolOp(op=op, values=values):
                return f"({f' {_OPERATORS[type(op)]} '.join(map(self._value, values))})"
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return f"({self._value(test)} ? {self._value(body)} : {self._value(orelse)})"
            case ast.Compare():
                return self._comparison(node)
            case ast.Call():
                return self._call(node)
        raise self._fault(node, ast.unparse(node))

    def _comparison(self, node: ast.Compare) -> str:
        """Return a chain of comparisons; what stands between two must not be computed twice."""
        parts = []
        sides = [node.left, *node.comparators]
        for one, op, other in zip(sides, node.ops, sides[1:], strict=False):
            if len(node.ops) > 1 and any(isinstance(n, ast.Call) for n in ast.walk(one)):
                raise self._fault(node, "a call in a chain of comparisons")
            absent = isinstance(other, ast.Constant) and other.value is None
            if isinstance(op, ast.Is | ast.IsNot) and absent:
                sign = "===" if isinstance(op, ast.Is) else "!=="
                parts.append(f"{self._value(one)} {sign} null")
            elif isinstance(op, ast.In) and isinstance(other, ast.Tuple):
                each = [f"{self._value(one)} == {self._value(item)}" for item in other.elts]
                parts.append(f"({' || '.join(each)})")
            elif type(op) in _OPERATORS:
                parts.append(f"{self._value(one)} {_OPERATORS[type(op)]} {self._value(other)}")
            else:
                raise self._fault(node, ast.unparse(node))
        return f"({' && '.join(parts)})"

    def _call(self, node: ast.Call) -> str:
        if not isinstance(node.func, ast.Name) or node.func.id in self.local:
            raise self._fault(node, f"call {ast.unparse(node.func)}")
        name = node.func.id
        called = self._found(node.func)
        given = self._arguments(node)
        named = {keyword.arg: self._value(keyword.value) for keyword in node.keywords}
        if called in (min, max):
            if named or len(given) < 2:
                raise self._fault(node, ast.unparse(node))
            nested = given[0]
            for value in given[1:]:
                nested = f"${name}({nested}, {value})"
            return nested
        try:
            written = _FUNCTIONS.get(called)
        except TypeError:
            written = None
        if written is not None:
            if named or len(given) != written.count("{}"):
                raise self._fault(node, ast.unparse(node))
            return written.format(*given)
        if _is_record(called):
            values = self._in_order(node, called._fields, given, named)
            return f"new {self.program.name_of(name, called)}({', '.join(values)})"
        if not inspect.isfunction(called):
            raise self._fault(node, f"call {name}")
        parameters = inspect.signature(called).parameters
        optional = {name for name, one in parameters.items() if one.default is not one.empty}
        values = self._in_order(node, tuple(parameters), given, named, optional)
        return f"{self.program.name_of(called.__name__, called)}({', '.join(values)})"

    def _arguments(self, node: ast.Call) -> list[str]:
        """Return positional arguments; part of a record with a star is its fields one by one."""
        found = []
        for argument in node.args:
            match argument:
                case ast.Starred(
                    value=ast.Subscript(
                        value=ast.Name(id=name), slice=ast.Slice(lower, upper, None)
                    )
                ) if self.records.get(name):
                    ends = slice(*(None if end is None else _whole(end) for end in (lower, upper)))
                    fields = self.records[name]._fields[ends]
                    found += [f"{_spelled(name)}.{field}" for field in fields]
                case _:
                    found.append(self._value(argument))
        return found

    def _in_order(
        self,
        node: ast.Call,
        names: tuple[str, ...],
        given: list[str],
        named: dict[str | None, str],
        optional: Container[str] = (),
    ) -> list[str]:
        """Return all arguments in the order of parameters or fields; ``undefined`` for defaults."""
        values = dict(zip(names, given, strict=False)) | named
        lacking = [name for name in names if name not in values and name not in optional]
        if len(values) < len(given) + len(named) or lacking or not values.keys() <= set(names):
            raise self._fault(node, f"call {ast.unparse(node.func)} with other arguments")
        return [values.get(name, "undefined") for name in names]

    def _found(self, node: ast.Name) -> Any:  # noqa: ANN401 - whatever a module holds
        module = self.formula.module
        if hasattr(module, node.id):
            return getattr(module, node.id)
        if node.id in _BUILT_IN:
            return _BUILT_IN[node.id]
        raise self._fault(node, f"name {node.id}")

    def _global(self, node: ast.Name) -> str:
        value = self._found(node)
        if not isinstance(value, float | int):
            raise self._fault(node, f"name {node.id}")
        return self.program.name_of(node.id, value)


def _whole(node: ast.expr) -> int:
    value = ast.literal_eval(node)
    if not isinstance(value, int):
        raise TranslationError(f"{ast.unparse(node)}: is not a whole number")
    return value
