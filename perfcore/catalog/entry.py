"""Base of all catalogue entries: a name, aliases, and a source for each number."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from perfcore.errors import renamed


class Entry(BaseModel):
    """A named, sourced set of facts, read from one TOML table.

    ``estimated`` maps each field that no vendor publishes to the derivation of its value. Displays
    of such a field must mark it as estimated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: ClassVar[str] = "entry"
    FORMER: ClassVar[Mapping[str, str]] = {}  # former names of fields, still accepted

    name: str
    title: str = ""
    aliases: tuple[str, ...] = ()
    source: str
    estimated: dict[str, str] = Field(default_factory=dict)
    hypothetical: bool = False
    notes: str = ""

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, given: Any) -> Any:  # noqa: ANN401 - any TOML value
        """Accept former names of fields as well, with a warning that gives the new name."""
        if not isinstance(given, dict):
            return given
        table = _by_new_names(given, cls.FORMER)
        if isinstance(table.get("estimated"), dict):
            table["estimated"] = _by_new_names(table["estimated"], cls.FORMER)
        return table


def _by_new_names(table: Mapping[str, Any], former: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in table.items():
        new = former.get(name, name)
        if new != name:
            if new in table:
                raise ValueError(f"{name}: is now called {new}, which is given too; keep {new}")
            renamed(name, new)
        found[new] = value
    return found
