"""Laws of layers and experts in host memory, which the CPU of the host computes."""

from perfcore.physics.hybrid import split_of
from perfcore.physics.memory import second_tier_bandwidth, usable_bytes
from perfcore.physics.moe import log_passed_over
from perfcore.physics.operators import expert_read_bytes, touched_experts
from perfcore.physics.parallelism import lay_out
from perfcore.physics.stages.replica import HOST_MEMORY_TOO_SMALL, OK
from perfcore.physics.weights import layer_bytes
from perfcore.records import OFFLOAD_EXPERTS, OFFLOAD_NONE, SCHEDULER_STATIC, Deployment
from perfcore.testing.laws.requirements import ROUNDING, equal, not_below, require
from perfcore.testing.scenario import Scenario

_WHOLE = Deployment()  # all layers on the devices


def on_devices(scenario: Scenario) -> Scenario:
    """Return the scenario with all layers and experts on the devices."""
    return scenario.with_deployment(
        offload=OFFLOAD_NONE, gpu_layers=_WHOLE.gpu_layers, cpu_moe_layers=_WHOLE.cpu_moe_layers
    )


def nothing_on_the_cpu_changes_nothing(scenario: Scenario) -> None:
    """As many layers on the devices as there are, and no experts on the CPU, are the default."""
    whole = on_devices(scenario)
    before = whole.evaluate()
    layers = float(int(scenario.model.layers) + 1)
    require(whole.with_deployment(gpu_layers=layers).evaluate() == before, "all layers are there")
    none = whole.with_deployment(offload=OFFLOAD_EXPERTS, cpu_moe_layers=0.0)
    require(none.evaluate() == before, "no layer has its experts in host memory")
    if scenario.model.experts == 0.0:
        dense = whole.with_deployment(offload=OFFLOAD_EXPERTS)
        require(dense.evaluate() == before, "a dense model has no experts to offload")


def host_and_device_hold_the_model(scenario: Scenario) -> None:
    """What one device and its host hold together does not depend on where it is."""
    alone = scenario.with_deployment(tp=1.0, pp=1.0, dp=1.0, ep=1.0, scheduler=SCHEDULER_STATIC)
    before = on_devices(alone).evaluate()
    for change in (
        alone.with_deployment(offload=OFFLOAD_NONE),
        alone.with_deployment(offload=OFFLOAD_EXPERTS),
    ):
        after = change.evaluate()
        for name in ("weight_bytes_per_device", "kv_bytes_per_device", "total_bytes_per_device"):
            equal(getattr(after, name), getattr(before, name), f"{name} do not change")
        here = after.total_bytes_per_device - after.offloaded_bytes_per_device
        not_below(here, -ROUNDING * after.total_bytes_per_device, "a part is in host memory")


def short_memory_is_named(scenario: Scenario) -> None:
    """A configuration that runs fits into both memories, and the status names the short one."""
    for offload in (OFFLOAD_NONE, OFFLOAD_EXPERTS):
        change = scenario.with_deployment(offload=offload, scheduler=SCHEDULER_STATIC)
        point, deployment = change.evaluate(), change.deployment
        devices = deployment.tp * deployment.pp * deployment.dp
        away = devices * point.offloaded_bytes_per_device
        here = point.total_bytes_per_device - point.offloaded_bytes_per_device
        host = change.device.host_memory_capacity
        if point.status == OK:
            require(away <= host * (1.0 + ROUNDING), "the host holds its part", away, host)
            layout = lay_out(change.model, change.device, deployment)
            room = usable_bytes(change.model, change.device, change.engine, layout)
            slack = ROUNDING * (room + point.total_bytes_per_device)
            require(here <= room + slack, "the device holds its part", here, room)
        if point.status == HOST_MEMORY_TOO_SMALL:
            require(away >= host * (1.0 - ROUNDING), "host memory is short", away, host)


def first_tokens_wait_for_host_memory(scenario: Scenario) -> None:
    """TTFT includes reading what a prompt uses of host memory, there or over the link."""
    for offload in (OFFLOAD_NONE, OFFLOAD_EXPERTS):
        change = scenario.with_deployment(offload=offload)
        model, device, form = change.model, change.device, change.weight_format
        split = split_of(model, change.deployment)
        slots = lay_out(model, device, change.deployment).expert_slots
        tokens = (1.0 - change.deployment.prefix_hit) * change.input_len
        tokens = min(tokens, change.engine.prefill_chunk)
        passed_over = log_passed_over(slots, model.experts_per_token)
        experts = touched_experts(slots, change.engine, passed_over, tokens)
        read = split.layers * layer_bytes(model, form)
        read += split.experts * experts * expert_read_bytes(model, form)
        fastest = max(second_tier_bandwidth(device, change.engine), device.host_memory_bandwidth)
        not_below(change.evaluate().ttft_s, read / fastest, "TTFT includes reading host memory")
