"""The cheapest fleets that serve traffic within objectives."""

import html as markup
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from math import inf
from os import cpu_count
from typing import Final, NamedTuple, Unpack

from perfcore.catalog.model_entry import ModelEntry
from perfcore.configuration.configuration import Configuration
from perfcore.configuration.figures import unit_of, value_of
from perfcore.configuration.frames import Frames
from perfcore.configuration.options import Sized
from perfcore.configuration.signatures import defaults_of, with_options
from perfcore.configuration.simulation import figures as figures_of
from perfcore.fleets.inputs import CHOSEN, DEGREES, KINDS, Job, job_of, load_of, space_of
from perfcore.fleets.launching import DECODE, PREFILL, Started, checkpoint_note, launch_commands
from perfcore.fleets.pairs import PairSearch
from perfcore.fleets.search import Choice, Counts, Search, Tally
from perfcore.physics.cost import HOUR
from perfcore.physics.energy import JOULES_PER_KWH, facility_factor
from perfcore.tables import NOTEBOOK, Column, Table, escape_html, html, plain_text
from perfcore.traffic.requests import Requests, check_context
from perfcore.traffic.results import LATENCIES, MONTH, STATISTICS
from perfcore.traffic.server import Rules, limits_of, replica_of, room_of
from perfcore.traffic.synthetic import Traffic

MOST_DEVICES: Final = 4096
TOP: Final = 8
_NO_COMMAND: Final = "No engine's command starts devices beside those of the model."
_OTHER_ENGINES: Final = (
    "Prompts and answers run on different engines, none of which takes the other's cache."
)


class PrefillPool(NamedTuple):
    """Identical prefill servers of a fleet."""

    configuration: Configuration
    rules: Rules
    figures: dict[str, float]

    def to_dict(self) -> dict[str, object]:
        """Return axes and figures by name, with a prefix."""
        labels = self.configuration.labels
        axes = {name: labels[name] for name in ("device", "engine", *DEGREES)}
        return {f"prefill_{name}": value for name, value in {**axes, **self.figures}.items()}


class Fleet(NamedTuple):
    """Identical replicas that meet the objectives, and their figures.

    ``figures`` are those of ``perfcore.simulate`` and of the fleet as a whole. ``intervals`` are
    the ends of 80 % intervals of the engine's error around the values of all seeds, by latency
    (``ttft_p95_s``). With ``prefill``, separate servers run prefill, and ``configuration`` and
    ``rules`` are those of the decode servers.
    """

    configuration: Configuration
    rules: Rules
    figures: dict[str, float | str]
    intervals: dict[str, tuple[float, float]]
    headroom: float  # share by which rate or clients may grow; infinite: beyond the rates tried
    sure: bool  # objectives are met at the upper ends of the intervals, too
    prefill: PrefillPool | None = None

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
            **self.configuration.stated,
            **self.configuration.of_pool,
            **(self.prefill.to_dict() if self.prefill else {}),
            **self.figures,
            **ends,
            "headroom": self.headroom if self.headroom < inf else None,
            "sure": self.sure,
        }


