"""Groups of devices that one word names: all, those of a class, those of a vendor."""

from typing import Final, get_args

from perfcore.catalog import loader
from perfcore.catalog.schema import DeviceClass, DeviceEntry

ALL: Final = "all"


def devices_of(word: str) -> tuple[DeviceEntry, ...]:
    """Return the devices on the market of a group; empty if the word names none.

    Groups are ``all``, the classes of devices, and the vendors in lower case.
    """
    wanted = word.strip().casefold()
    listed = (loader.load_device(name) for name in loader.names("device"))
    found = [entry for entry in listed if entry.status == "available"]
    if wanted == ALL:
        return tuple(found)
    if wanted in get_args(DeviceClass):
        return tuple(entry for entry in found if entry.device_class == wanted)
    return tuple(entry for entry in found if entry.vendor.casefold() == wanted)


def class_with(word: str) -> str:
    """Return the only class of devices with a word in its name, such as ``hopper``; or nothing."""
    wanted = word.strip().casefold()
    found = [name for name in get_args(DeviceClass) if wanted in name.split("-")]
    return found[0] if len(found) == 1 else ""
