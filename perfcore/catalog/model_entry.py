"""Catalogue entry of a model: a consistent architecture, and its record."""

from typing import ClassVar, Self

from pydantic import model_validator

from perfcore import records
from perfcore.catalog.architecture import Architecture
from perfcore.catalog.consistency import faults
from perfcore.catalog.model_record import model_record
from perfcore.inputs import check_limits


class ModelEntry(Architecture):
    """A decoder-only language model. [elements, tokens]"""

    kind: ClassVar[str] = "model"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        broken = faults(self)
        if broken:
            raise ValueError("; ".join(broken))
        check_limits("model", self.record())
        return self

    def record(self) -> records.Model:
        """Return the record of this model that physics uses."""
        return model_record(self)
