"""Columns that a search minimises or maximises."""

from typing import NamedTuple, Self

from perfcore.columns import METRICS
from perfcore.errors import InputError
from perfcore.reading.places import Place


class Objective(NamedTuple):
    """A column, and whether more of it is better."""

    name: str
    maximize: bool = False

    @classmethod
    def named(cls, name: str, option: str, *, maximize: bool) -> Self:
        """Return an objective; ``option`` is what named it."""
        numbers = [known.name for known in METRICS if known.kind != "code"]
        if name not in numbers:
            faults: list[str] = []
            Place(option, "", faults).unknown("metric", name, numbers)
            raise InputError(faults)
        return cls(name, maximize)

    @classmethod
    def parse(cls, text: str, option: str) -> Self:
        """Read ``tpot_s`` or ``tokens_per_s_per_device:max``."""
        name, _, sense = text.strip().partition(":")
        if sense not in {"", "min", "max"}:
            raise InputError(f"{option}: {text!r}: write {name}:max to maximise, or {name}")
        return cls.named(name, option, maximize=sense == "max")
