"""The formulas of ``perfcore.physics`` as C, so that the baseline is of the very same ones.

    python benchmarks/c/translate.py            # prints the header that kernel.c includes

Records become structs, formulas become inline functions that take records by pointer. What is
translated is the subset of Python that the formulas are written in; anything else is an error.
"""

import ast
import inspect
import math
import typing
from collections.abc import Iterator
from types import ModuleType

from perfcore import records
from perfcore.kernel.loops import FORMULAS, ONE_STAGE, PLAIN, STATIC, UNCAPPED, UNDRAFTED
from perfcore.physics.stages.batch import RunningBatch
from perfcore.physics.stages.capacity import Capacity
from perfcore.physics.stages.point import Point

MODULES = (records, *FORMULAS)
LEFT_OUT = {"fewest_devices", "with_degrees", "evaluate", "fits", "half_performance_bytes"}
LIBRARY = {"fma", "sqrt", "exp", "expm1", "log", "log1p", "log2", "ceil"}
OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
COMPARISONS = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
INLINED = "static inline __attribute__((always_inline))"
PRELUDE = """\
/* Generated from perfcore/physics by benchmarks/c/translate.py. */
#include <math.h>
#include <stdbool.h>

/* Fast-math compilers fuse what they like, without help. */
#ifdef __FAST_MATH__
#define fma(a, b, c) ((a) * (b) + (c))
#endif

static inline double max_of(double a, double b) { return b > a ? b : a; }
static inline double min_of(double a, double b) { return b < a ? b : a; }
"""


