"""What every catalogue entry has: a name, aliases, and a source for each of its numbers."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field


class Entry(BaseModel):
    """A named, sourced set of facts, read from one TOML table.

    ``estimated`` maps the name of a field that no vendor publishes to the derivation of the value
    that stands there instead; whoever shows that field says so.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: ClassVar[str] = "entry"

    name: str
    title: str = ""
    aliases: tuple[str, ...] = ()
    source: str
    estimated: dict[str, str] = Field(default_factory=dict)
    hypothetical: bool = False
    notes: str = ""
