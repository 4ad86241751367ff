"""Search for the cheapest fleets of identical servers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import ceil, inf
from typing import Final, NamedTuple

import numpy as np

from perfcore.errors import InputError
from perfcore.fleets.bounds import (
    Demand,
    Steady,
    demand_of,
    fastest_token_s,
    fewest_replicas,
    limit_of,
    longest_fits,
    steady_state,
)
from perfcore.fleets.inputs import Load, Space
from perfcore.fleets.layouts import Candidate, Layout, layouts_of
from perfcore.physics.stages.replica import Replica
from perfcore.traffic.others import Others, price_of_time
from perfcore.traffic.requests import Requests
from perfcore.traffic.results import MONTH, Simulation, goodput, statistics
from perfcore.traffic.server import MOST, Rules, limits_of, room_of, simulate_requests
from perfcore.units import format_quantity

GUESS: Final = 1.5  # ratio of steady-state cost to limit above which nothing is simulated
_APART: Final = 1e4  # time between requests that meet no others [s]
_HEADROOM: Final = (1.1, 1.3, 1.6, 2.0, 3.0, 4.0)  # rates tried, relative to the given one
_EXACT: Final = 0.02  # tolerance of a headroom


class Counts(NamedTuple):
    """Counts of layouts by the step of the search that decided on them."""

    layouts: int
    do_not_run: int  # the model or one request does not fit, or degrees do not divide it
    too_slow: int  # a bound: the fastest token is too slow
    too_dear: int  # a bound: keeping up costs more than a fleet that was found
    guessed: int  # a guess: the steady state costs far more
    simulated: int
    simulations: int


class Tally:
    """Running counts of a search."""

    def __init__(self) -> None:
        self.layouts = 0
        self.do_not_run = 0
        self.too_slow = 0
        self.too_dear = 0
        self.guessed = 0
        self.simulated = 0
        self.sizes: list[int] = []  # replicas of each simulation, also of threads
        self.nearest: tuple[float, str] = (inf, "")  # fastest idle servers: ratio, words

    def counts(self) -> Counts:
        """Return the number of layouts decided on by each step."""
        return Counts(
            self.layouts,
            self.do_not_run,
            self.too_slow,
            self.too_dear,
            self.guessed,
            self.simulated,
            simulations=len(self.sizes),
        )

    def note(self, alone: Simulation, slos: Mapping[str, float], words: str) -> None:
        """Remember idle servers that are too slow, if they are the nearest."""
        found = statistics(alone)
        ratios = {name: found[name] / limit for name, limit in slos.items() if name in found}
        name = max(ratios, key=lambda one: ratios[one], default="")
        if name and ratios[name] < self.nearest[0]:
            value = f"{name} {format_quantity(found[name], 's', 3)} on {words}"
            limit = format_quantity(slos[name], "s", 3)
            self.nearest = (ratios[name], f"{value} (limit {limit})")


class Choice(NamedTuple):
    """Layout with the fewest replicas that meet the objectives; of prompts, those of its pool."""

    candidate: Candidate
    replicas: int
    usd_per_month: float  # of all
    simulations: list[Simulation]  # of all seeds
    prompts: "Choice | None" = None


class Search:
    """Search for the cheapest fleet of each device, format and engine."""

    def __init__(
        self,
        load: Load,
        slos: Mapping[str, float],
        rules: Rules,
        max_devices: int,
        top: float,
        tally: Tally,
        *,
        sure: bool = False,
    ) -> None:
        self.load = load
        self.requests = load.requests[0]
        self.bare = without_blocks(self.requests)
        self.slos = slos
        self.rules = rules
        self.max_devices = max_devices
        self.top = top
        self.tally = tally
        self.sure = sure
        self.demand: Demand = demand_of(self.requests, load.clients)
        self.last_too_slow = False  # the layout before, which is a hint for the next

    def limits_for(self, replica: Replica) -> dict[str, float]:
        """Return the objectives that predictions for a replica must meet. [s]"""
        if not self.sure:
            return dict(self.slos)
        engine = replica.engine
        ttft, tpot = engine.high_ttft_served, engine.high_tpot_served
        factors = {"ttft": ttft, "tpot": tpot, "itl": tpot, "e2e": max(ttft, tpot)}
        return {name: limit / factors[name.partition("_")[0]] for name, limit in self.slos.items()}

    def steady(self, replica: Replica, others: Others) -> Steady:
        """Return a guess of what a replica serves within objectives."""
        return steady_state(replica, self.demand, self.limits_for(replica), others)

    def candidates(self, space: Space) -> list[Candidate]:
        """Return the layouts that run, the cheapest by the guess first."""
        found = []
        for layout in layouts_of(space):
            self.tally.layouts += 1
            candidate = self.candidate(layout) if layout is not None else None
            if candidate is None:
                self.tally.do_not_run += 1
            else:
                found.append(candidate)
        return sorted(found, key=lambda one: (one.guess * one.usd_per_month, one.devices))

    def candidate(self, layout: Layout) -> Candidate | None:
        """Return a layout with the guess of its replicas; None if a request does not fit."""
        replica, others = layout.replica, layout.others
        try:
            room = room_of(replica, self.bare, self.rules, others)
        except InputError:  # the weights leave no room
            return None
        if not longest_fits(room, self.demand):
            return None
        devices = int(replica.layout.devices)
        price = price_of_time(replica.device, devices, replica.economics) + others.usd_per_second
        steady = self.steady(replica, others)
        return Candidate(
            layout,
            limits_of(replica, self.bare, self.rules, room),
            room,
            devices + others.devices,
            usd_per_month=price * MONTH,
            steady=steady,
            guess=steady.replicas(self.demand),
        )

    def found(self, space: Space) -> list[Choice]:
        """Return the cheapest choice of each machine, the cheapest machines first."""
        return self.cheapest(self.candidates(space))

    def cheapest(self, candidates: Iterable[Candidate]) -> list[Choice]:
        """Return the cheapest choice of each group, the cheapest groups first."""
        best: dict[tuple[str, ...], Choice] = {}
        for candidate in candidates:
            chosen = self._chosen(candidate, price_limit(best, candidate.group, self.top))
            if chosen is not None:
                best[candidate.group] = chosen
        found = sorted(best.values(), key=lambda one: one.usd_per_month)
        return found[: int(min(self.top, len(found)))]

    def most_of(self, candidate: Candidate, limit: float) -> int:
        """Return the most replicas that cost less than ``limit``."""
        # with as many replicas as requests or clients, none waits for another
        together = self.demand.clients or self.demand.requests
        most = min(self.max_devices // candidate.devices, together)
        return most if limit == inf else min(most, ceil(limit / candidate.usd_per_month) - 1)

    def least_of(self, candidate: Candidate, slos: Mapping[str, float]) -> int:
        """Return a bound on the replicas that keep up."""
        return fewest_replicas(
            candidate.replica,
            candidate.limits,
            candidate.room,
            self.demand,
            slos,
            candidate.others,
        )

    def _chosen(self, candidate: Candidate, limit: float) -> Choice | None:
        """Return the fewest replicas that meet the objectives for less than ``limit``."""
        tally = self.tally
        slos = self.limits_for(candidate.replica)
        fastest_s = fastest_token_s(candidate.replica, self.demand, candidate.others)
        if fastest_s > limit_of(slos, "tpot"):
            tally.too_slow += 1
            return None
        most, least = self.most_of(candidate, limit), self.least_of(candidate, slos)
        if least > most:
            tally.too_dear += 1
            return None
        if candidate.guess * candidate.usd_per_month > GUESS * limit:
            tally.guessed += 1
            return None
        tally.simulated += 1
        kept: dict[int, list[Simulation] | None] = {}

        def met(replicas: int) -> bool:
            if replicas not in kept:
                kept[replicas] = self.meeting(candidate, replicas, 1.0, slos)
            return kept[replicas] is not None

        start = int(min(max(candidate.guess, least), most))
        # objectives out of reach are found in one simulation, not two, after the first layout
        fails = self.last_too_slow or not met(start)
        self.last_too_slow = fails and not self._reaches(candidate, slos)
        if self.last_too_slow:
            tally.simulated -= 1
            tally.too_slow += 1
            return None
        fewest = smallest(met, least, most, start)
        simulations = kept[fewest] if fewest is not None else None
        if fewest is None or simulations is None:
            return None
        return Choice(candidate, fewest, fewest * candidate.usd_per_month, simulations)

    def meeting(
        self, candidate: Candidate, replicas: int, rate: float, slos: Mapping[str, float]
    ) -> list[Simulation] | None:
        """Return simulations of all seeds at a relative rate; None if one misses an objective."""
        rules = replace(self.rules, replicas=replicas)
        configuration = candidate.configuration
        found = []
        for requests in self.load.faster(rate):
            self.tally.sizes.append(replicas)
            found.append(simulate_requests(configuration, requests, rules))
            if not meets(found[-1], slos):
                return None
        return found

    def _reaches(self, candidate: Candidate, slos: Mapping[str, float]) -> bool:
        """Return whether idle servers meet the objectives.

        Requests run one after the other, with a cache of any size, which is a bound on latencies:
        no fleet serves a request faster than an idle server does.
        """
        self.tally.sizes.append(1)
        rules = replace(self.rules, replicas=1, kv_tokens=MOST)
        alone = simulate_requests(candidate.configuration, one_by_one(self.requests), rules)
        if meets(alone, slos):
            return True
        self.tally.note(alone, slos, candidate.words)
        return False

    def headroom(self, choice: Choice) -> float:
        """Return the share by which the rate, or the number of clients, may grow."""
        slos = self.limits_for(choice.candidate.replica)

        def met(rate: float) -> bool:
            return self.meets_at(choice, rate, slos)

        return self.load.share(largest_rate(met)) - 1.0

    def meets_at(self, choice: Choice, rate: float, slos: Mapping[str, float]) -> bool:
        """Return whether a choice meets objectives at a relative rate."""
        return self.meeting(choice.candidate, choice.replicas, rate, slos) is not None


def price_limit(
    best: Mapping[tuple[str, ...], Choice], group: tuple[str, ...], top: float
) -> float:
    """Price below which another fleet of a group is among the cheapest. [USD/month]"""
    prices = sorted(one.usd_per_month for one in best.values())
    limit = prices[int(top) - 1] if len(prices) >= top else inf
    return min(limit, best[group].usd_per_month) if group in best else limit


def without_blocks(requests: Requests) -> Requests:
    """Return requests that share nothing, whose bounds are found faster."""
    none = np.zeros(0, np.int64)
    return requests._replace(first_block=np.zeros_like(requests.first_block), block_hash=none)


def one_by_one(requests: Requests) -> Requests:
    """Return requests that meet no others, except those that they wait for."""
    free = requests.after < 0
    arrival_s = requests.arrival_s.copy()
    arrival_s[free] = np.arange(int(free.sum())) * _APART
    return requests._replace(arrival_s=arrival_s)


def meets(simulation: Simulation, slos: Mapping[str, float]) -> bool:
    """Return whether servers keep up and all objectives are met."""
    return simulation.status == "ok" and goodput(simulation, slos)["slo"] == "met"


def smallest(met: Callable[[int], bool], least: int, most: int, start: int) -> int | None:
    """Return the smallest number from ``least`` to ``most`` that is enough, as all above are."""
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


def largest_rate(met: Callable[[float], bool]) -> float:
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
