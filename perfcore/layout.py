"""What goes into the kernel and comes out of it, as arrays."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]


class Block(NamedTuple):
    """A contiguous range of outer points."""

    records: Integers  # (6, points) rows of the tables
    deployments: Reals  # (points, fields) one `Deployment` each, batch 0 where it is inner
    lengths: Reals  # (2, points) input and output length where they are not inner, else 0
    axes: Codes  # (outer axes that vary, points) values of integers, else codes
    degrees: Integers  # (2,) axes of the chosen degrees of tensor and pipeline parallelism


class Inner(NamedTuple):
    """What every outer point goes through: batches and sequence lengths."""

    batches: Reals  # (points,) where it is inner, else 0
    lengths: Reals  # (2, points) input and output length where they are inner, else 0. [tokens]
    axes: Codes  # (inner axes that vary, points)


class Rules(NamedTuple):
    """Conditions on metrics: field, range, and for codes the set of allowed values as bits."""

    fields: Integers
    dropped_bits: Integers  # as in ``Output``: what is compared is what is written
    ranges: Reals  # (rules, 2)
    masks: Integers


class Output(NamedTuple):
    """Columns, each at least a tile long, and the fields of ``Point`` that go into them."""

    capacity: int  # rows of a column; the arrays are longer
    axes: Codes  # (axes that vary, pitch) outer ones first
    metrics: npt.NDArray[np.floating]  # (columns, pitch)
    codes: Codes  # (columns, pitch)
    metric_fields: Integers
    dropped_bits: Integers  # of each metric's mantissa, which is rounded
    code_fields: Integers
