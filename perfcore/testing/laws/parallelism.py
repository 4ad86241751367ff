"""Laws of parallelism: devices share the work, and communication takes time."""

import math

from perfcore.physics.speculation import accepted_tokens
from perfcore.records import (
    OFFLOAD_NONE,
    SCHEDULER_STATIC,
    Deployment,
)
from perfcore.testing.laws.requirements import equal, not_below, require
from perfcore.testing.scenario import Scenario


def alone_means_no_network(scenario: Scenario) -> None:
    """A single device that holds the model has no network time."""
    alone = scenario.with_deployment(tp=1.0, pp=1.0, dp=1.0, ep=1.0, offload=OFFLOAD_NONE)
    alone = alone.with_deployment(gpu_layers=Deployment().gpu_layers)
    point = alone.evaluate()
    require(point.network_s == 0.0, "one device exchanges nothing", point.network_s)
    require(point.elasticity_link == 0.0, "one device needs no link", point.elasticity_link)


def tensor_parallelism_shares_the_work(scenario: Scenario) -> None:
    """With twice the tensor-parallel degree, no operator takes longer and no device holds more.

    Exchanges and latencies may offset the gain. Spatial machines are exempt, as their sequences
    spread over more stages.
    """
    if scenario.device.spatial == 1.0:
        return
    static = scenario.with_deployment(scheduler=SCHEDULER_STATIC)
    before = static.evaluate()
    after = static.with_deployment(tp=2.0 * scenario.deployment.tp).evaluate()
    names = ("weights_s", "kv_s", "activations_s", "compute_s")
    one, two = (math.fsum(getattr(point, name) for name in names) for point in (before, after))
    not_below(one, two, "tensor parallelism divides the work")
    held, shared = before.weight_bytes_per_device, after.weight_bytes_per_device
    not_below(held, shared, "tensor parallelism divides the weights")
    not_below(before.kv_bytes_per_device, after.kv_bytes_per_device, "and the cache, if it can")


def pipelines_do_not_shorten_a_step(scenario: Scenario) -> None:
    """A static batch passes through the stages in turn, and its host drives more devices.

    Spatial machines are exempt.
    """
    if scenario.device.spatial == 1.0:
        return
    static = scenario.with_deployment(scheduler=SCHEDULER_STATIC, offload=OFFLOAD_NONE)
    staged = static.evaluate()
    whole = static.with_deployment(pp=1.0).evaluate()
    not_below(staged.tpot_s, whole.tpot_s, "a pipeline does not shorten a step")
    deployment = static.deployment
    driven = deployment.tp * (deployment.pp - 1.0) * static.engine.host_per_device
    driven /= accepted_tokens(
        deployment.draft_len, deployment.acceptance, deployment.acceptance_decay
    )
    equal(
        staged.tpot_s - staged.network_s,
        whole.tpot_s - whole.network_s + driven,
        "a pipeline only adds hand-overs and host time for more devices",
    )
