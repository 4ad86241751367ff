"""Description of traffic (a rate, clients or a trace; lengths; sessions) and its requests."""

import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from perfcore.errors import InputError, argument
from perfcore.kernel.layout import Integers, Reals
from perfcore.limits import Limits
from perfcore.reading.places import Place, number
from perfcore.traffic.arrivals import TIME, Stage, arrival_times, daily, parse_stages
from perfcore.traffic.draws import Use, exponential, uniform
from perfcore.traffic.lengths import Lengths, of_rows, parse_lengths
from perfcore.traffic.requests import MOST_REQUESTS, Requests, Shared, gathered
from perfcore.traffic.traces import first_rows, read_trace, replayed

DEFAULT_REQUESTS: Final = 1000
LIMITS: Final = {
    "clients": Limits("count", 0, 1e6, whole=True),
    "requests": Limits("count", 1, MOST_REQUESTS, whole=True),
    "duration": TIME,
    "cv": Limits("ratio", 0.0, 30.0),
    "daily": Limits("ratio", 1.0, 2.0),
    "think_time": TIME,
    "tool_share": Limits("fraction", 0.0, 1.0),
    "tool_time": TIME,
    "system_prompt": Limits("count", 0, 1e8, whole=True),
    "prompts": Limits("count", 1, 1e6, whole=True),
    "repeat": Limits("count", 1, 1e6, whole=True),
    "speed": Limits("ratio", 1e-6, 1e6),
    "seed": Limits("count", 0, 2**53, whole=True),
}
_SOURCES: Final = ("rate", "clients", "trace")
_OF_TRACES: Final = ("repeat", "speed")
UNUSED: Final = {  # settings without an effect, by the source of arrivals
    "rate": _OF_TRACES,
    "clients": (*_OF_TRACES, "cv", "daily", "duration"),
    "trace": (
        *("duration", "cv", "daily", "input_len", "output_len", "turns", "think_time"),
        *("tool_share", "tool_time", "system_prompt", "prompts"),
    ),
}


