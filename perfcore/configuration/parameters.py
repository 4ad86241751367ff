"""Parameters of a configuration, each read on its own: entries, numbers, choices, what-ifs."""

import contextlib
import operator
from collections.abc import Mapping
from typing import Final, SupportsFloat, SupportsIndex

from perfcore.catalog import loader, stack
from perfcore.catalog.engine_entry import EngineEntry
from perfcore.catalog.entry import Entry
from perfcore.catalog.groups import class_with, devices_of
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.native import native_format
from perfcore.errors import InputError, argument, show
from perfcore.inputs import AXIS_INPUTS, PAIR_AXES
from perfcore.limits import POWER, Limits
from perfcore.physics.sizing import LARGEST_DEGREE
from perfcore.reading.places import Place, number
from perfcore.space.axes import WhatIf, is_share, parse_what_ifs, share_of

NATIVE: Final = "native"  # weight format that a model is published in
AUTO_DEVICES: Final = "auto"
_DEVICES: Final = Limits("count", 1, LARGEST_DEGREE, whole=True)
_SPELLED: Final = {"true": True, "false": False}
_WEIGHTS: Final = "weight_format"


def device_count(given: object, faults: list[str]) -> int:
    """Return a stated number of devices; 0 if none is stated, -1 for the fewest possible."""
    if given in ("", None):
        return 0
    if given == AUTO_DEVICES:
        return -1
    before = len(faults)
    found = number(_plain(given, _DEVICES), _DEVICES, Place("devices", "", faults))
    if len(faults) > before:
        faults[before:] = [f"{fault}, or 'auto'" for fault in faults[before:]]
    return int(found or 0)


def weights_of(
    given: object, model: Entry | None, engine: Entry | None, faults: list[str]
) -> Entry | None:
    """Return the weight format; ``native`` is that of published weights in the engine's files."""
    published = given == NATIVE or (
        isinstance(model, ModelEntry) and isinstance(given, str) and given == model.native_dtype
    )
    if not published:
        return entry_of(_WEIGHTS, given, faults)
    if not isinstance(model, ModelEntry):
        return None
    name = native_format(model)
    if not name:
        faults.append(
            f"{argument('weight_format')}: {model.name} is published in "
            f"{show(model.native_dtype)}, which is not a weight format here; give one "
            "(perfcore formats lists all)"
        )
        return None
    if isinstance(engine, EngineEntry):
        name = engine.file_format(name)
    return entry_of(_WEIGHTS, name, faults)


def entry_of(kind: str, given: object, faults: list[str]) -> Entry | None:
    """Return an entry, given as one or by its name; None after a fault."""
    if isinstance(given, Entry):
        if given.kind == kind:
            return given
        faults.append(f"{kind}: {given.name!r} is a {given.kind}; give a {kind}")
        return None
    if not isinstance(given, str):
        faults.append(f"{kind}: {show(given)} is not a name; write it in quotes")
        return None
    try:
        return loader.load(kind, given)
    except InputError as error:
        faults += (kind == "device" and _of_group(given)) or error.faults
        return None


def _of_group(word: str) -> list[str]:
    """Return the fault of a word that stands for several devices; empty if it does not."""
    faults: list[str] = []
    place = Place("device", "", faults)
    group, alike = devices_of(word), class_with(word)
    if group:
        place.fault(
            f"{word!r} stands for {len(group)} devices, and one is needed here",
            f"name one, e.g. {group[0].name}; comparisons and sweeps take such words",
        )
    elif alike:
        place.fault(f"unknown device {word!r}", f"did you mean the class {alike!r}?")
    return faults


def check_choice(name: str, given: object, faults: list[str]) -> None:
    """Report a value that is not among an axis' choices."""
    choices = AXIS_INPUTS[name].choices
    if given not in choices:
        place = Place(name, "", faults)
        place.unknown("value", given if isinstance(given, str) else show(given), choices)


def stated_input(name: str, given: object, faults: list[str]) -> object:
    """Return an input of the stack; after a fault, or if it is empty, as if it were not stated."""
    place = Place(name, "", faults)
    if name in stack.NUMBERS:
        return None if given in (None, "") else _stated_number(name, given, place)
    if name == "eager":
        if isinstance(given, bool):
            return given
        if given not in ("", *_SPELLED):
            place.fault(f"{show(given)} is neither true nor false", "write one of them")
        return _SPELLED.get(str(given), False)
    if not isinstance(given, str):
        place.fault(f"{show(given)} is not a text", "write it in quotes")
        return ""
    choices = {"backend": stack.BACKENDS, "runner": stack.RUNNERS}.get(name)
    if choices and given not in ("", *choices):
        place.unknown("value", given, choices)
    return given


def _stated_number(name: str, given: object, place: Place) -> float | None:
    bound = stack.NUMBERS[name]
    if name == "power_limit" and is_share(given):
        return share_of(str(given), place)
    if name == "power_limit" and isinstance(given, str) and not _is_bare(given):
        bound = POWER
    return number(_plain(given, bound), bound, place)


def _is_bare(text: str) -> bool:
    """Return whether a text is a number without a unit."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(given: object, bound: Limits) -> object:
    """Return a number of NumPy or another library as a Python number."""
    if not isinstance(given, bool | str | float):
        with contextlib.suppress(TypeError):
            if isinstance(given, SupportsIndex):
                return operator.index(given)
            if isinstance(given, SupportsFloat) and not bound.whole:
                return float(given)
    return given


def number_of(name: str, given: object, faults: list[str]) -> float:
    """Return the number on an axis; 0 after a fault."""
    bound = (AXIS_INPUTS.get(name) or PAIR_AXES[name]).limits
    if bound is None:
        raise KeyError(name)
    return number(_plain(given, bound), bound, Place(name, "", faults)) or 0


def what_ifs_of(overrides: Mapping[str, object], faults: list[str]) -> tuple[WhatIf, ...]:
    """Return overrides of fields of records."""
    place = Place("overrides", "", faults)
    for key in overrides:
        if key in AXIS_INPUTS or key in PAIR_AXES:
            place.fault(f"{key!r} is an axis", "give it as an option")
    fields = {k: v for k, v in overrides.items() if k not in AXIS_INPUTS and k not in PAIR_AXES}
    what_ifs = parse_what_ifs(fields, place)
    for what_if in what_ifs.values():
        if len(what_if.values) != 1:
            place.at(what_if.key).fault(
                f"{len(what_if.values)} values", "give one; a sweep takes several"
            )
    return tuple(what_ifs.values())
