"""Where a picture's numbers come from: a sweep that is evaluated, or a run that is read.

Both answer the same two questions, by the same compiled selection: which row of each group is the
best, and which rows no other beats. Rows are looked at once and gone, so that memory depends on
the answer, not on how many there are.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from perfcore.searching.objectives import Objective
from perfcore.space.axes import Value
from perfcore.space.sections import Where

Row = dict[str, Any]
Fixed = Mapping[str, Value | tuple[Value, ...]]


class Source(ABC):
    """A sweep or a run, as far as pictures ask.

    ``axes`` has the values of every axis that conditions leave, ``metrics`` the columns that rows
    have, ``zipped`` the axes that move with others, ``sampled`` whether points were drawn, and
    ``given``, ``where`` and ``overrides`` what a user typed.
    """

    name: str
    description: str
    axes: dict[str, tuple[Value, ...]]
    metrics: frozenset[str]
    zipped: frozenset[str]
    sampled: bool
    where: tuple[str, ...]
    overrides: tuple[str, ...]
    given: str

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What a run's files say about themselves: specification, entries, fingerprint, version."""

    @property
    @abstractmethod
    def rows(self) -> str:
        """How many rows there are, in words."""

    @property
    @abstractmethod
    def remedy(self) -> str:
        """How to get a column that is missing."""

    @abstractmethod
    def axis_remedy(self, setting: str) -> str:
        """How to get an axis that is missing; ``setting`` is the override."""

    @abstractmethod
    def best(
        self, objective: Objective, by: Sequence[str], fixed: Fixed, columns: Sequence[str]
    ) -> list[Row]:
        """Return the row of each group with the best value, its axes and some columns."""

    @abstractmethod
    def front(
        self,
        objectives: Sequence[Objective],
        by: Sequence[str],
        fixed: Fixed,
        columns: Sequence[str],
    ) -> list[Row]:
        """Return the rows of each group that no other beats."""

    def entry(self, axis: str, label: Value) -> Mapping[str, Any]:
        """Return a catalogue entry as the facts have it."""
        found: Mapping[str, Any] = self.facts["entries"][axis][str(label)]
        return found

    @property
    def line(self) -> str:
        """Where the numbers come from, for the foot of a picture."""
        engines = ", ".join(map(str, self.axes["engine"]))
        fingerprint = str(self.facts["fingerprint"])[:12]
        only = f" · only {', '.join(self.where)}" if self.where else ""
        return (
            f"perfcore {self.facts['version']} · {self.name} · fingerprint {fingerprint} · "
            f"engine {engines} · {self.rows}{only}"
        )


def where_of(fixed: Fixed) -> tuple[Where, ...]:
    """Return what holds axes at values as conditions."""
    return tuple(
        Where(name, allowed=value if isinstance(value, tuple) else (value,))
        for name, value in fixed.items()
    )