class _Drawn(NamedTuple):
    """Distributions of a description, after its text was read."""

    input_len: Lengths
    output_len: Lengths
    turns: Lengths
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Traffic:
    """Description of requests over time. Numbers may be text with units.

    Parameters
    ----------
    rate
        Sessions per second, each with one request unless ``turns`` is given: ``5``, or stages:
        ``"5@10min,50@1min,5"``.
    clients
        Clients of a closed loop: each sends its next request after the previous one has ended and a
        pause has passed.
    trace
        File of recorded requests. Exactly one of these three is given.
    requests
        Number of requests; default: 1,000, or those that arrive in ``duration`` or the stages.
    duration
        Time span in which sessions arrive. [s]
    input_len, output_len
        Tokens that a turn adds to its context, and of its answer: a number,
        ``uniform:100..4000``, ``lognormal:2048,cv=1.5,max=8000``, ``histogram:128=3,1024=1``, or
        ``trace:FILE``; both from the same trace are drawn together.
    cv
        Coefficient of variation of the gaps between arrivals: 0 constant, 1 Poisson.
    daily
        Rate of the busiest hour, relative to the daily mean; the traffic begins at midnight.
    turns
        Requests per session, a distribution like those of lengths. Each turn's prompt begins with
        the prompt and the answer of the previous turn.
    think_time
        Mean pause between an answer and the next turn, or a client's next session, exponential. [s]
    tool_share, tool_time
        Share of the pauses that are tool calls, and their mean. [s]
    system_prompt, prompts
        Tokens of the system prompt with which prompts begin, and the number of different ones.
    repeat, speed
        Repetitions of a trace, and the factor on its rate.
    seed
        Seed of all random numbers.

    Raises
    ------
    InputError
        There are faults; all of them are listed.
    """

    rate: float | str = ""
    clients: int | str = 0
    trace: str = ""
    requests: int | str = ""
    duration: float | str = ""
    input_len: int | str = 1024
    output_len: int | str = 256
    cv: float | str = 1.0
    daily: float | str = 1.0
    turns: int | str = 1
    think_time: float | str = 0.0
    tool_share: float | str = 0.0
    tool_time: float | str = 0.0
    system_prompt: int | str = 0
    prompts: int | str = 1
    repeat: int | str = 1
    speed: float | str = 1.0
    seed: int | str = 0

    numbers: dict[str, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        faults: list[str] = []
        numbers = {name: _number(name, getattr(self, name), faults) for name in LIMITS}
        sources = [name for name in _SOURCES if getattr(self, name) != "" and numbers.get(name, 1)]
        if len(sources) != 1:
            named = ", ".join(argument(name) for name in _SOURCES)
            more = "leave out all but one" if sources else "add one"
            faults.append(f"one of {named} says when requests arrive; {more}")
        elif not faults:
            self._check_unused(sources[0], numbers, faults)
        if faults:
            raise InputError(faults)
        object.__setattr__(self, "numbers", numbers)

    def _check_unused(self, source: str, numbers: dict[str, float], faults: list[str]) -> None:
        """Record a fault for each setting that has no effect beside the source of arrivals."""
        for name in UNUSED[source]:
            default: float | str = getattr(type(self), name)
            given = numbers.get(name, str(getattr(self, name)))
            if given != (_number(name, default, []) if name in LIMITS else str(default)):
                faults.append(
                    f"{argument(name)}: has no effect beside {argument(source)}; leave it out"
                )

    def made(self) -> Requests:
        """Return the requests.

        Raises
        ------
        InputError
            A distribution or the trace has faults, there are too many requests, or none.
        """
        wanted = self.numbers["requests"]
        if self.trace:
            trace = read_trace(self.trace)
            if wanted < len(trace.arrival_s):
                trace = first_rows(trace, int(wanted))
            return replayed(trace, int(self.numbers["repeat"]), self.numbers["speed"])
        drawn = self._drawn()
        ends = self.numbers["duration"] < math.inf
        if drawn.stages and self.numbers["daily"] == 1.0:
            ends |= drawn.stages[-1].duration_s < math.inf
        if wanted == math.inf:
            wanted = MOST_REQUESTS if ends else DEFAULT_REQUESTS
        if self.numbers["clients"]:
            return self._sessions(drawn, None, int(wanted))
        arrival_s = self._arrivals(drawn.stages, int(wanted))
        if not len(arrival_s):
            raise InputError(f"{argument('rate')}: no request arrives in time; give a longer time")
        return self._sessions(drawn, arrival_s, int(wanted))

    def _drawn(self) -> _Drawn:
        faults: list[str] = []
        lengths = {
            name: _lengths(getattr(self, name), name, _place(name, faults))
            for name in ("input_len", "output_len", "turns")
        }
        stages: tuple[Stage, ...] = ()
        if self.rate != "":
            stages = parse_stages(self.rate, _place("rate", faults))
            if self.numbers["daily"] > 1.0 and len(stages) == 1:
                stages = daily(stages[0].rate, self.numbers["daily"])
            elif self.numbers["daily"] > 1.0 and stages:
                faults.append(
                    f"{argument('daily')}: beside stages of a rate; leave out one of them"
                )
        if faults:
            raise InputError(faults)
        return _Drawn(**lengths, stages=stages)  # type: ignore[arg-type]  # no fault: all are there

    def _arrivals(self, stages: tuple[Stage, ...], most: int) -> Reals:
        """Return the times at which sessions arrive: those that fit the time, at most ``most``."""
        count = min(most, DEFAULT_REQUESTS)
        while True:
            found = arrival_times(
                stages,
                self.numbers["cv"],
                int(self.numbers["seed"]),
                count,
                self.numbers["duration"],
                repeat=self.numbers["daily"] > 1.0,
            )
            if len(found) < count or (count == most and most < MOST_REQUESTS):
                return found
            if count == MOST_REQUESTS:
                raise InputError(
                    f"{argument('rate')}: more than {MOST_REQUESTS:,} requests; "
                    f"use {argument('requests')} or a shorter time"
                )
            count = min(4 * count, most)

    def _sessions(self, drawn: _Drawn, arrival_s: Reals | None, most: int) -> Requests:
        """Return the requests of sessions that arrive, or that clients have one after another."""
        seed = int(self.numbers["seed"])
        sessions = most if arrival_s is None else len(arrival_s)
        turns = drawn.turns.draw(uniform(seed, Use.TURNS, sessions))
        ends = np.minimum(np.cumsum(turns), most)
        sessions = int(np.searchsorted(ends, ends[-1])) + 1
        ends = ends[:sessions]
        starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
        count = int(ends[-1])
        session = np.repeat(np.arange(sessions), ends - starts)
        first = starts[session]
        turn = np.arange(count) - first

        after = np.where(turn > 0, np.arange(count) - 1, -1)
        if arrival_s is None:
            clients = int(self.numbers["clients"])
            before = np.concatenate([np.full(clients, -1), ends - 1])[:sessions]
            after[starts] = before
            arrival_s = np.zeros(sessions)
        times = np.where(after >= 0, self._pauses(seed, count), arrival_s[session])

        added, output_len = self._lengths(drawn, seed, count)
        prompt = int(self.numbers["system_prompt"])
        grown = np.cumsum(added + output_len)
        context = grown - output_len - (grown - added - output_len)[first] + prompt
        several = bool((turns > 1).any())
        which = np.floor(uniform(seed, Use.PROMPT, sessions) * self.numbers["prompts"]).astype(
            np.int64
        )
        prefix = which[session] if prompt else np.full(count, -1, np.int64)
        return gathered(
            times,
            context,
            output_len,
            session if several else None,
            after,
            Shared(prefix, np.full(count, prompt, np.int64)),
        )

    def _pauses(self, seed: int, count: int) -> Reals:
        """Return the pause before each request that follows an answer, of a user or a tool call."""
        tool = uniform(seed, Use.TOOL, count) < self.numbers["tool_share"]
        mean = np.where(tool, self.numbers["tool_time"], self.numbers["think_time"])
        pauses: Reals = mean * exponential(uniform(seed, Use.PAUSE, count))
        return pauses

    def _lengths(self, drawn: _Drawn, seed: int, count: int) -> tuple[Integers, Integers]:
        """Return the tokens that each request adds, and those of its answer."""
        row = uniform(seed, Use.ROW, count)
        found = []
        for lengths, given, use in (
            (drawn.input_len, self.input_len, Use.INPUT),
            (drawn.output_len, self.output_len, Use.OUTPUT),
        ):
            from_trace = str(given).startswith(_TRACE)
            found.append(lengths.draw(row if from_trace else uniform(seed, use, count)))
        return found[0], found[1]


_TRACE: Final = "trace:"


def _number(name: str, value: float | str, faults: list[str]) -> float:
    """Return a number; infinite if it is left out, NaN after a fault."""
    found = math.inf if value == "" else number(value, LIMITS[name], _place(name, faults))
    return math.nan if found is None else found


def _place(name: str, faults: list[str]) -> Place:
    return Place(argument(name), "", faults)


def _lengths(value: int | str, name: str, place: Place) -> Lengths | None:
    if not str(value).startswith(_TRACE):
        return parse_lengths(value, place)
    trace = read_trace(str(value).removeprefix(_TRACE))
    return of_rows(trace.output_len if name == "output_len" else trace.input_len)
