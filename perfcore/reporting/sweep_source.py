"""Sweep as a source of pictures: evaluated by the kernel for each picture, never stored."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from perfcore.errors import argument
from perfcore.reporting.source import Fixed, Row, Source, where_of
from perfcore.runs.shards import facts
from perfcore.searching.conditions import conditions, kept
from perfcore.searching.objectives import Objective
from perfcore.searching.search import find_best, find_front
from perfcore.space.space import Space, distinct


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
