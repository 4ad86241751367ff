"""Stage 2: the running batch, and its decode step without context."""

from typing import NamedTuple

from perfcore.physics.collectives import exchanges
from perfcore.physics.decode import (
    Terms,
    add_operator,
    layer_terms,
    no_terms,
    scaled,
    state_terms,
    summed,
)
from perfcore.physics.energy import linear_seconds
from perfcore.physics.moe import fullest_rank_experts, load_imbalance
from perfcore.physics.operators import touched_experts
from perfcore.physics.parallelism import groups_at_work, micro_batches_at_once
from perfcore.physics.roofline import operator_time
from perfcore.physics.stages.replica import Replica
from perfcore.records import SCHEDULER_CONTINUOUS, SCHEDULER_STATIC, Deployment, Engine, Model

UNLIMITED = 1e300  # sequences


class RunningBatch(NamedTuple):
    """A replica's batch. Decode times are per output token. [s]"""

    batch: float
    per_batch: float  # 1 / batch
    waiting: float  # requests that wait, for each that runs
    groups: float  # data-parallel groups that have sequences
    per_groups: float  # 1 / groups
    per_group: float  # sequences of one group
    passes: float  # passes of all groups in different stages at once
    sequences: float  # in one pass
    writing: float  # of them, those for whose tokens a step has room
    per_room: float  # sequences / writing
    per_micro_batches: float  # 1 / parts of a group's batch in different stages at once
    weights_s: float  # decode, without attention over the context
    kv_s: float
    activations_s: float
    compute_s: float
    hidden_s: float  # linear operators, without their arithmetic
    network_s: float
    transfer_s: float  # the part of network_s that a faster link would shorten
    latency_s: float  # start-ups and host
    host_s: float  # the part of latency_s in which the device waits for the host
    head_s: float  # lm_head of a prefill of the whole batch
    pass_bytes: float  # one pass, without context: weights, activations, states
    weight_read_share: float  # share of the resident weights read in one pass
    executed_s: float  # arithmetic without context as executed, at peak rates


def runnable(engine: Engine, deployment: Deployment, batch: float) -> float:
    """Requests that may run at once, of ``batch`` in flight. A static batch always runs whole."""
    if deployment.scheduler == SCHEDULER_STATIC:
        return batch
    return min(batch, engine.max_sequences * deployment.dp)


class Routed(NamedTuple):
    """Routed experts of a layer in one pass."""

    read: float  # distinct ones
    waited: float  # those of the expert rank with the most, times ranks
    tokens: float  # of the expert rank with the most, times ranks


def routed_at(
    model: Model, engine: Engine, slots: float, ranks: float, passed_over: float, tokens: float
) -> Routed:
    """Experts that ``tokens`` of a pass choose among ``slots`` on ``ranks``."""
    uneven = engine.expert_imbalance == 1.0 and engine.dense_experts == 0.0
    if not uneven:
        ranks = 1.0
    read = touched_experts(slots, engine, passed_over, tokens)
    waited = read
    if model.experts > 0.0:
        waited = fullest_rank_experts(slots, read, ranks)
        tokens *= load_imbalance(tokens, model.experts_per_token, ranks)
    return Routed(read=read, waited=waited, tokens=tokens)


class Linear(NamedTuple):
    """Linear operators of all layers in one pass, without start-up."""

    terms: Terms
    experts_read: float  # distinct routed experts of a layer
    expert_tokens: float  # of the expert rank with the most, times ranks


def linear_at(replica: Replica, tokens: float, all_tokens: float) -> Linear:
    """Linear operators of a pass over ``tokens`` of a group, ``all_tokens`` of all groups."""
    engine = replica.engine
    slots = replica.layout.expert_slots
    routed = routed_at(
        replica.model, engine, slots, replica.deployment.ep, replica.passed_over, all_tokens
    )
    return Linear(
        terms=layer_terms(replica.operators, tokens, routed.tokens, routed.waited, engine.residue),
        experts_read=routed.read,
        expert_tokens=routed.tokens,
    )


def add_draft(replica: Replica, terms: Terms, sequences: float, all_sequences: float) -> Terms:
    """``terms`` plus the linear operators that draft tokens of ``sequences``."""
    ops = replica.operators
    engine = replica.engine
    draft_len = replica.deployment.draft_len
    experts_drafted = touched_experts(
        replica.layout.expert_slots, engine, replica.passed_over, all_sequences
    )
    draft = layer_terms(ops, sequences, all_sequences, experts_drafted, engine.residue)
    head = add_operator(no_terms(), ops.lm_head, sequences, 1.0, engine.residue)
    terms = summed(terms, scaled(draft, draft_len * replica.draft_share))
    return summed(terms, scaled(head, draft_len))


