"""Sizing: the fewest devices that hold a replica's weights and batch."""

from typing import NamedTuple

from perfcore.physics.attention import kv_bytes_per_sequence, state_bytes_per_sequence
from perfcore.physics.hybrid import experts_away, part_of, split_of, tables_here
from perfcore.physics.memory import usable_bytes
from perfcore.physics.operators import body_read_bytes, expert_read_bytes
from perfcore.physics.parallelism import Layout, groups_at_work, heads_fit, lay_out
from perfcore.physics.rounding import ceil_of, floor_of
from perfcore.physics.serving import wasted_tokens
from perfcore.physics.speculation import draft_share
from perfcore.physics.weights import expert_bytes, layer_bytes, weight_bytes
from perfcore.records import (
    SCHEDULER_STATIC,
    Deployment,
    Device,
    Engine,
    KVFormat,
    Model,
    WeightFormat,
)

AUTO = 0.0  # tensor-parallel degree of a deployment whose devices are yet to be chosen
LARGEST_DEGREE = 65_536.0  # that the axes tp and pp admit; a test holds the two together


def weight_bytes_per_device(
    model: Model, weight_format: WeightFormat, layout: Layout, drafts: float
) -> float:
    """Bytes of weights on the fullest device; all groups share the routed experts. [bytes]

    A draft has ``drafts`` times the model's layers, spread like these, and its embedding and head.
    """
    rest = weight_bytes(model, weight_format) - expert_bytes(model, weight_format)
    rest += drafts * layer_bytes(model, weight_format)
    routed = (1.0 + drafts) * layout.expert_slots * expert_read_bytes(model, weight_format)
    return layout.stage_share * (rest / layout.width + routed / layout.expert_width)


class ReadShares(NamedTuple):
    """Shares of a device's weights, without a draft."""

    body: float  # which every pass reads
    expert: float  # one routed expert in every layer


def read_shares(model: Model, weight_format: WeightFormat, layout: Layout) -> ReadShares:
    """Shares of a device's weights that a pass reads."""
    own = weight_bytes_per_device(model, weight_format, layout, 0.0)
    share = layout.stage_share / own
    return ReadShares(
        body=share * body_read_bytes(model, weight_format) / layout.width,
        expert=share * expert_read_bytes(model, weight_format) / layout.expert_width,
    )


def held_bytes(model: Model, weight_format: WeightFormat, layout: Layout) -> float:
    """Bytes of one copy of the model, but of all redundant copies of its experts. [bytes]"""
    redundant = layout.expert_slots - model.experts
    return weight_bytes(model, weight_format) + redundant * expert_read_bytes(model, weight_format)


def draft_bytes(model: Model, weight_format: WeightFormat, layout: Layout, drafts: float) -> float:
    """Bytes of a draft with ``drafts`` times the model's layers. [bytes]"""
    routed = layout.expert_slots * expert_read_bytes(model, weight_format)
    return drafts * (layer_bytes(model, weight_format) + routed)


def with_degrees(deployment: Deployment, tp: float, pp: float) -> Deployment:
    """``deployment`` with other tensor- and pipeline-parallel degrees."""
    return Deployment(*deployment[:2], tp, pp, *deployment[4:])  # a test checks the order of fields


def of_prompts(deployment: Deployment) -> Deployment:
    """``deployment`` as the prefill pool has it, in the degrees that are given for it."""
    tp = deployment.prefill_tp if deployment.prefill_tp > 0.0 else deployment.tp
    pp = deployment.prefill_pp if deployment.prefill_pp > 0.0 else deployment.pp
    dp = deployment.prefill_dp if deployment.prefill_dp > 0.0 else deployment.dp
    ep = deployment.prefill_ep if deployment.prefill_ep > 0.0 else deployment.ep
    return Deployment(*deployment[:2], tp, pp, dp, ep, *deployment[6:])


def fits(
    model: Model,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    kv_format: KVFormat,
    deployment: Deployment,
    length: float,
) -> bool:
    """Return whether weights and a batch of sequences of ``length`` tokens fit into memory."""
    layout = lay_out(model, device, deployment)
    waste = 0.0 if deployment.scheduler == SCHEDULER_STATIC else wasted_tokens(engine)
    drafts = draft_share(model, engine, deployment)
    split = split_of(model, deployment)
    experts = 1.0 - experts_away(split, deployment)
    model = part_of(model, 1.0 - split.layers, experts, 1.0, tables_here(device))
    kept = (1.0 + drafts) * (
        kv_bytes_per_sequence(model, kv_format, length + waste) * layout.kv_share
        + state_bytes_per_sequence(model) * layout.state_share
    )
    weights = weight_bytes_per_device(model, weight_format, layout, drafts)
    per_group = deployment.batch / groups_at_work(layout, deployment.batch)
    return weights + per_group * kept <= usable_bytes(model, device, engine, layout)


def fewest_devices(
    model: Model,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    kv_format: KVFormat,
    deployment: Deployment,
    length: float,
) -> Deployment:
    """``deployment`` on the fewest devices that hold it.

    The tensor-parallel degree doubles within the scale-up domain, where it also shortens the time
    per token; then pipeline stages are added. A spatial machine gets the chips that its bytes need.
    Degrees are whole and at most ``LARGEST_DEGREE``. If nothing fits, the largest layout tried is
    returned; its status says why it cannot run.
    """
    if device.spatial == 1.0:
        kept = kv_bytes_per_sequence(model, kv_format, length) + state_bytes_per_sequence(model)
        drafts = draft_share(model, engine, deployment)
        layout = lay_out(model, device, with_degrees(deployment, 1.0, 2.0))
        total = held_bytes(model, weight_format, layout) + draft_bytes(
            model, weight_format, layout, drafts
        )
        total += deployment.batch * (1.0 + drafts) * kept
        chips = ceil_of(total / max(usable_bytes(model, device, engine, layout), 1.0))
        return with_degrees(deployment, 1.0, min(max(chips, 1.0), LARGEST_DEGREE))
    widest = 1.0
    tp = 1.0
    most = min(max(model.heads, 1.0), LARGEST_DEGREE)
    while tp <= device.scale_up_domain and tp <= most:
        if heads_fit(model, engine, tp):
            widest = tp
            candidate = with_degrees(deployment, tp, 1.0)
            if fits(model, device, engine, weight_format, kv_format, candidate, length):
                return candidate
        tp *= 2.0
    pp = 2.0
    stages = min(floor_of(model.layers), LARGEST_DEGREE)  # a what-if may give a model half a layer
    while pp < stages:
        candidate = with_degrees(deployment, widest, pp)
        if fits(model, device, engine, weight_format, kv_format, candidate, length):
            return candidate
        pp += 1.0
    return with_degrees(deployment, widest, stages)
