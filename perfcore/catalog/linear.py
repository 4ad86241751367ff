"""Linear operators of an architecture: weights and activations, from matrix shapes."""

from collections.abc import Iterable
from typing import NamedTuple


class Linear(NamedTuple):
    """Sum over matrices of one class. Operators that engines fuse count as one matrix."""

    elements: int = 0  # weights
    io_elements: int = 0  # activations read and written per token
    operators: int = 0


def matrices(*shapes: tuple[int, int]) -> Linear:
    """Return the sum over matrices of these shapes, (inputs, outputs)."""
    return Linear(
        sum(inputs * outputs for inputs, outputs in shapes),
        sum(inputs + outputs for inputs, outputs in shapes),
        len(shapes),
    )


def times(linear: Linear, layers: int) -> Linear:
    """Return the sum over a number of identical layers."""
    return Linear(*(layers * value for value in linear))


def total(linears: Iterable[Linear]) -> Linear:
    """Return the sum over several groups of matrices."""
    groups = list(linears)
    return Linear(
        sum(group.elements for group in groups),
        sum(group.io_elements for group in groups),
        sum(group.operators for group in groups),
    )
