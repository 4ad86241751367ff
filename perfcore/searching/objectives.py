"""Columns that a search minimises or maximises."""

from collections.abc import Iterable
from typing import NamedTuple, Self

from perfcore.columns import METRICS, SIMULATED, Column, usual
from perfcore.errors import InputError, argument
from perfcore.reading.places import Place


class Objective(NamedTuple):
    """A column to minimise or maximise."""

    name: str
    maximize: bool = False

    @classmethod
    def named(cls, name: str, parameter: str, *, maximize: bool) -> Self:
        """Return an objective; errors name the argument ``parameter``."""
        numbers = _numbers((*METRICS, *SIMULATED))
        if name not in numbers:
            faults: list[str] = []
            Place(argument(parameter), "", faults).unknown(
                "metric", name, numbers, usual(name, numbers)
            )
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


def check_objectives(objectives: Iterable[Objective], results: tuple[Column, ...]) -> None:
    """Check that the rows of a sweep have the columns of objectives.

    Raises
    ------
    InputError
        They lack one: simulated rows have other columns than those in closed form.
    """
    known = _numbers(results)
    faults: list[str] = []
    for objective in objectives:
        if objective.name not in known:
            Place(argument("objectives"), "", faults).unknown(
                "metric", objective.name, known, usual(objective.name.removesuffix("_usd"), known)
            )
    if faults:
        raise InputError(faults)


def _numbers(results: Iterable[Column]) -> list[str]:
    return list(dict.fromkeys(column.name for column in results if column.kind != "code"))
