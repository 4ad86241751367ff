"""Stack under a model: software, settings and host, as stated by a question or a measurement.

They decide which release of an engine it is, which of its constants hold, and the power that a
device may draw.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, cast, get_args

from perfcore import records
from perfcore.catalog import loader
from perfcore.catalog.engine_entry import Constant, Constants, EngineEntry
from perfcore.catalog.hosts import HostEntry
from perfcore.catalog.schema import Backend, DeviceEntry
from perfcore.errors import InputError, show
from perfcore.limits import AT_LEAST_ONE, POWER
from perfcore.units import format_quantity

BACKENDS: Final = get_args(Backend)
RUNNERS: Final = ("server", "offline")
NUMBERS: Final = {
    "prefill_chunk": AT_LEAST_ONE._replace(whole=True),
    "power_limit": POWER._replace(dimension="ratio"),  # a number is in W
}
MEANINGS: Final = {
    "engine_version": "version of the engine, e.g. 0.7.3 or b4567; it selects the release",
    "backend": "back end of the engine: cuda, hip, vulkan, metal or cpu; empty means the vendor's",
    "eager": "true without CUDA graphs, which lengthens the start-up of operators",
    "runner": "server or offline; offline leaves out the time of an HTTP server",
    "prefill_chunk": "token budget of a step, such as max_num_batched_tokens",
    "power_limit": "power limit of each device [W], if below the rated power",
    "host": "memory and CPU of the host, from `perfcore hosts`; empty means the usual one",
}
NAMES: Final = tuple(MEANINGS)

_VERSION: Final = re.compile(r"v?(?P<numbers>\d{1,9}(\.\d{1,9})+)|b(?P<build>\d{1,9})\b")
_IN_VERSION: Final = re.compile(rf"\b({'|'.join(BACKENDS)}|rocm)\b", re.IGNORECASE)


class Stack(NamedTuple):
    """Inputs as stated; empty, False or None where nothing is."""

    engine_version: str = ""
    backend: str = ""
    eager: bool = False
    runner: str = ""
    prefill_chunk: float | None = None  # tokens
    power_limit: float | None = None  # W
    host: str = ""


class Resolved(NamedTuple):
    """Engine and device with the settings of a stack, and remarks on what it could not change."""

    stack: Stack
    engine: EngineEntry
    device: records.Device
    remarks: tuple[str, ...]


class _Version(NamedTuple):
    """Numbers of a version; builds of llama.cpp are not comparable with dotted versions."""

    is_build: bool
    numbers: tuple[int, ...]

    def up_to(self, last: "_Version") -> bool:
        """Return whether this version is not after a last one: 0.7.3 is up to 0.7."""
        return self.numbers[: len(last.numbers)] <= last.numbers


def _parsed(version: str) -> _Version | None:
    """Return the version at the start of a text; None if it does not start with one.

    A single number is none: it may be a year.
    """
    found = _VERSION.match(version.strip())
    if found is None:
        return None
    if found["build"]:
        return _Version(True, (int(found["build"]),))
    return _Version(False, tuple(int(number) for number in found["numbers"].split(".")))


def _stated(text: str) -> _Version | None:
    """Return the first or last version that a release in the catalogue describes."""
    if not text:
        return None
    if text.startswith("b"):
        return _Version(True, (int(text[1:]),))
    return _Version(False, tuple(int(number) for number in text.split(".")))


def engines() -> list[EngineEntry]:
    """Return all engines of the catalogue."""
    return [cast("EngineEntry", loader.load("engine", name)) for name in loader.names("engine")]


def release_by_version(
    named: EngineEntry, version: str, known: Iterable[EngineEntry]
) -> EngineEntry | None:
    """Return the release of an engine that a version belongs to; None if unknown.

    Each older release states its last version, the newest its first; the engine itself is between.
    """
    wanted = _parsed(version)
    releases = [entry for entry in known if entry.release_of == named.name]
    lasts = [(last, entry) for entry in releases if (last := _stated(entry.until_version))]
    firsts = [(first, entry) for entry in releases if (first := _stated(entry.since_version))]
    if wanted is None or all(one.is_build != wanted.is_build for one, _ in (*lasts, *firsts)):
        return None
    older = [
        (last, entry)
        for last, entry in lasts
        if last.is_build == wanted.is_build and wanted.up_to(last)
    ]
    newer = [(first, entry) for first, entry in firsts if wanted >= first]
    if older:
        return min(older, key=lambda pair: pair[0])[1]
    return max(newer, key=lambda pair: pair[0], default=(None, named))[1]


def release_by_date(named: EngineEntry, date: str, known: Iterable[EngineEntry]) -> EngineEntry:
    """Return the release of an engine that was current at a date; today's if there is none."""
    month = date[:7] or "9999"
    older = [
        entry
        for entry in known
        if entry.release_of == named.name and entry.until and month <= entry.until
    ]
    return min(older, key=lambda entry: entry.until, default=named)


