"""Simulation of one configuration under traffic, by names and numbers."""

from collections.abc import Mapping

from perfcore.configuration.configuration import Configuration
from perfcore.traffic.requests import Requests
from perfcore.traffic.results import summary
from perfcore.traffic.server import Rules, simulate_requests


def simulate(
    model: str,
    device: str,
    requests: Requests,
    rules: Rules | None = None,
    slos: Mapping[str, float] | None = None,
    **options: object,
) -> dict[str, float | str]:
    """Return the figures of a simulation of ``requests`` on one configuration, by name.

    Parameters
    ----------
    requests
        Made by ``perfcore.traffic`` from a trace or from distributions.
    rules
        Those of the scheduler; by default the engine's.
    slos
        Limits on latencies, ``{"ttft_p99_s": 1.0}``.
    options
        Parameters of ``Configuration``.

    Raises
    ------
    InputError
        There are faults; all of them are listed.
    """
    configuration = Configuration(model, device, **options)  # type: ignore[arg-type]  # it checks
    return summary(simulate_requests(configuration, requests, rules or Rules()), slos)
