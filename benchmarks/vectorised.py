"""Formulas of ``perfcore.physics`` over NumPy arrays, as one would write them without a JIT.

The source of every row stage is used unchanged, except for operations that do not work on arrays:
``min``, ``max``, ``sqrt``, ``fma``, conditional expressions and ``and`` are replaced.
"""

import ast
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from c.translate import MODULES

from perfcore.physics.stages.point import Point

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": np.minimum,
    "max": np.maximum,
    "sqrt": np.sqrt,
    "fma": lambda first, second, addend: first * second + addend,
    "log": np.log,
    "where": np.where,
    "both": np.logical_and,
    "inverted": np.logical_not,
}


class _Arrays(ast.NodeTransformer):
    """Replacement of operations that do not work on arrays."""

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        return _call("where", [node.test, node.body, node.orelse])

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return _call("inverted", [node.operand]) if isinstance(node.op, ast.Not) else node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        node.value = _joined(node.value)
        return node


def _call(name: str, arguments: list[ast.expr]) -> ast.Call:
    joined = [_joined(argument) for argument in arguments]
    return ast.Call(ast.Name(name, ast.Load()), joined, [])


def _joined(value: ast.expr) -> ast.expr:
    if isinstance(value, ast.BoolOp) and isinstance(value.op, ast.And):
        first, *others = value.values
        for other in others:
            first = _call("both", [first, other])
        return first
    return value


def formulas() -> dict[str, Any]:
    """Return every formula and record by name, with the row stages over arrays."""
    names: dict[str, Any] = {}
    for module in MODULES:
        names.update({name: found for name, found in vars(module).items() if name[0] != "_"})
    names.update(FUNCTIONS)
    for module in MODULES:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and name != "evaluate":
                tree = _Arrays().visit(ast.parse(inspect.getsource(function)))
                exec(compile(ast.fix_missing_locations(tree), module.__file__, "exec"), names)  # noqa: S102
    return names


def evaluator() -> Callable[..., Point]:
    """Return a function from a replica and arrays of batches and lengths to a ``Point``."""
    found = formulas()

    def evaluate(replica: Any, batch: Any, input_len: Any, output_len: Any) -> Point:  # noqa: ANN401
        runs = found["runnable"](replica.engine, replica.deployment, batch)
        fit = found["capacity_at"](replica, runs, input_len, output_len)
        running = found["batch_at"](replica, fit.batch, batch)
        prefilled = found["prefill_at"](replica, running, input_len, output_len)
        step = found["step_at"](replica, running, input_len, output_len)
        result: Point = found["point_at"](
            *(replica, found["pool_of"](replica), running, fit),
            *(input_len, output_len, prefilled, step),
        )
        return result

    return evaluate
