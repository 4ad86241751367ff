"""Facts that no vendor publishes, and the estimates that replace them."""

from collections.abc import Collection
from typing import Final, NamedTuple

from perfcore import records
from perfcore.catalog.entry import Entry
from perfcore.catalog.hosts import FIELDS as HOST_FIELDS
from perfcore.catalog.schema import DeviceEntry, EconomicsEntry
from perfcore.inputs import PURCHASES

PRICES: Final = dict(
    zip(PURCHASES, ("price_per_hour", "spot_price_per_hour", "purchase_price"), strict=True)
)
HOST: Final = tuple(HOST_FIELDS.values())
SECOND_TIER: Final = ("memory2_capacity", "memory2_bandwidth", *HOST)
_OF_OWNED: Final = ("interest", "lifetime", "server_factor", "operations", "electricity_price")


class EstimatedFact(NamedTuple):
    """An estimate of a value that no vendor publishes, and its derivation."""

    kind: str
    entry: str
    field: str
    derivation: str
    fallback: bool = False  # a price derived from the prices of other devices


def estimates(
    kind: str, entry: Entry, purchases: Collection[str], *, offloads: bool
) -> tuple[EstimatedFact, ...]:
    """Return the estimated facts of an entry that physics reads.

    Parameters
    ----------
    purchases
        Ways in which devices are paid; prices that none of them uses are left out.
    offloads
        Whether a second memory tier or the host is used; their figures are left out otherwise.
    """
    found = dict(entry.estimated)
    if isinstance(entry, DeviceEntry):
        found |= entry.fallbacks
        unpaid = {PRICES[purchase] for purchase in PRICES if purchase not in purchases}
        if any(PRICES[purchase] in entry.fallbacks for purchase in purchases):
            unpaid -= {PRICES["on-demand"]}  # the other prices derive from it
        unread = unpaid if offloads else {*unpaid, *SECOND_TIER}
        found = {
            name: derivation
            for name, derivation in found.items()
            if name in records.Device._fields and name not in unread
        }
    elif isinstance(entry, EconomicsEntry) and "owned" not in purchases:
        found = {name: why for name, why in found.items() if name not in _OF_OWNED}
    return tuple(
        EstimatedFact(
            kind,
            entry.name,
            name,
            why,
            fallback=name in PRICES.values() and name not in entry.estimated,
        )
        for name, why in found.items()
    )
