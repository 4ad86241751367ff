"""Layouts that a search for fleets tries."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import inf
from typing import Final, NamedTuple

from perfcore.configuration.configuration import Configuration
from perfcore.fleets.bounds import Steady
from perfcore.fleets.inputs import LINK, Space
from perfcore.physics.stages.replica import OK, Replica, prepare
from perfcore.traffic.others import Others, others_beside
from perfcore.traffic.server import Room
from perfcore.traffic.steps.records import Limits

_DEGREES: Final = (1, 2, 4, 8, 16)
_MOST_PER_REPLICA: Final = 8  # devices of a replica, or
_MORE_PER_REPLICA: Final = 4  # this multiple of the fewest that hold the weights


class Layout(NamedTuple):
    """Degrees of parallelism on a device, as they stand."""

    base: Configuration  # the same on one device
    degrees: dict[str, int]
    replica: Replica
    others: Others  # on devices beside those of the replica
    group: tuple[str, ...]  # names of device, formats and engine


@dataclass(frozen=True)
class Candidate:
    """A layout that runs."""

    layout: Layout
    limits: Limits
    room: Room
    devices: int  # of a replica, with those beside it
    usd_per_month: float  # of a replica
    steady: Steady  # within the objectives
    guess: float  # replicas; infinite if the steady state is too slow at any batch

    @property
    def replica(self) -> Replica:
        """Physics of a replica."""
        return self.layout.replica

    @property
    def others(self) -> Others:
        """What is on devices beside those of the replica."""
        return self.layout.others

    @property
    def group(self) -> tuple[str, ...]:
        """Names of device, formats and engine."""
        return self.layout.group

    @cached_property
    def configuration(self) -> Configuration:
        """Configuration of one replica."""
        return self.layout.base.changed(**self.layout.degrees)

    @property
    def words(self) -> str:
        """Device and degrees."""
        degrees = ", ".join(
            f"{key.replace('_', ' ')} {n}" for key, n in self.layout.degrees.items() if n > 1
        )
        return f"{self.layout.base.labels['device']}, {degrees or 'tp 1'}"


def layouts_of(space: Space) -> Iterator[Layout | None]:
    """Yield the layouts of all machines that hold the weights; None for each that does not.

    Replicas have at most 8 devices, or 4 times as many as the smallest, unless degrees are given.
    """
    for entries in product(*space.kinds.values()):
        chosen = dict(zip(space.kinds, entries, strict=True))
        base = Configuration(
            model=space.model,
            **{**chosen, **space.fixed},
            scheduler="disaggregated" if LINK in space.fixed else "continuous",
        )
        yield from _of_machine(space, base, tuple(entry.name for entry in entries))


def _of_machine(
    space: Space, base: Configuration, group: tuple[str, ...]
) -> Iterator[Layout | None]:
    found = []
    made = base.records
    for degrees in _degrees_of(space, base):
        deployment = made.deployment._replace(
            **{name: float(value) for name, value in degrees.items()}
        )
        replica = prepare(*made[:5], deployment, made.economics)
        others = others_beside(made.model, replica, made.draft, made.experts)
        if replica.status == others.status == OK:
            found.append(Layout(base, degrees, replica, others, group))
        else:
            yield None
    smallest = min((one.replica.layout.devices for one in found), default=1.0)
    most = max(_MOST_PER_REPLICA, _MORE_PER_REPLICA * smallest)
    if all(space.degrees.values()):
        most = inf
    yield from (one for one in found if one.replica.layout.devices <= most)


def _degrees_of(space: Space, base: Configuration) -> Iterator[dict[str, int]]:
    """Yield degrees of parallelism: those given, or powers of two within the scale-up domain.

    Attention groups (dp) are of one replica only if it has experts to share, with ep 1 or over all
    of its devices. Experts on devices of their own leave neither ep nor pp.
    """
    device, model = base.records.device, base.records.model
    several = bool(model.experts) and base.records.experts is None  # degrees of experts
    tps = space.degrees["tp"] or _DEGREES
    pps = space.degrees["pp"] or (_DEGREES if base.records.experts is None else (1,))
    dps = space.degrees["dp"] or (_DEGREES if model.experts else (1,))
    domain = inf if space.degrees["tp"] and space.degrees["dp"] else device.scale_up_domain
    for tp, pp, dp in product(tps, pps, dps):
        joined = tp * dp
        if joined > domain or joined * pp > space.max_devices:
            continue
        for ep in space.degrees["ep"] or sorted({1, joined} if several else {1}):
            for beside in product(*space.beside.values()):
                numbers = dict(zip(space.beside, beside, strict=True))
                yield {"tp": tp, "pp": pp, "dp": dp, "ep": ep, **numbers}
