"""Columns that a search minimises or maximises."""

from typing import NamedTuple, Self

from perfcore.columns import METRICS
from perfcore.errors import InputError, argument
from perfcore.reading.places import Place


class Objective(NamedTuple):
    """A column to minimise or maximise."""

    name: str
    maximize: bool = False

    @classmethod
    def named(cls, name: str, parameter: str, *, maximize: bool) -> Self:
        """Return an objective; errors name the argument ``parameter``."""
        numbers = [known.name for known in METRICS if known.kind != "code"]
        if name not in numbers:
            faults: list[str] = []
            Place(argument(parameter), "", faults).unknown("metric", name, numbers)
            raise InputError(faults)
        return cls(name, maximize)

    @classmethod
    def parse(cls, text: str, parameter: str) -> Self:
        """Return the objective of a text like ``tpot_s`` or ``tokens_per_s_per_device:max``."""
        name, _, sense = text.strip().partition(":")
        if sense not in {"", "min", "max"}:
            raise InputError(
                f"{argument(parameter)}: {text!r}: write {name}:max to maximise, or {name}"
            )
        return cls.named(name, parameter, maximize=sense == "max")
