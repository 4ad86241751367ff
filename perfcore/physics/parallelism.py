"""How a model is spread over devices, and which of them work at the same time."""

from math import ceil
from typing import NamedTuple

from perfcore.records import Device, Model, Parallelism


class Spread(NamedTuple):
    """A replica on its devices."""

    devices: float
    width: float  # devices that work on one decode operator together
    prefill_width: float  # the same in prefill, where a spatial machine's stages all have work
    weight_share: float  # of the model's weights, on the fullest device
    kv_share: float  # of every sequence's KV cache, on the fullest device
    state_share: float  # of every sequence's recurrent state, likewise
    kv_width: float  # devices among which a KV read is divided; the rest read copies
    micro_batches: float  # groups of sequences that are in different stages at once
    stages: float


def spread(model: Model, device: Device, parallelism: Parallelism, batch: float) -> Spread:
    """Spread ``model`` over tp x pp devices.

    Tensor parallelism divides every matrix and, down to one KV head a device, the KV cache; a
    latent cache (MLA) is copied. Pipeline parallelism divides layers; a static batch passes the
    stages as one group, so that they work in turn. On a spatial machine (weights in SRAM) layers
    lie side by side: ``devices / layers`` work on one layer if there are that many, and
    sequences follow each other through the stages.
    """
    devices = parallelism.tp * parallelism.pp
    if device.spatial == 1.0:
        width = max(1.0, devices / model.layers)
        stages = devices / width
        return Spread(
            devices=devices,
            width=width,
            prefill_width=devices,
            weight_share=1.0 / devices,
            kv_share=1.0 / devices,
            state_share=1.0 / devices,
            kv_width=width,
            micro_batches=min(batch, stages),
            stages=stages,
        )
    stage_share = ceil(model.layers / parallelism.pp) / model.layers
    heads = max(model.kv_heads, 1.0)
    head_share = ceil(heads / parallelism.tp) / heads
    return Spread(
        devices=devices,
        width=parallelism.tp,
        prefill_width=parallelism.tp,
        weight_share=stage_share / parallelism.tp,
        kv_share=stage_share * head_share,
        state_share=stage_share / parallelism.tp,
        kv_width=1.0 / head_share,
        micro_batches=1.0,
        stages=parallelism.pp,
    )
