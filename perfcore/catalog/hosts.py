"""Hosts of devices: the memory and the CPU of the machine that they are in."""

from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import BeforeValidator, Field

from perfcore.catalog.entry import Entry
from perfcore.catalog.sheet import quantity
from perfcore.inputs import LIMITS
from perfcore.reading.files import read_toml

_LIMITS: Final = LIMITS["device"]
FIELDS: Final = {  # of a device's record, by the key of a host
    "memory_capacity": "host_memory_capacity",
    "memory_bandwidth": "host_memory_bandwidth",
    "flops": "host_flops",
}


class HostEntry(Entry):
    """Memory and CPU of a machine, which all of its devices share."""

    kind: ClassVar[str] = "host"

    source: Annotated[str, Field(min_length=1)]
    memory_capacity: Annotated[float, BeforeValidator(quantity(_LIMITS["host_memory_capacity"]))]
    memory_bandwidth: Annotated[float, BeforeValidator(quantity(_LIMITS["host_memory_bandwidth"]))]
    flops: Annotated[float, BeforeValidator(quantity(_LIMITS["host_flops"]))]
    default_of: tuple[str, ...] = ()

    def fields(self) -> dict[str, float]:
        """Return the fields of a device's record that the host sets."""
        return {field: getattr(self, key) for key, field in FIELDS.items()}


@cache
def default_host(device_class: str) -> HostEntry | None:
    """Return the usual host of a class of devices; None if they have no memory beside it."""
    for name, table in read_toml(Path(__file__).parent / "hosts.toml").items():
        if isinstance(table, dict) and device_class in table.get("default_of", ()):
            return HostEntry.model_validate({**table, "name": name})
    return None
