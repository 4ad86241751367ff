"""Simulation of one configuration under described traffic, by names and numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Final

from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError
from perfcore.reading.places import Place
from perfcore.traffic.intervals import intervals
from perfcore.traffic.requests import Requests, check_context
from perfcore.traffic.results import Simulation, summary
from perfcore.traffic.server import Rules, simulate_requests
from perfcore.traffic.slo import objectives
from perfcore.traffic.synthetic import Traffic

_OF_TRAFFIC: Final = tuple(one.name for one in fields(Traffic) if one.init)
_OF_RULES: Final = tuple(one.name for one in fields(Rules))
_OF_CONFIGURATION: Final = tuple(
    one.name
    for one in fields(Configuration)
    if one.init and one.name not in {"model", "device", "scheduler", "batch", *_OF_TRAFFIC}
)


def simulate(
    model: str,
    device: str,
    traffic: Traffic | Requests | None = None,
    slo: Iterable[str] = (),
    **options: object,
) -> dict[str, float | str]:
    """Return the figures of servers under traffic, by name: latencies, throughput, energy, cost.

    ``perfcore.simulate("llama-3-70b", "h100-sxm", tp=8, rate=5, replicas=2)["ttft_p99_s"]``

    Parameters
    ----------
    traffic
        Description of the requests, or requests that have been made; by default, ``options``
        describe them.
    slo
        Objectives, ``ttft_p99_s<=1s``.
    options
        Parameters of ``Traffic``, ``Rules`` and ``Configuration``.

    Raises
    ------
    InputError
        There are faults; all of those of the options' names, or of the first part with faults.
    """
    known = (*(() if traffic else _OF_TRAFFIC), *_OF_RULES, *_OF_CONFIGURATION)
    faults: list[str] = []
    for name in options:
        if name not in known:
            Place("simulate", "", faults).unknown("option", name, known)
    if faults:
        raise InputError(faults)

    def those(names: tuple[str, ...]) -> dict[str, Any]:
        return {name: options[name] for name in names if name in options}

    configuration = Configuration(model, device, scheduler="continuous", **those(_OF_CONFIGURATION))
    rules = Rules(**those(_OF_RULES))
    slos = objectives(slo)
    if traffic is None:
        traffic = Traffic(**those(_OF_TRAFFIC))
    requests = traffic.made() if isinstance(traffic, Traffic) else traffic
    longest = configuration.records.model.max_context
    check_context(requests, longest, configuration.entries.model.name)
    return figures(configuration, simulate_requests(configuration, requests, rules), slos)


def figures(
    configuration: Configuration, simulation: Simulation, slos: Mapping[str, float]
) -> dict[str, float | str]:
    """Return the figures of a simulation with their intervals, by name."""
    found = summary(simulation, slos)
    return found | intervals(configuration.records.engine, found)
