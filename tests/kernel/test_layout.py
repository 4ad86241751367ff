"""Arrays that the loops read and write by address."""

import pytest

from kernel.rows import bare_space
from perfcore.runs.parquet import Buffers
from perfcore.runs.workers import Evaluator


def test_columns_have_room_for_whole_vectors():
    """Loops write up to a vector beyond the last row, but do not overwrite other data."""
    space = bare_space()
    evaluator = Evaluator(space)
    output = evaluator.output(Buffers(space, 256))
    short = output._replace(capacity=output.metrics.shape[1])
    block = space.block(0, 1)
    with pytest.raises(ValueError, match=r"columns have \d+ rows, not \d+ and a vector"):
        evaluator.filling(space.tables, block, space.inner, space.rules, short)


def test_arrays_with_gaps_are_refused():
    """The loops would read what lies in the gaps."""
    space = bare_space()
    evaluator = Evaluator(space)
    output = evaluator.output(Buffers(space, 256))
    block = space.block(0, 1)
    gaps = block._replace(lengths=block.lengths.repeat(2, axis=1)[:, ::2])
    with pytest.raises(ValueError, match="arrays must be C-contiguous"):
        evaluator.filling(space.tables, gaps, space.inner, space.rules, output)
