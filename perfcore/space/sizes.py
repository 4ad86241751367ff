"""Model size as an axis: ``{ family = "dense", params = { log = ["1B", "1T"], n = 10 } }``."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from perfcore.catalog.entry import Entry
from perfcore.catalog.families import LARGEST, SMALLEST, dense_model, moe_model
from perfcore.errors import InputError, show
from perfcore.limits import POSITIVE, Limits
from perfcore.reading.places import Place, number
from perfcore.reading.ranges import expand
from perfcore.reading.words import suggest
from perfcore.units import format_quantity

MAX_ENTRIES: Final = 10_000
FAMILIES: Final = ("dense", "moe")
_KEYS: Final = ("family", "params", "active")
PARAMS: Final = Limits("count", SMALLEST, LARGEST, whole=True)
ACTIVE: Final = Limits("count", POSITIVE, LARGEST)


class _Size(NamedTuple):
    params: float
    active: float | None


def family_models(table: Mapping[str, object], place: Place) -> Iterator[tuple[str, Entry]]:
    """Yield the label and entry of a hypothetical model of each size."""
    before = len(place.faults)
    sizes = _sizes(table, place)
    if len(place.faults) > before:
        return
    if len(sizes) > MAX_ENTRIES:
        place.fault(f"{len(sizes)} sizes are too many", f"make at most {MAX_ENTRIES} models")
        return
    entries: list[Entry] = []
    for total, active in sizes:
        try:
            entries.append(
                dense_model(total) if table["family"] == "dense" else moe_model(total, active)
            )
        except InputError as error:
            for fault in error.faults:
                place.relay(fault)
    if len(place.faults) == before:
        labels = [entry.name for entry in entries]
        if len(set(labels)) < len(labels):
            labels = _finer_labels(str(table["family"]), sizes)
        for label, entry in zip(labels, entries, strict=True):
            yield label, entry.model_copy(update={"name": label})


def _sizes(table: Mapping[str, object], place: Place) -> list[_Size]:
    for key in table:
        if key not in _KEYS:
            place.unknown("key", str(key), _KEYS)
    family = table.get("family")
    if family not in FAMILIES:
        hint = suggest(family, FAMILIES) if isinstance(family, str) else ""
        place.fault(f"family = {show(family)} is not known{hint}", "write 'dense' or 'moe'")
    if "params" not in table:
        place.fault("key 'params' is missing", 'add params = { log = ["1B", "1T"], n = 10 }')
        return []
    totals = expand(table["params"], PARAMS, place.at("params")) or ()
    if "active" not in table:
        return [_Size(total, None) for total in totals]
    given, spot = table["active"], place.at("active")
    if family == "dense":
        spot.fault(f"{show(given)} with family 'dense'", "leave active out, or use family 'moe'")
    shares = _expand_active(given, spot) or ()
    if len(totals) * len(shares) > MAX_ENTRIES:
        place.fault(
            f"{len(totals)} sizes x {len(shares)} active are too many",
            f"make at most {MAX_ENTRIES} models",
        )
        return []
    sizes = [
        _Size(total, share * total if share <= 1 else share) for total in totals for share in shares
    ]
    for total, active in sizes:
        if active is not None and active > total:
            spot.fault(
                f"{format_quantity(active)} active of {format_quantity(total)} parameters",
                "make active the smaller, or write a share such as 0.1",
            )
            break
    return sizes


def _expand_active(value: object, place: Place) -> tuple[float, ...] | None:
    if isinstance(value, str) and value.rstrip().endswith("%"):
        share = number(value, Limits("fraction", POSITIVE, 1), place)
        return None if share is None else (share,)
    return expand(value, ACTIVE, place)


def _finer_labels(family: str, sizes: list[_Size]) -> list[str]:
    """Return labels with enough digits to distinguish the sizes."""
    labels: list[str] = []
    for digits in range(5, 17):
        labels = [
            "-A".join(format_quantity(value, digits=digits) for value in size if value is not None)
            for size in sizes
        ]
        if len(set(labels)) == len(labels):
            break
    return [f"{family}-{label}" for label in labels]
