"""Layout of a model on devices, and the devices that work at the same time."""

from math import ceil
from typing import NamedTuple

from perfcore.records import (
    LAYOUTS_DP_SINGLE,
    LAYOUTS_EP_ALL,
    LAYOUTS_TP_PP,
    SCHEDULER_STATIC,
    Deployment,
    Device,
    Engine,
    Model,
)


class Layout(NamedTuple):
    """Layout of a replica on its devices."""

    devices: float
    groups: float  # data-parallel groups of devices
    width: float  # devices of a group that work on one decode operator together
    expert_width: float  # devices that share the routed experts of a layer
    copies: float  # of whole activations, one on each device of a group
    expert_slots: float  # routed experts that they hold, redundant copies included
    prefill_width: float  # width in prefill, when all stages of a spatial machine work
    stage_share: float  # of the layers, on the fullest pipeline stage
    kv_share: float  # of a group's KV cache, on the fullest device
    state_share: float  # of a group's recurrent states, on the fullest device
    kv_width: float  # devices that divide a KV read; others read copies
    micro_batches: float  # most parts of a batch in different stages at once
    stages: float


def head_share(heads: float, tp: float) -> float:
    """Share of ``heads`` on the fullest of ``tp`` devices: heads are whole, and copied if few."""
    return ceil(heads / tp) / heads


def lay_out(model: Model, device: Device, deployment: Deployment) -> Layout:
    """Spread ``model`` over tp x pp x dp devices.

    Tensor parallelism divides every matrix and, down to one KV head per device, the KV cache; a
    latent cache (MLA) is copied. Data-parallel attention gives each group of tp devices its own
    sequences, so that only weights are copied, while all groups share the routed experts.
    Pipeline parallelism divides layers: a static batch passes through the stages as a whole, so
    that they work in turn; a continuous batch is split among them. On a spatial machine (weights in
    SRAM), layers are side by side: ``devices / layers`` devices work on each layer if there are
    that many, and sequences follow each other through the stages.
    """
    devices = deployment.tp * deployment.pp * deployment.dp
    slots = expert_slots(model.experts, deployment.ep)
    if device.spatial == 1.0:
        width = max(1.0, devices / model.layers)
        stages = devices / width
        return Layout(
            devices=devices,
            groups=1.0,
            width=width,
            expert_width=width,
            copies=1.0,
            expert_slots=slots,
            prefill_width=devices,
            stage_share=1.0 / stages,
            kv_share=1.0 / devices,
            state_share=1.0 / devices,
            kv_width=width,
            micro_batches=stages,
            stages=stages,
        )
    stage_share = ceil(model.layers / deployment.pp) / model.layers
    copies = head_share(max(model.kv_heads, 1.0), deployment.tp)
    in_turn = deployment.scheduler == SCHEDULER_STATIC
    return Layout(
        devices=devices,
        groups=deployment.dp,
        width=deployment.tp,
        expert_width=deployment.tp * deployment.dp,
        copies=deployment.tp,
        expert_slots=slots,
        prefill_width=deployment.tp,
        stage_share=stage_share,
        kv_share=stage_share * copies,
        state_share=stage_share / deployment.tp,
        kv_width=1.0 / copies,
        micro_batches=1.0 if in_turn else deployment.pp,
        stages=deployment.pp,
    )


def groups_at_work(layout: Layout, batch: float) -> float:
    """Data-parallel groups that have sequences of their own."""
    return min(layout.groups, batch)


def micro_batches_at_once(layout: Layout, per_group: float) -> float:
    """Parts of ``per_group`` sequences in different stages at once."""
    return min(per_group, layout.micro_batches)


def pipeline_fill(stages: float, chunks: float) -> float:
    """Time of ``chunks`` pipelined through ``stages``, relative to one at a time.

    (m + p - 1) / (m p): 1 for a single chunk, 1/p for many.
    """
    return (chunks + stages - 1.0) / (chunks * stages)


def heads_fit(model: Model, engine: Engine, tp: float) -> bool:
    """Return whether ``tp`` divides the query heads, or the engine pads them."""
    return engine.pads_heads == 1.0 or model.heads % tp == 0.0


def expert_slots(experts: float, ranks: float) -> float:
    """Experts that ``ranks`` hold of a layer, ceil(E / R) each: redundant copies fill the rest.

    Golden values: 288 for 256 experts on 72, 96 or 144 ranks; 320 on 320.
    """
    return ceil(experts / ranks) * ranks


def experts_fit(model: Model, deployment: Deployment) -> bool:
    """Return whether ``ep`` is 1, or divides a stage's devices, which have experts to share.

    Experts on devices of their own are spread over these, for a model in one stage.
    """
    if deployment.expert_devices > 0.0:
        return model.experts > 0.0 and deployment.ep <= 1.0 and deployment.pp <= 1.0
    divides = (deployment.tp * deployment.dp) % deployment.ep == 0.0
    return deployment.ep <= 1.0 or (divides and model.experts > 0.0)


def engine_runs(deployment: Deployment) -> bool:
    """Return whether the engine has such a layout, and kernels for the weights' format."""
    if deployment.barred == 1.0:
        return False
    if deployment.layouts == LAYOUTS_TP_PP:
        return deployment.dp <= 1.0 and deployment.ep <= 1.0
    if deployment.layouts == LAYOUTS_DP_SINGLE:
        return deployment.dp <= 1.0 or deployment.tp <= 1.0
    if deployment.layouts == LAYOUTS_EP_ALL:
        return deployment.ep <= 1.0 or deployment.ep == deployment.tp * deployment.dp
    return True


def head_padding(model: Model, tp: float) -> float:
    """Attention work with padded heads, relative to the work without padding."""
    if model.heads == 0.0:
        return 1.0
    return head_share(model.heads, tp) * tp