def _changed(node: ast.AST) -> str | None:
    """Return the name that a node assigns a new value to, other than a part of a record."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return None if isinstance(value, ast.Attribute) else name
        case _:
            return None


class Formula:
    """One function, translated."""

    def __init__(self, function: typing.Any, names: dict[str, typing.Any]) -> None:  # noqa: ANN401
        self.names = names
        tree = ast.parse(inspect.getsource(function)).body[0]
        assert isinstance(tree, ast.FunctionDef)  # noqa: S101 - what a function's source is
        hints = typing.get_type_hints(function)
        self.result = hints.pop("return")
        self.types: dict[str, typing.Any] = dict(hints)
        records = {name for name, kind in hints.items() if kind not in {float, bool}}
        self.changed = set(map(_changed, ast.walk(tree)))  # records among them are copied
        self.pointers = records - self.changed
        body = "".join(f"    {line}\n" for line in self.block(tree.body))
        local = "".join(f"    {self.declared(name)};\n" for name in self.types if name not in hints)
        copied = records & self.changed
        local += "".join(f"    {spelled(hints[name])} {name} = *given_{name};\n" for name in copied)
        given = ", ".join(
            f"const {spelled(hints[name])} *given_{name}" if name in copied else self.declared(name)
            for name in hints
        )
        self.head = f"{INLINED} {spelled(self.result)} {function.__name__}({given})"
        self.text = f"{self.head}\n{{\n{local}{body}}}\n"

    def declared(self, name: str) -> str:
        """Return the declaration of a parameter or a local variable."""
        kind = spelled(self.types[name])
        return f"const {kind} *{name}" if name in self.pointers else f"{kind} {name}"

    def block(self, statements: list[ast.stmt]) -> Iterator[str]:
        """Yield the lines of statements."""
        for statement in statements:
            match statement:
                case ast.Expr(value=ast.Constant()):
                    continue
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    yield self.assigned(name, value)
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    yield self.assigned(name, value)
                case ast.AugAssign(target=ast.Name(id=name), op=operator, value=value):
                    yield f"{name} {OPERATORS[type(operator)]}= {self.value(value)};"
                case ast.Return(value=ast.expr() as value):
                    yield f"return {self.value(value)};"
                case ast.If(test=test, body=body, orelse=other):
                    yield f"if ({self.value(test)}) {{"
                    yield from (f"    {line}" for line in self.block(body))
                    if other:
                        yield "} else {"
                        yield from (f"    {line}" for line in self.block(other))
                    yield "}"
                case ast.For(iter=ast.Call(func=ast.Name(id="range"), args=[turns]), body=body):
                    yield f"for (int turn = 0; turn < {self.value(turns)}; turn++) {{"
                    yield from (f"    {line}" for line in self.block(body))
                    yield "}"
                case _:
                    raise TypeError(f"cannot translate {ast.unparse(statement)}")

    def assigned(self, name: str, value: ast.expr) -> str:
        """Return an assignment; the name's first one decides its type."""
        kind = self.types.setdefault(name, self.kind(value))
        part = isinstance(value, ast.Attribute) and kind not in {float, bool}  # of a record
        if part and name not in self.changed:
            self.pointers.add(name)
            return f"{name} = &{self.value(value)};"
        return f"{name} = {self.value(value)};"

    def kind(self, value: ast.expr) -> typing.Any:  # noqa: ANN401, PLR0911
        """Return the type of an expression."""
        match value:
            case ast.Name(id=name):
                return self.types.get(name, float)
            case ast.Attribute(value=of, attr=name):
                return typing.get_type_hints(self.kind(of))[name]
            case ast.Call(func=ast.Name(id=name)):
                called = None if name in LIBRARY else self.names.get(name)
                if inspect.isclass(called):
                    return called
                return typing.get_type_hints(called)["return"] if called else float
            case ast.IfExp(body=body):
                return self.kind(body)
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                return bool
            case _:
                return float

    def value(self, value: ast.expr) -> str:  # noqa: C901, PLR0911, PLR0912 - a case each
        """Return an expression."""
        match value:
            case ast.Constant(value=bool(number)):
                return str(number).lower()
            case ast.Constant(value=float(number)):
                return repr(number)
            case ast.Constant(value=int(number)):
                return f"{number}.0"
            case ast.Name(id="nan"):
                return "NAN"
            case ast.Name(id=name) if name in self.pointers:
                return f"(*{name})"
            case ast.Name(id=name):
                return name
            case ast.Attribute(value=ast.Name(id=name), attr=field) if name in self.pointers:
                return f"{name}->{field}"
            case ast.Attribute(value=of, attr=field):
                return f"{self.value(of)}.{field}"
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return f"-({self.value(operand)})"
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return f"!({self.value(operand)})"
            case ast.BinOp(left=left, op=ast.Mod(), right=right):
                return f"fmod({self.value(left)}, {self.value(right)})"
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                return f"pow({self.value(left)}, {self.value(right)})"
            case ast.BinOp(left=left, op=operator, right=right):
                return f"({self.value(left)} {OPERATORS[type(operator)]} {self.value(right)})"
            case ast.BoolOp(op=operator, values=values):
                sign = " && " if isinstance(operator, ast.And) else " || "
                return "(" + sign.join(self.value(one) for one in values) + ")"
            case ast.Compare(left=left, ops=[ast.In()], comparators=[ast.Tuple(elts=elements)]):
                same = (f"{self.value(left)} == {self.value(element)}" for element in elements)
                return "(" + " || ".join(same) + ")"
            case ast.Compare(left=left, ops=operators, comparators=rights):
                pairs = zip([left, *rights], operators, rights, strict=False)
                each = (
                    f"{self.value(one)} {COMPARISONS[type(operator)]} {self.value(other)}"
                    for one, operator, other in pairs
                )
                return "(" + " && ".join(each) + ")"
            case ast.IfExp(test=test, body=body, orelse=other):
                return f"({self.value(test)} ? {self.value(body)} : {self.value(other)})"
            case ast.Call(func=ast.Name(id="int"), args=[number]):
                return f"(int)({self.value(number)})"
            case ast.Call(func=ast.Name(id=name)):
                return self.call(name, value)
            case _:
                raise TypeError(f"cannot translate {ast.unparse(value)}")

    def call(self, name: str, call: ast.Call) -> str:
        """Return a call, or a record that is made."""
        called = self.names.get(name)
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        if inspect.isclass(called):
            parts = [part for value in values for part in self.parts(value)]
            fields = [*called._fields[: len(parts) - len(call.keywords)]]
            fields += [word.arg for word in call.keywords]
            pairs = zip(fields, parts, strict=True)
            return f"({name}){{{', '.join(f'.{field} = {part}' for field, part in pairs)}}}"
        if name in {"min", "max"} or name in LIBRARY:
            spelling = {"min": "min_of", "max": "max_of"}.get(name, name)
            return f"{spelling}({', '.join(self.value(one) for one in values)})"
        if called is None or call.keywords:
            raise TypeError(f"cannot translate {ast.unparse(call)}")
        return f"{name}({', '.join(self.argument(one) for one in values)})"

    def parts(self, value: ast.expr) -> list[str]:
        """Return what a value is handed over as: of ``*record[a:b]``, fields a to b - 1."""
        match value:
            case ast.Starred(value=ast.Subscript(value=of, slice=ast.Slice(lower=low, upper=high))):
                ends = [None if end is None else ast.literal_eval(end) for end in (low, high)]
                fields = self.kind(of)._fields[slice(*ends)]
                return [self.value(ast.Attribute(of, field)) for field in fields]
            case _:
                return [self.value(value)]

    def argument(self, value: ast.expr) -> str:
        """Return what is handed over for a value: a record by its address."""
        kind = self.kind(value)
        if kind in {float, bool}:
            return self.value(value)
        if isinstance(value, ast.Name) and value.id in self.pointers:
            return value.id
        if isinstance(value, ast.Call):
            return f"({kind.__name__}[1]){{{self.value(value)}}}"
        return f"&{self.value(value)}"


