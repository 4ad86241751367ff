"""Source of a picture's numbers: a sweep that is evaluated, or a run that is read.

Both answer the same two questions with the same compiled code: which row of each group is best,
and which rows are on its Pareto front. Rows are reduced in a single pass, so that memory depends on
the size of the answer, not on the number of rows.
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
    """Interface of a sweep or run as a source of pictures.

    ``axes`` has the values of each axis that meet the conditions, ``metrics`` the available
    columns, ``zipped`` the axes that are zipped with others, and ``sampled`` whether the points are
    a sample. ``given``, ``where`` and ``overrides`` are as the user typed them.
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
    def simulated(self) -> bool:
        """Whether rows are simulations of servers under traffic."""
        return "replicas" in self.axes

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """Metadata of a run: specification, catalogue entries, fingerprint, version."""

    @property
    @abstractmethod
    def rows(self) -> str:
        """Number of rows, as text."""

    @property
    @abstractmethod
    def remedy(self) -> str:
        """Remedy for a missing column, as text."""

    @abstractmethod
    def axis_remedy(self, setting: str) -> str:
        """Return the remedy for a missing axis; ``setting`` is the override that adds it."""

    @abstractmethod
    def best(
        self, objective: Objective, by: Sequence[str], fixed: Fixed, columns: Sequence[str]
    ) -> list[Row]:
        """Return the row of each group with the best value, with its axes and some columns."""

    @abstractmethod
    def front(
        self,
        objectives: Sequence[Objective],
        by: Sequence[str],
        fixed: Fixed,
        columns: Sequence[str],
    ) -> list[Row]:
        """Return the Pareto front of each group."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of rows or configurations."""

    @abstractmethod
    def at(self, fixed: Mapping[str, Value]) -> "Source":
        """Return the source with axes held at values."""

    @abstractmethod
    def sample(self, most: int, columns: Sequence[str]) -> tuple[list[Row], int]:
        """Return at most ``most`` rows, evenly chosen, and the number of all.

        Rows that cannot run are among both if the source has them; they have a ``status``.
        """

    def entry(self, axis: str, label: Value) -> Mapping[str, Any]:
        """Return a catalogue entry as recorded in the metadata."""
        found: Mapping[str, Any] = self.facts["entries"][axis][str(label)]
        return found

    @property
    def line(self) -> str:
        """Origin of the numbers, as a footer of pictures."""
        engines = ", ".join(map(str, self.axes["engine"]))
        fingerprint = str(self.facts["fingerprint"])[:12]
        only = f" · only {', '.join(self.where)}" if self.where else ""
        return (
            f"perfcore {self.facts['version']} · {self.name} · fingerprint {fingerprint} · "
            f"engine {engines} · {self.rows}{only}"
        )


def where_of(fixed: Fixed) -> tuple[Where, ...]:
    """Return conditions that hold axes at fixed values."""
    return tuple(
        Where(name, allowed=value if isinstance(value, tuple) else (value,))
        for name, value in fixed.items()
    )
