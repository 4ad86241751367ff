"""Laws of memory: bytes add up, and the status follows from them."""

from perfcore.physics.hybrid import tables_here
from perfcore.physics.memory import second_tier_bandwidth, second_tier_bytes, usable_bytes
from perfcore.physics.moe import log_passed_over
from perfcore.physics.operators import body_read_bytes, expert_read_bytes, touched_experts
from perfcore.physics.parallelism import lay_out
from perfcore.physics.sizing import held_bytes
from perfcore.physics.stages.replica import (
    CONTEXT_TOO_LONG,
    KV_DOES_NOT_FIT,
    OK,
    WEIGHTS_DO_NOT_FIT,
)
from perfcore.physics.weights import table_bytes
from perfcore.records import (
    OFFLOAD_EXPERTS,
    OFFLOAD_KV,
    OFFLOAD_NONE,
    OFFLOAD_WEIGHTS,
    SCHEDULER_STATIC,
    Deployment,
)
from perfcore.testing.laws.requirements import (
    ROUNDING,
    as_many_run,
    equal,
    not_below,
    not_faster,
    require,
)
from perfcore.testing.scenario import Scenario


def bytes_add_up(scenario: Scenario) -> None:
    """Weights do not depend on the batch; the KV cache grows equally with each sequence."""
    batch = max(
        scenario.deployment.batch, scenario.deployment.dp
    )  # a group has at least one sequence
    static = scenario.with_deployment(scheduler=SCHEDULER_STATIC)
    once, twice, thrice = (
        static.with_deployment(batch=factor * batch).evaluate() for factor in (1.0, 2.0, 3.0)
    )
    both = once.weight_bytes_per_device + once.kv_bytes_per_device
    equal(once.total_bytes_per_device, both, "weights and KV cache sum up")
    equal(twice.weight_bytes_per_device, once.weight_bytes_per_device, "weights are kept once")
    middle = 0.5 * (once.kv_bytes_per_device + thrice.kv_bytes_per_device)
    equal(twice.kv_bytes_per_device, middle, "sequences are alike")
    if scenario.deployment.prefix_hit == 0.0:
        equal(twice.kv_bytes_per_device, 2.0 * once.kv_bytes_per_device, "nothing is shared")


def tables_of_device(scenario: Scenario) -> float:
    """Bytes of n-gram tables in host memory, divided by devices. [bytes]"""
    layout = lay_out(scenario.model, scenario.device, scenario.deployment)
    tables = table_bytes(scenario.model, scenario.weight_format)
    return (1.0 - tables_here(scenario.device)) * tables / layout.devices


def status_follows_from_bytes(scenario: Scenario) -> None:
    """Status, bytes, largest batch and memory are consistent, if only tables are on the CPU."""
    if scenario.deployment.offload == OFFLOAD_EXPERTS:
        scenario = scenario.with_deployment(offload=OFFLOAD_NONE)
    scenario = scenario.with_deployment(gpu_layers=Deployment().gpu_layers)
    point, deployment = scenario.evaluate(), scenario.deployment
    layout = lay_out(scenario.model, scenario.device, deployment)
    room = usable_bytes(scenario.model, scenario.device, scenario.engine, layout)
    if deployment.offload != OFFLOAD_NONE:
        room += second_tier_bytes(scenario.device, scenario.engine)
    more, less = room * (1.0 + ROUNDING), room * (1.0 - ROUNDING)
    tables = tables_of_device(scenario)
    total = point.total_bytes_per_device - tables
    weights = point.weight_bytes_per_device - tables
    context = scenario.input_len + scenario.output_len
    if point.status == OK:
        require(total <= more, "ok means that it fits", total, room)
        require(point.running_batch <= point.max_batch, "ok is within the largest batch")
    if point.status == WEIGHTS_DO_NOT_FIT:
        require(weights >= less, "weights exceed the memory", weights, room)
    if point.status == CONTEXT_TOO_LONG:
        require(context > scenario.model.max_context, "the context is too long", context)
    if point.status == KV_DOES_NOT_FIT:
        require(weights <= more, "weights fit", weights, room)
        require(total >= less, "the KV cache does not fit", total, room)
        if deployment.scheduler == SCHEDULER_STATIC:
            require(deployment.batch > point.max_batch, "the batch exceeds the largest")
        else:
            require(point.max_batch < 1.0, "not one sequence fits", point.max_batch)


def offload_is_no_faster(scenario: Scenario) -> None:
    """A second memory tier adds capacity, not speed.

    Servers that run more requests thanks to it are exempt, as fewer requests wait.
    """
    scenario = scenario.with_deployment(gpu_layers=Deployment().gpu_layers)
    before = scenario.with_deployment(offload=OFFLOAD_NONE).evaluate()
    require(before.offload_s == 0.0, "nothing is offloaded", before.offload_s)
    for kind in (OFFLOAD_WEIGHTS, OFFLOAD_KV):
        after = scenario.with_deployment(offload=kind).evaluate()
        not_below(after.max_batch, before.max_batch, "a second tier makes room")
        if as_many_run(before, after):
            not_faster(after, before, scenario.deployment, "offload does not speed up")


def first_tokens_wait_for_offloaded_weights(scenario: Scenario) -> None:
    """TTFT includes reading the offloaded weights that the tokens of one prompt use."""
    whole = Deployment().gpu_layers
    point = scenario.with_deployment(offload=OFFLOAD_WEIGHTS, gpu_layers=whole).evaluate()
    model, form, engine = scenario.model, scenario.weight_format, scenario.engine
    if second_tier_bytes(scenario.device, engine) == 0.0:
        return
    tokens = (1.0 - scenario.deployment.prefix_hit) * scenario.input_len
    layout = lay_out(model, scenario.device, scenario.deployment)
    passed_over = log_passed_over(layout.expert_slots, model.experts_per_token)
    experts = touched_experts(layout.expert_slots, engine, passed_over, tokens)
    read = body_read_bytes(model, form) + experts * expert_read_bytes(model, form)
    tables = tables_of_device(scenario)
    away = max(point.offloaded_bytes_per_device - tables, 0.0)  # hardly read
    away *= read / held_bytes(model, form, layout)
    least = away / second_tier_bandwidth(scenario.device, engine)
    not_below(point.ttft_s, least, "TTFT includes reading offloaded weights")


def drafts_take_memory(scenario: Scenario) -> None:
    """A draft takes its layers' share of cache and states, and of all weights but the embedding."""
    static = scenario.with_deployment(scheduler=SCHEDULER_STATIC)
    plain = static.with_deployment(draft_len=0.0).evaluate()
    drafted = static.with_deployment(draft_len=1.0).evaluate()
    share = scenario.engine.draft_layers / scenario.model.layers
    equal(drafted.kv_bytes_per_device, (1.0 + share) * plain.kv_bytes_per_device, "its cache")
    added = drafted.weight_bytes_per_device - plain.weight_bytes_per_device
    require(added <= share * plain.weight_bytes_per_device * (1.0 + ROUNDING), "its share", added)
    require((added > 0.0) == (share > 0.0), "a draft has weights", added, share)
    not_below(plain.max_batch, drafted.max_batch, "a draft leaves room for no more sequences")
