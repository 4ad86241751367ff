"""Search for the cheapest fleets that serve traffic within objectives."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, inf
from os import cpu_count
from typing import Any, Final, NamedTuple

import numpy as np

from perfcore.catalog import loader
from perfcore.catalog.entry import Entry
from perfcore.catalog.groups import devices_of
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.native import native_format
from perfcore.configuration.configuration import Configuration, faults_of
from perfcore.configuration.simulation import figures as figures_of
from perfcore.errors import InputError, argument
from perfcore.fleets.bounds import (
    Demand,
    demand_of,
    fastest_token_s,
    fewest_replicas,
    limit_of,
    longest_fits,
    steady_rate,
)
from perfcore.fleets.launching import checkpoint_note, launch_commands
from perfcore.inputs import AXIS_INPUTS
from perfcore.limits import Limits as Bounds
from perfcore.physics.cost import HOUR, usd_per_second
from perfcore.physics.energy import JOULES_PER_KWH, facility_factor
from perfcore.physics.stages.replica import OK, Replica, prepare
from perfcore.reading.places import Place, number
from perfcore.traffic.requests import Requests, check_context
from perfcore.traffic.results import LATENCIES, MONTH, STATISTICS, Simulation, goodput, statistics
from perfcore.traffic.server import (
    MOST,
    Room,
    Rules,
    limits_of,
    replica_of,
    room_of,
    simulate_requests,
)
from perfcore.traffic.slo import NAMES as OBJECTIVES
from perfcore.traffic.steps.records import Limits
from perfcore.traffic.synthetic import Traffic
from perfcore.units import format_quantity

KINDS: Final = ("device", "weight_format", "kv_format", "engine")
DEGREES: Final = ("tp", "pp", "dp", "ep")
CLASSES: Final = (
    "datacentre-gpu-ampere",
    "datacentre-gpu-hopper",
    "datacentre-gpu-blackwell",
    "datacentre-gpu-amd",
)
SECONDS: Final = 600.0  # of traffic at a rate
FEWEST_REQUESTS, MOST_REQUESTS = 1_000, 50_000  # of such traffic
MOST_DEVICES: Final = 4096
TOP: Final = 8
SEEDS: Final = 2  # further ones of synthetic traffic, for which objectives are met, too
_COUNT: Final = Bounds("count", 1, 2**20, whole=True)
_DEGREES: Final = (1, 2, 4, 8, 16)
_MOST_PER_REPLICA: Final = 8  # devices, or
_MORE_PER_REPLICA: Final = 4  # times as many as hold the weights
_GUESS: Final = 1.5  # cost by the steady state over the limit, above which nothing is simulated
_APART: Final = 1e4  # between requests that meet no others; slower ones are too slow [s]
_HEADROOM: Final = (1.1, 1.3, 1.6, 2.0, 3.0, 4.0)  # rates tried, relative to the given one
_EXACT: Final = 0.02  # of a headroom
_FIXED: Final = (
    *("economics", "offload", "draft_len", "acceptance", "acceptance_decay"),
    "overrides",
)


class Fleet(NamedTuple):
    """Equal replicas that meet the objectives, and their figures.

    ``figures`` are those of ``perfcore.simulate`` and of the fleet as a whole. ``intervals`` are
    the ends of 80 % intervals of the engine's error around the values of all seeds, by latency
    (``ttft_p95_s``).
    """

    configuration: Configuration
    rules: Rules
    figures: dict[str, float | str]
    intervals: dict[str, tuple[float, float]]
    headroom: float  # share by which the rate may grow; infinite: more than was tried
    sure: bool  # objectives are met at the upper ends of the intervals, too

    def to_dict(self) -> dict[str, object]:
        """Return axes, figures, ends of intervals and headroom by name."""
        ends = {
            f"{name.removesuffix('_s')}_{end}_s": value
            for name, pair in self.intervals.items()
            for end, value in zip(("low", "high"), pair, strict=True)
        }
        axes = ("model", *KINDS, *DEGREES, "economics")
        return {
            **{name: self.configuration.labels[name] for name in axes},
            **self.figures,
            **ends,
            "headroom": self.headroom if self.headroom < inf else None,
            "sure": self.sure,
        }


class Counts(NamedTuple):
    """Layouts by the way in which the search decided on them."""

    layouts: int
    do_not_run: int  # the model or one request does not fit, or degrees do not divide it
    too_slow: int  # a bound: the fastest token is too slow
    too_dear: int  # a bound: keeping up costs more than a fleet that was found
    guessed: int  # a guess: the steady state costs far more
    simulated: int
    simulations: int


@dataclass(frozen=True)
class Sizing:
    """Fleets that serve traffic within objectives, cheapest first, and how they were found.

    ``launch`` has the commands that start one replica of the first fleet, by engine, and ``note``
    the checkpoint that they need. Without a fleet, ``reason`` says why there is none.
    """

    fleets: tuple[Fleet, ...]
    slos: Mapping[str, float]
    counts: Counts
    launch: Mapping[str, str]
    note: str
    reason: str

    def to_dict(self) -> dict[str, object]:
        """Return everything by name, for JSON."""
        return {
            "slos": dict(self.slos),
            "fleets": [fleet.to_dict() for fleet in self.fleets],
            "launch": dict(self.launch),
            "note": self.note,
            "reason": self.reason,
            "search": self.counts._asdict(),
        }


def size(
    model: str | ModelEntry,
    traffic: Traffic | Requests,
    slos: Mapping[str, float],
    rules: Rules | None = None,
    max_devices: int = MOST_DEVICES,
    top: int = TOP,
    *,
    sure: bool = False,
    **options: object,
) -> Sizing:
    """Return the cheapest fleets that serve ``traffic`` within objectives.

    ``perfcore.size("llama-3.1-8b", perfcore.Traffic(rate=50), {"ttft_p95_s": 1.0})``

    Each device, format and engine has one fleet at most, that with the cheapest layout. Layouts are
    ordered by a guess from their steady state, left out if a bound shows that they are too slow or
    too dear or the guess is far too dear, and otherwise simulated with ever fewer replicas. More
    replicas are taken to be no slower. Traffic that is drawn meets the objectives for three seeds;
    figures are those of its own.

    Parameters
    ----------
    traffic
        Its description or its requests. A description with a ``rate`` but without ``requests`` and
        ``duration`` lasts ten minutes, but has 1,000 requests at least and 50,000 at most.
    slos
        Limits on latencies, ``{"ttft_p95_s": 1.0}``. [s]
    rules
        Those of the scheduler; ``replicas`` is chosen, and ``kv_tokens`` follows from the memory.
    max_devices
        Of a fleet.
    top
        Fleets to return.
    sure
        Objectives are met at the upper ends of the 80 % intervals of the engine's error.
    options
        ``device`` (names, or classes of devices), ``weight_format``, ``kv_format``, ``engine``,
        ``tp``, ``pp``, ``dp`` and ``ep``: one value or several to choose from. Without ``device``,
        data-centre GPUs on the market; without ``weight_format``, the published format, and fp8 in
        place of 16 bit. Other parameters of ``Configuration`` have one value.

    Raises
    ------
    InputError
        There are faults; all of them are listed.
    """
    space = _space(model, slos, max_devices, top, options)
    requests, more = _requests(traffic)
    check_context(requests, space.model.record().max_context, space.model.name)
    search = _Search(requests, more, slos, rules or Rules(), max_devices, top, sure=sure)
    with ThreadPoolExecutor(min(cpu_count() or 1, top)) as pool:
        found = search.cheapest(_candidates(space, search))
        fleets = tuple(pool.map(search.fleet, found))
    launch: dict[str, str] = {}
    note = ""
    if fleets:
        first = fleets[0]
        replica = replica_of(first.configuration)
        room = room_of(replica, requests, first.rules)
        limits = limits_of(replica, requests, first.rules, room)
        launch = launch_commands(first.configuration, first.rules, limits, search.demand.longest)
        note = checkpoint_note(first.configuration, launch)
    reason = "" if fleets else search.reason()
    return Sizing(fleets, dict(slos), search.counts(), launch, note, reason)


# Inputs.


class _Space(NamedTuple):
    model: ModelEntry
    kinds: dict[str, list[Entry]]
    degrees: dict[str, list[int] | None]  # None: those that fit
    fixed: dict[str, Any]
    max_devices: int


def _space(
    model: str | ModelEntry,
    slos: Mapping[str, float],
    max_devices: int,
    top: int,
    options: Mapping[str, object],
) -> _Space:
    faults = faults_of("model", model)
    for name, bound in {"max_devices": max_devices, "top": top}.items():
        number(bound, _COUNT, Place(argument(name), "", faults))
    if not slos:
        faults.append(f"no objective is given; add one, like {argument('ttft_p95', '1s')}")
    for name in slos:
        if name not in OBJECTIVES:
            Place("slos", "", faults).unknown("latency", name, OBJECTIVES)
    for name in options:
        if name not in (*KINDS, *DEGREES, *_FIXED):
            Place("size", "", faults).unknown("option", name, (*KINDS, *DEGREES, *_FIXED))
    if faults:
        raise InputError(faults)
    entry = model if isinstance(model, ModelEntry) else loader.load_model(model)
    kinds = {kind: _entries(kind, options.get(kind), entry, faults) for kind in KINDS}
    degrees = {name: _degrees(name, options.get(name), faults) for name in DEGREES}
    fixed = {name: options[name] for name in _FIXED if name in options}
    for name, value in fixed.items():
        faults += faults_of(name, value)
    if faults:
        raise InputError(faults)
    return _Space(entry, kinds, degrees, fixed, max_devices)


def _several(given: object) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [given]


def _entries(kind: str, given: object, model: ModelEntry, faults: list[str]) -> list[Entry]:
    """Return the entries of a kind that are chosen from."""
    names = _several(given)
    if given is None and kind == "weight_format":
        native = native_format(model) or "bf16"
        names = [native] if native != "bf16" else ["bf16", "fp8"]
    elif given is None:
        names = list(CLASSES) if kind == "device" else [AXIS_INPUTS[kind].default]
    elif not names:
        faults.append(f"{argument(kind)}: [] is empty; give at least one value")
    found: dict[str, Entry] = {}
    for name in names:
        wrong = faults_of(kind, name)
        group = devices_of(name) if wrong and kind == "device" and isinstance(name, str) else ()
        found |= {entry.name: entry for entry in group}
        if not wrong:
            entry = name if isinstance(name, Entry) else loader.load(kind, name)
            found[entry.name] = entry
        elif not group:
            faults += wrong
    return list(found.values())


def _degrees(name: str, given: object, faults: list[str]) -> list[int] | None:
    if given is None:
        return None
    bound = AXIS_INPUTS[name].limits
    found = []
    for value in _several(given):
        wrong = faults_of(name, value)
        faults += wrong
        if bound is not None and not wrong:
            found.append(int(number(value, bound, Place(argument(name), "", faults)) or 1))
    return found


def _requests(traffic: Traffic | Requests) -> tuple[Requests, list[Requests]]:
    """Return the requests, and those of further seeds if they are drawn."""
    if isinstance(traffic, Requests):
        return traffic, []
    traffic = with_length(traffic)
    if traffic.trace:
        return traffic.made(), []
    seeds = range(1, SEEDS + 1)
    further = [replace(traffic, seed=int(traffic.numbers["seed"]) + more) for more in seeds]
    return traffic.made(), [one.made() for one in further]


def with_length(traffic: Traffic) -> Traffic:
    """Return traffic at a constant rate with ten minutes of requests, if it states no length."""
    stated = (traffic.requests, traffic.duration) != ("", "")
    try:
        rate = float(traffic.rate)
    except ValueError:  # none, or stages
        return traffic
    if stated or not 0.0 < rate < inf:
        return traffic
    wanted = min(max(ceil(rate * SECONDS), FEWEST_REQUESTS), MOST_REQUESTS)
    return replace(traffic, requests=wanted)


# Candidates.


class _Candidate(NamedTuple):
    """One layout on one device."""

    base: Configuration  # the same on one device
    degrees: dict[str, int]
    replica: Replica
    limits: Limits
    room: Room
    group: tuple[str, ...]
    devices: int  # of a replica
    usd_per_month: float  # of a replica
    guess: float  # replicas; infinite if the steady state is too slow at any batch

    @property
    def configuration(self) -> Configuration:
        """Configuration of one replica."""
        return self.base.changed(**self.degrees)


class _Choice(NamedTuple):
    """Layout with the fewest replicas that meet the objectives."""

    candidate: _Candidate
    replicas: int
    usd_per_month: float
    simulations: list[Simulation]  # of all seeds


def _candidates(space: _Space, search: "_Search") -> list[_Candidate]:
    """Return the layouts that run, the cheapest by the guess first."""
    found = []
    for entries in product(*space.kinds.values()):
        chosen = dict(zip(space.kinds, entries, strict=True))
        base = Configuration(
            model=space.model,
            **{**chosen, **space.fixed},
            scheduler="continuous",
        )
        group = tuple(entry.name for entry in entries)
        for degrees, replica in _layouts(space, base, search):
            found.append(search.candidate(base, degrees, replica, group))
    runnable = [candidate for candidate in found if candidate is not None]
    search.do_not_run += len(found) - len(runnable)
    return sorted(runnable, key=lambda one: (one.guess * one.usd_per_month, one.devices))


def _layouts(
    space: _Space, base: Configuration, search: "_Search"
) -> list[tuple[dict[str, int], Replica]]:
    """Return layouts that hold the weights.

    Replicas have at most 8 devices, or 4 times as many as the smallest, unless degrees are given.
    """
    found = []
    made = base.records
    for degrees in _degrees_of(space, base):
        search.layouts += 1
        deployment = made.deployment._replace(
            **{name: float(value) for name, value in degrees.items()}
        )
        replica = prepare(*made[:5], deployment, made.economics)
        if replica.status == OK:
            found.append((degrees, replica))
        else:
            search.do_not_run += 1
    smallest = min((replica.layout.devices for _, replica in found), default=1.0)
    most = max(_MOST_PER_REPLICA, _MORE_PER_REPLICA * smallest)
    if all(space.degrees.values()):
        most = inf
    kept = [(degrees, replica) for degrees, replica in found if replica.layout.devices <= most]
    search.layouts -= len(found) - len(kept)
    return kept


def _degrees_of(space: _Space, base: Configuration) -> Iterator[dict[str, int]]:
    """Yield degrees of parallelism: those given, or powers of two within the scale-up domain.

    Attention groups (dp) are of one replica only if it has experts to share, with ep 1 or over all
    of its devices.
    """
    device, model = base.records.device, base.records.model
    tps = space.degrees["tp"] or _DEGREES
    pps = space.degrees["pp"] or _DEGREES
    dps = space.degrees["dp"] or (_DEGREES if model.experts else (1,))
    domain = inf if space.degrees["tp"] and space.degrees["dp"] else device.scale_up_domain
    for tp, pp, dp in product(tps, pps, dps):
        joined = tp * dp
        if joined > domain or joined * pp > space.max_devices:
            continue
        for ep in space.degrees["ep"] or sorted({1, joined} if model.experts else {1}):
            yield {"tp": tp, "pp": pp, "dp": dp, "ep": ep}


# Search.


class _Search:
    """Search for the cheapest fleet of each device, format and engine."""

    def __init__(
        self,
        requests: Requests,
        more: Sequence[Requests],
        slos: Mapping[str, float],
        rules: Rules,
        max_devices: int,
        top: int,
        *,
        sure: bool = False,
    ) -> None:
        self.sure = sure
        self.requests = requests
        self.more = more  # those of further seeds
        self.bare = without_blocks(requests)
        self.slos = slos
        self.rules = rules
        self.max_devices = max_devices
        self.top = top
        self.demand: Demand = demand_of(requests)
        self.layouts = 0
        self.do_not_run = 0
        self.too_slow = 0
        self.too_dear = 0
        self.guessed = 0
        self.simulated = 0
        self.nearest: tuple[float, str] = (inf, "")  # idle layouts that are too slow: ratio, words
        self.last_too_slow = False  # the layout before, which is a hint for the next
        self.sizes: list[int] = []  # replicas of each simulation, also of threads

    @property
    def simulations(self) -> int:
        """Number of simulations."""
        return len(self.sizes)

    def counts(self) -> Counts:
        """Return how many layouts were decided on in which way."""
        return Counts(*(getattr(self, name) for name in Counts._fields))

    def reason(self) -> str:
        """Return why no layout serves the traffic."""
        if self.layouts == self.do_not_run:
            return "the model or a request fits no layout; allow more devices or narrower formats"
        if self.layouts == self.do_not_run + self.too_slow:
            if not self.nearest[1]:
                return "no layout writes tokens fast enough, even for one request alone"
            return (
                "no layout is fast enough, even for one request alone; the nearest has "
                f"{self.nearest[1]}; allow longer latencies"
            )
        return (
            f"no fleet of at most {self.max_devices:,} devices meets the objectives; allow more "
            "devices or longer latencies"
        )

    def limits_for(self, replica: Replica) -> dict[str, float]:
        """Return the objectives that predictions for a replica must meet. [s]"""
        if not self.sure:
            return dict(self.slos)
        engine = replica.engine
        ttft, tpot = engine.high_ttft_served, engine.high_tpot_served
        factors = {"ttft": ttft, "tpot": tpot, "itl": tpot, "e2e": max(ttft, tpot)}
        return {name: limit / factors[name.partition("_")[0]] for name, limit in self.slos.items()}

    def candidate(
        self,
        base: Configuration,
        degrees: dict[str, int],
        replica: Replica,
        group: tuple[str, ...],
    ) -> _Candidate | None:
        """Return a layout with the guess of its replicas; None if a request does not fit."""
        try:
            room = room_of(replica, self.bare, self.rules)
        except InputError:  # the weights leave no room
            return None
        limits = limits_of(replica, self.bare, self.rules, room)
        if not longest_fits(room, self.demand):
            return None
        always = base.records.economics._replace(utilization=1.0)
        devices = int(replica.layout.devices)
        rate = steady_rate(replica, self.demand, self.limits_for(replica))
        return _Candidate(
            *(base, degrees, replica, limits, room, group, devices),
            usd_per_month=usd_per_second(base.records.device, devices, always) * MONTH,
            guess=max(ceil(self.demand.per_second / rate), 1) if rate > 0.0 else inf,
        )

    def cheapest(self, candidates: Iterable[_Candidate]) -> list[_Choice]:
        """Return the cheapest choice of each group, the cheapest groups first."""
        best: dict[tuple[str, ...], _Choice] = {}
        for candidate in candidates:
            chosen = self._chosen(candidate, self._limit(best, candidate.group))
            if chosen is not None:
                best[candidate.group] = chosen
        return sorted(best.values(), key=lambda one: one.usd_per_month)[: self.top]

    def _limit(self, best: Mapping[tuple[str, ...], _Choice], group: tuple[str, ...]) -> float:
        """Price below which another fleet of a group is among the cheapest. [USD/month]"""
        prices = sorted(one.usd_per_month for one in best.values())
        limit = prices[self.top - 1] if len(prices) >= self.top else inf
        return min(limit, best[group].usd_per_month) if group in best else limit

    def _chosen(self, candidate: _Candidate, limit: float) -> _Choice | None:
        """Return the fewest replicas that meet the objectives for less than ``limit``."""
        slos = self.limits_for(candidate.replica)
        if fastest_token_s(candidate.replica, self.demand) > limit_of(slos, "tpot"):
            self.too_slow += 1
            return None
        price = candidate.usd_per_month
        # with as many replicas as requests, none waits for another
        most = min(self.max_devices // candidate.devices, self.demand.requests)
        if limit < inf:
            most = min(most, ceil(limit / price) - 1)
        least = fewest_replicas(
            candidate.replica, candidate.limits, candidate.room, self.demand, slos
        )
        if least > most:
            self.too_dear += 1
            return None
        if candidate.guess * price > _GUESS * limit:
            self.guessed += 1
            return None
        self.simulated += 1
        configuration = candidate.configuration
        kept: dict[int, list[Simulation] | None] = {}

        def met(replicas: int) -> bool:
            if replicas not in kept:
                kept[replicas] = self.meeting(configuration, replicas, 1.0, slos)
            return kept[replicas] is not None

        start = int(min(max(candidate.guess, least), most))
        # objectives out of reach are found in one simulation, not two, after the first layout
        fails = self.last_too_slow or not met(start)
        self.last_too_slow = fails and not self._reaches(candidate, slos)
        if self.last_too_slow:
            self.simulated -= 1
            self.too_slow += 1
            return None
        fewest = _smallest(met, least, most, start)
        simulations = kept[fewest] if fewest is not None else None
        if fewest is None or simulations is None:
            return None
        return _Choice(candidate, fewest, fewest * price, simulations)

    def meeting(
        self,
        configuration: Configuration,
        replicas: int,
        rate: float,
        slos: Mapping[str, float],
    ) -> list[Simulation] | None:
        """Return simulations of all seeds at a relative rate; None if one misses an objective."""
        found = []
        for requests in (self.requests, *self.more):
            found.append(self.served(configuration, replicas, _faster(requests, rate)))
            if not meets(found[-1], slos):
                return None
        return found

    def served(self, configuration: Configuration, replicas: int, requests: Requests) -> Simulation:
        """Return a simulation with some replicas."""
        self.sizes.append(replicas)
        return simulate_requests(configuration, requests, replace(self.rules, replicas=replicas))

    def _reaches(self, candidate: _Candidate, slos: Mapping[str, float]) -> bool:
        """Return whether idle servers meet the objectives; remember the nearest that do not."""
        alone = self._alone(candidate.configuration)
        if meets(alone, slos):
            return True
        found = statistics(alone)
        ratios = {name: found[name] / limit for name, limit in slos.items() if name in found}
        name = max(ratios, key=lambda one: ratios[one], default="")
        if name and ratios[name] < self.nearest[0]:
            layout = ", ".join(f"{key} {n}" for key, n in candidate.degrees.items() if n > 1)
            device = candidate.base.labels["device"]
            words = f"{name} {format_quantity(found[name], 's', 3)} on {device}, {layout or 'tp 1'}"
            self.nearest = (ratios[name], f"{words} (limit {format_quantity(slos[name], 's', 3)})")
        return False

    def _alone(self, configuration: Configuration) -> Simulation:
        """Return the requests one after the other, with a cache of any size: a bound on latencies.

        No fleet serves a request faster than an idle server does.
        """
        self.sizes.append(1)
        free = self.requests.after < 0
        arrival_s = self.requests.arrival_s.copy()
        arrival_s[free] = np.arange(int(free.sum())) * _APART
        rules = replace(self.rules, replicas=1, kv_tokens=MOST)
        return simulate_requests(configuration, self.requests._replace(arrival_s=arrival_s), rules)

    def fleet(self, choice: _Choice) -> Fleet:
        """Return the figures of a choice, with intervals and headroom."""
        configuration = choice.candidate.configuration
        figures = _figures(configuration, choice, self.slos)
        slos = self.limits_for(choice.candidate.replica)
        others = [figures_of(configuration, other, {}) for other in choice.simulations[1:]]
        intervals = _intervals([figures, *others])

        def met(rate: float) -> bool:
            return self.meeting(configuration, choice.replicas, rate, slos) is not None

        return Fleet(
            configuration=configuration,
            rules=replace(self.rules, replicas=choice.replicas),
            figures=figures,
            intervals=intervals,
            headroom=_largest_rate(met) - 1.0,
            sure=all(
                intervals[name][1] <= limit
                for name, limit in self.slos.items()
                if name in intervals
            ),
        )


def without_blocks(requests: Requests) -> Requests:
    """Return requests that share nothing, whose bounds are found faster."""
    none = np.zeros(0, np.int64)
    return requests._replace(first_block=np.zeros_like(requests.first_block), block_hash=none)


def meets(simulation: Simulation, slos: Mapping[str, float]) -> bool:
    """Return whether servers keep up and all objectives are met."""
    return simulation.status == "ok" and goodput(simulation, slos)["slo"] == "met"


def _smallest(met: Callable[[int], bool], least: int, most: int, start: int) -> int | None:
    """Return the smallest number from ``least`` to ``most`` that is met, all above it being met."""
    failed, passed = least - 1, most + 1
    step, place = 1, start
    while passed - failed > 1:
        if met(place):
            passed = place
            place = passed - step
        else:
            failed = place
            place = failed + step
        step *= 2
        if not failed < place < passed:
            place = (failed + passed) // 2 if passed <= most else most
    return passed if passed <= most else None


def _largest_rate(met: Callable[[float], bool]) -> float:
    """Return the largest rate that is met, relative to the given one; infinite beyond all tried."""
    passed, failed = 1.0, inf
    for rate in _HEADROOM:
        if not met(rate):
            failed = rate
            break
        passed = rate
    if failed == inf:
        return inf
    while failed - passed > _EXACT * passed:
        middle = 0.5 * (passed + failed)
        passed, failed = (middle, failed) if met(middle) else (passed, middle)
    return passed


def _faster(requests: Requests, rate: float) -> Requests:
    """Return requests that arrive ``rate`` times as fast; pauses of sessions stay."""
    arrival_s = requests.arrival_s.copy()
    arrival_s[requests.after < 0] /= rate
    return requests._replace(arrival_s=arrival_s)


def _figures(
    configuration: Configuration, choice: _Choice, slos: Mapping[str, float]
) -> dict[str, float | str]:
    """Return the figures of a simulation, and those of the whole fleet per month."""
    simulation = choice.simulations[0]
    watts = simulation.energy_j / simulation.makespan_s
    facility = facility_factor(configuration.records.economics)
    return {
        **figures_of(configuration, simulation, slos),
        "cost_per_hour_usd": choice.usd_per_month / MONTH * HOUR,
        "fleet_power_w": watts,
        "facility_power_w": watts * facility,
        "facility_energy_per_month_kwh": watts * facility * MONTH / JOULES_PER_KWH,
        "cost_per_month_usd": choice.usd_per_month,
    }


def _intervals(found: Sequence[Mapping[str, float | str]]) -> dict[str, tuple[float, float]]:
    """Return the lowest and highest ends of the intervals of latencies over simulations."""
    names = [f"{latency}_{statistic}" for latency, statistic in product(LATENCIES, STATISTICS)]
    return {
        f"{name}_s": (
            min(float(figures[f"{name}_low_s"]) for figures in found),
            max(float(figures[f"{name}_high_s"]) for figures in found),
        )
        for name in names
    }
