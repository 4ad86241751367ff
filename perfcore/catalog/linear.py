"""Linear operators of an architecture: shapes in, elements and activations out."""

from collections.abc import Iterable
from typing import NamedTuple


class Linear(NamedTuple):
    """Matrices of one class together. Operators that engines fuse are one matrix here."""

    elements: int = 0  # weights
    io_elements: int = 0  # activations that one token moves in and out
    operators: int = 0


def matrices(*shapes: tuple[int, int]) -> Linear:
    """Return the matrices of these (inputs, outputs)."""
    return Linear(
        sum(inputs * outputs for inputs, outputs in shapes),
        sum(inputs + outputs for inputs, outputs in shapes),
        len(shapes),
    )


def times(linear: Linear, layers: int) -> Linear:
    """Return the matrices of so many equal layers."""
    return Linear(*(layers * value for value in linear))


def total(linears: Iterable[Linear]) -> Linear:
    """Return the matrices of several groups together."""
    groups = list(linears)
    return Linear(
        sum(group.elements for group in groups),
        sum(group.io_elements for group in groups),
        sum(group.operators for group in groups),
    )
