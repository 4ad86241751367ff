"""Memory tiers below device memory, which keep the KV cache of prompts."""

from typing import Final, NamedTuple

from perfcore.errors import InputError, argument
from perfcore.limits import BANDWIDTH, RESERVE
from perfcore.physics.attention import kv_bytes_per_token
from perfcore.physics.memory import second_tier_bandwidth
from perfcore.physics.stages.replica import Replica
from perfcore.reading.places import Place, number

TIERS: Final = ("dram", "nvme")  # from the fastest to the slowest
NONE: Final = "none"
EXAMPLE: Final = "dram:512GB@50GB/s,nvme:4TB@6GB/s"


class Tier(NamedTuple):
    """Memory of one device below its own."""

    bytes: float
    bytes_per_s: float  # of its loads; 0: those of the link between device and host


class Loads(NamedTuple):
    """Capacity and speed of a tier, in blocks of hashed tokens of one replica."""

    blocks: int
    seconds: float  # to load a block


def parse_tiers(text: str, place: Place) -> dict[str, Tier]:
    """Return the tiers of a text like ``EXAMPLE`` by name; record its faults."""
    found: dict[str, Tier] = {}
    if text.strip() in ("", NONE):
        return found
    for part in text.split(","):
        name, _, rest = (word.strip() for word in part.partition(":"))
        size, at, speed = (word.strip() for word in rest.partition("@"))
        if name not in TIERS:
            place.unknown("tier", name, TIERS)
        elif name in found:
            place.fault(f"{name} is given twice", f"write it like {EXAMPLE}")
        elif not size or (at and not speed):
            place.fault(f"{part.strip()!r} is not a tier", f"write it like {EXAMPLE}")
        elif not at and name != "dram":
            place.fault(f"{name} has no bandwidth", f"write it like {name}:{size}@6GB/s")
        else:
            capacity = number(size, RESERVE, place)
            bandwidth = number(speed, BANDWIDTH, place) if at else 0.0
            found[name] = Tier(capacity or 0.0, bandwidth or 0.0)
    return found


def block_bytes(replica: Replica, hashed_tokens: int) -> float:
    """Return the size of a hashed block on each device that has a part of it. [B]"""
    per_token = kv_bytes_per_token(replica.model, replica.kv_format) * replica.layout.kv_share
    return float((1.0 + replica.draft_share) * per_token * hashed_tokens)


def loads_of(replica: Replica, hashed_tokens: int, text: str, most: int) -> list[Loads]:
    """Return the capacity of the tiers, at most ``most`` blocks each; 0 for tiers not given.

    Attention groups load in parallel.

    Raises
    ------
    InputError
        A tier has no bandwidth, and the link between device and host is unknown.
    """
    faults: list[str] = []
    tiers = parse_tiers(text, Place(argument("kv_tiers"), "", faults))
    if faults:
        raise InputError(faults)
    groups = replica.layout.groups
    size = block_bytes(replica, hashed_tokens)
    found = []
    for name in TIERS:
        tier = tiers.get(name, Tier(0.0, 1.0))
        speed = tier.bytes_per_s or second_tier_bandwidth(replica.device, replica.engine)
        if speed <= 0.0:
            raise InputError(
                f"{argument('kv_tiers')}: {name}'s bandwidth is unknown; write it like {EXAMPLE}"
            )
        blocks = int(min(tier.bytes / size * groups, most)) if size > 0.0 else 0
        found.append(Loads(blocks, size / speed / groups))
    return found
