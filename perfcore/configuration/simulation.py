"""Simulation of one configuration under described traffic, by names and numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, Final, Unpack

from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.schema import DeviceEntry
from perfcore.configuration.beside import BESIDE
from perfcore.configuration.configuration import POOL, Configuration
from perfcore.configuration.figures import Figures
from perfcore.configuration.options import Simulated
from perfcore.configuration.parameters import entry_of
from perfcore.configuration.signatures import defaults_of, with_options
from perfcore.errors import InputError, argument
from perfcore.reading.other_words import meant_by
from perfcore.reading.places import Place
from perfcore.traffic.intervals import intervals
from perfcore.traffic.requests import Requests, check_context
from perfcore.traffic.results import Simulation, summary
from perfcore.traffic.server import Rules, simulate_pools, simulate_requests
from perfcore.traffic.slo import objectives
from perfcore.traffic.synthetic import Traffic

OF_TRAFFIC: Final = tuple(one.name for one in fields(Traffic) if one.init)
OF_RULES: Final = tuple(one.name for one in fields(Rules))
OF_CONFIGURATION: Final = tuple(
    one.name
    for one in fields(Configuration)
    if one.init and one.name not in {"model", "device", "scheduler", "batch", *POOL, *OF_TRAFFIC}
)
_OF_PREFILL: Final = (
    "device",
    *(name for name in OF_CONFIGURATION if name not in ("devices", *BESIDE)),
)


@with_options(Simulated, defaults_of(Traffic, Rules, Configuration))
def simulate(
    model: str | ModelEntry,
    device: str | DeviceEntry,
    traffic: Traffic | Requests | None = None,
    slo: Iterable[str] = (),
    prefill: Mapping[str, object] | None = None,
    **options: Unpack[Simulated],
) -> Figures:
    """Return the figures of servers under traffic, by name: latencies, throughput, energy, cost.

    ``perfcore.simulate("llama-3-70b", "h100-sxm", tp=8, rate=5, replicas=2)["ttft_p99_s"]``

    Parameters
    ----------
    traffic
        Description of the requests, or requests that have been made; by default, ``options``
        describe them.
    slo
        Objectives, ``ttft_p99_s<=1s``.
    prefill
        Settings of a separate prefill pool that differ from decode, ``{"replicas": 2, "tp": 4}``:
        ``device``, and those of ``Rules`` and ``Configuration``. Without it there is one pool.
    options
        Parameters of ``Traffic``, ``Rules`` and ``Configuration``.

    Raises
    ------
    InputError
        There are faults; all of those of the options' names, or of the first part with faults.
    """
    known = (*(() if traffic else OF_TRAFFIC), *OF_RULES, *OF_CONFIGURATION)
    faults: list[str] = []
    for name in options:
        if name not in known:
            Place("simulate", "", faults).unknown("option", name, known, meant_by(name, known))
    if faults:
        raise InputError(faults)

    def those(names: tuple[str, ...]) -> dict[str, Any]:
        return {name: given for name, given in options.items() if name in names}

    configuration = Configuration(model, device, scheduler="continuous", **those(OF_CONFIGURATION))
    rules = Rules(**those(OF_RULES))
    slos = objectives(slo)
    if traffic is None:
        traffic = Traffic(**those(OF_TRAFFIC))
    requests = traffic.made() if isinstance(traffic, Traffic) else traffic
    longest = configuration.records.model.max_context
    check_context(requests, longest, configuration.entries.model.name)
    ahead = None if prefill is None else prefill_pool(configuration, rules, prefill)
    return figures(configuration, course(configuration, requests, rules, ahead), slos)


def prefill_pool(
    configuration: Configuration, rules: Rules, settings: Mapping[str, object]
) -> tuple[Configuration, Rules]:
    """Return the prefill servers, which differ from the decode servers in some settings.

    Their KV cache fills their own memory, unless ``kv_tokens`` is among these settings. On another
    device, tensor and pipeline parallelism are the least that fit unless one is given, and there is
    one attention group.

    Raises
    ------
    InputError
        There are faults in the settings.
    """
    faults: list[str] = []
    for name in settings:
        if name not in (*_OF_PREFILL, *OF_RULES):
            place = Place(argument("prefill"), "", faults)
            place.unknown("setting", name, (*_OF_PREFILL, *OF_RULES))
    if faults:
        raise InputError(faults)
    of_rules: dict[str, Any] = {"kv_tokens": None}
    of_rules |= {key: one for key, one in settings.items() if key in OF_RULES}
    changed = {key: one for key, one in settings.items() if key not in OF_RULES}
    if entry_of("device", changed.get("device", ""), []) not in (
        None,
        configuration.entries.device,
    ):
        stated = any(changed.get(name) is not None for name in ("tp", "pp"))
        changed = dict.fromkeys(("tp", "pp"), 1 if stated else None) | {"dp": 1, "ep": 1} | changed
    return configuration.changed(**changed), replace(rules, **of_rules)


def course(
    configuration: Configuration,
    requests: Requests,
    rules: Rules,
    ahead: tuple[Configuration, Rules] | None,
) -> Simulation:
    """Simulate requests on identical servers, or on two pools if ``ahead`` runs prefill."""
    if ahead is None:
        return simulate_requests(configuration, requests, rules)
    return simulate_pools(ahead[0], configuration, requests, ahead[1], rules)


def figures(
    configuration: Configuration, simulation: Simulation, slos: Mapping[str, float]
) -> Figures:
    """Return the figures of a simulation with their intervals, by name."""
    found = summary(simulation, slos)
    return Figures(found | intervals(configuration.records.engine, found))
