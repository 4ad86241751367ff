"""Devices beside those of simulated servers: of a draft, or of routed experts."""

from typing import Final, NamedTuple

from perfcore.physics.cost import usd_per_second
from perfcore.physics.energy import idle_power
from perfcore.physics.stages.beside import (
    DraftMachine,
    ExpertMachine,
    ExpertSide,
    expert_side,
    of_draft,
)
from perfcore.physics.stages.replica import DRAFT_FAILS, OK, Replica, prepare
from perfcore.records import Device, Economics, Model


class Others(NamedTuple):
    """What is on devices beside those of each server: a draft, or its routed experts, if any."""

    status: float = OK
    draft: Replica | None = None
    experts: ExpertSide | None = None
    devices: int = 0  # of one server; so are price and power
    usd_per_second: float = 0.0
    idle_w: float = 0.0
    waiting_w: float = 0.0  # while the server's devices wait for something else


NO_OTHERS: Final = Others()


def others_beside(
    model: Model,
    replica: Replica,
    draft: DraftMachine | None,
    experts: ExpertMachine | None,
) -> Others:
    """Return what is beside each server of ``replica``: one of a draft and experts, or neither.

    ``model`` is whole, with its experts.
    """
    if draft is not None:
        return _of_draft(replica, draft)
    if experts is not None:
        return _of_experts(model, replica, experts)
    return NO_OTHERS


def _of_draft(replica: Replica, there: DraftMachine) -> Others:
    economics = replica.economics
    draft = prepare(
        there.model,
        there.device,
        there.engine,
        there.weight_format,
        replica.kv_format,
        of_draft(replica.deployment, there.device),
        economics,
    )
    devices = draft.layout.devices
    return Others(
        status=DRAFT_FAILS if draft.status > OK else OK,
        draft=draft,
        devices=int(devices),
        usd_per_second=price_of_time(there.device, devices, economics),
        idle_w=idle_power(draft.watts, 0.0) * devices,
        waiting_w=idle_power(draft.watts, 0.0) * devices,
    )


def _of_experts(model: Model, replica: Replica, there: ExpertMachine) -> Others:
    economics = replica.economics
    experts = expert_side(
        model, replica, there.device, there.engine, replica.weight_format, economics
    )
    devices = experts.layout.devices
    return Others(
        status=experts.status,
        experts=experts,
        devices=int(devices),
        usd_per_second=price_of_time(there.device, devices, economics),
        idle_w=idle_power(experts.watts, 0.0) * devices,
        waiting_w=experts.watts.host * devices,
    )


def price_of_time(device: Device, devices: float, economics: Economics) -> float:
    """Return the price of devices that are paid all the time. [USD/s]"""
    return usd_per_second(device, devices, economics._replace(utilization=1.0))