def most_writing(engine: Engine, deployment: Deployment, drafted: float) -> float:
    """Most sequences of a pass that can write ``drafted`` tokens each in one step, at least one.

    A server that prefills has room for as many tokens in a step as ``prefill_chunk`` says.
    """
    if deployment.scheduler != SCHEDULER_CONTINUOUS:
        return UNLIMITED
    return max(engine.prefill_chunk / drafted, 1.0)


def batch_at(replica: Replica, batch: float, requested: float) -> RunningBatch:
    """Stage 2, for ``batch`` running sequences, of ``requested`` in flight."""
    model = replica.model
    device = replica.device
    engine = replica.engine
    deployment = replica.deployment
    layout = replica.layout
    ops = replica.operators
    residue = engine.residue
    groups = groups_at_work(layout, batch)
    per_groups = 1.0 / groups
    per_group = batch * per_groups
    micro_batches = micro_batches_at_once(layout, per_group)
    per_micro_batches = 1.0 / micro_batches
    sequences = per_group * per_micro_batches
    most = most_writing(engine, deployment, replica.drafted)
    writing = min(sequences, most)
    room = min(most / sequences, 1.0)
    all_writing = batch * per_micro_batches * room
    tokens = writing * replica.drafted
    all_tokens = all_writing * replica.drafted

    # Linear operators of the step, and of drafting.
    linear = linear_at(replica, tokens, all_tokens)
    experts_read = linear.experts_read
    waited_tokens = linear.expert_tokens
    terms = linear.terms
    linear_s = terms.compute
    terms = state_terms(terms, model, device, engine, layout, tokens)
    recurrent_s = terms.compute - linear_s
    terms = add_operator(terms, ops.lm_head, tokens, 1.0, residue)
    arithmetic_s = (
        replica.compute_per_token + ops.lm_head.compute_per_token
    ) * tokens + ops.experts.compute_per_token * waited_tokens
    if deployment.draft_len > 0.0 and deployment.draft_devices == 0.0:
        drafted_share = deployment.draft_len * replica.draft_share
        terms = add_draft(replica, terms, writing, all_writing)
        arithmetic_s += (
            replica.compute_per_token * writing + ops.experts.compute_per_token * all_writing
        ) * drafted_share + ops.lm_head.compute_per_token * writing * deployment.draft_len
    terms = scaled(terms, replica.per_step_token)
    arithmetic_s = (arithmetic_s + recurrent_s) * replica.per_step_token

    # Exchanges, and the host.
    network = exchanges(
        replica.links, tokens, replica.expert_links, all_tokens, replica.expert_reduces > 0.0
    )
    handed_s = replica.hand_over_per_token * tokens
    handled = per_group * room
    host_s = replica.host_s + engine.host_per_sequence * handled
    if deployment.scheduler != SCHEDULER_STATIC:
        host_s += engine.server_per_sequence * handled
    sampled_s = engine.sampling_per_sequence * handled
    expert_bytes = experts_read * replica.expert_bytes
    executed_s = replica.executed.state_s * tokens
    executed_s += linear_seconds(
        replica.executed, model, tokens, tokens, all_tokens, experts_read, per_groups
    )
    return RunningBatch(
        batch=batch,
        per_batch=1.0 / batch,
        waiting=max(requested - batch, 0.0) / batch,
        groups=groups,
        per_groups=per_groups,
        per_group=per_group,
        passes=micro_batches * groups,
        sequences=sequences,
        writing=writing,
        per_room=max(sequences / most, 1.0),
        per_micro_batches=per_micro_batches,
        weights_s=terms.weights,
        kv_s=terms.kv,
        activations_s=terms.activations,
        compute_s=terms.compute,
        hidden_s=max(terms.weights + terms.activations + terms.compute - arithmetic_s, 0.0),
        network_s=(network.total + handed_s + replica.hand_over_s) * replica.per_step_token,
        transfer_s=(network.transfer + handed_s) * replica.per_step_token,
        latency_s=(replica.launched_s + sampled_s + host_s) * replica.per_step_token,
        host_s=host_s * replica.per_step_token,
        head_s=operator_time(ops.lm_head, per_group, 1.0, residue).total,
        pass_bytes=replica.body_bytes + expert_bytes * per_groups + replica.token_bytes * tokens,
        weight_read_share=replica.body_share + experts_read * replica.expert_share,
        executed_s=executed_s * replica.per_step_token,
    )
