"""Inputs of a search for fleets: the machines to choose from, and the requests to serve."""

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
from perfcore.inputs import AXIS_INPUTS, PAIR_AXES
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
BESIDE_KINDS: Final = ("draft_model", "draft_device", "expert_device")
BESIDE_DEGREES: Final = ("draft_devices", "expert_devices", "expert_parts")
BESIDE_LINKS: Final = ("draft_link", "expert_link")
OF_BESIDE: Final = (*BESIDE_KINDS, *BESIDE_DEGREES, *BESIDE_LINKS)
CLASSES: Final = (
    "datacentre-gpu-ampere",
    "datacentre-gpu-hopper",
    "datacentre-gpu-blackwell",
    "datacentre-gpu-amd",
)
SECONDS: Final = 600.0  # duration of traffic at a rate
ROUNDS: Final = 100  # requests per client, so those that start together are 1 %
FEWEST_REQUESTS, MOST_REQUESTS = 1_000, 50_000  # limits for both
SEEDS: Final = 2  # additional seeds of synthetic traffic that must meet the objectives
_COUNT: Final = Bounds("count", 1, 2**20, whole=True)
_TOKENS: Final = Bounds("count", 1, 1e18)
_TIME: Final = Bounds("time", 0.0, 1e9, least=1e-9)
CHOSEN: Final = (  # one value or several
    *(*KINDS, *DEGREES, *PREFILL_KINDS, *PREFILL_DEGREES, *BESIDE_KINDS, *BESIDE_DEGREES),
)
LINKS: Final = (LINK, *BESIDE_LINKS)
FIXED: Final = (
    *("economics", "offload", "draft_len", "acceptance", "acceptance_decay"),
    *("power_limit", "overrides", *LINKS),
)
_KNOWN: Final = (*CHOSEN, *FIXED, "disaggregate")


class Space(NamedTuple):
    """Machines to choose from. Degrees that are ``None`` are those that fit."""

    model: ModelEntry
    kinds: dict[str, list[Entry]]
    degrees: dict[str, list[int] | None]
    beside: dict[str, list[int]]  # numbers of a draft's devices, or of experts', if given
    fixed: dict[str, Any]
    max_devices: int
    apart: bool  # prefill runs on separate servers
    prefill_kinds: dict[str, list[Entry]]  # their kinds; the rest are those of decode
    prefill_degrees: dict[str, list[int] | None]


def space_of(
    model: str | ModelEntry,
    slos: Mapping[str, float],
    max_devices: int,
    top: int,
    options: Mapping[str, object],
) -> Space:
    """Return the machines to choose from.

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
    given = {name: options[name] for name in OF_BESIDE if options.get(name) not in (None, "")}
    others, beside = _beside(given, entry, faults)
    fixed = {name: options[name] for name in FIXED if name in options and name not in LINKS}
    fixed |= {LINK: own[LINK]} if LINK in own else {}
    fixed |= {name: given[name] for name in BESIDE_LINKS if name in given}
    for name, value in fixed.items():
        faults += faults_of(name, value)
    apart = bool(options.get("disaggregate") or own)
    pools = argument(next(iter(own), "disaggregate"))
    faults += [
        f"{argument(name)}: beside {pools}; leave out one of them"
        for name in list(given)[: int(apart)]
    ]
    if faults:
        raise InputError(faults)
    return Space(
        model=entry,
        kinds=kinds | others,
        degrees=degrees,
        beside=beside,
        fixed=fixed,
        max_devices=max_devices,
        apart=apart,
        prefill_kinds=pool_kinds,
        prefill_degrees=pool_degrees,
    )


def _beside(
    given: Mapping[str, object], model: ModelEntry, faults: list[str]
) -> tuple[dict[str, list[Entry]], dict[str, list[int]]]:
    """Return the entries and numbers of a draft or of experts on devices of their own."""
    kinds: dict[str, list[Entry]] = {}
    numbers: dict[str, list[int]] = {}
    for name, values in given.items():
        if name in BESIDE_KINDS:
            kinds[name] = _entries(name, values, model, faults)
        elif name in BESIDE_DEGREES:
            numbers[name] = _degrees(name, values, faults) or []
    return kinds, numbers


def _several(given: object) -> list[Any]:
    return list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]


def _entries(name: str, given: object, model: ModelEntry, faults: list[str]) -> list[Entry]:
    """Return the entries of a kind that are chosen from."""
    kind = PAIR_AXES[name].entry if name in PAIR_AXES else name
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
    bound = (AXIS_INPUTS.get(name) or PAIR_AXES[name]).limits
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
        """Return the nearest possible relative rate, as the number of clients is whole."""
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


class Job(NamedTuple):
    """Output tokens to write before a deadline."""

    tokens: float
    deadline_s: float
    traffic: Traffic  # at the rate that finishes them in time


def job_of(traffic: Traffic | Requests, tokens: object, deadline: object) -> Job:
    """Return a job, whose requests arrive as fast as they have to be finished.

    Raises
    ------
    InputError
        A number is out of bounds, or the requests have a rate of their own.
    """
    faults: list[str] = []
    if tokens in (None, ""):
        faults.append(f"{argument('deadline')}: without {argument('tokens')}; give both")
    if deadline in (None, ""):
        faults.append(
            f"{argument('tokens')}: without {argument('deadline')}; give both, or minimize "
            "cost_per_mtok_output_usd in a search: the cheapest without a deadline"
        )
    total = number(tokens, _TOKENS, Place(argument("tokens"), "", faults)) if not faults else None
    until = number(deadline, _TIME, Place(argument("deadline"), "", faults)) if total else None
    if not isinstance(traffic, Traffic) or traffic.trace or traffic.numbers["clients"]:
        faults.append(f"{argument('tokens')}: beside requests with a rate of their own")
    if faults or not isinstance(traffic, Traffic) or not total or not until:
        raise InputError(faults)
    mean = float(replace(traffic, rate=1, requests=FEWEST_REQUESTS).made().output_len.mean())
    rate = float(f"{total / mean / until:.6g}")
    return Job(total, until, with_length(replace(traffic, rate=rate)))


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
