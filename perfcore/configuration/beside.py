"""Experts, or a draft model, on separate devices: faults and remedies."""

from collections.abc import Iterable, Mapping
from typing import Final

from perfcore.catalog.entry import Entry
from perfcore.catalog.model_entry import ModelEntry
from perfcore.errors import argument
from perfcore.inputs import AXIS_INPUTS, DRAFT_AXES, EXPERT_AXES, NEEDED, PAIR_AXES, PREFILL_AXES

BESIDE: Final = (*EXPERT_AXES, *DRAFT_AXES)


def alone() -> dict[str, object]:
    """Return the parameters of a configuration without additional devices."""
    return {name: "" if PAIR_AXES[name].limits is None else None for name in BESIDE}


def faults_beside(
    stated: Mapping[str, object],
    own: Mapping[str, float],
    offload: str,
    scheduler: str,
    model: Entry | None,
) -> Iterable[str]:
    """Yield the reasons why experts or a draft cannot run on separate devices.

    Parameters
    ----------
    stated
        What is stated about other machines.
    own
        Numbers of the configuration's own devices.
    """
    experts = [name for name in stated if name in EXPERT_AXES]
    drafts = [name for name in stated if name in DRAFT_AXES]
    given, *_ = [*experts, *drafts]
    others: dict[str, object] = {"offload": offload, "gpu_layers": own["gpu_layers"]}
    if experts:
        others |= {"ep": own["ep"], "pp": own["pp"]}
    beside = [other for other, value in others.items() if value != AXIS_INPUTS[other].default]
    beside += [argument(name) for name in stated if name in PREFILL_AXES][:1]
    beside += [argument(name) for name in drafts[:1] if experts]
    if scheduler == "disaggregated":
        beside.append(argument("scheduler", "disaggregated"))
    for other in beside:
        yield f"{argument(given)}: beside {other}; leave out one of them"
    for kind, names in (("expert", experts), ("draft", drafts)):
        for needed in NEEDED[kind]:
            if names and needed not in stated:
                yield f"{argument(names[0])}: {argument(needed)} is missing; add it"
    if drafts and own["draft_len"] == 0:
        yield f"{argument(drafts[0])}: no tokens are drafted; add {argument('draft_len', 4)}"
    if experts and isinstance(model, ModelEntry) and not model.record().experts:
        yield f"{argument(experts[0])}: {model.name} has no routed experts; leave it out"


def remedy_of_experts(device: str, devices: float, least: float) -> str:
    """Return why experts do not fit into some devices, and the remedy: ``least`` of them."""
    return (
        f"experts do not fit into {devices:.0f} x {device}; use "
        f"{argument('expert_devices', int(least))} or more"
    )
