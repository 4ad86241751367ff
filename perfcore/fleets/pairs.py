"""Search for the cheapest fleets whose prompts and answers run on different servers."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from math import ceil, inf
from typing import Final

from perfcore.fleets.bounds import Steady, fastest_token_s, limit_of, steady_state
from perfcore.fleets.inputs import Space
from perfcore.fleets.layouts import Candidate
from perfcore.fleets.search import (
    GUESS,
    Choice,
    Search,
    meets,
    one_by_one,
    price_limit,
    smallest,
)
from perfcore.physics.stages.replica import Replica
from perfcore.traffic.others import Others
from perfcore.traffic.results import Simulation
from perfcore.traffic.server import MOST, Rules, simulate_pools

_SHARES: Final = (1.0, 0.5, 0.25)  # of an end-to-end limit that prefill may take
_TRIED: Final = 3  # prefill layouts per machine, if both pools are only simulated together
_DOUBLINGS: Final = 4  # of prefill servers, while no number of decode servers is enough
_FAILURES: Final = 8  # successive numbers of prefill servers without a cheaper fleet
_BUSY: Final = 0.85  # guessed utilisation of prefill servers whose requests wait

Counts = tuple[int, int]  # numbers of prefill and decode servers


class _Answers(Search):
    """Search for decode servers, whose prefill runs on other servers."""

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)  # type: ignore[arg-type]  # those of Search
        self.demand = self.demand._replace(prompt_tokens=0.0)

    def steady(self, replica: Replica, others: Others) -> Steady:  # noqa: ARG002 - there are none
        """Return a guess of the answers that a replica writes within objectives."""
        return steady_state(replica, self.demand, self.limits_for(replica), apart=True)


class PairSearch(_Answers):
    """Search for the cheapest two pools of each pair of machines.

    If no request waits for another, the prefill pool is simulated alone first: the fewest servers
    that keep up and meet the objectives of prefill are a bound for both pools together.
    """

    @cached_property
    def prefill_rules(self) -> Rules:
        """Rules of the prefill pool, whose cache is as large as its own devices allow."""
        return replace(self.rules, kv_tokens=None)

    @cached_property
    def whole(self) -> bool:
        """Whether there is an objective of time end to end."""
        return any(name.startswith("e2e") for name in self.slos)

    def found(self, space: Space) -> list[Choice]:
        """Return the cheapest choice of each pair of machines, the cheapest pairs first."""
        pools = self._prefill_pools(space)
        best: dict[tuple[str, ...], Choice] = {}
        for candidate in self.candidates(space):
            partners = [one for one in pools if _may_serve(space, one.candidate, candidate)]
            self.tally.layouts += len(partners) - 1
            for prompts in partners:
                group = (*candidate.group, *prompts.candidate.group)
                chosen = self._pair(prompts, candidate, price_limit(best, group, self.top))
                if chosen is not None:
                    best[group] = chosen
        return sorted(best.values(), key=lambda one: one.usd_per_month)[: int(self.top)]

    # Prefill pools.

    def _prefill_pools(self, space: Space) -> list[Choice]:
        """Return pools that may serve the prompts, the cheapest of each machine first."""
        load = self.load.prompts()
        ahead = space._replace(
            kinds=space.kinds | space.prefill_kinds, degrees=space.prefill_degrees
        )
        searches = [
            Search(
                *(load, self._of_prompts(share), self.prefill_rules),
                *(self.max_devices - 1, inf, self.tally),
                sure=self.sure,
            )
            for share in (_SHARES if self.whole else _SHARES[:1])
        ]
        candidates = searches[0].candidates(ahead)
        if self.load.waits:
            return self._by_guess(candidates)
        pools: dict[tuple[int, int], Choice] = {}
        for place, search in enumerate(searches):
            self.tally.layouts += len(candidates) if place else 0
            for choice in search.cheapest(candidates):
                pools.setdefault((id(choice.candidate), choice.replicas), choice)
        return sorted(pools.values(), key=lambda one: one.usd_per_month)

    def _of_prompts(self, share: float) -> dict[str, float]:
        """Return the objectives of prompts, with a share of those end to end."""
        found = {name: limit for name, limit in self.slos.items() if name.startswith("ttft")}
        whole = {name: limit * share for name, limit in self.slos.items() if name[:3] == "e2e"}
        return found | whole

    def _by_guess(self, candidates: list[Candidate]) -> list[Choice]:
        """Return a few pools of each machine, those that are cheapest by their steady state."""
        by_price = sorted(
            (one for one in candidates if one.steady.requests_per_s > 0.0),
            key=lambda one: one.usd_per_month / one.steady.requests_per_s,
        )
        tried: dict[tuple[str, ...], int] = {}
        pools = []
        for candidate in by_price:
            tried[candidate.group] = tried.get(candidate.group, 0) + 1
            if tried[candidate.group] <= _TRIED:
                pools.append(Choice(candidate, 1, candidate.usd_per_month, []))
        self.tally.simulated += len(pools)
        self.tally.guessed += len(by_price) - len(pools)
        self.tally.too_slow += len(candidates) - len(by_price)
        return pools

    # Both pools.

    def _pair(self, prompts: Choice, candidate: Candidate, limit: float) -> Choice | None:
        """Return the cheapest numbers of servers that meet the objectives for less than a limit."""
        tally = self.tally
        slos = self.limits_for(candidate.replica)
        if fastest_token_s(candidate.replica, self.demand) > limit_of(slos, "tpot"):
            tally.too_slow += 1
            return None
        least = (prompts.replicas, self.least_of(candidate, slos))
        pair = _Pair(prompts.candidate, candidate, self.max_devices)
        if not pair.fits(least) or pair.price(least) >= limit:
            tally.too_dear += 1
            return None
        guess = (self._prefill_guess(prompts, candidate), max(candidate.guess, least[1]))
        if pair.price(guess) > GUESS * limit:
            tally.guessed += 1
            return None
        tally.simulated += 1
        kept: dict[Counts, list[Simulation] | None] = {}

        def met(counts: Counts) -> bool:
            if not (pair.fits(counts) and pair.price(counts) < limit):
                return False
            if counts not in kept:
                kept[counts] = self.serving(pair, counts, 1.0, slos)
            return kept[counts] is not None

        most = min(pair.most((least[0], 0), limit), self.demand.clients or self.demand.requests)
        start = (int(guess[0]), int(min(guess[1], most)))
        fails = self.last_too_slow or not met(start)
        self.last_too_slow = fails and not self._pair_reaches(pair, slos)
        if self.last_too_slow:
            tally.simulated -= 1
            tally.too_slow += 1
            return None
        more = _DOUBLINGS if self.load.waits or self.whole else 0
        counts = _cheapest_of(pair, met, least, start, most, more)
        simulations = kept[counts] if counts is not None else None
        if counts is None or simulations is None:
            return None
        of_prompts = counts[0] * prompts.candidate.usd_per_month
        return Choice(
            *(candidate, counts[1], pair.price(counts), simulations),
            prompts=Choice(prompts.candidate, counts[0], of_prompts, []),
        )

    def _prefill_guess(self, prompts: Choice, candidate: Candidate) -> float:
        """Return a guess of the prefill servers: those found alone, or for the rate of clients."""
        if not self.load.waits:
            return prompts.replicas
        rate = self.demand.per_second
        if self.demand.clients:
            steady = candidate.steady
            each_s = steady.batch / steady.requests_per_s if steady.requests_per_s else inf
            rate = self.demand.clients / (each_s + self.demand.pause_s)
        return max(ceil(rate / (_BUSY * prompts.candidate.steady.requests_per_s)), 1)

    def serving(
        self, pair: "_Pair", counts: Counts, rate: float, slos: Mapping[str, float]
    ) -> list[Simulation] | None:
        """Return simulations of all seeds at a relative rate; None if one misses an objective."""
        found = []
        for requests in self.load.faster(rate):
            self.tally.sizes.append(sum(counts))
            found.append(
                simulate_pools(
                    *(pair.prompts.configuration, pair.answers.configuration, requests),
                    replace(self.prefill_rules, replicas=counts[0]),
                    replace(self.rules, replicas=counts[1]),
                )
            )
            if not meets(found[-1], slos):
                return None
        return found

    def _pair_reaches(self, pair: "_Pair", slos: Mapping[str, float]) -> bool:
        """Return whether idle servers meet the objectives, as ``Search`` does."""
        self.tally.sizes.append(2)
        rules = replace(self.rules, replicas=1, kv_tokens=MOST)
        machines = pair.prompts.configuration, pair.answers.configuration
        alone = simulate_pools(*machines, one_by_one(self.requests), rules, rules)
        if meets(alone, slos):
            return True
        self.tally.note(alone, slos, f"{pair.answers.words}, prompts on {pair.prompts.words}")
        return False

    def meets_at(self, choice: Choice, rate: float, slos: Mapping[str, float]) -> bool:
        """Return whether a choice meets objectives at a relative rate."""
        if choice.prompts is None:
            return super().meets_at(choice, rate, slos)
        pair = _Pair(choice.prompts.candidate, choice.candidate, self.max_devices)
        counts = (choice.prompts.replicas, choice.replicas)
        return self.serving(pair, counts, rate, slos) is not None


class _Pair:
    """Layouts of both pools."""

    def __init__(self, prompts: Candidate, answers: Candidate, max_devices: int) -> None:
        self.prompts = prompts
        self.answers = answers
        self.max_devices = max_devices

    def price(self, counts: tuple[float, float]) -> float:
        """Return the price of so many servers. [USD/month]"""
        return counts[0] * self.prompts.usd_per_month + counts[1] * self.answers.usd_per_month

    def fits(self, counts: Counts) -> bool:
        """Return whether a fleet may have so many servers."""
        devices = counts[0] * self.prompts.devices + counts[1] * self.answers.devices
        return devices <= self.max_devices

    def most(self, counts: Counts, limit: float) -> int:
        """Return the most decode servers that cost less than a limit with the prefill servers."""
        most = (self.max_devices - counts[0] * self.prompts.devices) // self.answers.devices
        if limit == inf:
            return most
        left = limit - counts[0] * self.prompts.usd_per_month
        return min(most, ceil(left / self.answers.usd_per_month) - 1)


def _may_serve(space: Space, prompts: Candidate, answers: Candidate) -> bool:
    """Return whether a prefill layout matches a decode layout in formats, machine and engine."""
    own, others = (dict(zip(space.kinds, one.group, strict=True)) for one in (prompts, answers))
    return all(own[kind] == others[kind] for kind in own if kind not in space.prefill_kinds)


def _cheapest_of(
    pair: _Pair,
    met: Callable[[Counts], bool],
    least: Counts,
    start: Counts,
    most: int,
    doublings: int,
) -> Counts | None:
    """Return the cheapest numbers of servers that meet the objectives; None if there are none.

    The search begins with the fewest decode servers for ``start`` prefill servers, which are
    doubled at most ``doublings`` times. It then tries fewer servers in one pool with more in the
    other, while that is cheaper and meets the objectives. More servers than enough are assumed to
    be enough.
    """
    first, second = start[0], None
    for _ in range(doublings + 1):
        at = partial(_meets_beside, met, first)
        second = smallest(at, least[1], most, min(max(start[1], least[1]), most))
        if second is not None or not pair.fits((2 * first, least[1])):
            break
        first *= 2
    if second is None:
        return None
    beside = second
    fewest = smallest(lambda count: met((count, beside)), least[0], first, first)
    best = (fewest or first, second)
    for step in (1, -1):  # more prefill servers, or fewer
        failures = 0
        first = best[0] + step
        while first >= least[0] and failures < _FAILURES:
            cheaper = pair.most((first, 0), pair.price(best))
            if cheaper < least[1]:
                break
            failures += 1
            if met((first, cheaper)):
                failures = 0
                at = partial(_meets_beside, met, first)
                best = (first, smallest(at, least[1], cheaper, cheaper) or cheaper)
            first += step
    return best


def _meets_beside(met: Callable[[Counts], bool], prompts: int, answers: int) -> bool:
    """Return whether these numbers of decode and prefill servers meet the objectives."""
    return met((prompts, answers))