def spelled(kind: typing.Any) -> str:  # noqa: ANN401
    """Return a type's name in C."""
    return {float: "double", bool: "bool"}.get(kind, kind.__name__)


def structure(record: type) -> str:
    """Return a record as a struct."""
    hints = typing.get_type_hints(record)
    fields = "".join(f"    {spelled(kind)} {name};\n" for name, kind in hints.items())
    return f"typedef struct {{\n{fields}}} {record.__name__};\n"


def row_access(record: type) -> str:
    """Return functions that load and store a record spread over an array, ``STRIDE`` apart."""
    name = record.__name__
    fields = list(enumerate(record._fields))  # type: ignore[attr-defined]
    loads = ", ".join(f".{field} = from[{place} * STRIDE + row]" for place, field in fields)
    stores = "".join(
        f"    to[{place} * STRIDE + row] = record->{field};\n" for place, field in fields
    )
    return (
        f"{INLINED} {name} load_{name}(const double *from, long row)\n"
        f"{{\n    return ({name}){{{loads}}};\n}}\n\n"
        f"{INLINED} void store_{name}(double *to, long row, const {name} *record)\n"
        f"{{\n{stores}}}\n"
    )


def column_access(record: type) -> str:
    """Return a function that stores a record's fields in columns."""
    name = record.__name__
    stores = "".join(
        f"    columns[{place}][row] = (float)record->{field};\n"
        for place, field in enumerate(record._fields)  # type: ignore[attr-defined]
    )
    return (
        f"{INLINED} void store_{name}(float *const *columns, long row, const {name} *record)\n"
        f"{{\n{stores}}}\n"
    )


def constants(name: str, values: typing.Mapping[str, float]) -> str:
    """Return macros that ask a replica for values and that tell the compiler of them."""
    same = " && ".join(f"(r).{field} == {value!r}" for field, value in values.items())
    given = ", ".join(f"(r).{field} = {value!r}" for field, value in values.items())
    return f"#define IS_{name}(r) ({same})\n#define AS_{name}(r) ({given})\n"


def own(module: ModuleType) -> Iterator[tuple[str, typing.Any]]:
    """Yield what a module defines itself: constants, records and formulas."""
    for name, found in vars(module).items():
        if isinstance(found, float | int):
            if module is defining(name):
                yield name, found
        elif getattr(found, "__module__", None) == module.__name__ and name not in LEFT_OUT:
            yield name, found


def defining(name: str) -> ModuleType:
    """Return the first module that has a name: a constant's own one, as it is imported later."""
    return next(module for module in MODULES if name in vars(module))


def translated() -> str:
    """Return all formulas and records as a C header."""
    definitions = []
    formulas = []
    for module in MODULES:
        for name, found in own(module):
            if isinstance(found, float | int):
                number = "INFINITY" if found == math.inf else repr(found)
                definitions.append(f"#define {name} {number}\n")
            elif inspect.isclass(found):
                definitions.append(structure(found))
            else:
                formulas.append(Formula(found, vars(module)))
    heads = "".join(f"{formula.head};\n" for formula in formulas)
    access = [row_access(Capacity), row_access(RunningBatch), column_access(Point)]
    specialised = {
        "STATIC": STATIC,
        "PLAIN": PLAIN,
        "UNDRAFTED": UNDRAFTED,
        "UNCAPPED": UNCAPPED,
        "ONE_STAGE": ONE_STAGE,
    }
    access += [constants(name, values) for name, values in specialised.items()]
    bodies = (formula.text for formula in formulas)
    return "\n".join([PRELUDE, *definitions, heads, *bodies, *access])


if __name__ == "__main__":
    print(translated())
