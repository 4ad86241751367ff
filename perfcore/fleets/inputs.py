"""What a search for fleets chooses from, and the requests that they must serve."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, floor, inf
from typing import Any, Final, NamedTuple

import numpy as np

from perfcore.catalog import loader
from perfcore.catalog.entry import Entry
from perfcore.catalog.groups import devices_of
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.native import native_format
from perfcore.configuration.configuration import faults_of
from perfcore.errors import InputError, argument
from perfcore.inputs import AXIS_INPUTS, PREFILL_AXES
from perfcore.limits import Limits as Bounds
from perfcore.reading.places import Place, number
from perfcore.traffic.requests import Requests
from perfcore.traffic.slo import NAMES as OBJECTIVES
from perfcore.traffic.synthetic import Traffic

KINDS: Final = ("device", "weight_format", "kv_format", "engine")
DEGREES: Final = ("tp", "pp", "dp", "ep")
PREFILL: Final = "prefill_"
PREFILL_KINDS: Final = ("prefill_device", "prefill_engine")
PREFILL_DEGREES: Final = tuple(f"{PREFILL}{name}" for name in DEGREES)
LINK: Final = "prefill_link"
OF_POOL: Final = (*PREFILL_KINDS, *PREFILL_DEGREES, LINK)
CLASSES: Final = (
    "datacentre-gpu-ampere",
    "datacentre-gpu-hopper",
    "datacentre-gpu-blackwell",
    "datacentre-gpu-amd",
)
SECONDS: Final = 600.0  # of traffic at a rate
ROUNDS: Final = 100  # requests of each client: those that start together are 1 % of all
FEWEST_REQUESTS, MOST_REQUESTS = 1_000, 50_000  # of such traffic
SEEDS: Final = 2  # further ones of synthetic traffic, for which objectives are met, too
_COUNT: Final = Bounds("count", 1, 2**20, whole=True)
CHOSEN: Final = (*KINDS, *DEGREES, *PREFILL_KINDS, *PREFILL_DEGREES)  # one value or several
FIXED: Final = (
    *("economics", "offload", "draft_len", "acceptance", "acceptance_decay"),
    *("overrides", LINK),
)
_KNOWN: Final = (*CHOSEN, *FIXED, "disaggregate")


class Space(NamedTuple):
    """Machines to choose from. Degrees that are ``None`` are those that fit."""

    model: ModelEntry
    kinds: dict[str, list[Entry]]
    degrees: dict[str, list[int] | None]
    fixed: dict[str, Any]
    max_devices: int
    apart: bool  # prompts run on servers of their own,
    prefill_kinds: dict[str, list[Entry]]  # with these devices and engines; others are as theirs
    prefill_degrees: dict[str, list[int] | None]


def space_of(
    model: str | ModelEntry,
    slos: Mapping[str, float],
    max_devices: int,
    top: int,
    options: Mapping[str, object],
) -> Space:
    """Return what to choose from.

    Raises
    ------
    InputError
        There are faults; all of them are listed.
    """
    faults = faults_of("model", model)
    for name, bound in {"max_devices": max_devices, "top": top}.items():
        number(bound, _COUNT, Place(argument(name), "", faults))
    if not slos:
        faults.append(f"no objective is given; add one, like {argument('ttft_p95', '1s')}")
    for name in slos:
        if name not in OBJECTIVES:
            Place("slos", "", faults).unknown("latency", name, OBJECTIVES)
    for name in options:
        if name not in _KNOWN:
            Place("size", "", faults).unknown("option", name, _KNOWN)
    if faults:
        raise InputError(faults)
    entry = model if isinstance(model, ModelEntry) else loader.load_model(model)
    kinds = {kind: _entries(kind, options.get(kind), entry, faults) for kind in KINDS}
    degrees = {name: _degrees(name, options.get(name), faults) for name in DEGREES}
    own = {name: options[name] for name in OF_POOL if options.get(name) not in (None, "")}
    pool_kinds = {
        name.removeprefix(PREFILL): _entries(name, own[name], entry, faults)
        for name in PREFILL_KINDS
        if name in own
    }
    pool_degrees = {
        name.removeprefix(PREFILL): _degrees(name, own.get(name), faults)
        for name in PREFILL_DEGREES
    }
    fixed = {name: options[name] for name in FIXED if name in options and name != LINK}
    fixed |= {LINK: own[LINK]} if LINK in own else {}
    for name, value in fixed.items():
        faults += faults_of(name, value)
    if faults:
        raise InputError(faults)
    apart = bool(options.get("disaggregate") or own)
    return Space(entry, kinds, degrees, fixed, max_devices, apart, pool_kinds, pool_degrees)


def _several(given: object) -> list[Any]:
    return list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]


def _entries(name: str, given: object, model: ModelEntry, faults: list[str]) -> list[Entry]:
    """Return the entries of a kind that are chosen from."""
    kind = PREFILL_AXES[name].entry if name in PREFILL_AXES else name
    names = _several(given)
    if given is None and kind == "weight_format":
        native = native_format(model) or "bf16"
        names = [native] if native != "bf16" else ["bf16", "fp8"]
    elif given is None:
        names = list(CLASSES) if kind == "device" else [AXIS_INPUTS[kind].default]
    elif not names:
        faults.append(f"{argument(name)}: [] is empty; give at least one value")
    found: dict[str, Entry] = {}
    for one in names:
        wrong = faults_of(name, one)
        group = devices_of(one) if wrong and kind == "device" and isinstance(one, str) else ()
        found |= {entry.name: entry for entry in group}
        if not wrong:
            entry = one if isinstance(one, Entry) else loader.load(kind, one)
            found[entry.name] = entry
        elif not group:
            faults += wrong
    return list(found.values())


def _degrees(name: str, given: object, faults: list[str]) -> list[int] | None:
    if given is None:
        return None
    bound = (AXIS_INPUTS.get(name) or PREFILL_AXES[name]).limits
    found = []
    for value in _several(given):
        wrong = faults_of(name, value)
        faults += wrong
        if bound is not None and not wrong:
            found.append(int(number(value, bound, Place(argument(name), "", faults)) or 1))
    return found


# Requests.


class Load(NamedTuple):
    """Requests to serve, of each seed; ``traffic`` describes them if they are drawn."""

    requests: tuple[Requests, ...]
    traffic: Traffic | None

    @property
    def clients(self) -> int:
        """Clients of a closed loop; 0: there are none."""
        return int(self.traffic.numbers["clients"]) if self.traffic else 0

    @property
    def waits(self) -> bool:
        """Whether requests wait for the end of others."""
        return bool((self.requests[0].after >= 0).any())

    def share(self, rate: float) -> float:
        """Return a relative rate, or number of clients, that can be had: there are whole ones."""
        return floor(rate * self.clients) / self.clients if self.clients and rate < inf else rate

    def faster(self, rate: float) -> tuple[Requests, ...]:
        """Return requests that arrive ``rate`` times as fast, or those of as many more clients.

        Pauses of sessions and clients stay.
        """
        if rate == 1.0:
            return self.requests
        if self.traffic and self.clients:
            share = self.share(rate)
            more = replace(
                self.traffic,
                clients=round(share * self.clients),
                requests=round(share * len(self.requests[0].arrival_s)),
            )
            return drawn(more)
        return tuple(_faster(requests, rate) for requests in self.requests)

    def prompts(self) -> "Load":
        """Return the same requests with a single token of output each."""
        ones = (
            requests._replace(output_len=np.minimum(requests.output_len, 1))
            for requests in self.requests
        )
        return Load(tuple(ones), None)


def load_of(traffic: Traffic | Requests) -> Load:
    """Return the requests, and those of further seeds if they are drawn.

    Raises
    ------
    InputError
        Requests of a closed loop are not described, so that more clients cannot be tried.
    """
    if isinstance(traffic, Requests):
        later = np.flatnonzero(traffic.after >= 0)
        if (traffic.session[later] != traffic.session[traffic.after[later]]).any() or (
            traffic.session[later] < 0
        ).any():
            raise InputError(
                "requests of clients cannot be sized; give the Traffic that describes them"
            )
        return Load((traffic,), None)
    traffic = with_length(traffic)
    return Load((traffic.made(),), None) if traffic.trace else Load(drawn(traffic), traffic)


def drawn(traffic: Traffic) -> tuple[Requests, ...]:
    """Return the requests of a description, and those of further seeds."""
    first = int(traffic.numbers["seed"])
    return tuple(replace(traffic, seed=first + more).made() for more in range(SEEDS + 1))


def with_length(traffic: Traffic) -> Traffic:
    """Return traffic of a stated length.

    At a constant rate, ten minutes of requests, if it states no length; of clients, 100 requests
    each.
    """
    stated = (traffic.requests, traffic.duration) != ("", "")
    clients = traffic.numbers["clients"]
    try:
        rate = float(traffic.rate)
    except ValueError:  # none, or stages
        rate = 0.0
    wanted = ceil(clients * ROUNDS) if clients else ceil(min(rate, 1e9) * SECONDS)
    if stated or wanted == 0:
        return traffic
    return replace(traffic, requests=min(max(wanted, FEWEST_REQUESTS), MOST_REQUESTS))


def _faster(requests: Requests, rate: float) -> Requests:
    arrival_s = requests.arrival_s.copy()
    arrival_s[requests.after < 0] /= rate
    return requests._replace(arrival_s=arrival_s)
