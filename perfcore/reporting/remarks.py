"""Remarks below a picture on the devices in it: what they cost, and whether they exist."""

from collections.abc import Iterator
from typing import Final

from perfcore.catalog.schema import UNSOLD
from perfcore.reporting.picture import Picture
from perfcore.reporting.source import Source
from perfcore.reporting.wording import listing
from perfcore.space.axes import Value

_DEVICE: Final = "device"
_PER_DEVICE: Final = "per device"


def remarks_on_devices(source: Source, picture: Picture) -> Iterator[str]:
    """Yield remarks on the devices that a picture shows or holds."""
    shown = _shown(source, picture)
    sheets = {name: source.entry(_DEVICE, name) for name in shown}
    axes = [axis.label for panel in picture.panels for axis in (panel.x, panel.y)]
    if len(shown) > 1 and any(_PER_DEVICE in label for label in axes):  # a wafer is not a card
        each = (
            f"{name} {sheet['board_power']:,.0f} W, {sheet['price_per_hour']:,.2f} USD/h"
            for name, sheet in sheets.items()
        )
        yield f"One device: {'; '.join(each)}."
    if source.axes["tp"] == source.axes["pp"] == (0,):
        yield "Each point has the fewest devices that hold it."
    unreal = [str(name) for name, sheet in sheets.items() if sheet.get("hypothetical")]
    unsold = [str(name) for name, sheet in sheets.items() if sheet.get("status") in UNSOLD]
    if unreal:
        yield f"Hypothetical: {listing(unreal, 99)}."
    if unsold:
        yield f"Not on the market: {listing(unsold, 99)}."


def _shown(source: Source, picture: Picture) -> list[Value]:
    """Return the devices that are series, categories, or held."""
    axes = (axis for panel in picture.panels for axis in (panel.x, panel.y))
    said = {
        *(one.name for one in picture.series),
        *(one.name.partition(" ")[2].strip() for one in picture.series),  # behind a letter
        *(name for axis in axes for name in axis.categories),
        *picture.setting.split(" · "),
    }
    return [name for name in source.axes[_DEVICE] if str(name) in said]