def measured_release(
    named: EngineEntry, version: str, date: str, known: Sequence[EngineEntry]
) -> tuple[EngineEntry, str]:
    """Return the release that was measured, and a remark if its version says nothing.

    A version that is understood takes precedence over the date: old releases are run for years.
    """
    found = release_by_version(named, version, known)
    if found is not None:
        return found, ""
    found = release_by_date(named, date, known)
    placed = any(entry.release_of == named.name and entry.until_version for entry in known)
    if not version or not placed:
        return found, ""
    return found, f"engine_version {show(version)} is not understood: {found.name} by its date"


def stated_release(named: EngineEntry, version: str) -> EngineEntry:
    """Return the release of an engine that a user asks for by its version.

    Raises
    ------
    InputError
        The catalogue cannot tell which release that is.
    """
    if named.release_of:
        raise InputError(
            f"engine_version: {named.name} is one release of {named.release_of}; "
            f"leave out the version, or give engine {named.release_of}"
        )
    known = engines()
    found = release_by_version(named, version, known)
    if found is not None:
        return found
    lasts = [
        entry.until_version
        for entry in known
        if entry.release_of == named.name and entry.until_version
    ]
    if not lasts:
        raise InputError(
            f"engine_version: {named.name} has one entry for all its versions; leave it out"
        )
    raise InputError(
        f"engine_version: {show(version)} is not a version of {named.name}; "
        f"write it like {lasts[0]}"
    )


def backend_in(version: str) -> str:
    """Return the back end that a version names, as in ``b8123 Vulkan``; empty if it names none."""
    found = _IN_VERSION.search(version)
    name = found[1].lower() if found else ""
    return "hip" if name == "rocm" else name


def resolve(engine: EngineEntry, device: DeviceEntry, stack: Stack) -> Resolved:
    """Return a release of an engine and a device as the rest of a stack sets them.

    Raises
    ------
    InputError
        The device has no such back end, or the power limit is not between its idle and its rated
        power.
    """
    remarks = []
    for change in (_on_backend, _eager, _offline, _budgeted):
        engine, remark = change(engine, device, stack)
        remarks.append(remark)
    record = _hosted(device, _limited(device, stack), stack.host)
    return Resolved(stack, engine, record, tuple(filter(None, remarks)))


def _on_backend(engine: EngineEntry, device: DeviceEntry, stack: Stack) -> tuple[EngineEntry, str]:
    if not stack.backend:
        return engine, ""
    possible = device.backends
    if stack.backend not in possible:
        others = f"use {' or '.join(possible)}, or leave it out" if possible else "leave it out"
        raise InputError(f"backend: {device.name} has no back end {stack.backend!r}; {others}")
    factors = engine.on_backend(stack.backend, device)
    if not factors and stack.backend == "vulkan":  # others are the vendors' own, as described
        return engine, (
            f"backend {stack.backend} was not measured with {engine.name} on {device.name}: "
            "constants are those without it"
        )
    return engine.changed(factors, {}), ""


def _eager(engine: EngineEntry, device: DeviceEntry, stack: Stack) -> tuple[EngineEntry, str]:
    if not stack.eager or not engine.graphs or not device.has_graphs:
        return engine, ""
    return engine.changed(engine.when_eager, {}), ""


def _offline(engine: EngineEntry, _: DeviceEntry, stack: Stack) -> tuple[EngineEntry, str]:
    if stack.runner != "offline":
        return engine, ""
    return engine.changed({}, engine.when_offline), "runner offline: no time of a server is counted"


def _budgeted(engine: EngineEntry, device: DeviceEntry, stack: Stack) -> tuple[EngineEntry, str]:
    """Set the token budget of a step, for which memory is kept, too.

    What passes through pipeline stages together is no more.
    """
    if stack.prefill_chunk is None:
        return engine, ""
    through = min(engine.constants_for(device)["pipeline_chunk"].value, stack.prefill_chunk)
    constants: Constants = {
        name: Constant(value=value, basis="definition", source="prefill_chunk of this question")
        for name, value in (
            ("prefill_chunk", stack.prefill_chunk),
            ("pipeline_chunk", through),
            ("activation_tokens", stack.prefill_chunk),
        )
    }
    return engine.changed({}, constants), ""


def _hosted(device: DeviceEntry, record: records.Device, host: str) -> records.Device:
    if not host:
        return record
    if device.shares_memory:
        raise InputError(f"host: {device.name} has the memory of its host; leave it out")
    return record._replace(**cast("HostEntry", loader.load("host", host)).fields())


def _limited(device: DeviceEntry, stack: Stack) -> records.Device:
    record = device.record()
    if stack.power_limit is None:
        return record
    if not record.idle_power <= stack.power_limit <= record.rated_power:
        low, high = (format_quantity(p, "W") for p in (record.idle_power, record.rated_power))
        raise InputError(
            f"power_limit: {format_quantity(stack.power_limit, 'W')} is not between the idle "
            f"and the rated power of {device.name}; give {low} to {high}"
        )
    return record._replace(board_power=stack.power_limit)