@dataclass(frozen=True)
class Sizing(Frames):
    """Fleets that serve traffic within objectives, cheapest first, and how they were found.

    ``launch`` has the commands that start one replica of the first fleet, by engine,
    ``prefill_launch`` those of a prefill server, and ``note`` what they need. Without a fleet,
    ``reason`` says why there is none.
    """

    fleets: tuple[Fleet, ...]
    slos: Mapping[str, float]
    counts: Counts
    launch: Mapping[str, str]
    prefill_launch: Mapping[str, str]
    note: str
    reason: str
    job: Job | None = None

    def __str__(self) -> str:
        return plain_text(self._table()) if self.fleets else f"No fleet: {self.reason}"

    def _lines(self) -> list[dict[str, object]]:
        return [fleet.to_dict() for fleet in self.fleets]

    def _table(self) -> Table:
        names = ("device", "weight_format", *DEGREES)
        pool = tuple(f"prefill_{name}" for name in names if name != "weight_format")
        apart = pool if any(fleet.prefill for fleet in self.fleets) else ()
        figures = (*self.slos, "devices", "power_w", "cost_per_month_usd", "headroom")
        lines = [
            [value_of(row, name) for name in (*names, "replicas", *apart, *figures)]
            for row in (fleet.to_dict() for fleet in self.fleets)
        ]
        columns = [Column(name) for name in names]
        columns += [Column("replicas", align="right"), *map(Column, apart)]
        columns += [Column(name, unit_of(name), align="right") for name in figures]
        return Table.of(columns, lines)

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows: the fleets, and how the first is started."""
        if not self.fleets:
            return f"<div><strong>No fleet: {escape_html(self.reason)}</strong></div>"
        started = {**self.prefill_launch, **self.launch}
        commands = "".join(
            f"<div>{escape_html(engine)}</div><pre>{markup.escape(command)}</pre>"
            for engine, command in started.items()
        )
        commands += f"<div>{escape_html(self.note)}</div>"
        return (
            f"{html(self._table(), style=NOTEBOOK)}\n<details>"
            f"<summary>How to start a server of the first fleet</summary>\n{commands}</details>"
        )

    def to_dict(self) -> dict[str, object]:
        """Return everything by name, for JSON."""
        apart = {"prefill_launch": dict(self.prefill_launch)} if self.prefill_launch else {}
        return {
            "slos": dict(self.slos),
            "fleets": [fleet.to_dict() for fleet in self.fleets],
            "launch": dict(self.launch),
            **apart,
            "note": self.note,
            "reason": self.reason,
            "search": self.counts._asdict(),
        }


@with_options(Sized, defaults_of(Configuration) | dict.fromkeys(CHOSEN) | {"disaggregate": False})
def size(
    model: str | ModelEntry,
    traffic: Traffic | Requests,
    slos: Mapping[str, float],
    rules: Rules | None = None,
    max_devices: int = MOST_DEVICES,
    top: int = TOP,
    *,
    sure: bool = False,
    tokens: float | str | None = None,
    deadline: float | str | None = None,
    **options: Unpack[Sized],
) -> Sizing:
    """Return the cheapest fleets that serve ``traffic`` within objectives.

    ``perfcore.size("llama-3.1-8b", perfcore.Traffic(rate=50), {"ttft_p95_s": 1.0})``

    Each device, format and engine has at most one fleet, the one with the cheapest layout. Layouts
    are ordered by a guess from their steady state. They are left out if a bound shows that they are
    too slow or too expensive, or if the guess is far too expensive; the others are simulated with
    fewer and fewer replicas. More replicas are assumed to be no slower. Synthetic traffic meets the
    objectives for three seeds; figures are those of its own seed.

    Parameters
    ----------
    traffic
        Its description or its requests. A description with a ``rate`` but without ``requests`` and
        ``duration`` lasts ten minutes, one with ``clients`` has 100 requests per client, but both
        have at least 1,000 and at most 50,000 requests.
    slos
        Limits on latencies, ``{"ttft_p95_s": 1.0}``. [s]
    rules
        Those of the scheduler; ``replicas`` is chosen, and ``kv_tokens`` follows from the memory.
    max_devices
        Maximum number of devices of a fleet.
    top
        Number of fleets to return.
    sure
        Whether objectives must hold at the upper ends of the engine's 80 % intervals.
    tokens, deadline
        Output tokens of a batch job and the time in which they are written, ``1e9`` and ``"24h"``.
        They replace the rate of ``traffic``; without ``slos``, requests must end by the deadline.
    options
        ``device`` (names, or classes of devices), ``weight_format``, ``kv_format``, ``engine``,
        ``tp``, ``pp``, ``dp`` and ``ep``: one value or several to choose from. Without ``device``,
        data-centre GPUs on the market; without ``weight_format``, the published format, and fp8
        instead of 16 bits. Other parameters of ``Configuration`` have one value.
        With ``disaggregate=True`` or any of ``prefill_device``, ``prefill_engine``, ``prefill_tp``,
        ``prefill_pp``, ``prefill_dp`` and ``prefill_ep`` (one value or several), every fleet has
        separate prefill and decode servers, whose numbers are chosen together; without
        ``prefill_device`` both have the same device. ``prefill_link`` is the bandwidth between
        them. With ``draft_model`` and ``draft_device``, or ``expert_device``, every server has
        devices beside it, as many as hold a draft and one request or the routed experts, unless
        ``draft_devices`` or ``expert_devices`` are given. ``expert_parts`` is the number of
        micro-batches; ``draft_link`` and ``expert_link`` are the bandwidths to these devices.

    Raises
    ------
    InputError
        There are faults; all of them are listed.
    """
    job = None if (tokens, deadline) == (None, None) else job_of(traffic, tokens, deadline)
    if job:
        traffic, slos = job.traffic, slos or {"e2e_p95_s": job.deadline_s}
    space = space_of(model, slos, max_devices, top, options)
    load = load_of(traffic)
    check_context(load.requests[0], space.model.record().max_context, space.model.name)
    tally = Tally()
    kind = PairSearch if space.apart else Search
    search = kind(load, slos, rules or Rules(), max_devices, top, tally, sure=sure)
    with ThreadPoolExecutor(min(cpu_count() or 1, top)) as pool:
        fleets = tuple(pool.map(lambda choice: _fleet(search, choice), search.found(space)))
    launch, prefill_launch, note = _launch(fleets[0], search) if fleets else ({}, {}, "")
    reason = "" if fleets else _reason(tally, max_devices)
    for fleet in fleets if job else ():
        hours = job.deadline_s / HOUR if job else 0.0
        fleet.figures["job_cost_usd"] = float(fleet.figures["cost_per_hour_usd"]) * hours
        watts = float(fleet.figures["facility_power_w"])
        fleet.figures["job_energy_kwh"] = watts * hours * HOUR / JOULES_PER_KWH
    return Sizing(fleets, dict(slos), tally.counts(), launch, prefill_launch, note, reason, job)


def _launch(first: Fleet, search: Search) -> tuple[dict[str, str], dict[str, str], str]:
    """Return the commands that start a replica and a prefill server, and what they need."""
    if first.configuration.beside:
        return {}, {}, _NO_COMMAND
    longest = search.demand.longest
    pools = [(first.configuration, first.rules, search.requests)]
    if first.prefill:
        ones = search.load.prompts().requests[0]
        pools.append((first.prefill.configuration, first.prefill.rules, ones))
    roles = (DECODE, PREFILL) if first.prefill else ("",)
    found = []
    for (configuration, rules, requests), role in zip(pools, roles, strict=True):
        replica = replica_of(configuration)
        limits = limits_of(replica, requests, rules, room_of(replica, requests, rules))
        found.append(launch_commands(Started(configuration, rules, limits, role), longest))
    launch, *ahead = found
    if ahead:
        both = [name for name in launch if name in ahead[0]]
        if not both:
            return {}, {}, _OTHER_ENGINES
        launch, ahead[0] = ({name: one[name] for name in both} for one in found)
    note = checkpoint_note(first.configuration, launch)
    return launch, ahead[0] if ahead else {}, note


def _reason(tally: Tally, max_devices: int) -> str:
    """Return why no layout serves the traffic."""
    if tally.layouts == tally.do_not_run:
        return "the model or a request fits no layout; allow more devices or narrower formats"
    if tally.layouts == tally.do_not_run + tally.too_slow:
        if not tally.nearest[1]:
            return "no layout writes tokens fast enough, even for one request alone"
        return (
            "no layout is fast enough, even for one request alone; the nearest has "
            f"{tally.nearest[1]}; allow longer latencies"
        )
    return (
        f"no fleet of at most {max_devices:,} devices meets the objectives; allow more "
        "devices or longer latencies"
    )


def _fleet(search: Search, choice: Choice) -> Fleet:
    """Return the figures of a choice, with intervals and headroom."""
    configuration = choice.candidate.configuration
    figures = _figures(configuration, choice, search.slos)
    others = [figures_of(configuration, other, {}) for other in choice.simulations[1:]]
    intervals = _intervals([figures, *others])
    return Fleet(
        configuration=configuration,
        rules=replace(search.rules, replicas=choice.replicas),
        figures=figures,
        intervals=intervals,
        headroom=search.headroom(choice),
        sure=all(
            intervals[name][1] <= limit for name, limit in search.slos.items() if name in intervals
        ),
        prefill=_prefill(search, choice) if choice.prompts else None,
    )


def _prefill(search: Search, choice: Choice) -> PrefillPool | None:
    """Return the prefill servers of a choice."""
    prompts, simulation = choice.prompts, choice.simulations[0]
    if prompts is None:
        return None
    watts = float(simulation.energy_by_pool_j[0]) / simulation.makespan_s
    return PrefillPool(
        configuration=prompts.candidate.configuration,
        rules=replace(search.rules, replicas=prompts.replicas, kv_tokens=None),
        figures={
            "replicas": prompts.replicas,
            "devices": prompts.replicas * prompts.candidate.devices,
            "fleet_power_w": watts,
            "facility_power_w": watts
            * facility_factor(prompts.candidate.configuration.records.economics),
            "cost_per_month_usd": prompts.usd_per_month,
        },
    )


def _figures(
    configuration: Configuration, choice: Choice, slos: Mapping[str, float]
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
