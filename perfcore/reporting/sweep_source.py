"""Sweep as a source of pictures: evaluated by the kernel for each picture, never stored."""

from collections.abc import Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import Any, Final, cast

import numpy as np

from perfcore.errors import argument
from perfcore.reporting.pieces import met
from perfcore.reporting.source import Fixed, Row, Source, where_of
from perfcore.runs.shards import facts
from perfcore.searching.conditions import conditions, kept
from perfcore.searching.objectives import Objective
from perfcore.searching.search import find_best, find_front, rows_at
from perfcore.space.axes import Value
from perfcore.space.space import Space, distinct

# A sample evaluates all lengths and batches of a point at once, in about 10 ms.
_MOST_POINTS: Final = 600
_MOST_EVALUATED: Final = 2_000_000  # rows
_GOLDEN: Final = 0.6180339887498949  # its multiples are spread evenly over the unit interval


class SweepSource(Source):
    """Sweep that the kernel evaluates again for each query."""

    def __init__(self, space: Space, where: Sequence[str], workers: int | None, given: str) -> None:
        self.given_space = space
        self.space = kept(
            space, conditions(where, space.spec.axes, space.spec.what_ifs, space.results)
        )
        spec = space.spec
        self.name, self.description = spec.name, spec.description
        self.axes = {axis.name: tuple(distinct(axis)) for axis in self.space.axes}
        self.metrics = frozenset(column.name for column in space.results)
        self.zipped = frozenset(name for names in spec.zips for name in names)
        self.sampled = spec.sample is not None
        self.where, self.workers, self.given = tuple(where), workers, given
        self.overrides = ()

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """Metadata that files of a run would have."""
        return facts(self.given_space)

    @property
    def rows(self) -> str:
        """Number of configurations, as text."""
        return f"{self.space.rows:,} configurations"

    @property
    def remedy(self) -> str:
        """Remedy for a missing column; a sweep has every column, so the name must be wrong."""
        return "name a column of `perfcore columns`"

    def axis_remedy(self, setting: str) -> str:
        """Return the override that adds the axis."""
        return f"add {argument('overrides', [setting])}"

    def best(
        self,
        objective: Objective,
        by: Sequence[str],
        fixed: Fixed,
        columns: Sequence[str],  # noqa: ARG002 - rows come with all of them
    ) -> list[Row]:
        """Return the row of each group with the best value."""
        narrow = kept(self.space, where_of(fixed))
        found = find_best(narrow, objective, (), by, 1, self.workers)
        return cast("list[Row]", found.rows.to_pylist())

    def front(
        self,
        objectives: Sequence[Objective],
        by: Sequence[str],
        fixed: Fixed,
        columns: Sequence[str],  # noqa: ARG002 - rows come with all of them
    ) -> list[Row]:
        """Return the Pareto front of each group."""
        narrow = kept(self.space, where_of(fixed))
        found = find_front(narrow, objectives, (), by, self.workers)
        return cast("list[Row]", found.rows.to_pylist())

    @property
    def size(self) -> int:
        """Number of configurations."""
        return self.space.rows

    def at(self, fixed: Mapping[str, Value]) -> "SweepSource":
        """Return the sweep with axes held at values."""
        found = copy(self)
        found.axes = self.axes | {name: (value,) for name, value in fixed.items()}
        found.space = kept(self.space, where_of(fixed))
        return found

    def sample(self, most: int, columns: Sequence[str]) -> tuple[list[Row], int]:
        """Return rows at even distances in the space that meet its conditions."""
        total, inner = self.space.rows, self.space.inner_points
        count = min(total, most)
        places = np.unique(np.linspace(0, total - 1, count).astype(np.int64))
        points = np.unique(places // inner)
        room = max(min(_MOST_EVALUATED // inner, _MOST_POINTS), 1)
        if points.size > room:  # several rows of fewer points, at other lengths for each point
            points = points[np.unique(np.linspace(0, points.size - 1, room).astype(np.int64))]
            each = min(max(count // room, 1), inner)
            shifts = np.arange(points.size) * _GOLDEN % 1
            rows = ((np.arange(each) + shifts[:, None]) / each * inner).astype(np.int64)
            places = (points[:, None] * inner + rows).ravel()
        table = rows_at(self.space, places)
        keep = np.ones(table.num_rows, np.bool_)
        for condition in self.space.spec.where:
            keep &= met(table[condition.column], condition)
        names = [name for name in dict.fromkeys(columns) if name in table.column_names]
        return cast("list[Row]", table.select(names).filter(keep).to_pylist()), total
